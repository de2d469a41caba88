"""Step 4 of the path of a result: a batch of results -> rows, in one transaction; and the only writer of transitions.

A result that confirms its target's vote (nearly all do) touches its target's row only. One that moves the vote takes
the monitor's row first, and the status is decided anew from the votes of all locations (`settle`).
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from datetime import datetime
from typing import Any
from uuid import UUID, uuid4

import sqlalchemy as sa

from checks.difference import difference
from checks.result import Outcome
from checks.status import Cause, MonitorState, Policy, Status, TargetState, Transition, advance, move, observe
from checks.store import bulk, faults, grouping, lastgood
from checks.store.bulk import Observed
from checks.store.claims import Finished
from checks.store.lastgood import LastGood
from checks.store.schema import monitor_state, target, transition
from checks.store.states import (
    CHUNK,
    KEPT_STATE,
    STATE_COLUMNS,
    lock_monitors,
    lock_targets,
    monitor_state_of,
    state_from,
    state_of,
)

CHANNEL = "stillup_transitions"  # PostgreSQL wakes the notifiers that LISTEN to it


@dataclass(frozen=True, slots=True, kw_only=True)
class Written:
    """A transition that this transaction wrote."""

    monitor: UUID
    slug: str
    transition: Transition


@dataclass(slots=True, kw_only=True)
class Recorded:
    """What became of a batch. `refused` results came too late: their targets have another fence by now."""

    refused: int = 0
    transitions: list[Written] = field(default_factory=list)


def record(conn: sa.Connection, batch: Sequence[Finished], now: datetime) -> Recorded:
    """Record a batch, in the caller's transaction: results, states, due times and whatever transitions follow."""
    if not batch:
        return Recorded()
    seen = _observe(conn, batch)
    if seen:
        bulk.write(conn, seen, now)
        lastgood.remember(conn, seen)
    evidence: dict[UUID, dict[str, Any]] = {}
    moved = [item.finished for item in seen if item.moved]
    good = lastgood.recall(conn, [finished.claimed.target_id for finished in moved]) if moved else {}
    for finished in moved:
        evidence[finished.claimed.monitor] = describe(finished, good.get(finished.claimed.target_id))
    down = {item.finished.claimed.monitor for item in seen if item.moved and item.after.vote is Status.DOWN}
    if down:
        faults.notice(conn, batch[0].claimed.location, down, now)
    transitions = settle(conn, evidence, now, cause=Cause.PROBE) if evidence else []
    return Recorded(refused=len(batch) - len(seen), transitions=transitions)


def describe(finished: Finished, good: LastGood | None = None) -> dict[str, Any]:
    """A result as the evidence of a transition, in JSON; durations in nanoseconds. `good` is what it was before."""
    result = finished.result
    before: dict[str, Any] = {}
    if good is not None and result.outcome is not Outcome.UP:
        before["last_good"] = {"at": good.at.isoformat(), "facts": good.facts}
        before["difference"] = difference(good.facts, result.facts)
    return {
        "location": finished.claimed.location,
        "outcome": result.outcome.value,
        "started_at": result.started_at.isoformat(),
        "latency_ns": result.latency_ns,
        "phases": result.phases.as_dict(),
        "failure": None if result.failure is None else result.failure.as_dict(),
        "evidence": result.evidence,
        **before,
    }


def _observe(conn: sa.Connection, batch: Sequence[Finished]) -> list[Observed]:
    """The results whose fence still matches, their targets locked; and the monitors too whose status may change.

    Which monitors those are is known for certain only once the targets are locked, but they must be locked before. So
    the states that came with the claims foretell it; where one of those has changed since, the locks are given back.
    """
    if conn.dialect.name == "sqlite":
        return _lock_and_observe(conn, batch)  # the transaction holds the file's only write lock
    moving = {item.claimed.monitor for item in batch if item.after.vote is not item.claimed.state.vote}
    while True:
        with conn.begin_nested() as savepoint:
            lock_monitors(conn, moving)
            seen = _lock_and_observe(conn, batch)
            missed = {item.finished.claimed.monitor for item in seen if item.moved} - moving
            if not missed:
                return seen
            savepoint.rollback()
        moving |= missed


def _lock_and_observe(conn: sa.Connection, batch: Sequence[Finished]) -> list[Observed]:
    ids = sorted({item.claimed.target_id for item in batch})
    rows = {
        row.id: row
        for begin in range(0, len(ids), CHUNK)
        for row in lock_targets(
            conn,
            target.c.id.in_(ids[begin : begin + CHUNK]),
            target.c.id,
            target.c.fence,
            target.c.leased_by,
            *KEPT_STATE,
        )
    }
    seen = []
    for item in batch:
        row = rows.get(item.claimed.target_id)
        if row is None or row.fence != item.claimed.fence:
            continue
        if row.leased_by is None:
            continue  # recorded before: the answer to that COMMIT was lost, and the batch came again
        before, after, state = item.claimed.state, item.after, row[3:]
        if state != item.claimed.kept:  # somebody else changed it since the claim
            before = state_from(state)
            after = observe(before, item.result.outcome, item.result.started_at, item.policy)
        seen.append(Observed(finished=item, before=before, after=after))
    return sorted(seen, key=lambda item: item.finished.claimed.target_id)


