from dataclasses import replace
from datetime import timedelta

import pytest
import sqlalchemy as sa

from checks import sight
from checks.result import Outcome
from checks.status import Status
from checks.store import percentiles, reader, watches
from checks.store.availability import availability
from checks.store.engine import reading
from checks.store.publishing import forget_deleted, publish
from checks.store.schema import target, watch
from tests.checks.store.acts import publish_one, rows, run_probe
from tests.checks.store.measuring import put_results
from tests.checks.store.test_availability import put_blind, put_transitions
from tests.factories import NOON, at, make_published

DAY = 86_400


def move(store, monitor, at_second, *places, revision=2):
    with store.begin() as conn:
        publish(conn, [replace(monitor, revision=revision, places=places)], at(at_second))


def counted(store, monitor, begun, ended):
    with reading(store) as conn:
        found = percentiles.summary(conn, monitor.uuid, (at(begun), at(ended)), at(10 * DAY))
    return {location: each.latency.complete for location, each in found.locations.items()}


def seen(store, monitor, begun, ended, now=10 * DAY):
    """Seconds of up and unknown."""
    with reading(store) as conn:
        found = availability(conn, monitor.uuid, at(begun), at(ended), at(now))
    return found.up, found.unknown


def test_what_was_measured_at_a_location_stays_when_the_monitor_moves(store):
    monitor = publish_one(store)
    put_results(store, monitor, (at(10), 100), (at(20), 200))
    move(store, monitor, 100, "eu-west")
    put_results(store, monitor, (at(110), 300), location="eu-west")

    assert counted(store, monitor, 0, 200) == {"eu-west": 1, "local": 2}
    assert counted(store, monitor, 100, 200) == {"eu-west": 1}
    with reading(store) as conn:
        assert reader.latency(conn, monitor.uuid, at(0), at(200)).complete == 3
        assert len(reader.series(conn, monitor.uuid, (at(0), at(200)), 100).points) == 2
        recent = reader.recent_results(conn, monitor.uuid, 10)
        assert [each.location for each in recent] == ["eu-west", "local", "local"]
        assert reader.figures(conn, at(200))[monitor.uuid].observed_seconds == 0
        assert [view.locations for view in reader.overview(conn, at(200))] == [("eu-west",)]


def test_a_location_that_comes_back_has_what_was_measured_there_before(store):
    monitor = publish_one(store)
    put_results(store, monitor, (at(10), 100))
    move(store, monitor, 100, "eu-west")
    move(store, monitor, 200, "local", revision=3)
    put_results(store, monitor, (at(210), 300))

    assert counted(store, monitor, 0, 300) == {"eu-west": 0, "local": 2}


def test_a_location_that_is_added_saw_nothing_of_the_time_before(store):
    monitor = publish_one(store)
    move(store, monitor, DAY, "local", "eu-west")
    put_transitions(store, monitor, (0, Status.UP))
    put_blind(store, "worker", "local", 3600, 7200)
    put_blind(store, "worker", "local", 2 * DAY, 2 * DAY + 60)
    put_blind(store, "worker", "eu-west", 2 * DAY + 30, 2 * DAY + 90)

    assert seen(store, monitor, 0, DAY) == (DAY - 3600, 3600)
    assert seen(store, monitor, 2 * DAY, 2 * DAY + 100) == (70, 30)  # both were blind at once


def test_a_location_that_is_removed_saw_what_it_saw(store):
    monitor = publish_one(store, places=("local", "eu-west"))
    move(store, monitor, DAY, "local")
    put_transitions(store, monitor, (0, Status.UP))
    put_blind(store, "worker", "local", 3600, 7200)
    put_blind(store, "worker", "local", DAY - 30, DAY + 30)

    assert seen(store, monitor, 0, DAY) == (DAY, 0)
    assert seen(store, monitor, DAY, DAY + 60) == (30, 30)


def test_another_source_sees_from_then_on_alone(store):
    monitor = publish_one(store)
    with store.begin() as conn:
        publish(conn, [replace(monitor, revision=2, source="pinged")], at(150))
    put_transitions(store, monitor, (0, Status.UP))
    put_blind(store, "worker", "local", 0, 100)
    put_blind(store, "web", "", 100, 200)

    assert seen(store, monitor, 0, 150) == (50, 100)
    assert seen(store, monitor, 150, 300)[1] == 50


def test_who_was_blind_years_ago_was_blind(store):
    monitor = publish_one(store)
    put_transitions(store, monitor, (0, Status.UP))
    put_blind(store, "worker", "local", 0, 3600)
    with store.begin() as conn:
        sight.tidy(conn, at(4000 * DAY))

    assert seen(store, monitor, 0, 7200, now=4000 * DAY) == (3600, 3600)


def test_what_changes_nothing_of_who_watches_writes_nothing(store):
    monitor = publish_one(store, places=("local", "eu-west"))
    before = rows(store, watch)
    for revision, change in enumerate(
        ({"paused": True}, {"paused": False}, {"removed": "retired"}, {"removed": None}), 2
    ):
        with store.begin() as conn:
            publish(conn, [replace(monitor, revision=revision, **change)], at(revision))

    assert rows(store, watch) == before
    assert sorted((row.location, row.source, row.since, row.until) for row in before) == [
        ("eu-west", "probed", NOON, None),
        ("local", "probed", NOON, None),
    ]
    assert {row.target_id for row in before} == {row.id for row in rows(store, target)}


def test_many_monitors_are_watched(store):
    monitors = [make_published(slug=f"m{number}") for number in range(1100)]
    with store.begin() as conn:
        publish(conn, monitors, NOON)
    with store.begin() as conn:
        publish(conn, [replace(monitor, revision=2, places=("eu-west",)) for monitor in monitors], at(10))

    with reading(store) as conn:
        assert len(watches.of_monitors(conn, [monitor.uuid for monitor in monitors], at(20), at(30))) == 1100
    assert len(rows(store, watch, watch.c.until == at(10))) == len(rows(store, watch, watch.c.until.is_(None))) == 1100


@pytest.mark.parametrize("days", [30, 4000])
def test_of_a_deleted_monitor_is_known_for_ever_who_watched_it(store, days):
    monitor = publish_one(store)
    run_probe(store, Outcome.UP, at(60))
    with store.begin() as conn:
        publish(conn, [replace(monitor, revision=2, removed="deleted")], at(100))
        conn.execute(sa.text("UPDATE monitor_state SET consumed_seq = seq"))
        assert forget_deleted(conn, at(100) + timedelta(days=days)) == 1

    assert rows(store, target) == []
    assert seen(store, monitor, 60, 100) == (40, 0)
    assert counted(store, monitor, 0, 100) == {"local": 1}
    with reading(store) as conn:
        [view] = reader.overview(conn, at(200), include_removed=True)
        assert (view.slug, view.removed) == (monitor.slug, "deleted")
