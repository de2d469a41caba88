from datetime import timedelta
from itertools import count
from uuid import uuid4

import pytest

from checks.status import Cause, Status
from checks.store import retention
from checks.store.outbox import claim_monitors, mark_consumed, next_transition
from checks.store.periods import DAY, HOUR, MINUTE
from checks.store.publishing import publish
from checks.store.retention import prune
from checks.store.schema import dirty_period, monitor_state, ping, result, rollup, target, transition
from checks.store.writer import put
from tests.checks.store.acts import publish_one, rows
from tests.factories import NOON, at, make_published


def days(number):
    return timedelta(days=number)


def put_results(engine, *ages):
    values = [{"target_id": 1, "due_at": NOON - age, "started_at": NOON - age, "outcome": "up"} for age in ages]
    with engine.begin() as conn:
        conn.execute(result.insert(), values)


def put_rollups(engine, resolution, *ages):
    counts = dict.fromkeys(("complete", "incomplete", "up", "degraded", "down", "unknown"), 0)
    values = [
        {"target_id": 1, "resolution": resolution, "start": NOON - age, "phase": "total", "histogram": b"", **counts}
        for age in ages
    ]
    with engine.begin() as conn:
        conn.execute(rollup.insert(), values)


EMPTY = {"method": "GET", "source": "", "user_agent": "", "body": b"", "body_size": 0, "action": "success"}


def put_pings(engine, *ages, monitor=None):
    with engine.begin() as conn:
        values = [{"monitor": monitor or uuid4(), "received_at": NOON - age, **EMPTY} for age in ages]
        conn.execute(ping.insert(), values)


def prune_all(engine, now=NOON):
    steps = 1
    while prune(engine, now):
        steps += 1
    return steps


def test_each_kind_of_measurement_has_its_own_age(store):
    second = timedelta(seconds=1)
    put_results(store, days(7) + second, days(7), days(1))
    put_rollups(store, HOUR, days(180) + second, days(180))
    put_rollups(store, DAY, days(1095) + second, days(1095))
    put_rollups(store, MINUTE, days(2) + second, days(2))
    put_pings(store, days(90) + second, days(90))
    expected = {
        "results": 1,
        "pings": 1,
        "surplus pings": 0,
        "figures of minutes": 1,
        "figures of hours": 1,
        "figures of days": 1,
        "deleted monitors": 0,
    }
    assert retention.too_old(store, NOON) == expected

    prune_all(store)

    assert [NOON - row.started_at for row in rows(store, result)] == [days(7), days(1)]
    kept = {(row.resolution, NOON - row.start) for row in rows(store, rollup)}
    assert kept == {(MINUTE, days(2)), (HOUR, days(180)), (DAY, days(1095))}
    assert [NOON - row.received_at for row in rows(store, ping)] == [days(90)]
    assert set(retention.too_old(store, NOON).values()) == {0}


def test_every_age_can_be_set(store, keep):
    keep(RESULTS="2d", MINUTES="1d", HOURS="3d", DAYS="4d", PINGS="5d")
    put_results(store, days(3), days(1))
    put_rollups(store, MINUTE, days(2), days(0))
    put_rollups(store, HOUR, days(4), days(2))
    put_rollups(store, DAY, days(5), days(3))
    put_pings(store, days(6), days(4))

    prune_all(store)

    assert [NOON - row.started_at for row in rows(store, result)] == [days(1)]
    kept = {(row.resolution, NOON - row.start) for row in rows(store, rollup)}
    assert kept == {(MINUTE, days(0)), (HOUR, days(2)), (DAY, days(3))}
    assert [NOON - row.received_at for row in rows(store, ping)] == [days(4)]


def test_results_of_a_clock_that_was_wrong_do_not_hide_those_that_are_old(sqlite_store, monkeypatch):
    monkeypatch.setattr(retention, "BATCH", 5)
    put_results(sqlite_store, *[-days(300)] * 10, *[days(8)] * 10)

    prune_all(sqlite_store)

    assert {NOON - row.started_at for row in rows(sqlite_store, result)} == {-days(300)}


def test_however_many_of_them_there_are(store, monkeypatch):
    monkeypatch.setattr(retention, "FIRST", 5)
    monitor = publish_one(store, source="pinged")
    publish_one(store)
    put_results(store, *[-days(300)] * 10, *[days(8)] * 10)  # the first target's
    put_pings(store, *[-days(300)] * 10, *[days(91)] * 10, monitor=monitor.uuid)

    prune_all(store)

    assert {NOON - row.started_at for row in rows(store, result)} == {-days(300)}
    assert {NOON - row.received_at for row in rows(store, ping)} == {-days(300)}


