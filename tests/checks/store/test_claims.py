import threading
from collections import Counter
from datetime import timedelta

import pytest

from checks.clock import to_micros
from checks.result import Outcome
from checks.status import Status, TargetState
from checks.store import driver
from checks.store.claims import claiming, next_due, release, renew, specs
from checks.store.engine import reading
from checks.store.publishing import publish
from checks.store.schema import target
from tests.checks.store.acts import LATER, LEASE, claim_due, publish_one, rows, run_probe, target_of
from tests.factories import NOON, at, make_published


def publish_many(engine, number, **fields):
    with engine.begin() as conn:
        publish(conn, [make_published(**fields) for _ in range(number)], NOON)


def test_a_claim_carries_all_that_a_probe_needs(store):
    monitor = publish_one(store, interval=10.0, retry_interval=2.0, revision=7)

    [claimed] = claim_due(store)

    row = target_of(store, monitor)
    assert (claimed.target_id, claimed.monitor, claimed.location) == (row.id, monitor.uuid, "local")
    assert (claimed.revision, claimed.fence, claimed.due_at) == (7, 1, row.next_due_at)
    assert (claimed.interval, claimed.retry_interval, claimed.state) == (10.0, 2.0, TargetState())
    assert (row.leased_until, row.leased_by) == (LATER + LEASE, "w1")


def test_a_claim_carries_the_state_of_its_target(store):
    publish_one(store)
    run_probe(store, Outcome.UP)

    [claimed] = claim_due(store, at(120))

    assert (claimed.state.vote, claimed.state.serving_run, claimed.state.last_result_at) == (Status.UP, 1, LATER)


def test_a_target_has_one_owner_at_a_time(store):
    publish_one(store)

    assert [len(claim_due(store, worker=worker)) for worker in ("w1", "w2", "w1")] == [1, 0, 0]


def test_an_expired_lease_is_taken_over_under_a_higher_fence(store):
    publish_one(store)
    [first] = claim_due(store, worker="w1")

    assert claim_due(store, LATER + LEASE - timedelta(microseconds=1), worker="w2") == []
    [second] = claim_due(store, LATER + LEASE, worker="w2")

    assert (second.fence, second.due_at) == (first.fence + 1, first.due_at)


def test_only_what_is_due_within_the_horizon_is_claimed(store):
    monitor = publish_one(store)
    due = target_of(store, monitor).next_due_at

    early = claim_due(store, due - timedelta(seconds=1, microseconds=1))
    in_time = claim_due(store, due - timedelta(seconds=1))

    assert (len(early), len(in_time)) == (0, 1)


def test_what_waits_longest_is_claimed_first_and_no_more_than_asked_for(store):
    publish_many(store, 20)
    dues = sorted(row.next_due_at for row in rows(store, target))

    first = claim_due(store, limit=15)
    second = claim_due(store, limit=15)

    assert [claimed.due_at for claimed in first + second] == dues
    assert (len(first), len(second)) == (15, 5)


def test_a_worker_claims_at_its_own_location_only(store):
    publish_one(store, places=("local", "eu-west"))

    assert [claimed.location for claimed in claim_due(store, location="eu-west")] == ["eu-west"]
    assert [claimed.location for claimed in claim_due(store, location="local")] == ["local"]
    assert claim_due(store, location="mars") == []


@pytest.mark.parametrize(
    "fields",
    [{"paused": True}, {"removed": "retired"}, {"removed": "deleted"}, {"source": "pinged"}],
    ids=lambda fields: next(iter(fields)),
)
def test_what_is_not_probed_is_never_due(store, fields):
    publish_one(store, **fields)

    assert claim_due(store, at(86400)) == []


def test_specifications_are_read_by_target(store):
    monitor = publish_one(store, spec={"kind": "http", "url": "http://a", "password": {"sealed": "x"}}, revision=3)
    number = target_of(store, monitor).id

    with reading(store) as conn:
        assert specs(conn, [number, 999]) == {number: (3, monitor.spec)}
        assert specs(conn, []) == {}


