"""Rolls results up into histograms of minutes, hours and days.

A period is computed anew and replaced, never added to: a step that was killed is only repeated. An hour is rolled up
from its results, a minute after it has any, then every minute, and for good when it is over; with it then its minutes,
where results are dense and minutes are kept; a day from its hours.

A row that none of us could have written is left out and named: a period that can't be computed would hold up retention.
"""

from __future__ import annotations

import logging
import time
from collections.abc import Sequence
from datetime import datetime
from itertools import groupby
from typing import Any

import sqlalchemy as sa
from sqlalchemy.dialects import postgresql, sqlite

from checks import clock
from checks.clock import to_micros
from checks.store.ages import ages
from checks.store.bulk import insert, mark_dirty
from checks.store.engine import reading
from checks.store.periods import DAY, DENSE, HOUR, LENGTH, MINUTE, first_ready, is_over, next_ready, start_of
from checks.store.schema import dirty_period, rollup, target
from checks.store.spoiled import SPOILED, is_readable, is_sound
from checks.store.tally import COUNTS, TOTAL, Tally
from checks.store.window import results, rolled

logger = logging.getLogger(__name__)

STEP = 0.04  # seconds after which a step begins no other period
PAUSE = 0.002  # seconds: SQLite's waiting writers get the lock only where it is free for a while
_PERIODS = 100  # looked at in one step

# Column, and the type of its array on PostgreSQL.
_ROLLUP = (
    ("target_id", "bigint"),
    ("resolution", "text"),
    ("start", "bigint"),
    ("phase", "text"),
    ("histogram", "bytea"),
    *((name, "integer") for name in COUNTS),
)


def roll_up(engine: sa.Engine, now: datetime) -> bool:
    """Roll up the periods that are ready, in one transaction of some 50 ms; True: there are more of them."""
    with reading(engine) as conn:
        if not _any_ready(conn, now):
            return False
    begun = clock.monotonic()
    with engine.begin() as conn:
        periods = _ready(conn, now)
        step = _Step(now, _running(conn))
        for period in periods:
            step.roll_up(conn, period)
            if clock.monotonic() - begun > STEP:
                break
        step.write(conn)
        more = bool(periods) and _any_ready(conn, now)  # where there are none, others have them
    if engine.dialect.name == "sqlite":
        time.sleep(PAUSE)
    return more


def reopen(conn: sa.Connection, now: datetime) -> None:
    """Mark the present hour of all that have results in it or later: a clock that was ahead took it for over."""
    make = postgresql.insert if conn.dialect.name == "postgresql" else sqlite.insert
    start, c = start_of(HOUR, now), dirty_period.c
    ready_at = first_ready(HOUR, start, now)
    marks = sa.select(
        target.c.id, sa.literal(HOUR), sa.literal(start, c.start.type), sa.literal(ready_at, c.ready_at.type)
    ).where(target.c.last_result_at >= start)
    conn.execute(make(dirty_period).from_select(list(c.keys()), marks).on_conflict_do_nothing())


def _any_ready(conn: sa.Connection, now: datetime) -> bool:
    ready = sa.select(dirty_period.c.start).where(dirty_period.c.ready_at <= now).limit(1)
    return conn.execute(ready).first() is not None


def _running(conn: sa.Connection) -> int:
    """How many hours wait to be rolled up; nearly all of them are going on."""
    hours = sa.select(sa.func.count()).select_from(dirty_period).where(dirty_period.c.resolution == HOUR)
    count: int = conn.execute(hours).scalar_one()
    return count


def _ready(conn: sa.Connection, now: datetime) -> Sequence[sa.Row[Any]]:
    """Hours; days where there are none. What another process rolls up this instant is left to it.

    Never both: a day is made from hours that are written. And a step with hours marks days, so it waits for whoever has
    those; who has days must wait for nobody, else two steps could wait for each other.
    """
    query = (
        sa.select(dirty_period, target.c.interval_seconds)
        .outerjoin(target, target.c.id == dirty_period.c.target_id)
        .where(dirty_period.c.ready_at <= now)
        .order_by(dirty_period.c.ready_at)
        .limit(_PERIODS)
        .with_for_update(skip_locked=True, of=dirty_period)
    )
    hours = conn.execute(query.where(dirty_period.c.resolution == HOUR)).all()
    return hours or conn.execute(query.where(dirty_period.c.resolution == DAY)).all()


