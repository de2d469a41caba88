"""Rows that somebody spoiled by hand: each is left out of the figures and counted, and hides nothing else."""

from datetime import timedelta

import pytest
import sqlalchemy as sa

from checks.histogram import Histogram
from checks.store import reader
from checks.store.engine import reading
from checks.store.periods import HOUR, start_of
from checks.store.schema import result, rollup
from tests.checks.store.acts import publish_one, target_of
from tests.checks.store.measuring import MS, put_results, roll_all
from tests.factories import NOON, at

RESULTS = [
    {"latency_ns": -5},
    {"latency_ns": 2**63 - 1},
    {"connect_ns": -5},
    {"transfer_ns": 2**63 - 1},
    {"outcome": "sad"},
]
A_YEAR, CUT = Histogram(), Histogram()
A_YEAR.add(365 * 86_400_000 * MS)
CUT.add_all([40 * MS, 80 * MS])
ROLLUPS = [
    {"histogram": b"?"},
    {"histogram": b""},
    {"histogram": CUT.to_bytes()[:-1]},
    {"histogram": A_YEAR.to_bytes()},
    {"complete": -5},
]


def ask(engine, function, *args, **options):
    with reading(engine) as conn:
        return function(conn, *args, **options)


def put_and_spoil(engine, values, begun=NOON):
    """Results of a minute at two monitors, of which one of the first's is spoiled."""
    shop, mail = publish_one(engine, name="Shop"), publish_one(engine, name="Mail")
    for monitor in (shop, mail):
        put_results(engine, monitor, *[(begun + timedelta(seconds=10 * n), 10 * (n + 4)) for n in range(5)])
    with engine.begin() as conn:
        spoil = result.update().where(result.c.latency_ns == 60 * MS)
        conn.execute(spoil.where(result.c.target_id == target_of(engine, shop).id).values(**values))
    return shop, mail


@pytest.mark.parametrize("values", RESULTS, ids=str)
def test_a_spoiled_result_is_left_out_of_the_figures_of_a_window_and_counted(store, values):
    shop, mail = put_and_spoil(store, values)

    found = ask(store, reader.summary, shop.uuid, (NOON, at(600)), at(600))
    untouched = ask(store, reader.summary, mail.uuid, (NOON, at(600)), at(600))

    assert (found.latency.complete, found.left_out) == (4, 1)
    assert (found.latency.min, found.latency.max) == (0.04, 0.08)
    assert found.locations["local"].left_out == 1
    assert (untouched.latency.complete, untouched.left_out) == (5, 0)


@pytest.mark.parametrize("values", [each for each in RESULTS if not {"connect_ns", "transfer_ns"} & set(each)], ids=str)
def test_a_spoiled_result_is_left_out_of_the_latency_and_of_its_point(store, values):
    shop, _ = put_and_spoil(store, values)

    line = ask(store, reader.series, shop.uuid, (NOON, at(600)), 100)

    assert ask(store, reader.latency, shop.uuid, NOON, at(600)).complete == 4
    assert [(point.tally.counts["complete"], point.tally.left_out) for point in line.points] == [(4, 1)]


@pytest.mark.parametrize("values", RESULTS, ids=str)
def test_a_spoiled_result_is_not_among_the_last_ones(store, values):
    shop, _ = put_and_spoil(store, values)

    found = ask(store, reader.recent_results, shop.uuid, 10)

    assert [view.latency_ns for view in found] == [80 * MS, 70 * MS, 50 * MS, 40 * MS]


def put_and_spoil_hours(engine, values):
    """Two hours at two monitors, rolled up; the figures of the first's first hour are spoiled."""
    shop, mail = publish_one(engine, name="Shop"), publish_one(engine, name="Mail")
    first = start_of(HOUR, NOON) - timedelta(hours=5)
    for monitor in (shop, mail):
        put_results(engine, monitor, (first, 40), (first + timedelta(minutes=1), 80), (first + timedelta(hours=2), 100))
    roll_all(engine, NOON)
    spoil = rollup.update().where(rollup.c.start == first, rollup.c.target_id == target_of(engine, shop).id)
    with engine.begin() as conn:
        conn.execute(spoil.where(rollup.c.phase == "total").values(**values))
        conn.execute(sa.delete(result))
    return shop, mail, first


@pytest.mark.parametrize("values", ROLLUPS, ids=lambda values: str(values)[:50])
def test_figures_of_an_hour_that_were_spoiled_are_left_out_and_counted(store, values):
    shop, mail, first = put_and_spoil_hours(store, values)

    found, untouched = (ask(store, reader.summary, monitor.uuid, (first, NOON), NOON) for monitor in (shop, mail))
    line = ask(store, reader.series, shop.uuid, (first, NOON), 5)

    assert (found.latency.complete, found.latency.max, found.left_out) == (1, 0.1, 1)
    assert (untouched.latency.complete, untouched.left_out) == (3, 0)
    assert [(point.tally.counts["complete"], point.tally.left_out) for point in line.points] == [(0, 1), (1, 0)]


@pytest.mark.parametrize("values", ROLLUPS, ids=lambda values: str(values)[:50])
def test_figures_of_an_hour_that_were_spoiled_hide_nothing_of_the_dashboard(store, values):
    shop, mail, _ = put_and_spoil_hours(store, values)

    found = ask(store, reader.figures, NOON)

    assert (found[shop.uuid].complete, found[shop.uuid].left_out) == (1, 1)
    assert found[shop.uuid].p95 == pytest.approx(0.1, rel=0.01)
    assert (found[mail.uuid].complete, found[mail.uuid].left_out) == (3, 0)


def test_what_is_no_spoiled_row_is_still_a_mistake_of_ours(store):
    with pytest.raises(TypeError):
        ask(store, reader.latency, publish_one(store).uuid, NOON, "tomorrow")
