from datetime import timedelta

import sqlalchemy as sa

from checks.status import Cause, Status
from checks.store.claims import claim
from checks.store.publishing import publish
from checks.store.schema import dirty_period, monitor_state, result, target, transition
from checks.store.writer import record
from tests.factories import NOON, at, make_finished, make_published

LEASE = timedelta(seconds=30)


def claim_all(conn, now=None, **options):
    now = now or at(60)
    given = {"worker": "w1", "location": "local", "horizon": timedelta(seconds=1), "limit": 100, "lease": LEASE}
    return claim(conn, now=now, **{**given, **options})


def rows(conn, table):
    return conn.execute(sa.select(table)).all()


def test_a_result_moves_its_target_and_its_monitor_and_is_kept(store):
    monitor = make_published()
    with store.begin() as conn:
        assert publish(conn, [monitor], NOON) == 1
        [claimed] = claim_all(conn)
        done = record(conn, [make_finished(claimed, skipped=2)], at(61))

    [written] = done.transitions
    assert (done.refused, written.monitor, written.slug) == (0, monitor.uuid, monitor.slug)
    assert (written.transition.from_status, written.transition.to_status) == (Status.PENDING, Status.UP)
    assert written.transition.since == claimed.due_at
    with store.begin() as conn:
        [kept] = rows(conn, result)
        [now] = rows(conn, target)
        [state] = rows(conn, monitor_state)
        [stored] = rows(conn, transition)
        [dirty] = rows(conn, dirty_period)
    assert (kept.outcome, kept.latency_ns, kept.connect_ns, kept.dns_ns) == ("up", 25_000_000, 5_000_000, None)
    assert (now.vote, now.leased_until, now.skipped_slots, now.last_latency_ns) == ("up", None, 2, 25_000_000)
    assert now.next_due_at == claimed.due_at + timedelta(seconds=10)
    assert (state.status, state.seq, state.since) == ("up", 1, claimed.due_at)
    assert (stored.seq, stored.cause, stored.to_status) == (1, Cause.PROBE, "up")
    assert stored.evidence["location"] == "local"
    assert dirty.start == at(60).replace(minute=0)
