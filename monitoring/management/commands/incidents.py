"""`manage.py incidents`: what was, or is, wrong; the newest first."""

from __future__ import annotations

from argparse import ArgumentParser
from typing import Any

from django.core.management.base import BaseCommand

from monitoring.management.listing import add_json_argument, instant, print_rows
from monitoring.models import Incident


class Command(BaseCommand):
    help = "Print incidents, the newest first."

    def add_arguments(self, parser: ArgumentParser) -> None:
        add_json_argument(parser)
        parser.add_argument("--open", action="store_true", help="only those that are not over")
        parser.add_argument("--limit", type=int, default=1000, help="at most so many (default: %(default)s)")

    def handle(self, *args: Any, **options: Any) -> None:
        del args
        found = Incident.objects.select_related("monitor", "post_mortem").order_by("-opened_at", "uuid")
        if options["open"]:
            found = found.filter(resolved_at=None)
        rows = [row_of(incident) for incident in found[: max(0, options["limit"])]]
        columns = ("monitor_name", "cause", "opened_at", "resolved_at", "resolution", "summary")
        print_rows(rows, columns, self.stdout, as_json=options["json"])


def row_of(incident: Incident) -> dict[str, Any]:
    """The fields of one incident. `monitor` is the slug; None where it is about us, or the monitor was deleted."""
    post_mortem = getattr(incident, "post_mortem", None)
    return {
        "id": str(incident.uuid),
        "monitor": incident.monitor.slug if incident.monitor is not None else None,
        "monitor_name": incident.monitor_name or None,
        "opened_at": instant(incident.opened_at),
        "detected_at": instant(incident.detected_at),
        "resolved_at": instant(incident.resolved_at),
        "resolution": incident.resolution or None,
        "cause": incident.cause,
        "system": incident.is_system,
        "summary": incident.summary,
        "post_mortem_published_at": instant(post_mortem.published_at if post_mortem is not None else None),
    }
