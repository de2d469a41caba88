"""Judges whether a location's network is at fault, and sets right what was said of its monitors (`checks.store.faults`)."""

from __future__ import annotations

import logging
from collections.abc import Collection
from datetime import datetime, timedelta
from typing import Any
from uuid import UUID

import sqlalchemy as sa

from checks.status import Cause, Status
from checks.store import faults, outbox, writer
from checks.store.engine import reading
from checks.store.schema import monitor_state, target
from checks.store.states import CHUNK, NO_RUNS, lock_monitors, lock_targets
from checks.store.troubles import clear_trouble

logger = logging.getLogger(__name__)

_SEEN_EVERY = timedelta(seconds=30)
_WRONGLY = (Status.DOWN.value, Status.DEGRADED.value)


def judge(engine: sa.Engine, now: datetime, location: str) -> bool:
    """Name the fault of this location, and follow those of all; True: there is more to set right."""
    with reading(engine) as conn:
        known = faults.known(conn)
        found = None if location in known else faults.look(conn, location)
        over = [place for place, since in known.items() if faults.is_over(conn, place, since)]
        seen = {each.what: each.seen_at for each in outbox.troubles(conn)}
    if found is not None:
        with engine.begin() as conn:
            faults.name(conn, location, found.since, now)
        known[location] = found.since
        logger.warning(
            "the network of %s is at fault: %d of the targets that others see up fail there",
            location,
            found.failing,
            extra={"action": "network_fault", "location": location, "count": found.failing},
        )
    more = False
    for place, since in known.items():
        if place in over:
            more |= _end(engine, place, since, now)
            continue
        _set_right(engine, place, since, now)
        if now - seen.get(faults.TROUBLE + place, now) > _SEEN_EVERY:
            with engine.begin() as conn:
                faults.name(conn, place, since, now)
    return more


def _evidence(monitors: Collection[UUID], location: str, since: datetime) -> dict[UUID, dict[str, Any]]:
    told = {"network_fault_since": since.isoformat()}
    return {uuid: {"location": location, "outcome": "unknown", "failure": None, "evidence": told} for uuid in monitors}


def _set_right(engine: sa.Engine, location: str, since: datetime, now: datetime) -> None:
    """Decide anew what went down before the fault was seen to be one."""
    state, c = monitor_state.c, target.c
    wrong = (
        sa.select(c.monitor)
        .join(monitor_state, state.monitor == c.monitor)
        .where(faults.hidden_by(location, since), c.vote == Status.DOWN.value, state.status.in_(_WRONGLY))
        .order_by(c.monitor)
    )
    with reading(engine) as conn:
        monitors = list(conn.execute(wrong).scalars())
    for begin in range(0, len(monitors), CHUNK):
        with engine.begin() as conn:
            some = monitors[begin : begin + CHUNK]
            writer.settle(conn, _evidence(some, location, since), now, cause=Cause.LOCATION)


def _end(engine: sa.Engine, location: str, since: datetime, now: datetime) -> bool:
    """Forget what was seen through the fault: each target begins anew, and has as many failures to go as ever."""
    c = target.c
    hidden = faults.hidden_by(location, since)
    with engine.begin() as conn:
        some = conn.execute(sa.select(c.id, c.monitor).where(hidden).order_by(c.id).limit(CHUNK)).all()
        if some:
            monitors = {row.monitor for row in some}
            lock_monitors(conn, monitors)
            ids = [row.id for row in lock_targets(conn, sa.and_(c.id.in_([row.id for row in some]), hidden), c.id)]
            was_down = c.vote == Status.DOWN.value
            forgotten = {
                **NO_RUNS,
                "vote": sa.case((was_down, Status.UNKNOWN.value), else_=c.vote),
                "vote_since": sa.case((was_down, sa.literal(now, c.vote_since.type)), else_=c.vote_since),
            }
            conn.execute(target.update().where(c.id.in_(ids)).values(forgotten))
            writer.settle(conn, _evidence(monitors, location, since), now, cause=Cause.LOCATION)
    if len(some) == CHUNK:
        return True
    with engine.begin() as conn:
        clear_trouble(conn, f"{faults.TROUBLE}{location}")
    logger.info("the network of %s is well again", location, extra={"action": "network_fault_over"})
    return False
