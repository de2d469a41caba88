"""A page with a component, an incident with all that is for operators only: what screens are tested with."""

from __future__ import annotations

from datetime import datetime, timedelta
from typing import Any

import sqlalchemy as sa

from checks import clock
from checks.status import Cause, Status
from checks.store import writer
from monitoring.models import Component, ComponentGroup, Incident, IncidentUpdate, Monitor, PostMortem, StatusPage

HOST = "db-7.internal.example"
ERROR = "connection to 10.9.8.7 was refused by pg_hba"
XSS = "\"><script>alert(1)</script><img src=x onerror=alert(1)>'"


def put_on_page(monitor: Monitor, name: str = "Shop", *, slug: str = "public", **fields: Any) -> StatusPage:
    """The page on which the monitor now stands under a name; made where it does not exist."""
    page, _ = StatusPage.objects.get_or_create(slug=slug, defaults={"title": "Example status", **fields})
    group, _ = ComponentGroup.objects.get_or_create(page=page, name="Core")
    Component.objects.create(group=group, monitor=monitor, name=name)
    return page


def open_incident(monitor: Monitor, *, ago: float = 600.0, **fields: Any) -> Incident:
    """An incident with evidence, and a line of ours, that nobody but an operator may see."""
    at = clock.utcnow() - timedelta(seconds=ago)
    defaults: dict[str, Any] = {
        "monitor": monitor,
        "monitor_uuid": monitor.uuid,
        "monitor_name": monitor.name,
        "cause": "down",
        "summary": ERROR,
        "opened_at": at,
        "detected_at": at + timedelta(seconds=20),
        "evidence": {
            "location": "eu-west",
            "phases": {"dns": 1_000_000, "connect": 4_000_000},
            "difference": f"was 200, 14.2 kB; now 503, 9 B, served by {HOST}",
            "last_good": {"at": at.isoformat(), "facts": {"status": 200, "size": 14_200, "server": XSS}},
            "failure": {"reason": "expectation", "message": ERROR, "expected": "status in 200-299", "found": "503"},
            "evidence": {"url": f"https://{HOST}/", "headers": [["server", HOST]], "body": XSS},
        },
    }
    incident = Incident.objects.create(**{**defaults, **fields})
    IncidentUpdate.objects.create(incident=incident, at=at, kind=IncidentUpdate.Kind.OPENED, text=ERROR)
    # One that somebody marked as public by mistake is not public: it is ours, and may name anything.
    IncidentUpdate.objects.create(incident=incident, at=at, kind=IncidentUpdate.Kind.NOTE, text=HOST, public=True)
    return incident


def resolve(incident: Incident, *, ago: float = 60.0) -> Incident:
    incident.resolved_at = clock.utcnow() - timedelta(seconds=ago)
    incident.resolution = "recovered"
    incident.save()
    return incident


def tell(incident: Incident, text: str, *, public: bool = True) -> IncidentUpdate:
    kind = IncidentUpdate.Kind.UPDATE
    return IncidentUpdate.objects.create(incident=incident, at=clock.utcnow(), kind=kind, text=text, public=public)


def write_post_mortem(incident: Incident, markdown: str, *, published: bool = True) -> PostMortem:
    published_at = clock.utcnow() if published else None
    return PostMortem.objects.create(incident=incident, markdown=markdown, published_at=published_at)


def become(engine: sa.Engine, monitor: Monitor, status: Status, at: datetime | None = None) -> None:
    """The store's status of a monitor, with its transition."""
    with engine.begin() as conn:
        writer.put(conn, monitor.uuid, status, at or clock.utcnow(), cause=Cause.PROBE)
