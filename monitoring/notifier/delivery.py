"""Step 6 of the path of a result: notification -> message, outside any transaction.

A row is claimed (leased, one attempt more, its end in doubt) in one transaction, sent by a child process, and its end
written in another. So each message is delivered at least once; a crash in between may add a copy, which says so.
"""

from __future__ import annotations

import logging
import random
from collections.abc import Callable, Collection, Iterable, Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from uuid import UUID, uuid4

from django.db import connection, transaction
from django.db.models import Q, QuerySet

from checks import clock
from checks.environment import EnvironmentProblem
from monitoring import channels, maintenance
from monitoring.models import Channel, Incident, Notification
from monitoring.notifier import messages, mutes, system
from monitoring.notifier.messages import Message
from monitoring.notifier.pool import Order, Pool
from monitoring.notifier.sender import Answer

logger = logging.getLogger(__name__)

Event, Status = Notification.Event, Notification.Status

# Seconds until the next attempt, after the first, the second, ...; the last one for all that follow.
PAUSES = (10.0, 30.0, 60.0, 120.0, 300.0, 600.0, 1200.0, 1800.0)
JITTER = 0.2  # more or less, so that a destination that returns is not met by all at once
MOST_RETRY_AFTER = 3600.0  # seconds; a destination does not decide that we fall silent for a day
GIVE_UP = timedelta(hours=24)
# Attempts after which a channel is called broken: refused for good, or silent for about ten minutes.
BROKEN_AFTER_REFUSALS = 3
BROKEN_AFTER = 6
LOOK_AHEAD = 50  # rows of a claim: some may have to wait for others

# What comes first and last of the messages about one incident; reminders lie between.
_ORDER: dict[str, int] = {Event.DOWN: 0, Event.SYSTEM: 0, Event.RESOLVED: 2}


@dataclass(frozen=True, slots=True, kw_only=True)
class Claimed:
    """A message that this notifier sends now."""

    uuid: UUID
    key: str
    channel: Channel
    recipient: int
    attempt: int
    repeat: bool  # an earlier attempt's end is not known
    message: Message


class StopAt:
    """The instant by which what is on its way must have ended; unset as long as nobody stops."""

    def __init__(self) -> None:
        self._at: float | None = None

    def set(self, seconds: float) -> None:
        """From now on there are so many seconds left."""
        self._at = clock.monotonic() + seconds

    def passed(self) -> bool:
        """Whether it has come."""
        return self._at is not None and clock.monotonic() > self._at


def pause_after(attempt: int) -> float:
    """Seconds until the next attempt, without jitter, after `attempt` attempts."""
    return PAUSES[min(attempt, len(PAUSES)) - 1]


def claim(
    name: str,
    now: datetime,
    lease: timedelta,
    *,
    busy: Collection[UUID] = (),
    not_these: Collection[UUID] = (),
    muted: Callable[[], bool] = lambda: False,
) -> Claimed | None:
    """The message that is due longest and may be sent, now leased to `name`; None where there is none.

    Where we are `muted` none may, and those that are due are held: it is asked once they are known, so that none is that
    became due after it ended. `busy`: channels that have no slot left in this process. `not_these`: messages that it
    still has in hand; their leases run out while a database that is away keeps us from writing down that they were sent.
    """
    expired = Q(status=Status.SENDING, leased_until__lte=now)
    due = Notification.objects.filter(expired | Q(status=Status.PENDING, next_attempt_at__lte=now))
    rows = (
        due.exclude(channel_id__in=list(busy))
        .exclude(pk__in=list(not_these))
        .order_by("next_attempt_at", "created_at", "key")
    )
    found = list(rows.values_list("uuid", "incident_id")[:LOOK_AHEAD])
    silent = bool(found) and muted()
    for uuid, incident in found:
        if claimed := _claim_one(uuid, incident, name, now, lease, muted=silent):
            return claimed
    return None


def _locked(rows: QuerySet[Notification]) -> QuerySet[Notification]:
    """The rows, locked where the database has row locks; SQLite's transaction holds the whole file."""
    return rows.select_for_update(of=("self",)) if connection.vendor == "postgresql" else rows


