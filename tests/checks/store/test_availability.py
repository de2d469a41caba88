from dataclasses import dataclass
from datetime import UTC, date, datetime, timedelta
from itertools import pairwise
from zoneinfo import ZoneInfo

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
    with_maintenance,
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
causes = st.sampled_from(["", *Cause])
changes = st.lists(st.tuples(instants, st.sampled_from(list(Status)), causes), max_size=12).map(
    lambda found: sorted(found, key=lambda change: change[0]),
)
zones = st.sampled_from(["UTC", "Europe/Riga", "America/Santiago", "Australia/Lord_Howe", "Asia/Kathmandu"]).map(
    ZoneInfo
)
# Weeks around both nights on which clocks change, in either half of the world.
springs = st.sampled_from(
    [datetime(2026, 3, 29, tzinfo=UTC), datetime(2026, 10, 25, tzinfo=UTC), datetime(2026, 9, 6, tzinfo=UTC)]
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


@dataclass(frozen=True)
class History:
    """What happened to a monitor: its transitions, and spans that may overlap."""

    first: Status
    changes: list[tuple[datetime, Status, str]]
    blind: list[tuple[datetime, datetime]]
    announced: list[tuple[datetime, datetime]]

    def window(self, start, end):
        """The intervals of a window."""
        changes = [change for change in self.changes if start < change[0] < end]
        return with_maintenance(
            without(timeline(self.first, changes, start, end), union(self.blind)), union(self.announced)
        )


histories = st.builds(History, st.sampled_from(list(Status)), changes, spans, spans)


@given(history=histories, window=st.tuples(instants, instants))
def test_the_intervals_add_up_to_the_window_exactly(history, window):
    start, end = min(window), max(window)
    intervals = history.window(start, end)

    assert sum((i.length for i in intervals), timedelta(0)) == end - start
    assert [i.start for i in intervals[:1]] == [start] * (start < end)
    assert [i.end for i in intervals[-1:]] == [end] * (start < end)
    for one_, following in pairwise(intervals):
        assert one_.end == following.start
        assert (one_.status, one_.announced) != (following.status, following.announced)
        assert one_.start < one_.end
    found = summed(intervals)
    total = found.up + found.degraded + found.down + found.unknown + found.paused + found.pending
    assert total == pytest.approx((end - start).total_seconds(), abs=1e-6)
    assert found.seconds == (end - start).total_seconds()
    assert found.maintenance <= total + 1e-6
    assert found.observed_seconds <= total + 1e-6
    for ratio in (found.ratio, found.ratio_without_maintenance, found.observed_share):
        assert ratio is None or 0 <= ratio <= 1


@given(history=histories, window=st.tuples(instants, instants), moment=instants)
def test_each_instant_is_what_it_was(history, window, moment):
    start, end = min(window), max(window)
    passed = [change for change in history.changes if start < change[0] <= moment and change[0] < end]
    status = passed[-1][1] if passed else history.first

    found = [i for i in history.window(start, end) if i.start <= moment < i.end]

    assert len(found) == (start <= moment < end)
    for interval in found:
        unseen = status in (UP, DOWN, DEGRADED) and any(begun <= moment < ended for begun, ended in history.blind)
        assert interval.status is (UNKNOWN if unseen else status)
        assert interval.announced == any(begun <= moment < ended for begun, ended in history.announced)
        assert interval.counted == (interval.observed and not interval.announced)
        assert interval.cause in {"", "blind", *(why for _, _, why in passed)}


@given(history=histories, window=st.tuples(instants, instants), zone=zones, near=springs)
def test_the_days_of_any_zone_add_up_to_the_window(history, window, zone, near):
    move = near - NOON
    start, end = min(window) + move, max(window) + move
    moved = History(
        history.first,
        [(since + move, status, cause) for since, status, cause in history.changes],
        [(begun + move, over + move) for begun, over in history.blind],
        [],
    )
    intervals = moved.window(start, end)
    days = by_day(intervals, start.astimezone(zone).date(), end.astimezone(zone).date(), zone)
    whole = summed(intervals)

    assert [day.day for day in days] == [days[0].day + timedelta(days=n) for n in range(len(days))]
    for name in ("up", "degraded", "down", "unknown", "paused", "pending", "observed_seconds"):
        assert sum(getattr(day, name) for day in days) == pytest.approx(getattr(whole, name), abs=1e-3)


@pytest.mark.parametrize(
    ("zone", "day", "hours"),
    [
        ("Europe/Riga", date(2026, 3, 29), 23),
        ("Europe/Riga", date(2026, 10, 25), 25),
        ("Europe/Riga", date(2026, 10, 26), 24),
        ("America/Santiago", date(2026, 9, 6), 23),  # whose midnight does not exist
        ("America/Santiago", date(2026, 4, 4), 25),  # whose last hour exists twice
        ("Australia/Lord_Howe", date(2026, 10, 4), 23.5),
    ],
)
def test_a_day_on_which_clocks_change_is_as_long_as_it_is(zone, day, hours):
    begun, ended = midnight(day, ZoneInfo(zone)), midnight(day + timedelta(days=1), ZoneInfo(zone))

    (view,) = by_day([Interval(UP, begun - timedelta(days=1), ended + timedelta(days=1))], day, day, ZoneInfo(zone))

    assert (ended - begun, view.up) == (timedelta(hours=hours), hours * 3600)


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
    assert found.intervals == [Interval(DOWN, at(2000), at(3000), "probe")]


def test_what_was_not_observed_is_left_out(store):
    monitor = publish_one(store)
    put_transitions(store, monitor, (100, UP), (200, UNKNOWN), (300, UP), (400, PAUSED), (500, PENDING), (600, DOWN))

    found = read(store, monitor, 0, 700)

    assert (found.pending, found.up, found.unknown, found.paused, found.down) == (200, 200, 100, 100, 100)
    assert (found.observed_seconds, found.ratio) == (300, pytest.approx(2 / 3))


def test_announced_maintenance_is_counted_in_one_figure_and_left_out_of_the_other(store):
    monitor = publish_one(store)
    put_transitions(store, monitor, (0, UP), (400, DOWN), (700, UP), (900, UNKNOWN))
    announced = [(at(500), at(800)), (at(600), at(650)), (at(950), at(2000))]

    with reading(store) as conn:
        found = availability(conn, monitor.uuid, at(0), at(1000), at(5000), announced=announced)

    assert (found.up, found.down, found.unknown, found.maintenance) == (600, 300, 100, 350)
    assert found.ratio == pytest.approx(600 / 900)
    assert found.ratio_without_maintenance == pytest.approx(500 / 600)
    assert found.observed_share == pytest.approx(0.9)
    assert [(i.status, i.length.total_seconds(), i.observed, i.counted) for i in found.intervals] == [
        (UP, 400, True, True),
        (DOWN, 100, True, True),
        (DOWN, 200, True, False),
        (UP, 100, True, False),
        (UP, 100, True, True),
        (UNKNOWN, 50, False, False),
        (UNKNOWN, 50, False, False),
    ]


def test_all_time_in_maintenance_leaves_nothing_to_count(store):
    monitor = publish_one(store)
    put_transitions(store, monitor, (0, UP))

    with reading(store) as conn:
        found = availability(conn, monitor.uuid, at(0), at(100), at(5000), announced=[(at(-5), at(500))])

    assert (found.ratio, found.ratio_without_maintenance, found.observed_share) == (1.0, None, 1.0)


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
        Interval(UP, at(0), at(200), "probe"),
        Interval(UNKNOWN, at(200), at(300), "blind"),
        Interval(UP, at(300), at(1000), "probe"),
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
