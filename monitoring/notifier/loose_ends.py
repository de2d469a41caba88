"""Ends the incidents that no transition will ever end.

A transition is what ends one. Where the store was restored from an older copy, or replaced, it may say that a monitor
is up, paused or gone, and never have written that it came to be so: nothing would follow, and the incident stay open.
"""

from __future__ import annotations

import logging
from datetime import datetime, timedelta
from uuid import UUID

import sqlalchemy as sa
from django.db import transaction

from checks.status import Status
from checks.store import outbox
from checks.store.engine import instance_uuid, reading
from checks.store.outbox import Standing
from monitoring.models import ConsumedTransition, Incident, Monitor
from monitoring.notifier import incidents

logger = logging.getLogger(__name__)

SETTLED = timedelta(minutes=2)  # so long the status must have stood: what is on its way ends the incident by itself


def tie_up(engine: sa.Engine, now: datetime) -> int:
    """End each open `down` incident whose monitor has been something else for a while; how many that were."""
    rows = Incident.objects.filter(cause=incidents.DOWN, resolved_at=None, detected_at__lte=now - SETTLED)
    open_ones = {
        monitor: (incident, known is not None)
        for incident, monitor, known in rows.values_list("pk", "monitor_uuid", "monitor")
        if monitor is not None
    }
    if not open_ones:
        return 0
    with reading(engine) as conn:
        store, standings = instance_uuid(conn), outbox.standings(conn, open_ones)
    return sum(
        _end(engine, store, incident, monitor, now)
        for monitor, (incident, known) in open_ones.items()
        if _ending(standings.get(monitor), now, known=known) is not None
    )


def _ending(standing: Standing | None, now: datetime, *, known: bool) -> tuple[str, datetime] | None:
    """How and when it ended by what the store says of the monitor; None where it did not, or a transition will tell."""
    if standing is None:
        return None if known else ("deleted", now)
    if standing.waiting or standing.since > now - SETTLED:
        return None
    match standing.status:
        case Status.UP | Status.DEGRADED:
            return incidents.RECOVERED, standing.since
        case Status.PAUSED:
            return standing.removed or "paused", standing.since
        case _:
            return None


def _end(engine: sa.Engine, store: UUID, pk: UUID, monitor: UUID, now: datetime) -> bool:
    """End one incident, unless its monitor had a transition while we looked."""
    before = _last_consumed(store, monitor)
    with reading(engine) as conn:
        standing = outbox.standings(conn, [monitor]).get(monitor)
    with transaction.atomic():
        incident = Incident.objects.select_for_update().filter(pk=pk, resolved_at=None).first()
        row = Monitor.objects.filter(pk=monitor).first()
        ending = _ending(standing, now, known=row is not None)
        if incident is None or ending is None or _last_consumed(store, monitor) != before:
            return False
        resolution, at = ending
        # What the store says was so before it began ended some time since, and only we know that it is over.
        at = at if at > incident.opened_at else now
        incidents.end(incident, resolution, at, incidents.said_of(row) if row else {}, now)
    logger.warning(
        "The incident of %s was still open, and the store had no transition to end it: it is ended as %s.",
        incident.monitor_name,
        resolution,
        extra={"action": "incident_tied_up", "monitor": str(monitor), "resolution": resolution},
    )
    return True


def _last_consumed(store: UUID, monitor: UUID) -> UUID | None:
    rows = ConsumedTransition.objects.filter(store=store, monitor=monitor)
    return rows.order_by("-seq").values_list("transition", flat=True).first()
