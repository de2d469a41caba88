"""Availability: the share of observed time in which a monitor served. From transitions, by time; never from counts.

`timeline` is pure: it cuts a window into intervals that lie end to end, and everything shown is a sum over those.
"""

from __future__ import annotations

from collections.abc import Collection, Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import UTC, date, datetime, time, timedelta
from uuid import UUID

import sqlalchemy as sa

from checks.status import VOTING, Status
from checks.store.schema import blind_interval, monitor_state, target, transition
from checks.store.states import CHUNK

Span = tuple[datetime, datetime]

_NOTHING = timedelta(0)
_A_DAY = timedelta(days=1)


@dataclass(frozen=True, slots=True)
class Interval:
    """A stretch of one status. `unknown`, `paused` and `pending` ones are not observed."""

    status: Status
    start: datetime
    end: datetime


@dataclass(frozen=True, slots=True, kw_only=True)
class Availability:
    """Seconds of each status in a window, whose `intervals` add up to it. `ratio` is None where nothing was observed."""

    up: float = 0.0
    degraded: float = 0.0
    down: float = 0.0
    unknown: float = 0.0
    paused: float = 0.0
    pending: float = 0.0
    intervals: list[Interval] = field(default_factory=list)

    @property
    def observed_seconds(self) -> float:
        """For so long it was known whether it serves."""
        return self.up + self.degraded + self.down

    @property
    def ratio(self) -> float | None:
        """The share of the observed time in `up` or `degraded`."""
        return (self.up + self.degraded) / self.observed_seconds if self.observed_seconds else None


@dataclass(frozen=True, slots=True, kw_only=True)
class DayView:
    """One day (UTC) of a monitor, as far as it has passed: seconds of each status."""

    day: date
    up: float
    degraded: float
    down: float
    unknown: float
    paused: float
    pending: float
    observed_seconds: float
    ratio: float | None


def timeline(
    first: Status, changes: Iterable[tuple[datetime, Status]], start: datetime, end: datetime
) -> list[Interval]:
    """The window cut into intervals: `first` until the first change, then each status from its change on."""
    intervals: list[Interval] = []
    status, begun = first, start
    for since, following in changes:
        at = min(max(since, begun), end)
        _append(intervals, Interval(status, begun, at))
        status, begun = following, at
    _append(intervals, Interval(status, begun, end))
    return intervals


def _append(intervals: list[Interval], interval: Interval) -> None:
    """Add an interval that is not empty; one of the same status grows instead."""
    if interval.start >= interval.end:
        return
    if intervals and intervals[-1].status is interval.status:
        intervals[-1] = Interval(interval.status, intervals[-1].start, interval.end)
    else:
        intervals.append(interval)


def without(intervals: Iterable[Interval], blind: Sequence[Span]) -> list[Interval]:
    """The intervals with what was observed in a blindness made `unknown`. `blind` is in order and has no overlaps."""
    seen: list[Interval] = []
    for interval in intervals:
        begun = interval.start
        if interval.status in VOTING:
            for blind_from, blind_to in blind:
                cut = Interval(Status.UNKNOWN, max(blind_from, begun), min(blind_to, interval.end))
                if cut.start < cut.end:
                    _append(seen, Interval(interval.status, begun, cut.start))
                    _append(seen, cut)
                    begun = cut.end
        _append(seen, Interval(interval.status, begun, interval.end))
    return seen


def union(spans: Iterable[Span]) -> list[Span]:
    """The same time in order and without overlaps."""
    joined: list[Span] = []
    for begun, ended in sorted(spans):
        if joined and begun <= joined[-1][1]:
            joined[-1] = (joined[-1][0], max(joined[-1][1], ended))
        else:
            joined.append((begun, ended))
    return joined


def common(one: Sequence[Span], other: Sequence[Span]) -> list[Span]:
    """The time that lies in both."""
    pairs = ((max(a[0], b[0]), min(a[1], b[1])) for a in one for b in other)
    return union((begun, ended) for begun, ended in pairs if begun < ended)


def summed(intervals: Sequence[Interval]) -> Availability:
    """The availability that these intervals make."""
    spent = dict.fromkeys(Status, _NOTHING)
    for interval in intervals:
        spent[interval.status] += interval.end - interval.start
    return Availability(
        **{status.value: length.total_seconds() for status, length in spent.items()},
        intervals=list(intervals),
    )


def by_day(intervals: Sequence[Interval], first_day: date, last_day: date) -> list[DayView]:
    """The intervals cut at midnight (UTC), one view a day."""
    views, position = [], 0
    for number in range((last_day - first_day).days + 1):
        day = first_day + timedelta(days=number)
        begun, ended = midnight(day), midnight(day + _A_DAY)
        while position < len(intervals) and intervals[position].end <= begun:
            position += 1
        inside = position
        spent: dict[Status, timedelta] = {}
        while inside < len(intervals) and intervals[inside].start < ended:
            found = intervals[inside]
            length = min(found.end, ended) - max(found.start, begun)
            spent[found.status] = spent.get(found.status, _NOTHING) + length
            inside += 1
        views.append(_day(day, spent))
    return views


