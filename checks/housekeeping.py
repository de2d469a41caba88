"""What a worker does beside its probes: deadlines, silence, roll-ups, retention, the clock. In short steps."""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from datetime import datetime, timedelta
from functools import partial
from typing import Any

import sqlalchemy as sa

from checks import clock, isolation, sight, silence
from checks.chores import Chores
from checks.heartbeats.sweep import overdue, sweep
from checks.lane import Lane
from checks.recorder import stale_before, troubles_of_workers
from checks.schedule import next_slot
from checks.store import outbox, retention, rollup
from checks.store.engine import measure_offset, reading
from checks.store.schema import target
from checks.store.states import CHUNK, lock_targets
from checks.store.troubles import clear_trouble

BETWEEN_STEPS = 0.01  # seconds in which others may write
MOST_STEPS = 200  # of one chore in a row
_LATEST = 60.0  # seconds beyond its interval in which a target must be due
_LONGEST_LEASE = timedelta(minutes=11)  # a little longer than a worker may be told to claim for

Step = Callable[[sa.Engine, datetime], bool]


def add_housekeeping(chores: Chores, lane: Lane, engine: sa.Engine, *, location: str, lease: timedelta) -> None:
    """Have `chores` keep house on `lane`."""
    began = clock.monotonic()

    def every(seconds: float, name: str, step: Step, *, again_after: float | None = None) -> None:
        async def work() -> None:
            await finish()
            if again_after is not None:
                await asyncio.sleep(again_after)
                await finish()

        async def finish() -> None:
            for _ in range(MOST_STEPS):
                if not await lane.call(step, engine, clock.utcnow()):
                    break
                await asyncio.sleep(BETWEEN_STEPS)

        chores.every(seconds, name, work)

    every(1, "sweep", sweep_deadlines)
    every(5, "silence", lambda engine, now: silence.judge(engine, now, clock.monotonic() - began))
    every(5, "isolation", lambda engine, now: isolation.judge(engine, now, location))
    every(5, "roll-up", rollup.roll_up)
    every(10, "clock", keep_time)
    every(15, "troubles", clear_stale_troubles)
    for sort in retention.SORTS:
        every(30, f"retention of {sort}", unless_away(partial(retention.step, sort)))
    every(60, "partitions", keep_partitions)
    # At once when the clock was set; what was found just before is recorded a moment after.
    every(60, "due-times", lambda engine, now: pull_back(engine, now, location, lease), again_after=1.0)
    every(3600, "signs", unless_away(tidy_signs))


def unless_away(delete: Step) -> Step:
    """The step, but nothing where all was stopped for more than a day, until a day later: the clock may be wrong."""

    def step(engine: sa.Engine, now: datetime) -> bool:
        with reading(engine) as conn:
            if sight.was_away(conn, now):
                return False
        return delete(engine, now)

    return step


def keep_partitions(engine: sa.Engine, now: datetime) -> bool:
    """Make the partitions of the next days and drop those that are too old."""
    retention.make_partitions(engine, now)
    return unless_away(_drop_partitions)(engine, now)


def _drop_partitions(engine: sa.Engine, now: datetime) -> bool:
    retention.drop_partitions(engine, now)
    return False


def sweep_deadlines(engine: sa.Engine, now: datetime) -> bool:
    """Judge the heartbeats whose deadline has passed; no lock is taken where there is none."""
    with reading(engine) as conn:
        if not overdue(conn, now):
            return False
    with engine.begin() as conn:
        return sweep(conn, now)


def keep_time(engine: sa.Engine, now: datetime) -> bool:  # noqa: ARG001 - one signature for all chores
    """Follow the store's clock."""
    clock.set_offset(measure_offset(engine))
    return False


def clear_stale_troubles(engine: sa.Engine, now: datetime) -> bool:
    """Clear what workers reported and no worker has seen for a minute: it is over, or they are gone."""
    with reading(engine) as conn:
        stale = [
            trouble.what
            for trouble in outbox.troubles(conn)
            if troubles_of_workers(trouble.what) and trouble.seen_at < stale_before(now)
        ]
    if stale:
        with engine.begin() as conn:
            for what in stale:
                clear_trouble(conn, what)
    return False


def pull_back(engine: sa.Engine, now: datetime, location: str, lease: timedelta) -> bool:
    """Bring back due times and leases that lie further off than they ever should: the clock was set back.

    True: there may be more.
    """
    c = target.c
    micros = clock.to_micros(now)
    due, leased = sa.type_coerce(c.next_due_at, sa.BigInteger), sa.type_coerce(c.leased_until, sa.BigInteger)
    too_far = due > micros + (c.interval_seconds + _LATEST) * 1_000_000
    too_long = leased > clock.to_micros(now + _LONGEST_LEASE)
    wrong = sa.and_(c.location == location, c.source == "probed", c.active, sa.or_(too_far, too_long))
    with reading(engine) as conn:
        ids = list(conn.execute(sa.select(c.id).where(wrong).order_by(c.id).limit(CHUNK)).scalars())
    if not ids:
        return False
    with engine.begin() as conn:
        columns = (c.id, c.monitor, c.interval_seconds, c.next_due_at, c.leased_until)
        rows = lock_targets(conn, sa.and_(c.id.in_(ids), wrong), *columns)
        if rows:
            back = target.update().where(c.id == sa.bindparam("of"))
            back = back.values(next_due_at=sa.bindparam("due"), leased_until=sa.bindparam("until"))
            conn.execute(back, [_brought_back(row, now, lease) for row in rows])
    return len(ids) == CHUNK


def _brought_back(row: sa.Row[Any], now: datetime, lease: timedelta) -> dict[str, Any]:
    """The row's due time on its grid, where those of many targets do not meet, and its lease as if it were new."""
    due, until = row.next_due_at, row.leased_until
    if due is not None and due > now + timedelta(seconds=row.interval_seconds + _LATEST):
        due = next_slot(now, row.interval_seconds, row.monitor)
    if until is not None and until > now + _LONGEST_LEASE:
        until = now + lease
    return {"of": row.id, "due": due, "until": until}


def tidy_signs(engine: sa.Engine, now: datetime) -> bool:
    """Forget the signs of life of processes long gone."""
    with engine.begin() as conn:
        sight.tidy(conn, now)
    return False
