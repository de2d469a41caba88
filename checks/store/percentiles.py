"""Percentiles of latencies, merged from roll-ups and, where there are none yet, from results."""

from __future__ import annotations

from collections.abc import Collection, Iterable, Sequence
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from typing import Any
from uuid import UUID

import sqlalchemy as sa

from checks import clock
from checks.histogram import Histogram
from checks.store.ages import ages
from checks.store.availability import Span, summed, timelines
from checks.store.periods import DAY, HOUR, LENGTH, start_of
from checks.store.rollup import TOTAL
from checks.store.schema import dirty_period, monitor_state, result, rollup, target
from checks.store.states import CHUNK

_A_DAY, _AN_HOUR = LENGTH[DAY], LENGTH[HOUR]


@dataclass(frozen=True, slots=True, kw_only=True)
class LatencySummary:
    """Percentiles in seconds, None without a complete result; beside them how many results they are made of."""

    p50: float | None
    p95: float | None
    p99: float | None
    complete: int
    incomplete: int  # timed out, refused: no latency to speak of


@dataclass(frozen=True, slots=True, kw_only=True)
class Figures:
    """What the dashboard says of a monitor's last 24 hours; `availability` is None where nothing was observed."""

    p50: float | None
    p95: float | None
    complete: int
    incomplete: int
    availability: float | None
    observed_seconds: float


@dataclass(slots=True)
class _Sum:
    histogram: Histogram = field(default_factory=Histogram)
    complete: int = 0
    incomplete: int = 0

    def add(self, rolled_up: bytes, complete: int, incomplete: int) -> None:
        """Count a roll-up."""
        self.histogram.merge(Histogram.from_bytes(rolled_up))
        self.complete += complete
        self.incomplete += incomplete

    def seconds(self, *shares: float) -> list[float | None]:
        """Percentiles in seconds."""
        return [None if ns is None else ns / 1e9 for ns in self.histogram.quantiles(shares)]


@dataclass(slots=True)
class Pieces:
    """How a window is covered: by whole days, by whole hours, and by spans of results."""

    days: list[Span] = field(default_factory=list)
    hours: list[Span] = field(default_factory=list)
    results: list[Span] = field(default_factory=list)


def latency(
    conn: sa.Connection,
    monitor: UUID,
    start: datetime,
    end: datetime,
    now: datetime | None = None,
) -> LatencySummary:
    """The latency of a monitor's results that started in the window, of all its locations.

    To the exact result for the last week; before that, a period that begins in the window counts whole. `now` tells
    what retention has deleted.
    """
    now, total = now or clock.utcnow(), _Sum()
    for row in conn.execute(sa.select(target.c.id).where(target.c.monitor == monitor)):
        pieces = cut(start, end, now, _dirty(conn, row.id, start, end))
        for resolution, spans in ((DAY, pieces.days), (HOUR, pieces.hours)):
            for rolled in _rolled(conn, row.id, resolution, spans):
                total.add(rolled.histogram, rolled.complete, rolled.incomplete)
        _add_results(conn, row.id, pieces.results, total)
    p50, p95, p99 = total.seconds(0.5, 0.95, 0.99)
    return LatencySummary(p50=p50, p95=p95, p99=p99, complete=total.complete, incomplete=total.incomplete)


def cut(start: datetime, end: datetime, now: datetime, dirty: set[tuple[str, datetime]]) -> Pieces:
    """Cover a window by the largest periods that lie in it and are rolled up. Pure.

    What is not `dirty` is rolled up, or has no results: the running hour is dirty from its first result on.
    Where the results are deleted already, hours at the edges count whole if they begin in the window; where the hours
    are, days.
    """
    pieces = Pieces()
    if start >= end:
        return pieces
    day = start_of(DAY, start)
    while day < end:
        after = day + _A_DAY
        whole = start <= day and after <= end
        hours_gone = after < now - ages().hours
        if hours_gone:
            if start <= day:
                _extend(pieces.days, (day, after))
        elif whole and (DAY, day) not in dirty and not _any_hour(day, dirty):
            _extend(pieces.days, (day, after))
        else:
            _cut_day(pieces, max(day, start), min(after, end), now, dirty)
        day = after
    return pieces


