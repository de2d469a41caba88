"""A window as points on a line, each as honest as a single figure: percentiles of all its results, and their counts.

A point is a whole step of time, which is chosen so that there are no more points than asked for, and none that is finer
than what is stored.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from itertools import groupby
from typing import Any, Final
from uuid import UUID

import sqlalchemy as sa

from checks.clock import from_micros
from checks.store.periods import DAY, HOUR, LENGTH, MINUTE, start_of
from checks.store.schema import result, rollup, target
from checks.store.spoiled import carefully
from checks.store.tally import TOTAL, Tally
from checks.store.watches import targets
from checks.store.window import Dirty, Span, cut, dirty, extend, results, rolled

STEPS: Final = tuple(
    timedelta(minutes=minutes) for minutes in (1, 2, 5, 10, 15, 30, 60, 120, 180, 360, 720, 1440, 2880, 10080, 40320)
)
_AN_HOUR, _A_DAY = LENGTH[HOUR], LENGTH[DAY]
_EPOCH = datetime(1970, 1, 5, tzinfo=UTC)  # a Monday: weeks begin on one


@dataclass(frozen=True, slots=True)
class Point:
    """One step of a series: what the results that started in it add up to."""

    start: datetime
    tally: Tally


@dataclass(frozen=True, slots=True, kw_only=True)
class Series:
    """Points from the earliest on, without those in which nothing was probed. They cover from `start` to `end`."""

    step: timedelta
    start: datetime  # the window that was asked for, widened to whole steps
    end: datetime
    points: Sequence[Point]


def series(conn: sa.Connection, monitor: UUID, window: Span, most: int, *, location: str | None = None) -> Series:
    """The window in at most so many points (and one more where it does not begin with a step), of all locations or one."""
    start, end = window
    some = [number for number, place in targets(conn, monitor, start).items() if location in (None, place)]
    # The shortest that makes few enough points, holds a result at least, and is still stored.
    step = _step(max((end - start) / max(most, 1), _stored(conn, monitor, some, start)))
    first, last = floor(start, step), floor(end - timedelta(microseconds=1), step) + step

    def gather(careful: bool) -> dict[datetime, Tally]:  # noqa: FBT001 - it is called by one place
        tallies: dict[datetime, Tally] = {}

        def of(instant: datetime) -> Tally:
            return tallies.setdefault(floor(instant, step), Tally(careful=careful))

        for target_id in some if first < last else ():
            _gather(conn, target_id, (first, last), step, of)
        for found in tallies.values():
            found.check()
        return tallies

    tallies = carefully(gather)
    points = [Point(at, tallies[at]) for at in sorted(tallies)]
    return Series(step=step, start=first, end=last, points=points)


def floor(instant: datetime, step: timedelta) -> datetime:
    """The beginning of the step in which an instant lies."""
    return instant - (instant - _EPOCH) % step


def _step(least: timedelta) -> timedelta:
    return next((step for step in STEPS if step >= least), STEPS[-1])


def _stored(conn: sa.Connection, monitor: UUID, some: Sequence[int], start: datetime) -> timedelta:
    """The finest that is known of all of the time from `start` on."""
    intervals = sa.select(sa.func.max(target.c.interval_seconds)).where(target.c.monitor == monitor)
    finest = 2 * timedelta(seconds=conn.execute(intervals).scalar_one() or 0)  # so that none is empty by chance
    for number in some:
        first_result = sa.select(sa.func.min(result.c.started_at)).where(result.c.target_id == number)
        known = (conn.execute(first_result).scalar_one(), _first(conn, number, MINUTE, start))
        fine = min((at for at in known if at is not None), default=None)
        # A period that begins before all that it was made of is what is left of its time.
        for resolution, finer in ((HOUR, fine), (DAY, _first(conn, number, HOUR, start))):
            coarse = _first(conn, number, resolution, start)
            if coarse is not None and (finer is None or coarse < start_of(resolution, finer)):
                finest = max(finest, LENGTH[resolution])
    return finest


def _first(conn: sa.Connection, target_id: int, resolution: str, start: datetime) -> datetime | None:
    """The first roll-up of a target in a window."""
    c = rollup.c
    query = sa.select(sa.func.min(c.start)).where(
        c.target_id == target_id, c.resolution == resolution, c.start >= start_of(resolution, start)
    )
    found: datetime | None = conn.execute(query).scalar_one()
    return found


def _gather(
    conn: sa.Connection, target_id: int, window: Span, step: timedelta, of: Callable[[datetime], Tally]
) -> None:
    found = dirty(conn, target_id, *window)
    if step < _AN_HOUR:
        _gather_minutes(conn, target_id, window, found, of)
        return
    pieces = cut(*window, found)
    if step < _A_DAY:  # no day lies in one point
        pieces.hours, pieces.days = [*pieces.days, *pieces.hours], []
    for resolution, spans in ((DAY, pieces.days), (HOUR, pieces.hours)):
        for start, rows in rolled(conn, target_id, resolution, spans).items():
            _add(of(start), rows[TOTAL])
    _add_results(conn, target_id, pieces.rest, of)


def _gather_minutes(
    conn: sa.Connection, target_id: int, window: Span, found: Dirty, of: Callable[[datetime], Tally]
) -> None:
    """Minutes where an hour has them all; results elsewhere."""
    around = [(start_of(HOUR, window[0]), window[1] + _AN_HOUR)]
    hours, held, rest = rolled(conn, target_id, HOUR, around), dict[datetime, list[sa.Row[Any]]](), list[Span]()
    for start, rows in rolled(conn, target_id, MINUTE, around).items():
        held.setdefault(start_of(HOUR, start), []).append(rows[TOTAL])
    hour = around[0][0]
    while hour < window[1]:
        minutes = held.get(hour, ())
        if (HOUR, hour) not in found and hour in hours and _total(minutes) == _total([hours[hour][TOTAL]]):
            for row in minutes:
                if window[0] <= row.start < window[1]:
                    _add(of(row.start), row)
        else:
            extend(rest, (max(hour, window[0]), min(hour + _AN_HOUR, window[1])))
        hour += _AN_HOUR
    _add_results(conn, target_id, rest, of)


def _total(rows: Iterable[sa.Row[Any]]) -> int:
    return sum(row.complete + row.incomplete for row in rows)


def _add(tally: Tally, row: sa.Row[Any]) -> None:
    tally.add_rolled(TOTAL, row.histogram, row[3:])


def _add_results(conn: sa.Connection, target_id: int, spans: Iterable[Span], of: Callable[[datetime], Tally]) -> None:
    for span in spans:
        for at, rows in groupby(results(conn, target_id, span), key=_minute):
            of(from_micros(at)).add_results([row[1:] for row in rows])


def _minute(row: Sequence[Any]) -> int:
    at: int = row[0]
    return at - at % 60_000_000
