"""Jobs and their pings as a program asks for them: how all stand at once, lists without bodies. Takes no locks."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from datetime import datetime
from typing import Any
from uuid import UUID

import sqlalchemy as sa

from checks.heartbeats.runs import Action
from checks.result import Reason
from checks.status import Status
from checks.store.schema import monitor_state, ping, target, transition

_HIGHEST = (1 << 63) - 1  # number of a row
_SERVING = {Status.UP.value: True, Status.DEGRADED.value: True, Status.DOWN.value: False}


@dataclass(frozen=True, slots=True, kw_only=True)
class Standing:
    """How one job stands."""

    status: Status
    is_late: bool  # expected, and within its grace
    last_ping_at: datetime | None
    started_at: datetime | None  # of the run that goes on
    expected_at: datetime | None
    last_duration_ns: int | None
    pings: int  # that are kept


def standings(conn: sa.Connection, monitor: UUID | None = None) -> dict[UUID, Standing]:
    """How every job stands that the store knows, or one of them."""
    t, m = target.c, monitor_state.c
    query = sa.select(
        m.monitor, m.status, t.last_failure, t.last_ping_at, t.last_start_at, t.expected_at, t.last_duration_ns
    )
    query = query.join_from(monitor_state, target, t.monitor == m.monitor).where(t.source == "pinged")
    counted = sa.select(ping.c.monitor, sa.func.count()).group_by(ping.c.monitor)
    if monitor is not None:
        query, counted = query.where(m.monitor == monitor), counted.where(ping.c.monitor == monitor)
    pings: dict[UUID, int] = {row[0]: row[1] for row in conn.execute(counted)}
    return {row.monitor: _standing(row, pings.get(row.monitor, 0)) for row in conn.execute(query)}


def _standing(row: Any, pings: int) -> Standing:
    status = Status(row.status)
    return Standing(
        status=status,
        is_late=status is Status.DEGRADED and (row.last_failure or {}).get("reason") == Reason.LATE.value,
        last_ping_at=row.last_ping_at,
        started_at=row.last_start_at,
        expected_at=row.expected_at,
        last_duration_ns=row.last_duration_ns,
        pings=pings,
    )


@dataclass(frozen=True, slots=True, kw_only=True)
class Listed:
    """One ping that is kept, without its body."""

    id: int
    action: Action
    received_at: datetime
    run: UUID | None
    duration_ns: int | None
    method: str
    source: str
    user_agent: str
    has_body: bool


def pings(conn: sa.Connection, monitor: UUID, limit: int) -> list[Listed]:
    """The last `limit` pings of a monitor, the newest first."""
    c = ping.c
    query = sa.select(
        c.id, c.action, c.received_at, c.run, c.duration_ns, c.method, c.source, c.user_agent, c.body_size
    )
    query = query.where(c.monitor == monitor).order_by(c.received_at.desc(), c.id.desc()).limit(limit)
    return [
        Listed(
            id=row.id,
            action=Action(row.action),
            received_at=row.received_at,
            run=row.run,
            duration_ns=row.duration_ns,
            method=row.method,
            source=row.source,
            user_agent=row.user_agent,
            has_body=row.body_size > 0,
        )
        for row in conn.execute(query)
    ]


def body_of(conn: sa.Connection, monitor: UUID, number: int) -> bytes:
    """What is kept of the body of one ping; empty where it had none, or there is no such ping."""
    if number > _HIGHEST:
        return b""
    found = conn.execute(sa.select(ping.c.body).where(ping.c.monitor == monitor, ping.c.id == number)).scalar()
    return found or b""


@dataclass(frozen=True, slots=True)
class Turn:
    """From when on a monitor served, or did not."""

    since: datetime
    is_serving: bool


def turns(
    conn: sa.Connection, monitor: UUID, limit: int, *, start: datetime | None = None, end: datetime | None = None
) -> list[Turn]:
    """When a monitor began to serve and when it ceased to, the newest first: of its last `limit` transitions at most.

    What is neither, as while it was paused, is passed over: up again as before is no turn.
    """
    c = transition.c
    known = sa.select(c.seq, c.since, c.to_status).where(c.monitor == monitor, c.to_status.in_(_SERVING))
    query = known
    if start is not None:
        query = query.where(c.since >= start)
    if end is not None:
        query = query.where(c.since < end)
    rows = conn.execute(query.order_by(c.seq.desc()).limit(limit)).all()
    if not rows:
        return []
    before = conn.execute(known.where(c.seq < rows[-1].seq).order_by(c.seq.desc()).limit(1)).first()
    serving = None if before is None else _SERVING[before.to_status]
    return list(_turned(reversed(rows), serving=serving))[::-1]


def _turned(rows: Iterable[Any], *, serving: bool | None) -> Iterator[Turn]:
    for row in rows:
        if _SERVING[row.to_status] is not serving:
            serving = _SERVING[row.to_status]
            yield Turn(row.since, serving)
