import random
from datetime import timedelta

import hypothesis.strategies as st
import pytest
from hypothesis import given

from checks.result import PHASES
from checks.store.engine import reading
from checks.store.periods import DAY, HOUR, LENGTH, start_of
from checks.store.schema import result, rollup
from checks.store.window import cut, days_of, tally
from tests.checks.store.acts import publish_one, target_of
from tests.checks.store.measuring import MS, put_results, roll_all
from tests.factories import NOON

HOURS = st.integers(min_value=0, max_value=24 * 40)
TODAY = start_of(DAY, NOON)
NOW = NOON + timedelta(minutes=10)


def count(engine, monitor, start, end, **options):
    with reading(engine) as conn:
        return tally(conn, target_of(engine, monitor).id, start, end, **options)


def forget(engine, table, before, *where):
    """What retention does."""
    instant = table.c.started_at if table is result else table.c.start
    with engine.begin() as conn:
        conn.execute(table.delete().where(instant < before, *where))


@pytest.fixture
def week(store):
    """A monitor with a result every 20 minutes for nine days, all rolled up."""
    monitor = publish_one(store)
    begun = TODAY - timedelta(days=9)
    number = int((NOW - begun) / timedelta(minutes=20))
    put_results(
        store, monitor, *[(begun + timedelta(minutes=20 * each, seconds=30), each + 1) for each in range(number)]
    )
    roll_all(store, NOW)
    return monitor


dirty_periods = st.sets(
    st.one_of(
        st.tuples(st.just(HOUR), HOURS.map(lambda hours: NOON.replace(minute=0) - timedelta(hours=hours))),
        st.tuples(st.just(DAY), HOURS.map(lambda hours: start_of(DAY, NOON - timedelta(hours=hours)))),
    ),
    max_size=8,
)


@given(
    begun=st.integers(min_value=0, max_value=6 * 86_400),
    length=st.integers(min_value=0, max_value=6 * 86_400),
    dirty=dirty_periods,
)
def test_the_pieces_of_a_window_cover_it_exactly(begun, length, dirty):
    start = NOON - timedelta(seconds=begun)
    end = min(NOON, start + timedelta(seconds=length))

    pieces = cut(start, end, dirty)

    spans = sorted(pieces.days + pieces.hours + pieces.rest)
    assert sum((b - a for a, b in spans), timedelta(0)) == end - start
    cursor = start
    for span_start, span_end in spans:
        assert span_start == cursor
        cursor = span_end
    for resolution, found in ((DAY, pieces.days), (HOUR, pieces.hours)):
        for span_start, span_end in found:
            period = span_start
            while period < span_end:
                assert start_of(resolution, period) == period
                assert (resolution, period) not in dirty
                assert resolution == HOUR or period not in days_of(dirty)
                period += LENGTH[resolution]


def test_a_window_is_counted_to_the_second_where_the_results_are_there(store, week):
    start, end = TODAY - timedelta(days=4, minutes=7), NOW - timedelta(hours=3, minutes=3)

    found = count(store, week, start, end)

    assert (found.start, found.end) == (start, end)
    assert found.counts["complete"] == round((end - start) / timedelta(minutes=20))


def test_where_results_are_deleted_an_hour_counts_whole_if_it_begins_in_the_window(store, week):
    forget(store, result, TODAY - timedelta(days=6))
    morning = TODAY - timedelta(days=7) + timedelta(hours=9)

    found = count(store, week, morning + timedelta(minutes=30), morning + timedelta(hours=5, minutes=1))

    assert (found.start, found.end) == (morning + timedelta(hours=1), morning + timedelta(hours=6))
    assert found.counts["complete"] == 15


def test_an_hour_of_which_some_results_are_deleted_counts_whole(store, week):
    hour = TODAY - timedelta(days=6) + timedelta(hours=9)
    forget(store, result, hour + timedelta(minutes=30))

    assert count(store, week, hour, hour + timedelta(minutes=50)).counts["complete"] == 3
    assert count(store, week, hour + timedelta(minutes=1), hour + timedelta(minutes=50)).counts["complete"] == 0


def test_where_hours_are_deleted_a_day_counts_whole_if_it_begins_in_the_window(store, week):
    first = TODAY - timedelta(days=9)
    forget(store, result, first + timedelta(days=4))
    forget(store, rollup, first + timedelta(days=3, hours=7), rollup.c.resolution == HOUR)

    found = count(store, week, first + timedelta(hours=5), first + timedelta(days=3, hours=9))

    assert (found.start, found.end) == (first + timedelta(days=1), first + timedelta(days=4))
    assert found.counts["complete"] == 3 * 72


def test_a_window_in_which_nothing_is_left_counts_nothing(store, week):
    forget(store, result, NOW)
    hour = TODAY - timedelta(days=3) + timedelta(hours=9, minutes=10)

    found = count(store, week, hour, hour + timedelta(minutes=20))

    assert (found.start, found.end, found.counts["complete"]) == (None, None, 0)


def test_an_empty_window_counts_nothing(store, week):
    assert count(store, week, NOW, NOW).start is None
    assert count(store, week, NOW, NOW - timedelta(hours=1)).start is None


def test_phases_are_counted_from_results_and_roll_ups_alike(store):
    monitor, chance = publish_one(store), random.Random(3)
    begun = TODAY - timedelta(days=2)
    for number in range(40):
        times = {f"{phase}_ns": chance.choice([None, chance.randrange(1, 500) * MS]) for phase in PHASES}
        put_results(store, monitor, (begun + timedelta(minutes=61 * number), 900), **times)
    before = count(store, monitor, begun, NOON, phases=True)
    roll_all(store, NOW)
    after = count(store, monitor, begun, NOON, phases=True)

    assert after.histograms == before.histograms
    assert (after.phases, after.counts) == (before.phases, before.counts)
    assert list(after.phases) == [phase for phase in PHASES if phase in after.phases]
    assert count(store, monitor, begun, NOON).phases == {}


def test_a_target_that_nobody_knows_has_no_results(store):
    with reading(store) as conn:
        assert tally(conn, 4711, NOON - timedelta(days=40), NOON).counts["complete"] == 0
