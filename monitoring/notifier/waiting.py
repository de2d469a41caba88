"""Reminds once of a heartbeat that was made days ago and never heard of: its job was probably never set up."""

from __future__ import annotations

from datetime import datetime, timedelta

import sqlalchemy as sa

from checks.status import Status
from checks.store.engine import reading
from checks.store.schema import monitor_state, target
from monitoring.models import Channel, Monitor, Notification
from monitoring.notifier import messages, routing
from monitoring.notifier.incidents import matched, said_of

AFTER = timedelta(days=3)


def remind(engine: sa.Engine, now: datetime) -> int:
    """Queue the message for those whose time has come; how many. Its key is the monitor's, so it is queued once."""
    old = Monitor.objects.filter(kind="heartbeat", paused=False, retired_at=None, created_at__lte=now - AFTER)
    candidates = {monitor.uuid: monitor for monitor in old}
    if not candidates:
        return 0
    c = monitor_state.c
    silent = (
        sa.select(c.monitor)
        .join(target, target.c.monitor == c.monitor)
        .where(c.status == Status.PENDING.value, target.c.source == "pinged", target.c.last_ping_at.is_(None))
    )
    with reading(engine) as conn:
        waiting = [uuid for uuid in conn.execute(silent).scalars() if uuid in candidates]
    return sum(_tell(candidates[uuid], now) for uuid in waiting)


def _tell(monitor: Monitor, now: datetime) -> bool:
    """Whether somebody is told now. Where no rule speaks of the monitor, nobody is."""
    keys = {
        f"{Notification.Event.WAITING}:{monitor.pk}:{channel.pk}:{recipient}": (channel, recipient)
        for channel in routing.channels_of(routing.matching_rules(matched(monitor)))
        for recipient in range(channel.recipients)
    }
    known = set(Notification.objects.filter(key__in=keys).values_list("key", flat=True))
    facts = messages.facts_of_waiting(said_of(monitor), monitor.name, monitor.created_at)
    missing = [_row(key, *address, facts, now) for key, address in keys.items() if key not in known]
    Notification.objects.bulk_create(missing, ignore_conflicts=True)
    return bool(missing)


def _row(key: str, channel: Channel, recipient: int, facts: dict[str, str], now: datetime) -> Notification:
    return Notification(
        key=key,
        channel=channel,
        channel_name=channel.name,
        recipient=recipient,
        event=Notification.Event.WAITING,
        facts=facts,
        next_attempt_at=now,
        created_at=now,
    )
