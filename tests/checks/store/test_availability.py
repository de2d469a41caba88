from datetime import UTC, date, datetime, timedelta
from itertools import pairwise

import hypothesis.strategies as st
import pytest
from hypothesis import given

from checks.status import Cause, Status
from checks.store.availability import (
    Interval,
    availability,
    by_day,
    common,
    daily_availability,
    midnight,
    summed,
    timeline,
    union,
    without,
)
from checks.store.engine import reading
from checks.store.schema import blind_interval, monitor_state, transition
from tests.checks.store.acts import one, publish_one
from tests.factories import NOON, at, make_published

UP, DOWN, DEGRADED, UNKNOWN = Status.UP, Status.DOWN, Status.DEGRADED, Status.UNKNOWN
PAUSED, PENDING = Status.PAUSED, Status.PENDING

instants = st.integers(min_value=-200_000, max_value=200_000).map(lambda seconds: at(seconds / 2))
spans = st.lists(st.tuples(instants, instants).map(lambda pair: (min(pair), max(pair))), max_size=6)
changes = st.lists(st.tuples(instants, st.sampled_from(list(Status))), max_size=12).map(
    lambda found: sorted(found, key=lambda change: change[0]),
)


def put_transitions(engine, monitor, *steps):
    """Write transitions (seconds after NOON, to) as the writer would have, and the state that they end in."""
    before, values = PENDING, []
    for seq, (second, status) in enumerate(steps, 1):
        values.append(
            {
                "uuid": make_published().uuid,
                "monitor": monitor.uuid,
                "seq": seq,
                "at": at(second + 5),
                "since": at(second),
                "from_status": before.value,
                "to_status": status.value,
                "cause": Cause.PROBE.value,
                "evidence": {},
            },
        )
        before = status
    with engine.begin() as conn:
        conn.execute(transition.insert(), values)
        conn.execute(
            monitor_state.update()
            .where(monitor_state.c.monitor == monitor.uuid)
            .values(status=before.value, since=at(steps[-1][0]), seq=len(steps)),
        )


def put_blind(engine, role, location, begun, ended):
    with engine.begin() as conn:
        conn.execute(blind_interval.insert().values(role=role, location=location, start=at(begun), end=at(ended)))


def read(engine, monitor, begun, ended, now=None):
    with reading(engine) as conn:
        return availability(conn, monitor.uuid, at(begun), at(ended), now or at(100_000))


@given(first=st.sampled_from(list(Status)), changes=changes, blind=spans, window=st.tuples(instants, instants))
def test_the_intervals_add_up_to_the_window_exactly(first, changes, blind, window):
    start, end = min(window), max(window)
    intervals = without(timeline(first, [c for c in changes if start < c[0] < end], start, end), union(blind))

    assert sum((i.end - i.start for i in intervals), timedelta(0)) == end - start
    for one_, following in pairwise(intervals):
        assert one_.end == following.start
        assert one_.status is not following.status
        assert one_.start < one_.end
    found = summed(intervals)
    total = found.up + found.degraded + found.down + found.unknown + found.paused + found.pending
    assert total == pytest.approx((end - start).total_seconds(), abs=1e-6)
    assert found.observed_seconds <= total + 1e-6
    assert found.ratio is None or 0 <= found.ratio <= 1


@given(first=st.sampled_from(list(Status)), changes=changes, blind=spans, window=st.tuples(instants, instants))
def test_the_days_add_up_to_the_window(first, changes, blind, window):
    start, end = min(window), max(window)
    intervals = without(timeline(first, [c for c in changes if start < c[0] < end], start, end), union(blind))
    days = by_day(intervals, start.date(), end.date())
    whole = summed(intervals)

    assert [day.day for day in days] == [start.date() + timedelta(days=n) for n in range(len(days))]
    assert days[-1].day == end.date()
    for name in ("up", "degraded", "down", "unknown", "paused", "pending", "observed_seconds"):
        assert sum(getattr(day, name) for day in days) == pytest.approx(getattr(whole, name), abs=1e-3)


@given(blind=spans)
def test_nothing_observed_remains_in_a_blindness(blind):
    start, end = at(-100_000), at(100_000)
    joined = [span for span in union(blind) if span[0] < span[1]]
    for interval in without([Interval(UP, start, end)], joined):
        inside = any(begun < interval.end and interval.start < ended for begun, ended in joined)
        assert (interval.status is UNKNOWN) == inside


