"""What is watched, as the configuration last said: monitors become targets.

Everything arrives in batches and may arrive twice, late, or out of order: only a higher revision changes anything.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from collections.abc import Set as AbstractSet
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Any
from uuid import UUID

import sqlalchemy as sa
from sqlalchemy.dialects import postgresql, sqlite

from checks import schedule
from checks.status import Cause, Policy, Status
from checks.store import grouping, lastgood, ping_codes, watches
from checks.store.schema import monitor_state, open_run, ping_code, target
from checks.store.states import CHUNK, FRESH, NO_RUNS, UNHEARD, lock_monitors, lock_targets
from checks.store.writer import put_all, regroup, settle

UNTIL_FORGOTTEN = timedelta(days=30)  # so long after a deletion it is known what was asked, and with which secrets
_PRUNED_AT_ONCE = 100


@dataclass(frozen=True, kw_only=True)
class PublishedMonitor:
    """A monitor as the store needs it. `removed` is None, "retired" or "deleted"; `spec` has its secrets sealed."""

    uuid: UUID
    slug: str
    name: str
    kind: str
    source: str
    revision: int
    spec: dict[str, Any]
    places: tuple[str, ...]
    interval: float
    retry_interval: float
    policy: Policy
    paused: bool = False
    removed: str | None = None
    ping_codes: tuple[UUID, ...] = ()
    old_codes: tuple[tuple[UUID, datetime], ...] = ()  # replaced ones, heard until then
    members: tuple[str, ...] = ()  # of a group: the slugs of the monitors from which its status follows

    @property
    def active(self) -> bool:
        """Whether it is watched now."""
        return not self.paused and self.removed is None

    def codes(self) -> dict[UUID, datetime | None]:
        """The codes by which it is pinged, with the instant at which each ends; a removed one has none."""
        return {} if self.removed is not None else {**dict(self.old_codes), **dict.fromkeys(self.ping_codes)}


def publish(conn: sa.Connection, monitors: Sequence[PublishedMonitor], now: datetime) -> int:
    """Take over those of a higher revision than the store has; returns how many.

    A changed specification refuses the results of probes that run, and begins to count failures anew; due times stay.
    Pausing, resuming, removing and other locations change the status in the same transaction.
    """
    newest: dict[UUID, PublishedMonitor] = {}
    for monitor in monitors:
        known = newest.get(monitor.uuid)
        if known is None or known.revision < monitor.revision:
            newest[monitor.uuid] = monitor
    ordered = sorted(newest.values(), key=lambda monitor: monitor.uuid)
    _insert_unknown(conn, ordered, now)
    rows = _lock(conn, ordered)
    changed = [monitor for monitor in ordered if rows[monitor.uuid].revision < monitor.revision]
    if changed:
        _write_monitors(conn, changed, rows, now)
        grouping.write_members(conn, {monitor.uuid: monitor.members for monitor in changed})
        moved = _write_targets(conn, changed, rows, now)
        ping_codes.write_codes(conn, {monitor.uuid: monitor.codes() for monitor in changed}, now)
        _settle(conn, changed, rows, moved, now)
    return len(changed)


def _lock(conn: sa.Connection, monitors: Sequence[PublishedMonitor]) -> dict[UUID, sa.Row[Any]]:
    """The locked rows of these monitors; of a group its members are locked too, so that none changes unseen meanwhile."""
    members = grouping.uuids_of(conn, {slug for monitor in monitors for slug in monitor.members})
    slugs = {monitor.slug for monitor in monitors}
    rows = lock_monitors(conn, {*members, *(monitor.uuid for monitor in monitors)}, slugs)
    return {monitor.uuid: rows[monitor.uuid] for monitor in monitors}


def _insert_unknown(conn: sa.Connection, monitors: Sequence[PublishedMonitor], now: datetime) -> None:
    """Rows of revision 0 for those that the store has not seen; of two publishers at once, one inserts."""
    if not monitors:
        return
    make = sqlite.insert if conn.dialect.name == "sqlite" else postgresql.insert
    conn.execute(
        make(monitor_state).on_conflict_do_nothing(),
        [
            {
                "monitor": monitor.uuid,
                "slug": monitor.slug,
                "name": monitor.name,
                "kind": monitor.kind,
                "revision": 0,
                "quorum": monitor.policy.quorum,
                "status": (Status.PENDING if monitor.active else Status.PAUSED).value,
                "since": now,
                "seq": 0,
                "paused": monitor.paused,
                "removed": monitor.removed,
                "consumed_seq": 0,
            }
            for monitor in monitors
        ],
    )


def _write_monitors(
    conn: sa.Connection,
    changed: Sequence[PublishedMonitor],
    rows: dict[UUID, sa.Row[Any]],
    now: datetime,
) -> None:
    query = monitor_state.update().where(monitor_state.c.monitor == sa.bindparam("of"))
    values = []
    for monitor in changed:
        row = rows[monitor.uuid]
        gone_at = (row.removed_at if row.removed == monitor.removed else None) or now
        values.append(
            {
                "of": monitor.uuid,
                "slug": monitor.slug,
                "name": monitor.name,
                "kind": monitor.kind,
                "revision": monitor.revision,
                "quorum": monitor.policy.quorum,
                "paused": monitor.paused,
                "removed": monitor.removed,
                "removed_at": None if monitor.removed is None else gone_at,
            },
        )
    conn.execute(query, values)


def _write_targets(
    conn: sa.Connection,
    changed: Sequence[PublishedMonitor],
    rows: dict[UUID, sa.Row[Any]],
    now: datetime,
) -> set[UUID]:
    """Make, change and remove targets; returns the monitors whose status may be another by other locations, sources or quorum."""
    existing: dict[tuple[UUID, str], sa.Row[Any]] = {}
    for row in _lock_targets_of(conn, changed):
        existing[row.monitor, row.location] = row
    wanted = {(monitor.uuid, place): monitor for monitor in changed for place in monitor.places}
    gone = [row.id for key, row in existing.items() if key not in wanted]
    new = [_new_target(monitor, place, now) for (_, place), monitor in _missing(wanted, existing)]
    updates = [
        _changed_target(wanted[key], row, now, resumed=_is_back(wanted[key], rows[key[0]]))
        for key, row in existing.items()
        if key in wanted
    ]
    fences = {row.id: row.fence for row in existing.values()}
    back = {key[0] for key, monitor in wanted.items() if _is_back(monitor, rows[key[0]])}
    other = {key[0] for key, row in existing.items() if not _is_same_source(wanted.get(key), row)}
    _forget_runs(conn, back | other)
    lastgood.forget(conn, [*gone, *(each["of"] for each in updates if each["fence"] != fences[each["of"]])])
    if gone:
        conn.execute(target.delete().where(target.c.id == sa.bindparam("of")), [{"of": number} for number in gone])
    if new:
        conn.execute(target.insert(), new)
    if updates:
        updates.sort(key=lambda values: values["of"])
        conn.execute(target.update().where(target.c.id == sa.bindparam("of")), updates)
    moved = other | {values["monitor"] for values in new}
    watches.follow(conn, moved, now)
    return moved | {monitor.uuid for monitor in changed if rows[monitor.uuid].quorum != monitor.policy.quorum}


def _lock_targets_of(conn: sa.Connection, changed: Sequence[PublishedMonitor]) -> Iterator[sa.Row[Any]]:
    """The locked targets of many monitors, in one order over all of them: else a recorder and we would wait in a circle.

    The monitors are locked, so that nobody adds one meanwhile.
    """
    ids: list[int] = []
    for begin in range(0, len(changed), CHUNK):
        uuids = [monitor.uuid for monitor in changed[begin : begin + CHUNK]]
        ids += conn.execute(sa.select(target.c.id).where(target.c.monitor.in_(uuids))).scalars()
    ids.sort()
    for begin in range(0, len(ids), CHUNK):
        yield from lock_targets(conn, target.c.id.in_(ids[begin : begin + CHUNK]))


def _is_same_source(monitor: PublishedMonitor | None, row: sa.Row[Any]) -> bool:
    """Whether a target stays one that is probed, pinged, derived or set, as it was."""
    return monitor is not None and bool(monitor.source == row.source)


def _forget_runs(conn: sa.Connection, monitors: AbstractSet[UUID]) -> None:
    """The open runs of these are nobody's any more, or may have ended while they were paused."""
    if monitors:
        conn.execute(open_run.delete().where(open_run.c.monitor == sa.bindparam("of")), [{"of": m} for m in monitors])


