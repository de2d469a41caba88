"""`manage.py availability_report`: how available monitors were in a month, printed or sent to a channel."""

from __future__ import annotations

from argparse import ArgumentParser
from typing import Any

from django.core.management.base import BaseCommand, CommandError

from checks import clock
from monitoring import reports
from monitoring.management.listing import add_json_argument, print_rows
from monitoring.models import Channel
from monitoring.notifier import monthly
from monitoring.objectives.windows import last_month, month_of, month_span, parse_month, zone_of


class Command(BaseCommand):
    help = "Print how available monitors were in a month, or send it to a channel, as by cron on the first of a month."

    def add_arguments(self, parser: ArgumentParser) -> None:
        add_json_argument(parser)
        parser.add_argument("--month", help="as in 2026-10; by default the last one that is over")
        parser.add_argument("--zone", default="UTC", help="the time zone of the month (default: %(default)s)")
        parser.add_argument("--monitor", action="append", default=[], metavar="SLUG", help="only this one; repeatable")
        parser.add_argument("--tag", action="append", default=[], help="only those with this tag; repeatable")
        parser.add_argument(
            "--channel", metavar="NAME", help="send it there instead; once a month, however often this is called"
        )

    def handle(self, *args: Any, **options: Any) -> None:
        del args
        now = clock.utcnow()
        try:
            zone = zone_of(options["zone"])
            given = options["month"]
            first = parse_month(given) if given else last_month(month_of(now, zone))
            span = month_span(first, zone)
        except (ValueError, OverflowError) as exc:
            raise CommandError(str(exc)) from exc
        slugs, tags = options["monitor"], options["tag"]
        channel = None
        if options["channel"]:
            channel = Channel.objects.filter(name=options["channel"]).first()
            if channel is None:
                raise CommandError(f"there is no channel {options['channel']!r}")
        found = reports.report(*span, now, slugs=slugs, tags=tags)
        if channel is not None:
            if not found.complete:
                raise CommandError("this month is not over: it would be sent as it is now, and not again")
            queued = monthly.queue(channel, found, first, zone, slugs=slugs, tags=tags)
            self.stdout.write(f"Queued {queued}." if queued else "It was sent already.")
            return
        columns = (
            "name",
            "availability",
            "without_maintenance",
            "observed",
            "outages",
            "down_seconds",
            "maintenance_seconds",
        )
        print_rows([_row(line) for line in found.lines], columns, self.stdout, as_json=options["json"])


def _row(line: reports.Line) -> dict[str, Any]:
    return {
        "monitor": line.slug,
        "name": line.name,
        "availability": _percent(line.found.ratio),
        "without_maintenance": _percent(line.found.ratio_without_maintenance),
        "observed": _percent(line.found.observed_share),
        "outages": line.outages,
        "longest_seconds": line.longest,
        "down_seconds": line.found.down,
        "maintenance_seconds": line.found.maintenance,
    }


def _percent(ratio: float | None) -> float | None:
    return None if ratio is None else 100 * ratio
