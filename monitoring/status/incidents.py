"""Incidents as the public may see them: only those of published components, under the components' names."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from datetime import datetime, timedelta
from uuid import UUID

from django.db.models import Prefetch, Q, QuerySet

from monitoring.models import Component, Incident, IncidentUpdate, PostMortem
from monitoring.status.public import PublicIncident, PublicUpdate

RECENT = timedelta(days=14)


def on_pages(names: Mapping[UUID, Sequence[str]], now: datetime) -> list[tuple[UUID, PublicIncident]]:
    """What a page may tell of these monitors: each open incident, recent one, or one with a published post-mortem."""
    told = Q(resolved_at=None) | Q(resolved_at__gt=now - RECENT) | Q(post_mortem__published_at__lte=now)
    rows = _public(Incident.objects.filter(told, monitor_id__in=names))
    return [(row.monitor_id, shown(row, names[row.monitor_id], now)) for row in rows if row.monitor_id]


def find(uuid: UUID, now: datetime) -> tuple[PublicIncident, str] | None:
    """One incident with its published post-mortem (safe HTML, or ""); None unless it concerns a published component."""
    row = _public(Incident.objects.filter(pk=uuid)).first()
    if row is None or row.monitor_id is None:
        return None
    components = Component.objects.filter(monitor_id=row.monitor_id, monitor__retired_at=None)
    # The default page's name first: a component may go by another name on another page.
    ordered = components.order_by("-group__page__default", "group__page__slug", "group__position", "position", "pk")
    names = tuple(dict.fromkeys(ordered.values_list("name", flat=True)))
    if not names:
        return None
    incident = shown(row, names, now)
    return incident, row.post_mortem.html if incident.post_mortem_at else ""


def shown(row: Incident, names: Sequence[str], now: datetime) -> PublicIncident:
    """The row without anything that is for operators only."""
    post_mortem: PostMortem | None = getattr(row, "post_mortem", None)
    published = post_mortem.published_at if post_mortem else None
    return PublicIncident(
        uuid=row.uuid,
        components=tuple(dict.fromkeys(names)),
        opened_at=row.opened_at,
        resolved_at=row.resolved_at,
        resolution=row.resolution,
        updates=tuple(PublicUpdate(at=update.at, text=update.text) for update in row.updates.all()),
        post_mortem_at=published if published and published <= now else None,
    )


def _public(rows: QuerySet[Incident]) -> QuerySet[Incident]:
    """Incidents of targets, with only what people wrote for the public: our own lines may name addresses and errors."""
    updates = IncidentUpdate.objects.filter(public=True, kind=IncidentUpdate.Kind.UPDATE).order_by("at", "pk")
    about_targets = rows.exclude(cause__startswith="system:")
    return about_targets.select_related("post_mortem").prefetch_related(Prefetch("updates", queryset=updates))
