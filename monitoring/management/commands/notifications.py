"""`manage.py notifications`: every message, and where it is on its way; the newest first."""

from __future__ import annotations

from argparse import ArgumentParser
from typing import Any

from django.core.management.base import BaseCommand

from monitoring.management.listing import add_json_argument, instant, print_rows
from monitoring.models import Notification


class Command(BaseCommand):
    help = "Print notifications, the newest first."

    def add_arguments(self, parser: ArgumentParser) -> None:
        add_json_argument(parser)
        words = Notification.Status.values
        parser.add_argument("--status", choices=words, help="only those with this status")
        parser.add_argument("--limit", type=int, default=1000, help="at most so many (default: %(default)s)")

    def handle(self, *args: Any, **options: Any) -> None:
        del args
        found = Notification.objects.select_related("incident__monitor").order_by("-created_at", "key")
        if options["status"]:
            found = found.filter(status=options["status"])
        rows = [row_of(notification) for notification in found[: max(0, options["limit"])]]
        columns = ("created_at", "event", "monitor", "channel", "status", "attempts", "sent_at", "note")
        print_rows(rows, columns, self.stdout, as_json=options["json"])


def row_of(notification: Notification) -> dict[str, Any]:
    """The fields of one message; `monitor` is the slug."""
    incident = notification.incident
    monitor = incident.monitor if incident is not None else None
    return {
        "id": str(notification.uuid),
        "key": notification.key,
        "incident": str(incident.uuid) if incident is not None else None,
        "monitor": monitor.slug if monitor is not None else None,
        "channel": notification.channel_name,
        "recipient": notification.recipient,
        "event": notification.event,
        "status": notification.status,
        "attempts": notification.attempts,
        "note": notification.note,
        "created_at": instant(notification.created_at),
        "next_attempt_at": instant(notification.next_attempt_at) if notification.sent_at is None else None,
        "sent_at": instant(notification.sent_at),
    }
