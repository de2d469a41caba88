"""Availability: the share of observed time in which a monitor served. From transitions, by time; never from counts.

`timeline` is pure: it cuts a window into intervals that lie end to end, and everything shown is a sum over those.
Three figures stand side by side: the raw one, the one without announced maintenance, and how much was observed.
"""

from __future__ import annotations

from collections.abc import Callable, Collection, Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import UTC, date, datetime, time, timedelta, tzinfo
from itertools import pairwise
from uuid import UUID

import sqlalchemy as sa

from checks.status import VOTING, Status
from checks.store import watches
from checks.store.schema import blind_interval, monitor_state, transition
from checks.store.states import CHUNK
from checks.store.watches import Watch

Span = tuple[datetime, datetime]

_NOTHING = timedelta(0)
_A_DAY = timedelta(days=1)


BLIND = "blind"  # the cause of what nobody could see; every other one is a transition's
_BEFORE = ""  # of what was so before the first transition that is known

Change = tuple[datetime, Status, str]  # since when, what, and by what cause


@dataclass(frozen=True, slots=True)
class Interval:
    """A stretch of one status. `unknown`, `paused` and `pending` ones are not observed."""

    status: Status
    start: datetime
    end: datetime
    cause: str = _BEFORE  # of the transition that began it
    announced: bool = False  # as maintenance, beforehand

    @property
    def length(self) -> timedelta:
        """How long it lasted."""
        return self.end - self.start

    @property
    def observed(self) -> bool:
        """Whether it counts in the raw figure: it was known whether it serves."""
        return self.status in VOTING

    @property
    def counted(self) -> bool:
        """Whether it counts in the figure without announced maintenance."""
        return self.status in VOTING and not self.announced


@dataclass(frozen=True, slots=True, kw_only=True)
class Availability:
    """Seconds of each status in a window, whose `intervals` add up to it. A ratio of nothing is None."""

    up: float = 0.0
    degraded: float = 0.0
    down: float = 0.0
    unknown: float = 0.0
    paused: float = 0.0
    pending: float = 0.0
    maintenance: float = 0.0  # announced, whatever the status was: those seconds stand above, too
    intervals: list[Interval] = field(default_factory=list)

    @property
    def seconds(self) -> float:
        """The length of the window."""
        return sum((each.length for each in self.intervals), _NOTHING).total_seconds()

    @property
    def observed_seconds(self) -> float:
        """For so long it was known whether it serves."""
        return self.up + self.degraded + self.down

    @property
    def ratio(self) -> float | None:
        """The raw figure: the share of the observed time in `up` or `degraded`."""
        return (self.up + self.degraded) / self.observed_seconds if self.observed_seconds else None

    @property
    def ratio_without_maintenance(self) -> float | None:
        """The same of the time that was not announced as maintenance."""
        if not self.maintenance:
            return self.ratio
        counted = [each for each in self.intervals if each.counted]
        whole = sum((each.length for each in counted), _NOTHING)
        served = sum((each.length for each in counted if each.status is not Status.DOWN), _NOTHING)
        return served / whole if whole else None

    @property
    def observed_share(self) -> float | None:
        """What share of the window was observed; None for an empty window."""
        whole = self.seconds
        return self.observed_seconds / whole if whole else None


@dataclass(frozen=True, slots=True, kw_only=True)
class DayView:
    """One day of a monitor, as far as it has passed: seconds of each status."""

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
    first: Status, changes: Iterable[Change], start: datetime, end: datetime, cause: str = ""
) -> list[Interval]:
    """The window cut into intervals: `first` until the first change, then each status from its change on."""
    intervals: list[Interval] = []
    status, begun = first, start
    for since, following, why in changes:
        at = min(max(since, begun), end)
        _append(intervals, Interval(status, begun, at, cause))
        status, begun, cause = following, at, why
    _append(intervals, Interval(status, begun, end, cause))
    return intervals


def _append(intervals: list[Interval], interval: Interval) -> None:
    """Add an interval that is not empty; one of the same status grows instead."""
    if interval.start >= interval.end:
        return
    last = intervals[-1] if intervals else None
    if last is not None and last.status is interval.status and last.announced == interval.announced:
        intervals[-1] = Interval(last.status, last.start, interval.end, last.cause, last.announced)
    else:
        intervals.append(interval)


def without(intervals: Iterable[Interval], blind: Sequence[Span]) -> list[Interval]:
    """The intervals with what was observed in a blindness made `unknown`. `blind` is in order and has no overlaps."""

    def unseen(part: Interval) -> Interval:
        return Interval(Status.UNKNOWN, part.start, part.end, BLIND, part.announced) if part.observed else part

    return _changed(intervals, blind, unseen)


def with_maintenance(intervals: Iterable[Interval], announced: Sequence[Span]) -> list[Interval]:
    """The intervals with what lies in announced maintenance marked so. `announced` is in order, without overlaps."""

    def marked(part: Interval) -> Interval:
        return Interval(part.status, part.start, part.end, part.cause, announced=True)

    return _changed(intervals, announced, marked)


