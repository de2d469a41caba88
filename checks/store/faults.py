"""A location whose network is at fault: everything that it probes fails at once, while others see the same up.

It is named as one trouble, `network:<location>`, and while that lasts nobody believes the location when it says that
something went down since. What it says is well still counts, and so do the other locations.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, replace
from datetime import datetime, timedelta
from typing import Any

import sqlalchemy as sa

from checks import clock
from checks.result import Outcome
from checks.status import Status, TargetState
from checks.store.schema import target, trouble
from checks.store.troubles import report_trouble

TROUBLE = "network:"
FEWEST = 3  # targets in a row that fail at one location and nowhere else, or all where there are but two,
SHARE = 8  # and one in so many of those that other locations ask too
RECOVERED = 3  # of these that are well again end it
EARLIER = timedelta(seconds=30)  # by which a probe that was under way may have begun before the network went away
_NEAR = 5e6  # microseconds: what another location saw so shortly before is the same due time's result
_SERVING = (Outcome.UP.value, Outcome.DEGRADED.value)

_other = target.alias("other")


@dataclass(frozen=True, slots=True)
class Fault:
    """A network fault as it is found: since the first of so many failures, among so many targets to compare."""

    since: datetime
    failing: int
    compared: int


def known(conn: sa.Connection) -> dict[str, datetime]:
    """Since when which locations are at fault."""
    c = trouble.c
    rows = conn.execute(sa.select(c.what, c.since).where(c.what.startswith(TROUBLE, autoescape=True)))
    return {row.what.removeprefix(TROUBLE): row.since for row in rows}


def believed(state: TargetState, source: str, location: str, faults: Mapping[str, datetime]) -> TargetState:
    """The state as it counts: what went down at a location since its network is at fault is not known.

    Only a probe needs that network: what reports by itself, or is set, is believed.
    """
    since = faults.get(location) if source == "probed" else None
    if since is None or state.vote is not Status.DOWN or state.vote_since is None or state.vote_since < since - EARLIER:
        return state
    return replace(state, vote=Status.UNKNOWN, vote_since=since)


def hidden_by(location: str, since: datetime) -> sa.ColumnElement[bool]:
    """The targets of a location of which the fault says that they are down, or that they may be going down."""
    c, begun = target.c, since - EARLIER
    down = sa.and_(c.vote == Status.DOWN.value, c.vote_since >= begun)
    failing = sa.and_(c.last_outcome == Outcome.DOWN.value, c.serving_since >= begun)
    return sa.and_(c.location == location, c.source == "probed", sa.or_(down, failing))


def look(conn: sa.Connection, location: str) -> Fault | None:
    """The fault that the last results of a location show; None where there is none to see.

    Seen is that since the last success there nothing but first failures came, while another location was answered at
    the same due time or later. What others can't reach either, and what has long failed there alone, says nothing.
    """
    c, micros, half = target.c, sa.BigInteger, target.c.interval_seconds * 5e5
    here = sa.and_(c.location == location, c.source == "probed", c.active)
    down = c.last_outcome == Outcome.DOWN.value
    few = sa.select(c.id).where(here, down).limit(2).subquery()
    if conn.execute(sa.select(sa.func.count()).select_from(few)).scalar_one() < 2:
        return None  # as nearly always: nothing is compared

    heard, begun = sa.type_coerce(_other.c.last_result_at, micros), sa.type_coerce(c.serving_since, micros)
    seen_up = _others(_other.c.last_outcome.in_(_SERVING), heard >= begun - sa.case((half < _NEAR, half), else_=_NEAR))
    # Who fails was well at the due time before, and who is well, at the last one.
    well = sa.case((down, begun - c.interval_seconds * 1e6), else_=sa.type_coerce(c.last_result_at, micros))
    last_success = sa.select(sa.func.max(well)).where(here, c.last_outcome.is_not(None), _others()).scalar_subquery()
    failing, since = conn.execute(
        sa.select(sa.func.count(), sa.func.min(begun)).where(here, down, begun > last_success, seen_up)
    ).one()
    if failing < 2:
        return None
    compared: int = conn.execute(
        sa.select(sa.func.count()).select_from(target).where(here, _others(_other.c.last_outcome.in_(_SERVING)))
    ).scalar_one()
    if failing < min(FEWEST, compared) or failing * SHARE < compared:
        return None
    return Fault(clock.from_micros(since), failing, compared)


def _others(*conditions: sa.ColumnElement[bool]) -> sa.ColumnElement[bool]:
    """Whether the target's monitor is asked from another location too, where these hold."""
    same = sa.and_(_other.c.monitor == target.c.monitor, _other.c.location != target.c.location, _other.c.active)
    return sa.exists().where(same, *conditions)


def is_over(conn: sa.Connection, location: str, since: datetime) -> bool:
    """Whether some targets are well again, or none fails any more, of those that other locations ask too."""
    c = target.c
    here = sa.and_(c.location == location, c.source == "probed", c.active, _others())
    well = sa.select(c.id).where(here, c.last_outcome.in_(_SERVING), c.last_result_at > since).limit(RECOVERED)
    if len(conn.execute(well).all()) == RECOVERED:
        return True
    failing = sa.select(c.id).where(here, hidden_by(location, since)).limit(1)
    return conn.execute(failing).first() is None


def notice(conn: sa.Connection, location: str, monitors: Any, now: datetime) -> None:
    """Name the fault of a location at which these monitors are about to go down, before their status is decided."""
    elsewhere = sa.select(target.c.id).where(target.c.monitor.in_(monitors), target.c.location != location).limit(1)
    if conn.execute(elsewhere).first() is None or location in known(conn):
        return
    if (fault := look(conn, location)) is not None:
        name(conn, location, fault.since, now)


def name(conn: sa.Connection, location: str, since: datetime, now: datetime) -> None:
    """Say that the network of a location is at fault."""
    message = (
        f"the network of location {location} is at fault: everything that it probes fails at once, and other locations"
        " see it up. What it says is down does not count until that is over"
    )
    report_trouble(conn, f"{TROUBLE}{location}", message, now, since=since)
