"""Judges the heartbeats that were not heard from in time: late, missed, or hidden by a blindness of ours."""

from __future__ import annotations

import logging
import zoneinfo
from collections.abc import Sequence
from dataclasses import replace
from datetime import datetime, timedelta
from typing import Any
from uuid import UUID

import sqlalchemy as sa

from checks import sight
from checks.heartbeats.jobs import Job, jobs_of_monitors, write_jobs
from checks.heartbeats.runs import Deadlines, deadlines
from checks.probes.heartbeat import HeartbeatSpec
from checks.result import Failure, Outcome, Reason
from checks.sight import Blind
from checks.status import Cause, Policy, Status, observe
from checks.store import writer
from checks.store.schema import target
from checks.store.states import lock_monitors
from checks.units import spoken_duration

logger = logging.getLogger(__name__)

AT_ONCE = 200
_AT_ONCE_DECIDED = Policy(failures=1, successes=1)


def overdue(conn: sa.Connection, now: datetime) -> bool:
    """Whether there is a job to judge."""
    return conn.execute(sa.select(target.c.id).where(_is_overdue(now)).limit(1)).first() is not None


def _is_overdue(now: datetime) -> sa.ColumnElement[bool]:
    return sa.and_(target.c.judge_at <= now, target.c.active, target.c.source == "pinged")


def sweep(conn: sa.Connection, now: datetime) -> bool:
    """Judge those that are overdue, the oldest first; True: there are more.

    A job is judged only after a web process lived past its deadline: until then a ping may be on its way, or lost. What
    a blindness covers is moved to its end plus the grace.
    """
    seen_until = sight.last_sign(conn, sight.WEB, now=now)
    if seen_until is None:
        return False
    judged = _is_overdue(min(now, seen_until))
    first = sa.select(target.c.monitor).where(judged).order_by(target.c.judge_at).limit(AT_ONCE)
    monitors = list(conn.execute(first).scalars())
    if not monitors:
        return False
    lock_monitors(conn, monitors)
    jobs = jobs_of_monitors(conn, monitors, min(now, seen_until))  # those that no ping has reached meanwhile
    evidence: dict[UUID, dict[str, Any]] = {}
    for job in jobs:
        failure = _judge(conn, job, min(now, seen_until))
        if failure is not None:
            evidence[job.monitor] = _evidence(job, failure)
    write_jobs(conn, jobs)
    for written in writer.settle(conn, evidence, now, cause=Cause.DEADLINE):
        logger.info(
            "%s went from %s to %s: not heard from in time",
            written.slug,
            written.transition.from_status,
            written.transition.to_status,
            extra={"action": "transition", "monitor": written.slug, "seq": written.transition.seq, "cause": "deadline"},
        )
    return len(monitors) == AT_ONCE


def _judge(conn: sa.Connection, job: Job, seen: datetime) -> Failure | None:
    """Why the job is late or down by what was seen until `seen`, now its state; None where it is neither yet."""
    heard, spec = job.heard, job.spec
    due = Deadlines(down_at=heard.deadline_at) if spec is None else deadlines(heard, spec)
    if due.down_at is None:
        job.heard = replace(heard, judge_at=None)
        return None
    # A late ping was a ping: what ended before it can't have hidden anything.
    known = [at for at in (heard.counted_from, heard.last_ping_at) if at is not None]
    heard_at = max(known, default=None)
    grace = timedelta(seconds=300.0 if spec is None else spec.grace)
    blind = sight.blindness(conn, sight.WEB, sight.EVERYWHERE, heard_at or due.down_at - grace, seen)
    down_at = sight.fair_deadline(due.down_at, heard_at, grace, blind)
    late_at = due.late_at if due.late_at is not None and not _hides(blind, due.late_at) else None
    if down_at <= seen:
        failure = _missed(job, replace(due, down_at=down_at))
        # The next ping sets the next deadline.
        state = observe(heard.state, Outcome.DOWN, down_at, _AT_ONCE_DECIDED)
        job.heard = replace(heard, state=state, failure=failure, deadline_at=None, judge_at=None)
        return failure
    job.heard = replace(heard, expected_at=due.expected_at, deadline_at=down_at, judge_at=down_at)
    if late_at is None or heard.state.vote in (Status.DEGRADED, Status.DOWN):
        return None  # late already, or for a reason that a start does not end
    if late_at > seen:
        job.heard = replace(job.heard, judge_at=late_at)
        return None
    failure = _late(job, replace(due, down_at=down_at))
    state = observe(heard.state, Outcome.DEGRADED, late_at, _AT_ONCE_DECIDED)
    job.heard = replace(job.heard, state=state, failure=failure)
    return failure