def test_results_that_are_not_rolled_up_yet_are_kept(store):
    put_results(store, days(9), days(8))
    with store.begin() as conn:
        mark = {"target_id": 1, "resolution": HOUR, "start": NOON - days(8) - timedelta(minutes=5), "ready_at": NOON}
        conn.execute(dirty_period.insert().values(mark))

    prune_all(store)

    assert [NOON - row.started_at for row in rows(store, result)] == [days(8)]


def test_what_is_old_goes_in_small_steps(store):
    put_results(store, *[days(8)] * 2600, days(1))

    assert prune(store, NOON) is True
    left = len(rows(store, result))
    assert 1601 <= left <= 2601 - retention.BATCH
    assert prune_all(store) >= 2
    assert len(rows(store, result)) == 1


def test_a_step_ends_in_time(store, monkeypatch):
    put_results(store, *[days(8)] * 600)
    put_pings(store, days(91))
    monkeypatch.setattr(retention, "STEP", -1.0)

    assert prune(store, NOON) is True
    assert len(rows(store, result)) == 600 - retention.BATCH
    assert rows(store, ping) == [], "every sort has its turn"


def test_where_there_is_nothing_old_one_step_is_enough(store, monkeypatch):
    monkeypatch.setattr(retention, "STEP", 60.0)  # however slow the machine is
    put_results(store, days(1))

    assert prune_all(store) == 1


@pytest.mark.parametrize("age", [days(40), days(4000)])
def test_transitions_are_never_deleted_nor_whose_they_are(store, age):
    monitor = publish_one(store)
    with store.begin() as conn:
        put(conn, monitor.uuid, Status.PAUSED, at(1), cause=Cause.PAUSED)
        gone = make_published(uuid=monitor.uuid, revision=2, removed="deleted")
        publish(conn, [gone], at(2))
        [uuid] = claim_monitors(conn, notifier="n", now=at(3), lease=timedelta(seconds=1), limit=1)
        mark_consumed(conn, next_transition(conn, uuid), at(3))

    prune_all(store, NOON + age)

    assert rows(store, target) == []
    assert len(rows(store, monitor_state)) == len(rows(store, transition)) == 1


def test_of_a_busy_heartbeat_the_last_pings_stay(store, keep, monkeypatch):
    keep(PINGS_OF_A_MONITOR="3")
    monkeypatch.setattr(retention, "LOOKED_AT", 2)
    monitors = [publish_one(store, source="pinged") for _ in range(5)]
    with store.begin() as conn:
        pings = [
            {"monitor": monitor.uuid, "received_at": at(number), **EMPTY} for monitor in monitors for number in range(7)
        ]
        conn.execute(ping.insert(), pings)

    assert retention.too_old(store, at(10))["surplus pings"] == 20

    turns = max(row.id for row in rows(store, target)) // 2 + 1
    for half_minute in range(turns):  # who is looked at changes with the time
        while retention.step("surplus pings", store, at(30 * half_minute + 10)):
            pass

    assert retention.too_old(store, at(10))["surplus pings"] == 0
    kept = {(row.monitor, row.received_at) for row in rows(store, ping)}
    assert kept == {(monitor.uuid, at(number)) for monitor in monitors for number in (4, 5, 6)}


def test_who_prunes_by_hand_need_not_wait_for_a_turn(store, keep, monkeypatch):
    keep(PINGS_OF_A_MONITOR="3")
    monkeypatch.setattr(retention, "LOOKED_AT", 2)
    monitors = [publish_one(store, source="pinged") for _ in range(5)]
    for monitor in monitors:
        put_pings(store, days(91), *[days(1)] * 7, monitor=monitor.uuid)
    assert retention.too_old(store, NOON)["surplus pings"] == 20

    prune_all(store)

    assert len(rows(store, ping)) == 15
    assert set(retention.too_old(store, NOON).values()) == {0}


def test_sqlites_lock_is_free_for_longer_than_a_step_had_it(sqlite_store, monkeypatch):
    """Who waits for it looks now and then, ever more seldom, and must not always find it taken."""
    slept, instants = [], count()
    monkeypatch.setattr(retention.time, "sleep", slept.append)
    monkeypatch.setattr(retention.clock, "monotonic", lambda: next(instants) * 0.005)
    put_results(sqlite_store, *[days(8)] * 1500)

    prune(sqlite_store, NOON)

    first, *others = slept  # of results; there is nothing else
    assert first == pytest.approx(retention.PAUSES * 5 * 0.005), (
        "it began, looked after each of four batches, and ended"
    )
    assert others == [pytest.approx(retention.PAUSES * 2 * 0.005)] * (len(retention.SORTS) - 1)
