"""Notifications: the queue and the log. What was given up can be sent again, or put aside."""

from __future__ import annotations

from django.contrib import admin
from django.http import HttpRequest

from checks import clock
from monitoring.admin.owned import PageAdmin
from monitoring.models import Notification

Status = Notification.Status


@admin.register(Notification)
class NotificationAdmin(PageAdmin):
    """Rows are written by the notifier; people may only repeat one, or put it aside."""

    list_display = ("channel_name", "event", "about", "status", "attempts", "created_at", "sent_at")
    list_filter = ("status", "event", "channel_name")
    search_fields = ("channel_name", "key", "note")
    date_hierarchy = "created_at"
    fields = (
        "channel_name",
        "event",
        "about",
        "status",
        "attempts",
        "note",
        "repeat",
        "created_at",
        "next_attempt_at",
        "sent_at",
        "key",
    )
    readonly_fields = fields
    buttons = (
        ("again", "again", "Try once more"),
        ("aside", "aside", "Put aside"),
    )

    def has_add_permission(self, request: HttpRequest) -> bool:
        """Nobody writes one by hand."""
        del request
        return False

    def has_change_permission(self, request: HttpRequest, obj: Notification | None = None) -> bool:
        """Nor edits one; the buttons ask for the permission by themselves."""
        del request, obj
        return False

    def has_delete_permission(self, request: HttpRequest, obj: Notification | None = None) -> bool:
        """The log is not deleted."""
        del request, obj
        return False

    @admin.display(description="About")
    def about(self, notification: Notification) -> str:
        """The incident, where there is one."""
        return str(notification.incident) if notification.incident is not None else ""

    @admin.display(description="May be a repeat")
    def repeat(self, notification: Notification) -> str:
        """Whether an earlier attempt may have arrived."""
        return "yes: an earlier attempt may have arrived" if notification.in_doubt else "no"

    def shown_buttons(self, request: HttpRequest, obj: Notification) -> list[str]:
        """Only for what was given up."""
        del request
        return ["again", "aside"] if obj.status == Status.DEAD else []

    def again(self, request: HttpRequest, notification: Notification) -> None:
        """Queue it for one more attempt, at once. It may be a repeat, and says so."""
        now = clock.utcnow()
        changed = Notification.objects.filter(pk=notification.pk, status=Status.DEAD).exclude(channel=None)
        if changed.update(status=Status.PENDING, in_doubt=True, next_attempt_at=now):
            self.say(request, "It is on its way once more. Reload this page to see how it fares.")
        else:
            self.say(request, "It was not given up, or its channel is gone.")

    def aside(self, request: HttpRequest, notification: Notification) -> None:
        """Nothing is left to do about it: it does not count as given up any more."""
        note = f"put aside by {request.user}; before: {notification.note}"[:500]
        Notification.objects.filter(pk=notification.pk, status=Status.DEAD).update(status=Status.HELD, note=note)
        self.say(request, "It is put aside.")
