"""Deletes what is older than `checks.store.ages` says, in small batches: writers never wait for it.

On PostgreSQL results are not deleted: the partition of their day is dropped. Transitions stay for ever.
"""

from __future__ import annotations

import math
import time
from collections.abc import Callable, Iterable
from datetime import datetime, timedelta
from typing import Any, Final
from uuid import UUID

import sqlalchemy as sa

from checks import clock
from checks.store import partitions
from checks.store.ages import Ages, ages
from checks.store.engine import reading
from checks.store.periods import DAY, HOUR, MINUTE
from checks.store.publishing import count_forgettable, forget_deleted
from checks.store.rollup import PAUSE
from checks.store.schema import dirty_period, monitor_state, ping, result, rollup, target, watch

LOOKED_AT = 50  # targets whose pings are counted in one step; the next ones come half a minute later
BATCH = 250  # rows a statement
MOST = 1000  # rows a step
STEP = 0.02  # seconds after which a step begins nothing more
PAUSES = 3  # times as long as a step had SQLite's lock, it leaves that to others
LONGEST_PAUSE = 0.2  # seconds: what shares its thread waits too
FIRST = 5000  # rows among which the oldest are looked for: they are numbered as they came

_AGED: dict[str, Callable[[Ages], timedelta]] = {
    MINUTE: lambda kept: kept.minutes,
    HOUR: lambda kept: kept.hours,
    DAY: lambda kept: kept.days,
}


def prune(engine: sa.Engine, now: datetime) -> bool:
    """One step of each sort; True: there may be more to delete. Looks at every ping: for people, not for a chore."""
    more = [step(sort, engine, now) for sort in SORTS]  # each has its turn
    with engine.begin() as conn:
        several = list(_surplus(conn, now))[:LOOKED_AT]
        return _without_surplus(conn, several) > 0 or any(more)


def step(sort: str, engine: sa.Engine, now: datetime) -> bool:
    """Delete at most 1,000 rows of a sort that are too old, for some 20 ms; True: there may be more of them."""
    delete = SORTS[sort]
    left, deleted = MOST, BATCH
    with engine.begin() as conn:
        begun = clock.monotonic()
        while deleted >= BATCH and left > 0:
            deleted = delete(conn, now)
            left -= deleted
            if clock.monotonic() - begun >= STEP:
                break
    if engine.dialect.name == "sqlite":
        # Who waits for SQLite's lock looks for it now and then, ever more seldom: it must mostly be free.
        time.sleep(max(PAUSE, min(LONGEST_PAUSE, PAUSES * (clock.monotonic() - begun))))
    return deleted >= BATCH


def make_partitions(engine: sa.Engine, now: datetime) -> None:
    """Make the partitions of the next days; nothing on SQLite."""
    if engine.dialect.name == "postgresql":
        partitions.make(engine, now)


def drop_partitions(engine: sa.Engine, now: datetime) -> None:
    """Drop the partitions of days that are too old; nothing on SQLite."""
    if engine.dialect.name == "postgresql":
        with reading(engine) as conn:
            until = _until(conn, now)
        partitions.drop(engine, until)


def too_old(engine: sa.Engine, now: datetime) -> dict[str, int]:
    """How many rows of which sort `prune` would delete by and by. Looks at every result: for people, not for a chore."""
    with reading(engine) as conn:
        until = _until(conn, now)
        on_postgresql = conn.dialect.name == "postgresql"
        found = {
            "results": (
                partitions.count_behind(conn, until)
                if on_postgresql
                else _count(conn, result, result.c.started_at < until)
            ),
            "pings": _count(conn, ping, ping.c.received_at < now - ages().pings),
            "surplus pings": sum(_surplus(conn, now).values()),
        }
        for resolution, age in _AGED.items():
            old = sa.and_(rollup.c.resolution == resolution, rollup.c.start < now - age(ages()))
            found[f"figures of {resolution}s"] = _count(conn, rollup, old)
        found["deleted monitors"] = count_forgettable(conn, now)
        return found


def _count(conn: sa.Connection, table: sa.Table, old: sa.ColumnElement[bool]) -> int:
    count: int = conn.execute(sa.select(sa.func.count()).select_from(table).where(old)).scalar_one()
    return count


def _until(conn: sa.Connection, now: datetime) -> datetime:
    """The instant before which results are old and rolled up."""
    oldest_dirty: datetime | None = conn.execute(
        sa.select(sa.func.min(dirty_period.c.start)).where(dirty_period.c.resolution != DAY),
    ).scalar_one()
    until = now - ages().results
    return until if oldest_dirty is None else min(until, oldest_dirty)


