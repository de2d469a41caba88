"""Rolls results up into histograms of hours and days.

A period is computed anew and replaced, never added to: a step that was killed is only repeated. An hour is rolled up
from its results, first a minute after it has any, then ever more seldom, and for good when it is over; a day from its
hours.
"""

from __future__ import annotations

import time
from collections.abc import Iterable, Sequence
from datetime import datetime
from typing import Any

import sqlalchemy as sa

from checks import clock
from checks.clock import to_micros
from checks.histogram import Histogram
from checks.result import PHASES, Outcome
from checks.store.bulk import mark_dirty
from checks.store.engine import reading
from checks.store.periods import DAY, HOUR, LENGTH, first_ready, is_over, next_ready, start_of
from checks.store.schema import dirty_period, result, rollup

TOTAL = "total"  # the latency, beside the phases that it is made of
STEP = 0.04  # seconds after which a step begins no other period
PAUSE = 0.002  # seconds: SQLite's waiting writers get the lock only where it is free for a while
_PERIODS = 100  # looked at in one step

_COUNTS = ("complete", "incomplete", *(outcome.value for outcome in Outcome))
_Rolled = dict[str, tuple[Histogram, dict[str, int]]]  # by phase


def roll_up(engine: sa.Engine, now: datetime) -> bool:
    """Roll up the periods that are ready, in one transaction of some 50 ms; True: there are more of them."""
    with reading(engine) as conn:
        if not _any_ready(conn, now):
            return False
    begun, step = clock.monotonic(), _Step(now)
    with engine.begin() as conn:
        periods = _ready(conn, now)
        for period in periods:
            step.roll_up(conn, period)
            if clock.monotonic() - begun > STEP:
                break
        step.write(conn)
        more = bool(periods) and _any_ready(conn, now)  # where there are none, others have them
    if engine.dialect.name == "sqlite":
        time.sleep(PAUSE)
    return more


def _any_ready(conn: sa.Connection, now: datetime) -> bool:
    ready = sa.select(dirty_period.c.start).where(dirty_period.c.ready_at <= now).limit(1)
    return conn.execute(ready).first() is not None


def _ready(conn: sa.Connection, now: datetime) -> Sequence[sa.Row[Any]]:
    """Hours; days where there are none. What another process rolls up this instant is left to it.

    Never both: a day is made from hours that are written. And a step with hours marks days, so it waits for whoever has
    those; who has days must wait for nobody, else two steps could wait for each other.
    """
    query = (
        sa.select(dirty_period)
        .where(dirty_period.c.ready_at <= now)
        .order_by(dirty_period.c.ready_at)
        .limit(_PERIODS)
        .with_for_update(skip_locked=True)
    )
    hours = conn.execute(query.where(dirty_period.c.resolution == HOUR)).all()
    return hours or conn.execute(query.where(dirty_period.c.resolution == DAY)).all()


class _Step:
    """What one step computed, to be written by few statements."""

    def __init__(self, now: datetime) -> None:
        self._now = now
        self._keys: list[dict[str, Any]] = []  # of the periods whose roll-ups are replaced
        self._rows: list[dict[str, Any]] = []  # the roll-ups that replace them
        self._over: list[dict[str, Any]] = []  # the periods that are rolled up for good
        self._waiting: list[dict[str, Any]] = []  # those that are rolled up again later
        self._days: dict[tuple[int, datetime], tuple[Any, ...]] = {}

    def roll_up(self, conn: sa.Connection, period: sa.Row[Any]) -> None:
        """Compute one period."""
        key = {"of": period.target_id, "resolution_of": period.resolution, "start_of": period.start}
        if period.resolution == DAY:
            # An hour of it that is still to come marks the day again; it only has to come first.
            if _has_dirty_hours(conn, period):
                self._waiting.append({**key, "until": next_ready(HOUR, self._now, self._now)})
                return
            rolled = _from_hours(conn, period)
        else:
            rolled = _from_results(conn, period)
        self._keys.append(key)
        self._rows += _rows(period, rolled)
        if not is_over(period.resolution, period.start, self._now):
            self._waiting.append({**key, "until": next_ready(period.resolution, period.start, self._now)})
            return
        self._over.append(key)
        if period.resolution == HOUR:
            day = start_of(DAY, period.start)
            ready_at = first_ready(DAY, day, self._now)
            self._days[period.target_id, day] = (period.target_id, DAY, to_micros(day), to_micros(ready_at))

    def write(self, conn: sa.Connection) -> None:
        """Replace what was computed."""
        if self._keys:
            conn.execute(rollup.delete().where(*_is(rollup)), self._keys)
        if self._rows:
            conn.execute(rollup.insert(), self._rows)
        if self._over:
            conn.execute(dirty_period.delete().where(*_is(dirty_period)), self._over)
        if self._waiting:
            later = dirty_period.update().where(*_is(dirty_period)).values(ready_at=sa.bindparam("until"))
            conn.execute(later, self._waiting)
        mark_dirty(conn, [self._days[key] for key in sorted(self._days)])


