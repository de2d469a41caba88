from datetime import timedelta

import pytest

from checks.result import Outcome, Phases
from checks.status import Cause, Policy, Status
from checks.store import bulk, outbox
from checks.store.publishing import publish
from checks.store.schema import dirty_period, monitor_state, result, target, transition
from checks.store.states import lock_monitors
from checks.store.troubles import clear_trouble, report_trouble
from checks.store.writer import put, record, settle
from tests.checks.store.acts import (
    LATER,
    LEASE,
    claim_due,
    history,
    one,
    publish_one,
    rows,
    run_probe,
    status_of,
    target_of,
)
from tests.factories import NOON, at, make_finished, make_published

TWICE = Policy(failures=2, successes=2, interval=10.0)


def test_a_result_moves_its_target_and_its_monitor_and_is_kept(store):
    monitor = publish_one(store)
    [claimed] = claim_due(store)
    with store.begin() as conn:
        done = record(conn, [make_finished(claimed, skipped=2)], at(61))

    [written] = done.transitions
    assert (done.refused, written.monitor, written.slug) == (0, monitor.uuid, monitor.slug)
    assert (written.transition.from_status, written.transition.to_status) == (Status.PENDING, Status.UP)
    kept, now, state = one(store, result), one(store, target), one(store, monitor_state)
    assert (kept.due_at, kept.started_at, kept.outcome) == (claimed.due_at, claimed.due_at, "up")
    assert (kept.latency_ns, kept.connect_ns, kept.first_byte_ns, kept.dns_ns) == (
        25_000_000,
        5_000_000,
        20_000_000,
        None,
    )
    assert (now.vote, now.last_latency_ns, now.skipped_slots, now.fence) == ("up", 25_000_000, 2, 1)
    assert (now.leased_until, now.leased_by, now.next_due_at) == (None, None, claimed.due_at + timedelta(seconds=10))
    assert (state.status, state.seq, state.since) == ("up", 1, claimed.due_at)
    stored = one(store, transition)
    assert (stored.seq, stored.at, stored.since, stored.consumed_at) == (1, at(61), claimed.due_at, None)
    assert (stored.from_status, stored.to_status, stored.cause) == ("pending", "up", "probe")


def test_a_result_that_only_confirms_takes_no_lock_of_its_monitor(postgresql_store):
    """Another transaction holds the monitor's row: whoever needs it would wait, and run into the lock's time-out."""
    monitor = publish_one(postgresql_store)
    run_probe(postgresql_store, Outcome.UP)

    with postgresql_store.begin() as other:
        lock_monitors(other, [monitor.uuid])
        done = run_probe(postgresql_store, Outcome.UP, at(70))

    assert (done.refused, done.transitions) == (0, [])
    assert len(rows(postgresql_store, result)) == 2


def test_the_evidence_of_a_transition_says_what_was_found(store):
    publish_one(store)
    evidence = {"excerpt": "Bad Gateway"}
    done = run_probe(store, Outcome.DOWN, phases=Phases(dns=1000, connect=2000), evidence=evidence)

    stored = one(store, transition)
    assert stored.evidence == done.transitions[0].transition.evidence
    assert stored.evidence == {
        "location": "local",
        "outcome": "down",
        "started_at": LATER.isoformat(),
        "latency_ns": None,
        "phases": {"dns": 1000, "connect": 2000},
        "failure": {"reason": "refused", "message": "the connection was refused", "phase": "connect"},
        "evidence": {"excerpt": "Bad Gateway"},
    }


def test_a_late_result_is_refused_and_counted_and_its_neighbours_are_recorded(store):
    monitors = [make_published() for _ in range(3)]
    with store.begin() as conn:
        publish(conn, monitors, NOON)
    first, late, third = claim_due(store, worker="w1")
    with store.begin() as conn:  # the worker was stopped; another one has the target by now
        conn.execute(target.update().where(target.c.id == late.target_id).values(fence=late.fence + 1, leased_by="w2"))

    with store.begin() as conn:
        done = record(conn, [make_finished(item) for item in (third, late, first)], at(61))

    assert done.refused == 1
    assert {row.target_id for row in rows(store, result)} == {first.target_id, third.target_id}
    taken = one(store, target, target.c.id == late.target_id)
    assert (taken.leased_by, taken.vote, taken.last_result_at) == ("w2", "pending", None)


def test_a_worker_that_comes_back_can_not_overwrite_its_successor(store):
    publish_one(store)
    [old] = claim_due(store, worker="w1")
    [new] = claim_due(store, LATER + LEASE, worker="w2")

    with store.begin() as conn:
        assert record(conn, [make_finished(new, Outcome.UP)], at(95)).refused == 0
    with store.begin() as conn:
        assert record(conn, [make_finished(old, Outcome.DOWN)], at(96)).refused == 1

    assert one(store, monitor_state).status == "up"


