"""Due times on a grid, and calendars through the nights in which clocks change."""

from __future__ import annotations

import itertools
import math
from datetime import UTC, datetime, timedelta
from uuid import UUID
from zoneinfo import ZoneInfo

import pytest
from hypothesis import given
from hypothesis import strategies as st

from checks.schedule import SPREAD, Schedule, after_result, first_due, next_slot
from tests.factories import NOON, at

instants = st.datetimes(
    NOON.replace(year=2020, tzinfo=None), NOON.replace(year=2100, tzinfo=None), timezones=st.just(UTC)
)
intervals = st.one_of(st.integers(1, 86400).map(float), st.sampled_from([1.5, 0.3, 7.25, 86400.0]))
seeds = st.uuids()


@given(instants, intervals, seeds)
def test_the_next_slot_is_later_and_no_more_than_an_interval_away(after: datetime, interval: float, seed: UUID) -> None:
    slot = next_slot(after, interval, seed)
    assert timedelta(0) < slot - after <= timedelta(seconds=interval)


@given(instants, intervals, seeds, st.integers(1, 50))
def test_slots_keep_their_phase_for_ever(after: datetime, interval: float, seed: UUID, count: int) -> None:
    first = slot = next_slot(after, interval, seed)
    for _ in range(count):
        slot = next_slot(slot, interval, seed)
    assert slot - first == count * timedelta(seconds=interval)


@given(instants, intervals, seeds, st.floats(0, 1))
def test_the_grid_does_not_depend_on_when_it_is_asked(after: datetime, interval: float, seed: UUID, share: float):
    slot = next_slot(after, interval, seed)
    between = after + (slot - after) * share
    assert next_slot(between, interval, seed) == slot or between >= slot