def _changed(
    intervals: Iterable[Interval], spans: Sequence[Span], change: Callable[[Interval], Interval]
) -> list[Interval]:
    """The intervals cut at the spans, and what lies in a span changed. Both are in order."""
    found: list[Interval] = []
    passed = 0
    for each in intervals:
        while passed < len(spans) and spans[passed][1] <= each.start:
            passed += 1
        begun, position = each.start, passed
        while position < len(spans) and spans[position][0] < each.end:
            span_from, span_to = spans[position]
            cut, over = max(span_from, begun), min(span_to, each.end)
            if cut < over:
                _append(found, Interval(each.status, begun, cut, each.cause, each.announced))
                _append(found, change(Interval(each.status, cut, over, each.cause, each.announced)))
                begun = over
            position += 1
        _append(found, Interval(each.status, begun, each.end, each.cause, each.announced))
    return found


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
    spent, announced = dict.fromkeys(Status, _NOTHING), _NOTHING
    for interval in intervals:
        length = interval.end - interval.start
        spent[interval.status] += length
        if interval.announced:
            announced += length
    return Availability(
        **{status.value: length.total_seconds() for status, length in spent.items()},
        maintenance=announced.total_seconds(),
        intervals=list(intervals),
    )


def by_day(intervals: Sequence[Interval], first_day: date, last_day: date, zone: tzinfo = UTC) -> list[DayView]:
    """The intervals cut at midnight, one view a day; a day on which clocks change has 23 or 25 hours."""
    views, position = [], 0
    for number in range((last_day - first_day).days + 1):
        day = first_day + timedelta(days=number)
        begun, ended = midnight(day, zone), midnight(day + _A_DAY, zone)
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


def midnight(day: date, zone: tzinfo = UTC) -> datetime:
    """The instant at which a day begins; where clocks skip midnight, the first one after the gap."""
    return datetime.combine(day, time.min, zone).astimezone(UTC)


def availability(
    conn: sa.Connection,
    monitor: UUID,
    start: datetime,
    end: datetime,
    now: datetime,
    *,
    announced: Sequence[Span] = (),
) -> Availability:
    """The availability of a monitor in a window, which ends now at the latest. `announced` is maintenance."""
    return availabilities(conn, [monitor], start, end, now, announced={monitor: announced}).get(monitor, Availability())


def availabilities(
    conn: sa.Connection,
    monitors: Collection[UUID],
    start: datetime,
    end: datetime,
    now: datetime,
    *,
    announced: Mapping[UUID, Sequence[Span]] | None = None,
) -> dict[UUID, Availability]:
    """The same of several monitors; those that the store does not know are left out."""
    spans = {monitor: union(found) for monitor, found in (announced or {}).items()}
    lines = timelines(conn, monitors, start, min(end, now))
    return {monitor: summed(with_maintenance(line, spans.get(monitor, ()))) for monitor, line in lines.items()}


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
        watched = watches.of_monitors(conn, some, start, end) if spans else {}
        for monitor, (status, cause) in first.items():
            whole = timeline(status, changes.get(monitor, ()), start, end, cause) if start < end else []
            lines[monitor] = without(whole, _blind(watched.get(monitor, ()), spans))
    return lines


def _statuses(
    conn: sa.Connection,
    monitors: Sequence[UUID],
    start: datetime,
    end: datetime,
) -> tuple[dict[UUID, tuple[Status, str]], dict[UUID, list[Change]]]:
    """The status of each monitor when the window begins, with its cause, and its changes within."""
    c, first = transition.c, {}
    query = sa.select(monitor_state.c.monitor, monitor_state.c.status, monitor_state.c.since, monitor_state.c.seq)
    for row in conn.execute(query.where(monitor_state.c.monitor.in_(monitors))).all():
        # What it was before the store knew it, nobody saw. With a transition, that one tells (below).
        known_since = row.seq == 0 and row.since <= start
        first[row.monitor] = (Status(row.status) if known_since else Status.PENDING, _BEFORE)
    last = (
        sa.select(c.monitor, sa.func.max(c.seq).label("seq"))
        .where(c.monitor.in_(monitors), c.since <= start)
        .group_by(c.monitor)
        .subquery()
    )
    before = sa.select(c.monitor, c.to_status, c.cause).join(
        last, (last.c.monitor == c.monitor) & (last.c.seq == c.seq)
    )
    known = {row.monitor: (Status(row.to_status), row.cause) for row in conn.execute(before).all()}
    changes: dict[UUID, list[Change]] = {}
    within = sa.select(c.monitor, c.since, c.from_status, c.to_status, c.cause).where(
        c.monitor.in_(monitors),
        c.since > start,
        c.since < end,
    )
    for monitor, since, before_it, after_it, cause in conn.execute(within.order_by(c.monitor, c.seq)):
        known.setdefault(monitor, (Status(before_it), _BEFORE))
        changes.setdefault(monitor, []).append((since, Status(after_it), cause))
    return first | {monitor: found for monitor, found in known.items() if monitor in first}, changes


def _blind_spans(conn: sa.Connection, start: datetime, end: datetime) -> dict[tuple[str, str], list[Span]]:
    """When each role and location saw nothing."""
    c = blind_interval.c
    spans: dict[tuple[str, str], list[Span]] = {}
    for row in conn.execute(sa.select(blind_interval).where(c.start < end, c.end > start)):
        spans.setdefault((row.role, row.location), []).append((row.start, row.end))
    return {key: union(found) for key, found in spans.items()}


def _blind(watched: Sequence[Watch], spans: Mapping[tuple[str, str], list[Span]]) -> list[Span]:
    """When all who watched were blind at once: of each stretch, those who watched then."""
    found: list[Span] = []
    edges = sorted({each.since for each in watched} | {each.until for each in watched})
    for begun, ended in pairwise(edges):
        seeing = [_sight(each) for each in watched if each.since <= begun and each.until >= ended]
        blind = [(begun, ended)] if seeing else []
        for sight in seeing:
            blind = common(blind, spans.get(sight, []))
        found += blind
    return union(found)


def _sight(watched: Watch) -> tuple[str, str]:
    """By whom this is seen: the workers of its location, or (a heartbeat) the web processes."""
    return ("web", "") if watched.source == "pinged" else ("worker", watched.location)
