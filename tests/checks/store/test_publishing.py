from dataclasses import replace
from datetime import timedelta
from uuid import uuid4

import pytest
import sqlalchemy as sa

from checks.result import Outcome
from checks.status import Policy, Status
from checks.store import publishing
from checks.store.engine import reading
from checks.store.outbox import claim_monitors, mark_consumed, next_transition
from checks.store.publishing import forget_deleted, publish, revisions
from checks.store.schema import monitor_state, ping_code, result, target, transition
from checks.store.writer import record
from tests.checks.store.acts import (
    LATER,
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


def republish(engine, monitor, now=LATER, **changes):
    """Publish a change under the next revision."""
    changed = replace(monitor, **{"revision": monitor.revision + 1, **changes})
    with engine.begin() as conn:
        assert publish(conn, [changed], now) == 1
    return changed


def test_a_new_monitor_is_pending_with_a_target_in_each_of_its_places(store):
    monitor = publish_one(store, places=("a", "b"), policy=Policy(quorum=2), interval=10.0)

    state = one(store, monitor_state)
    assert (state.monitor, state.slug, state.name, state.kind) == (
        monitor.uuid,
        monitor.slug,
        monitor.name,
        monitor.kind,
    )
    assert (state.status, state.since, state.seq, state.revision, state.quorum) == ("pending", NOON, 0, 1, 2)
    for place in ("a", "b"):
        row = target_of(store, monitor, place)
        assert (row.spec, row.source, row.active, row.revision) == (monitor.spec, "probed", True, 1)
        assert NOON <= row.next_due_at < at(10)
    assert history(store, monitor) == []


def test_the_targets_of_many_monitors_are_locked_in_the_order_in_which_recorders_lock_them(store, monkeypatch):
    monitors = [make_published() for _ in range(7)]
    for monitor in monitors:
        with store.begin() as conn:
            publish(conn, [monitor], NOON)
    locked, lock = [], publishing.lock_targets
    monkeypatch.setattr(publishing, "CHUNK", 2)
    monkeypatch.setattr(publishing, "lock_targets", lambda *args: locked.append(rows_ := lock(*args)) or rows_)

    with store.begin() as conn:
        publish(conn, [replace(monitor, revision=2, interval=7.0) for monitor in monitors], LATER)

    ids = [row.id for found in locked for row in found]
    assert len(ids) == 7
    assert ids == sorted(ids)


def test_a_target_never_gets_the_number_of_one_that_is_gone(store):
    """Results and roll-ups stay under that number, and workers remember its specification."""
    gone = publish_one(store)
    number = target_of(store, gone).id
    republish(store, gone, removed="deleted", places=(), spec={})

    assert target_of(store, publish_one(store)).id > number


def test_the_first_probes_of_many_monitors_are_spread(store):
    with store.begin() as conn:
        publish(conn, [make_published(interval=60.0) for _ in range(600)], NOON)

    seconds = sorted((row.next_due_at - NOON).total_seconds() for row in rows(store, target))
    busiest = max(sum(1 for s in seconds if begin <= s < begin + 1) for begin in range(60))
    assert len(seconds) == 600
    assert seconds[-1] < 60
    assert busiest < 30  # ten a second on average


def test_an_older_publish_that_arrives_later_changes_nothing(store):
    monitor = publish_one(store, revision=5, name="Now")
    before = rows(store, target), rows(store, monitor_state)
    with store.begin() as conn:
        old = replace(monitor, revision=4, name="Before", paused=True, places=("mars",), ping_codes=(uuid4(),))
        assert publish(conn, [old, replace(monitor, name="Same revision")], LATER) == 0
        assert publish(conn, [], LATER) == 0

    assert (rows(store, target), rows(store, monitor_state)) == before
    assert rows(store, ping_code) == []


def test_of_one_monitor_twice_in_a_batch_the_higher_revision_counts(store):
    monitor = make_published(revision=1, name="Old")
    with store.begin() as conn:
        assert publish(conn, [replace(monitor, revision=3, name="New"), monitor], NOON) == 1

    assert (one(store, monitor_state).name, one(store, target).revision) == ("New", 3)


def test_a_changed_specification_refuses_the_probe_that_runs(store):
    monitor = publish_one(store)
    [claimed] = claim_due(store)
    changed = republish(store, monitor, spec={**monitor.spec, "url": "http://127.0.0.1:1/"})

    with store.begin() as conn:
        assert record(conn, [make_finished(claimed, Outcome.DOWN)], at(61)).refused == 1

    row = target_of(store, monitor)
    assert (row.spec, row.leased_by, row.next_due_at) == (changed.spec, None, claimed.due_at)
    [again] = claim_due(store)
    assert (again.revision, again.fence) == (2, claimed.fence + 2)


def test_a_changed_specification_counts_failures_anew_and_keeps_the_status(store):
    monitor = publish_one(store)
    run_probe(store, Outcome.UP)
    run_probe(store, Outcome.DOWN, at(70), policy=TWICE)

    monitor = republish(store, monitor, at(75), spec={**monitor.spec, "timeout": "1s"})
    row = target_of(store, monitor)
    assert (row.vote, row.serving_run, row.healthy_run, row.last_outcome) == ("up", 0, 0, None)

    run_probe(store, Outcome.DOWN, at(80), policy=TWICE)
    assert status_of(store, monitor) is Status.UP
    run_probe(store, Outcome.DOWN, at(90), policy=TWICE)
    assert status_of(store, monitor) is Status.DOWN


def test_an_open_incident_survives_a_changed_specification(store):
    monitor = publish_one(store)
    run_probe(store, Outcome.DOWN)

    republish(store, monitor, spec={**monitor.spec, "description": "x"})

    assert history(store, monitor) == [(1, "pending", "down", "probe")]
    assert status_of(store, monitor) is Status.DOWN


def test_what_is_published_unchanged_disturbs_no_probe(store):
    monitor = publish_one(store)
    [claimed] = claim_due(store)
    republish(store, monitor)

    with store.begin() as conn:
        done = record(conn, [make_finished(claimed)], at(61))

    assert (done.refused, len(done.transitions), target_of(store, monitor).revision) == (0, 1, 2)


def test_the_phase_of_the_due_times_survives_a_change(store):
    monitor = publish_one(store, interval=60.0)
    due = target_of(store, monitor).next_due_at

    republish(store, monitor, NOON, spec={**monitor.spec, "timeout": "2s"})
    assert target_of(store, monitor).next_due_at == due


def test_a_shorter_interval_takes_effect_at_once(store):
    monitor = publish_one(store, interval=86400.0)
    run_probe(store, Outcome.UP, next_due_at=at(60 + 86400))

    republish(store, monitor, interval=10.0)

    assert LATER <= target_of(store, monitor).next_due_at <= at(70)


@pytest.mark.parametrize(
    ("change", "cause"),
    [
        ({"paused": True}, "paused"),
        ({"removed": "retired"}, "retired"),
        ({"removed": "deleted"}, "deleted"),
        ({"paused": True, "removed": "retired"}, "retired"),
    ],
)
def test_what_is_no_longer_watched_is_paused_with_its_cause(store, change, cause):
    monitor = publish_one(store)
    run_probe(store, Outcome.DOWN)
    [claimed] = claim_due(store, at(70))

    republish(store, monitor, at(75), **change)

    assert history(store, monitor)[1:] == [(2, "down", "paused", cause)]
    row, state = target_of(store, monitor), one(store, monitor_state)
    assert (row.active, row.next_due_at, row.leased_by) == (False, None, None)
    assert state.removed_at == (at(75) if "removed" in change else None)
    with store.begin() as conn:  # the probe that ran meanwhile ends
        done = record(conn, [make_finished(claimed)], at(80))
    assert (done.refused, status_of(store, monitor)) == (1, Status.PAUSED)


def test_what_is_resumed_begins_from_nothing(store):
    monitor = publish_one(store)
    run_probe(store, Outcome.DOWN)
    paused = republish(store, monitor, at(70), paused=True)
    republish(store, paused, at(80), paused=False)

    assert history(store, monitor)[1:] == [(2, "down", "paused", "paused"), (3, "paused", "pending", "resumed")]
    row = target_of(store, monitor)
    assert (row.active, row.vote, row.last_result_at, row.serving_run) == (True, "pending", None, 0)
    assert at(80) <= row.next_due_at < at(90)
    run_probe(store, Outcome.DOWN, at(95), policy=TWICE)
    assert status_of(store, monitor) is Status.PENDING


def test_what_was_retired_comes_back_under_a_higher_revision(store):
    monitor = publish_one(store)
    run_probe(store, Outcome.UP)
    retired = republish(store, monitor, at(70), removed="retired")
    with reading(store) as conn:
        assert revisions(conn) == {monitor.uuid: 2}
    republish(store, retired, at(80), removed=None)

    assert [entry[2:] for entry in history(store, monitor)] == [
        ("up", "probe"),
        ("paused", "retired"),
        ("pending", "resumed"),
    ]
    assert one(store, monitor_state).removed_at is None
    assert len(claim_due(store, at(95))) == 1


def test_what_comes_back_paused_stays_paused(store):
    monitor = publish_one(store)
    retired = republish(store, monitor, at(70), removed="retired")
    back = republish(store, retired, at(80), removed=None, paused=True)
    assert history(store, monitor) == [(1, "pending", "paused", "retired")]

    republish(store, back, at(90), paused=False)
    assert history(store, monitor)[1:] == [(2, "paused", "pending", "resumed")]


def test_deleting_what_was_retired_keeps_the_day_of_its_removal_honest(store):
    monitor = publish_one(store)
    retired = republish(store, monitor, at(70), removed="retired")
    republish(store, retired, at(80), removed="deleted")

    assert one(store, monitor_state).removed_at == at(80)
    assert len(history(store, monitor)) == 1


@pytest.mark.parametrize("fields", [{"paused": True}, {"removed": "deleted"}, {"removed": "retired"}])
def test_what_was_never_watched_here_is_paused_without_a_transition(store, fields):
    monitor = publish_one(store, **fields)

    assert (status_of(store, monitor), history(store, monitor)) == (Status.PAUSED, [])


def test_a_location_that_leaves_takes_its_vote_with_it(store):
    policy = Policy(failures=1, successes=1, interval=10.0, quorum=2)
    monitor = publish_one(store, places=("a", "b", "c"), policy=policy)
    for place, outcome in (("a", Outcome.DOWN), ("b", Outcome.UP), ("c", Outcome.UP)):
        run_probe(store, outcome, location=place)
    assert status_of(store, monitor) is Status.UP

    lower = replace(policy, quorum=1)
    changed = republish(store, monitor, at(70), places=("a", "d"), policy=lower)

    assert history(store, monitor)[-1][1:] == ("up", "down", "changed")
    assert {row.location: row.vote for row in rows(store, target)} == {"a": "down", "d": "pending"}
    assert changed.policy.quorum == one(store, monitor_state).quorum


def test_a_lower_quorum_alone_settles_the_status(store):
    policy = Policy(failures=1, successes=1, interval=10.0, quorum=2)
    monitor = publish_one(store, places=("a", "b"), policy=policy)
    run_probe(store, Outcome.UP, location="a")
    run_probe(store, Outcome.DOWN, location="b")
    assert status_of(store, monitor) is Status.UP

    republish(store, monitor, at(70), policy=replace(policy, quorum=1))

    assert status_of(store, monitor) is Status.DOWN


def test_the_ping_codes_are_those_published_last(store):
    old, kept, new = uuid4(), uuid4(), uuid4()
    monitor = publish_one(store, source="pinged", ping_codes=(old, kept))
    other = publish_one(store, source="pinged", ping_codes=(uuid4(),))

    monitor = republish(store, monitor, ping_codes=(kept, new))
    codes = {row.code: row.monitor for row in rows(store, ping_code)}
    assert codes == {kept: monitor.uuid, new: monitor.uuid, other.ping_codes[0]: other.uuid}

    republish(store, monitor, removed="retired")
    assert [row.code for row in rows(store, ping_code)] == list(other.ping_codes)


def test_a_code_that_moves_to_another_monitor_follows(store):
    code = uuid4()
    publish_one(store, source="pinged", ping_codes=(code,))
    second = publish_one(store, source="pinged", ping_codes=(code,))

    assert [(row.code, row.monitor) for row in rows(store, ping_code)] == [(code, second.uuid)]


def test_a_paused_heartbeat_has_no_deadline_and_a_changed_one_is_judged_anew(store):
    monitor = publish_one(store, source="pinged")
    known = {"deadline_at": at(500), "judge_at": at(400), "last_ping_at": at(10), "counted_from": at(10), "vote": "up"}
    with store.begin() as conn:
        conn.execute(target.update().values(known))

    same = republish(store, monitor, at(20))
    assert (target_of(store, monitor).deadline_at, target_of(store, monitor).judge_at) == (at(500), at(400))
    changed = republish(store, same, at(30), spec={"kind": "heartbeat", "grace": "1m"})
    assert target_of(store, monitor).judge_at == at(30)
    paused = republish(store, changed, at(40), paused=True)
    assert (target_of(store, monitor).deadline_at, target_of(store, monitor).judge_at) == (None, None)
    republish(store, paused, at(50), paused=False)
    row = target_of(store, monitor)
    assert (row.deadline_at, row.vote, row.next_due_at) == (None, "pending", None)
    assert (row.counted_from, row.judge_at) == (at(50), at(50)), "its silence counts from now on"


def test_a_heartbeat_that_was_never_heard_of_is_not_waited_for_when_it_is_resumed(store):
    monitor = publish_one(store, source="pinged")
    paused = republish(store, monitor, at(10), paused=True)
    republish(store, paused, at(20), paused=False)
    row = target_of(store, monitor)
    assert (row.counted_from, row.judge_at) == (None, None)


def test_thousands_are_published_at_once(store):
    monitors = [make_published(ping_codes=(uuid4(),)) for _ in range(1300)]
    with store.begin() as conn:
        assert publish(conn, monitors, NOON) == 1300
    with store.begin() as conn:
        changed = [replace(monitor, revision=2, paused=True) for monitor in monitors]
        assert publish(conn, changed, at(10)) == 1300

    with reading(store) as conn:
        assert set(revisions(conn).values()) == {2}
    assert {row.status for row in rows(store, monitor_state)} == {"paused"}
    assert len(rows(store, transition)) == len(rows(store, ping_code)) == 1300


def test_what_a_deleted_monitor_was_asked_is_forgotten_after_thirty_days(store):
    monitor = publish_one(store, ping_codes=(uuid4(),))
    kept = publish_one(store)
    run_probe_of(store, monitor)
    republish(store, monitor, at(70), removed="deleted")
    republish(store, kept, at(70), removed="retired")
    consume_all(store)

    with store.begin() as conn:
        assert forget_deleted(conn, at(70) + timedelta(days=30) - timedelta(seconds=1)) == 0
        assert publish(conn, [monitor], at(80)) == 0  # an older publish does not bring it back
        assert forget_deleted(conn, at(70) + timedelta(days=30)) == 1
        assert forget_deleted(conn, at(70) + timedelta(days=3000)) == 0

    with reading(store) as conn:
        assert revisions(conn) == {kept.uuid: 2, monitor.uuid: 2}
    with store.begin() as conn:
        assert publish(conn, [monitor], at(80)) == 0  # nor does it ever
    assert [row.monitor for row in rows(store, target)] == [kept.uuid]
    assert rows(store, ping_code) == []
    assert len(history(store, monitor)) == 2  # transitions are never deleted


def test_a_deletion_that_no_notifier_has_seen_is_not_forgotten(store):
    monitor = publish_one(store)
    republish(store, monitor, at(70), removed="deleted")

    with store.begin() as conn:
        assert forget_deleted(conn, at(70) + timedelta(days=31)) == 0
    consume_all(store)
    with store.begin() as conn:
        assert forget_deleted(conn, at(70) + timedelta(days=31)) == 1


def run_probe_of(engine, monitor):
    claimed = next(item for item in claim_due(engine) if item.monitor == monitor.uuid)
    with engine.begin() as conn:
        record(conn, [make_finished(claimed)], at(61))
    assert len(rows(engine, result)) == 1


def consume_all(engine):
    with engine.begin() as conn:
        for uuid in claim_monitors(conn, notifier="n", now=at(90), lease=timedelta(seconds=30), limit=100):
            while (found := next_transition(conn, uuid)) is not None:
                mark_consumed(conn, found, at(91))
        assert conn.execute(sa.select(transition).where(transition.c.consumed_at.is_(None))).all() == []
