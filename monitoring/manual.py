"""Saying what a `manual` monitor is: for its page and `manage.py set_status`."""

from __future__ import annotations

import logging

from sqlalchemy.exc import SQLAlchemyError

from checks import clock
from checks.store import setting
from checks.store.engine import StoreProblem, our_trouble
from checks.store.setting import SETTABLE, NotSettable
from monitoring.models import Monitor
from monitoring.publish import store_engine

logger = logging.getLogger(__name__)


def set_status(monitor: Monitor, status: str, *, message: str = "", by: str = "") -> bool:
    """Whether this changed the monitor's status; raises NotSettable where it can't be set, in words for people."""
    wanted = next((each for each in SETTABLE if each == status), None)
    if wanted is None:
        raise NotSettable(f"{status[:40]!r} is no status that can be set; allowed: {', '.join(SETTABLE)}")
    # What no text of a database can be, is none here: NUL, and the halves of a pair that a command line may bring.
    message = " ".join(message.replace("\0", " ").encode("utf-8", "replace").decode().split())
    try:
        with store_engine().begin() as conn:
            written = setting.set_status(conn, monitor.uuid, wanted, clock.utcnow(), message=message, by=by)
    except (SQLAlchemyError, StoreProblem) as exc:
        raise NotSettable(f"the store can't be written to: {our_trouble(exc) or exc}") from exc
    for item in written:
        change = item.transition
        logger.info(
            "%s went from %s to %s.",
            item.slug,
            change.from_status.value,
            change.to_status.value,
            extra={
                "action": "transition",
                "monitor": item.slug,
                "seq": change.seq,
                "cause": change.cause.value,
                "by": by,
            },
        )
    return bool(written)
