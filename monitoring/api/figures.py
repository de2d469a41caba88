"""What was measured, for programs: the figures of a window, a series for a chart, and the last day of all monitors."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import asdict
from datetime import datetime, timedelta

from django.http import HttpRequest

from checks import clock
from checks.histogram import ERROR
from checks.store import reader
from checks.store.engine import reading as snapshot
from checks.store.tally import APDEX, Tally
from checks.units import parse_duration
from monitoring import maintenance, windows
from monitoring.api.door import Document, Refused, reading
from monitoring.models import Monitor
from monitoring.publish import store_engine
from monitoring.windows import NoWindow, Window

MOST_POINTS = 2000
POINTS = 300
_LONGEST_APDEX = 3600.0


@reading
def of_monitor(request: HttpRequest, *, slug: str) -> Document:
    """Counts, percentiles, success rate, apdex and availability of a window, the phases and the locations beside."""
    monitor, now = _monitor(slug), clock.utcnow()
    window, apdex = _window(request.GET, now), _apdex(request.GET)
    announced = maintenance.of_monitor(monitor.uuid, window.start, window.end)
    with snapshot(store_engine()) as conn:
        found = reader.summary(conn, monitor.uuid, (window.start, window.end), now, apdex=apdex)
        available = reader.availability(conn, monitor.uuid, window.start, window.end, now, announced=announced)
    return {
        "monitor": monitor.slug,
        "window": _named(window),
        "percentile_error": ERROR,
        "apdex_seconds": apdex,
        **_summary(found),
        "availability": {
            "ratio": available.ratio,
            "ratio_without_maintenance": available.ratio_without_maintenance,
            "observed_share": available.observed_seconds / window.length.total_seconds(),
            "observed_seconds": available.observed_seconds,
            "down_seconds": available.down,
            "maintenance_seconds": available.maintenance,
        },
        "locations": {name: _summary(each) for name, each in found.locations.items()},
    }


@reading
def series(request: HttpRequest, *, slug: str) -> Document:
    """A window in at most `?points=` steps, of all locations or `?location=`."""
    monitor, window = _monitor(slug), _window(request.GET, clock.utcnow())
    points, location = _points(request.GET), request.GET.get("location") or None
    with snapshot(store_engine()) as conn:
        found = reader.series(conn, monitor.uuid, (window.start, window.end), points, location=location)
    return {
        "monitor": monitor.slug,
        "location": location,
        "window": _named(window),
        "percentile_error": ERROR,
        "start": _instant(found.start),
        "end": _instant(found.end),
        "step_seconds": found.step.total_seconds(),
        "points": [{"start": _instant(point.start), **_point(point.tally)} for point in found.points],
    }


@reading
def of_all(request: HttpRequest) -> Document:
    """The last 24 hours that are over and the running one, of every monitor; the availability of 24 hours exactly."""
    del request
    now = clock.utcnow()
    monitors = {monitor.uuid: monitor.slug for monitor in Monitor.objects.filter(retired_at=None)}
    with snapshot(store_engine()) as conn:
        found = reader.figures(conn, now, monitors)
    return {
        "percentile_error": ERROR,
        "latency_window": {"start": _instant(reader.figures_since(now)), "end": _instant(now)},
        "availability_window": {"start": _instant(now - timedelta(hours=24)), "end": _instant(now)},
        "note": "Latencies are of 24 whole hours and the running one, which is rolled up every minute.",
        "monitors": {
            slug: asdict(found[uuid]) for uuid, slug in sorted(monitors.items(), key=_second) if uuid in found
        },
    }


def _second(pair: tuple[object, str]) -> str:
    return pair[1]


def _monitor(slug: str) -> Monitor:
    monitor = Monitor.objects.filter(slug=slug).first()
    if monitor is None:
        raise Refused(404, f"there is no monitor {slug[:100]!r}")
    return monitor


def _window(query: Mapping[str, str], now: datetime) -> Window:
    try:
        return windows.asked(query, now)
    except NoWindow as exc:
        raise Refused(400, str(exc)) from None


def _apdex(query: Mapping[str, str]) -> float:
    text = query.get("apdex", "")
    if not text:
        return APDEX
    try:
        seconds = parse_duration(text)
    except ValueError as exc:
        raise Refused(400, f"apdex: {exc}") from None
    if not 0 < seconds <= _LONGEST_APDEX:
        raise Refused(400, f"apdex is {text[:40]!r}; allowed: more than 0s, at most 1h")
    return seconds


def _points(query: Mapping[str, str]) -> int:
    text = query.get("points", str(POINTS))
    if not (text.isascii() and text.isdecimal() and len(text) < 6 and 1 <= int(text) <= MOST_POINTS):
        raise Refused(400, f"points is {text[:40]!r}; allowed: 1 to {MOST_POINTS}")
    return int(text)


def _named(window: Window) -> Document:
    return {"name": window.name, "start": _instant(window.start), "end": _instant(window.end)}


def _summary(found: reader.Summary) -> Document:
    counted = None
    if found.counted is not None:
        counted = {"start": _instant(found.counted[0]), "end": _instant(found.counted[1])}
    return {
        "counted": counted,
        "left_out": found.left_out,
        "results": dict(found.results),
        "success_rate": found.success_rate,
        "apdex": found.apdex,
        "latency": asdict(found.latency),
        "phases": {phase: _phase(each) for phase, each in found.phases.items()},
    }


def _phase(found: reader.Latencies) -> Document:
    fields = asdict(found)
    del fields["incomplete"]  # which says nothing of a phase
    return fields


def _point(tally: Tally) -> Document:
    results = {outcome: tally.counts[outcome] for outcome in ("up", "degraded", "down", "unknown")}
    return {"results": results, "latency": asdict(tally.latency), "left_out": tally.left_out}


def _instant(instant: datetime) -> str:
    return instant.isoformat().replace("+00:00", "Z")
