"""Announced maintenance: what it takes out of the figures, and which messages wait until it is over."""

from __future__ import annotations

from collections.abc import Collection
from datetime import datetime
from uuid import UUID

from django.db.models import Q, QuerySet

from checks import clock
from checks.store.availability import Span, union
from monitoring.models import MaintenanceWindow, Notification

NOTE = "waits until announced maintenance is over"
WAITING = (Notification.Event.DOWN, Notification.Event.REMINDER)  # what is not told meanwhile


def spans(monitors: Collection[UUID], start: datetime, end: datetime) -> dict[UUID, list[Span]]:
    """What was announced of each of these monitors in a window: in order, without overlaps."""
    found: dict[UUID, list[Span]] = {uuid: [] for uuid in monitors}
    for window in _between(start, end).prefetch_related("monitors"):
        if window.counts_from >= window.ends_at:
            continue  # announced when it was over
        for uuid in found if window.everything else (each.pk for each in window.monitors.all()):
            if uuid in found:
                found[uuid].append((window.counts_from, window.ends_at))
    return {uuid: union(each) for uuid, each in found.items() if each}


def of_monitor(monitor: UUID, start: datetime, end: datetime) -> list[Span]:
    """The same of one monitor."""
    return spans([monitor], start, end).get(monitor, [])


def over(monitor: UUID, start: datetime, end: datetime) -> MaintenanceWindow | None:
    """The window that covers all of a time of a monitor, and ends last; None where none does."""
    ours = Q(everything=True) | Q(monitors=monitor)
    covers = Q(starts_at__lte=start, announced_at__lte=end, ends_at__gt=end)
    return MaintenanceWindow.objects.filter(ours, covers).order_by("-ends_at").first()


def upcoming(monitors: Collection[UUID], now: datetime, until: datetime) -> list[tuple[MaintenanceWindow, set[UUID]]]:
    """The public windows of these monitors that are on or begin before `until`, the next first, with whom they are about."""
    rows = _between(now, until).filter(public=True).order_by("starts_at", "ends_at").prefetch_related("monitors")
    found = []
    for row in rows:
        about = set(monitors) if row.everything else {each.pk for each in row.monitors.all()} & set(monitors)
        if about:
            found.append((row, about))
    return found


def look_again() -> int:
    """Have messages that wait for a maintenance looked at once more, since one was changed; how many."""
    waiting = Notification.objects.filter(status=Notification.Status.PENDING, event__in=WAITING, note__startswith=NOTE)
    return waiting.update(next_attempt_at=clock.utcnow(), note="")


def _between(start: datetime, end: datetime) -> QuerySet[MaintenanceWindow]:
    return MaintenanceWindow.objects.filter(starts_at__lt=end, ends_at__gt=start)
