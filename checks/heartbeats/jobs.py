"""What is known of jobs, as it lies in rows: read under the monitors' locks, written back in one statement."""

from __future__ import annotations

import logging
from collections.abc import Collection, Iterable, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Any
from uuid import UUID

import sqlalchemy as sa

from checks.heartbeats.runs import Heard
from checks.probes import parse_spec
from checks.probes.heartbeat import HeartbeatSpec
from checks.result import Failure
from checks.store.schema import open_run, target
from checks.store.states import CHUNK, STATE_COLUMNS, lock_targets, state_of, state_values

logger = logging.getLogger(__name__)

COLUMNS: tuple[sa.Column[Any], ...] = (
    target.c.id,
    target.c.monitor,
    target.c.location,
    target.c.revision,
    target.c.active,
    *STATE_COLUMNS,
    target.c.last_failure,
    target.c.deadline_at,
    target.c.expected_at,
    target.c.judge_at,
    target.c.counted_from,
    target.c.last_ping_at,
    target.c.last_duration_ns,
    target.c.open_runs,
    target.c.progress,
    target.c.progress_run,
    target.c.ping_allowance,
    target.c.ping_allowance_at,
)
_MOST_SPECS = 20_000


@dataclass(slots=True)
class Job:
    """A target of a heartbeat while its pings are heard or its deadline is judged."""

    target_id: int
    monitor: UUID
    location: str
    active: bool
    spec: HeartbeatSpec | None  # None where it can't be read
    before: Heard
    heard: Heard
    allowance: float | None = None
    allowance_at: datetime | None = None


_Specs = dict[tuple[int, int], HeartbeatSpec | None]  # by target and revision


def lock_jobs(conn: sa.Connection, where: Iterable[sa.ColumnElement[bool]]) -> list[Job]:
    """The jobs of the targets that match any of these conditions, locked. Their monitors are locked already."""
    rows: list[sa.Row[Any]] = []
    for condition in where:
        rows += lock_targets(conn, sa.and_(target.c.source == "pinged", condition), *COLUMNS)
    specs = _specs_of(conn, rows)
    runs = _open_runs(conn, {row.monitor for row in rows if row.open_runs})
    return [_job(row, specs[row.id, row.revision], runs.get(row.monitor, {})) for row in rows]


def jobs_of(monitors: Collection[UUID]) -> Iterable[sa.ColumnElement[bool]]:
    """The conditions that choose all targets of these monitors."""
    ordered = sorted(monitors)
    for begin in range(0, len(ordered), CHUNK):
        yield target.c.monitor.in_(ordered[begin : begin + CHUNK])


def _job(row: sa.Row[Any], spec: HeartbeatSpec | None, runs: Mapping[UUID, datetime]) -> Job:
    heard = Heard(
        state=state_of(row),
        last_ping_at=row.last_ping_at,
        counted_from=row.counted_from,
        open=runs,
        duration_ns=row.last_duration_ns,
        expected_at=row.expected_at,
        deadline_at=row.deadline_at,
        judge_at=row.judge_at,
        failure=None if row.last_failure is None else Failure.from_dict(row.last_failure),
        progress=row.progress,
        progress_run=row.progress_run,
    )
    return Job(
        target_id=row.id,
        monitor=row.monitor,
        location=row.location,
        active=row.active,
        spec=spec,
        before=heard,
        heard=heard,
        allowance=row.ping_allowance,
        allowance_at=row.ping_allowance_at,
    )


def _specs_of(conn: sa.Connection, rows: Sequence[sa.Row[Any]]) -> _Specs:
    """The specification of each row, read once a revision and connection."""
    specs: _Specs = conn.info.setdefault("heartbeat_specs", {})
    if len(specs) + len(rows) > _MOST_SPECS:
        specs.clear()
    unknown = sorted({row.id for row in rows if (row.id, row.revision) not in specs})
    for begin in range(0, len(unknown), CHUNK):
        query = sa.select(target.c.id, target.c.revision, target.c.spec)
        for row in conn.execute(query.where(target.c.id.in_(unknown[begin : begin + CHUNK]))):
            specs[row.id, row.revision] = _read(row.spec)
    return specs


def _read(data: Mapping[str, Any]) -> HeartbeatSpec | None:
    try:
        spec = parse_spec(data)
    except ValueError:
        spec = None
    if isinstance(spec, HeartbeatSpec):
        return spec
    # Its pings are kept; one row that can't be read must not stop those of the others.
    logger.error("the specification of a heartbeat can't be read: %s", data, extra={"action": "spec_unreadable"})
    return None


def _open_runs(conn: sa.Connection, monitors: Collection[UUID]) -> dict[UUID, dict[UUID, datetime]]:
    ordered, found = sorted(monitors), dict[UUID, dict[UUID, datetime]]()
    for begin in range(0, len(ordered), CHUNK):
        for row in conn.execute(sa.select(open_run).where(open_run.c.monitor.in_(ordered[begin : begin + CHUNK]))):
            found.setdefault(row.monitor, {})[row.run] = row.started_at
    return found


def write_jobs(conn: sa.Connection, jobs: Iterable[Job]) -> None:
    """Write back what is now known of these jobs."""
    jobs = list(jobs)
    values = [
        {
            "of": job.target_id,
            **state_values(job.heard.state),
            "last_failure": None if job.heard.failure is None else job.heard.failure.as_dict(),
            "deadline_at": job.heard.deadline_at,
            "expected_at": job.heard.expected_at,
            "judge_at": job.heard.judge_at,
            "counted_from": job.heard.counted_from,
            "last_ping_at": job.heard.last_ping_at,
            "last_start_at": job.heard.started_at,
            "last_duration_ns": job.heard.duration_ns,
            "open_runs": len(job.heard.open),
            "progress": job.heard.progress,
            "progress_run": job.heard.progress_run,
            "ping_allowance": job.allowance,
            "ping_allowance_at": job.allowance_at,
        }
        for job in jobs
    ]
    if not values:
        return
    conn.execute(target.update().where(target.c.id == sa.bindparam("of")), values)
    _write_open_runs(conn, jobs)
    for job in jobs:
        job.before = job.heard


def _write_open_runs(conn: sa.Connection, jobs: Sequence[Job]) -> None:
    ended, begun = [], []
    for job in jobs:
        before, after = job.before.open, job.heard.open
        if before == after:
            continue
        ended += [{"m": job.monitor, "r": run} for run in before if after.get(run) != before[run]]
        begun += [
            {"monitor": job.monitor, "run": run, "started_at": start}
            for run, start in after.items()
            if before.get(run) != start
        ]
    if ended:
        gone = sa.and_(open_run.c.monitor == sa.bindparam("m"), open_run.c.run == sa.bindparam("r"))
        conn.execute(open_run.delete().where(gone), ended)
    if begun:
        conn.execute(open_run.insert(), begun)
