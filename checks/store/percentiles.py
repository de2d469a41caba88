"""Percentiles, success rates and counts over any window: of a monitor, each of its locations and each phase.

All come from histograms, merged: those of whole days and hours, and results at the edges (`checks.store.window`).
"""

from __future__ import annotations

from collections.abc import Callable, Collection, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from functools import lru_cache
from typing import Any
from uuid import UUID

import sqlalchemy as sa

from checks.histogram import Histogram
from checks.store.ages import ages
from checks.store.availability import summed, timelines
from checks.store.periods import DAY, HOUR, LENGTH, start_of
from checks.store.schema import monitor_state, rollup, watch
from checks.store.spoiled import LONGEST, carefully, is_readable
from checks.store.states import CHUNK
from checks.store.tally import APDEX, TOTAL, Latencies, Tally
from checks.store.watches import targets
from checks.store.window import Span, tally

_A_DAY = LENGTH[DAY]
_REMEMBERED = 2000  # targets, whose hours take some 15 kB each


@dataclass(frozen=True, slots=True, kw_only=True)
class Summary:
    """What the results of a window say of a monitor, or of one location.

    `counted` is the window that was really counted: where results are deleted already, periods count whole. None where
    there is nothing of it.
    """

    results: Mapping[str, int]  # by outcome
    success_rate: float | None  # of the results that say something of the target
    apdex: float | None
    latency: Latencies
    phases: Mapping[str, Latencies]
    counted: tuple[datetime, datetime] | None
    left_out: int  # results, and figures of hours and days, that somebody spoiled
    locations: Mapping[str, Summary] = field(default_factory=dict)


@dataclass(frozen=True, slots=True, kw_only=True)
class Figures:
    """What the dashboard says of a monitor's last 24 hours; `availability` is None where nothing was observed.

    `left_out` are the hours whose figures somebody spoiled.
    """

    p50: float | None
    p95: float | None
    p99: float | None
    complete: int
    incomplete: int
    left_out: int
    availability: float | None
    observed_seconds: float


def latency(conn: sa.Connection, monitor: UUID, start: datetime, end: datetime) -> Latencies:
    """The latency of a monitor's results that started in the window, of all its locations."""
    return _total([tally(conn, target_id, start, end) for target_id in targets(conn, monitor, start)]).latency


def summary(conn: sa.Connection, monitor: UUID, window: Span, now: datetime, *, apdex: float = APDEX) -> Summary:
    """All figures of a window, of the monitor and of each location; `apdex` are the seconds that satisfy."""
    start, end = max(window[0], min(window[1], now - ages().days)), window[1]  # before, all is deleted
    tallies: dict[str, list[Tally]] = {}
    for target_id, location in targets(conn, monitor, start).items():
        tallies.setdefault(location, []).append(tally(conn, target_id, start, end, phases=True))
    locations = {location: _total(found) for location, found in tallies.items()}
    return _summary(
        _total([*locations.values()]),
        apdex,
        {location: _summary(found, apdex) for location, found in locations.items()},
    )


def _total(tallies: Sequence[Tally]) -> Tally:
    if len(tallies) == 1:
        return tallies[0]
    total = Tally()
    for each in tallies:
        total.add(each)
    return total


def _summary(found: Tally, apdex: float, locations: Mapping[str, Summary] | None = None) -> Summary:
    return Summary(
        results={outcome: found.counts[outcome] for outcome in ("up", "degraded", "down", "unknown")},
        success_rate=found.success_rate,
        apdex=found.apdex(apdex),
        latency=found.latency,
        phases=found.phases,
        counted=None if found.start is None or found.end is None else (found.start, found.end),
        left_out=found.left_out,
        locations=locations or {},
    )


def figures_since(now: datetime) -> datetime:
    """From when on `figures` counts results: 24 hours that are over, and the running one."""
    return start_of(HOUR, now) - timedelta(hours=24)


