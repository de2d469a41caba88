from __future__ import annotations

from datetime import timedelta

import pytest

from checks.store.engine import reading
from checks.store.periods import HOUR, start_of
from monitoring.models import Objective, PromisedHour
from monitoring.objectives import minutes
from monitoring.objectives.minutes import parse_promise
from tests.factories import NOON
from tests.monitoring.past import put_results

HOUR_OF_NOON = start_of(HOUR, NOON)
AN_HOUR = timedelta(hours=1)


@pytest.mark.parametrize(
    ("text", "written"),
    [("p95 < 300ms", "p95 < 300ms"), (" p99.9<1s ", "p99.9 < 1s"), ("p50   <   0.25s", "p50 < 250ms")],
)
def test_a_promise_has_one_form(text, written):
    assert str(parse_promise(text)) == written
    assert str(parse_promise(written)) == written


@pytest.mark.parametrize(
    ("text", "problem"),
    [
        ("p95 > 300ms", "as in p95 < 300ms"),
        ("p42 < 300ms", "one of p50, p75, p90, p95, p99, p99.9"),
        ("p95 < 300", "not a duration"),
        ("p95 < 2h", "between 100us and 1h"),
        ("latency < 1s", "not a promise about minutes"),
        ("", "not a promise about minutes"),
    ],
)
def test_what_is_no_promise_is_refused(text, problem):
    with pytest.raises(ValueError, match=problem):
        parse_promise(text)


@pytest.mark.parametrize(("fast", "probes", "holds"), [(1, 1, True), (0, 1, False), (19, 20, True), (18, 20, False)])
def test_a_minute_keeps_it_by_the_nearest_rank(fast, probes, holds):
    assert parse_promise("p95 < 300ms").holds(fast, probes) is holds


@pytest.fixture
def monitor(published_to, make_monitor):
    return make_monitor()


def count(engine, monitor, start, end, text="p95 < 300ms"):
    with reading(engine) as conn:
        return minutes.count(conn, monitor.uuid, parse_promise(text), start, end)


def test_minutes_are_counted_by_the_hour(published_to, monitor):
    """A minute of fast ones, one with a slow one, one with one that was never answered, one with our own fault."""
    put_results(published_to, monitor, HOUR_OF_NOON, [100, 299], every=30)
    put_results(published_to, monitor, HOUR_OF_NOON + timedelta(minutes=1), [100, 300], every=30)
    put_results(published_to, monitor, HOUR_OF_NOON + timedelta(minutes=2), [100, None], every=30)
    put_results(published_to, monitor, HOUR_OF_NOON + timedelta(minutes=3), [None], every=30, outcome="unknown")
    put_results(published_to, monitor, HOUR_OF_NOON + timedelta(minutes=59, seconds=59), [100, 100], every=1)

    counted = count(published_to, monitor, HOUR_OF_NOON, HOUR_OF_NOON + 2 * AN_HOUR)

    assert counted == {HOUR_OF_NOON: (2, 2), HOUR_OF_NOON + AN_HOUR: (1, 0)}
    assert count(published_to, monitor, HOUR_OF_NOON, HOUR_OF_NOON + AN_HOUR, "p50 < 300ms") == {HOUR_OF_NOON: (4, 0)}


def test_hours_that_are_over_are_counted_once_and_kept(published_to, monitor):
    objective = {"monitor": monitor, "target": 99.0, "minutes": "p95 < 300ms"}
    Objective.objects.create(name="fast", **objective)
    Objective.objects.create(name="fast for a month", **objective)
    put_results(published_to, monitor, HOUR_OF_NOON - 3 * AN_HOUR, [100, 900], every=60)
    put_results(published_to, monitor, HOUR_OF_NOON, [900], every=60)

    done = minutes.follow(published_to, NOON)

    oldest = start_of(HOUR, NOON - timedelta(days=7)) + AN_HOUR
    assert done == (HOUR_OF_NOON - oldest) / AN_HOUR == PromisedHour.objects.count()
    found = minutes.kept_hours(monitor.uuid, "p95 < 300ms", NOON - timedelta(days=1), NOON)
    assert found[HOUR_OF_NOON - 3 * AN_HOUR] == (1, 1)
    assert found[HOUR_OF_NOON - 2 * AN_HOUR] == (0, 0)
    assert HOUR_OF_NOON not in found  # it goes on
    assert minutes.follow(published_to, NOON) == 0
    assert minutes.follow(published_to, HOUR_OF_NOON + AN_HOUR + timedelta(minutes=1)) == 0  # a result may be missing
    assert minutes.follow(published_to, HOUR_OF_NOON + AN_HOUR + timedelta(minutes=2)) == 1


def test_results_that_come_late_are_counted_too(published_to, monitor):
    """What a worker could not deliver before the hour was counted; what comes hours later changes nothing any more."""
    Objective.objects.create(name="fast", monitor=monitor, target=99.0, minutes="p95 < 300ms")
    put_results(published_to, monitor, HOUR_OF_NOON - AN_HOUR, [100], every=60)
    soon, later = HOUR_OF_NOON + timedelta(minutes=50), HOUR_OF_NOON + timedelta(minutes=70)
    minutes.follow(published_to, HOUR_OF_NOON + timedelta(minutes=3))

    put_results(published_to, monitor, HOUR_OF_NOON - AN_HOUR + timedelta(minutes=1), [900], every=60)
    assert (minutes.follow(published_to, soon), minutes.follow(published_to, soon)) == (1, 0)
    found = PromisedHour.objects.get(start=HOUR_OF_NOON - AN_HOUR)
    assert (found.kept, found.broken) == (1, 1)
    put_results(published_to, monitor, HOUR_OF_NOON - AN_HOUR + timedelta(minutes=2), [900], every=60)
    minutes.follow(published_to, later)
    found.refresh_from_db()
    assert (found.kept, found.broken) == (1, 1)


def test_a_promise_that_cannot_be_read_leaves_the_others_alone(published_to_sqlite, make_monitor, caplog):
    for name, promise in (("Aaa", "nonsense"), ("Bbb", "p95 < 300ms")):
        Objective.objects.create(name=name, monitor=make_monitor(name=name), target=99.0, minutes=promise)

    assert minutes.follow(published_to_sqlite, NOON) > 100
    assert "'nonsense' can't be read" in caplog.text


def test_one_step_counts_no_more_than_so_many_hours(published_to, monitor, monkeypatch):
    monkeypatch.setattr(minutes, "MOST", 30)
    Objective.objects.create(name="fast", monitor=monitor, target=99.0, minutes="p95 < 300ms")

    assert [minutes.follow(published_to, NOON) for _ in range(7)] == [30, 30, 30, 30, 30, 17, 0]


def test_what_nobody_asks_for_is_counted_for_nobody(published_to, monitor):
    Objective.objects.create(name="there", monitor=monitor, target=99.0)

    assert minutes.follow(published_to, NOON) == 0
