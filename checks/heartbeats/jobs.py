"""What is known of jobs, as it lies in rows: read and locked in one statement, written back in one.

Statements are the database's own and values in the form of `checks.store.schema`: thousands of pings a second come here.
What a connection has read or written it remembers, and asks only whether that is still so.
"""

from __future__ import annotations

import json
import logging
from collections.abc import Collection, Iterable, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Any, Self
from uuid import UUID

import sqlalchemy as sa

from checks.clock import to_micros
from checks.heartbeats.rows import WRITTEN, heard_of, instant_of, values_of
from checks.heartbeats.runs import Address, Heard
from checks.probes import parse_spec
from checks.probes.heartbeat import HeartbeatSpec
from checks.store import bulk, driver
from checks.store.schema import open_run, ping_code, target
from checks.store.states import CHUNK

logger = logging.getLogger(__name__)

_WHOSE = ("monitor", "location", "revision", "active")  # read, and not written
_COLUMNS = ", ".join(f"target.{name}" for name in (*_WHOSE, *(name for name, _ in WRITTEN)))
_OWNED, _REVISION = len(_WHOSE), _WHOSE.index("revision")
_PLACES = {name: place for place, (name, _) in enumerate(WRITTEN)}
_JUDGE_AT, _ALLOWANCE_AT = _PLACES["judge_at"], _PLACES["ping_allowance_at"]
_OPEN_RUNS = _OWNED + _PLACES["open_runs"]
_MOST_KNOWN = 20_000
_MEMORY = "heartbeat_jobs"
_USED_EVERY = 60_000_000  # microseconds

# Which rows: those of codes that are heard, or of monitors. The values come as one array.
_BY_CODE = """
    FROM ping_code
    JOIN target ON target.monitor = ping_code.monitor AND target.source = 'pinged'
    WHERE ping_code.code {among} AND (ping_code.expires_at IS NULL OR ping_code.expires_at > {mark})
"""
_BY_MONITOR = "FROM target WHERE target.source = 'pinged' AND target.monitor {among}"
# By these a row tells whether anybody has changed it since: every publish raises the revision, every ping moves the
# instant of the allowance, every judgement of silence that of the next.
_MARKED = "SELECT id, revision, judge_at, ping_allowance_at FROM target WHERE id {among} ORDER BY id"
_DUE = " AND target.active AND target.judge_at <= {mark}"


@dataclass(slots=True)
class Job:
    """A target of a heartbeat while its pings are heard or its deadline is judged."""

    target_id: int
    monitor: UUID
    location: str
    revision: int
    active: bool
    spec: HeartbeatSpec | None  # None where it can't be read
    before: Heard
    heard: Heard
    allowance: float | None = None
    allowance_at: datetime | None = None


_Specs = dict[tuple[int, int], HeartbeatSpec | None]  # by target and revision
_Mark = tuple[Any, ...]


@dataclass(slots=True)
class _Remembered:
    """A job without open runs, which lie in rows of their own, as a connection read or wrote it last."""

    mark: _Mark
    monitor: UUID
    location: str
    active: bool
    spec: HeartbeatSpec | None
    heard: Heard
    allowance: float | None
    allowance_at: datetime | None


@dataclass(slots=True)
class _Code:
    """A code as it was read last, at a revision of its target; instants in microseconds."""

    target_id: int
    revision: int
    expires_at: int | None
    used_at: int | None


class _Memory:
    """What a connection knows of jobs, by target, and of codes; never more than so many of each."""

    def __init__(self) -> None:
        self.jobs: dict[int, _Remembered] = {}
        self.codes: dict[UUID, _Code] = {}

    @classmethod
    def of(cls, conn: sa.Connection) -> Self:
        """The connection's."""
        if _MEMORY not in conn.info:
            conn.info[_MEMORY] = cls()
        found: Self = conn.info[_MEMORY]
        return found

    def make_room(self, more: int) -> None:
        """Begin anew where so many more would be too many."""
        if len(self.jobs) + more > _MOST_KNOWN:
            self.jobs.clear()
        if len(self.codes) + more > _MOST_KNOWN:
            self.codes.clear()

    def keep(self, job: Job, written: Sequence[Any]) -> None:
        """Remember a job of which this is written, unless runs of it are open."""
        if job.heard.open:
            self.jobs.pop(job.target_id, None)
            return
        mark = (job.revision, written[_JUDGE_AT], written[_ALLOWANCE_AT])
        self.jobs[job.target_id] = _Remembered(
            mark, job.monitor, job.location, job.active, job.spec, job.heard, job.allowance, job.allowance_at
        )


