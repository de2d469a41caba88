"""Step 2 of the path of a result: which targets are due, and who has them.

A claim is a lease with a fence. The fence grows with each claim, and a result is recorded only under the fence that it
was claimed with: a worker that was stopped and comes back can't overwrite its successor.
"""

from __future__ import annotations

from collections.abc import Collection
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Any
from uuid import UUID

import sqlalchemy as sa

from checks.clock import from_micros, to_micros
from checks.result import Result
from checks.status import Policy, TargetState
from checks.store import driver
from checks.store.schema import target
from checks.store.states import CHUNK, STATE_COLUMNS, state_from

_CLAIM = f"""
    WITH due AS (
        SELECT id FROM target
        WHERE location = {{mark}} AND next_due_at <= {{mark}} AND (leased_until IS NULL OR leased_until <= {{mark}})
        ORDER BY next_due_at LIMIT {{mark}} {{locked}}
    )
    UPDATE target SET fence = fence + 1, leased_until = {{mark}}, leased_by = {{mark}} WHERE id IN (SELECT id FROM due)
    RETURNING next_due_at, id, monitor, revision, fence, interval_seconds, retry_seconds,
        {", ".join(column.name for column in STATE_COLUMNS)}
"""  # noqa: S608 - our names


@dataclass(frozen=True, slots=True, kw_only=True)
class Claimed:
    """A target that one worker may probe, once, at `due_at`."""

    target_id: int
    monitor: UUID
    location: str
    revision: int
    fence: int
    due_at: datetime
    interval: float
    retry_interval: float
    state: TargetState
    kept: tuple[Any, ...] = ()  # the same as it lies in the store: equal to what lies there later, it still holds


@dataclass(frozen=True, slots=True, kw_only=True)
class Finished:
    """One claimed probe that ended: what it found, and when its target is due again."""

    claimed: Claimed
    result: Result
    policy: Policy
    after: TargetState  # what follows from the state at the claim
    next_due_at: datetime
    skipped: int  # slots that passed while it ran


def claim(
    conn: sa.Connection,
    *,
    worker: str,
    location: str,
    now: datetime,
    horizon: timedelta,
    limit: int,
    lease: timedelta,
) -> list[Claimed]:
    """The targets due until `now + horizon` that nobody has, the longest due first, now leased to `worker`.

    Only active targets of probed kinds have a due time, so the index over it finds exactly them.
    """
    values = (location, to_micros(now + horizon), to_micros(now), limit, to_micros(now + lease), worker)
    # In the order of their due times.
    return [_claimed(row, location) for row in sorted(driver.select(conn, claiming(conn.dialect.name), values))]


def claiming(dialect: str) -> str:
    """The statement of a claim, for the driver. Its values: location, horizon, now, limit, end of the lease, worker."""
    sqlite = dialect == "sqlite"
    return _CLAIM.format(mark="?" if sqlite else "%s", locked="" if sqlite else "FOR UPDATE SKIP LOCKED")


def _claimed(row: tuple[Any, ...], location: str) -> Claimed:
    due, target_id, monitor, revision, fence, interval, retry_interval, *state = row
    return Claimed(
        target_id=target_id,
        monitor=monitor if isinstance(monitor, UUID) else UUID(monitor),
        location=location,
        revision=revision,
        fence=fence,
        due_at=from_micros(due),
        interval=interval,
        retry_interval=retry_interval,
        state=state_from(state),
        kept=tuple(state),
    )


def specs(conn: sa.Connection, target_ids: Collection[int]) -> dict[int, tuple[int, dict[str, Any]]]:
    """Revision and sealed specification of each target that exists, by its number."""
    found: dict[int, tuple[int, dict[str, Any]]] = {}
    ids = sorted(target_ids)
    for begin in range(0, len(ids), CHUNK):
        query = sa.select(target.c.id, target.c.revision, target.c.spec)
        rows = conn.execute(query.where(target.c.id.in_(ids[begin : begin + CHUNK])))
        found.update((row.id, (row.revision, row.spec)) for row in rows)
    return found


def renew(
    conn: sa.Connection,
    *,
    worker: str,
    target_ids: Collection[int],
    now: datetime,
    lease: timedelta,
) -> None:
    """Lengthen the leases that `worker` still holds; one that was lost meanwhile stays lost."""
    ids = sorted(target_ids)
    for begin in range(0, len(ids), CHUNK):
        # A row that is locked is being recorded or published this instant, and then needs no lease.
        mine = (
            sa.select(target.c.id)
            .where(target.c.id.in_(ids[begin : begin + CHUNK]), target.c.leased_by == worker)
            .with_for_update(skip_locked=True)
            .cte("mine")
        )
        conn.execute(
            target.update().where(target.c.id.in_(sa.select(mine.c.id))).values(leased_until=now + lease),
        )


def release(conn: sa.Connection, *, worker: str, claims: Collection[Claimed]) -> None:
    """Give back what was claimed and not probed: due at once for another worker."""
    if not claims:
        return
    # In the order of their numbers, as everybody locks targets.
    query = (
        target.update()
        .where(
            target.c.id == sa.bindparam("claimed_id"),
            target.c.fence == sa.bindparam("claimed_fence"),
            target.c.leased_by == worker,
        )
        .values(leased_until=None, leased_by=None)
    )
    ordered = sorted(claims, key=lambda claimed: claimed.target_id)
    conn.execute(query, [{"claimed_id": item.target_id, "claimed_fence": item.fence} for item in ordered])


def next_due(conn: sa.Connection, location: str, after: datetime) -> datetime | None:
    """When the next target that nobody has is due at a location, later than `after`; None where there is none.

    With the instant until which all were claimed, it does not look at each of those again.
    """
    query = sa.select(sa.func.min(target.c.next_due_at)).where(
        target.c.location == location,
        target.c.next_due_at > after,
        target.c.leased_until.is_(None),
    )
    due: datetime | None = conn.execute(query).scalar_one()
    return due
