"""A kind's options as form fields, derived from its specification: the limits and the sentences are typed once, there.

What a form sends is written as a document would write it and judged by `parse_spec` alone; a form field checks nothing.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from typing import Any

from django import forms
from django.forms.widgets import Textarea
from django.utils.html import escape
from pydantic import BaseModel
from pydantic.fields import FieldInfo
from unfold import widgets

from checks.document import read
from checks.options import Option, options
from checks.spec import REDACTED, is_multiline, is_verbatim
from checks.spec_secrets import has_secrets, keep_rows, redact, stands_for_nothing
from monitoring.config.writing import as_yaml

SEPARATOR = "__"  # between an option and an option inside it: schedule__cron
CLEAR = "clear" + SEPARATOR  # before a secret's name: the box that removes it
_INITIALS = ("ca", "tls", "url")


@dataclass(frozen=True, slots=True, kw_only=True)
class OptionField:
    """One option as a form shows it. `show` makes what stands in the form, `read` what the document would say."""

    path: tuple[str, ...]
    field: forms.Field
    show: Callable[[Any], Any]
    read: Callable[[Any], Any]
    secret: bool = False
    model: type[BaseModel] | None = None  # of the entries, where each has options of its own

    @property
    def name(self) -> str:
        """The name of its form field."""
        return SEPARATOR.join(self.path)


class RowsField(forms.CharField):
    """A list of entries that have options of their own, in YAML. What is wrong with the YAML is told with its line."""

    def __init__(self, model: type[BaseModel], **kwargs: Any) -> None:
        super().__init__(strip=False, **kwargs)
        self.model = model

    def shown(self, rows: list[dict[str, Any]]) -> str:
        """The entries as short as they can be said, secrets as dots."""
        short = [self.model.model_validate(row).model_dump(mode="json", exclude_defaults=True) for row in rows]
        return as_yaml([redact(self.model, row) for row in short]) if short else ""

    def clean(self, value: Any) -> Any:
        """The entries as a document would write them; None where there are none."""
        text = super().clean(value).replace("\r\n", "\n")
        if not text.strip():
            return None
        root, problems = read(text.replace("${", "$${"), env={})  # variables are for files
        if problems or root is None:
            raise forms.ValidationError([f"line {p.line}, column {p.column}: {p.message}" for p in problems])
        rows = root.plain()
        if not isinstance(rows, list) or not all(isinstance(row, dict) for row in rows):
            raise forms.ValidationError(
                "expected a list, each entry after a hyphen and with its options as name: value"
            )
        return rows


def fields_of(model: type[BaseModel], path: tuple[str, ...] = ()) -> Iterator[OptionField]:
    """The options of a specification in their order; those of an option that has options of its own in its place."""
    for name, option in options(model).items():
        if option.value.model is not None:
            yield from fields_of(option.value.model, (*path, name))
        elif name != "kind" or path:
            yield _field((*path, name), option, model.model_fields[name])


def _field(path: tuple[str, ...], option: Option, info: FieldInfo) -> OptionField:
    secret = option.value.secret
    label = option.name.replace("_", " ")
    words: dict[str, Any] = {
        "label": label.upper() if label in _INITIALS else label.capitalize(),
        "help_text": escape(option.help),
        "required": option.required and len(path) == 1,
    }
    field: forms.Field
    match option.value.shape:
        case "choice":
            choices = [(value, value) for value in option.value.choices]
            field = forms.ChoiceField(choices=choices, widget=widgets.UnfoldAdminSelectWidget, **words)
            return OptionField(path=path, field=field, show=_same, read=_unless_empty)
        case "mapping":
            words["help_text"] += " One a line, as in Name: value."
            field = forms.CharField(widget=_textarea(4), **words)
            return OptionField(path=path, field=field, show=_pairs, read=_mapping, secret=secret)
        case "list" if option.value.item is not None and option.value.item.model is not None:
            model = option.value.item.model
            words["help_text"] += f" In YAML, as in the configuration file: a list of {', '.join(options(model))}."
            rows = RowsField(model, widget=_textarea(16), **words)
            return OptionField(
                path=path, field=rows, show=rows.shown, read=_unless_empty, secret=has_secrets(model), model=model
            )
        case "list":
            words["help_text"] += "" if "a line" in option.help else " One a line."
            field = forms.CharField(widget=_textarea(4), **words)
            return OptionField(path=path, field=field, show="\n".join, read=_lines)
        case "true or false":
            field = forms.BooleanField(widget=widgets.UnfoldBooleanSwitchWidget, **words)
            return OptionField(path=path, field=field, show=_same, read=bool)
        case "number":
            field = forms.IntegerField(widget=widgets.UnfoldAdminIntegerFieldWidget, **words)
            return OptionField(path=path, field=field, show=_same, read=_unless_empty)
    returns = r" Write \r where a carriage return is meant." if is_verbatim(info) else ""
    if secret:
        words["help_text"] += f" It is never shown again; leave it empty to keep what is set.{returns}"
        lines = is_multiline(info)
        widget: forms.Widget = _SecretArea(_textarea(3).attrs | {"autocomplete": "off"}) if lines else _password()
        read = _with_returns if returns else _text
        field = forms.CharField(widget=widget, strip=False, **words)
        return OptionField(path=path, field=field, show=_nothing, read=read, secret=True)
    if returns:
        words["help_text"] += returns
        field = forms.CharField(widget=_textarea(3), strip=False, **words)
        return OptionField(path=path, field=field, show=_with_returns_written, read=_with_returns)
    widget = _textarea(3) if is_multiline(info) else widgets.UnfoldAdminTextInputWidget()
    field = forms.CharField(widget=widget, **words)
    return OptionField(path=path, field=field, show=_same, read=_text)


class _SecretArea(Textarea):
    """Several lines that are typed and never shown, such as a private key: a password's field would join them."""

    def format_value(self, _value: Any) -> None:
        """Nothing, also where the form comes back with a mistake."""


