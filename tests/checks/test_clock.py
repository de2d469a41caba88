from datetime import UTC, datetime, timedelta, timezone

import hypothesis.strategies as st
import pytest
import time_machine
from hypothesis import given

from checks import clock

INSTANT = datetime(2026, 3, 10, 12, 20, 30, 123_456, tzinfo=UTC)
aware = st.datetimes(
    min_value=datetime(1, 1, 2),  # noqa: DTZ001 - hypothesis adds the zone
    max_value=datetime(9999, 12, 30),  # noqa: DTZ001
    timezones=st.integers(-14 * 60, 14 * 60).map(lambda minutes: timezone(timedelta(minutes=minutes))),
)


def test_the_present_is_aware_and_in_utc():
    with time_machine.travel(INSTANT, tick=False):
        assert clock.utcnow() == INSTANT
        assert clock.utcnow().tzinfo is UTC


@pytest.mark.parametrize("seconds", [0.25, -3.5, 0.0])
def test_the_present_is_that_of_the_store_s_clock(seconds):
    clock.set_offset(seconds)
    with time_machine.travel(INSTANT, tick=False):
        assert clock.utcnow() == INSTANT + timedelta(seconds=seconds)


@given(instant=aware)
def test_an_instant_survives_the_store_exactly(instant):
    again = clock.from_micros(clock.to_micros(instant))

    assert again == instant
    assert again.utcoffset() == timedelta(0)


def test_a_naive_datetime_is_refused():
    with pytest.raises(ValueError, match="a naive datetime is no instant"):
        clock.to_micros(datetime(2026, 3, 10))  # noqa: DTZ001 - that is the point


def test_durations_never_run_backwards():
    first, first_ns = clock.monotonic(), clock.monotonic_ns()
    second, second_ns = clock.monotonic(), clock.monotonic_ns()

    assert second >= first
    assert second_ns >= first_ns
    assert abs(second_ns / 1e9 - second) < 5
