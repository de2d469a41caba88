"""Incidents whose end the store never wrote down: it was restored, or replaced."""

from __future__ import annotations

from datetime import datetime, timedelta
from typing import Any

import pytest
import sqlalchemy as sa

from checks import clock
from checks.status import Cause, Status
from checks.store import outbox, writer
from checks.store.engine import instance_uuid
from checks.store.publishing import publish
from monitoring.models import Incident, Monitor, Notification
from monitoring.notifier import dispatch, loose_ends
from tests.factories import make_published
from tests.monitoring.notifier.conftest import Story, make_channel, make_monitor, make_rule, statuses

pytestmark = pytest.mark.django_db

HOOK = "json://127.0.0.1:9/hook"


class World:
    """A monitor whose incident was opened an hour ago, beside a store of its own that knows nothing of that."""

    def __init__(self, engine: sa.Engine) -> None:
        self.engine = engine
        self.now = clock.utcnow()
        with engine.begin() as conn:
            self.story = Story(instance_uuid(conn), make_monitor(name="Shop"))
        make_rule(make_channel(HOOK))
        self.story.goes(Status.DOWN, at=self.ago(hours=1), since=self.ago(hours=1))

    def ago(self, **time: float) -> datetime:
        return self.now - timedelta(**time)

    def publish(self, at: datetime, **fields: Any) -> None:
        monitor = self.story.monitor
        with self.engine.begin() as conn:
            publish(conn, [make_published(uuid=monitor.pk, slug=monitor.slug, name=monitor.name, **fields)], at)

    def put(self, status: Status, at: datetime, *, consumed: bool = True) -> None:
        with self.engine.begin() as conn:
            writer.put(conn, self.story.monitor.pk, status, at, cause=Cause.PROBE)
            found = outbox.next_transition(conn, self.story.monitor.pk)
            if consumed and found is not None:
                outbox.mark_consumed(conn, found, at)

    def tie_up(self) -> int:
        return loose_ends.tie_up(self.engine, self.now)

    @property
    def incident(self) -> Incident:
        return Incident.objects.get()


@pytest.fixture
def world(store: sa.Engine, db: None) -> World:
    return World(store)


@pytest.mark.parametrize("status", [Status.UP, Status.DEGRADED])
def test_a_monitor_that_serves_by_a_store_that_never_saw_it_down_has_no_open_incident(world, status):
    world.publish(world.ago(minutes=40))
    world.put(status, world.ago(minutes=30))

    assert world.tie_up() == 1

    assert (world.incident.resolution, world.incident.resolved_at) == ("recovered", world.ago(minutes=30))
    assert statuses() == {"down": "pending", "resolved": "pending"}
    assert world.tie_up() == 0
    assert Notification.objects.count() == 2


def test_what_a_restored_store_says_was_so_before_the_incident_ends_it_now(world):
    world.publish(world.ago(days=2))
    world.put(Status.UP, world.ago(days=1))
    world.tie_up()
    assert world.incident.resolved_at == world.now
    assert "It is up again, after 1 h" in world.incident.updates.get(kind="resolved").text


@pytest.mark.parametrize("status", [Status.DOWN, Status.UNKNOWN, Status.PENDING])
def test_an_incident_stays_open_while_nothing_says_that_it_ended(world, status):
    world.publish(world.ago(minutes=40))
    world.put(status, world.ago(minutes=30))
    assert world.tie_up() == 0


@pytest.mark.parametrize(("minutes", "consumed"), [(30, False), (1, True)])
def test_what_came_to_be_so_just_now_or_waits_for_the_dispatch_is_left_to_it(world, minutes, consumed):
    world.publish(world.ago(minutes=40))
    world.put(Status.UP, world.ago(minutes=minutes), consumed=consumed)
    assert world.tie_up() == 0


def test_a_monitor_that_went_down_while_we_looked_keeps_its_incident(world, monkeypatch):
    world.publish(world.ago(minutes=40))
    world.put(Status.UP, world.ago(minutes=30))
    looked = outbox.standings

    def meanwhile(conn, monitors):
        found = looked(conn, monitors)
        dispatch.consume(world.story.transition(Status.DOWN), world.story.store, world.now, after_gap=True)
        return found

    monkeypatch.setattr(outbox, "standings", meanwhile)
    assert world.tie_up() == 0
    assert world.incident.resolved_at is None


@pytest.mark.parametrize(
    ("fields", "resolution"),
    [
        ({"removed": "retired"}, "retired"),
        ({"removed": "deleted", "places": ()}, "deleted"),
        ({"paused": True}, "paused"),
    ],
)
def test_a_monitor_that_a_new_store_was_first_told_of_as_put_away_has_no_open_incident(world, fields, resolution):
    world.publish(world.ago(minutes=30), **fields)

    assert world.tie_up() == 1

    assert world.incident.resolution == resolution
    [row] = Notification.objects.all()
    assert (row.status, row.note) == ("held", f"withdrawn: the monitor was {resolution}")


def test_a_monitor_that_neither_side_knows_any_more_has_no_open_incident(world):
    assert world.tie_up() == 0, "it will be published"
    Monitor.objects.all().delete()
    assert world.tie_up() == 1
    assert (world.incident.resolution, world.incident.resolved_at) == ("deleted", world.now)
