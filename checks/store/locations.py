"""What each location thinks of one monitor, and whether that counts."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime
from typing import Any
from uuid import UUID

import sqlalchemy as sa

from checks.status import Status
from checks.store import faults
from checks.store.schema import target
from checks.store.states import STATE_COLUMNS, state_of


@dataclass(frozen=True, slots=True, kw_only=True)
class LocationView:
    """One location's vote, as it counts: `unknown` where it is silent, or its network at fault."""

    location: str
    vote: Status
    since: datetime | None
    last_result_at: datetime | None
    last_latency_ns: int | None
    last_failure: dict[str, Any] | None
    at_fault: bool


def locations(conn: sa.Connection, monitor: UUID) -> list[LocationView]:
    """All locations that hold a target of a monitor, by name."""
    known, c = faults.known(conn), target.c
    query = sa.select(c.location, c.source, c.last_latency_ns, c.last_failure, *STATE_COLUMNS).where(
        c.monitor == monitor
    )
    views = []
    for row in conn.execute(query.order_by(c.location)):
        state = faults.believed(state_of(row), row.source, row.location, known)
        views.append(
            LocationView(
                location=row.location,
                vote=state.vote,
                since=state.vote_since,
                last_result_at=state.last_result_at,
                last_latency_ns=row.last_latency_ns,
                last_failure=row.last_failure,
                at_fault=row.source == "probed" and row.location in known,
            )
        )
    return views