def _password() -> forms.Widget:
    widget: forms.Widget = widgets.UnfoldAdminPasswordWidget(attrs={"autocomplete": "new-password"})
    return widget


def _textarea(rows: int) -> forms.Widget:
    widget: forms.Widget = widgets.UnfoldAdminTextareaWidget(attrs={"rows": rows})
    # Unfold's own puts the text right behind the tag, where a browser drops a line break that the text begins with.
    widget.template_name = Textarea.template_name
    return widget


def _same(value: Any) -> Any:
    return value


def _nothing(value: Any) -> None:
    del value


def _unless_empty(value: Any) -> Any:
    return None if value in (None, "") else value


def _text(value: str) -> str | None:
    """A browser sends line breaks as CR LF."""
    return value.replace("\r\n", "\n") or None


def _with_returns_written(value: str) -> str:
    r"""A text area loses carriage returns: they are written as `\r`, and backslashes before one or before an r twice."""
    return re.sub(r"(\\*)(\r|(?<=\\)r)", lambda m: m[1] * 2 + (r"\r" if m[2] == "\r" else "r"), value)


def _with_returns(value: str) -> str | None:
    """The reverse."""

    def read(found: re.Match[str]) -> str:
        pairs, odd = divmod(len(found[1]), 2)
        return "\\" * pairs + ("\r" if odd else "r")

    return re.sub(r"(\\+)r", read, value.replace("\r\n", "\n")) or None


def _lines(value: str) -> list[str] | None:
    return [line.strip() for line in value.splitlines() if line.strip()] or None


def _pairs(value: Mapping[str, str]) -> str:
    """Names in clear, values as dots: a secret is written here and never read."""
    return "\n".join(f"{name}: {REDACTED}" for name in value)


def _mapping(value: str) -> dict[str, str] | None:
    pairs = (line.partition(":") for line in value.splitlines() if line.strip())
    return {name.strip(): text.strip() for name, _, text in pairs} or None


def initial(fields: list[OptionField], data: Mapping[str, Any]) -> dict[str, Any]:
    """What the fields show of a specification dumped with its defaults."""
    shown = {}
    for field in fields:
        value: Any = data
        for name in field.path:
            value = value.get(name) if isinstance(value, Mapping) else None
        shown[field.name] = None if value is None else field.show(value)
    return shown


def defaults(model: type[BaseModel]) -> dict[str, Any]:
    """The default of every option that has one, as `model_dump(mode="json")` would write it."""
    found: dict[str, Any] = {}
    for name, option in options(model).items():
        if option.value.model is not None:
            found[name] = defaults(option.value.model)
        elif not option.required:
            found |= model.model_construct(**{name: option.default}).model_dump(mode="json", include={name})
    return found


def document(fields: list[OptionField], cleaned: Mapping[str, Any], before: Mapping[str, Any]) -> dict[str, Any]:
    """The options as a document would write them. A secret that was not typed again is the one `before`."""
    data: dict[str, Any] = {}
    for option in fields:
        given = cleaned.get(option.name)
        value = None if given is None else option.read(given)
        if option.model is not None:
            value = _rows_kept(option, option.model, value, before)
        elif option.secret:
            value = _kept(option, value, before, clear=bool(cleaned.get(CLEAR + option.name)))
        if value is None:
            continue
        place = data
        for name in option.path[:-1]:
            place = place.setdefault(name, {})
        place[option.path[-1]] = value
    return data


def _rows_kept(
    option: OptionField, model: type[BaseModel], rows: list[dict[str, Any]] | None, before: Mapping[str, Any]
) -> list[dict[str, Any]] | None:
    """The entries with the secrets that were not typed again. Raises ValidationError for dots that stand for none."""
    name = option.path[0]
    kept = keep_rows(model, rows, before.get(name)) if rows else None
    if kept and any(stands_for_nothing(model, row) for row in kept):
        raise forms.ValidationError({option.name: f"{REDACTED} stands for a secret that is not there: write it"})
    return kept


def _kept(option: OptionField, value: Any, before: Mapping[str, Any], *, clear: bool) -> Any:
    old = before.get(option.path[0])
    if isinstance(value, Mapping):
        olds = old if isinstance(old, Mapping) else {}
        return {name: olds.get(name, "") if text == REDACTED else text for name, text in value.items()}
    if isinstance(old, Mapping):
        return value  # the line was removed, and with it the secret
    return value if value is not None else None if clear else old
