"""When a target is due, and when a job is expected: intervals with a phase of their own, cron, systemd calendars.

Pure: every function takes the instant it counts from. Due times lie on a grid that only the interval and the monitor's
identity decide, so they never drift, survive a restart, and what was missed is skipped instead of made up for.
"""

from __future__ import annotations

import functools
import hashlib
import zoneinfo
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from typing import Any
from uuid import UUID

from cronsim import CronSim, CronSimError
from oncalendar import OnCalendar, OnCalendarError

from checks.clock import from_micros, to_micros
from checks.nearest import did_you_mean
from checks.units import parse_duration

SPREAD = 60.0  # seconds over which first probes, take-overs and restarts are spread
SET_BACK = timedelta(seconds=5)  # nothing is probed so long before it is due
RARELY = timedelta(days=5 * 366)  # what occurs more seldom is a mistake

_SECOND = 1_000_000  # microseconds


@functools.lru_cache(maxsize=65536)  # one a target: it is asked for after every result
def _phase(seed: UUID | str, width: int) -> int:
    """A number below `width` that only the seed decides."""
    digest = hashlib.blake2b(str(seed).encode(), digest_size=8).digest()
    return int.from_bytes(digest, "big") % width


def _width(seconds: float) -> int:
    return max(1, round(seconds * _SECOND))


