"""Exports over HTTP: for people who are signed in, and for programs with an API key. The documents are the same.

They are streamed: a page of rows is read when the one before is on its way.
"""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Any

from django.http import HttpRequest, HttpResponseBase, StreamingHttpResponse

from checks import clock
from monitoring import reports
from monitoring.api.door import Refused, guarded
from monitoring.exports import rows
from monitoring.exports.asking import month, names_window, wanted, window
from monitoring.exports.writing import TYPES, written
from monitoring.models import Monitor
from monitoring.publish import store_engine

AT_ONCE = 4  # exports: each keeps one of the front's slots for as long as its reader takes

_REPORT = (
    "monitor",
    "name",
    "kind",
    "availability",
    "availability_without_maintenance",
    "observed_share",
    "outages",
    "longest_outage_seconds",
    *(
        f"{word}_seconds"
        for word in ("observed", "up", "degraded", "down", "unknown", "paused", "pending", "maintenance")
    ),
)


@dataclass
class _Running:
    """How many exports are on their way in this process. Only its event loop counts."""

    exports: int = 0


_running = _Running()


@guarded
def of_monitor(request: HttpRequest, *, slug: str, what: str, form: str) -> HttpResponseBase:
    """Results, intervals or roll-ups of one monitor."""
    monitor = Monitor.objects.filter(slug=slug).first()
    if monitor is None or form not in TYPES or what not in _SOURCES:
        raise Refused(404, f"there is no such export; {', '.join(_SOURCES)} of a monitor as {' or '.join(TYPES)}")
    now = clock.utcnow()
    asked = wanted(monitor.uuid, request.GET.dict(), now)
    columns, pages = _SOURCES[what](asked, now)
    head = {"monitor": monitor.slug, "name": monitor.name, "what": what, "start": asked.start, "end": asked.end}
    name = f"{slug}-{what}-{asked.start:%Y-%m-%d}-{asked.end:%Y-%m-%d}"
    return _document(form, name, columns, pages, head)


@guarded
def of_month(request: HttpRequest, *, form: str) -> HttpResponseBase:
    """The availability report of a month or another window, a row a monitor."""
    if form not in TYPES:
        raise Refused(404, f"a report is there as {' or '.join(TYPES)}")
    now, asked = clock.utcnow(), request.GET.dict()
    start, end = window(asked, now) if names_window(asked) else month(asked, now)
    found = reports.report(start, end, now, slugs=request.GET.getlist("monitor"), tags=request.GET.getlist("tag"))
    head = {"start": start, "end": end, "until": found.until}
    name = f"availability-{start:%Y-%m-%d}-{end:%Y-%m-%d}"
    return _document(form, name, _REPORT, iter([report_rows(found)]), head)


def report_rows(found: reports.Report) -> rows.Page:
    """A report as rows."""
    return [
        (
            line.slug,
            line.name,
            line.kind,
            line.found.ratio,
            line.found.ratio_without_maintenance,
            line.found.observed_share,
            line.outages,
            line.longest,
            line.found.observed_seconds,
            line.found.up,
            line.found.degraded,
            line.found.down,
            line.found.unknown,
            line.found.paused,
            line.found.pending,
            line.found.maintenance,
        )
        for line in found.lines
    ]


Source = Callable[[rows.Wanted, datetime], tuple[Sequence[str], Iterator[rows.Page]]]


def _results(asked: rows.Wanted, now: datetime) -> tuple[Sequence[str], Iterator[rows.Page]]:
    del now
    return rows.RESULTS, rows.results(store_engine(), asked)


def _rollups(asked: rows.Wanted, now: datetime) -> tuple[Sequence[str], Iterator[rows.Page]]:
    del now
    return rows.ROLLUPS, rows.rollups(store_engine(), asked)


def _intervals(asked: rows.Wanted, now: datetime) -> tuple[Sequence[str], Iterator[rows.Page]]:
    found, stretches = reports.of_monitor(asked.monitor, asked.start, asked.end, now)
    incidents = [each.incident.uuid if each.incident else None for each in stretches]
    return rows.INTERVALS, iter([rows.intervals(found, incidents)])


_SOURCES: Mapping[str, Source] = {"results": _results, "intervals": _intervals, "rollups": _rollups}


def _document(
    form: str, name: str, columns: Sequence[str], pages: Iterator[rows.Page], head: Mapping[str, Any]
) -> HttpResponseBase:
    if _running.exports >= AT_ONCE:
        raise Refused(503, f"{AT_ONCE} exports are on their way; try again")
    pieces = written(form, columns, pages, head)
    # The first rows are read before the answer begins: what goes wrong until then can still be said.
    first = [next(pieces), next(pieces, b"")]
    response = StreamingHttpResponse(_streamed(first, pieces), content_type=TYPES[form])
    response["Content-Disposition"] = f'attachment; filename="{name}.{form}"'
    return response


async def _streamed(first: Sequence[bytes], rest: Iterator[bytes]) -> AsyncIterator[bytes]:
    """The pieces. Each is made on a thread, which is free again while the piece is on its way."""
    _running.exports += 1
    try:
        yield b"".join(first)
        while piece := await asyncio.to_thread(next, rest, b""):
            yield piece
    finally:
        _running.exports -= 1
