"""What each status page shows, built from plain data and kept, so that serving a page asks no store.

The notifier calls `render_all` every few seconds. `build` is pure; what it makes is an allow-list (`public.PublicPage`).
"""

from __future__ import annotations

import logging
from collections.abc import Collection, Iterable, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from uuid import UUID

from django.db import transaction

from checks.status import Status
from checks.store import reader
from checks.store.engine import reading
from monitoring import maintenance, publish
from monitoring.models import Component, PageSnapshot, StatusPage
from monitoring.status.incidents import RECENT, on_pages
from monitoring.status.public import (
    Overall,
    PublicComponent,
    PublicDay,
    PublicGroup,
    PublicIncident,
    PublicMaintenance,
    PublicPage,
    to_payload,
)

logger = logging.getLogger(__name__)

DAYS = 90
MOST_RECENT = 50  # resolved incidents on a page
MOST_POST_MORTEMS = 10
MOST_MAINTENANCE = 10
ANNOUNCED = timedelta(days=14)  # before it begins, maintenance stands on a page
DAY = 86400.0  # seconds


@dataclass(frozen=True, slots=True, kw_only=True)
class Published:
    """One component that was put on a page, in the page's order."""

    group: int
    group_name: str
    monitor: UUID
    name: str
    description: str


@dataclass(frozen=True, slots=True, kw_only=True)
class Measured:
    """What the store knows of one monitor."""

    status: Status
    since: datetime
    days: tuple[PublicDay, ...]


def build(
    page: StatusPage,
    components: Sequence[Published],
    measured: Mapping[UUID, Measured],
    incidents: Iterable[tuple[UUID, PublicIncident]],
    now: datetime,
    *,
    announced: Sequence[PublicMaintenance] = (),
) -> PublicPage:
    """The page as the public sees it. A monitor that the store does not know yet is `pending`; no incident of others."""
    groups: dict[int, list[PublicComponent]] = {}
    names: dict[int, str] = {}
    for component in components:
        names[component.group] = component.group_name
        groups.setdefault(component.group, []).append(_component(component, measured.get(component.monitor), now))
    on_page = {component.monitor for component in components}
    ours = [incident for monitor, incident in incidents if monitor in on_page]
    resolved = sorted((i for i in ours if i.resolved_at is not None), key=lambda i: i.opened_at, reverse=True)
    written = [i for i in ours if i.post_mortem_at is not None]
    return PublicPage(
        slug=page.slug,
        title=page.title,
        description=page.description,
        overall=overall([c.status for members in groups.values() for c in members]),
        groups=tuple(PublicGroup(name=names[key], components=tuple(members)) for key, members in groups.items()),
        open=tuple(sorted((i for i in ours if i.resolved_at is None), key=lambda i: i.opened_at, reverse=True)),
        recent=tuple(i for i in resolved if i.resolved_at is not None and i.resolved_at > now - RECENT)[:MOST_RECENT],
        post_mortems=tuple(sorted(written, key=_published, reverse=True)[:MOST_POST_MORTEMS]),
        maintenance=tuple(announced[:MOST_MAINTENANCE]),
        as_of=now,
    )


def _published(incident: PublicIncident) -> datetime:
    assert incident.post_mortem_at is not None  # noqa: S101 - only those with one are sorted
    return incident.post_mortem_at


def overall(statuses: Sequence[Status]) -> Overall:
    """One word for all components. Being blind to one of them is not "operational"."""
    if not statuses:
        return Overall.EMPTY
    seen = [s for s in statuses if s in (Status.UP, Status.DEGRADED, Status.DOWN)]
    if Status.DOWN in seen:
        return Overall.MAJOR if all(s is Status.DOWN for s in seen) else Overall.PARTIAL
    if Status.DEGRADED in seen:
        return Overall.DEGRADED
    if Status.UNKNOWN in statuses:
        return Overall.BLIND
    if seen:
        return Overall.OPERATIONAL
    return Overall.PENDING if Status.PENDING in statuses else Overall.PAUSED