def jobs_of_codes(conn: sa.Connection, codes: Collection[UUID], now: datetime) -> dict[Address, Job]:
    """The job of each code that is heard, its target locked; codes that were not used for a minute are marked as used."""
    memory, mark = _Memory.of(conn), to_micros(now)
    known = {code: found for code in codes if (found := memory.codes.get(code)) is not None and _is_heard(found, mark)}
    if len(known) < len(codes) and conn.dialect.name != "sqlite":
        # In one order with those that are known; and a code that is read while a publish takes it away, of which the
        # target alone is read anew after the wait, would be remembered.
        lock_jobs(conn, codes, ())
    jobs = _recalled(conn, memory, {found.target_id for found in known.values()})
    known = {code: found for code, found in known.items() if _is_of(found, jobs)}
    if len(known) < len(codes):
        known |= _read_codes(conn, memory, [code for code in codes if code not in known], mark, jobs)
    due = mark - _USED_EVERY
    used = [code for code, found in known.items() if found.used_at is None or found.used_at < due]
    if used:
        bulk.update(conn, "ping_code", (("code", "uuid"), ("last_used_at", "bigint")), [(c.hex, mark) for c in used])
        for code in used:
            known[code].used_at = mark
    return {code: jobs[found.target_id] for code, found in known.items()}


def _is_heard(code: _Code, now: int) -> bool:
    return code.expires_at is None or code.expires_at > now


def _is_of(code: _Code, jobs: Mapping[int, Job]) -> bool:
    """Whether the code is known to be one of its job: a publish since may have taken it away."""
    job = jobs.get(code.target_id)
    return job is not None and job.revision == code.revision


def _recalled(conn: sa.Connection, memory: _Memory, ids: Collection[int]) -> dict[int, Job]:
    """Those of these targets, now locked, that nobody has changed since they were remembered."""
    ids = [each for each in ids if each in memory.jobs]
    if not ids:
        return {}
    sqlite = conn.dialect.name == "sqlite"
    chosen = "IN (SELECT value FROM json_each(?))" if sqlite else "= ANY(%s::bigint[])"
    array = ("[{}]" if sqlite else "{{{}}}").format(",".join(map(str, ids)))
    lock = "" if sqlite else " FOR UPDATE"
    jobs = {}
    for target_id, *mark in driver.select(conn, _MARKED.format(among=chosen) + lock, (array,)):
        found = memory.jobs[target_id]
        if tuple(mark) == found.mark:
            jobs[target_id] = Job(
                target_id=target_id,
                monitor=found.monitor,
                location=found.location,
                revision=found.mark[0],
                active=found.active,
                spec=found.spec,
                before=found.heard,
                heard=found.heard,
                allowance=found.allowance,
                allowance_at=found.allowance_at,
            )
    return jobs


def _read_codes(
    conn: sa.Connection, memory: _Memory, codes: Sequence[UUID], now: int, jobs: dict[int, Job]
) -> dict[UUID, _Code]:
    """These codes, as far as they are heard, and into `jobs` those of theirs that are not there."""
    rows = _rows(conn, "ping_code.code, ping_code.expires_at, ping_code.last_used_at, ", _BY_CODE, codes, now)
    more = len(rows[0]) - _OWNED - len(WRITTEN) if rows else 0
    # A replaced code is one of the same job.
    jobs |= {job.target_id: job for job in _jobs(conn, [row[more:] for row in rows]) if job.target_id not in jobs}
    memory.make_room(len(rows))
    found = {}
    for code, expires_at, used_at, *row in rows:
        found[_uuid(code)] = memory.codes[_uuid(code)] = _Code(row[_OWNED], row[_REVISION], expires_at, used_at)
    return found


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


def _jobs(conn: sa.Connection, rows: Sequence[tuple[Any, ...]]) -> list[Job]:
    specs = _specs_of(conn, rows)
    runs = _open_runs(conn, {_uuid(row[0]) for row in rows if row[_OPEN_RUNS]})
    jobs = []
    for row in rows:
        monitor, location, revision, active = row[:_OWNED]
        written = row[_OWNED:]
        uuid = _uuid(monitor)
        heard = heard_of(written, runs.get(uuid, {}))
        jobs.append(
            Job(
                target_id=written[0],
                monitor=uuid,
                location=location,
                revision=revision,
                active=bool(active),
                spec=specs[written[0], revision],
                before=heard,
                heard=heard,
                allowance=written[-2],
                allowance_at=instant_of(written[-1]),
            )
        )
    return jobs


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
    rows = [values_of(job.target_id, job.heard, job.allowance, job.allowance_at) for job in jobs]
    bulk.update(conn, "target", WRITTEN, rows)
    _write_open_runs(conn, jobs)
    memory: _Memory | None = conn.info.get(_MEMORY)
    if memory is not None:  # who sweeps comes to each job once
        memory.make_room(len(jobs))
        for job, row in zip(jobs, rows, strict=True):
            memory.keep(job, row)
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
