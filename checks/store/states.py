"""How the pure states of `checks.status` lie in rows, and the locks under which they change.

The order of locks, the same for everybody, so that nobody waits in a circle: `monitor_state` rows in the order of
their UUIDs, then `target` rows in the order of their numbers. Whoever may change a status locks the monitor first.
"""

from __future__ import annotations

from collections.abc import Collection, Iterator, Mapping, Sequence
from collections.abc import Set as AbstractSet
from datetime import datetime
from typing import Any
from uuid import UUID

import sqlalchemy as sa

from checks.clock import from_micros
from checks.result import Outcome
from checks.status import MonitorState, Status, TargetState
from checks.store.schema import Instant, group_member, monitor_state, target

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


def kept(column: sa.Column[Any]) -> sa.ColumnElement[Any]:
    """A column as it lies in the store, an instant in microseconds: for those who read thousands of rows a second."""
    return sa.type_coerce(column, sa.BigInteger) if isinstance(column.type, Instant) else column


KEPT_STATE = tuple(kept(column) for column in STATE_COLUMNS)

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
# A job that was never heard of: what asked or was asked before says nothing of it. Its open runs go too.
UNHEARD: Mapping[str, Any] = {
    "last_latency_ns": None,
    "last_failure": None,
    "deadline_at": None,
    "expected_at": None,
    "judge_at": None,
    "counted_from": None,
    "last_ping_at": None,
    "last_start_at": None,
    "last_duration_ns": None,
    "open_runs": 0,
    "progress": None,
    "progress_run": 0,
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


def state_from(values: Sequence[Any]) -> TargetState:
    """The running state of the values of `KEPT_STATE`."""
    vote, vote_since, last_outcome, last_result_at, serving_run, serving_since, healthy_run, healthy_since = values
    serving = _instant(serving_since)
    return TargetState(
        vote=_STATUS[vote],
        vote_since=serving if vote_since == serving_since else _instant(vote_since),
        last_outcome=_OUTCOME[last_outcome],
        last_result_at=_instant(last_result_at),
        serving_run=serving_run,
        serving_since=serving,
        healthy_run=healthy_run,
        healthy_since=serving if healthy_since == serving_since else _instant(healthy_since),
    )


def _instant(micros: int | None) -> datetime | None:
    return None if micros is None else from_micros(micros)


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


def lock_monitors(
    conn: sa.Connection, monitors: Collection[UUID], slugs: Collection[str] = ()
) -> dict[UUID, sa.Row[Any]]:
    """The locked rows of these monitors, those that exist. Nobody else changes their status until the commit.

    The groups above them, and above `slugs`, are locked too: their status follows in the same transaction. A group that
    got one of them as a member while we waited is found only then; so the locks are given back, and taken in order.
    """
    wanted = set(monitors)
    if conn.dialect.name == "sqlite" or not wanted:
        return _lock(conn, wanted)  # the transaction holds the file's only write lock
    above = groups_above(conn, wanted, slugs)
    while True:
        # Never released: on PostgreSQL, who waits for a row that a released savepoint locked waits for the end of the
        # transaction, and would go on waiting where the caller rolls back to a savepoint of its own.
        conn.exec_driver_sql("SAVEPOINT monitors")
        rows = _lock(conn, wanted | above)
        missed = groups_above(conn, wanted, slugs) - above
        if not missed:
            return {uuid: row for uuid, row in rows.items() if uuid in wanted}
        conn.exec_driver_sql("ROLLBACK TO SAVEPOINT monitors")
        above |= missed


def _lock(conn: sa.Connection, monitors: AbstractSet[UUID]) -> dict[UUID, sa.Row[Any]]:
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


def groups_above(conn: sa.Connection, monitors: Collection[UUID] = (), slugs: Collection[str] = ()) -> set[UUID]:
    """The groups that these monitors belong to, and those that these groups belong to, and so on."""
    found: set[UUID] = set()
    called = set(slugs)
    looked_at = set(monitors)
    while looked_at or called:
        above = {*_groups_of(conn, sorted(looked_at)), *_groups_of_slugs(conn, sorted(called))} - found
        found |= above
        looked_at, called = above, set()
    return found


def _groups_of(conn: sa.Connection, monitors: list[UUID]) -> Iterator[UUID]:
    member = sa.join(group_member, monitor_state, monitor_state.c.slug == group_member.c.member)
    for begin in range(0, len(monitors), CHUNK):
        some = monitor_state.c.monitor.in_(monitors[begin : begin + CHUNK])
        yield from conn.execute(sa.select(group_member.c.monitor).select_from(member).where(some)).scalars()


def _groups_of_slugs(conn: sa.Connection, slugs: list[str]) -> Iterator[UUID]:
    for begin in range(0, len(slugs), CHUNK):
        some = group_member.c.member.in_(slugs[begin : begin + CHUNK])
        yield from conn.execute(sa.select(group_member.c.monitor).where(some)).scalars()


def lock_targets(
    conn: sa.Connection,
    where: sa.ColumnElement[bool],
    *columns: sa.ColumnElement[Any],
) -> list[sa.Row[Any]]:
    """The locked rows of the targets that match, in the order of their numbers."""
    query = sa.select(*(columns or target.c)).where(where).order_by(target.c.id)
    return list(conn.execute(query.with_for_update()).all())