def _component(published: Published, measured: Measured | None, now: datetime) -> PublicComponent:
    measured = measured or Measured(status=Status.PENDING, since=now, days=())
    # Each day weighs by what was observed of it: the figure is of the time, not a mean of the days' figures.
    lengths = [day_length(day, now) for day in measured.days]
    seen = [day.observed * length for day, length in zip(measured.days, lengths, strict=True)]
    served = sum((day.ratio or 0.0) * part for day, part in zip(measured.days, seen, strict=True))
    return PublicComponent(
        name=published.name,
        description=published.description,
        status=measured.status,
        since=measured.since,
        days=measured.days,
        ratio=min(1.0, served / sum(seen)) if sum(seen) > 0 else None,
        observed=min(1.0, sum(seen) / sum(lengths)) if sum(lengths) > 0 else 0.0,
    )


def day_length(day: PublicDay, now: datetime) -> float:
    """The seconds of a day that are over."""
    begun = datetime(day.day.year, day.day.month, day.day.day, tzinfo=now.tzinfo)
    return min(DAY, max(0.0, (now - begun).total_seconds()))


def render_all(now: datetime) -> int:
    """Build and keep what every page shows; how many pages there are. A page that fails leaves the others alone."""
    pages = list(StatusPage.objects.all())
    components = published_components(pages)
    measured = measure({c.monitor for members in components.values() for c in members}, now)
    for page in pages:
        try:
            shown = assemble(page, components.get(page.pk, []), measured, now)
            with transaction.atomic():
                defaults = {"payload": to_payload(shown), "rendered_at": now}
                PageSnapshot.objects.update_or_create(page=page, defaults=defaults)
        except Exception:
            logger.exception("status page %s could not be rendered", page.slug, extra={"action": "page_failed"})
    return len(pages)


def render_one(page: StatusPage, now: datetime) -> PublicPage:
    """What one page shows, built now and not kept: for the first seconds of a page's life."""
    components = published_components([page]).get(page.pk, [])
    return assemble(page, components, measure({c.monitor for c in components}, now), now)


def assemble(
    page: StatusPage, components: Sequence[Published], measured: Mapping[UUID, Measured], now: datetime
) -> PublicPage:
    """`build` with the incidents of the components, and what was announced of them."""
    names: dict[UUID, list[str]] = {}
    for component in components:
        names.setdefault(component.monitor, []).append(component.name)
    announced = [
        PublicMaintenance(
            title=window.title,
            text=window.text,
            components=tuple(dict.fromkeys(name for uuid, shown in names.items() if uuid in about for name in shown)),
            starts_at=window.starts_at,
            ends_at=window.ends_at,
        )
        for window, about in maintenance.upcoming(names, now, now + ANNOUNCED)
    ]
    return build(page, components, measured, on_pages(names, now), now, announced=announced)


def published_components(pages: Collection[StatusPage]) -> dict[int, list[Published]]:
    """The components of each page by its key. Those of retired monitors are hidden."""
    rows = (
        Component.objects.filter(group__page__in=pages, monitor__retired_at=None)
        .select_related("group")
        .order_by("group__position", "group__pk", "position", "pk")
    )
    found: dict[int, list[Published]] = {}
    for row in rows:
        found.setdefault(row.group.page_id, []).append(
            Published(
                group=row.group_id,
                group_name=row.group.name,
                monitor=row.monitor_id,
                name=row.name,
                description=row.description,
            ),
        )
    return found


def measure(monitors: Collection[UUID], now: datetime) -> dict[UUID, Measured]:
    """What the store knows of these monitors, read in one snapshot that is over when this returns."""
    if not monitors:
        return {}
    today = now.date()
    first = today - timedelta(days=DAYS - 1)
    with reading(publish.store_engine()) as conn:
        states = reader.standing(conn, monitors)
        days = reader.daily_availability(conn, monitors, first, today, now)
    return {
        uuid: Measured(status=status, since=since, days=tuple(_day(day, now) for day in days.get(uuid, [])))
        for uuid, (status, since) in states.items()
    }


def _day(view: reader.DayView, now: datetime) -> PublicDay:
    bare = PublicDay(day=view.day, ratio=view.ratio, observed=0.0, down_seconds=view.down)
    length = day_length(bare, now)
    observed = min(1.0, view.observed_seconds / length) if length else 0.0
    return PublicDay(day=view.day, ratio=view.ratio, observed=observed, down_seconds=view.down)