class _Step:
    """What one step computed, to be written by few statements."""

    def __init__(self, now: datetime, running: int) -> None:
        self._now = now
        self._running = running
        self._keys: list[dict[str, Any]] = []  # of the periods whose roll-ups are replaced
        self._rows: list[tuple[Any, ...]] = []  # the roll-ups that replace them
        self._over: list[dict[str, Any]] = []  # the periods that are rolled up for good
        self._waiting: list[dict[str, Any]] = []  # those that are rolled up again later
        self._hours: list[dict[str, Any]] = []  # those of them that are hours: their minutes are replaced
        self._days: dict[tuple[int, datetime], tuple[Any, ...]] = {}

    def roll_up(self, conn: sa.Connection, period: sa.Row[Any]) -> None:
        """Compute one period."""
        key = {"of": period.target_id, "resolution_of": period.resolution, "start_of": period.start}
        if period.resolution == DAY:
            self._roll_up_day(conn, period, key)
            return
        over, end = is_over(HOUR, period.start, self._now), period.start + LENGTH[HOUR]
        found = results(conn, period.target_id, (period.start, end), phases=True)
        try:
            total = _sum(found)
        except SPOILED:
            sound = [row for row in found if is_sound(row[1], row[2:])]
            if over:
                _name(period, len(found) - len(sound), "results")
            found = sound
            total = _sum(found)
        if not self._replace(conn, key, total):
            return
        if not over:
            work = self._running + len(found)
            self._waiting.append({**key, "until": next_ready(HOUR, period.start, self._now, work)})
            return
        self._over.append(key)
        self._hours.append({"of": period.target_id, "first": period.start, "end": end})
        if (period.interval_seconds or DENSE + 1) <= DENSE:
            for minute, rows in groupby(found, key=_minute):
                of_it = _sum([row[:3] for row in rows])
                self._rows += _rows(period.target_id, MINUTE, minute, of_it)
        day = start_of(DAY, period.start)
        ready_at = first_ready(DAY, day, self._now)
        self._days[period.target_id, day] = (period.target_id, DAY, to_micros(day), to_micros(ready_at))

    def _roll_up_day(self, conn: sa.Connection, period: sa.Row[Any], key: dict[str, Any]) -> None:
        # An hour of it that is still to come marks the day again; it only has to come first.
        if _has_dirty_hours(conn, period):
            self._waiting.append({**key, "until": next_ready(HOUR, self._now, self._now)})
            return
        span = (period.start, period.start + LENGTH[DAY])
        found = [
            row for hour in rolled(conn, period.target_id, HOUR, [span], phases=True).values() for row in hour.values()
        ]
        try:
            total = _sum_of_rolled(found)
        except SPOILED:
            sound = [row for row in found if is_readable(row.histogram, row[3:])]
            _name(period, len(found) - len(sound), "figures of hours")
            total = _sum_of_rolled(sound)
        if not self._replace(conn, key, total):
            return
        if is_over(DAY, period.start, self._now):
            self._over.append(key)
        else:
            self._waiting.append({**key, "until": next_ready(DAY, period.start, self._now)})

    def _replace(self, conn: sa.Connection, key: dict[str, Any], total: Tally) -> bool:
        """Whether the period is replaced: not where what it was made of is deleted, and what is stored holds more.

        What came so late, from a clock that was wrong, is in no figure.
        """
        kept = ages().results if key["resolution_of"] == HOUR else ages().hours
        is_old = key["start_of"] < self._now - kept
        if is_old and _stored(conn, key) > total.counts["complete"] + total.counts["incomplete"]:
            self._over.append(key)
            return False
        self._rows += _rows(key["of"], key["resolution_of"], to_micros(key["start_of"]), total)
        self._keys.append(key)
        return True

    def write(self, conn: sa.Connection) -> None:
        """Replace what was computed."""
        if self._keys:
            conn.execute(rollup.delete().where(*_is(rollup)), self._keys)
        if self._hours:
            conn.execute(_MINUTES_OF_AN_HOUR, self._hours)
        if self._rows:
            insert(conn, "rollup", _ROLLUP, self._rows)
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


def _stored(conn: sa.Connection, key: dict[str, Any]) -> int:
    """How many results the stored roll-up of a period holds; 0 where there is none that can be read."""
    start = key["start_of"]
    there = rolled(conn, key["of"], key["resolution_of"], [(start, start + LENGTH[MINUTE])])
    row = there.get(start, {}).get(TOTAL)
    return row.complete + row.incomplete if row is not None and is_readable(row.histogram, row[3:]) else 0


_MINUTES_OF_AN_HOUR = rollup.delete().where(
    rollup.c.target_id == sa.bindparam("of"),
    rollup.c.resolution == MINUTE,
    rollup.c.start >= sa.bindparam("first"),
    rollup.c.start < sa.bindparam("end"),
)


def _sum(found: Sequence[Any]) -> Tally:
    total = Tally()
    total.add_results([row[1:] for row in found])
    total.check()
    return total


def _sum_of_rolled(found: Sequence[sa.Row[Any]]) -> Tally:
    total = Tally()
    for row in found:
        total.add_rolled(row.phase, row.histogram, row[3:])
    total.check()
    return total


def _name(period: sa.Row[Any], number: int, what: str) -> None:
    logger.error(
        "The %s of target %d that began %s left out %d %s that can't be counted: somebody wrote into the store by hand.",
        period.resolution,
        period.target_id,
        period.start.isoformat(),
        number,
        what,
        extra={"action": "rollup_spoiled", "target_id": period.target_id, "left_out": number},
    )


def _rows(target_id: int, resolution: str, start: int, found: Tally) -> list[tuple[Any, ...]]:
    """A row a phase that happened. Outcomes stand beside the latency only; a phase counts the results that had it."""
    rows = []
    for phase, histogram in found.histograms.items():
        counts = [found.counts[name] for name in COUNTS]
        if phase != TOTAL:
            counts = [histogram.count, *(0 for _ in COUNTS[1:])]
        if any(counts):
            rows.append((target_id, resolution, start, phase, histogram.to_bytes(), *counts))
    return rows


def _minute(row: Sequence[Any]) -> int:
    at: int = row[0]
    return at - at % 60_000_000


def _has_dirty_hours(conn: sa.Connection, period: sa.Row[Any]) -> bool:
    c = dirty_period.c
    query = sa.select(c.start).where(
        c.target_id == period.target_id,
        c.resolution == HOUR,
        c.start >= period.start,
        c.start < period.start + LENGTH[DAY],
    )
    return conn.execute(query.limit(1)).first() is not None