def settle(
    conn: sa.Connection,
    monitors: Mapping[UUID, dict[str, Any]],
    now: datetime,
    *,
    cause: Cause,
) -> list[Written]:
    """Decide the status of these monitors anew, from the votes of all their locations; returns what changed.

    `monitors` maps each to the evidence of its transition. Paused and removed ones stay as they are.
    """
    rows = {uuid: row for uuid, row in lock_monitors(conn, monitors).items() if not row.paused and row.removed is None}
    if not rows:
        return []
    votes: dict[UUID, dict[str, TargetState]] = {uuid: {} for uuid in rows}
    at_fault = faults.known(conn)
    ids = sorted(rows)
    for begin in range(0, len(ids), CHUNK):
        query = sa.select(target.c.monitor, target.c.location, target.c.source, *STATE_COLUMNS).where(
            target.c.monitor.in_(ids[begin : begin + CHUNK])
        )
        for row in conn.execute(query):
            votes[row.monitor][row.location] = faults.believed(state_of(row), row.source, row.location, at_fault)

    def decide(row: sa.Row[Any]) -> tuple[MonitorState, Transition | None]:
        policy = Policy(quorum=row.quorum)
        states, evidence = votes[row.monitor], monitors[row.monitor]
        if len(states) > 1:
            evidence = {**evidence, "locations": {place: states[place].vote.value for place in sorted(states)}}
        state, change = advance(monitor_state_of(row), [*states.values()], policy, now, cause=cause, evidence=evidence)
        if change is not None and change.to_status is Status.UNKNOWN and cause is Cause.PROBE:
            change = replace(change, cause=Cause.LOCATION)  # no probe says that: nobody believes those that there are
        return state, change

    return _write(conn, rows.values(), decide)


def put(conn: sa.Connection, monitor: UUID, status: Status, now: datetime, *, cause: Cause) -> list[Written]:
    """Put a monitor into a status that no vote decides: paused, resumed, removed."""
    return put_all(conn, {monitor: (status, cause)}, now)


def put_all(conn: sa.Connection, moves: Mapping[UUID, tuple[Status, Cause]], now: datetime) -> list[Written]:
    """`put` for many: each into its status by its cause."""

    def decide(row: sa.Row[Any]) -> tuple[MonitorState, Transition | None]:
        status, cause = moves[row.monitor]
        return move(monitor_state_of(row), status, now, cause=cause)

    return _write(conn, lock_monitors(conn, moves).values(), decide)


def _write(
    conn: sa.Connection,
    rows: Iterable[sa.Row[Any]],
    decide: Callable[[sa.Row[Any]], tuple[MonitorState, Transition | None]],
) -> list[Written]:
    """Write what is decided, and what follows for the groups above."""
    decided = [(row, *decide(row)) for row in rows]
    written = _store(conn, decided)
    if written:
        written += regroup(conn, {item.slug: item.transition.since for item in written}, written[0].transition.at)
    return written


def regroup(conn: sa.Connection, since: Mapping[str, datetime | None], now: datetime) -> list[Written]:
    """Decide anew what the groups are that these monitors, by slug, belong to, or are; returns what changed.

    `since` says since when each is what it is now, where that is what changed.
    """
    dates, decided, targets = dict(since), [], []
    for derived in grouping.derive(conn, dates):
        failure = None if derived.failure is None else derived.failure.as_dict()
        evidence = {
            "outcome": derived.status.value,
            "failure": failure,
            "evidence": {"members": {member.slug: member.status.value for member in derived.members}},
        }
        begun = max((at for member in derived.members if (at := dates.get(member.slug)) is not None), default=None)
        before = monitor_state_of(derived.row)
        state, change = move(before, derived.status, now, since=begun, cause=Cause.MEMBERS, evidence=evidence)
        if change is not None:
            dates[derived.row.slug] = change.since
        decided.append((derived.row, state, change))
        targets.append(
            {
                "of": derived.row.monitor,
                "vote": state.status.value,
                "vote_since": state.since,
                "last_result_at": now,
                "last_failure": failure,
            }
        )
    if targets:
        conn.execute(target.update().where(target.c.monitor == sa.bindparam("of")), targets)
    return _store(conn, decided)


def _store(
    conn: sa.Connection, decided: Iterable[tuple[sa.Row[Any], MonitorState, Transition | None]]
) -> list[Written]:
    written, states = [], []
    for row, state, change in decided:
        if change is not None:
            written.append(Written(monitor=row.monitor, slug=row.slug, transition=change))
            states.append({"of": row.monitor, "status": state.status.value, "since": state.since, "seq": state.seq})
    if not written:
        return []
    conn.execute(monitor_state.update().where(monitor_state.c.monitor == sa.bindparam("of")), states)
    conn.execute(transition.insert(), [_transition_values(item) for item in written])
    if conn.dialect.name == "postgresql":
        conn.execute(sa.select(sa.func.pg_notify(CHANNEL, "")))  # delivered with the commit
    return written


def _transition_values(item: Written) -> dict[str, Any]:
    change = item.transition
    return {
        "uuid": uuid4(),
        "monitor": item.monitor,
        "seq": change.seq,
        "at": change.at,
        "since": change.since,
        "from_status": change.from_status.value,
        "to_status": change.to_status.value,
        "cause": change.cause.value,
        "evidence": change.evidence,
    }
