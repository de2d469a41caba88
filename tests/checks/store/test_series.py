import random
from datetime import timedelta

import hypothesis.strategies as st
import pytest
from hypothesis import given

from checks.store.engine import reading
from checks.store.periods import DAY, MINUTE, start_of
from checks.store.schema import result, rollup
from checks.store.series import STEPS, floor, series
from tests.checks.store.acts import publish_one
from tests.checks.store.measuring import exactly, put_results, roll_all, shown
from tests.factories import NOON, make_published

NOW = NOON + timedelta(minutes=10)
TODAY = start_of(DAY, NOON)
MINUTES = timedelta(minutes=1)


def read(engine, monitor, start, end, most=100, **options):
    with reading(engine) as conn:
        return series(conn, monitor.uuid, (start, end), most, **options)


def a_result_every(minutes, days, *, seed=5):
    """Until now, some of them without a latency."""
    chance, begun = random.Random(seed), TODAY - timedelta(days=days)
    number = int((NOW - begun) / timedelta(minutes=minutes))
    return [
        (
            begun + timedelta(minutes=minutes * each, seconds=chance.random() * 50),
            None if chance.random() < 0.1 else chance.randrange(1, 5000),
        )
        for each in range(number)
    ]


@pytest.mark.parametrize("rolled_up_at", [None, timedelta(hours=30), timedelta(0)], ids=str)
@pytest.mark.parametrize("hours", [1, 7.3, 50, 24 * 9])
def test_every_point_is_what_its_results_make(store, rolled_up_at, hours):
    monitor, found = publish_one(store), a_result_every(9, 10)
    put_results(store, monitor, *found)
    if rolled_up_at is not None:
        roll_all(store, NOW - rolled_up_at)

    line = read(store, monitor, NOW - timedelta(hours=hours), NOW)

    assert line.points
    assert line.start <= NOW - timedelta(hours=hours)
    assert line.end >= NOW
    assert len(line.points) <= 101
    for point in line.points:
        assert shown(point.tally.latency) == exactly(found, point.start, point.start + line.step)
    assert sum(sum(each.tally.counts[name] for name in ("complete", "incomplete")) for each in line.points) == sum(
        line.start <= instant < line.end for instant, _ in found
    )


def test_minutes_stand_for_results_that_are_deleted(store):
    monitor, found = publish_one(store), a_result_every(1, 1)
    put_results(store, monitor, *found)
    roll_all(store, NOW)
    before = read(store, monitor, TODAY, NOW - timedelta(hours=3), 1000)
    with store.begin() as conn:
        conn.execute(result.delete().where(result.c.started_at < TODAY + timedelta(hours=6)))

    after = read(store, monitor, TODAY, NOW - timedelta(hours=3), 1000)

    assert after.step == before.step == MINUTES
    assert [(point.start, point.tally.latency) for point in after.points] == [
        (point.start, point.tally.latency) for point in before.points
    ]


def test_a_series_is_no_finer_than_what_is_left(store):
    monitor = publish_one(store)
    put_results(store, monitor, *a_result_every(5, 9))
    roll_all(store, NOW)
    start = TODAY - timedelta(days=8)
    assert read(store, monitor, start, start + timedelta(hours=3)).step == 2 * MINUTES
    with store.begin() as conn:
        conn.execute(result.delete().where(result.c.started_at < TODAY - timedelta(days=5)))
        conn.execute(rollup.delete().where(rollup.c.resolution == MINUTE))

    line = read(store, monitor, start, start + timedelta(hours=3))

    assert line.step == 60 * MINUTES
    assert [point.tally.counts["complete"] + point.tally.counts["incomplete"] for point in line.points] == [12] * 3
    with store.begin() as conn:
        before = TODAY - timedelta(days=4)
        conn.execute(rollup.delete().where(rollup.c.resolution == "hour", rollup.c.start < before))
    assert read(store, monitor, start, start + timedelta(hours=3)).step == timedelta(days=1)
    assert read(store, monitor, TODAY - timedelta(days=2), NOW, 1000).step == 5 * MINUTES


def test_every_step_has_room_for_a_result(store):
    monitor = publish_one(store, interval=600.0)
    put_results(store, monitor, *a_result_every(10, 1))

    assert read(store, monitor, NOW - timedelta(hours=1), NOW).step == 30 * MINUTES


def test_a_series_is_of_all_locations_or_of_one(store):
    monitor = publish_one(store, places=("a", "b"))
    put_results(store, monitor, (NOON, 100), location="a")
    put_results(store, monitor, (NOON, 300), (NOON, None), location="b")

    def counts(location):
        line = read(store, monitor, NOON, NOW, location=location)
        return [(point.tally.counts["complete"], point.tally.counts["incomplete"]) for point in line.points]

    assert [counts(location) for location in (None, "a", "b", "c")] == [[(2, 1)], [(1, 0)], [(1, 1)], []]


def test_of_what_is_not_known_and_of_no_time_there_are_no_points(store):
    monitor = publish_one(store)

    assert read(store, make_published(), NOON, NOW).points == []
    assert read(store, monitor, NOW, NOW).points == []


@given(begun=st.integers(0, 10**10), step=st.sampled_from(STEPS))
def test_steps_lie_end_to_end_whatever_their_length(begun, step):
    instant = NOON - timedelta(milliseconds=begun)

    start = floor(instant, step)

    assert start <= instant < start + step
    assert floor(start, step) == start
    assert floor(start - timedelta(microseconds=1), step) == start - step
    if step >= timedelta(days=1):
        assert start_of(DAY, start) == start