def _claim_one(
    uuid: UUID, incident: UUID | None, name: str, now: datetime, lease: timedelta, *, muted: bool
) -> Claimed | None:
    with transaction.atomic():
        # One claim an incident at a time: whether a message may go depends on its neighbours.
        if incident is not None and connection.vendor == "postgresql":
            lock = Incident.objects.select_for_update(skip_locked=True, no_key=True).filter(pk=incident)
            if not lock.values_list("pk").first():
                return None
        row = _locked(Notification.objects.select_related("channel", "incident")).filter(pk=uuid).first()
        if row is None or not _is_due(row, now):
            return None
        neighbours = [row] if incident is None else _neighbours(row)
        place = next(number for number, other in enumerate(neighbours) if other.pk == row.pk)
        if _wait_for_maintenance(row, now):
            return None
        recipients = row.channel.recipients if row.channel else None
        waiting = [_waiting(other, now) for other in neighbours]
        expected = _was_expected(row, neighbours)
        for number, other in enumerate(neighbours[: place + 1]):
            if other.status in (Status.PENDING, Status.SENDING) and not waiting[number].being_sent:
                later = waiting[number + 1 :]
                why = mutes.reason_to_hold(
                    waiting[number], later, recipients=recipients, muted=muted, expected=expected
                )
                if why is not None:
                    _hold(other, why.value)
                    waiting[number] = mutes.Waiting(event=other.event, status=Status.HELD)
        if waiting[place].status == Status.HELD or mutes.must_wait(waiting[:place]):
            return None
        repeat = row.in_doubt
        Notification.objects.filter(pk=row.pk).update(
            status=Status.SENDING,
            attempts=row.attempts + 1,
            in_doubt=True,
            leased_until=now + lease,
            leased_by=name,
        )
        untold = row.event == Event.RESOLVED and not any(
            other.status == Status.SENT or other.in_doubt for other in neighbours[:place]
        )
        assert row.channel is not None  # noqa: S101 - one without is held above
        return Claimed(
            uuid=row.pk,
            key=row.key,
            channel=row.channel,
            recipient=row.recipient,
            attempt=row.attempts + 1,
            repeat=repeat,
            message=messages.render(row.event, row.facts, now, repeat=repeat, untold=untold),
        )


def _wait_for_maintenance(row: Notification, now: datetime) -> bool:
    """Put off what nobody needs to know while maintenance of its monitor is announced; whether it was."""
    about = row.incident
    if row.event not in maintenance.WAITING or about is None or about.resolved_at is not None:
        return False
    window = maintenance.over(about.monitor_uuid, now, now) if about.monitor_uuid else None
    if window is None:
        return False
    why = f"{maintenance.NOTE}: {window.title}"[:500]
    Notification.objects.filter(pk=row.pk).update(
        status=Status.PENDING, next_attempt_at=window.ends_at, note=why, leased_until=None, leased_by=""
    )
    extra = {"action": "notification_waits", "key": row.key, "until": window.ends_at.isoformat()}
    logger.info("%s waits until maintenance is over, at %s.", row.key, window.ends_at, extra=extra)
    return True


def _was_expected(row: Notification, neighbours: Sequence[Notification]) -> bool:
    """Whether nobody was told of an outage that lay in announced maintenance from its beginning to its end."""
    about = row.incident
    if about is None or about.resolved_at is None or about.monitor_uuid is None:
        return False
    if any(other.status in (Status.SENT, Status.SENDING) or other.in_doubt for other in neighbours):
        return False
    return maintenance.over(about.monitor_uuid, about.opened_at, about.resolved_at) is not None


def _is_due(row: Notification, now: datetime) -> bool:
    if row.status == Status.SENDING:
        return row.leased_until is None or row.leased_until <= now
    return row.status == Status.PENDING and row.next_attempt_at <= now


def _neighbours(row: Notification) -> list[Notification]:
    """All messages about the same incident to the same recipient of the same channel, in their order."""
    rows = Notification.objects.filter(incident=row.incident_id, channel=row.channel_id, recipient=row.recipient)
    # By what they are before when they were made: a clock that was set back must not put the end before the beginning.
    return sorted(_locked(rows), key=lambda row: (_ORDER.get(row.event, 1), row.created_at, row.key))


def _waiting(row: Notification, now: datetime) -> mutes.Waiting:
    being_sent = row.status == Status.SENDING and not _is_due(row, now)
    return mutes.Waiting(event=row.event, status=row.status, recipient=row.recipient, being_sent=being_sent)


def _hold(row: Notification, why: str) -> None:
    Notification.objects.filter(pk=row.pk).update(status=Status.HELD, note=why, leased_until=None, leased_by="")
    logger.info("%s is held: %s.", row.key, why, extra={"action": "notification_held", "key": row.key})


def renew(name: str, messages_: Collection[UUID], now: datetime, lease: timedelta) -> None:
    """Lengthen the leases of what is on its way: sending may take longer than a lease, and so may writing down its end."""
    mine = Notification.objects.filter(pk__in=list(messages_), status=Status.SENDING, leased_by=name)
    mine.update(leased_until=now + lease)


def order_of(claimed: Claimed) -> Order:
    """The claimed message as the child reads it. Raises EnvironmentProblem where the URL was sealed with another key."""
    message = claimed.message
    return Order(
        key=claimed.key,
        url=channels.url_of(claimed.channel),
        recipient=claimed.recipient,
        type=message.type,
        title=message.title,
        text=message.text,
        html=message.html,
    )


def send(claimed: Claimed, pool: Pool, *, stop_at: StopAt | None = None) -> Answer:
    """Send a claimed message once; how that ended is still to be written down."""
    try:
        order = order_of(claimed)
    except EnvironmentProblem as exc:
        return Answer(error=str(exc), permanent=True)
    return pool.send(order, each_tick=lambda: stop_at is None or not stop_at.passed())


