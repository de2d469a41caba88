"""Incidents about ourselves: a worker that is blind, a channel that is broken. They have no monitor.

Told to the fallback channels; where none is flagged, to the channels of every rule that matches all monitors.
"""

from __future__ import annotations

import logging
from datetime import datetime, timedelta
from uuid import UUID

import sqlalchemy as sa
from django.db import IntegrityError, transaction

from checks.store import outbox
from checks.store.muting import MUTED
from monitoring.models import Channel, Incident, IncidentUpdate, Notification
from monitoring.notifier import incidents, messages, routing

logger = logging.getLogger(__name__)

SEEN_WITHIN = timedelta(seconds=60)  # a trouble that nobody has reported for so long is over
# What the notifier itself finds; all else is reported by the store's processes.
CHANNEL, DISPATCH = "channel:", "dispatch:"


def open_incident(
    what: str, message: str, now: datetime, *, since: datetime | None = None, about: UUID | None = None
) -> bool:
    """Open the incident `system:<what>` and tell of it; False where it is open. `about`: a channel not to tell it to."""
    cause = f"system:{what}"[:100]
    if Incident.objects.filter(cause=cause, monitor_uuid=None, resolved_at=None).exists():
        return False
    try:
        with transaction.atomic():
            incident = Incident.objects.create(
                cause=cause, summary=messages.one_line(message, 500), opened_at=since or now, detected_at=now
            )
            IncidentUpdate.objects.create(
                incident=incident, at=incident.opened_at, kind=IncidentUpdate.Kind.OPENED, text=incident.summary
            )
            addresses = routing.addresses_of(routing.system_channels(but=about))
            routing.queue(Notification.Event.SYSTEM, incident, addresses, messages.facts_of(incident, {}), now)
    except IntegrityError:
        return False  # another notifier was first
    logger.error("%s", incident.summary, extra={"action": "trouble", "what": what})
    return True


def resolve_incident(what: str, now: datetime) -> bool:
    """End the incident `system:<what>` and tell of it; False where it is not open."""
    cause = f"system:{what}"[:100]
    with transaction.atomic():
        open_ones = Incident.objects.select_for_update().filter(cause=cause, monitor_uuid=None, resolved_at=None)
        incident = open_ones.first()
        if incident is None:
            return False
        incident.resolved_at = max(now, incident.opened_at)
        incident.resolution = "system"
        incident.save(update_fields=["resolved_at", "resolution"])
        IncidentUpdate.objects.create(
            incident=incident, at=incident.resolved_at, kind=IncidentUpdate.Kind.RESOLVED, text="It is over."
        )
        incidents.tell_of_end(incident, {}, now)
    logger.info("Over: %s", incident.summary, extra={"action": "trouble_over", "what": what})
    return True


def follow_troubles(engine: sa.Engine, now: datetime) -> None:
    """Open an incident for each trouble that the store's processes report, and end those that nobody reports now."""
    with engine.begin() as conn:
        present = {t.what: t for t in outbox.troubles(conn) if now - t.seen_at <= SEEN_WITHIN and t.what != MUTED}
    open_ones = Incident.objects.filter(cause__startswith="system:", resolved_at=None).values_list("cause", flat=True)
    for what in [cause.removeprefix("system:") for cause in open_ones]:
        if what not in present and not what.startswith((CHANNEL, DISPATCH)):
            resolve_incident(what, now)
    for what, trouble in present.items():
        open_incident(what, trouble.message, now, since=trouble.since)


def follow_channels(now: datetime) -> None:
    """End the incidents of channels that were mended by hand, or deleted."""
    prefix = f"system:{CHANNEL}"
    broken = {str(uuid) for uuid in Channel.objects.filter(broken_since__isnull=False).values_list("pk", flat=True)}
    open_ones = Incident.objects.filter(cause__startswith=prefix, resolved_at=None).values_list("cause", flat=True)
    for cause in list(open_ones):
        if cause.removeprefix(prefix) not in broken:
            resolve_incident(cause.removeprefix("system:"), now)
