"""Deletes what is too old, in small batches: writers never wait for it.

Raw results live 7 days, minutes 2 days, hours 180 days, days 3 years, pings 90 days and no more than 1,000 of a
monitor. Transitions are never deleted.
"""

from __future__ import annotations

import time
from collections.abc import Callable
from datetime import datetime, timedelta

import sqlalchemy as sa

from checks import clock
from checks.store.periods import DAY, HOUR, MINUTE
from checks.store.publishing import prune_tombstones
from checks.store.rollup import PAUSE, STEP
from checks.store.schema import dirty_period, ping, result, rollup, target

RESULTS = timedelta(days=7)
MINUTES = timedelta(days=2)
HOURS = timedelta(days=180)
DAYS = timedelta(days=3 * 365)
PINGS = timedelta(days=90)
PINGS_KEPT = 1000  # of a monitor
LOOKED_AT = 50  # monitors of which pings are counted in one step; the next ones come half a minute later
BATCH = 250  # rows a statement
MOST = 1000  # rows a step


def prune(engine: sa.Engine, now: datetime) -> bool:
    """Delete at most 1,000 rows that are too old, for at most some 50 ms; True: there may be more of them."""
    left, more = MOST, False
    with engine.begin() as conn:
        begun = clock.monotonic()  # however long the lock let us wait, something is done
        for delete in (_results, _pings, _surplus_pings, _minutes, _hours, _days, prune_tombstones):
            deleted = BATCH
            while deleted >= BATCH and left > 0 and clock.monotonic() - begun < STEP:
                deleted = delete(conn, now)
                left -= deleted
            more = more or deleted >= BATCH
    if engine.dialect.name == "sqlite":
        time.sleep(PAUSE)
    return more


def _results(conn: sa.Connection, now: datetime) -> int:
    """Results that are old and rolled up. They are numbered as they came, so the lowest numbers are the oldest."""
    oldest_dirty: datetime | None = conn.execute(
        sa.select(sa.func.min(dirty_period.c.start)).where(dirty_period.c.resolution == HOUR),
    ).scalar_one()
    until = now - RESULTS
    return _lowest(conn, result, result.c.started_at < (until if oldest_dirty is None else min(until, oldest_dirty)))


def _pings(conn: sa.Connection, now: datetime) -> int:
    return _lowest(conn, ping, ping.c.received_at < now - PINGS)


def _surplus_pings(conn: sa.Connection, now: datetime) -> int:
    """The oldest pings of monitors that have too many; which monitors are looked at changes with the time."""
    c = target.c
    highest: int | None = conn.execute(sa.select(sa.func.max(c.id)).where(c.source == "pinged")).scalar_one()
    if highest is None:
        return 0
    turn = int(now.timestamp() // 30) * LOOKED_AT % (highest + LOOKED_AT)
    some = sa.select(c.monitor).where(c.source == "pinged", c.id > turn).order_by(c.id).limit(LOOKED_AT)
    deleted = 0
    for monitor in conn.execute(some).scalars().all():
        of_it = (
            sa.select(ping.c.id).where(ping.c.monitor == monitor).order_by(ping.c.received_at.desc(), ping.c.id.desc())
        )
        surplus = of_it.offset(PINGS_KEPT).limit(BATCH)
        deleted += conn.execute(ping.delete().where(ping.c.id.in_(surplus))).rowcount
        if deleted >= BATCH:
            break
    return deleted


def _lowest(conn: sa.Connection, table: sa.Table, old: sa.ColumnElement[bool]) -> int:
    lowest = sa.select(table.c.id).order_by(table.c.id).limit(BATCH)
    return conn.execute(table.delete().where(table.c.id.in_(lowest), old)).rowcount


def _aged(resolution: str, age: timedelta) -> Callable[[sa.Connection, datetime], int]:
    def delete(conn: sa.Connection, now: datetime) -> int:
        c = rollup.c
        key = sa.tuple_(c.target_id, c.resolution, c.start, c.phase)
        old = (
            sa.select(c.target_id, c.resolution, c.start, c.phase)
            .where(c.resolution == resolution, c.start < now - age)
            .order_by(c.start)
            .limit(BATCH)
        )
        return conn.execute(rollup.delete().where(key.in_(old))).rowcount

    return delete


_minutes = _aged(MINUTE, MINUTES)
_hours = _aged(HOUR, HOURS)
_days = _aged(DAY, DAYS)