def next_slot(after: datetime, interval: float, seed: UUID | str) -> datetime:
    """The first due time strictly after an instant: one every `interval` seconds, in a phase that the seed decides."""
    width = _width(interval)
    phase, micros = _phase(seed, width), to_micros(after)
    return from_micros(phase + ((micros - phase) // width + 1) * width)


def first_due(now: datetime, interval: float, seed: UUID | str) -> datetime:
    """When a new target is probed first: at the next place of its grid, but within a minute.

    On the grid, because a first probe just before a place of it would seem to have missed that one.
    """
    return next_slot(now, min(interval, SPREAD), seed)


def after_result(  # noqa: PLR0917 - all six decide, and their order is that of the sentence
    claimed_due: datetime,
    finished_at: datetime,
    interval: float,
    retry_interval: float,
    confirming: bool,  # noqa: FBT001 - it comes from a state, never from a literal
    seed: UUID | str,
) -> tuple[datetime, int]:
    """The next due time after a probe, and how many due times went by while it ran.

    While a change is being confirmed the next probe comes `retry_interval` after this one was due; otherwise at the
    next place of the grid. Both are later than `finished_at`.
    """
    if claimed_due - finished_at > SET_BACK:  # the clock was, while it ran: it would be due again after all that time
        claimed_due = finished_at
    if confirming:
        width = _width(min(retry_interval, interval))
        begun = to_micros(claimed_due)
        skipped = max(0, (to_micros(finished_at) - begun) // width)
        return from_micros(begun + (skipped + 1) * width), skipped
    planned = next_slot(claimed_due, interval, seed)
    if planned > finished_at:
        return planned, 0
    due = next_slot(finished_at, interval, seed)
    return due, (to_micros(due) - to_micros(planned)) // _width(interval)


# What a heartbeat's job follows.


@dataclass(frozen=True, slots=True)
class Schedule:
    """When a job is expected. Made by `Schedule.parse`; immutable, and equal when it says the same."""

    every: float | None = None  # seconds
    cron: tuple[str, ...] = ()
    oncalendar: tuple[str, ...] = ()
    timezone: str = "UTC"

    @classmethod
    def parse(cls, data: Mapping[str, Any]) -> Schedule:
        """The schedule of {"every": ...}, {"cron": ..., "timezone": ...} or {"oncalendar": ..., "timezone": ...}.

        Of several expressions, any may be the next. Raises ValueError that names the field: for what can't be read, and
        for what never or hardly ever occurs.
        """
        zone = str(data.get("timezone", "UTC"))
        every, cron, oncalendar = data.get("every"), data.get("cron"), data.get("oncalendar")
        if every is not None:
            return cls(every=every if isinstance(every, float) else parse_duration(every), timezone=zone)
        if cron is not None:
            return cls(cron=_all_checked(_cron, cron, zone), timezone=zone)
        if oncalendar is not None:
            return cls(oncalendar=_all_checked(_oncalendar, oncalendar, zone), timezone=zone)
        raise ValueError("a schedule needs every, cron or oncalendar")

    def next_expected(self, after: datetime) -> datetime:
        """The first instant strictly after `after` at which the job is expected, in UTC."""
        if self.every is not None:
            return after + timedelta(seconds=self.every)
        read, expressions = (_cron, self.cron) if self.cron else (_oncalendar, self.oncalendar)
        found = [_first_after(read, expression, self.timezone, after) for expression in expressions]
        known = [instant for instant in found if instant is not None]
        if not known:  # parse() saw to it, up to the year 2190
            raise ValueError(f"{self} does not occur after {after:%Y-%m-%d}")
        return min(known)

    def following(self, after: datetime, count: int) -> list[datetime]:
        """The next `count` instants at which the job is expected, in UTC."""
        found: list[datetime] = []
        for _ in range(count):
            after = self.next_expected(after)
            found.append(after)
        return found

    def __str__(self) -> str:
        if self.every is not None:
            return f"every {self.every:g} s"
        return f"{', '.join(self.cron or self.oncalendar)} ({self.timezone})"


_SECOND_FIELD = ("second", "0-59")  # optional, before the others
_FIELDS = (
    ("minute", "0-59"),
    ("hour", "0-23"),
    ("day-of-month", "1-31 and L"),
    ("month", "1-12 and JAN-DEC"),
    ("day-of-week", "0-7 and SUN-SAT"),
)
_NICKNAMES = {
    "@hourly": "0 * * * *",
    "@daily": "0 0 * * *",
    "@midnight": "0 0 * * *",
    "@weekly": "0 0 * * 0",
    "@monthly": "0 0 1 * *",
    "@yearly": "0 0 1 1 *",
    "@annually": "0 0 1 1 *",
}

_Occurrences = Callable[[str, datetime], Iterator[datetime]]


def _cron(expression: str, start: datetime) -> Iterator[datetime]:
    """The instants of a cron expression, as Debian's cron has them. Raises ValueError."""
    text = _NICKNAMES.get(expression.strip().lower(), expression)
    fields = text.split()
    named = (_SECOND_FIELD, *_FIELDS) if len(fields) == len(_FIELDS) + 1 else _FIELDS
    if len(fields) != len(named):
        names = ", ".join(name for name, _ in _FIELDS)
        count = f"{len(fields)} field{'s' * (len(fields) != 1)}"
        raise ValueError(f"cron {expression!r} has {count}; five are needed: {names}; or six, the second first")
    try:
        occurrences: Iterator[datetime] = CronSim(text, start)
    except CronSimError as exc:
        index = next((i for i, (name, _) in enumerate(named) if name in str(exc)), None)
        if index is None:
            raise ValueError(f"cron {expression!r} can't be read: {exc}") from exc
        name, allowed = named[index]
        if name == "day-of-month" and fields[index].isdecimal() and 1 <= int(fields[index]) <= 31:
            raise ValueError(f"cron {expression!r} never occurs: that month has no day {fields[index]}") from exc
        raise ValueError(
            f"cron {expression!r}: the {name} {fields[index]!r} is not possible; allowed: {allowed}, with * , - and /"
        ) from exc
    except (ValueError, ArithmeticError, AssertionError, TypeError) as exc:  # of a library that met odd input
        raise ValueError(f"cron {expression!r} can't be read") from exc
    return occurrences


def _oncalendar(expression: str, start: datetime) -> Iterator[datetime]:
    """The instants of a systemd calendar expression. Raises ValueError."""
    try:
        occurrences: Iterator[datetime] = OnCalendar(expression, start)
    except OnCalendarError as exc:
        raise ValueError(
            f"oncalendar {expression!r} can't be read: {str(exc).lower()}; write it as in Mon..Fri 03:00 or *-*-01 12:30"
        ) from exc
    except (ValueError, ArithmeticError, AssertionError, TypeError, IndexError, OSError) as exc:
        raise ValueError(f"oncalendar {expression!r} can't be read") from exc
    return occurrences


def time_zone(name: str) -> zoneinfo.ZoneInfo:
    """The time zone of this name. Raises ValueError that says what to write."""
    try:
        return zoneinfo.ZoneInfo(name)
    except (zoneinfo.ZoneInfoNotFoundError, ValueError, OSError) as exc:
        # An abbreviation names several zones or none: the most similar one is no help.
        hint = did_you_mean(name, zoneinfo.available_timezones()) if "/" in name else ""
        raise ValueError(
            f"unknown time zone {name[:60]!r}{hint or '; write UTC, or area and city, as in Europe/Riga'}"
        ) from exc


def _first_after(read: _Occurrences, expression: str, zone: str, after: datetime) -> datetime | None:
    # The libraries tell UTC by identity, and are several times faster in it.
    local = after.astimezone(UTC if zone == "UTC" else time_zone(zone))
    for occurrence in read(expression, local):
        instant = occurrence.astimezone(UTC)
        # In an hour that exists twice a library may answer with the first of the two, which is over.
        if instant > after:
            return instant
    return None


def _all_checked(read: _Occurrences, given: str | Sequence[str], zone: str) -> tuple[str, ...]:
    expressions = (given,) if isinstance(given, str) else tuple(given)
    for expression in expressions:
        _checked(read, expression, zone)
    return expressions


@functools.lru_cache(maxsize=10_000)
def _checked(read: _Occurrences, expression: str, zone: str) -> None:
    """Refuse what never occurs, ends, or occurs less than once in five years.

    Two fixed instants are asked: whether a schedule is allowed must not depend on the day on which it is read.
    """
    if "\n" in expression:
        raise ValueError(f"{expression!r} is more than one line")
    for start in (datetime(2025, 1, 1, tzinfo=UTC), datetime(2190, 1, 1, tzinfo=UTC)):
        found = _first_after(read, expression, zone, start)
        if found is None or found - start > RARELY:
            what = read.__name__.strip("_")
            raise ValueError(f"{what} {expression!r} never occurs, or not once in five years")
