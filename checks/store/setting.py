"""The status of a monitor that nobody asks: a person says what it is."""

from __future__ import annotations

from datetime import datetime
from typing import Literal
from uuid import UUID

import sqlalchemy as sa

from checks.result import Failure, Reason
from checks.status import Cause
from checks.store.schema import target
from checks.store.states import NO_RUNS, lock_monitors
from checks.store.writer import Written, settle

Settable = Literal["up", "degraded", "down"]
SETTABLE: tuple[Settable, ...] = ("up", "degraded", "down")
MOST = 500  # characters of a message


class NotSettable(Exception):
    """The monitor's status can't be set; the message says why."""


def set_status(
    conn: sa.Connection, monitor: UUID, status: Settable, now: datetime, *, message: str = "", by: str = ""
) -> list[Written]:
    """Set the status of a `manual` monitor; returns what changed by it. Raises NotSettable.

    `message` says why, and `by` who says so: both stand in the evidence. The same status with another message is no
    transition.
    """
    row = lock_monitors(conn, [monitor]).get(monitor)
    if row is None:
        raise NotSettable("the store does not know this monitor yet; it will within 30 s")
    if row.removed is not None or row.paused:
        raise NotSettable(f"{row.name} is {row.removed or 'paused'}")
    ours = sa.and_(target.c.monitor == monitor, target.c.source == "set")
    failure = None
    if status != "up":
        failure = Failure(reason=Reason.SET, message=(message or f"set to {status} by {by or 'a person'}")[:MOST])
    shown = None if failure is None else failure.as_dict()
    vote = {"vote": status, "vote_since": now, "last_outcome": status, "last_result_at": now, "last_failure": shown}
    if conn.execute(target.update().where(ours).values({**NO_RUNS, **vote})).rowcount == 0:
        raise NotSettable(
            f"{row.name} is of the kind {row.kind}: its status follows from what is found, and is not set"
        )
    evidence = {"outcome": status, "failure": shown, "evidence": {"by": by, "message": message[:MOST]}}
    return settle(conn, {monitor: evidence}, now, cause=Cause.PERSON)