def _missing(
    wanted: dict[tuple[UUID, str], PublishedMonitor],
    existing: dict[tuple[UUID, str], sa.Row[Any]],
) -> list[tuple[tuple[UUID, str], PublishedMonitor]]:
    return [(key, monitor) for key, monitor in wanted.items() if key not in existing]


def _is_back(monitor: PublishedMonitor, row: sa.Row[Any]) -> bool:
    """Whether a monitor that was paused or removed is watched again."""
    return monitor.active and (row.paused or row.removed is not None)


def _common(monitor: PublishedMonitor) -> dict[str, Any]:
    return {
        "source": monitor.source,
        "revision": monitor.revision,
        "spec": monitor.spec,
        "active": monitor.active,
        "interval_seconds": monitor.interval,
        "retry_seconds": monitor.retry_interval,
    }


def _new_target(monitor: PublishedMonitor, place: str, now: datetime) -> dict[str, Any]:
    return {
        "monitor": monitor.uuid,
        "location": place,
        **_common(monitor),
        "fence": 0,
        "skipped_slots": 0,
        "next_due_at": _first_due(monitor, now),
        **FRESH,
    }


def _changed_target(
    monitor: PublishedMonitor,
    row: sa.Row[Any],
    now: datetime,
    *,
    resumed: bool,
) -> dict[str, Any]:
    """All columns that a publish may change, the same for every row: one statement serves them all."""
    same = (row.spec, row.source, row.interval_seconds, row.retry_seconds, row.active) == (
        monitor.spec,
        monitor.source,
        monitor.interval,
        monitor.retry_interval,
        monitor.active,
    )
    values = {
        "of": row.id,
        **_common(monitor),
        "fence": row.fence if same else row.fence + 1,
        "leased_until": row.leased_until if same else None,
        "leased_by": row.leased_by if same else None,
        "next_due_at": _due(monitor, row, now, resumed=resumed),
        **{name: getattr(row, name) for name in (*FRESH, *UNHEARD)},
        **_deadlines(monitor, row, now, resumed=resumed, same=same),
    }
    if row.source != monitor.source:
        return {**values, **FRESH, **UNHEARD}
    if resumed:
        return {**values, **FRESH, "open_runs": 0, "last_start_at": None}
    return values if same else {**values, **NO_RUNS}