@given(one_=spans, other=spans, moment=instants)
def test_what_is_common_lies_in_both(one_, other, moment):
    def inside(found):
        return any(begun <= moment < ended for begun, ended in found)

    assert inside(common(one_, other)) == (inside(one_) and inside(other))
    assert inside(union(one_)) == inside(one_)


def test_time_counts_and_not_probes(store):
    monitor = publish_one(store)
    put_transitions(store, monitor, (0, UP), (3600, DOWN), (3960, DEGRADED), (4000, UP))

    found = read(store, monitor, 0, 36_000)

    assert (found.up, found.degraded, found.down) == (3600 + 32_000, 40, 360)
    assert found.ratio == pytest.approx(0.99)
    assert found.observed_seconds == 36_000


def test_the_window_begins_in_the_status_of_before(store):
    monitor = publish_one(store)
    put_transitions(store, monitor, (0, UP), (1000, DOWN), (9000, UP))

    found = read(store, monitor, 2000, 3000)

    assert (found.down, found.ratio) == (1000, 0.0)
    assert found.intervals == [Interval(DOWN, at(2000), at(3000))]


def test_what_was_not_observed_is_left_out(store):
    monitor = publish_one(store)
    put_transitions(store, monitor, (100, UP), (200, UNKNOWN), (300, UP), (400, PAUSED), (500, PENDING), (600, DOWN))

    found = read(store, monitor, 0, 700)

    assert (found.pending, found.up, found.unknown, found.paused, found.down) == (200, 200, 100, 100, 100)
    assert (found.observed_seconds, found.ratio) == (300, pytest.approx(2 / 3))


def test_a_monitor_that_was_never_seen_has_no_availability(store):
    monitor = publish_one(store)

    found = read(store, monitor, -100, 100)

    assert (found.pending, found.observed_seconds, found.ratio) == (200, 0, None)
    assert read(store, make_published(), 0, 100).intervals == []


def test_the_future_is_not_part_of_a_window(store):
    monitor = publish_one(store)
    put_transitions(store, monitor, (0, UP))

    assert read(store, monitor, 0, 5000, now=at(1000)).up == 1000
    assert read(store, monitor, 2000, 5000, now=at(1000)).intervals == []


def test_a_blindness_of_all_its_places_takes_time_out(store):
    monitor = publish_one(store, places=("a", "b"))
    put_transitions(store, monitor, (0, UP))
    put_blind(store, "worker", "a", 100, 300)
    put_blind(store, "worker", "b", 200, 400)
    put_blind(store, "worker", "mars", 500, 600)
    put_blind(store, "web", "", 600, 700)

    found = read(store, monitor, 0, 1000)

    assert found.intervals == [
        Interval(UP, at(0), at(200)),
        Interval(UNKNOWN, at(200), at(300)),
        Interval(UP, at(300), at(1000)),
    ]


def test_a_heartbeat_is_seen_by_the_web_processes(store):
    monitor = publish_one(store, source="pinged")
    put_transitions(store, monitor, (0, UP))
    put_blind(store, "web", "", 100, 200)
    put_blind(store, "worker", "local", 300, 400)

    assert read(store, monitor, 0, 1000).unknown == 100


def test_each_day_has_its_own_figure(store):
    monitor, never = publish_one(store), publish_one(store)
    begun = (midnight(NOON.date()) - NOON).total_seconds()  # the midnight before NOON
    put_transitions(store, monitor, (begun - 86_400, UP), (begun - 3600, DOWN), (begun + 1800, UP))
    first, last = date(2026, 3, 8), date(2026, 3, 10)

    with reading(store) as conn:
        days = daily_availability(conn, [monitor.uuid, never.uuid, make_published().uuid], first, last, NOON)

    assert set(days) == {monitor.uuid, never.uuid}
    assert [day.day for day in days[monitor.uuid]] == [date(2026, 3, 8), date(2026, 3, 9), date(2026, 3, 10)]
    assert [(day.pending, day.up, day.down) for day in days[monitor.uuid]] == [
        (86_400, 0, 0),
        (0, 82_800, 3600),
        (0, -begun - 1800, 1800),
    ]
    assert [day.ratio for day in days[monitor.uuid]][:2] == [None, pytest.approx(82_800 / 86_400)]
    assert [day.observed_seconds for day in days[never.uuid]] == [0, 0, 0]


def test_days_are_those_of_utc():
    assert midnight(date(2026, 3, 10)) == datetime(2026, 3, 10, tzinfo=UTC)


def test_a_paused_monitor_was_paused_before_its_first_transition_too(store):
    monitor = publish_one(store, paused=True)
    assert one(store, monitor_state).status == "paused"

    assert read(store, monitor, 0, 100).paused == 100
