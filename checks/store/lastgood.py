"""What targets said when they were last well: written rarely, read when one is not well any more."""

from __future__ import annotations

import json
from collections.abc import Collection, Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Any
from uuid import UUID

import sqlalchemy as sa

from checks.clock import to_micros
from checks.difference import spoken
from checks.result import Outcome
from checks.store import bulk
from checks.store.bulk import Observed
from checks.store.schema import last_good, target
from checks.store.states import CHUNK

_COLUMNS = (("target_id", "bigint"), ("at", "bigint"), ("facts", "jsonb"))
_NEWER = "ON CONFLICT (target_id) DO UPDATE SET at = excluded.at, facts = excluded.facts"


@dataclass(frozen=True, slots=True, kw_only=True)
class LastGood:
    """A few facts of the last good answer that was looked at (checks.difference.facts_of)."""

    location: str
    at: datetime
    facts: dict[str, Any]

    @property
    def lines(self) -> list[tuple[str, str]]:
        """The facts for people."""
        return spoken(self.facts)


def remember(conn: sa.Connection, seen: Sequence[Observed]) -> None:
    """Keep the facts of those good results that brought some."""
    rows = {
        item.finished.claimed.target_id: (
            item.finished.claimed.target_id,
            to_micros(item.finished.result.started_at),
            json.dumps(item.finished.result.facts),
        )
        for item in seen
        if item.finished.result.facts is not None and item.finished.result.outcome is Outcome.UP
    }
    if rows:
        bulk.insert(conn, "last_good", _COLUMNS, [rows[target_id] for target_id in sorted(rows)], _NEWER)


def recall(conn: sa.Connection, target_ids: Collection[int]) -> dict[int, LastGood]:
    """What these targets said when they were last well, as far as it is known."""
    ordered, found = sorted(target_ids), {}
    for begin in range(0, len(ordered), CHUNK):
        for row in conn.execute(_query().where(target.c.id.in_(ordered[begin : begin + CHUNK]))):
            found[row.target_id] = LastGood(location=row.location, at=row.at, facts=row.facts)
    return found


def of_monitor(conn: sa.Connection, monitor: UUID) -> list[LastGood]:
    """The same of all locations of a monitor, the latest first."""
    rows = conn.execute(_query().where(target.c.monitor == monitor).order_by(last_good.c.at.desc()))
    return [LastGood(location=row.location, at=row.at, facts=row.facts) for row in rows]


def forget(conn: sa.Connection, target_ids: Sequence[int]) -> None:
    """Forget what these targets said: they are asked something else now, or gone."""
    for begin in range(0, len(target_ids), CHUNK):
        some = target_ids[begin : begin + CHUNK]
        conn.execute(last_good.delete().where(last_good.c.target_id.in_(some)))


def _query() -> sa.Select[Any]:
    columns = (last_good.c.target_id, target.c.location, last_good.c.at, last_good.c.facts)
    return sa.select(*columns).join(target, target.c.id == last_good.c.target_id)