def test_a_result_of_a_monitor_that_is_gone_is_refused(store):
    publish_one(store)
    [claimed] = claim_due(store)
    with store.begin() as conn:
        conn.execute(target.delete())
        conn.execute(monitor_state.delete())

    with store.begin() as conn:
        assert record(conn, [make_finished(claimed)], at(61)).refused == 1
        assert record(conn, [], at(61)).refused == 0


def test_a_batch_that_was_answered_by_an_exception_is_undone_whole(store):
    publish_one(store)
    [claimed] = claim_due(store)

    def record_and_fail():
        with store.begin() as conn:
            record(conn, [make_finished(claimed)], at(61))
            raise ConnectionError

    with pytest.raises(ConnectionError):
        record_and_fail()
    assert (rows(store, result), rows(store, transition), one(store, target).vote) == ([], [], "pending")

    with store.begin() as conn:  # the recorder tries again
        assert len(record(conn, [make_finished(claimed)], at(62)).transitions) == 1


def test_a_batch_that_was_recorded_before_is_refused_the_second_time(store):
    """A lost answer to COMMIT: the recorder can't know, tries again, and a worker may have claimed meanwhile."""
    publish_one(store)
    [claimed] = claim_due(store)
    batch = [make_finished(claimed)]
    with store.begin() as conn:
        record(conn, batch, at(61))
    claim_due(store, at(80))

    with store.begin() as conn:
        done = record(conn, batch, at(81))

    assert (done.refused, done.transitions) == (1, [])
    assert len(rows(store, result)) == 1


def test_a_result_is_recorded_once_even_where_nobody_claimed_meanwhile(store):
    publish_one(store)
    [claimed] = claim_due(store)
    for _ in range(2):
        with store.begin() as conn:
            done = record(conn, [make_finished(claimed)], at(61))

    assert (done.refused, len(rows(store, result))) == (1, 1)


def test_an_incident_is_dated_back_to_the_first_failure(store):
    monitor = publish_one(store)
    for second, outcome in ((60, Outcome.UP), (70, Outcome.DOWN), (80, Outcome.DOWN)):
        run_probe(store, outcome, at(second), policy=TWICE)

    assert history(store, monitor) == [(1, "pending", "up", "probe"), (2, "up", "down", "probe")]
    down = one(store, transition, transition.c.seq == 2)
    assert (down.since, down.at) == (at(70), at(80))
    assert one(store, monitor_state).since == at(70)


def test_our_own_fault_says_nothing_of_the_target(store):
    monitor = publish_one(store)
    run_probe(store, Outcome.UP)
    before = target_of(store, monitor)

    done = run_probe(store, Outcome.UNKNOWN, at(70))

    after = target_of(store, monitor)
    assert (done.refused, done.transitions) == (0, [])
    assert (after.vote, after.last_result_at, after.serving_run) == (before.vote, before.last_result_at, 1)
    assert after.last_failure["reason"] == "no_descriptors"
    assert [row.outcome for row in rows(store, result)] == ["up", "unknown"]


def test_evidence_is_kept_of_the_first_failure_of_a_run_and_of_changes_only(store):
    publish_one(store)
    outcomes = [Outcome.UP, Outcome.UP, *[Outcome.DOWN] * 4, Outcome.UNKNOWN, Outcome.UP, Outcome.UP]
    for number, outcome in enumerate(outcomes):
        policy = Policy(failures=3, successes=2, interval=10.0)
        run_probe(store, outcome, at(60 + 10 * number), policy=policy, evidence={"number": number})

    kept = [row.evidence and row.evidence["number"] for row in rows(store, result)]
    # The first "up" is a change of vote, 2 the first failure, 4 the change to down, 8 the change to up.
    assert kept == [0, None, 2, None, 4, None, None, None, 8]
    assert [row.failure is not None for row in rows(store, result)] == [False] * 2 + [True] * 5 + [False] * 2


def test_what_the_last_failure_was_is_forgotten_when_it_is_well_again(store):
    monitor = publish_one(store)
    run_probe(store, Outcome.DOWN)
    failing = target_of(store, monitor)
    run_probe(store, Outcome.UP, at(70))
    well = target_of(store, monitor)

    assert failing.last_failure["reason"] == "refused"
    assert (failing.last_latency_ns, well.last_latency_ns, well.last_failure) == (None, 25_000_000, None)


def test_an_hour_is_marked_as_changed_once_and_again_when_it_is_over(store, monkeypatch):
    publish_one(store)
    hour = NOON.replace(minute=0)
    marked, mark = [], bulk.mark_dirty
    monkeypatch.setattr(bulk, "mark_dirty", lambda conn, found: (marked.extend(found), mark(conn, found)))

    for second in (60, 70, 80):
        run_probe(store, Outcome.UP, at(second))
    assert len(marked) == 1

    late = at(2400 + 5)  # five seconds into the next hour, of a probe that began in this one
    [claimed] = claim_due(store, late)
    with store.begin() as conn:
        conn.execute(dirty_period.delete())
        record(conn, [make_finished(claimed, started_at=hour + timedelta(minutes=59, seconds=59))], late)

    assert [(row.resolution, row.start) for row in rows(store, dirty_period)] == [("hour", hour)]