def _due(monitor: PublishedMonitor, row: sa.Row[Any], now: datetime, *, resumed: bool) -> datetime | None:
    """The due time stays, unless it is further off than the new interval allows."""
    due: datetime | None = row.next_due_at
    keeps = monitor.active and not resumed and monitor.source == "probed" and due is not None
    if keeps and due is not None and due <= now + timedelta(seconds=monitor.interval):
        return due
    return _first_due(monitor, now)


def _deadlines(
    monitor: PublishedMonitor,
    row: sa.Row[Any],
    now: datetime,
    *,
    resumed: bool,
    same: bool,
) -> dict[str, Any]:
    """A paused heartbeat has no deadline; of a resumed one, that was heard of before, silence counts from now on.

    By another schedule it may be nearer or further off: the sweep, which knows schedules, is called to it at once.
    """
    names = ("deadline_at", "expected_at", "judge_at", "counted_from")
    values = {name: getattr(row, name) for name in names}
    if not monitor.active or row.counted_from is None:
        return {**dict.fromkeys(names), "counted_from": row.counted_from}
    if resumed:
        return {**dict.fromkeys(names), "counted_from": now, "judge_at": now}
    if same or row.judge_at is None:
        return values
    return {**values, "judge_at": min(row.judge_at, now)}


def _first_due(monitor: PublishedMonitor, now: datetime) -> datetime | None:
    """When it is probed first, spread over its interval; never, where it is not watched or reports by itself."""
    if not monitor.active or monitor.source != "probed":
        return None
    return schedule.first_due(now, monitor.interval, monitor.uuid)