def _is(table: sa.Table) -> tuple[sa.ColumnElement[bool], ...]:
    return (
        table.c.target_id == sa.bindparam("of"),
        table.c.resolution == sa.bindparam("resolution_of"),
        table.c.start == sa.bindparam("start_of"),
    )


def _rows(period: sa.Row[Any], rolled: _Rolled) -> list[dict[str, Any]]:
    return [
        {
            "target_id": period.target_id,
            "resolution": period.resolution,
            "start": period.start,
            "phase": phase,
            "histogram": histogram.to_bytes(),
            **counts,
        }
        for phase, (histogram, counts) in rolled.items()
    ]


def _has_dirty_hours(conn: sa.Connection, period: sa.Row[Any]) -> bool:
    c = dirty_period.c
    query = sa.select(c.start).where(
        c.target_id == period.target_id,
        c.resolution == HOUR,
        c.start >= period.start,
        c.start < period.start + LENGTH[DAY],
    )
    return conn.execute(query.limit(1)).first() is not None


def _from_results(conn: sa.Connection, period: sa.Row[Any]) -> _Rolled:
    c = result.c
    query = sa.select(c.outcome, c.latency_ns, *(c[f"{phase}_ns"] for phase in PHASES)).where(
        c.target_id == period.target_id,
        c.started_at >= period.start,
        c.started_at < period.start + LENGTH[HOUR],
    )
    counts = dict.fromkeys(_COUNTS, 0)
    histograms = {phase: Histogram() for phase in (TOTAL, *PHASES)}
    adders = [histogram.add for histogram in histograms.values()]
    for outcome, *times in conn.execute(query):
        counts[outcome] += 1
        if times[0] is None:  # the answer was not complete: there is no latency to speak of
            counts["incomplete"] += 1
            continue
        counts["complete"] += 1
        for add, nanoseconds in zip(adders, times, strict=True):
            if nanoseconds is not None:
                add(nanoseconds)
    return _with_counts(histograms, counts)


def _with_counts(histograms: dict[str, Histogram], counts: dict[str, int]) -> _Rolled:
    """Outcomes stand beside the latency only; a phase counts the results in which it happened."""
    none = dict.fromkeys(_COUNTS, 0)
    rolled: _Rolled = {}
    for phase, histogram in histograms.items():
        if phase == TOTAL:
            rolled[phase] = (histogram, counts)
        elif histogram.count:
            rolled[phase] = (histogram, {**none, "complete": histogram.count})
    return rolled if any(counts.values()) else {}


def _from_hours(conn: sa.Connection, period: sa.Row[Any]) -> _Rolled:
    c = rollup.c
    query = sa.select(c.phase, c.histogram, *(c[name] for name in _COUNTS)).where(
        c.target_id == period.target_id,
        c.resolution == HOUR,
        c.start >= period.start,
        c.start < period.start + LENGTH[DAY],
    )
    return merged(conn.execute(query))


def merged(rows: Iterable[sa.Row[Any]]) -> _Rolled:
    """The sum of rolled-up rows, phase by phase."""
    rolled: _Rolled = {}
    for row in rows:
        histogram, counts = rolled.setdefault(row.phase, (Histogram(), dict.fromkeys(_COUNTS, 0)))
        histogram.merge(Histogram.from_bytes(row.histogram))
        for name in _COUNTS:
            counts[name] += getattr(row, name)
    return rolled
