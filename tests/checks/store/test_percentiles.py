import random
from datetime import timedelta

import pytest

from checks.histogram import Histogram
from checks.result import Outcome
from checks.store.engine import reading
from checks.store.percentiles import figures, summary
from checks.store.periods import HOUR, start_of
from checks.store.publishing import publish
from checks.store.retention import prune
from checks.store.schema import result, rollup, target
from checks.store.writer import record
from tests.checks.store.acts import claim_due, publish_one, rows, run_probe
from tests.checks.store.measuring import MS, exactly, put_results, read, roll_all, shown
from tests.factories import NOON, at, make_finished, make_published


def test_a_window_without_results_has_no_percentiles(store):
    monitor = publish_one(store)

    assert shown(read(store, monitor, at(0), at(100))) == (None, None, None, 0, 0)
    assert shown(read(store, make_published(), at(0), at(100))) == (None, None, None, 0, 0)


def test_the_running_hour_counts_to_the_last_result(store):
    monitor = publish_one(store)
    for number, milliseconds in enumerate([100, 200, 300, 400]):
        run_probe(store, Outcome.UP, at(60 + 10 * number), latency_ns=milliseconds * MS)
    run_probe(store, Outcome.DOWN, at(100))

    found = read(store, monitor, at(60), at(101))

    assert (found.complete, found.incomplete) == (4, 1)
    assert found.p50 == pytest.approx(0.2, rel=0.01)
    assert found.p99 == pytest.approx(0.4, rel=0.01)


@pytest.mark.parametrize("rolled_up_at", [None, timedelta(minutes=1), timedelta(hours=30)], ids=str)
def test_percentiles_are_the_same_before_and_after_rolling_up(store, rolled_up_at):
    monitor = publish_one(store)
    chance = random.Random(7)
    begun = NOON - timedelta(hours=60)
    instants = [begun + timedelta(minutes=7 * number, seconds=chance.random() * 60) for number in range(500)]
    found = [(instant, None if chance.random() < 0.1 else chance.randrange(1, 5000)) for instant in instants]
    put_results(store, monitor, *found)
    if rolled_up_at is not None:
        roll_all(store, NOON - rolled_up_at)

    for hours in (1, 5.5, 24, 47, 60):
        start = NOON - timedelta(hours=hours)
        assert shown(read(store, monitor, start, NOON)) == exactly(found, start, NOON)
        assert shown(read(store, monitor, begun, start)) == exactly(found, begun, start)


def test_all_locations_count(store):
    monitor = publish_one(store, places=("a", "b"))
    put_results(store, monitor, (at(0), 100), location="a")
    put_results(store, monitor, (at(1), 300), (at(2), None), location="b")

    found = read(store, monitor, at(0), at(10))

    assert (found.complete, found.incomplete) == (2, 1)
    assert found.p99 == pytest.approx(0.3, rel=0.01)


def test_a_result_that_came_late_counts_before_it_is_rolled_up(store):
    monitor = publish_one(store)
    old = NOON - timedelta(days=2)
    put_results(store, monitor, (old, 100))
    roll_all(store, NOON)
    put_results(store, monitor, (old + timedelta(minutes=1), 300))

    assert read(store, monitor, NOON - timedelta(days=5), NOON).complete == 2


def test_what_retention_left_still_makes_a_month_and_a_year(store):
    monitor = publish_one(store)
    ages = (1, 3, 10, 20, 29.9, 100, 200, 300)
    put_results(store, monitor, *[(NOON - timedelta(days=age), 100) for age in reversed(ages)])
    roll_all(store, NOON)
    while prune(store, NOON):
        pass
    assert len(rows(store, result)) == 2

    counts = {days: read(store, monitor, NOON - timedelta(days=days), NOON).complete for days in (2, 7, 30, 150, 365)}

    assert counts == {2: 1, 7: 2, 30: 5, 150: 6, 365: 8}


def test_the_figures_of_all_monitors_come_at_once(store):
    shop, mail, gone = (publish_one(store, name=name) for name in ("Shop", "Mail", "Gone"))
    put_results(store, shop, *[(NOON - timedelta(hours=number), 100 + number) for number in range(40)])
    put_results(store, mail, (NOON - timedelta(hours=3), None))
    roll_all(store, at(120))
    with store.begin() as conn:
        publish(conn, [make_published(uuid=gone.uuid, revision=2, removed="retired")], NOON)

    with reading(store) as conn:
        found = figures(conn, NOON)

    assert set(found) == {shop.uuid, mail.uuid}
    # Those of 24 hours that are over, and of the running one.
    assert (found[shop.uuid].complete, found[shop.uuid].incomplete) == (25, 0)
    assert found[shop.uuid].p50 == pytest.approx(0.112, rel=0.01)
    assert found[shop.uuid].p95 == pytest.approx(0.123, rel=0.01)
    assert found[shop.uuid].p99 == pytest.approx(0.124, rel=0.01)
    assert (found[mail.uuid].p50, found[mail.uuid].incomplete) == (None, 1)
    assert (found[mail.uuid].availability, found[mail.uuid].observed_seconds) == (None, 0)


def test_the_figures_know_the_availability(store):
    monitor = publish_one(store)
    run_probe(store, Outcome.UP, at(60))
    run_probe(store, Outcome.DOWN, at(960))

    with reading(store) as conn:
        found = figures(conn, at(1060))[monitor.uuid]

    assert found.observed_seconds == pytest.approx(1000)
    assert found.availability == pytest.approx(0.9)


def test_figures_of_many_monitors_read_only_the_last_day(store):
    """The roll-ups of years lie beside those of today: they are found by their target, not by a scan."""
    with store.begin() as conn:
        publish(conn, [make_published() for _ in range(50)], NOON)
    for claimed in claim_due(store):
        with store.begin() as conn:
            record(conn, [make_finished(claimed)], at(61))
    roll_all(store, at(4000))
    values = [
        {
            "target_id": row.id,
            "resolution": HOUR,
            "start": start_of(HOUR, NOON) - timedelta(hours=number),
            "phase": "total",
            "histogram": Histogram().to_bytes(),
            **dict.fromkeys(("complete", "incomplete", "up", "degraded", "down", "unknown"), 0),
        }
        for row in rows(store, target)
        for number in range(1, 400)
    ]
    with store.begin() as conn:
        conn.execute(rollup.insert(), values)
        conn.exec_driver_sql("ANALYZE")

    with reading(store) as conn:
        found = figures(conn, at(4000))

    assert len(found) == 50
    assert {figure.complete for figure in found.values()} == {1}


def test_hours_that_a_clock_wrote_ahead_are_not_of_the_last_day(store):
    monitor = publish_one(store)
    put_results(store, monitor, (NOON - timedelta(hours=1), 100), (NOON + timedelta(hours=3), 900))
    roll_all(store, NOON + timedelta(hours=5))

    with reading(store) as conn:
        found = figures(conn, NOON)[monitor.uuid]

    assert (found.complete, found.p99) == (1, pytest.approx(0.1, rel=0.01))


def test_no_time_is_counted_of_which_all_is_deleted(store, keep):
    keep(DAYS="200d")
    monitor = publish_one(store)
    put_results(store, monitor, (NOON - timedelta(days=1), 100))
    year = (NOON - timedelta(days=365), NOON)

    with reading(store) as conn:
        found = summary(conn, monitor.uuid, year, NOON)

    assert found.counted == (NOON - timedelta(days=200), NOON)
