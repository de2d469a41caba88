"""The form of a monitor: the options of its kind, and of no other."""

from __future__ import annotations

from functools import cache
from typing import TYPE_CHECKING, Any, ClassVar

from django import forms
from django.utils.html import format_html, format_html_join
from django.utils.safestring import SafeString
from pydantic import ValidationError
from unfold.widgets import UnfoldBooleanSwitchWidget

from checks.environment import EnvironmentProblem
from checks.options import sentence_of
from checks.probes import KINDS, parse_spec, spec_class
from checks.spec import MonitorSpec, ProbedSpec, dump
from checks.spec_secrets import secret_options
from monitoring import groups
from monitoring.admin import option_fields
from monitoring.admin.option_fields import CLEAR, SEPARATOR, OptionField
from monitoring.models import Monitor
from monitoring.publish import spec_of

if TYPE_CHECKING:
    ModelForm = forms.ModelForm[Monitor]
else:
    ModelForm = forms.ModelForm


class MonitorForm(ModelForm):
    """Reads and writes `Monitor.spec`. `spec` is there once the form is valid."""

    kind: ClassVar[str]
    options: ClassVar[list[OptionField]]
    spec: MonitorSpec

    class Meta:
        model = Monitor
        fields = ()

    def __init__(self, *args: Any, **kwargs: Any) -> None:
        instance = kwargs.get("instance")
        self.before: dict[str, Any] = {}
        shown = option_fields.defaults(spec_class(self.kind))
        if instance is not None and instance.created_at is not None:
            try:
                spec = spec_of(instance)
                self.before, shown = dump(spec), spec.model_dump(mode="json")
            except (ValueError, EnvironmentProblem):
                # Options of another version, or another key: what can't be read is written anew.
                shown |= {"name": instance.name, "slug": instance.slug}
        kwargs["initial"] = option_fields.initial(self.options, shown) | (kwargs.get("initial") or {})
        super().__init__(*args, **kwargs)

    def clean(self) -> dict[str, Any]:
        """Let the specification judge; every problem at once, each at its field."""
        cleaned: dict[str, Any] = super().clean() or self.cleaned_data
        try:
            self.spec = parse_spec({"kind": self.kind, **option_fields.document(self.options, cleaned, self.before)})
        except ValidationError as exc:
            self._report(exc)
            return cleaned
        taken = Monitor.objects.filter(slug=self.spec.slug).exclude(pk=self.instance.pk).first()
        if taken is not None:
            state = " (retired)" if taken.retired_at else ""
            self.add_error("slug", f"{self.spec.slug} is the slug of another monitor: {taken.name}{state}")
        self._judge_against_others()
        return cleaned

    def _judge_against_others(self) -> None:
        """What this machine lacks for the kind, and what groups allow, which no specification knows by itself."""
        spec, before = self.spec, self.instance.slug
        if dump(spec) == self.before:
            return  # what stays as it is need not be possible to make anew
        if lacking := KINDS[spec.kind].missing(spec):
            self.add_error(None, f"{spec.kind} can't be probed here: {lacking}")
        if spec.watches() and (problem := groups.problem_of(spec.slug, spec.watches(), before)):
            self.add_error("members", problem)
        if before and before != spec.slug and (others := groups.groups_with(before)):
            self.add_error("slug", f"{before} is a member of {', '.join(others)}: take it out there first")

    def _post_clean(self) -> None:
        """Django would let the model judge columns that `monitoring.publish` fills only later."""

    def _report(self, problems: ValidationError) -> None:
        names = [option.name for option in self.options]
        told: set[tuple[str | None, str]] = set()
        for problem in problems.errors(include_url=False, include_input=False):
            location = [str(part) for part in problem["loc"]]
            message = problem["msg"].removeprefix("Value error, ")
            if not location and message.partition(":")[0] in names:
                location, message = [message.partition(":")[0]], message.partition(":")[2].strip()
            field = _field_of(location, names)
            place, where = _place_of(location[1:])
            if field is not None and field in self.errors and (not place or (field, place) in told):
                continue  # the branches of a union say the same in other words
            told.add((field, place))
            self.add_error(field, f"{where}: {message}" if where else message)


def _place_of(inside: list[str]) -> tuple[str, str]:
    """Where in a field something is: for machines, and in words. An entry of a list is a line, or has options itself."""
    number = next((index for index, part in enumerate(inside) if part.isdigit()), None)
    if number is None:
        return "", ""
    entry, option = int(inside[number]) + 1, inside[number + 1 : number + 2]
    words = f"entry {entry}, {option[0]}" if option else f"line {entry}"
    return ".".join(inside[: number + 2]), words


def _field_of(location: list[str], names: list[str]) -> str | None:
    """The field of an error's location: the option itself, else the first of the options inside it."""
    for length in range(len(location), 0, -1):
        name = SEPARATOR.join(location[:length])
        found = next((n for n in names if n == name or n.startswith(name + SEPARATOR)), None)
        if found is not None:
            return found
    return None


@cache
def form_of(kind: str, held: frozenset[str] = frozenset()) -> type[MonitorForm]:
    """The form of a kind. Raises ValueError for an unknown one. `held` are secrets that are set, and can be removed."""
    spec = spec_class(kind)
    found = list(option_fields.fields_of(spec))
    fields: dict[str, Any] = {}
    for option in found:
        fields[option.name] = option.field
        if option.name in held and not isinstance(option.field.widget, forms.Textarea):
            label = f"Remove the {option.field.label} that is set".lower().capitalize()
            fields[CLEAR + option.name] = forms.BooleanField(
                label=label, required=False, widget=UnfoldBooleanSwitchWidget
            )
    return type(f"{spec.__name__}Form", (MonitorForm,), {"kind": kind, "options": found, **fields})


def held_secrets(monitor: Monitor) -> frozenset[str]:
    """The secret options that the monitor has a value of."""
    return frozenset(name for name in secret_options(spec_class(monitor.kind)) if monitor.spec.get(name))


def fieldsets_of(form: type[MonitorForm]) -> list[tuple[str, dict[str, Any]]]:
    """The fields in three groups: what it is, what its kind asks for, when and how it is judged."""
    spec = spec_class(form.kind)
    groups: dict[str, list[str]] = {"what": [], "kind": [], "judged": []}
    for name in form.base_fields:
        option = name.removeprefix(CLEAR).partition(SEPARATOR)[0]
        common = option in MonitorSpec.model_fields
        groups["what" if common else "judged" if option in ProbedSpec.model_fields else "kind"].append(name)
    sentence = sentence_of(spec, "kind").rstrip(".")
    found: list[tuple[str, dict[str, Any]]] = [
        ("What it is", {"fields": groups["what"]}),
        (f"{form.kind}: {sentence[:1].lower()}{sentence[1:]}", {"fields": groups["kind"]}),
        ("When it is asked, and what is healthy", {"fields": groups["judged"], "description": _subjects(spec)}),
    ]
    return [(heading, content) for heading, content in found if content["fields"]]


def _subjects(spec: type[MonitorSpec]) -> SafeString:
    """What an expectation of this kind can speak of."""
    if not spec.subjects:
        return SafeString()
    words = format_html_join(
        ", ", '<code title="{}">{}</code>', ((subject.help, subject.name) for subject in spec.subjects.values())
    )
    example = format_html("<code>{}</code>", "latency < 800ms")
    return format_html(
        "An expectation is a subject, an operator and a value, as in {}. It can speak of {}.", example, words
    )
