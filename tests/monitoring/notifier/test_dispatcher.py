from __future__ import annotations

import sqlite3
from contextlib import closing

import pytest
from django.db import InternalError, OperationalError

from checks import clock
from checks.status import Cause, Status
from checks.store import writer
from checks.store.publishing import publish
from monitoring.models import ConsumedTransition, Incident, IncidentUpdate, Notification
from monitoring.notifier import dispatch, incidents, routing
from monitoring.notifier.dispatch import Dispatcher
from tests.factories import make_published
from tests.monitoring.notifier.conftest import LEASE, make_channel, make_monitor, make_rule, statuses

pytestmark = pytest.mark.django_db
HOOK = "json://127.0.0.1:9/hook"


@pytest.fixture
def dispatcher(sqlite_store):
    return Dispatcher(sqlite_store, "notifier@here", LEASE, queued=lambda: None)


@pytest.fixture
def go(sqlite_store):
    """Puts a monitor of the store into a status."""
    monitor = make_monitor(name="Shop")
    now = clock.utcnow()
    with sqlite_store.begin() as conn:
        publish(conn, [make_published(uuid=monitor.pk, slug=monitor.slug, name=monitor.name)], now)

    def put(status):
        with sqlite_store.begin() as conn:
            writer.put(conn, monitor.pk, status, clock.utcnow(), cause=Cause.PROBE)

    return put


def test_a_dispatcher_consumes_what_waits_in_order_and_then_finds_nothing(dispatcher, go):
    for status in (Status.UP, Status.DOWN, Status.UP):
        go(status)

    assert dispatcher.run() == 3
    assert dispatcher.run() == 0

    assert Incident.objects.get().resolution == "recovered"
    kinds = IncidentUpdate.objects.order_by("pk").values_list("kind", flat=True)
    assert list(kinds) == ["opened", "resolved"]


def test_a_transition_whose_consumption_the_store_was_not_told_of_is_repeated_without_effect(
    dispatcher, go, monkeypatch
):
    make_rule(make_channel(HOOK))
    go(Status.DOWN)
    with monkeypatch.context() as crash:
        crash.setattr(dispatch.outbox, "mark_consumed", lambda *_: 1 / 0)
        with pytest.raises(ZeroDivisionError):
            dispatcher.run()

    assert dispatcher.run() == 1

    assert Incident.objects.count() == Notification.objects.count() == 1


def test_a_transition_that_raises_three_times_opens_the_incident_and_says_that_nobody_was_told(
    dispatcher, go, monkeypatch
):
    make_rule(make_channel(HOOK))
    go(Status.DOWN)
    with monkeypatch.context() as poisoned:
        poisoned.setattr(routing, "matching_rules", lambda *_: 1 / 0)
        assert [dispatcher.run() for _ in range(3)] == [0, 0, 1]

    incident = Incident.objects.get(cause="down")
    assert incident.resolved_at is None
    system = Incident.objects.get(cause__startswith="system:dispatch:")
    assert "ZeroDivisionError while shop-1 became down" in system.summary
    assert statuses() == {"system": "pending"}

    go(Status.UP)
    assert dispatcher.run() == 1
    system.refresh_from_db()
    assert system.resolution == "system"


def test_a_poisoned_monitor_does_not_hold_up_the_others(dispatcher, go, sqlite_store, monkeypatch):
    other = make_monitor(name="Mail")
    with sqlite_store.begin() as conn:
        publish(conn, [make_published(uuid=other.pk, slug=other.slug, name=other.name)], clock.utcnow())
    go(Status.DOWN)
    with sqlite_store.begin() as conn:
        writer.put(conn, other.pk, Status.DOWN, clock.utcnow(), cause=Cause.PROBE)
    effect = incidents.take_effect
    monkeypatch.setattr(incidents, "take_effect", lambda t, *rest: 1 / 0 if t.name == "Shop" else effect(t, *rest))

    assert dispatcher.run() == 1

    assert Incident.objects.get().monitor_name == "Mail"


