"""The door between the stores: a notifier takes monitors that have transitions nobody has consumed, and those in order."""

from __future__ import annotations

from collections.abc import Collection
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Any
from uuid import UUID

import sqlalchemy as sa

from checks.status import Cause, Status
from checks.store.schema import monitor_state, transition, trouble
from checks.store.states import CHUNK


@dataclass(frozen=True, slots=True, kw_only=True)
class StoredTransition:
    """A transition as it lies in the store, with what its monitor is called now."""

    uuid: UUID
    monitor: UUID
    slug: str
    name: str
    kind: str
    seq: int
    at: datetime
    since: datetime
    from_status: Status
    to_status: Status
    cause: Cause
    evidence: dict[str, Any]


@dataclass(frozen=True, slots=True, kw_only=True)
class Standing:
    """What a monitor is now, and whether transitions wait that say how it came to be so."""

    status: Status
    since: datetime
    removed: str | None
    waiting: bool


@dataclass(frozen=True, slots=True, kw_only=True)
class Trouble:
    """Something that is wrong with us."""

    what: str
    message: str
    since: datetime
    seen_at: datetime


def any_waiting(conn: sa.Connection) -> bool:
    """Whether some monitor has a transition that nobody has consumed: a look that takes no lock."""
    waiting = sa.select(monitor_state.c.monitor).where(monitor_state.c.seq > monitor_state.c.consumed_seq).limit(1)
    return conn.execute(waiting).first() is not None


def claim_monitors(conn: sa.Connection, *, notifier: str, now: datetime, lease: timedelta, limit: int) -> list[UUID]:
    """Monitors with transitions to consume, now leased to `notifier`; those that wait longest first."""
    waiting = (
        sa.select(monitor_state.c.monitor)
        .where(
            monitor_state.c.seq > monitor_state.c.consumed_seq,
            sa.or_(monitor_state.c.leased_until.is_(None), monitor_state.c.leased_until <= now),
        )
        .order_by(monitor_state.c.since, monitor_state.c.monitor)
        .limit(limit)
        .with_for_update(skip_locked=True)
        .cte("waiting")
    )
    query = (
        monitor_state.update()
        .where(monitor_state.c.monitor.in_(sa.select(waiting.c.monitor)))
        .values(leased_until=now + lease, leased_by=notifier)
        .returning(monitor_state.c.monitor, monitor_state.c.since)
    )
    rows = sorted(conn.execute(query), key=lambda row: (row.since, row.monitor))
    return [row.monitor for row in rows]


def next_transition(conn: sa.Connection, monitor: UUID) -> StoredTransition | None:
    """The first transition of a monitor that was not consumed; None where all were."""
    query = (
        sa.select(transition, monitor_state.c.slug, monitor_state.c.name, monitor_state.c.kind)
        .join(monitor_state, monitor_state.c.monitor == transition.c.monitor)
        .where(transition.c.monitor == monitor, transition.c.seq > monitor_state.c.consumed_seq)
        .order_by(transition.c.seq)
        .limit(1)
    )
    row = conn.execute(query).first()
    return None if row is None else stored(row)


def stored(row: sa.Row[Any]) -> StoredTransition:
    """The transition of a row that has its columns and the monitor's slug, name and kind."""
    return StoredTransition(
        uuid=row.uuid,
        monitor=row.monitor,
        slug=row.slug,
        name=row.name,
        kind=row.kind,
        seq=row.seq,
        at=row.at,
        since=row.since,
        from_status=Status(row.from_status),
        to_status=Status(row.to_status),
        cause=Cause(row.cause),
        evidence=row.evidence,
    )


def standings(conn: sa.Connection, monitors: Collection[UUID]) -> dict[UUID, Standing]:
    """What these monitors are now; those that the store does not know are missing."""
    c = monitor_state.c
    found: dict[UUID, Standing] = {}
    ordered = sorted(monitors)
    for begin in range(0, len(ordered), CHUNK):
        query = sa.select(c.monitor, c.status, c.since, c.removed, c.seq, c.consumed_seq)
        for row in conn.execute(query.where(c.monitor.in_(ordered[begin : begin + CHUNK]))):
            found[row.monitor] = Standing(
                status=Status(row.status), since=row.since, removed=row.removed, waiting=row.seq > row.consumed_seq
            )
    return found


def mark_consumed(conn: sa.Connection, transition_: StoredTransition, now: datetime) -> None:
    """Say that everything which follows from a transition is committed elsewhere. A repeat changes nothing."""
    conn.execute(
        monitor_state.update()
        .where(monitor_state.c.monitor == transition_.monitor, monitor_state.c.consumed_seq < transition_.seq)
        .values(consumed_seq=transition_.seq),
    )
    conn.execute(
        transition.update()
        .where(transition.c.uuid == transition_.uuid, transition.c.consumed_at.is_(None))
        .values(consumed_at=now),
    )


def release_monitors(conn: sa.Connection, notifier: str, monitors: Collection[UUID]) -> None:
    """Give up the leases of `notifier` on these monitors."""
    query = (
        monitor_state.update()
        .where(monitor_state.c.monitor == sa.bindparam("of"), monitor_state.c.leased_by == notifier)
        .values(leased_until=None, leased_by=None)
    )
    if monitors:
        conn.execute(query, [{"of": monitor} for monitor in sorted(monitors)])


def troubles(conn: sa.Connection) -> list[Trouble]:
    """Everything that is wrong with us, the oldest first."""
    rows = conn.execute(sa.select(trouble).order_by(trouble.c.since, trouble.c.what))
    return [Trouble(what=row.what, message=row.message, since=row.since, seen_at=row.seen_at) for row in rows]