def test_a_renewed_lease_lasts_longer_and_a_lost_one_stays_lost(store):
    publish_many(store, 2)
    mine, lost = claim_due(store, worker="w1")
    with store.begin() as conn:
        release(conn, worker="w1", claims=[lost])
    [taken] = claim_due(store, worker="w2")
    assert taken.target_id == lost.target_id

    with store.begin() as conn:
        renew(conn, worker="w1", target_ids=[mine.target_id, lost.target_id], now=at(80), lease=LEASE)

    leases = {row.id: row.leased_until for row in rows(store, target)}
    assert leases == {mine.target_id: at(80) + LEASE, lost.target_id: LATER + LEASE}


def test_thousands_of_leases_are_renewed_at_once(store):
    publish_many(store, 1200)
    claimed = claim_due(store, limit=2000)

    with store.begin() as conn:
        renew(conn, worker="w1", target_ids={item.target_id for item in claimed}, now=at(80), lease=LEASE)

    assert {row.leased_until for row in rows(store, target)} == {at(80) + LEASE}


def test_what_is_given_back_is_due_at_once(store):
    publish_one(store)
    [first] = claim_due(store, worker="w1")

    with store.begin() as conn:
        release(conn, worker="w1", claims=[first])
        release(conn, worker="w1", claims=[])
    [second] = claim_due(store, worker="w2")

    assert second.due_at == first.due_at


def test_what_another_has_by_now_can_not_be_given_back(store):
    publish_one(store)
    [old] = claim_due(store, worker="w1")
    claim_due(store, LATER + LEASE, worker="w2")

    with store.begin() as conn:
        release(conn, worker="w1", claims=[old])
        release(conn, worker="w2", claims=[old])

    assert rows(store, target)[0].leased_by == "w2"


def test_the_next_due_time_is_that_of_what_nobody_has(store):
    with reading(store) as conn:
        assert next_due(conn, "local", NOON) is None
    publish_many(store, 3)
    dues = sorted(row.next_due_at for row in rows(store, target))
    claim_due(store, limit=1)

    with reading(store) as conn:
        assert next_due(conn, "local", dues[0] - timedelta(seconds=1)) == dues[1]
        assert next_due(conn, "local", dues[1]) == dues[2]
        assert next_due(conn, "mars", NOON) is None


def test_workers_that_claim_at_once_never_share_a_target(store):
    publish_many(store, 300)
    start, seen, failed = threading.Barrier(4), [], []

    def work(name):
        try:
            start.wait()
            while mine := claim_due(store, worker=name, limit=7):
                seen.extend(item.target_id for item in mine)
        except Exception as problem:  # noqa: BLE001 - the test shows it
            failed.append(problem)

    threads = [threading.Thread(target=work, args=(f"w{number}",)) for number in range(4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()

    assert failed == []
    assert len(seen) >= 300 - 3 * 7  # on PostgreSQL a worker stops when all that is left is locked by the others
    assert set(Counter(seen).values()) == {1}


def test_a_claim_finds_what_is_due_by_the_index(store):
    publish_many(store, 2000, interval=3600.0)
    until, now = to_micros(NOON + timedelta(seconds=1)), to_micros(NOON)
    prefix = "EXPLAIN QUERY PLAN " if store.dialect.name == "sqlite" else "EXPLAIN "

    with store.begin() as conn:
        conn.exec_driver_sql("ANALYZE")
        values = ("local", until, now, 10, until, "w")
        plan = "\n".join(map(str, driver.select(conn, prefix + claiming(store.dialect.name), values)))

    assert "ix_target_due" in plan, plan
    assert "Seq Scan on target" not in plan, plan
    assert "SCAN target" not in plan, plan


def test_a_claim_on_postgresql_writes_each_row_beside_where_it_was(postgresql_store):
    """So that no index has to learn of it, and what is due is found without walking over what is dead."""
    with postgresql_store.begin() as conn:
        publish(conn, [make_published() for _ in range(100)], NOON)

    def pages():
        with reading(postgresql_store) as conn:
            found = conn.exec_driver_sql("SELECT id, (ctid::text::point)[0], (ctid::text::point)[1] FROM target").all()
        return {row[0]: row[1] for row in found}, {row[0]: row[2] for row in found}

    before, places = pages()
    assert len(claim_due(postgresql_store)) == 100
    after, new_places = pages()
    assert after == before
    assert all(new_places[number] != places[number] for number in places)
