"""A batch of pings -> rows, in one transaction: the pings, what is known of their jobs, and the transitions."""

from __future__ import annotations

import json
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, replace
from datetime import datetime
from functools import partial
from statistics import median
from typing import Any
from uuid import UUID

import sqlalchemy as sa

from checks.clock import to_micros
from checks.heartbeats.addresses import find
from checks.heartbeats.jobs import Job, jobs_of_codes, jobs_of_monitors, lock_jobs, write_jobs
from checks.heartbeats.runs import Action, Address, Heard, Ping, Report, Verdict, hear
from checks.result import Outcome
from checks.status import Cause
from checks.store import bulk, schema, writer
from checks.store.states import lock_monitors
from checks.store.writer import Written

# So many pings a monitor are stored one by one; more of the same are counted on the row of the last.
BURST = 10.0
PER_SECOND = 5 / 60


@dataclass(frozen=True, slots=True)
class _Move:
    """A change of a job's vote: what was known then, and the evidence of the transition that it makes."""

    job: Job
    heard: Heard
    evidence: dict[str, Any]


@dataclass(slots=True)
class _Row:
    """A row of a ping, and of those that are counted on it."""

    ping: Ping
    monitor: UUID
    report: Report
    count: int = 1
    last_at: datetime | None = None


class _Batch:
    """What the pings of one transaction come to, before anything of it is written."""

    def __init__(self) -> None:
        self.rows: list[_Row] = []
        self.moves: list[_Move] = []  # in the order in which they happened
        self._latest: dict[tuple[int, str], _Row] = {}  # of `rows`, by target and action
        self._counted: dict[tuple[int, str], _Row] = {}  # what is counted on rows of before

    def keep(self, job: Job, ping: Ping, report: Report, *, changed: bool) -> None:
        """Store a ping, or count it on the row of the last of its sort where they come too fast and say nothing new."""
        key = (job.target_id, report.action._value_)
        plain = _is_repetition(ping, report)
        stored = _spend(job, ping.received_at) or changed or not plain
        known = None if stored else self._latest.get(key) or self._counted.get(key)
        if known is not None:
            known.count, known.last_at = known.count + 1, ping.received_at
        elif stored:
            row = _Row(ping, job.monitor, report)
            self.rows.append(row)
            if plain:
                self._latest[key] = row
        else:
            self._counted[key] = _Row(ping, job.monitor, report, last_at=ping.received_at)

    def write(self, conn: sa.Connection) -> None:
        """Write the rows, and the counts; what finds no row to be counted on becomes one."""
        c = schema.ping.c
        for _, row in sorted(self._counted.items(), key=lambda each: each[0]):
            latest = sa.select(c.id).where(c.monitor == row.monitor, c.action == row.report.action.value)
            # One that says more, a run or a number, did not come several times.
            latest = latest.where(c.run.is_(None), c.sent_at.is_(None), c.numbers.is_(None), c.duration_ns.is_(None))
            latest = latest.order_by(c.received_at.desc(), c.id.desc()).limit(1)
            more = schema.ping.update().where(c.id == latest.scalar_subquery())
            if conn.execute(more.values(count=c.count + row.count, last_at=row.last_at)).rowcount == 0:
                self.rows.append(row)
        if self.rows:
            bulk.insert(conn, "ping", _PING, [_values(row) for row in self.rows])


def hear_all(conn: sa.Connection, pings: Sequence[Ping], now: datetime) -> tuple[list[Verdict], list[Written]]:
    """Store pings in the order of their arrival; what became of each, and what changed by them.

    One that is paused keeps its pings and stays paused. Two changes of one monitor in a batch are two transitions.

    Nearly no ping changes a status, so monitors are not locked until it shows that theirs does; on PostgreSQL the locks
    of the targets are given back then, because monitors come first.
    """
    if not pings:
        return [], []
    if conn.dialect.name == "sqlite":  # the transaction holds the file's only write lock
        verdicts, jobs, batch = _hear_batch(conn, pings, now)
        return verdicts, _write(conn, jobs, batch, now)
    locked: set[UUID] = set()
    while True:
        with conn.begin_nested() as savepoint:
            if locked:
                lock_monitors(conn, locked)
            verdicts, jobs, batch = _hear_batch(conn, pings, now)
            missed = {move.job.monitor for move in batch.moves} - locked
            if not missed:
                return verdicts, _write(conn, jobs, batch, now)
            savepoint.rollback()
        locked |= missed


