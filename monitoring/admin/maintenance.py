"""Maintenance windows: announced beforehand, and kept as they were."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from django import forms
from django.contrib import admin
from django.http import HttpRequest

from checks import clock
from monitoring import maintenance
from monitoring.admin.owned import PageAdmin
from monitoring.models import MaintenanceWindow

if TYPE_CHECKING:
    WindowModelForm = forms.ModelForm[MaintenanceWindow]
else:
    WindowModelForm = forms.ModelForm

FIELDS = ("title", "text", "starts_at", "ends_at", "everything", "monitors", "public")
FIXED = ("starts_at", "everything", "monitors")  # once it has begun


class WindowForm(WindowModelForm):
    """The whole window; once it has begun, what can still change."""

    class Meta:
        model = MaintenanceWindow
        fields = FIELDS

    def clean(self) -> dict[str, Any] | None:
        """Whom it is about, and an end that is to come."""
        given = super().clean()
        if given is None:
            return given
        if "monitors" in self.fields and bool(given.get("everything")) == bool(given.get("monitors")):
            self.add_error("monitors", "Choose some monitors, or all of them.")
        if "ends_at" in self.changed_data and given.get("ends_at") and given["ends_at"] <= clock.utcnow():
            self.add_error("ends_at", "That is over. What is not announced beforehand is an outage.")
        return given


@admin.register(MaintenanceWindow)
class MaintenanceWindowAdmin(PageAdmin):
    """What was announced."""

    form = WindowForm
    list_display = ("title", "starts_at", "ends_at", "about", "public", "stands")
    list_filter = ("public",)
    search_fields = ("title", "text", "monitors__name", "monitors__slug")
    autocomplete_fields = ("monitors",)
    buttons = (("end", "end_now", "End it now"),)

    def get_fields(self, request: HttpRequest, obj: MaintenanceWindow | None = None) -> tuple[str, ...]:
        """What there is to write, or to read."""
        del request
        return FIELDS if obj is None else (*FIELDS, "stands")

    def get_readonly_fields(self, request: HttpRequest, obj: MaintenanceWindow | None = None) -> tuple[str, ...]:
        """What can no longer change."""
        del request
        now = clock.utcnow()
        if obj is None or not obj.has_begun(now):
            return ("stands",)
        return (*FIXED, "stands") if not obj.is_over(now) else (*FIELDS, "stands")

    def has_delete_permission(self, request: HttpRequest, obj: Any = None) -> bool:
        """Not once it has begun: the figures of that time would change."""
        begun = obj is not None and obj.has_begun(clock.utcnow())
        return not begun and bool(super().has_delete_permission(request, obj))

    def get_actions(self, request: HttpRequest) -> dict[str, Any]:
        """None for many at once: each is asked whether it has begun."""
        del request
        return {}

    def shown_buttons(self, request: HttpRequest, obj: Any) -> list[str]:
        """One that is on can be ended."""
        del request
        now = clock.utcnow()
        return ["end"] if obj.has_begun(now) and not obj.is_over(now) else []

    def end_now(self, request: HttpRequest, obj: MaintenanceWindow) -> None:
        """End it."""
        now = clock.utcnow()
        if not obj.has_begun(now) or obj.is_over(now):
            self.say(request, "It is not on.")
            return
        obj.ends_at = now
        obj.save(update_fields=["ends_at"])
        maintenance.look_again()
        self.say(request, f"{obj.title} is over.")

    def save_related(self, request: HttpRequest, form: Any, formsets: Any, change: bool) -> None:
        """Messages that wait for a window are looked at once more when it has changed."""
        super().save_related(request, form, formsets, change)
        maintenance.look_again()

    def delete_model(self, request: HttpRequest, obj: MaintenanceWindow) -> None:
        """The same."""
        super().delete_model(request, obj)
        maintenance.look_again()

    @admin.display(description="About")
    def about(self, window: MaintenanceWindow) -> str:
        """Whom it is about, in words."""
        if window.everything:
            return "all monitors"
        names = [monitor.name for monitor in window.monitors.all()]
        return ", ".join(names[:3]) + (f" and {len(names) - 3} more" if len(names) > 3 else "")

    @admin.display(description="Stands")
    def stands(self, window: MaintenanceWindow) -> str:
        """Whether it is to come, on, or over."""
        if window._state.adding:  # noqa: SLF001 - documented Django API
            return ""
        now = clock.utcnow()
        if window.is_over(now):
            return "over"
        return "on" if window.has_begun(now) else "to come"