def _settle(
    conn: sa.Connection,
    changed: Sequence[PublishedMonitor],
    rows: dict[UUID, sa.Row[Any]],
    moved: set[UUID],
    now: datetime,
) -> None:
    """Bring the status of each into line: their rows are locked already."""
    moves: dict[UUID, tuple[Status, Cause]] = {}
    for monitor in changed:
        row = rows[monitor.uuid]
        if row.revision == 0:
            continue  # it was made with the status that it has
        if monitor.removed is not None and row.removed is None:
            moves[monitor.uuid] = (Status.PAUSED, Cause(monitor.removed))
        elif monitor.paused and not row.paused:
            moves[monitor.uuid] = (Status.PAUSED, Cause.PAUSED)
        elif _is_back(monitor, row):
            moves[monitor.uuid] = (Status.PENDING, Cause.RESUMED)
    if moves:
        put_all(conn, moves, now)
    voting: dict[UUID, dict[str, Any]] = {
        monitor.uuid: {}
        for monitor in changed
        if monitor.active and monitor.source != "derived" and monitor.uuid in moved and rows[monitor.uuid].revision > 0
    }
    if voting:
        settle(conn, voting, now, cause=Cause.CHANGED)
    # Groups go by slugs: one may have been given to another monitor, or away.
    slugs = {slug for monitor in changed for slug in (monitor.slug, rows[monitor.uuid].slug)}
    regroup(conn, dict.fromkeys(slugs), now)


def revisions(conn: sa.Connection) -> dict[UUID, int]:
    """The revision of every monitor that the store knows, removed ones too."""
    rows = conn.execute(sa.select(monitor_state.c.monitor, monitor_state.c.revision))
    return {row.monitor: row.revision for row in rows}


def forget_deleted(conn: sa.Connection, now: datetime) -> int:
    """Forget what monitors that were deleted 30 days ago were asked, with its secrets; returns how many.

    Their names and transitions stay for ever, for the reports of the time in which they were watched; what was measured
    ages out (`checks.store.retention`). Nor does an older publish ever bring them back.
    """
    c = monitor_state.c
    old = (
        sa.select(c.monitor)
        .where(_forgettable(now))
        .order_by(c.monitor)
        .limit(_PRUNED_AT_ONCE)
        .with_for_update(skip_locked=True)
    )
    gone = [row.monitor for row in conn.execute(old)]
    if gone:
        conn.execute(target.delete().where(target.c.monitor.in_(gone)))
        conn.execute(ping_code.delete().where(ping_code.c.monitor.in_(gone)))
        watches.follow(conn, gone, now)
    return len(gone)


def count_forgettable(conn: sa.Connection, now: datetime) -> int:
    """How many monitors `forget_deleted` would forget by and by."""
    count: int = conn.execute(
        sa.select(sa.func.count()).select_from(monitor_state).where(_forgettable(now))
    ).scalar_one()
    return count


def _forgettable(now: datetime) -> sa.ColumnElement[bool]:
    c = monitor_state.c
    asked = sa.exists().where(target.c.monitor == c.monitor)
    return sa.and_(c.removed == "deleted", c.removed_at <= now - UNTIL_FORGOTTEN, c.seq <= c.consumed_seq, asked)