def _hear_batch(conn: sa.Connection, pings: Sequence[Ping], now: datetime) -> tuple[list[Verdict], list[Job], _Batch]:
    """What the pings come to, the targets of their jobs locked."""
    jobs, refused = _jobs_of(conn, {ping.address for ping in pings}, now)
    heard_by = [jobs.get(ping.address) for ping in pings]
    verdicts = [_verdict(job, refused, ping) for ping, job in zip(pings, heard_by, strict=True)]
    batch, stored = _Batch(), Verdict.STORED
    ordered = sorted(zip(pings, heard_by, verdicts, strict=True), key=lambda each: each[0].received_at)
    for ping, job, verdict in ordered:
        if job is None or verdict is not stored:
            continue
        vote = job.heard.state.vote
        report = _hear(conn, job, ping, batch.rows)
        changed = job.heard.state.vote is not vote
        if changed:
            batch.moves.append(_Move(job, job.heard, _evidence(job, ping, report)))
        batch.keep(job, ping, report, changed=changed)
    return verdicts, list({job.target_id: job for job in jobs.values()}.values()), batch


def _jobs_of(
    conn: sa.Connection, addresses: set[Address], now: datetime
) -> tuple[Mapping[Address, Job], Mapping[Address, Verdict]]:
    """The job of each address, or why there is none. Two addresses of one monitor have one job."""
    codes = [address for address in addresses if isinstance(address, UUID)]
    found = find(conn, addresses.difference(codes), now)
    wanted = {monitor for monitor in found.values() if isinstance(monitor, UUID)}
    if codes and wanted:
        lock_jobs(conn, codes, wanted)
    by_code = jobs_of_codes(conn, codes, now)
    if not found and len(by_code) == len(codes):
        return by_code, {}
    jobs = dict[Address, Job](by_code.items())
    found |= find(conn, set(codes) - by_code.keys(), now)
    # Those too that were published just now, between two statements.
    wanted = {monitor for monitor in found.values() if isinstance(monitor, UUID)}
    by_monitor = {job.monitor: job for job in jobs.values()}
    by_monitor |= {job.monitor: job for job in jobs_of_monitors(conn, wanted - by_monitor.keys())}
    refused: dict[Address, Verdict] = {}
    for address, monitor in found.items():
        if isinstance(monitor, Verdict):
            refused[address] = monitor
        elif monitor in by_monitor:
            jobs[address] = by_monitor[monitor]
        else:
            refused[address] = Verdict.OTHER_KIND
    return jobs, refused


def _verdict(job: Job | None, refused: Mapping[Address, Verdict], ping: Ping) -> Verdict:
    if job is None:
        return refused.get(ping.address, Verdict.UNKNOWN)
    if job.spec is not None and job.spec.post_only and ping.method in ("GET", "HEAD"):
        return Verdict.BY_POST_ONLY
    return Verdict.STORED


def _write(conn: sa.Connection, jobs: Sequence[Job], batch: _Batch, now: datetime) -> list[Written]:
    """Write what the pings came to. A job that moved twice is written and settled in between."""
    written: list[Written] = []
    moves: dict[UUID, _Move] = {}
    for move in batch.moves:
        earlier = moves.get(move.job.monitor)
        if earlier is not None:
            final, earlier.job.heard = earlier.job.heard, earlier.heard
            write_jobs(conn, [earlier.job])
            earlier.job.heard = final
            written += writer.settle(conn, {earlier.job.monitor: earlier.evidence}, now, cause=Cause.PING)
        moves[move.job.monitor] = move
    write_jobs(conn, jobs)
    batch.write(conn)
    evidence = {monitor: move.evidence for monitor, move in moves.items()}
    return written + (writer.settle(conn, evidence, now, cause=Cause.PING) if evidence else [])


