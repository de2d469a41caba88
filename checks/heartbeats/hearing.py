"""A batch of pings -> rows, in one transaction: the pings, what is known of their jobs, and the transitions."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import replace
from datetime import datetime
from functools import partial
from statistics import median
from typing import Any
from uuid import UUID

import sqlalchemy as sa

from checks.heartbeats.addresses import find
from checks.heartbeats.jobs import Job, jobs_of, lock_jobs, write_jobs
from checks.heartbeats.runs import Action, Ping, Report, Verdict, hear
from checks.result import Outcome
from checks.status import Cause
from checks.store import schema, writer
from checks.store.states import lock_monitors
from checks.store.writer import Written

# So many pings a monitor are stored one by one; more of the same are counted on the row of the last.
BURST = 10.0
PER_SECOND = 5 / 60


class _Batch:
    """What the pings of one transaction come to."""

    def __init__(self) -> None:
        self.rows: list[dict[str, Any]] = []
        self._latest: dict[tuple[UUID, str], dict[str, Any]] = {}  # of `rows`, by monitor and action
        self._counted: dict[tuple[UUID, str], dict[str, Any]] = {}  # what is counted on rows of before

    def keep(self, job: Job, ping: Ping, report: Report, *, changed: bool) -> None:
        """Store a ping, or count it on the row of the last of its sort where they come too fast and say nothing new."""
        key = (job.monitor, report.action.value)
        stored = _spend(job, ping.received_at) or changed or not _is_repetition(ping, report)
        known = None if stored else self._latest.get(key) or self._counted.get(key)
        if known is not None:
            known["count"], known["last_at"] = known["count"] + 1, ping.received_at
            return
        row = _row(ping, job.monitor, report)
        if stored:
            self.rows.append(row)
            self._latest[key] = row
        else:
            self._counted[key] = {**row, "last_at": ping.received_at}

    def write(self, conn: sa.Connection) -> None:
        """Write the rows, and the counts; what finds no row to be counted on becomes one."""
        c = schema.ping.c
        for (monitor, action), row in sorted(self._counted.items()):
            latest = sa.select(c.id).where(c.monitor == monitor, c.action == action)
            latest = latest.order_by(c.received_at.desc(), c.id.desc()).limit(1)
            more = schema.ping.update().where(c.id == latest.scalar_subquery())
            if conn.execute(more.values(count=c.count + row["count"], last_at=row["last_at"])).rowcount == 0:
                self.rows.append(row)
        if self.rows:
            conn.execute(schema.ping.insert(), self.rows)


def hear_all(conn: sa.Connection, pings: Sequence[Ping], now: datetime) -> tuple[list[Verdict], list[Written]]:
    """Store pings in the order of their arrival; what became of each, and what changed by them.

    One that is paused keeps its pings and stays paused. Two changes of one monitor in a batch are two transitions.
    """
    if not pings:
        return [], []
    known = find(conn, {ping.address for ping in pings}, now)
    uuids = {monitor for monitor in known.values() if isinstance(monitor, UUID)}
    if not uuids:
        return [_verdict(known[ping.address]) for ping in pings], []
    lock_monitors(conn, uuids)
    jobs = {job.monitor: job for job in lock_jobs(conn, jobs_of(uuids))}
    verdicts = [_taken(known[ping.address], jobs, ping) for ping in pings]
    batch = _Batch()
    moved: dict[UUID, dict[str, Any]] = {}
    written: list[Written] = []
    for ping, verdict in sorted(zip(pings, verdicts, strict=True), key=lambda each: each[0].received_at):
        if verdict is not Verdict.STORED:
            continue
        job = jobs[known[ping.address]]  # type: ignore[index]  # of a stored one it is a UUID
        before = job.heard
        report = _hear(conn, job, ping, batch.rows)
        changed = job.heard.state.vote is not before.state.vote
        if changed:
            if job.monitor in moved:
                # The change before this one is a transition of its own.
                after, job.heard = job.heard, before
                write_jobs(conn, [job])
                job.heard = after
                written += writer.settle(conn, {job.monitor: moved.pop(job.monitor)}, now, cause=Cause.PING)
            moved[job.monitor] = _evidence(job, ping, report)
        batch.keep(job, ping, report, changed=changed)
    write_jobs(conn, jobs.values())
    batch.write(conn)
    written += writer.settle(conn, moved, now, cause=Cause.PING)
    return verdicts, written


def _taken(known: UUID | Verdict, jobs: Mapping[UUID, Job], ping: Ping) -> Verdict:
    if isinstance(known, Verdict):
        return known
    job = jobs.get(known)
    if job is None:
        return Verdict.OTHER_KIND
    if job.spec is not None and job.spec.post_only and ping.method in ("GET", "HEAD"):
        return Verdict.BY_POST_ONLY
    return Verdict.STORED


def _verdict(known: UUID | Verdict) -> Verdict:
    return known if isinstance(known, Verdict) else Verdict.OTHER_KIND


def _hear(conn: sa.Connection, job: Job, ping: Ping, rows: Sequence[dict[str, Any]]) -> Report:
    """Take one ping in; what it turned out to be."""
    if job.spec is not None and job.active:
        job.heard, report = hear(job.heard, ping, job.spec, partial(_median, conn, job.monitor, rows))
        return report
    if ping.action is not Action.LOG:
        job.heard = replace(job.heard, last_ping_at=ping.at)
    return Report(action=ping.action)


def _median(conn: sa.Connection, monitor: UUID, rows: Iterable[dict[str, Any]], name: str, count: int) -> float | None:
    """The median of a number in the last `count` pings that brought it; None where there were fewer."""
    c = schema.ping.c
    brings = c.duration_ns.is_not(None) if name == "duration" else c.numbers.is_not(None)
    earlier = sa.select(c.numbers, c.duration_ns).where(c.monitor == monitor, brings)
    found = conn.execute(earlier.order_by(c.received_at.desc(), c.id.desc()).limit(4 * count)).mappings()
    mine = [row for row in rows if row["monitor"] == monitor]
    values = [value for row in (*reversed(mine), *found) if (value := _number(row, name)) is not None]
    return median(values[:count]) if len(values) >= count else None


def _number(row: Mapping[Any, Any], name: str) -> float | None:
    if name == "duration":
        return None if row["duration_ns"] is None else row["duration_ns"] / 1e9
    value = (row["numbers"] or {}).get(name)
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


def _row(ping: Ping, monitor: UUID, report: Report) -> dict[str, Any]:
    return {
        "monitor": monitor,
        "received_at": ping.received_at,
        "sent_at": ping.sent_at,
        "action": report.action.value,
        "exit_code": ping.exit_code,
        "run": ping.run,
        "duration_ns": report.duration_ns,
        "method": ping.method,
        "source": ping.source,
        "user_agent": ping.user_agent,
        "body": ping.body,
        "body_size": ping.body_size,
        "numbers": dict(ping.numbers) or None,
        "count": 1,
        "last_at": None,
    }