def figures(conn: sa.Connection, now: datetime, some: Collection[UUID] | None = None) -> dict[UUID, Figures]:
    """The last 24 hours of some monitors, or of every one that was not removed, in few queries, from roll-ups alone.

    The percentiles take the 24 hours that are over and the running one as far as it is rolled up, which is a minute
    behind; the availability is of the last 24 hours to the second.
    """
    c = monitor_state.c
    wanted = None if some is None else frozenset(some)
    query = sa.select(c.monitor).where(c.removed.is_(None))
    monitors = [monitor for monitor in conn.execute(query).scalars() if wanted is None or monitor in wanted]
    days = _last_day(conn, monitors, now)
    lines = timelines(conn, monitors, now - _A_DAY, now)
    shown = {}
    for monitor, day in days.items():
        seen = summed(lines.get(monitor, []))
        p50, p95, p99 = (None if ns is None else ns / 1e9 for ns in day.percentiles)
        shown[monitor] = Figures(
            p50=p50,
            p95=p95,
            p99=p99,
            complete=day.complete,
            incomplete=day.incomplete,
            left_out=day.left_out,
            availability=seen.ratio,
            observed_seconds=seen.observed_seconds,
        )
    return shown


_Hours = tuple[tuple[bytes, ...], bytes]  # of a target, as they are stored: those that are over, and the last


@dataclass(slots=True)
class _Day:
    """What the hours of a monitor's last day add up to."""

    hours: list[_Hours] = field(default_factory=list)
    complete: int = 0
    incomplete: int = 0
    left_out: int = 0
    percentiles: Sequence[int | None] = (None, None, None)


def _last_day(conn: sa.Connection, monitors: Collection[UUID], now: datetime) -> dict[UUID, _Day]:
    of_these = watch.c.monitor.in_(monitors) if len(monitors) <= CHUNK else sa.true()
    watched = sa.select(watch.c.target_id, watch.c.monitor).where(of_these)
    owners = {row[0]: row[1] for row in conn.execute(watched)}
    r = rollup.c
    hours: dict[int, list[Sequence[Any]]] = {}
    rows = sa.select(r.target_id, r.histogram, r.complete, r.incomplete).where(
        r.resolution == HOUR,
        r.phase == TOTAL,
        r.start >= figures_since(now),
        r.start <= start_of(HOUR, now),  # what a clock that was ahead wrote is still to come
    )
    for row in conn.execute(rows.order_by(r.target_id, r.start)).all():
        hours.setdefault(row[0], []).append(row)
    return carefully(lambda careful: _sums(hours, owners, monitors, careful=careful))


def _sums(
    hours: Mapping[int, Sequence[Sequence[Any]]],
    owners: Mapping[int, UUID],
    monitors: Collection[UUID],
    *,
    careful: bool,
) -> dict[UUID, _Day]:
    """What these hours of targets add up to, the earliest first."""
    days = {monitor: _Day() for monitor in monitors}
    for target_id, rows in hours.items():
        day = days.get(owners[target_id]) if target_id in owners else None
        if day is None:
            continue
        kept = [row for row in rows if is_readable(row[1], row[2:])] if careful else rows
        day.left_out += len(rows) - len(kept)
        if kept:
            day.hours.append((tuple([row[1] for row in kept[:-1]]), kept[-1][1]))
        day.complete += sum([row[2] for row in kept])
        day.incomplete += sum([row[3] for row in kept])
    # Of more than can be remembered, each would be forgotten before it is asked for again.
    remembered = len(hours) <= _REMEMBERED
    percentiles = _percentiles if remembered else _percentiles.__wrapped__
    merged = _merged if remembered else _merged.__wrapped__
    for day in days.values():
        if min(day.complete, day.incomplete) < 0:
            raise ValueError("a count that can't be")
        day.percentiles = percentiles(tuple(day.hours), merged)
    return days


@lru_cache(maxsize=_REMEMBERED)
def _percentiles(hours: tuple[_Hours, ...], merged: Callable[[tuple[bytes, ...]], Histogram]) -> Sequence[int | None]:
    """p50, p95 and p99. Hours are rolled up once a minute, and looked at more often."""
    total = Histogram()
    for over, last in hours:
        total.merge(merged(over))
        total.merge_bytes(last)
    if (total.max_ns or 0) > LONGEST:
        raise ValueError("a latency that can't be")
    return total.quantiles((0.5, 0.95, 0.99))


@lru_cache(maxsize=_REMEMBERED)
def _merged(histograms: tuple[bytes, ...]) -> Histogram:
    """The sum of serialised histograms, to be read only: all hours but the last are nearly always those of the last look."""
    total = Histogram()
    for each in histograms:
        total.merge_bytes(each)
    return total