def _hear(conn: sa.Connection, job: Job, ping: Ping, rows: Sequence[_Row]) -> Report:
    """Take one ping in; what it turned out to be."""
    if job.spec is not None and job.active:
        job.heard, report = hear(job.heard, ping, job.spec, partial(_median, conn, job.monitor, rows))
        return report
    if ping.action is not Action.LOG:
        job.heard = replace(job.heard, last_ping_at=ping.at)
    return Report(action=ping.action)


def _median(conn: sa.Connection, monitor: UUID, rows: Iterable[_Row], name: str, count: int) -> float | None:
    """The median of a number in the last `count` pings that brought it; None where there were fewer."""
    c = schema.ping.c
    brings = c.duration_ns.is_not(None) if name == "duration" else c.numbers.is_not(None)
    earlier = sa.select(c.numbers, c.duration_ns).where(c.monitor == monitor, brings)
    found = conn.execute(earlier.order_by(c.received_at.desc(), c.id.desc()).limit(4 * count))
    brought = [(row.ping.numbers, row.report.duration_ns) for row in rows if row.monitor == monitor][::-1]
    brought += [(row.numbers or {}, row.duration_ns) for row in found]
    values = [value for numbers, took in brought if (value := _number(numbers, took, name)) is not None]
    return median(values[:count]) if len(values) >= count else None


def _number(numbers: Mapping[str, float], duration_ns: int | None, name: str) -> float | None:
    if name == "duration":
        return None if duration_ns is None else duration_ns / 1e9
    value = numbers.get(name)
    return None if value is None else float(value)


def _spend(job: Job, at: datetime) -> bool:
    """Take one from the job's allowance of pings that are stored one by one; whether there was one."""
    passed = 0.0 if job.allowance_at is None else max(0.0, (at - job.allowance_at).total_seconds())
    available = min(BURST, (BURST if job.allowance is None else job.allowance) + passed * PER_SECOND)
    enough = available >= 1.0
    job.allowance, job.allowance_at = available - 1.0 if enough else available, at
    return enough


def _is_repetition(ping: Ping, report: Report) -> bool:
    """Whether nothing is lost by counting this ping on the row of the one before."""
    if ping.run is not None or ping.sent_at is not None or ping.numbers or report.duration_ns is not None:
        return False
    return report.action is Action.LOG or (report.action is Action.SUCCESS and report.failure is None)


def _evidence(job: Job, ping: Ping, report: Report) -> dict[str, Any]:
    failure = report.failure
    outcome = job.heard.state.last_outcome or Outcome.UP
    evidence: dict[str, Any] = {"ping": report.action.value, "exit_code": ping.exit_code}
    if ping.sent_at is not None:
        evidence["sent_at"] = ping.sent_at.isoformat()
    if report.duration_ns is not None:
        evidence["duration_ns"] = report.duration_ns
    return {
        "location": job.location,
        "outcome": outcome.value,
        "failure": None if failure is None else failure.as_dict(),
        "evidence": evidence,
    }


# The columns of a row, with their types on PostgreSQL.
_PING = (
    ("monitor", "uuid"),
    ("received_at", "bigint"),
    ("sent_at", "bigint"),
    ("action", "text"),
    ("exit_code", "integer"),
    ("run", "uuid"),
    ("duration_ns", "bigint"),
    ("method", "text"),
    ("source", "text"),
    ("user_agent", "text"),
    ("body", "bytea"),
    ("body_size", "integer"),
    ("numbers", "jsonb"),
    ("count", "integer"),
    ("last_at", "bigint"),
)


def _values(row: _Row) -> tuple[Any, ...]:
    """A row in the form of the schema."""
    ping, report = row.ping, row.report
    return (
        row.monitor.hex,
        to_micros(ping.received_at),
        None if ping.sent_at is None else to_micros(ping.sent_at),
        report.action._value_,
        ping.exit_code,
        None if ping.run is None else ping.run.hex,
        report.duration_ns,
        ping.method,
        ping.source,
        ping.user_agent,
        ping.body,
        ping.body_size,
        json.dumps(dict(ping.numbers)) if ping.numbers else None,
        row.count,
        None if row.last_at is None else to_micros(row.last_at),
    )
