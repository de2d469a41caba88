"""Why a message that waits is not sent. Pure: a named reason, or None."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from enum import StrEnum

from monitoring.models import Notification

_BEGINNINGS = (Notification.Event.DOWN, Notification.Event.REMINDER, Notification.Event.SYSTEM)


class Hold(StrEnum):
    """The reasons, as the log of messages shows them."""

    FOLDED = "folded into the message that it is resolved, which says from when to when it lasted"
    CHANNEL_DELETED = "withdrawn: the channel was deleted"
    RECIPIENT_GONE = "withdrawn: the channel's URL was changed and names fewer recipients"
    MAINTENANCE = "never told: it began and ended while maintenance was announced"
    MUTED = "muted: this installation was restored from a backup and tells nobody anything until `manage.py unmute`"


@dataclass(frozen=True, slots=True, kw_only=True)
class Waiting:
    """A message as its neighbours see it: those of the same incident, channel and recipient, in their order."""

    event: str
    status: str
    recipient: int = 0
    being_sent: bool = False  # by a notifier whose lease holds


def reason_to_hold(
    message: Waiting,
    later: Sequence[Waiting],
    *,
    recipients: int | None,
    muted: bool = False,
    expected: bool = False,
) -> Hold | None:
    """Why the message will never be sent; None where it may. `recipients` of its channel, None where that is gone.

    What is due while we are `muted` is not kept for later: whoever is heard again speaks of what happens then. An outage
    is `expected` that began and ended while maintenance was announced, and that nobody was told of.
    """
    if muted:
        return Hold.MUTED
    if recipients is None:
        return Hold.CHANNEL_DELETED
    if message.recipient >= recipients:
        return Hold.RECIPIENT_GONE
    if expected:
        return Hold.MAINTENANCE
    ended = any(after.event == Notification.Event.RESOLVED for after in later)
    return Hold.FOLDED if ended and message.event in _BEGINNINGS else None


def must_wait(earlier: Sequence[Waiting]) -> bool:
    """Whether an earlier message goes first: a resolved never arrives before its down."""
    return any(before.status in (Notification.Status.PENDING, Notification.Status.SENDING) for before in earlier)
