"""Covers a window by what is stored of it: whole days, whole hours, and results at its edges, each counted once.

What is read is one snapshot, and retention needs no mention here: a day or an hour at an edge is taken apart where all
that it was made of is still there. Where it is not, it counts whole if it begins in the window, and the tally says so.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import datetime
from typing import Any

import sqlalchemy as sa

from checks.clock import to_micros
from checks.result import PHASES
from checks.store.periods import DAY, HOUR, LENGTH, start_of
from checks.store.schema import dirty_period, result, rollup
from checks.store.spoiled import carefully
from checks.store.tally import COUNTS, TOTAL, Tally

Span = tuple[datetime, datetime]
Dirty = set[tuple[str, datetime]]
Rolled = dict[datetime, dict[str, sa.Row[Any]]]  # by the period's beginning and the phase

_A_DAY, _AN_HOUR = LENGTH[DAY], LENGTH[HOUR]


@dataclass(slots=True)
class Cut:
    """A window cut into days that count whole, hours of other days that do, and what is left of other hours."""

    days: list[Span] = field(default_factory=list)
    hours: list[Span] = field(default_factory=list)
    rest: list[Span] = field(default_factory=list)


def cut(start: datetime, end: datetime, dirty: Dirty) -> Cut:
    """Cover a window by the largest periods that lie in it and are rolled up. Pure.

    What is not `dirty` is rolled up, or has no results: the running hour is dirty from its first result on.
    """
    pieces, unsettled = Cut(), days_of(dirty)
    day = start_of(DAY, start)
    while day < end:
        after = day + _A_DAY
        if start <= day and after <= end and day not in unsettled:
            extend(pieces.days, (day, after))
        else:
            _cut_day(pieces, max(day, start), min(after, end), dirty)
        day = after
    return pieces


def _cut_day(pieces: Cut, start: datetime, end: datetime, dirty: Dirty) -> None:
    hour = start_of(HOUR, start)
    while hour < end:
        after = hour + _AN_HOUR
        if start <= hour and after <= end and (HOUR, hour) not in dirty:
            extend(pieces.hours, (hour, after))
        else:
            pieces.rest.append((max(hour, start), min(after, end)))
        hour = after


def days_of(dirty: Dirty) -> set[datetime]:
    """The days whose roll-ups do not hold all results of the day."""
    return {start_of(DAY, start) for _, start in dirty}


def extend(spans: list[Span], span: Span) -> None:
    """Add a span that follows the others; one that follows at once makes the last one longer."""
    if spans and spans[-1][1] == span[0]:
        spans[-1] = (spans[-1][0], span[1])
    else:
        spans.append(span)


def tally(conn: sa.Connection, target_id: int, start: datetime, end: datetime, *, phases: bool = False) -> Tally:
    """What the results of a target that started in the window add up to."""
    found = dirty(conn, target_id, start, end)

    def count(careful: bool) -> Tally:  # noqa: FBT001 - it is called by one place
        counting = _Counting(conn, target_id, found, phases, Tally(careful=careful))
        if start < end:
            counting.count(start, end)
        counting.total.check()
        return counting.total

    return carefully(count)


@dataclass(slots=True)
class _Counting:
    conn: sa.Connection
    target_id: int
    dirty: Dirty
    phases: bool
    total: Tally

    def count(self, start: datetime, end: datetime) -> None:
        pieces = cut(start, end, self.dirty)
        # Days that are taken apart: what they held tells whether all of it is still there.
        apart = sorted({day for begun, ended in (*pieces.hours, *pieces.rest) for day in _days(begun, ended)})
        opened = set(apart) - days_of(self.dirty)
        days = self._rolled(DAY, [*pieces.days, *((day, day + _A_DAY) for day in sorted(opened))])
        hours = self._rolled(HOUR, [(day, day + _A_DAY) for day in apart])
        closed = {day for day in opened if _count(days.get(day)) > _count_of(hours, day)}
        for begun, ended in (*pieces.days, *((day, day + _A_DAY) for day in sorted(closed) if start <= day)):
            self._add((rows for day, rows in days.items() if begun <= day < ended), begun, ended)
        for begun, ended in pieces.hours:
            for hour in _hours(begun, ended):
                if start_of(DAY, hour) not in closed:
                    self._add([hours.get(hour, {})], hour, hour + _AN_HOUR)
        for span in pieces.rest:
            if start_of(DAY, span[0]) not in closed:
                self._count_rest(span, hours)

    def _count_rest(self, span: Span, hours: Rolled) -> None:
        """Count the results of a part of an hour. Where they are deleted, the hour counts whole, if it begins here."""
        hour = start_of(HOUR, span[0])
        after, is_dirty = hour + _AN_HOUR, (HOUR, hour) in self.dirty
        rows = results(self.conn, self.target_id, span if is_dirty else (hour, after), phases=self.phases)
        if not is_dirty and len(rows) < _count(hours.get(hour)):
            if span[0] == hour:
                self._add([hours[hour]], hour, after)
            return
        first, last = to_micros(span[0]), to_micros(span[1])
        self.total.add_results([row[1:] for row in rows if first <= row[0] < last])
        self.total.cover(*span)

    def _add(self, periods: Iterable[Mapping[str, sa.Row[Any]]], begun: datetime, ended: datetime) -> None:
        for rows in periods:
            for row in rows.values():
                self.total.add_rolled(row.phase, row.histogram, row[3:])
        self.total.cover(begun, ended)

    def _rolled(self, resolution: str, spans: Sequence[Span]) -> Rolled:
        return rolled(self.conn, self.target_id, resolution, spans, phases=self.phases)


def _hours(begun: datetime, ended: datetime) -> Iterable[datetime]:
    while begun < ended:
        yield begun
        begun += _AN_HOUR


def _days(begun: datetime, ended: datetime) -> Iterable[datetime]:
    day = start_of(DAY, begun)
    while day < ended:
        yield day
        day += _A_DAY


def _count(rows: Mapping[str, sa.Row[Any]] | None) -> int:
    if not rows or TOTAL not in rows:
        return 0
    return int(rows[TOTAL].complete + rows[TOTAL].incomplete)


def _count_of(hours: Rolled, day: datetime) -> int:
    return sum(_count(hours.get(day + _AN_HOUR * number)) for number in range(24))


def dirty(conn: sa.Connection, target_id: int, start: datetime, end: datetime) -> Dirty:
    """The periods of a target around the window whose roll-ups are older than their results."""
    around = {"of": target_id, "begun": start - _A_DAY, "ended": end + _A_DAY}
    return {(resolution, begun) for resolution, begun in conn.execute(_DIRTY, around)}


def rolled(
    conn: sa.Connection, target_id: int, resolution: str, spans: Iterable[Span], *, phases: bool = False
) -> Rolled:
    """The roll-ups of the periods that begin in these spans, of the total or of the phases too."""
    found: Rolled = {}
    joined: list[Span] = []
    for span in sorted(spans):
        extend(joined, span)
    for begun, ended in joined:
        asked = {"of": target_id, "resolution_of": resolution, "begun": begun, "ended": ended}
        for row in conn.execute(_ROLLED_PHASES if phases else _ROLLED, asked).all():
            found.setdefault(row[0], {})[row[1]] = row
    return found


def results(conn: sa.Connection, target_id: int, span: Span, *, phases: bool = False) -> Sequence[Any]:
    """The results of a span: when each started (in microseconds), its outcome, its latency, and its phases if asked for."""
    asked = {"of": target_id, "begun": span[0], "ended": span[1]}
    return conn.execute(_RESULTS_PHASES if phases else _RESULTS, asked).all()


# Statements are made once: to make one costs more than SQLite takes to answer it.
def _within(table: sa.Table, instant: sa.Column[datetime]) -> tuple[sa.ColumnElement[bool], ...]:
    return (
        table.c.target_id == sa.bindparam("of"),
        instant >= sa.bindparam("begun"),
        instant < sa.bindparam("ended"),
    )


def _results_with(*phases: str) -> sa.Select[Any]:
    c = result.c
    started_at = sa.type_coerce(c.started_at, sa.BigInteger)  # a datetime of each would take as long as the rest
    query = sa.select(started_at, c.outcome, c.latency_ns, *(c[f"{phase}_ns"] for phase in phases))
    return query.where(*_within(result, c.started_at)).order_by(c.started_at)


_DIRTY = sa.select(dirty_period.c.resolution, dirty_period.c.start).where(
    dirty_period.c.target_id == sa.bindparam("of"),
    dirty_period.c.start > sa.bindparam("begun"),
    dirty_period.c.start < sa.bindparam("ended"),
)
_ROLLED_PHASES = sa.select(
    rollup.c.start, rollup.c.phase, rollup.c.histogram, *(rollup.c[name] for name in COUNTS)
).where(rollup.c.resolution == sa.bindparam("resolution_of"), *_within(rollup, rollup.c.start))
_ROLLED = _ROLLED_PHASES.where(rollup.c.phase == TOTAL)
_RESULTS, _RESULTS_PHASES = _results_with(), _results_with(*PHASES)