def test_a_monitor_that_even_the_minimal_path_raises_for_does_not_hold_up_the_others(
    dispatcher, go, sqlite_store, monkeypatch
):
    other = make_monitor(name="Mail")
    with sqlite_store.begin() as conn:
        publish(conn, [make_published(uuid=other.pk, slug=other.slug, name=other.name)], clock.utcnow())
    go(Status.DOWN)
    with sqlite_store.begin() as conn:
        writer.put(conn, other.pk, Status.DOWN, clock.utcnow(), cause=Cause.PROBE)
    drain = dispatcher._drain
    monkeypatch.setattr(dispatcher, "_drain", lambda store, uuid: drain(store, uuid) if uuid == other.pk else 1 / 0)

    with pytest.raises(ZeroDivisionError):
        dispatcher.run()

    assert Incident.objects.get().monitor_name == "Mail"


@pytest.mark.parametrize("error", [OperationalError, InternalError])
def test_an_outage_of_the_database_is_nobodys_poison(dispatcher, go, monkeypatch, error):
    """Nor is one that only reads for now."""
    go(Status.DOWN)

    def away(*_):
        raise error("the database is away")

    with monkeypatch.context() as outage:
        outage.setattr(incidents, "take_effect", away)
        for _ in range(5):
            with pytest.raises(error):
                dispatcher.run()

    assert dispatcher.run() == 1
    assert not Incident.objects.filter(cause__startswith="system:").exists()


def test_a_dispatcher_that_is_told_to_stop_leaves_the_rest_to_others(dispatcher, go, sqlite_store):
    other = make_monitor(name="Mail")
    with sqlite_store.begin() as conn:
        publish(conn, [make_published(uuid=other.pk, slug=other.slug, name=other.name)], clock.utcnow())
    go(Status.DOWN)
    with sqlite_store.begin() as conn:
        writer.put(conn, other.pk, Status.DOWN, clock.utcnow(), cause=Cause.PROBE)

    answers = iter([True, True, False])
    assert dispatcher.run(lambda: next(answers, False)) == 1
    assert dispatcher.run() == 1


def test_a_configuration_older_than_the_store_goes_on_from_where_the_store_is(dispatcher, go, caplog):
    make_rule(make_channel(HOOK))
    go(Status.UP)
    go(Status.DOWN)
    dispatcher.run()
    Incident.objects.all().delete()
    ConsumedTransition.objects.all().delete()
    go(Status.UP)
    go(Status.DOWN)

    assert dispatcher.run() == 2

    assert "the configuration is older than the store" in caplog.text
    assert Incident.objects.get().resolved_at is None
    assert statuses() == {"down": "pending"}


def copy(source, target):
    """The whole of one SQLite file into another."""
    with closing(sqlite3.connect(source)) as one, closing(sqlite3.connect(target)) as other:
        one.backup(other)


@pytest.mark.parametrize("poisoned", [False, True])
def test_a_store_restored_from_an_older_copy_goes_on_although_its_numbers_come_again(
    dispatcher, go, tmp_path, monkeypatch, poisoned
):
    file = dispatcher._engine.url.database
    make_rule(make_channel(HOOK))
    go(Status.UP)
    dispatcher.run()
    copy(file, tmp_path / "older.sqlite3")
    for status in (Status.DOWN, Status.UP):
        go(status)
    dispatcher.run()
    Notification.objects.all().delete()
    copy(tmp_path / "older.sqlite3", file)

    go(Status.DOWN)
    if poisoned:
        monkeypatch.setattr(routing, "matching_rules", lambda *_: 1 / 0)
    assert sum(dispatcher.run() for _ in range(3)) == 1

    assert Incident.objects.filter(cause="down", resolved_at=None).count() == 1
    assert statuses() == {"system" if poisoned else "down": "pending"}
    go(Status.UP)
    assert dispatcher.run() == 1
    assert not Incident.objects.filter(resolved_at=None).exists()
