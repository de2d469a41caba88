"""A batch of pings -> rows, in one transaction: the pings, what is known of their jobs, and the transitions."""

from __future__ import annotations

import json
import logging
from collections.abc import Sequence
from dataclasses import dataclass, field, replace
from datetime import datetime, timedelta
from functools import lru_cache, partial
from typing import Any
from uuid import UUID

import sqlalchemy as sa

from checks.heartbeats.runs import Action, Heard, Ping, failure_of, hear
from checks.probes import parse_spec
from checks.probes.heartbeat import HeartbeatSpec
from checks.result import Failure, Outcome
from checks.status import Cause
from checks.store import schema, writer
from checks.store.schema import monitor_state, ping_code, target
from checks.store.states import CHUNK, lock_monitors, lock_targets, state_of, state_values
from checks.store.writer import Written

logger = logging.getLogger(__name__)

_LONGEST_RUN = timedelta(days=3)  # between the two pings of one ?rid=, unless max_run allows more


@dataclass(slots=True)
class _Job:
    """A target while its pings are heard."""

    target_id: int
    location: str
    active: bool
    spec: HeartbeatSpec | None
    heard: Heard
    starts: dict[UUID, datetime] = field(default_factory=dict)  # of the runs that began in this batch


def hear_all(conn: sa.Connection, pings: Sequence[Ping], now: datetime) -> tuple[list[bool], list[Written]]:
    """Store pings in the order of their arrival; which of them have a known code, and what changed by them.

    One that is paused keeps its pings and stays paused. Two changes of one monitor in a batch are two transitions.
    """
    if not pings:
        return [], []
    monitors = _monitors_of(conn, {ping.code for ping in pings})
    if not monitors:
        return [False] * len(pings), []
    lock_monitors(conn, set(monitors.values()))
    jobs = _jobs_of(conn, set(monitors.values()))
    rows: list[dict[str, Any]] = []
    moved: dict[UUID, dict[str, Any]] = {}
    written: list[Written] = []
    for ping in sorted(pings, key=lambda each: each.received_at):
        monitor = monitors.get(ping.code)
        if monitor is None:
            continue
        duration = None
        for job in jobs.get(monitor, ()):
            before = job.heard
            duration = _hear(conn, job, ping, monitor)
            if job.heard.state.vote is before.state.vote:
                continue
            if monitor in moved:
                # The change before this one is a transition of its own.
                _write_jobs(conn, [(job, before)])
                written += writer.settle(conn, {monitor: moved.pop(monitor)}, now, cause=Cause.PING)
            moved[monitor] = _evidence(job, ping)
        rows.append(_row(ping, monitor, duration))
    _write_jobs(conn, [(job, job.heard) for each in jobs.values() for job in each])
    if rows:
        conn.execute(schema.ping.insert(), rows)
    written += writer.settle(conn, moved, now, cause=Cause.PING)
    return [ping.code in monitors for ping in pings], written


def _monitors_of(conn: sa.Connection, codes: set[UUID]) -> dict[UUID, UUID]:
    """The monitor of each code that is known."""
    ordered, found = sorted(codes), {}
    for begin in range(0, len(ordered), CHUNK):
        known = (
            sa.select(ping_code.c.code, ping_code.c.monitor)
            .join(monitor_state, monitor_state.c.monitor == ping_code.c.monitor)
            .where(ping_code.c.code.in_(ordered[begin : begin + CHUNK]), monitor_state.c.removed.is_(None))
        )
        found.update({row.code: row.monitor for row in conn.execute(known)})
    return found


def _jobs_of(conn: sa.Connection, monitors: set[UUID]) -> dict[UUID, list[_Job]]:
    ordered = sorted(monitors)
    jobs: dict[UUID, list[_Job]] = {}
    for begin in range(0, len(ordered), CHUNK):
        ours = sa.and_(target.c.source == "pinged", target.c.monitor.in_(ordered[begin : begin + CHUNK]))
        for row in lock_targets(conn, ours):
            heard = Heard(
                state=state_of(row),
                last_ping_at=row.last_ping_at,
                started_at=row.last_start_at,
                duration_ns=row.last_duration_ns,
                deadline_at=row.deadline_at,
                failure=None if row.last_failure is None else Failure.from_dict(row.last_failure),
            )
            spec = _parse(json.dumps(row.spec, sort_keys=True))
            jobs.setdefault(row.monitor, []).append(_Job(row.id, row.location, row.active, spec, heard))
    return jobs


@lru_cache(maxsize=10_000)
def _parse(text: str) -> HeartbeatSpec | None:
    try:
        spec = parse_spec(json.loads(text))
    except ValueError:
        spec = None
    if not isinstance(spec, HeartbeatSpec):
        # Its pings are kept; one row that can't be read must not stop those of the others.
        logger.error("the specification of a heartbeat can't be read: %s", text, extra={"action": "spec_unreadable"})
        return None
    return spec


def _hear(conn: sa.Connection, job: _Job, ping: Ping, monitor: UUID) -> int | None:
    """Take one ping in; the nanoseconds of the run that it ends."""
    if job.spec is None or not job.active:
        if ping.action is not Action.LOG:
            job.heard = replace(job.heard, last_ping_at=ping.received_at)
        return None
    start_of = partial(_start_of, conn, job, ping, monitor)
    job.heard, duration = hear(job.heard, ping, job.spec, start_of)
    if ping.action is Action.START and ping.run is not None:
        job.starts[ping.run] = ping.received_at
    return duration


def _start_of(conn: sa.Connection, job: _Job, end: Ping, monitor: UUID, run: UUID) -> datetime | None:
    """When a run began, by its `?rid=`; None where its start was not reported."""
    if run in job.starts:
        return job.starts[run]
    longest = _LONGEST_RUN
    if job.spec is not None and job.spec.max_run is not None:
        longest = max(longest, timedelta(seconds=job.spec.max_run + job.spec.grace))
    c = schema.ping.c
    start = (
        sa.select(c.received_at)
        .where(c.monitor == monitor, c.received_at >= end.received_at - longest)
        .where(c.run == run, c.action == Action.START.value)
        .order_by(c.received_at.desc())
        .limit(1)
    )
    found: datetime | None = conn.execute(start).scalar()
    return found


def _write_jobs(conn: sa.Connection, jobs: Sequence[tuple[_Job, Heard]]) -> None:
    values = [
        {
            "of": job.target_id,
            **state_values(heard.state),
            "last_ping_at": heard.last_ping_at,
            "last_start_at": heard.started_at,
            "last_duration_ns": heard.duration_ns,
            "deadline_at": heard.deadline_at,
            "last_failure": None if heard.failure is None else heard.failure.as_dict(),
        }
        for job, heard in jobs
    ]
    if values:
        conn.execute(target.update().where(target.c.id == sa.bindparam("of")), values)


def _evidence(job: _Job, ping: Ping) -> dict[str, Any]:
    failure = failure_of(ping)
    return {
        "location": job.location,
        "outcome": (Outcome.UP if failure is None else Outcome.DOWN).value,
        "failure": None if failure is None else failure.as_dict(),
        "evidence": {"ping": ping.action.value, "exit_code": ping.exit_code},
    }


def _row(ping: Ping, monitor: UUID, duration_ns: int | None) -> dict[str, Any]:
    return {
        "monitor": monitor,
        "received_at": ping.received_at,
        "action": ping.action.value,
        "exit_code": ping.exit_code,
        "run": ping.run,
        "duration_ns": duration_ns,
        "method": ping.method,
        "source": ping.source,
        "user_agent": ping.user_agent,
        "body": ping.body,
        "body_size": ping.body_size,
    }
