"""How the pure states of `checks.status` lie in rows, and the locks under which they change.

The order of locks, the same for everybody, so that nobody waits in a circle: `monitor_state` rows in the order of
their UUIDs, then `target` rows in the order of their numbers. Whoever may change a status locks the monitor first.
"""

from __future__ import annotations

from collections.abc import Collection, Mapping
from typing import Any
from uuid import UUID

import sqlalchemy as sa

from checks.result import Outcome
from checks.status import MonitorState, Status, TargetState
from checks.store.schema import monitor_state, target

STATE_COLUMNS: tuple[sa.Column[Any], ...] = (
    target.c.vote,
    target.c.vote_since,
    target.c.last_outcome,
    target.c.last_result_at,
    target.c.serving_run,
    target.c.serving_since,
    target.c.healthy_run,
    target.c.healthy_since,
)
# A target that was never asked, or whose monitor was resumed: what it thought before the pause is no longer known.
FRESH: Mapping[str, Any] = {
    "vote": Status.PENDING.value,
    "vote_since": None,
    "last_outcome": None,
    "last_result_at": None,
    "serving_run": 0,
    "serving_since": None,
    "healthy_run": 0,
    "healthy_since": None,
}
# Another specification: the vote stays, so that an open incident does, but failures of the old one count no more.
NO_RUNS: Mapping[str, Any] = {
    "last_outcome": None,
    "serving_run": 0,
    "serving_since": None,
    "healthy_run": 0,
    "healthy_since": None,
}
CHUNK = 500  # rows a statement: databases bound the number of parameters

# Every claim and every record makes some of these for each target: a look-up costs a fifth of calling the class.
_STATUS = {status.value: status for status in Status}
_OUTCOME: dict[str | None, Outcome | None] = {None: None, **{outcome.value: outcome for outcome in Outcome}}


def state_of(row: sa.Row[Any]) -> TargetState:
    """The running state of a row that has the `STATE_COLUMNS`."""
    return TargetState(
        vote=_STATUS[row.vote],
        vote_since=row.vote_since,
        last_outcome=_OUTCOME[row.last_outcome],
        last_result_at=row.last_result_at,
        serving_run=row.serving_run,
        serving_since=row.serving_since,
        healthy_run=row.healthy_run,
        healthy_since=row.healthy_since,
    )


def state_values(state: TargetState) -> dict[str, Any]:
    """The columns of a running state, by name."""
    return {
        "vote": state.vote.value,
        "vote_since": state.vote_since,
        "last_outcome": None if state.last_outcome is None else state.last_outcome.value,
        "last_result_at": state.last_result_at,
        "serving_run": state.serving_run,
        "serving_since": state.serving_since,
        "healthy_run": state.healthy_run,
        "healthy_since": state.healthy_since,
    }


def monitor_state_of(row: sa.Row[Any]) -> MonitorState:
    """The status of a row of `monitor_state`."""
    return MonitorState(status=Status(row.status), since=row.since, seq=row.seq)


def lock_monitors(conn: sa.Connection, monitors: Collection[UUID]) -> dict[UUID, sa.Row[Any]]:
    """The locked rows of these monitors, those that exist. Nobody else changes their status until the commit."""
    ordered = sorted(monitors)
    rows: dict[UUID, sa.Row[Any]] = {}
    for begin in range(0, len(ordered), CHUNK):
        query = (
            sa.select(monitor_state)
            .where(monitor_state.c.monitor.in_(ordered[begin : begin + CHUNK]))
            .order_by(monitor_state.c.monitor)
            .with_for_update()
        )
        rows.update((row.monitor, row) for row in conn.execute(query))
    return rows


def lock_targets(
    conn: sa.Connection,
    where: sa.ColumnElement[bool],
    *columns: sa.Column[Any],
) -> list[sa.Row[Any]]:
    """The locked rows of the targets that match, in the order of their numbers."""
    query = sa.select(*(columns or target.c)).where(where).order_by(target.c.id)
    return list(conn.execute(query.with_for_update()))
