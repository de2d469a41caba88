"""Monitors of which nothing is heard become unknown: we are blind there, and that is no outage of theirs."""

from __future__ import annotations

import logging
from collections.abc import Sequence
from datetime import datetime, timedelta
from typing import Any

import sqlalchemy as sa

from checks import clock
from checks.spec import ProbedSpec
from checks.status import VOTING, Cause, Status
from checks.store import outbox, writer
from checks.store.engine import reading
from checks.store.schema import result, target
from checks.store.states import CHUNK, NO_RUNS, lock_monitors, lock_targets
from checks.store.troubles import clear_trouble, report_trouble
from checks.units import parse_duration

logger = logging.getLogger(__name__)

INTERVALS = 3
MARGIN = timedelta(seconds=5)  # for claiming and recording
_DEFAULT_TIMEOUT: float = ProbedSpec.model_fields["timeout"].default
_TROUBLE = "silent:"
_SEEN_EVERY = timedelta(seconds=30)


def judge(engine: sa.Engine, now: datetime, watched_for: float) -> bool:
    """Let silent targets vote unknown, with one trouble for all of a location; True: there are more of them.

    `watched_for` says since how many seconds the caller has been looking: right after a start there are old results
    everywhere, and the status says so, but nobody is told before three intervals were seen to pass in silence.
    """
    with reading(engine) as conn:
        silent = _silent(conn, now, watched_for)
        if not silent and not any(_troubles(conn, now, watched_for)):
            return False
    with engine.begin() as conn:
        if silent:
            _fall_silent(conn, silent, now)
        report, over = _troubles(conn, now, watched_for)
        for what, message in report.items():
            report_trouble(conn, what, message, now)
        for what in over:
            clear_trouble(conn, what)
    return len(silent) == CHUNK


def timeout_of(spec: dict[str, Any]) -> timedelta:
    """How long a probe by this (sealed) specification may take."""
    try:
        return timedelta(seconds=parse_duration(spec["timeout"]) if "timeout" in spec else _DEFAULT_TIMEOUT)
    except ValueError:
        return timedelta(seconds=_DEFAULT_TIMEOUT)


def _silent(conn: sa.Connection, now: datetime, watched_for: float) -> list[sa.Row[Any]]:
    """Targets that nobody claims, or whose latest results all say nothing, for three intervals.

    One that was never probed is not blind but new, until the caller saw three intervals pass: after a slow first start
    its first probe is late, and "no data yet" is the truth.
    """
    c = target.c
    due, heard = (sa.type_coerce(column, sa.BigInteger) for column in (c.next_due_at, c.last_result_at))
    instant = clock.to_micros(now - MARGIN)
    columns: tuple[sa.Column[Any], ...] = (
        c.id,
        c.monitor,
        c.spec,
        c.vote,
        c.interval_seconds,
        c.next_due_at,
        c.last_result_at,
    )
    candidates = sa.select(*columns).where(
        c.source == "probed",
        c.active,
        c.vote != Status.UNKNOWN.value,
        sa.or_(
            due + c.interval_seconds * ((INTERVALS - 1) * 1e6) < instant,
            heard + c.interval_seconds * (INTERVALS * 1e6) < instant,
        ),
    )
    rows = conn.execute(candidates.order_by(c.id).limit(20 * CHUNK))
    return [
        row
        for row in rows
        if (row.vote != Status.PENDING.value or _watched(row, watched_for))
        and _is_silent(conn, row, now - MARGIN - timeout_of(row.spec))
    ][:CHUNK]


def _watched(row: sa.Row[Any], watched_for: float) -> bool:
    longest = INTERVALS * row.interval_seconds + timeout_of(row.spec).total_seconds() + MARGIN.total_seconds()
    return bool(watched_for > longest)


def _is_silent(conn: sa.Connection, row: sa.Row[Any], by: datetime) -> bool:
    interval = timedelta(seconds=row.interval_seconds)
    if row.next_due_at + (INTERVALS - 1) * interval < by:
        return True
    if row.vote not in VOTING or row.last_result_at is None or row.last_result_at + INTERVALS * interval >= by:
        return False
    # It is probed. A result that tells something would have moved `last_result_at`; right after the interval was
    # shortened there is none yet.
    c = result.c
    mute = sa.select(sa.func.count()).where(c.target_id == row.id, c.started_at > row.last_result_at)
    return bool(conn.execute(mute).scalar_one() >= INTERVALS - 1)


def _fall_silent(conn: sa.Connection, silent: Sequence[sa.Row[Any]], now: datetime) -> None:
    lock_monitors(conn, {row.monitor for row in silent})
    c = target.c
    seen = {row.id: row for row in silent}
    columns = (c.id, c.monitor, c.location, c.vote, c.active, c.next_due_at, c.last_result_at, c.interval_seconds)
    evidence: dict[Any, dict[str, Any]] = {}
    changes = []
    for row in lock_targets(conn, c.id.in_(sorted(seen)), *columns):
        before = seen[row.id]
        if not row.active or (row.next_due_at, row.last_result_at) != (before.next_due_at, before.last_result_at):
            continue  # heard of it meanwhile
        last = row.last_result_at or row.next_due_at
        since = min(now, last + timedelta(seconds=row.interval_seconds))
        changes.append({"of": row.id, "since": since})
        evidence[row.monitor] = {
            "location": row.location,
            "outcome": "unknown",
            "failure": None,
            "evidence": {"last_result_at": row.last_result_at.isoformat() if row.last_result_at else None},
        }
    if not changes:
        return
    values = {**NO_RUNS, "vote": Status.UNKNOWN.value, "vote_since": sa.bindparam("since")}
    conn.execute(target.update().where(c.id == sa.bindparam("of")).values(values), changes)
    written = writer.settle(conn, evidence, now, cause=Cause.SILENCE)
    logger.warning(
        "no results of %d targets for %d intervals: %d monitors are unknown now",
        len(changes),
        INTERVALS,
        len(written),
        extra={"action": "silent", "count": len(changes)},
    )


def _is_silence(now: datetime) -> sa.ColumnElement[bool]:
    """Whether an unknown vote is one of silence: one that a network fault left is heard of in a moment."""
    c = target.c
    since = sa.type_coerce(c.vote_since, sa.BigInteger)
    return sa.and_(c.last_outcome.is_(None), since + c.interval_seconds * 1e6 < clock.to_micros(now))


def _troubles(conn: sa.Connection, now: datetime, watched_for: float) -> tuple[dict[str, str], list[str]]:
    """The troubles to report, one a location, and those that are over."""
    c = target.c
    watched = c.interval_seconds * INTERVALS + _DEFAULT_TIMEOUT + MARGIN.total_seconds() < watched_for
    unknown = (
        sa.select(c.location, sa.func.sum(sa.case((watched, 1), else_=0)).label("number"))
        .where(c.source == "probed", c.active, c.vote == Status.UNKNOWN.value, _is_silence(now))
        .group_by(c.location)
    )
    silent = {f"{_TROUBLE}{row.location}": row.number for row in conn.execute(unknown)}
    known = {trouble.what: trouble for trouble in outbox.troubles(conn) if trouble.what.startswith(_TROUBLE)}
    report = {}
    for what, number in silent.items():
        if number == 0:
            continue  # too early to tell
        place = what.removeprefix(_TROUBLE)
        message = (
            f"no results from location {place} for {number} monitors, for at least {INTERVALS} of their intervals:"
            f" is a worker running there, and can it reach them?"
        )
        if what not in known or now - known[what].seen_at > _SEEN_EVERY or known[what].message != message:
            report[what] = message
    return report, [what for what in known if what not in silent]
