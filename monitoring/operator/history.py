"""One monitor from all sides: how fast, how available, what happened, and where the time went last."""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from typing import Any

from sqlalchemy.exc import SQLAlchemyError

from checks.evidence import hidden
from checks.probes import KINDS, spec_class
from checks.probes.heartbeat import HeartbeatSpec
from checks.spec_secrets import redact
from checks.status import Member, Status
from checks.store import grouping, lastgood, reader
from checks.store.engine import StoreProblem, our_trouble, reading
from checks.store.lastgood import LastGood
from checks.store.locations import LocationView, locations
from checks.store.outbox import StoredTransition
from checks.store.setting import SETTABLE
from monitoring import maintenance
from monitoring.models import Incident, MaintenanceWindow, Monitor
from monitoring.operator import heartbeats
from monitoring.operator import latency as latencies
from monitoring.operator.drawing import Fall, Stroke, strip, waterfall
from monitoring.publish import spec_of, store_engine
from monitoring.windows import NAMED

AVAILABILITY_WINDOWS = (("A day", timedelta(days=1)), ("A week", timedelta(days=7)), ("A month", timedelta(days=30)))
STROKES = 120  # results in the strip
RESULTS = 25  # results in words
TRANSITIONS = timedelta(days=30)
MOST_TRANSITIONS = 50
INCIDENTS = 25


@dataclass(frozen=True, slots=True, kw_only=True)
class Measurements:
    """What the store says of one monitor."""

    view: reader.MonitorView | None = None
    latency: latencies.Latency | None = None  # of what is probed
    availabilities: Sequence[tuple[str, reader.Availability, float]] = ()  # with the observed share
    results: Sequence[reader.ResultView] = ()  # newest first
    transitions: Sequence[StoredTransition] = ()  # newest first
    good: Sequence[LastGood] = ()  # a location each
    members: Sequence[Member] = ()  # of a group
    locations: Sequence[LocationView] = ()  # of what is probed from several
    job: heartbeats.Known = field(default_factory=heartbeats.Known)  # of a heartbeat
    problem: str = ""  # why there is nothing


@dataclass(frozen=True, slots=True, kw_only=True)
class MonitorPage:
    """All that a monitor's page shows."""

    monitor: Monitor
    status: Status
    source: str  # of its kind: probed, pinged, derived, set; empty for a kind that this version does not have
    settable: Sequence[str]  # the statuses that a person may set
    measured: Measurements
    quorum: str  # how many of its locations must agree
    runbook: str  # a web address, or empty
    options: Sequence[tuple[str, str]]
    windows: Sequence[str]  # that may be chosen by name
    falls: Sequence[Fall]
    strokes: Sequence[Stroke]
    heartbeat: heartbeats.Heartbeat | None
    incidents: Sequence[Incident]
    maintenance: MaintenanceWindow | None  # that is on
    now: datetime


def assemble(monitor: Monitor, now: datetime, query: Mapping[str, str] | None = None) -> MonitorPage:
    """The page of one monitor. Where the store can't be read it says so, with what Django knows."""
    spec = heartbeat_spec(monitor)
    source = KINDS[monitor.kind].spec.source if monitor.kind in KINDS else ""
    window = latencies.asked(query or {}, now) if source == "probed" else None
    measured = _measure(monitor, spec, heartbeats.asked(query or {}), window, now)
    latest = measured.results[0] if measured.results else None
    runbook = str(monitor.spec.get("runbook") or "")
    is_watched = monitor.retired_at is None and not monitor.paused
    recent = [(str(result.outcome), result.latency_ns) for result in reversed(measured.results)]
    return MonitorPage(
        monitor=monitor,
        status=Status(measured.view.status) if measured.view else Status.PENDING,
        source=source,
        settable=SETTABLE if source == "set" and is_watched else (),
        measured=measured,
        quorum=str(monitor.spec.get("quorum") or "any"),
        runbook=runbook if runbook.startswith(("https://", "http://")) else "",
        options=options(monitor),
        windows=tuple(NAMED),
        falls=waterfall(latest.phases) if latest else [],
        strokes=strip(recent),
        heartbeat=None if spec is None else heartbeats.assemble(monitor, spec, measured.view, measured.job, now),
        incidents=list(Incident.objects.filter(monitor_uuid=monitor.uuid)[:INCIDENTS]),
        maintenance=maintenance.over(monitor.uuid, now, now),
        now=now,
    )


def _measure(
    monitor: Monitor, spec: HeartbeatSpec | None, asked: heartbeats.Asked, window: latencies.Asked | None, now: datetime
) -> Measurements:
    uuid = monitor.uuid
    announced = maintenance.of_monitor(uuid, now - max(length for _, length in AVAILABILITY_WINDOWS), now)
    try:
        with reading(store_engine()) as conn:
            availabilities = []
            for word, length in AVAILABILITY_WINDOWS:
                found = reader.availability(conn, uuid, now - length, now, now, announced=announced)
                availabilities.append((word, found, found.observed_seconds / length.total_seconds()))
            views = reader.overview(conn, now, include_removed=True, monitor=uuid)
            return Measurements(
                view=views[0] if views else None,
                latency=None if window is None else latencies.read(conn, uuid, window, now),
                availabilities=availabilities,
                results=reader.recent_results(conn, uuid, STROKES),
                transitions=reader.transitions(conn, uuid, now - TRANSITIONS, now)[: -MOST_TRANSITIONS - 1 : -1],
                good=lastgood.of_monitor(conn, uuid),
                members=grouping.members_of(conn, uuid),
                locations=locations(conn, uuid),
                job=heartbeats.Known() if spec is None else heartbeats.read(conn, monitor, spec, asked, now),
            )
    except (SQLAlchemyError, StoreProblem) as exc:
        return Measurements(problem=our_trouble(exc) or str(exc))


def options(monitor: Monitor) -> list[tuple[str, str]]:
    """What was configured, as text, secrets as dots. What the page says elsewhere is left out."""
    try:
        shown = redact(spec_class(monitor.kind), monitor.spec)
    except ValueError:  # of a kind that this version does not have
        return []
    said = ("name", "slug", "kind", "description", "runbook", "tags")
    return [(key.replace("_", " "), hidden(_text(value))) for key, value in shown.items() if key not in said]


def _text(value: Any) -> str:
    if isinstance(value, str):
        return value
    if isinstance(value, Sequence) and all(isinstance(each, str) for each in value):
        return "\n".join(value)
    if isinstance(value, Mapping) and all(isinstance(each, str) for each in value.values()):
        return "\n".join(f"{key}: {each}" for key, each in value.items())
    return json.dumps(value, ensure_ascii=False)


def heartbeat_spec(monitor: Monitor) -> HeartbeatSpec | None:
    """What a heartbeat is configured to do; None for what is not pinged."""
    try:
        spec = spec_of(monitor)
    except ValueError:
        return None
    return spec if isinstance(spec, HeartbeatSpec) else None
