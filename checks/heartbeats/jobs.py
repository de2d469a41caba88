"""What is known of jobs, as it lies in rows: read and locked in one statement, written back in one.

Statements are the database's own and values in the form of `checks.store.schema`: thousands of pings a second come here.
"""

from __future__ import annotations

import json
import logging
from collections.abc import Collection, Iterable, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Any
from uuid import UUID

import sqlalchemy as sa

from checks.clock import from_micros, to_micros
from checks.heartbeats.runs import Address, Heard
from checks.probes import parse_spec
from checks.probes.heartbeat import HeartbeatSpec
from checks.result import Failure
from checks.store import bulk, driver
from checks.store.schema import open_run, ping_code, target
from checks.store.states import CHUNK, state_from

logger = logging.getLogger(__name__)

# What is written of a job, with the types of the columns on PostgreSQL; the same is read, after whose it is.
_WHOSE = ("monitor", "location", "revision", "active")
_WRITTEN = (
    ("id", "bigint"),
    ("vote", "text"),
    ("vote_since", "bigint"),
    ("last_outcome", "text"),
    ("last_result_at", "bigint"),
    ("serving_run", "integer"),
    ("serving_since", "bigint"),
    ("healthy_run", "integer"),
    ("healthy_since", "bigint"),
    ("last_failure", "jsonb"),
    ("deadline_at", "bigint"),
    ("expected_at", "bigint"),
    ("judge_at", "bigint"),
    ("counted_from", "bigint"),
    ("last_ping_at", "bigint"),
    ("last_start_at", "bigint"),
    ("last_duration_ns", "bigint"),
    ("open_runs", "integer"),
    ("progress", "float8"),
    ("progress_run", "integer"),
    ("ping_allowance", "float8"),
    ("ping_allowance_at", "bigint"),
)
_COLUMNS = ", ".join(f"target.{name}" for name in (*_WHOSE, *(name for name, _ in _WRITTEN)))
_OWNED = len(_WHOSE)
_OPEN_RUNS = _OWNED + [name for name, _ in _WRITTEN].index("open_runs")
_MOST_KNOWN = 20_000
_USED_EVERY = timedelta(minutes=1)

# Which rows: those of codes that are heard, or of monitors. The values come as one array.
_BY_CODE = """
    FROM ping_code
    JOIN target ON target.monitor = ping_code.monitor AND target.source = 'pinged'
    WHERE ping_code.code {among} AND (ping_code.expires_at IS NULL OR ping_code.expires_at > {mark})
"""
_BY_MONITOR = "FROM target WHERE target.source = 'pinged' AND target.monitor {among}"
_DUE = " AND target.active AND target.judge_at <= {mark}"


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
_Known = dict[
    int, tuple[tuple[Any, ...], UUID, Heard, datetime | None]
]  # by target: what was written of it, and as what


def jobs_of_codes(conn: sa.Connection, codes: Collection[UUID], now: datetime) -> dict[Address, Job]:
    """The job of each code that is heard, its target locked; codes that were not used for a minute are marked as used."""
    rows = _rows(conn, "ping_code.code, ping_code.last_used_at, ", _BY_CODE, codes, to_micros(now))
    due = to_micros(now - _USED_EVERY)
    used = [(_uuid(row[0]).hex, to_micros(now)) for row in rows if row[1] is None or row[1] < due]
    if used:
        bulk.update(conn, "ping_code", (("code", "uuid"), ("last_used_at", "bigint")), used)
    jobs = {job.target_id: job for job in _jobs(conn, [row[2:] for row in rows])}
    asked: Mapping[Any, UUID] = {code.hex: code for code in codes} if conn.dialect.name == "sqlite" else {}
    # A replaced code is one of the same job.
    return {asked.get(row[0]) or _uuid(row[0]): jobs[row[2 + _OWNED]] for row in rows}


def lock_jobs(conn: sa.Connection, codes: Collection[UUID], monitors: Collection[UUID]) -> None:
    """Lock the targets of all of these in one order, where they are then read in two statements."""
    by_code = sa.select(ping_code.c.monitor).where(ping_code.c.code.in_(sorted(codes)))
    either = sa.or_(target.c.monitor.in_(sorted(monitors)), target.c.monitor.in_(by_code))
    locked = sa.select(target.c.id).where(target.c.source == "pinged", either).order_by(target.c.id)
    conn.execute(locked.with_for_update()).all()


def jobs_of_monitors(conn: sa.Connection, monitors: Collection[UUID], due: datetime | None = None) -> list[Job]:
    """The jobs of these monitors, their targets locked; with `due`, those that are to be judged by then."""
    if due is None:
        return _jobs(conn, _rows(conn, "", _BY_MONITOR, monitors))
    return _jobs(conn, _rows(conn, "", _BY_MONITOR + _DUE, monitors, to_micros(due)))


