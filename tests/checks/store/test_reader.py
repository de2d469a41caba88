from uuid import uuid4

from checks.result import Outcome, Phases
from checks.status import Policy, Status
from checks.store.engine import reading
from checks.store.publishing import publish
from checks.store.reader import overview, recent_results, transitions
from checks.store.schema import target
from tests.checks.store.acts import LATER, publish_one, run_probe
from tests.factories import NOON, at, make_published


def read(engine, function, *args, **options):
    with reading(engine) as conn:
        return function(conn, *args, **options)


def test_an_overview_says_how_each_monitor_stands(store):
    shop, mail = publish_one(store, name="Shop"), publish_one(store, name="Mail", places=("eu",))
    run_probe(store, Outcome.UP)
    run_probe(store, Outcome.DOWN, at(70), location="eu")

    one, two = read(store, overview, at(80))

    assert (one.uuid, one.name, one.status, one.since) == (mail.uuid, "Mail", Status.DOWN, at(70))
    assert (one.last_failure["reason"], one.last_latency_ns, one.locations) == ("refused", None, ("eu",))
    assert (two.uuid, two.slug, two.kind) == (shop.uuid, shop.slug, shop.kind)
    assert (two.status, two.last_result_at, two.last_latency_ns) == (Status.UP, LATER, 25_000_000)
    assert (two.last_failure, two.paused, two.removed, two.deadline_at) == (None, False, None, None)


def test_an_overview_of_several_locations_shows_the_latest_result_and_what_fails(store):
    policy = Policy(failures=1, successes=1, interval=10.0, quorum=2)
    publish_one(store, places=("a", "b"), policy=policy)
    run_probe(store, Outcome.DOWN, at(60), location="a")
    run_probe(store, Outcome.UP, at(61), location="b", latency_ns=7_000_000)

    [view] = read(store, overview, at(80))

    assert (view.status, view.last_result_at, view.last_latency_ns) == (Status.UP, at(61), 7_000_000)
    assert view.last_failure["reason"] == "refused"
    assert view.locations == ("a", "b")


def test_a_monitor_that_was_never_probed_is_pending(store):
    publish_one(store)

    [view] = read(store, overview, NOON)

    assert (view.status, view.since, view.last_result_at, view.last_failure) == (Status.PENDING, NOON, None, None)


def test_a_heartbeat_shows_its_last_ping_and_its_deadline(store):
    monitor = publish_one(store, source="pinged")
    with store.begin() as conn:
        conn.execute(target.update().values(last_ping_at=at(10), deadline_at=at(100)))

    [view] = read(store, overview, at(20), monitor=monitor.uuid)

    assert (view.last_ping_at, view.deadline_at) == (at(10), at(100))


def test_removed_monitors_are_shown_only_where_asked_for(store):
    kept, gone = publish_one(store, name="A"), publish_one(store, name="B")
    with store.begin() as conn:
        publish(conn, [make_published(uuid=gone.uuid, name="B", revision=2, removed="retired")], at(10))

    assert [view.uuid for view in read(store, overview, at(20))] == [kept.uuid]
    everything = read(store, overview, at(20), include_removed=True)
    assert [(view.uuid, view.removed) for view in everything] == [(kept.uuid, None), (gone.uuid, "retired")]
    assert read(store, overview, at(20), monitor=gone.uuid) == []


def test_the_last_results_come_newest_first(store):
    monitor = publish_one(store, places=("a", "b"))
    for second, place, outcome in ((60, "a", Outcome.UP), (61, "b", Outcome.DOWN), (75, "a", Outcome.DEGRADED)):
        run_probe(store, outcome, at(second), location=place, phases=Phases(dns=1, tls=2), evidence={"at": second})

    found = read(store, recent_results, monitor.uuid, 2)

    assert [(view.started_at, view.location, view.outcome) for view in found] == [
        (at(75), "a", Outcome.DEGRADED),
        (at(61), "b", Outcome.DOWN),
    ]
    assert found[0].phases == {"dns": 1, "tls": 2}
    assert found[1].failure["message"] == "the connection was refused"
    assert found[1].evidence == {"at": 61}
    assert read(store, recent_results, uuid4(), 5) == []


def test_the_transitions_of_a_window_come_in_order(store):
    monitor = publish_one(store)
    for second, outcome in ((60, Outcome.UP), (70, Outcome.DOWN), (80, Outcome.UP)):
        run_probe(store, outcome, at(second))

    found = read(store, transitions, monitor.uuid, at(65), at(81))

    assert [(step.seq, step.to_status, step.slug) for step in found] == [
        (2, Status.DOWN, monitor.slug),
        (3, Status.UP, monitor.slug),
    ]
    assert read(store, transitions, monitor.uuid, at(65), at(70)) == []
