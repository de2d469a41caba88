"""Objectives: what was promised of a monitor."""

from __future__ import annotations

from collections.abc import Callable
from typing import TYPE_CHECKING, Any, TypeVar

from django import forms
from django.contrib import admin
from django.http import HttpRequest
from django.urls import reverse
from django.utils.html import format_html
from django.utils.safestring import SafeString
from unfold import widgets

from checks.units import format_duration, parse_duration
from monitoring.admin.owned import OwnedAdmin
from monitoring.models import Monitor, Objective
from monitoring.objectives.minutes import parse_promise
from monitoring.objectives.windows import zone_of

if TYPE_CHECKING:
    ObjectiveModelForm = forms.ModelForm[Objective]
else:
    ObjectiveModelForm = forms.ModelForm

T = TypeVar("T")

LOWEST, HIGHEST = 50.0, 99.9999  # percent
SHORTEST, LONGEST = 7 * 86400.0, 90 * 86400.0  # seconds


class ObjectiveForm(ObjectiveModelForm):
    """The window as a duration, the promise as a line."""

    target = forms.FloatField(
        min_value=LOWEST,
        max_value=HIGHEST,
        widget=widgets.UnfoldAdminTextInputWidget(),
        help_text="How much of the time it is kept, in percent, as in 99.9.",
    )
    window = forms.CharField(
        required=False,
        widget=widgets.UnfoldAdminTextInputWidget(),
        help_text="Over how long: the days before now, 7d to 90d. Empty: the calendar month.",
    )
    minutes = forms.CharField(
        required=False,
        max_length=40,
        widget=widgets.UnfoldAdminTextInputWidget(),
        help_text="What has to hold in each minute, as in p95 < 300ms. Empty: it is available.",
    )
    timezone = forms.CharField(
        max_length=64,
        initial="UTC",
        widget=widgets.UnfoldAdminTextInputWidget(),
        help_text="Where the calendar month begins at midnight, as in Europe/Riga.",
    )

    class Meta:
        model = Objective
        fields = ("name", "monitor", "target", "minutes", "timezone")

    def __init__(self, *args: Any, **kwargs: Any) -> None:
        super().__init__(*args, **kwargs)
        if "monitor" not in self.fields:  # shown, not written
            return
        self.fields["monitor"].queryset = Monitor.objects.filter(retired_at=None)  # type: ignore[attr-defined]  # it is a choice field
        seconds = self.instance.window_seconds
        self.initial["window"] = "" if seconds is None else format_duration(seconds)

    def clean_window(self) -> float | None:
        """Seconds, or None."""
        text = self.cleaned_data["window"].strip()
        if not text:
            return None
        seconds = _read(parse_duration, text)
        if not SHORTEST <= seconds <= LONGEST:
            raise forms.ValidationError(f"{format_duration(SHORTEST)} to {format_duration(LONGEST)}")
        return seconds

    def clean_minutes(self) -> str:
        """The promise in its one form."""
        text = self.cleaned_data["minutes"].strip()
        return str(_read(parse_promise, text)) if text else ""

    def clean_timezone(self) -> str:
        """A zone that there is."""
        name: str = self.cleaned_data["timezone"].strip()
        _read(zone_of, name)
        return name

    def save(self, commit: bool = True) -> Objective:
        """The objective with its window set."""
        self.instance.window_seconds = self.cleaned_data["window"]
        return super().save(commit=commit)


def _read(parse: Callable[[str], T], text: str) -> T:
    try:
        return parse(text)
    except ValueError as exc:
        raise forms.ValidationError(str(exc)) from exc


@admin.register(Objective)
class ObjectiveAdmin(OwnedAdmin):
    """What was promised of monitors."""

    form = ObjectiveForm
    list_display = ("name", "monitor", "promise", "over", "owner", "stands")
    list_filter = ("owner",)
    list_select_related = ("monitor",)
    search_fields = ("name", "monitor__name", "monitor__slug")
    readonly_fields = ("promise", "over", "stands")

    def get_fields(self, request: HttpRequest, obj: Objective | None = None) -> tuple[str, ...]:
        """Fields to write, or sentences to read."""
        if obj is not None and not self.has_change_permission(request, obj):
            return ("name", "monitor", "promise", "over", "timezone", "stands")
        return ("name", "monitor", "target", "window", "minutes", "timezone")

    @admin.display(description="Promise")
    def promise(self, objective: Objective) -> str:
        """What is promised, in words."""
        return f"{objective.target:g} % {objective.minutes or 'available'}"

    @admin.display(description="Over")
    def over(self, objective: Objective) -> str:
        """The window, in words."""
        seconds = objective.window_seconds
        return "the calendar month" if seconds is None else f"the last {format_duration(seconds)}"

    @admin.display(description="Stands")
    def stands(self, objective: Objective) -> SafeString | str:
        """Where one sees how it stands."""
        if objective._state.adding:  # noqa: SLF001 - documented Django API
            return ""
        return format_html('<a href="{}">See</a>', reverse("objective", args=[objective.pk]))