def _rows(conn: sa.Connection, more: str, which: str, among: Collection[UUID], *values: int) -> list[tuple[Any, ...]]:
    """Rows of targets in the order of their numbers, their values as they lie in the store."""
    if not among:
        return []
    sqlite = conn.dialect.name == "sqlite"
    chosen = "IN (SELECT value FROM json_each(?))" if sqlite else "= ANY(%s::uuid[])"
    array = json.dumps([each.hex for each in among]) if sqlite else "{" + ",".join(each.hex for each in among) + "}"
    statement = f"SELECT {more}{_COLUMNS} {which} ORDER BY target.id".format(among=chosen, mark="?" if sqlite else "%s")
    lock = "" if sqlite else " FOR UPDATE OF target"
    return driver.select(conn, statement + lock, (array, *values))


def _uuid(value: Any) -> UUID:
    return value if isinstance(value, UUID) else UUID(value)


def _instant(micros: int | None) -> datetime | None:
    return None if micros is None else from_micros(micros)


def _jobs(conn: sa.Connection, rows: Sequence[tuple[Any, ...]]) -> list[Job]:
    specs = _specs_of(conn, rows)
    runs = _open_runs(conn, {_uuid(row[0]) for row in rows if row[_OPEN_RUNS]})
    known: _Known = conn.info.setdefault("heartbeat_jobs", {})
    jobs = []
    for row in rows:
        _, location, revision, active = row[:_OWNED]
        written = row[_OWNED:]
        last = known.get(written[0])
        # Where what lies there is what we wrote, it need not be read again. Runs that are open lie elsewhere.
        if last is not None and last[0] == written and not row[_OPEN_RUNS]:
            _, monitor, heard, allowance_at = last
        else:
            monitor, allowance_at = _uuid(row[0]), _instant(written[-1])
            heard = _heard(written, runs.get(monitor, {}))
        spec = specs[written[0], revision]
        jobs.append(
            Job(
                target_id=written[0],
                monitor=monitor,
                location=location,
                active=bool(active),
                spec=spec,
                before=heard,
                heard=heard,
                allowance=written[-2],
                allowance_at=allowance_at,
            )
        )
    return jobs


def _heard(written: Sequence[Any], runs: Mapping[UUID, datetime]) -> Heard:
    """What is known of a job, of the values of the columns that are written."""
    failure, deadline_at, expected_at, judge_at, counted_from, last_ping_at, _, duration_ns, _, *rest = written[9:]
    progress, progress_run, _, _ = rest
    if isinstance(failure, str):  # as SQLite keeps it
        failure = json.loads(failure)
    return Heard(
        state=state_from(written[1:9]),
        last_ping_at=_instant(last_ping_at),
        counted_from=_instant(counted_from),
        open=runs,
        duration_ns=duration_ns,
        expected_at=_instant(expected_at),
        deadline_at=_instant(deadline_at),
        judge_at=_instant(judge_at),
        failure=None if failure is None else Failure.from_dict(failure),
        progress=progress,
        progress_run=progress_run,
    )


def _specs_of(conn: sa.Connection, rows: Sequence[Sequence[Any]]) -> _Specs:
    """The specification of each row, read once a revision and connection."""
    specs: _Specs = conn.info.setdefault("heartbeat_specs", {})
    if len(specs) + len(rows) > _MOST_KNOWN:
        specs.clear()
    unknown = sorted({row[4] for row in rows if (row[4], row[2]) not in specs})
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
    jobs = sorted(jobs, key=lambda job: job.target_id)
    if not jobs:
        return
    rows = [_values(job) for job in jobs]
    bulk.update(conn, "target", _WRITTEN, rows)
    _write_open_runs(conn, jobs)
    known: _Known = conn.info.setdefault("heartbeat_jobs", {})
    if len(known) + len(jobs) > _MOST_KNOWN:
        known.clear()
    for job, row in zip(jobs, rows, strict=True):
        job.before = job.heard
        known[job.target_id] = row, job.monitor, job.heard, job.allowance_at


def _values(job: Job) -> tuple[Any, ...]:
    heard, state = job.heard, job.heard.state
    # A ping sets several of the instants to its own, which is brought into its form once.
    at, since = heard.last_ping_at, state.serving_since
    at_micros, since_micros = _micros(at), _micros(since)
    return (
        job.target_id,
        state.vote._value_,
        since_micros if state.vote_since is since else _micros(state.vote_since),
        None if state.last_outcome is None else state.last_outcome._value_,
        at_micros if state.last_result_at is at else _micros(state.last_result_at),
        state.serving_run,
        since_micros,
        state.healthy_run,
        since_micros if state.healthy_since is since else _micros(state.healthy_since),
        None if heard.failure is None else json.dumps(heard.failure.as_dict()),
        _micros(heard.deadline_at),
        _micros(heard.expected_at),
        _micros(heard.judge_at),
        at_micros if heard.counted_from is at else _micros(heard.counted_from),
        at_micros,
        _micros(heard.started_at) if heard.open else None,
        heard.duration_ns,
        len(heard.open),
        heard.progress,
        heard.progress_run,
        job.allowance,
        at_micros if job.allowance_at is at else _micros(job.allowance_at),
    )


def _micros(instant: datetime | None) -> int | None:
    return None if instant is None else to_micros(instant)


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