def _cut_day(pieces: Pieces, start: datetime, end: datetime, now: datetime, dirty: set[tuple[str, datetime]]) -> None:
    hour = start_of(HOUR, start)
    while hour < end:
        after = hour + _AN_HOUR
        if after < now - ages().results and (HOUR, hour) not in dirty:
            if start <= hour:
                _extend(pieces.hours, (hour, after))
        elif start <= hour and after <= end and (HOUR, hour) not in dirty:
            _extend(pieces.hours, (hour, after))
        else:
            _extend(pieces.results, (max(hour, start), min(after, end)))
        hour = after


def _extend(spans: list[Span], span: Span) -> None:
    if spans and spans[-1][1] == span[0]:
        spans[-1] = (spans[-1][0], span[1])
    else:
        spans.append(span)


def _any_hour(day: datetime, dirty: set[tuple[str, datetime]]) -> bool:
    return any(resolution == HOUR and day <= start < day + _A_DAY for resolution, start in dirty)


def _dirty(conn: sa.Connection, target_id: int, start: datetime, end: datetime) -> set[tuple[str, datetime]]:
    c = dirty_period.c
    query = sa.select(c.resolution, c.start).where(c.target_id == target_id, c.start > start - _A_DAY, c.start < end)
    return {(row.resolution, row.start) for row in conn.execute(query)}


def _rolled(conn: sa.Connection, target_id: int, resolution: str, spans: Sequence[Span]) -> Iterable[sa.Row[Any]]:
    if not spans:
        return ()
    c = rollup.c
    return conn.execute(
        sa.select(c.histogram, c.complete, c.incomplete).where(
            c.target_id == target_id,
            c.resolution == resolution,
            c.phase == TOTAL,
            sa.or_(*(sa.and_(c.start >= begun, c.start < ended) for begun, ended in spans)),
        ),
    )


def _add_results(conn: sa.Connection, target_id: int, spans: Sequence[Span], total: _Sum) -> None:
    c = result.c
    for begun, ended in spans:
        query = sa.select(c.latency_ns).where(c.target_id == target_id, c.started_at >= begun, c.started_at < ended)
        for (nanoseconds,) in conn.execute(query):
            if nanoseconds is None:
                total.incomplete += 1
            else:
                total.complete += 1
                total.histogram.add(nanoseconds)


def figures(conn: sa.Connection, now: datetime, some: Collection[UUID] | None = None) -> dict[UUID, Figures]:
    """The last 24 hours of some monitors, or of every one that was not removed, in few queries, from roll-ups alone.

    The percentiles take whole hours, the running one as far as it is rolled up: they may be some minutes behind.
    """
    c = monitor_state.c
    wanted = None if some is None else frozenset(some)
    query = sa.select(c.monitor).where(c.removed.is_(None))
    monitors = [monitor for monitor in conn.execute(query).scalars() if wanted is None or monitor in wanted]
    of_these = target.c.monitor.in_(monitors) if len(monitors) <= CHUNK else sa.true()
    sums: dict[UUID, _Sum] = {monitor: _Sum() for monitor in monitors}
    rows = conn.execute(
        sa.select(target.c.monitor, rollup.c.histogram, rollup.c.complete, rollup.c.incomplete)
        .join(rollup, rollup.c.target_id == target.c.id)
        .where(
            rollup.c.resolution == HOUR,
            rollup.c.phase == TOTAL,
            rollup.c.start >= start_of(HOUR, now) - timedelta(hours=23),
            of_these,
        ),
    )
    for row in rows:
        if row.monitor in sums:
            sums[row.monitor].add(row.histogram, row.complete, row.incomplete)
    lines = timelines(conn, monitors, now - _A_DAY, now)
    shown = {}
    for monitor, total in sums.items():
        p50, p95 = total.seconds(0.5, 0.95)
        seen = summed(lines.get(monitor, []))
        shown[monitor] = Figures(
            p50=p50,
            p95=p95,
            complete=total.complete,
            incomplete=total.incomplete,
            availability=seen.ratio,
            observed_seconds=seen.observed_seconds,
        )
    return shown