def test_monitors_are_spread_over_their_interval() -> None:
    slots = {next_slot(NOON, 60.0, UUID(int=n)) - NOON for n in range(1000)}
    buckets = [0] * 6
    for slot in slots:
        buckets[min(5, int(slot.total_seconds() // 10))] += 1
    assert all(100 < count < 240 for count in buckets)


@given(instants, intervals, seeds)
def test_a_first_probe_comes_within_the_interval_and_within_a_minute(now: datetime, interval: float, seed: UUID):
    assert timedelta(0) < first_due(now, interval, seed) - now <= timedelta(seconds=min(interval, SPREAD))


@given(
    due=instants,
    interval=intervals,
    seed=seeds,
    took=st.floats(0, 10_000),
    confirming=st.booleans(),
    retry=st.floats(1, 86400),
)
def test_the_next_due_time_is_after_the_end_and_what_went_by_is_counted(
    *, due: datetime, interval: float, seed: UUID, took: float, confirming: bool, retry: float
) -> None:
    finished = due + timedelta(seconds=took)
    following, skipped = after_result(due, finished, interval, retry, confirming, seed)
    assert following > finished
    assert skipped >= 0
    step = min(retry, interval) if confirming else interval
    assert following - finished <= timedelta(seconds=step + 0.000001)
    expected = took / step
    assert math.floor(expected) - 1 <= skipped <= math.ceil(expected) + 1


def test_a_probe_that_ends_in_time_skips_nothing() -> None:
    due = next_slot(NOON, 10.0, "a")
    assert after_result(due, due + timedelta(seconds=3), 10.0, 2.0, False, "a") == (due + timedelta(seconds=10), 0)


def test_a_probe_that_runs_over_its_interval_skips_what_it_missed_and_keeps_the_phase() -> None:
    due = next_slot(NOON, 10.0, "a")
    assert after_result(due, due + timedelta(seconds=25), 10.0, 2.0, False, "a") == (due + timedelta(seconds=30), 2)


def test_while_a_change_is_confirmed_the_retry_interval_counts_and_never_a_longer_one() -> None:
    assert after_result(NOON, at(1), 60.0, 10.0, True, "a") == (at(10), 0)
    assert after_result(NOON, at(25), 60.0, 10.0, True, "a") == (at(30), 2)
    assert after_result(NOON, at(1), 5.0, 10.0, True, "a") == (at(5), 0)


@pytest.mark.parametrize("confirming", [False, True])
@pytest.mark.parametrize("back", [60.0, 3600.0, 86_400.0])
def test_what_was_probed_while_the_clock_was_set_back_is_due_within_an_interval(confirming: bool, back: float) -> None:
    following, skipped = after_result(NOON, at(-back), 10.0, 2.0, confirming, "a")
    assert timedelta(0) < following - at(-back) <= timedelta(seconds=10)
    assert skipped == 0


def test_after_a_stop_of_days_there_is_no_burst() -> None:
    due = next_slot(NOON, 1.0, "a")
    following, skipped = after_result(due, due + timedelta(days=3), 1.0, 1.0, False, "a")
    assert following - due == timedelta(days=3, seconds=1)
    assert skipped == 3 * 86400


# Calendars.


def occurrences(schedule: Schedule, start: datetime, count: int) -> list[datetime]:
    found, instant = [], start
    for _ in range(count):
        instant = schedule.next_expected(instant)
        found.append(instant)
    return found


def utc(text: str) -> datetime:
    return datetime.fromisoformat(text).replace(tzinfo=UTC)


def test_an_interval_counts_from_the_last_ping() -> None:
    assert Schedule.parse({"every": "5m"}).next_expected(NOON) == at(300)
    assert Schedule.parse({"every": 90.0}).next_expected(NOON) == at(90)


def test_cron_is_read_in_its_time_zone() -> None:
    schedule = Schedule.parse({"cron": "0 3 * * *", "timezone": "Europe/Riga"})
    assert occurrences(schedule, utc("2026-01-10 12:00"), 2) == [utc("2026-01-11 01:00"), utc("2026-01-12 01:00")]


def test_a_job_in_the_hour_that_does_not_exist_is_expected_at_its_first_later_instant() -> None:
    schedule = Schedule.parse({"cron": "30 3 * * *", "timezone": "Europe/Riga"})
    found = occurrences(schedule, utc("2026-03-28 00:00"), 3)
    assert found == [utc("2026-03-28 01:30"), utc("2026-03-29 01:00"), utc("2026-03-30 00:30")]
    assert found[1].astimezone(ZoneInfo("Europe/Riga")).hour == 4


def test_a_job_in_the_hour_that_exists_twice_is_expected_once() -> None:
    schedule = Schedule.parse({"cron": "30 3 * * *", "timezone": "Europe/Riga"})
    found = occurrences(schedule, utc("2026-10-24 00:00"), 3)
    assert found == [utc("2026-10-24 00:30"), utc("2026-10-25 00:30"), utc("2026-10-26 01:30")]


def test_an_hourly_job_runs_in_both_of_the_hours_that_look_alike() -> None:
    schedule = Schedule.parse({"cron": "5 * * * *", "timezone": "Europe/Riga"})
    found = occurrences(schedule, utc("2026-10-24 22:30"), 5)
    assert [b - a for a, b in itertools.pairwise(found)] == [timedelta(hours=1)] * 4


def test_systemd_calendars_are_read() -> None:
    schedule = Schedule.parse({"oncalendar": "Mon..Fri 03:00", "timezone": "Europe/Riga"})
    assert occurrences(schedule, utc("2026-01-09 12:00"), 1) == [utc("2026-01-12 01:00")]
    own_zone = Schedule.parse({"oncalendar": "*-*-* 00:00:00 America/New_York"})
    assert occurrences(own_zone, utc("2026-01-09 12:00"), 1) == [utc("2026-01-10 05:00")]


@pytest.mark.parametrize("nickname", ["@hourly", "@daily", "@midnight", "@weekly", "@monthly", "@yearly", "@annually"])
def test_crons_nicknames_are_known(nickname: str) -> None:
    assert Schedule.parse({"cron": nickname}).next_expected(NOON) > NOON


CRONS = st.builds(
    lambda *fields: " ".join(fields),
    st.sampled_from(["0", "30", "*/15", "*", "5,35"]),
    st.sampled_from(["0", "2", "3", "*", "*/6", "1-4"]),
    st.sampled_from(["*", "1", "29", "L", "*/10"]),
    st.sampled_from(["*", "2", "3,10", "*/4"]),
    st.sampled_from(["*", "0", "MON-FRI", "SUN"]),
)
ZONES = st.sampled_from(
    ["UTC", "Europe/Riga", "America/New_York", "Australia/Lord_Howe", "Asia/Kathmandu", "America/St_Johns"]
)


@given(CRONS, ZONES, instants)
def test_the_next_occurrence_is_always_later_and_the_same_from_every_instant_before_it(cron, zone, after) -> None:
    schedule = Schedule.parse({"cron": cron, "timezone": zone})
    following = schedule.next_expected(after)
    assert following > after
    assert following.tzinfo is UTC
    assert schedule.next_expected(following - timedelta(microseconds=1)) <= following


@given(
    st.sampled_from(["*:0/30", "03:30", "Sat *-*-* 02:15", "*-*-1 00:00", "Mon..Fri 12:00:30", "hourly", "*-2-29"]),
    ZONES,
    instants,
)
def test_the_next_instant_of_a_systemd_calendar_is_always_later(expression, zone, after) -> None:
    assert Schedule.parse({"oncalendar": expression, "timezone": zone}).next_expected(after) > after


WRONG = {
    ("cron", "61 * * * *"): "cron '61 * * * *': the minute '61' is not possible; allowed: 0-59, with * , - and /",
    ("cron", "* 24 * * *"): "cron '* 24 * * *': the hour '24' is not possible; allowed: 0-23, with * , - and /",
    (
        "cron",
        "* * 0 * *",
    ): "cron '* * 0 * *': the day-of-month '0' is not possible; allowed: 1-31 and L, with * , - and /",
    ("cron", "* * * 13 *"): "cron '* * * 13 *': the month '13' is not possible; "
    "allowed: 1-12 and JAN-DEC, with * , - and /",
    ("cron", "* * * * 8"): "cron '* * * * 8': the day-of-week '8' is not possible; "
    "allowed: 0-7 and SUN-SAT, with * , - and /",
    ("cron", "*/0 * * * *"): "cron '*/0 * * * *': the minute '*/0' is not possible; allowed: 0-59, with * , - and /",
    (
        "cron",
        "* * * *",
    ): "cron '* * * *' has 4 fields; five are needed: minute, hour, day-of-month, month, day-of-week; or six, the second first",
    ("cron", "0 0 * * * * *"): "cron '0 0 * * * * *' has 7 fields; "
    "five are needed: minute, hour, day-of-month, month, day-of-week; or six, the second first",
    (
        "cron",
        "@reboot",
    ): "cron '@reboot' has 1 field; five are needed: minute, hour, day-of-month, month, day-of-week; or six, the second first",
    ("cron", "0 0 30 2 *"): "cron '0 0 30 2 *' never occurs: that month has no day 30",
    ("cron", "0 0 * 2 MON#5"): "cron '0 0 * 2 MON#5' never occurs, or not once in five years",
    ("oncalendar", "never"): "oncalendar 'never' can't be read: bad day-of-week; "
    "write it as in Mon..Fri 03:00 or *-*-01 12:30",
    ("oncalendar", ""): "oncalendar '' can't be read: wrong number of fields; "
    "write it as in Mon..Fri 03:00 or *-*-01 12:30",
    ("oncalendar", "2027-01-01"): "oncalendar '2027-01-01' never occurs, or not once in five years",
    ("oncalendar", "02-30"): "oncalendar '02-30' never occurs, or not once in five years",
    ("oncalendar", "12:00\n13:00"): "'12:00\\n13:00' is more than one line",
    ("every", "5 parsecs"): "not a duration: '5 parsecs'; "
    "write a number and us, ms, s, m, h, d or w, as in 90s or 1h 30m",
}


@pytest.mark.parametrize(("form", "text"), WRONG)
def test_a_calendar_that_never_comes_is_refused_with_the_field_named(form: str, text: str) -> None:
    with pytest.raises(ValueError) as caught:
        Schedule.parse({form: text})
    assert str(caught.value) == WRONG[form, text]


@pytest.mark.parametrize(
    ("zone", "hint"),
    [
        ("Europe/Berln", "; did you mean Europe/Berlin?"),
        ("CEST", "; write UTC, or area and city, as in Europe/Riga"),
        ("Europe", "; write UTC, or area and city, as in Europe/Riga"),
        ("", "; write UTC, or area and city, as in Europe/Riga"),
        ("../../etc/passwd", "; write UTC, or area and city, as in Europe/Riga"),
    ],
)
def test_an_unknown_time_zone_is_refused_with_the_nearest(zone: str, hint: str) -> None:
    with pytest.raises(ValueError) as caught:
        Schedule.parse({"cron": "0 3 * * *", "timezone": zone})
    assert str(caught.value) == f"unknown time zone {zone!r}{hint}"


def test_no_schedule_at_all_is_refused() -> None:
    with pytest.raises(ValueError, match="needs every, cron or oncalendar"):
        Schedule.parse({})


@given(st.sampled_from(["cron", "oncalendar"]), st.text(max_size=30))
def test_any_text_is_a_calendar_or_refused_in_words(form: str, text: str) -> None:
    try:
        schedule = Schedule.parse({form: text})
    except ValueError:
        return
    assert schedule.next_expected(NOON) > NOON


def test_what_a_schedule_says_can_be_read() -> None:
    assert str(Schedule.parse({"every": "5m"})) == "every 300 s"
    assert str(Schedule.parse({"cron": "0 3 * * *", "timezone": "Europe/Riga"})) == "0 3 * * * (Europe/Riga)"


# Several expressions, and seconds.


def test_of_several_expressions_any_may_be_the_next() -> None:
    schedule = Schedule.parse({"cron": ["0 3 * * *", "30 12 * * 2"], "timezone": "UTC"})
    assert schedule.following(NOON, 3) == [
        utc("2026-03-10 12:30"),
        utc("2026-03-11 03:00"),
        utc("2026-03-12 03:00"),
    ]
    both = Schedule.parse({"oncalendar": ["*-*-* 05:00", "Tue 13:00"]})
    assert both.following(NOON, 2) == [utc("2026-03-10 13:00"), utc("2026-03-11 05:00")]


def test_a_sixth_field_says_the_second() -> None:
    schedule = Schedule.parse({"cron": "*/20 * * * * *"})
    assert schedule.following(NOON, 3) == [at(20), at(40), at(60)]
    with pytest.raises(ValueError, match="the second '61' is not possible; allowed: 0-59"):
        Schedule.parse({"cron": "61 * * * * *"})


def test_one_wrong_expression_among_several_is_named() -> None:
    with pytest.raises(ValueError, match="never occurs"):
        Schedule.parse({"cron": ["0 3 * * *", "0 0 31 2 *"]})


@pytest.mark.parametrize("zone", ["Europe/Riga", "America/New_York", "Australia/Lord_Howe", "Africa/Casablanca"])
def test_ten_years_of_nightly_jobs_come_once_a_night(zone: str) -> None:
    schedule = Schedule.parse({"cron": "30 2 * * *", "timezone": zone})
    nights = [instant.astimezone(ZoneInfo(zone)).date() for instant in occurrences(schedule, NOON, 3652)]
    assert nights == [nights[0] + timedelta(days=day) for day in range(3652)]
