"""Cron in twelve zones, through every change of their clocks, against a walker that knows nothing of cron's library.

The rules are Debian's: what has a fixed time of day runs once a day, at the first instant after a gap that swallowed it;
what has a `*` for its hour or minute follows the clock on the wall, twice where the clock shows an hour twice.
"""

from __future__ import annotations

import calendar
from bisect import bisect_right
from collections.abc import Iterator
from datetime import UTC, date, datetime, timedelta
from functools import cache
from zoneinfo import ZoneInfo

import pytest

from checks.schedule import Schedule

ZONES = (
    "UTC",
    "Europe/Riga",
    "Europe/Berlin",
    "Europe/London",
    "America/New_York",
    "America/Sao_Paulo",
    "America/St_Johns",
    "Asia/Kathmandu",
    "Australia/Lord_Howe",  # its clocks change by half an hour
    "Pacific/Chatham",
    "Africa/Casablanca",  # changes around Ramadan
    "Antarctica/Troll",  # changes by two hours
)
# Minutes, hours, days of the month, months, days of the week (0 is Sunday); None is a star.
SCHEDULES = {
    "30 2 * * *": ({30}, {2}, None, None, None),
    "0 2 * * 0": ({0}, {2}, None, None, {0}),
    "0 0 * * *": ({0}, {0}, None, None, None),
    "0 * * * *": ({0}, None, None, None, None),
    "*/15 * * * *": (set(range(0, 60, 15)), None, None, None, None),
    "15,45 1,3 * * *": ({15, 45}, {1, 3}, None, None, None),
    "45 3 1 * *": ({45}, {3}, {1}, None, None),
    "0 12 29 2 *": ({0}, {12}, {29}, {2}, None),
}
BLOCK = timedelta(minutes=15)  # no zone's clocks change within one, and every zone's minutes begin with one


@cache
def blocks(zone: str, first: int, last: int) -> list[tuple[datetime, datetime]]:
    """Every quarter of an hour of these years, with what the clock on the zone's wall shows when it begins."""
    local, at, found = ZoneInfo(zone), datetime(first, 1, 1, tzinfo=UTC), []
    while at.year <= last:
        found.append((at, at.astimezone(local).replace(tzinfo=None)))
        at += BLOCK
    return found


def walk(zone: str, expression: str, first: int, last: int) -> Iterator[datetime]:
    """Every instant at which Debian's cron would start the job."""
    minutes, hours, *_ = SCHEDULES[expression]
    follows_the_wall = hours is None or expression.startswith("*")
    times = {h * 60 + m for h in (hours or range(24)) for m in minutes}
    by_block = [[t for t in sorted(times) if begin <= t < begin + 15] for begin in range(0, 1440, 15)]
    latest = datetime(first - 1, 12, 31)  # noqa: DTZ001 - the latest that the wall has shown
    for at, wall in blocks(zone, first, last):
        swallowed = False
        if not follows_the_wall and wall > latest and latest.year >= first:
            # The wall jumped: what it never showed runs now, once.
            swallowed = any(matches(expression, due) for due in minutes_of(latest, wall, times))
            if swallowed:
                yield at
        for minute in by_block[(wall.hour * 60 + wall.minute) // 15]:
            due = wall.replace(hour=0, minute=0) + timedelta(minutes=minute)
            again = due < latest or (swallowed and due == wall)
            if matches(expression, due) and (follows_the_wall or not again):
                yield at + (due - wall)
        if wall >= latest:
            latest = wall + BLOCK


def minutes_of(begin: datetime, end: datetime, times: set[int]) -> Iterator[datetime]:
    while begin < end:
        if begin.hour * 60 + begin.minute in times:
            yield begin
        begin += timedelta(minutes=1)


def matches(expression: str, wall: datetime) -> bool:
    *_, days, months, weekdays = SCHEDULES[expression]
    return (
        (days is None or wall.day in days)
        and (months is None or wall.month in months)
        and (weekdays is None or calendar.weekday(wall.year, wall.month, wall.day) in {(d - 1) % 7 for d in weekdays})
    )


def compare(zone: str, expression: str, first: int, last: int) -> None:
    schedule = Schedule.parse({"cron": expression, "timezone": zone})
    expected = list(walk(zone, expression, first, last))
    at = datetime(first, 1, 1, tzinfo=UTC) - timedelta(minutes=1)
    for number, instant in enumerate(expected):
        at = schedule.next_expected(at)
        assert at == instant, f"{expression} in {zone}, occurrence {number}"
    assert schedule.next_expected(at) >= datetime(last + 1, 1, 1, tzinfo=UTC)


@pytest.mark.parametrize("zone", ZONES)
def test_a_year_is_as_the_clock_on_the_wall_says(zone: str) -> None:
    for expression in SCHEDULES:
        # The frequent ones around the changes only: elsewhere each hour is like the other.
        if expression in ("*/15 * * * *", "0 * * * *"):
            around_changes(zone, expression, 2026, 2026)
        else:
            compare(zone, expression, 2026, 2026)


def around_changes(zone: str, expression: str, first: int, last: int) -> None:
    before = timedelta(0)
    changes = [datetime(first, 6, 15, tzinfo=UTC)]
    for at, wall in blocks(zone, first, last):
        ahead = wall - at.replace(tzinfo=None)
        if ahead != before:
            changes.append(at)
        before = ahead
    expected = list(walk(zone, expression, first, last))
    schedule = Schedule.parse({"cron": expression, "timezone": zone})
    for change in changes:
        begin, end = change - timedelta(hours=4), change + timedelta(hours=4)
        window = expected[bisect_right(expected, begin) : bisect_right(expected, end)]
        assert schedule.following(max(begin, datetime(first, 1, 1, tzinfo=UTC) - BLOCK), len(window)) == window


@pytest.mark.long
@pytest.mark.timeout(600)
@pytest.mark.parametrize("zone", ZONES)
def test_ten_years_are_as_the_clock_on_the_wall_says(zone: str) -> None:
    for expression in SCHEDULES:
        # Of 350,000 quarters of an hour all are asked for in one zone, and in the others those around each change.
        if expression == "*/15 * * * *" and zone != "Africa/Casablanca":
            around_changes(zone, expression, 2026, 2035)
        else:
            compare(zone, expression, 2026, 2035)


def test_a_night_without_half_past_two_and_one_with_two_of_them() -> None:
    """The instants that everybody asks about."""
    schedule = Schedule.parse({"cron": "30 2 * * *", "timezone": "Europe/Berlin"})

    def of(day: date) -> list[datetime]:
        begin = datetime(day.year, day.month, day.day, tzinfo=ZoneInfo("Europe/Berlin")).astimezone(UTC)
        found = schedule.following(begin, 2)
        return [at for at in found if at.astimezone(ZoneInfo("Europe/Berlin")).date() == day]

    assert of(date(2026, 3, 29)) == [datetime(2026, 3, 29, 1, 0, tzinfo=UTC)]
    assert of(date(2026, 10, 25)) == [datetime(2026, 10, 25, 0, 30, tzinfo=UTC)]