def _day(day: date, spent: Mapping[Status, timedelta]) -> DayView:
    seconds = {status.value: spent[status].total_seconds() if status in spent else 0.0 for status in Status}
    served = seconds["up"] + seconds["degraded"]
    observed = served + seconds["down"]
    return DayView(day=day, **seconds, observed_seconds=observed, ratio=served / observed if observed else None)


def midnight(day: date) -> datetime:
    """The instant (UTC) at which a day begins."""
    return datetime.combine(day, time.min, UTC)


def availability(conn: sa.Connection, monitor: UUID, start: datetime, end: datetime, now: datetime) -> Availability:
    """The availability of a monitor in a window, which ends now at the latest."""
    return summed(timelines(conn, [monitor], start, min(end, now)).get(monitor, []))


def daily_availability(
    conn: sa.Connection,
    monitors: Collection[UUID],
    first_day: date,
    last_day: date,
    now: datetime,
) -> dict[UUID, list[DayView]]:
    """One view a day and monitor, the last day up to now; monitors that the store does not know are left out."""
    end = min(midnight(last_day + _A_DAY), now)
    lines = timelines(conn, monitors, midnight(first_day), end)
    return {monitor: by_day(intervals, first_day, last_day) for monitor, intervals in lines.items()}


def timelines(
    conn: sa.Connection,
    monitors: Collection[UUID],
    start: datetime,
    end: datetime,
) -> dict[UUID, list[Interval]]:
    """The intervals of each monitor that the store knows, blindness taken out."""
    lines: dict[UUID, list[Interval]] = {}
    spans = _blind_spans(conn, start, end)
    ordered = sorted(set(monitors))
    for begin in range(0, len(ordered), CHUNK):
        some = ordered[begin : begin + CHUNK]
        first, changes = _statuses(conn, some, start, end)
        places = _places(conn, some) if spans else {}
        for monitor, status in first.items():
            whole = timeline(status, changes.get(monitor, ()), start, end) if start < end else []
            lines[monitor] = without(whole, _blind(places.get(monitor, ()), spans))
    return lines


def _statuses(
    conn: sa.Connection,
    monitors: Sequence[UUID],
    start: datetime,
    end: datetime,
) -> tuple[dict[UUID, Status], dict[UUID, list[tuple[datetime, Status]]]]:
    """The status of each monitor when the window begins, and its changes within."""
    c, first = transition.c, {}
    query = sa.select(monitor_state.c.monitor, monitor_state.c.status, monitor_state.c.since, monitor_state.c.seq)
    for row in conn.execute(query.where(monitor_state.c.monitor.in_(monitors))):
        # What it was before the store knew it, nobody saw. With a transition, that one tells (below).
        first[row.monitor] = Status(row.status) if row.seq == 0 and row.since <= start else Status.PENDING
    last = (
        sa.select(c.monitor, sa.func.max(c.seq).label("seq"))
        .where(c.monitor.in_(monitors), c.since <= start)
        .group_by(c.monitor)
        .subquery()
    )
    before = sa.select(c.monitor, c.to_status).join(last, (last.c.monitor == c.monitor) & (last.c.seq == c.seq))
    known = {row.monitor: Status(row.to_status) for row in conn.execute(before)}
    changes: dict[UUID, list[tuple[datetime, Status]]] = {}
    within = sa.select(c.monitor, c.since, c.from_status, c.to_status).where(
        c.monitor.in_(monitors),
        c.since > start,
        c.since < end,
    )
    for row in conn.execute(within.order_by(c.monitor, c.seq)):
        known.setdefault(row.monitor, Status(row.from_status))
        changes.setdefault(row.monitor, []).append((row.since, Status(row.to_status)))
    return first | {monitor: status for monitor, status in known.items() if monitor in first}, changes


def _places(conn: sa.Connection, monitors: Sequence[UUID]) -> dict[UUID, list[tuple[str, str]]]:
    """By whom each monitor is seen: the workers of its locations, or (a heartbeat) the web processes."""
    query = sa.select(target.c.monitor, target.c.source, target.c.location).where(target.c.monitor.in_(monitors))
    places: dict[UUID, list[tuple[str, str]]] = {}
    for row in conn.execute(query):
        key = ("web", "") if row.source == "pinged" else ("worker", row.location)
        places.setdefault(row.monitor, []).append(key)
    return places


def _blind_spans(conn: sa.Connection, start: datetime, end: datetime) -> dict[tuple[str, str], list[Span]]:
    """When each role and location saw nothing."""
    c = blind_interval.c
    spans: dict[tuple[str, str], list[Span]] = {}
    for row in conn.execute(sa.select(blind_interval).where(c.start < end, c.end > start)):
        spans.setdefault((row.role, row.location), []).append((row.start, row.end))
    return {key: union(found) for key, found in spans.items()}


def _blind(places: Sequence[tuple[str, str]], spans: Mapping[tuple[str, str], list[Span]]) -> list[Span]:
    """When all of these places were blind at once."""
    if not places:
        return []
    blind = spans.get(places[0], [])
    for place in places[1:]:
        blind = common(blind, spans.get(place, []))
    return blind