def test_each_hour_of_a_batch_is_marked_for_each_of_its_targets(store):
    with store.begin() as conn:
        publish(conn, [make_published() for _ in range(2)], NOON)
    one_, two = claim_due(store)
    with store.begin() as conn:
        record(conn, [make_finished(one_), make_finished(two, started_at=at(3600))], at(3601))

    hour = NOON.replace(minute=0)
    assert {(row.target_id, row.start) for row in rows(store, dirty_period)} == {
        (one_.target_id, hour),
        (two.target_id, hour + timedelta(hours=1)),
    }


def test_a_large_batch_is_recorded_like_a_small_one(store):
    number = 1300
    with store.begin() as conn:
        publish(conn, [make_published() for _ in range(number)], NOON)
    claimed = claim_due(store, limit=5000)
    with store.begin() as conn:
        done = record(conn, [make_finished(item) for item in claimed], at(61))

    assert (len(claimed), done.refused, len(done.transitions)) == (number, 0, number)
    assert len(rows(store, result)) == number
    assert {row.status for row in rows(store, monitor_state)} == {"up"}


def test_a_state_that_changed_after_the_claim_is_the_one_that_counts(store):
    """The claim said "up"; a sweep made it "unknown" meanwhile. The monitor's row is locked all the same."""
    monitor = publish_one(store)
    run_probe(store, Outcome.UP)
    [claimed] = claim_due(store, at(70))
    with store.begin() as conn:
        lock_monitors(conn, [monitor.uuid])
        conn.execute(target.update().values(vote="unknown", vote_since=at(71)))
        settle(conn, {monitor.uuid: {}}, at(71), cause=Cause.SILENCE)

    with store.begin() as conn:
        done = record(conn, [make_finished(claimed)], at(72))

    assert [(item.transition.from_status, item.transition.to_status) for item in done.transitions] == [
        (Status.UNKNOWN, Status.UP),
    ]
    assert [entry[2] for entry in history(store, monitor)] == ["up", "unknown", "up"]


def test_a_monitor_is_down_when_the_quorum_of_its_locations_says_so(store):
    policy = Policy(failures=1, successes=1, interval=10.0, quorum=2)
    monitor = publish_one(store, places=("a", "b", "c"), policy=policy)
    for place in "abc":
        run_probe(store, Outcome.UP, location=place)

    run_probe(store, Outcome.DOWN, at(80), location="a")
    assert status_of(store, monitor) is Status.UP
    run_probe(store, Outcome.DOWN, at(81), location="c")
    assert status_of(store, monitor) is Status.DOWN
    run_probe(store, Outcome.UP, at(92), location="a")
    assert status_of(store, monitor) is Status.UP
    assert [entry[0] for entry in history(store, monitor)] == [1, 2, 3]
    assert one(store, transition, transition.c.seq == 2).since == at(81)


def test_settling_what_did_not_move_writes_nothing(store):
    monitor = publish_one(store)
    run_probe(store, Outcome.UP)
    with store.begin() as conn:
        assert settle(conn, {monitor.uuid: {}}, at(70), cause=Cause.PROBE) == []
        assert settle(conn, {}, at(70), cause=Cause.PROBE) == []
        assert settle(conn, {make_published().uuid: {}}, at(70), cause=Cause.PROBE) == []

    assert len(history(store, monitor)) == 1


@pytest.mark.parametrize("fields", [{"paused": True}, {"removed": "retired"}], ids=["paused", "retired"])
def test_no_vote_moves_what_is_not_watched(store, fields):
    monitor = publish_one(store, **fields)
    with store.begin() as conn:
        conn.execute(target.update().values(vote="down", vote_since=NOON))
        assert settle(conn, {monitor.uuid: {}}, at(70), cause=Cause.SILENCE) == []

    assert status_of(store, monitor) is Status.PAUSED


def test_a_monitor_can_be_put_into_a_status_once(store):
    monitor = publish_one(store)
    with store.begin() as conn:
        first = put(conn, monitor.uuid, Status.PAUSED, at(1), cause=Cause.PAUSED)
        second = put(conn, monitor.uuid, Status.PAUSED, at(2), cause=Cause.PAUSED)
        unknown = put(conn, make_published().uuid, Status.PAUSED, at(2), cause=Cause.PAUSED)

    assert (len(first), second, unknown) == (1, [], [])
    assert history(store, monitor) == [(1, "pending", "paused", "paused")]


def test_a_trouble_keeps_the_instant_at_which_it_began(store):
    for second, message in ((0, "first"), (10, "x" * 900)):
        with store.begin() as conn:
            report_trouble(conn, "no_resolver", message, at(second))
    with store.begin() as conn:
        [seen] = outbox.troubles(conn)
        clear_trouble(conn, "no_resolver")
        clear_trouble(conn, "never reported")
        left = outbox.troubles(conn)

    assert (seen.what, seen.message, seen.since, seen.seen_at) == ("no_resolver", "x" * 500, NOON, at(10))
    assert left == []
