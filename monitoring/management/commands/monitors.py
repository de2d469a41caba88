"""`manage.py monitors`: every monitor and how it is."""

from __future__ import annotations

from argparse import ArgumentParser
from typing import Any

from django.conf import settings
from django.core.management.base import BaseCommand, CommandError
from sqlalchemy.exc import SQLAlchemyError

from checks import clock
from checks.probes import KINDS
from checks.status import Status
from checks.store import reader
from checks.store.engine import StoreProblem, our_trouble, reading
from monitoring.management.listing import add_json_argument, instant, print_rows
from monitoring.models import Monitor
from monitoring.publish import store_engine


class Command(BaseCommand):
    help = "Print every monitor and how it is."

    def add_arguments(self, parser: ArgumentParser) -> None:
        add_json_argument(parser)
        parser.add_argument("--retired", action="store_true", help="also those that left the configuration")

    def handle(self, *args: Any, **options: Any) -> None:
        del args
        try:
            with reading(store_engine()) as conn:
                seen = {view.uuid: view for view in reader.overview(conn, clock.utcnow(), include_removed=True)}
        except (SQLAlchemyError, StoreProblem) as exc:
            raise CommandError(f"the store can't be read: {our_trouble(exc) or exc}") from exc
        monitors = Monitor.objects.all() if options["retired"] else Monitor.objects.filter(retired_at=None)
        rows = [row_of(monitor, seen.get(monitor.uuid)) for monitor in monitors]
        columns = ("slug", "kind", "status", "status_since", "latency_seconds", "last_result_at")
        print_rows(rows, columns, self.stdout, as_json=options["json"])


def row_of(monitor: Monitor, view: reader.MonitorView | None) -> dict[str, Any]:
    """The fields of one monitor; one that the store has not been told of yet is pending."""
    latency = view.last_latency_ns if view is not None else None
    pinged = KINDS[monitor.kind].spec.source == "pinged"
    return {
        "uuid": str(monitor.uuid),
        "slug": monitor.slug,
        "name": monitor.name,
        "kind": monitor.kind,
        "owner": monitor.owner,
        "paused": monitor.paused,
        "retired": monitor.retired_at is not None,
        "status": (view.status if view is not None else Status.PENDING).value,
        "status_since": instant(view.since if view is not None else None),
        "last_result_at": instant(view.last_result_at if view is not None else None),
        "latency_seconds": None if latency is None else latency / 1e9,
        "last_ping_at": instant(view.last_ping_at if view is not None else None),
        "deadline_at": instant(view.deadline_at if view is not None else None),
        "ping_url": f"{settings.BASE_URL}/ping/{monitor.ping_code}" if pinged else None,
        "failure": view.last_failure if view is not None else None,
    }
