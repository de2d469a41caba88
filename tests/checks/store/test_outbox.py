import threading
from datetime import timedelta

import psycopg
import sqlalchemy as sa

from checks.result import Outcome
from checks.status import Cause, Status
from checks.store.engine import reading
from checks.store.outbox import claim_monitors, mark_consumed, next_transition, release_monitors
from checks.store.publishing import publish
from checks.store.schema import monitor_state, transition
from checks.store.writer import CHANNEL, put
from tests.checks.store.acts import one, publish_one, rows, run_probe
from tests.factories import NOON, at, make_published

LEASE = timedelta(seconds=30)


def claim(engine, notifier="n1", now=None, limit=10):
    with engine.begin() as conn:
        return claim_monitors(conn, notifier=notifier, now=now or at(100), lease=LEASE, limit=limit)


def pause_and_resume(engine, monitor, times=1):
    for number in range(times):
        with engine.begin() as conn:
            put(conn, monitor.uuid, Status.PAUSED, at(200 + number), cause=Cause.PAUSED)
            put(conn, monitor.uuid, Status.PENDING, at(201 + number), cause=Cause.RESUMED)


def test_a_monitor_without_transitions_is_nobody_s_work(store):
    publish_one(store)

    assert claim(store) == []


def test_a_monitor_with_transitions_has_one_notifier_at_a_time(store):
    monitor = publish_one(store)
    run_probe(store, Outcome.DOWN)

    assert [claim(store, name) for name in ("n1", "n2")] == [[monitor.uuid], []]
    assert claim(store, "n2", at(100) + LEASE) == [monitor.uuid]


def test_transitions_come_in_order_each_until_it_is_consumed(store):
    monitor = publish_one(store)
    run_probe(store, Outcome.DOWN)
    pause_and_resume(store, monitor)

    seen = []
    with store.begin() as conn:
        while (found := next_transition(conn, monitor.uuid)) is not None:
            assert next_transition(conn, monitor.uuid) == found
            seen.append((found.seq, found.from_status, found.to_status, found.cause))
            mark_consumed(conn, found, at(300))

    assert seen == [
        (1, Status.PENDING, Status.DOWN, Cause.PROBE),
        (2, Status.DOWN, Status.PAUSED, Cause.PAUSED),
        (3, Status.PAUSED, Status.PENDING, Cause.RESUMED),
    ]
    assert {row.consumed_at for row in rows(store, transition)} == {at(300)}
    assert claim(store, now=at(300) + LEASE) == []


def test_a_transition_carries_what_a_message_needs(store):
    monitor = publish_one(store, name="Shop")
    run_probe(store, Outcome.DOWN)

    with reading(store) as conn:
        found = next_transition(conn, monitor.uuid)
    stored = one(store, transition)
    assert (found.uuid, found.monitor, found.slug, found.name) == (stored.uuid, monitor.uuid, monitor.slug, "Shop")
    assert (found.kind, found.at, found.since) == (monitor.kind, stored.at, stored.since)
    assert found.evidence["failure"]["reason"] == "refused"


def test_consuming_twice_or_too_late_changes_nothing(store):
    monitor = publish_one(store)
    run_probe(store, Outcome.DOWN)
    pause_and_resume(store, monitor)
    with store.begin() as conn:
        first = next_transition(conn, monitor.uuid)
        mark_consumed(conn, first, at(300))
        second = next_transition(conn, monitor.uuid)
        mark_consumed(conn, second, at(301))
        mark_consumed(conn, first, at(400))

    assert one(store, monitor_state).consumed_seq == 2
    assert [row.consumed_at for row in sorted(rows(store, transition), key=lambda row: row.seq)] == [
        at(300),
        at(301),
        None,
    ]


def test_what_is_given_back_can_be_taken_by_another(store):
    with store.begin() as conn:
        publish(conn, [make_published(), make_published()], NOON)
    for row in rows(store, monitor_state):
        with store.begin() as conn:
            put(conn, row.monitor, Status.PAUSED, at(50), cause=Cause.PAUSED)
    mine = claim(store, "n1")
    with store.begin() as conn:
        release_monitors(conn, "n2", mine)  # not his to give
        release_monitors(conn, "n1", [])
    assert claim(store, "n2") == []
    with store.begin() as conn:
        release_monitors(conn, "n1", mine)

    assert sorted(claim(store, "n2")) == sorted(mine)


def test_what_waits_longest_comes_first(store):
    monitors = [make_published() for _ in range(5)]
    with store.begin() as conn:
        publish(conn, monitors, NOON)
        for number, monitor in enumerate(reversed(monitors)):
            put(conn, monitor.uuid, Status.PAUSED, at(number), cause=Cause.PAUSED)

    expected = [monitor.uuid for monitor in reversed(monitors)]
    assert claim(store, limit=3) + claim(store, limit=3) == expected


def test_notifiers_that_claim_at_once_never_share_a_monitor(store):
    with store.begin() as conn:
        monitors = [make_published() for _ in range(100)]
        publish(conn, monitors, NOON)
        for monitor in monitors:
            put(conn, monitor.uuid, Status.PAUSED, at(1), cause=Cause.PAUSED)
    start, seen = threading.Barrier(3), []

    def work(name):
        start.wait()
        while mine := claim(store, name, limit=4):
            seen.extend(mine)

    threads = [threading.Thread(target=work, args=(f"n{number}",)) for number in range(3)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()

    assert len(seen) == len(set(seen)) >= 100 - 2 * 4


def test_what_waits_is_found_by_the_index(postgresql_store):
    with postgresql_store.begin() as conn:
        publish(conn, [make_published() for _ in range(2000)], NOON)
        conn.exec_driver_sql("ANALYZE monitor_state")
        explained = conn.exec_driver_sql("EXPLAIN SELECT monitor FROM monitor_state WHERE seq > consumed_seq")
        assert "ix_monitor_state_unconsumed" in str(explained.all())


def test_postgresql_wakes_the_notifiers_when_a_transition_is_committed(postgresql_store, postgresql_url):
    publish_one(postgresql_store)
    with psycopg.connect(postgresql_url, autocommit=True) as listener:
        listener.execute(f"LISTEN {CHANNEL}")
        run_probe(postgresql_store, Outcome.UP)
        run_probe(postgresql_store, Outcome.UP, at(70))  # no transition, no word of it
        heard = list(listener.notifies(timeout=2, stop_after=1)) + list(listener.notifies(timeout=0.2))

    assert [notice.channel for notice in heard] == [CHANNEL]


def test_a_number_of_a_transition_can_not_be_given_twice(store):
    """Whoever writes without the monitor's lock is refused by the database itself."""
    publish_one(store)
    run_probe(store, Outcome.DOWN)
    row = one(store, transition)

    def write_again():
        with store.begin() as conn:
            conn.execute(transition.insert().values(**{**row._mapping, "uuid": make_published().uuid}))

    try:
        write_again()
    except sa.exc.IntegrityError:
        return
    raise AssertionError("the database took a second transition of the same number")
