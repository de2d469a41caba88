"""Availability over a window: of monitors side by side, and of one with all its intervals and their incidents."""

from __future__ import annotations

from bisect import bisect_left
from collections.abc import Collection, Iterable, Sequence
from dataclasses import dataclass
from datetime import datetime
from uuid import UUID

from django.db.models import Q

from checks.status import Status
from checks.store import reader
from checks.store.availability import Availability, Interval, availabilities
from checks.store.engine import reading
from monitoring import maintenance
from monitoring.models import Incident, Monitor
from monitoring.publish import store_engine

MOST_TROUBLES = 100  # of one monitor that a report lists; all of them stand on the monitor's own page


@dataclass(frozen=True, slots=True)
class Stretch:
    """An interval, and the incident that it belongs to."""

    interval: Interval
    incident: Incident | None

    @property
    def seconds(self) -> float:
        """How long it lasted."""
        return self.interval.length.total_seconds()


@dataclass(frozen=True, slots=True, kw_only=True)
class Line:
    """One monitor of a report."""

    uuid: UUID
    slug: str
    name: str
    kind: str
    gone: bool  # retired or deleted since
    found: Availability
    troubles: Sequence[Stretch]  # what it was beside up and paused, and what was announced; the earliest first
    more: int  # of these, not listed

    @property
    def outages(self) -> int:
        """How many times it was down."""
        return sum(1 for _ in _outages(self.found.intervals))

    @property
    def longest(self) -> float:
        """Seconds of the longest outage."""
        return max(_outages(self.found.intervals), default=0.0)


@dataclass(frozen=True, slots=True, kw_only=True)
class Report:
    """Some monitors over one window."""

    start: datetime
    end: datetime
    until: datetime  # the end, or now where that is to come
    lines: Sequence[Line]
    unseen: Sequence[str]  # names of monitors of which nothing is known in this window
    now: datetime

    @property
    def complete(self) -> bool:
        """Whether the window is over."""
        return self.until == self.end

    @property
    def maintenance(self) -> bool:
        """Whether any was announced; else two of the figures are the same."""
        return any(line.found.maintenance for line in self.lines)


def _outages(intervals: Iterable[Interval]) -> Iterable[float]:
    """The lengths of the outages; one that maintenance was announced for in part is still one."""
    seconds = 0.0
    for each in intervals:
        if each.status is Status.DOWN:
            seconds += each.length.total_seconds()
        elif seconds:
            yield seconds
            seconds = 0.0
    if seconds:
        yield seconds


def report(
    start: datetime,
    end: datetime,
    now: datetime,
    *,
    slugs: Collection[str] = (),
    tags: Collection[str] = (),
) -> Report:
    """The monitors that have one of these slugs or tags, or all, by name; with those that are gone, where all are."""
    known = _monitors(start, slugs, tags)
    with reading(store_engine()) as conn:
        if not slugs and not tags:
            views = reader.overview(conn, now, include_removed=True)
            known |= {v.uuid: (v.slug, v.name, v.kind, True) for v in views if v.removed and v.uuid not in known}
        found = availabilities(conn, known, start, end, now, announced=maintenance.spans(known, start, end))
    incidents = _incidents(known, start, end)
    lines, unseen = [], []
    for uuid, (slug, name, kind, gone) in sorted(known.items(), key=lambda item: item[1][1].casefold()):
        seen = found.get(uuid)
        if seen is None or not (seen.observed_seconds or seen.unknown or (seen.paused and not gone)):
            if not gone:
                unseen.append(name)
            continue
        stretches = [each for each in _linked(seen.intervals, incidents.get(uuid, ())) if _is_trouble(each.interval)]
        shown = stretches[:MOST_TROUBLES]
        lines.append(
            Line(
                uuid=uuid,
                slug=slug,
                name=name,
                kind=kind,
                gone=gone,
                found=seen,
                troubles=shown,
                more=len(stretches) - len(shown),
            )
        )
    return Report(start=start, end=end, until=min(end, now), lines=lines, unseen=unseen, now=now)


def _monitors(start: datetime, slugs: Collection[str], tags: Collection[str]) -> dict[UUID, tuple[str, str, str, bool]]:
    rows = Monitor.objects.filter(Q(retired_at=None) | Q(retired_at__gt=start))
    return {
        row.uuid: (row.slug, row.name, row.kind, row.retired_at is not None)
        for row in rows
        if (not slugs and not tags) or row.slug in slugs or not set(tags).isdisjoint(row.spec.get("tags") or ())
    }


def _is_trouble(interval: Interval) -> bool:
    return interval.announced or interval.status in (Status.DOWN, Status.DEGRADED, Status.UNKNOWN)


def of_monitor(monitor: UUID, start: datetime, end: datetime, now: datetime) -> tuple[Availability, list[Stretch]]:
    """The availability of one monitor, and every interval that it is made of."""
    announced = maintenance.spans([monitor], start, end)
    with reading(store_engine()) as conn:
        found = availabilities(conn, [monitor], start, end, now, announced=announced)
    seen = found.get(monitor, Availability())
    return seen, _linked(seen.intervals, _incidents([monitor], start, end).get(monitor, ()))


def of_intervals(monitor: UUID, intervals: Sequence[Interval]) -> list[Stretch]:
    """These intervals of one monitor, each with its incident."""
    if not intervals:
        return []
    return _linked(intervals, _incidents([monitor], intervals[0].start, intervals[-1].end).get(monitor, ()))


def _incidents(monitors: Collection[UUID], start: datetime, end: datetime) -> dict[UUID, list[Incident]]:
    """The outages of each monitor in a window, the earliest first. They do not overlap: one is open at a time."""
    found: dict[UUID, list[Incident]] = {}
    rows = Incident.objects.filter(Q(resolved_at=None) | Q(resolved_at__gt=start), cause="down", opened_at__lt=end)
    for row in rows.defer("evidence").order_by("opened_at"):
        if row.monitor_uuid is not None and row.monitor_uuid in monitors:
            found.setdefault(row.monitor_uuid, []).append(row)
    return found


def _linked(intervals: Sequence[Interval], incidents: Sequence[Incident]) -> list[Stretch]:
    ends = [incident.resolved_at.timestamp() if incident.resolved_at else float("inf") for incident in incidents]
    stretches = []
    for each in intervals:
        incident = None
        if each.status in (Status.DOWN, Status.UNKNOWN):  # blindness does not end an incident
            position = bisect_left(ends, each.start.timestamp() + 1e-6)
            if position < len(ends) and incidents[position].opened_at < each.end:
                incident = incidents[position]
        stretches.append(Stretch(each, incident))
    return stretches
