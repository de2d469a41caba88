"""Reminders of incidents that go on, by the `remind` of the rules that speak of the monitor today."""

from __future__ import annotations

from datetime import datetime, timedelta
from uuid import UUID

from monitoring.models import Incident, Monitor, Notification
from monitoring.notifier import messages, routing
from monitoring.notifier.incidents import DOWN, matched, said_of

Event, Status = Notification.Event, Notification.Status


def queue_due(now: datetime) -> int:
    """Queue the reminders that are due, and of several that were missed only the last; how many incidents.

    Reminded is who was told: the first message arrived, and no later one waits. The n-th reminder of an incident has
    one key, so that any number of notifiers queue it once.
    """
    count = 0
    open_ones = Incident.objects.filter(cause=DOWN, resolved_at=None, notifications__status=Status.SENT).distinct()
    monitors = Monitor.objects.in_bulk(open_ones.values_list("monitor_uuid", flat=True))
    for incident in open_ones:
        monitor = monitors.get(incident.monitor_uuid) if incident.monitor_uuid else None
        if monitor is not None and _remind(incident, monitor, now):
            count += 1
    return count


def _remind(incident: Incident, monitor: Monitor, now: datetime) -> bool:
    due: dict[int, list[routing.Address]] = {}
    every = _intervals(monitor)
    for channel, recipient in _reached(incident):
        if channel in every and (number := int((now - incident.detected_at) / every[channel])) > 0:
            due.setdefault(number, []).append((channel, recipient))
    queued = False
    for number, addresses in due.items():
        keys = {routing.key_of(Event.REMINDER, incident, address, number): address for address in addresses}
        known = Notification.objects.filter(key__in=keys).values_list("key", flat=True)
        missing = [address for key, address in keys.items() if key not in set(known)]
        if missing:
            facts = messages.facts_of(incident, said_of(monitor))
            routing.queue(Event.REMINDER, incident, missing, facts, now, number=number)
            queued = True
    return queued


def _intervals(monitor: Monitor) -> dict[UUID, timedelta]:
    """How often each channel is reminded: where several rules say so, by the most frequent."""
    shortest: dict[UUID, timedelta] = {}
    for rule in routing.matching_rules(matched(monitor)):
        if not rule.remind_seconds:
            continue
        every = timedelta(seconds=rule.remind_seconds)
        for channel in routing.channels_of([rule]):
            shortest[channel.pk] = min(every, shortest.get(channel.pk, every))
    return shortest


def _reached(incident: Incident) -> set[routing.Address]:
    """Who got the first message and has no other one waiting."""
    rows = incident.notifications.filter(channel__isnull=False).values_list(
        "channel_id", "recipient", "event", "status"
    )
    got = {
        (channel, recipient)
        for channel, recipient, event, status in rows
        if (event, status) == (Event.DOWN, Status.SENT)
    }
    waits = {(row[0], row[1]) for row in rows if row[3] in (Status.PENDING, Status.SENDING)}
    return got - waits