def _results(conn: sa.Connection, now: datetime) -> int:
    """Results that are old and rolled up; on PostgreSQL only those that no day's partition has."""
    until = _until(conn, now)
    if conn.dialect.name == "postgresql":
        return partitions.delete_strays(conn, until, BATCH)
    return _before(conn, until, now, result.c.started_at, (result.c.target_id, watch.c.target_id))


def _pings(conn: sa.Connection, now: datetime) -> int:
    return _before(conn, now - ages().pings, now, ping.c.received_at, (ping.c.monitor, monitor_state.c.monitor))


def _before(
    conn: sa.Connection,
    until: datetime,
    now: datetime,
    at: sa.Column[datetime],
    whose: tuple[sa.Column[Any], sa.Column[Any]],  # of a row, and all that there are
) -> int:
    """Delete rows from before `until`: they are numbered as they came, so the lowest numbers are the oldest.

    Those of a clock that was ahead must not hide the others: where they are the lowest, one of their owners is asked for
    its oldest, by an index.
    """
    table = at.table
    first = sa.select(table.c.id, at.label("at")).order_by(table.c.id).limit(FIRST).subquery()
    old = sa.select(first.c.id).where(first.c.at < until).order_by(first.c.id).limit(BATCH)
    deleted = conn.execute(sa.delete(table).where(table.c.id.in_(old))).rowcount
    if deleted:
        return deleted
    ahead: datetime | None = conn.execute(sa.select(sa.func.max(first.c.at))).scalar_one()
    if ahead is None or ahead <= now:
        return 0
    has_old = sa.exists().where(whose[0] == whose[1], at < until)
    owner = conn.execute(sa.select(whose[1]).where(has_old).limit(1)).scalar()
    old = sa.select(table.c.id).where(whose[0] == owner, at < until).order_by(at).limit(BATCH)
    return conn.execute(sa.delete(table).where(table.c.id.in_(old))).rowcount


def _surplus(conn: sa.Connection, now: datetime) -> dict[UUID, int]:
    """How many pings more than are kept the monitors have that have too many, beside those that are too old."""
    count, kept = sa.func.count(), ages().pings_of_a_monitor
    query = sa.select(ping.c.monitor, count).where(ping.c.received_at >= now - ages().pings)
    rows = conn.execute(query.group_by(ping.c.monitor).having(count > kept))
    return {monitor: number - kept for monitor, number in rows}


def _surplus_pings(conn: sa.Connection, now: datetime) -> int:
    """The oldest pings of monitors that have too many; which monitors are looked at changes with the time."""
    c = target.c
    highest: int = conn.execute(sa.select(sa.func.max(c.id)).where(c.source == "pinged")).scalar_one() or 0
    turns = max(1, math.ceil(highest / LOOKED_AT))
    last = int(now.timestamp() // 30) % turns * LOOKED_AT
    some = sa.select(c.monitor).where(c.source == "pinged", c.id > last, c.id <= last + LOOKED_AT).order_by(c.id)
    return _without_surplus(conn, conn.execute(some).scalars().all())


def _without_surplus(conn: sa.Connection, monitors: Iterable[UUID]) -> int:
    deleted = 0
    for monitor in monitors:
        of_it = (
            sa.select(ping.c.id).where(ping.c.monitor == monitor).order_by(ping.c.received_at.desc(), ping.c.id.desc())
        )
        surplus = of_it.offset(ages().pings_of_a_monitor).limit(BATCH)
        deleted += conn.execute(ping.delete().where(ping.c.id.in_(surplus))).rowcount
        if deleted >= BATCH:
            break
    return deleted


def _aged(resolution: str) -> Callable[[sa.Connection, datetime], int]:
    def delete(conn: sa.Connection, now: datetime) -> int:
        c = rollup.c
        key = sa.tuple_(c.target_id, c.resolution, c.start, c.phase)
        old = (
            sa.select(c.target_id, c.resolution, c.start, c.phase)
            .where(c.resolution == resolution, c.start < now - _AGED[resolution](ages()))
            .order_by(c.start)
            .limit(BATCH)
        )
        return conn.execute(rollup.delete().where(key.in_(old))).rowcount

    return delete


SORTS: Final[dict[str, Callable[[sa.Connection, datetime], int]]] = {
    "results": _results,
    "pings": _pings,
    "surplus pings": _surplus_pings,
    **{f"figures of {resolution}s": _aged(resolution) for resolution in _AGED},
    "deleted monitors": forget_deleted,
}
