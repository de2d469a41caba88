"""One incident as operators see it: what was found, what was said, and whom we told or did not tell."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Any

from checks.difference import spoken
from monitoring.models import Incident, IncidentUpdate, Notification, PostMortem
from monitoring.operator.drawing import Fall, waterfall


@dataclass(frozen=True, slots=True, kw_only=True)
class IncidentPage:
    """All that an incident's page shows."""

    incident: Incident
    updates: Sequence[IncidentUpdate]
    notifications: Sequence[Notification]
    failure: Mapping[str, str]
    falls: Sequence[Fall]
    evidence: Sequence[tuple[str, str]]
    difference: str  # between the last good answer and the one that it is about
    last_good: Sequence[tuple[str, str]]
    last_good_at: datetime | None
    location: str
    locations: Sequence[tuple[str, str]]  # what each of several said then
    post_mortem: PostMortem | None
    public: bool  # a page shows it
    silence: str  # why nobody was told; empty where somebody was
    seconds: float
    now: datetime


def assemble(incident: Incident, now: datetime) -> IncidentPage:
    """The page of one incident."""
    evidence = incident.evidence if isinstance(incident.evidence, dict) else {}
    notifications = list(incident.notifications.select_related("channel"))
    monitor = incident.monitor
    good = evidence.get("last_good")
    good = good if isinstance(good, Mapping) else {}
    return IncidentPage(
        incident=incident,
        updates=list(incident.updates.all()),
        notifications=notifications,
        failure={key: str(value) for key, value in (evidence.get("failure") or {}).items()},
        falls=waterfall(_phases(evidence.get("phases"))),
        evidence=_lines(evidence.get("evidence")),
        difference=str(evidence.get("difference") or ""),
        last_good=spoken(good.get("facts") or {}),
        last_good_at=datetime.fromisoformat(good["at"]) if good else None,
        location=str(evidence.get("location") or ""),
        locations=sorted((evidence.get("locations") or {}).items()),
        post_mortem=getattr(incident, "post_mortem", None),
        public=bool(monitor and monitor.retired_at is None and monitor.components.exists()),
        silence="" if notifications else "No message: no alert rule with a channel matched this monitor then.",
        seconds=((incident.resolved_at or now) - incident.opened_at).total_seconds(),
        now=now,
    )


def _phases(phases: Any) -> dict[str, int]:
    if not isinstance(phases, Mapping):
        return {}
    return {str(name): value for name, value in phases.items() if isinstance(value, int)}


def _lines(evidence: Any) -> list[tuple[str, str]]:
    """What the probe kept for people, one line each."""
    if not isinstance(evidence, Mapping):
        return []
    return [(str(key).replace("_", " "), _text(value)) for key, value in evidence.items()]


def _text(value: Any) -> str:
    if isinstance(value, Mapping):
        return "\n".join(f"{key}: {each}" for key, each in value.items())
    if isinstance(value, Sequence) and not isinstance(value, str):
        # Headers are pairs; everything else stands as it is.
        return "\n".join(": ".join(map(str, each)) if isinstance(each, list | tuple) else str(each) for each in value)
    return str(value)
