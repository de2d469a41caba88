"""Judges the heartbeats whose deadline has passed: missed, or hidden by a blindness of ours."""

from __future__ import annotations

import logging
import zoneinfo
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from typing import Any
from uuid import UUID

import sqlalchemy as sa

from checks import sight
from checks.heartbeats.runs import Heard, deadline_of
from checks.probes import parse_spec
from checks.probes.heartbeat import HeartbeatSpec
from checks.result import Failure, Outcome, Reason
from checks.status import Cause, Policy, observe
from checks.store import writer
from checks.store.schema import target
from checks.store.states import lock_monitors, lock_targets, state_of, state_values
from checks.units import spoken_duration

logger = logging.getLogger(__name__)

AT_ONCE = 200


def overdue(conn: sa.Connection, now: datetime) -> bool:
    """Whether there is a deadline to judge."""
    return conn.execute(sa.select(target.c.id).where(_is_overdue(now)).limit(1)).first() is not None


def _is_overdue(now: datetime) -> sa.ColumnElement[bool]:
    return sa.and_(target.c.deadline_at <= now, target.c.active, target.c.source == "pinged")


def sweep(conn: sa.Connection, now: datetime) -> bool:
    """Judge the deadlines that passed, the oldest first; True: there are more.

    A deadline is judged only after a web process lived past it: until then a ping may be on its way, or lost. What a
    blindness covers is moved to its end plus the grace.
    """
    seen_until = sight.last_sign(conn, sight.WEB)
    if seen_until is None:
        return False
    judged = sa.and_(_is_overdue(now), target.c.deadline_at <= seen_until)
    first = sa.select(target.c.monitor).where(judged).order_by(target.c.deadline_at).limit(AT_ONCE)
    monitors = list(conn.execute(first).scalars())
    if not monitors:
        return False
    lock_monitors(conn, monitors)
    evidence: dict[UUID, dict[str, Any]] = {}
    for row in lock_targets(conn, sa.and_(judged, target.c.monitor.in_(monitors))):
        missed = _judge(conn, row)
        if missed is not None:
            evidence[row.monitor] = missed
    for written in writer.settle(conn, evidence, now, cause=Cause.DEADLINE):
        logger.info(
            "%s went from %s to %s: not heard from in time",
            written.slug,
            written.transition.from_status,
            written.transition.to_status,
            extra={"action": "transition", "monitor": written.slug, "seq": written.transition.seq, "cause": "deadline"},
        )
    return len(monitors) == AT_ONCE


@dataclass(frozen=True, slots=True)
class _Terms:
    """What a specification says of deadlines; its defaults, where it can't be read."""

    grace: float = 300.0
    timezone: str = "UTC"
    max_run: float | None = None
    deadline_at: datetime | None = None


def _terms(row: sa.Row[Any]) -> _Terms:
    try:
        spec = parse_spec(row.spec)
    except ValueError:
        logger.exception("the specification of a heartbeat can't be read", extra={"action": "spec_unreadable"})
        return _Terms()
    if not isinstance(spec, HeartbeatSpec):
        return _Terms()
    heard = Heard(state=state_of(row), last_ping_at=row.last_ping_at, started_at=row.last_start_at)
    return _Terms(spec.grace, spec.schedule.timezone, spec.max_run, deadline_of(heard, spec))


def _judge(conn: sa.Connection, row: sa.Row[Any]) -> dict[str, Any] | None:
    """The evidence of a missed deadline, now the target's state; None where it was moved."""
    terms = _terms(row)
    # A schedule that was changed since the last ping may allow more time than the old one did.
    deadline = max(row.deadline_at, terms.deadline_at or row.deadline_at)
    heard_at = max((at for at in (row.last_ping_at, row.last_start_at) if at is not None), default=None)
    grace = timedelta(seconds=terms.grace)
    blind = sight.blindness(conn, sight.WEB, sight.EVERYWHERE, heard_at or row.deadline_at - grace)
    deadline = sight.fair_deadline(deadline, heard_at, grace, blind)
    mine = target.update().where(target.c.id == row.id, target.c.deadline_at == row.deadline_at)
    if deadline > row.deadline_at:
        conn.execute(mine.values(deadline_at=deadline))
        return None
    failure = _missed(row, terms)
    before = state_of(row)
    after = observe(before, Outcome.DOWN, row.deadline_at, Policy(failures=1, successes=1))
    # The next ping sets the next deadline.
    values = {**state_values(after), "deadline_at": None, "last_failure": failure.as_dict()}
    if conn.execute(mine.values(values)).rowcount == 0:
        return None  # a ping came first
    return {
        "location": row.location,
        "outcome": Outcome.DOWN.value,
        "failure": failure.as_dict(),
        "evidence": {"last_ping_at": heard_at.isoformat() if heard_at else None},
    }


def _missed(row: sa.Row[Any], terms: _Terms) -> Failure:
    if row.last_start_at is not None and terms.max_run is not None:
        allowed = f"within {spoken_duration(terms.max_run)}"
        return Failure(
            reason=Reason.OVERRAN,
            message=f"started at {_full(row.last_start_at)} and did not end {allowed}",
            expected=f"to end {allowed}",
            found=f"still running at {_by(row.deadline_at, row.last_start_at, terms.timezone)}",
        )
    last = f"last heard from {_full(row.last_ping_at)}" if row.last_ping_at else "never heard from"
    by = f"by {_by(row.deadline_at, row.last_ping_at, terms.timezone)}"
    return Failure(reason=Reason.MISSED, message=f"expected {by}, {last}", expected=f"a ping {by}", found=last)


def _full(at: datetime) -> str:
    """`2026-11-21 03:04 UTC`, with the seconds where they matter."""
    return f"{at.astimezone(UTC):{_form(at, '%Y-%m-%d ')}} UTC"


def _by(at: datetime, heard_at: datetime | None, timezone: str) -> str:
    """`03:15 Europe/Riga`, with the date where it is long after the job was last heard."""
    local = at.astimezone(zoneinfo.ZoneInfo(timezone))
    near = heard_at is not None and at - heard_at < timedelta(days=2)
    return f"{local:{_form(at, '' if near else '%Y-%m-%d ')}} {timezone}"


def _form(at: datetime, date: str) -> str:
    return f"{date}%H:%M:%S" if at.second else f"{date}%H:%M"