def _hides(blind: Sequence[Blind], late_at: datetime) -> bool:
    """Whether a ping may have been lost that would have been in time."""
    return any(interval.start <= late_at for interval in blind)


def _evidence(job: Job, failure: Failure) -> dict[str, Any]:
    last = job.heard.last_ping_at
    evidence: dict[str, Any] = {"last_ping_at": last.isoformat() if last else None}
    if job.heard.duration_ns is not None:
        evidence["last_duration_ns"] = job.heard.duration_ns
    return {
        "location": job.location,
        "outcome": (Outcome.DEGRADED if failure.reason is Reason.LATE else Outcome.DOWN).value,
        "failure": failure.as_dict(),
        "evidence": evidence,
    }


def _missed(job: Job, due: Deadlines) -> Failure:
    zone = _zone(job.spec)
    if due.overrun is not None:
        start, until = due.overrun
        allowed = f"within {spoken_duration((until - start).total_seconds())}"
        return Failure(
            reason=Reason.OVERRAN,
            message=f"started at {_full(start, zone)} and did not end {allowed}",
            expected=f"to end {allowed}",
            found=f"still running at {_by(due.down_at or until, start, zone)}",
        )
    by, last = f"by {_by(due.down_at, job.heard.last_ping_at, zone)}", _last(job)
    if job.heard.open:
        last = f"it started at {_full(min(job.heard.open.values()), zone)} and did not end"
    return Failure(reason=Reason.MISSED, message=f"expected {by}, {last}", expected=f"a ping {by}", found=last)


def _late(job: Job, due: Deadlines) -> Failure:
    zone, heard_at = _zone(job.spec), job.heard.last_ping_at
    at, last = f"at {_by(due.expected_at, heard_at, zone)}", _last(job)
    message = f"expected {at}, {last}; down if silent until {_by(due.down_at, heard_at, zone)}"
    return Failure(reason=Reason.LATE, message=message, expected=f"a ping {at}", found=last)


def _last(job: Job) -> str:
    """`last heard from 2026-11-21 03:04 Europe/Riga, ran 4 min 10 s`."""
    if job.heard.last_ping_at is None:
        return "never heard from"
    ran = "" if job.heard.duration_ns is None else f", ran {spoken_duration(job.heard.duration_ns / 1e9)}"
    return f"last heard from {_full(job.heard.last_ping_at, _zone(job.spec))}{ran}"


def _zone(spec: HeartbeatSpec | None) -> str:
    return "UTC" if spec is None else spec.schedule.timezone


def _full(at: datetime, timezone: str) -> str:
    """`2026-11-21 03:04 Europe/Riga`, with the seconds where they matter."""
    return f"{at.astimezone(zoneinfo.ZoneInfo(timezone)):{_form(at, '%Y-%m-%d ')}} {timezone}"


def _by(at: datetime | None, heard_at: datetime | None, timezone: str) -> str:
    """`03:15 Europe/Riga`, with the date where it is long after the job was last heard."""
    if at is None:
        return "then"
    local = at.astimezone(zoneinfo.ZoneInfo(timezone))
    near = heard_at is not None and at - heard_at < timedelta(days=2)
    return f"{local:{_form(at, '' if near else '%Y-%m-%d ')}} {timezone}"


def _form(at: datetime, date: str) -> str:
    return f"{date}%H:%M:%S" if at.second else f"{date}%H:%M"