def settle(claimed: Claimed, name: str, answer: Answer, now: datetime) -> None:
    """Write down how an attempt ended: sent, due again, or given up."""
    extra = {"action": "delivery", "key": claimed.key, "channel": claimed.channel.name, "attempt": claimed.attempt}
    with transaction.atomic():
        row = _locked(Notification.objects.filter(pk=claimed.uuid)).first()
        if row is None:
            return  # its incident was deleted meanwhile
        if row.status != Status.SENDING or row.leased_by != name or row.attempts != claimed.attempt:
            logger.warning("%s: another notifier has this message by now.", claimed.key, extra=extra)
            return
        row.leased_until, row.leased_by = None, ""
        row.in_doubt = claimed.repeat or answer.in_doubt
        row.note = "" if answer.sent else answer.error[:500]
        if answer.sent:
            row.status, row.sent_at = Status.SENT, now
        elif row.event == Event.TEST:
            row.status = Status.DEAD  # whoever pressed the button waits for the answer, not for the day after
        elif now - row.created_at >= GIVE_UP and row.attempts >= len(
            PAUSES
        ):  # it may have waited for us, or for a date
            row.status = Status.DEAD
            row.note = f"given up after {claimed.attempt} attempts: {answer.error}"[:500]
        else:
            row.status = Status.PENDING
            row.next_attempt_at = now + timedelta(seconds=_pause(claimed.attempt, answer))
        row.save(
            update_fields=["status", "note", "in_doubt", "leased_until", "leased_by", "next_attempt_at", "sent_at"]
        )
        if answer.sent:
            _works(claimed.channel, now)
        else:
            _fails(claimed, answer, now, gave_up=row.status == Status.DEAD)
    if answer.sent:
        logger.info("Sent %s to %s.", claimed.key, claimed.channel.name, extra=extra)
    else:
        level = logging.ERROR if row.status == Status.DEAD else logging.WARNING
        logger.log(level, "%s to %s failed: %s.", claimed.key, claimed.channel.name, answer.error, extra=extra)


def note_sent(claimed: Claimed, name: str, now: datetime) -> None:
    """Write down that it was sent and nothing else: what is left where `settle` raises, so that it is not sent again."""
    rows = Notification.objects.filter(pk=claimed.uuid, status=Status.SENDING, leased_by=name, attempts=claimed.attempt)
    rows.update(status=Status.SENT, sent_at=now, in_doubt=claimed.repeat, note="", leased_until=None, leased_by="")


def _pause(attempt: int, answer: Answer) -> float:
    pause = pause_after(attempt) * random.uniform(1 - JITTER, 1 + JITTER)  # noqa: S311 - spread, not secrecy
    return max(pause, min(answer.retry_after or 0.0, MOST_RETRY_AFTER))


def _works(channel: Channel, now: datetime) -> None:
    """The channel took a message: whatever was wrong with it is over."""
    if not channel.last_error and channel.broken_since is None:
        return
    Channel.objects.filter(pk=channel.pk).update(broken_since=None, last_error="")
    system.resolve_incident(f"{system.CHANNEL}{channel.pk}", now)


def _fails(claimed: Claimed, answer: Answer, now: datetime, *, gave_up: bool) -> None:
    """Note the error at the channel; call it broken, and tell others, where it goes on. It is never switched off."""
    channel = claimed.channel
    Channel.objects.filter(pk=channel.pk).update(last_error=answer.error[:500])
    if claimed.message.type == messages.TYPES[Event.TEST]:
        return
    refused = answer.permanent and claimed.attempt >= BROKEN_AFTER_REFUSALS
    if not (refused or gave_up or claimed.attempt >= BROKEN_AFTER):
        return
    Channel.objects.filter(pk=channel.pk, broken_since=None).update(broken_since=now)
    what = f"The channel {channel.name} is broken, and alerts do not arrive there: {answer.error}"
    system.open_incident(f"{system.CHANNEL}{channel.pk}", what, now, about=channel.pk)


def withdraw_orphans() -> int:
    """Hold what waits for a channel that was deleted; how many."""
    orphans = Notification.objects.filter(status=Status.PENDING, channel=None)
    return orphans.update(status=Status.HELD, note=mutes.Hold.CHANNEL_DELETED.value)


def queue_test(channel: Channel) -> Notification:
    """Queue a message that only shows that the channel works, to each of its recipients; returns the first."""
    now, number = clock.utcnow(), uuid4()
    rows = [
        Notification(
            key=f"test:{number}:{channel.pk}:{recipient}",
            channel=channel,
            channel_name=channel.name,
            recipient=recipient,
            event=Event.TEST,
            facts=messages.facts_of_test(channel),
            next_attempt_at=now,
            created_at=now,
        )
        for recipient in range(channel.recipients)
    ]
    return Notification.objects.bulk_create(rows)[0]


def busy_channels(in_flight: Iterable[UUID], slots: int) -> set[UUID]:
    """Channels that must wait, so that one that hangs costs its own slots and no others'.

    A channel whose last message failed has one slot, and all such have half of them together; others have half each.
    """
    flying = list(in_flight)
    half = max(1, slots // 2)
    troubled = set(Channel.objects.exclude(last_error="").values_list("pk", flat=True))
    full = {channel for channel in flying if channel in troubled or flying.count(channel) >= half}
    return full | troubled if sum(channel in troubled for channel in flying) >= half else full
