"""A kind's options as form fields, derived from its specification: the limits and the sentences are typed once, there.

What a form sends is written as a document would write it and judged by `parse_spec` alone; a form field checks nothing.
"""

from __future__ import annotations

import types
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from typing import Any, Literal, Union, get_args, get_origin

from django import forms
from django.utils.html import escape
from pydantic import BaseModel
from pydantic.fields import FieldInfo
from pydantic_core import PydanticUndefined
from unfold import widgets

from checks.spec import REDACTED, SecretMark, is_multiline

SEPARATOR = "__"  # between an option and an option inside it: schedule__cron
CLEAR = "clear" + SEPARATOR  # before a secret's name: the box that removes it


@dataclass(frozen=True, slots=True, kw_only=True)
class Option:
    """One option as a form shows it. `show` makes what stands in the form, `read` what the document would say."""

    path: tuple[str, ...]
    field: forms.Field
    show: Callable[[Any], Any]
    read: Callable[[Any], Any]
    secret: bool = False

    @property
    def name(self) -> str:
        """The name of its form field."""
        return SEPARATOR.join(self.path)


def options_of(model: type[BaseModel], path: tuple[str, ...] = ()) -> Iterator[Option]:
    """The options of a specification in their order; those of an option that has options of its own in its place."""
    for name, info in model.model_fields.items():
        if name == "kind" and not path:
            continue
        inner = _bare(info.annotation)
        if isinstance(inner, type) and issubclass(inner, BaseModel):
            yield from options_of(inner, (*path, name))
        else:
            yield _option((*path, name), info, inner)


def _bare(annotation: Any) -> Any:
    """The type, without `| None` and without the marks that are on it."""
    if get_origin(annotation) in (Union, types.UnionType):
        return _bare(next(part for part in get_args(annotation) if part is not type(None)))
    if hasattr(annotation, "__metadata__"):
        return _bare(get_args(annotation)[0])
    return annotation


def _option(path: tuple[str, ...], info: FieldInfo, kind: Any) -> Option:
    secret = any(isinstance(mark, SecretMark) for mark in info.metadata)
    words: dict[str, Any] = {
        "label": path[-1].replace("_", " ").capitalize(),
        "help_text": escape(info.description or ""),
        "required": False,
    }
    origin = get_origin(kind)
    if origin is Literal:
        choices = [(value, value) for value in get_args(kind)]
        field: forms.Field = forms.ChoiceField(choices=choices, widget=widgets.UnfoldAdminSelectWidget, **words)
        return Option(path=path, field=field, show=_same, read=_unless_empty)
    if origin is dict:
        words["help_text"] += " One a line, as in Name: value."
        field = forms.CharField(widget=_textarea(4), **words)
        return Option(path=path, field=field, show=_pairs, read=_mapping, secret=secret)
    if origin is tuple:
        words["help_text"] += " One a line."
        field = forms.CharField(widget=_textarea(4), **words)
        return Option(path=path, field=field, show="\n".join, read=_lines)
    if kind is bool:
        field = forms.BooleanField(widget=widgets.UnfoldBooleanSwitchWidget, **words)
        return Option(path=path, field=field, show=_same, read=bool)
    if kind is int:
        field = forms.IntegerField(widget=widgets.UnfoldAdminIntegerFieldWidget, **words)
        return Option(path=path, field=field, show=_same, read=_unless_empty)
    if secret:
        words["help_text"] += " It is never shown again; leave it empty to keep what is set."
        widget: forms.Widget = widgets.UnfoldAdminPasswordWidget(attrs={"autocomplete": "new-password"})
        field = forms.CharField(widget=widget, strip=False, **words)
        return Option(path=path, field=field, show=_nothing, read=_unless_empty, secret=True)
    widget = _textarea(3) if is_multiline(info) else widgets.UnfoldAdminTextInputWidget()
    field = forms.CharField(widget=widget, strip=not is_multiline(info), **words)
    return Option(path=path, field=field, show=_same, read=_text)


def _textarea(rows: int) -> forms.Widget:
    widget: forms.Widget = widgets.UnfoldAdminTextareaWidget(attrs={"rows": rows})
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


def _lines(value: str) -> list[str] | None:
    return [line.strip() for line in value.splitlines() if line.strip()] or None


def _pairs(value: Mapping[str, str]) -> str:
    """Names in clear, values as dots: a secret is written here and never read."""
    return "\n".join(f"{name}: {REDACTED}" for name in value)


def _mapping(value: str) -> dict[str, str] | None:
    pairs = (line.partition(":") for line in value.splitlines() if line.strip())
    return {name.strip(): text.strip() for name, _, text in pairs} or None


def initial(options: list[Option], data: Mapping[str, Any]) -> dict[str, Any]:
    """What the fields show of a specification dumped with its defaults."""
    shown = {}
    for option in options:
        value: Any = data
        for name in option.path:
            value = value.get(name) if isinstance(value, Mapping) else None
        shown[option.name] = None if value is None else option.show(value)
    return shown


def defaults(model: type[BaseModel], path: tuple[str, ...] = ()) -> dict[str, Any]:
    """The default of every option that has one, as `model_dump(mode="json")` would write it."""
    found: dict[str, Any] = {}
    for name, info in model.model_fields.items():
        inner = _bare(info.annotation)
        if isinstance(inner, type) and issubclass(inner, BaseModel):
            found[name] = defaults(inner, (*path, name))
        elif info.get_default(call_default_factory=True) is not PydanticUndefined:
            found[name] = _as_json(model, name, info)
    return found


def _as_json(model: type[BaseModel], name: str, info: FieldInfo) -> Any:
    value = info.get_default(call_default_factory=True)
    return model.model_construct(**{name: value}).model_dump(mode="json", include={name})[name]


def document(options: list[Option], cleaned: Mapping[str, Any], before: Mapping[str, Any]) -> dict[str, Any]:
    """The options as a document would write them. A secret that was not typed again is the one `before`."""
    data: dict[str, Any] = {}
    for option in options:
        given = cleaned.get(option.name)
        value = None if given is None else option.read(given)
        if option.secret:
            value = _kept(option, value, before, clear=bool(cleaned.get(CLEAR + option.name)))
        if value is None:
            continue
        place = data
        for name in option.path[:-1]:
            place = place.setdefault(name, {})
        place[option.path[-1]] = value
    return data


def _kept(option: Option, value: Any, before: Mapping[str, Any], *, clear: bool) -> Any:
    old = before.get(option.path[0])
    if isinstance(value, Mapping):
        olds = old if isinstance(old, Mapping) else {}
        return {name: olds.get(name, "") if text == REDACTED else text for name, text in value.items()}
    if isinstance(old, Mapping):
        return value  # the line was removed, and with it the secret
    return value if value is not None else None if clear else old
