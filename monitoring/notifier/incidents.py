"""What a transition does to its monitor's incident, and which messages follow. Runs inside the dispatch's transaction.

| the monitor goes to | its `down` incident |
| --- | --- |
| down | opens, dated back to the first failure |
| up, degraded | resolves |
| unknown | stays open, and notes it |
| paused, also by being retired or deleted | resolves with that as its cause, which is told as such |
"""

from __future__ import annotations

from datetime import datetime
from uuid import UUID

from checks.status import Cause, Status
from checks.store.outbox import StoredTransition
from checks.units import spoken_duration
from monitoring.models import Incident, IncidentUpdate, KnownStore, Monitor, Notification
from monitoring.notifier import messages, routing
from monitoring.notifier.rules import Matched

DOWN = "down"
RECOVERED = "recovered"
# How an incident ends that did not end by a recovery.
_ENDINGS = {Cause.RETIRED: "retired", Cause.DELETED: "deleted"}
Kind = IncidentUpdate.Kind


def take_effect(transition: StoredTransition, store: UUID, now: datetime) -> None:
    """Open, note or resolve the monitor's incident, and queue the messages about it."""
    monitor = Monitor.objects.filter(pk=transition.monitor).first()
    said = said_of(monitor) if monitor else {"slug": transition.slug, "kind": transition.kind}
    match transition.to_status:
        case Status.DOWN:
            _begin(transition, monitor, said, store, now)
        case Status.UP | Status.DEGRADED | Status.PAUSED:
            _end(transition, said, now)
        case Status.UNKNOWN:
            incident = _open_one(transition.monitor)
            if incident is not None:
                _write(incident, transition.at, Kind.NOTE, "We can't see whether it is still down.")
        case Status.PENDING:
            pass  # nothing is known yet; an open incident stays, whatever the monitor is configured to do now


def take_minimal_effect(transition: StoredTransition, now: datetime) -> None:
    """Open or resolve the incident and tell nobody: the path of a transition that raises on the other."""
    if transition.to_status is Status.DOWN:
        _open(transition, None)
    elif transition.to_status in (Status.UP, Status.DEGRADED, Status.PAUSED):
        _end(transition, {}, now)


def _begin(
    transition: StoredTransition, monitor: Monitor | None, said: dict[str, str], store: UUID, now: datetime
) -> None:
    """Open the incident, whether a rule matches or not, and tell whom the rules name."""
    incident, new = _open(transition, monitor)
    if not new:
        _write(incident, transition.at, Kind.NOTE, "It is still down.")
    elif _begins_anew(transition, monitor, store, now):
        _write(incident, transition.at, Kind.NOTE, "The store is new and this is what it began with: nobody was told.")
    else:
        looked_at = matched(monitor) if monitor else Matched(slug=transition.slug, kind=transition.kind)
        addresses = routing.addresses_of(routing.channels_of(routing.matching_rules(looked_at)))
        routing.queue(Notification.Event.DOWN, incident, addresses, messages.facts_of(incident, said), now)


def _end(transition: StoredTransition, said: dict[str, str], now: datetime) -> None:
    """Resolve the incident, if one is open, and tell whoever was told of it."""
    incident = _open_one(transition.monitor)
    if incident is not None:
        recovered = transition.to_status is not Status.PAUSED
        resolution = RECOVERED if recovered else _ENDINGS.get(transition.cause, "paused")
        report = messages.spooled(incident.evidence, transition.evidence, incident.opened_at, transition.at)
        end(incident, resolution, transition.since, said, now, report=report if recovered else "")


def end(
    incident: Incident, resolution: str, at: datetime, said: dict[str, str], now: datetime, *, report: str = ""
) -> None:
    """Resolve an open incident, which the caller holds, and tell whoever was told of it. `report`: what ended it."""
    incident.resolved_at = max(at, incident.opened_at)
    incident.resolution = resolution
    incident.save(update_fields=["resolved_at", "resolution"])
    lasted = spoken_duration((incident.resolved_at - incident.opened_at).total_seconds())
    ended = "It is up again" if resolution == RECOVERED else f"The monitor was {resolution}; that is no recovery"
    _write(incident, incident.resolved_at, Kind.RESOLVED, f"{ended}, after {lasted}.{report and ' '}{report}")
    if resolution != RECOVERED:
        routing.withdraw(incident, f"the monitor was {resolution}")
    tell_of_end(incident, said, now, report=report)


def tell_of_end(incident: Incident, said: dict[str, str], now: datetime, *, report: str = "") -> None:
    """Queue the message of the end to every channel that got, or may have got, one about this incident."""
    recovered = incident.resolution in (RECOVERED, "system")
    addresses = routing.told(incident, waiting=recovered)
    facts = {**messages.facts_of(incident, said), "report": report}
    routing.queue(Notification.Event.RESOLVED, incident, addresses, facts, now)


def _open_one(monitor: UUID) -> Incident | None:
    return Incident.objects.select_for_update().filter(monitor_uuid=monitor, cause=DOWN, resolved_at=None).first()


def _open(transition: StoredTransition, monitor: Monitor | None) -> tuple[Incident, bool]:
    """The monitor's open incident, and whether it is new."""
    incident = _open_one(transition.monitor)
    if incident is not None:
        return incident, False
    incident = Incident.objects.create(
        monitor=monitor,
        monitor_uuid=transition.monitor,
        monitor_name=monitor.name if monitor else transition.name,
        cause=DOWN,
        summary=messages.summary_of(transition.evidence),
        opened_at=transition.since,
        detected_at=transition.at,
        evidence=transition.evidence,
    )
    _write(incident, transition.since, Kind.OPENED, incident.summary)
    return incident, True


def _write(incident: Incident, at: datetime, kind: str, text: str) -> None:
    IncidentUpdate.objects.create(incident=incident, at=at, kind=kind, text=text)


def _begins_anew(transition: StoredTransition, monitor: Monitor | None, store: UUID, now: datetime) -> bool:
    """Whether a new store tells us for the first time about a monitor that an older one watched before.

    What it finds down may have been so, and told, for long.
    """
    if transition.from_status is not Status.PENDING or transition.seq != 1 or monitor is None:
        return False
    known = {row.uuid: row.seen_at for row in KnownStore.objects.all()}
    seen = known.pop(store, now)
    return bool(known) and min(known.values()) < seen and monitor.created_at < seen


def matched(monitor: Monitor) -> Matched:
    """What rules look at in the monitor."""
    return Matched(slug=monitor.slug, kind=monitor.kind, tags=[str(tag) for tag in monitor.spec.get("tags") or ()])


def said_of(monitor: Monitor) -> dict[str, str]:
    """What a message says of the monitor beside its name."""
    return {
        "slug": monitor.slug,
        "kind": monitor.kind,
        "description": str(monitor.spec.get("description") or ""),
        "runbook": str(monitor.spec.get("runbook") or ""),
    }
