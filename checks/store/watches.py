"""From when to when a monitor was watched from where: this outlives the target, whose row goes with its location.

What was measured there stays readable, and of a time past it is known who was to see.
"""

from __future__ import annotations

from collections.abc import Collection
from dataclasses import dataclass
from datetime import UTC, datetime
from uuid import UUID

import sqlalchemy as sa

from checks.store.schema import target, watch
from checks.store.states import CHUNK

EVER, FOR_EVER = datetime(1970, 1, 1, tzinfo=UTC), datetime.max.replace(tzinfo=UTC)


@dataclass(frozen=True, slots=True)
class Watch:
    """A target, from when to when it was one; it still is until `FOR_EVER`."""

    target_id: int
    monitor: UUID
    location: str
    source: str  # probed, pinged, derived, set
    since: datetime
    until: datetime


def follow(conn: sa.Connection, monitors: Collection[UUID], now: datetime) -> None:
    """Write down which targets of these monitors are new, and which are gone or are asked by another source."""
    ordered, c = sorted(monitors), watch.c
    for begin in range(0, len(ordered), CHUNK):
        some = ordered[begin : begin + CHUNK]
        still = sa.exists().where(target.c.id == c.target_id, target.c.source == c.source)
        conn.execute(watch.update().where(c.monitor.in_(some), c.until.is_(None), ~still).values(until=now))
        known = sa.exists().where(c.target_id == target.c.id, c.until.is_(None))
        new = sa.select(
            target.c.id, target.c.monitor, target.c.location, target.c.source, sa.literal(now, c.since.type)
        ).where(target.c.monitor.in_(some), ~known)
        columns = ("target_id", "monitor", "location", "source", "since")
        conn.execute(watch.insert().from_select(columns, new.order_by(target.c.id)))


def of_monitors(
    conn: sa.Connection, monitors: Collection[UUID], start: datetime, end: datetime
) -> dict[UUID, list[Watch]]:
    """Who watched each of these monitors in a window, the earliest first."""
    found: dict[UUID, list[Watch]] = {}
    c, ordered = watch.c, sorted(set(monitors))
    query = sa.select(c.target_id, c.monitor, c.location, c.source, c.since, c.until)
    query = query.where(c.since < end, _until_after(start)).order_by(c.since, c.target_id)
    for begin in range(0, len(ordered), CHUNK):
        for row in conn.execute(query.where(c.monitor.in_(ordered[begin : begin + CHUNK]))):
            found.setdefault(row.monitor, []).append(Watch(*row[:5], row.until or FOR_EVER))
    return found


def targets(conn: sa.Connection, monitor: UUID, start: datetime) -> dict[int, str]:
    """The targets of a monitor since an instant, in the order of their locations, which are the values.

    Those that are gone are among them; and with its location, a target that came back has another number.
    """
    return {row[0]: row[1] for row in conn.execute(_TARGETS, {"of": monitor, "start": start})}


def _until_after(start: datetime | sa.BindParameter[datetime]) -> sa.ColumnElement[bool]:
    return sa.or_(watch.c.until.is_(None), watch.c.until > start)


_TARGETS = (
    sa.select(watch.c.target_id, watch.c.location)
    .where(watch.c.monitor == sa.bindparam("of"), _until_after(sa.bindparam("start")))
    .order_by(watch.c.location, watch.c.target_id)
)
