"""A copy that was restored watches and notes, and tells nobody; unmuted, it tells of what happens from then on."""

from __future__ import annotations

import pytest
import sqlalchemy as sa

from checks import clock
from checks.status import Status
from checks.store import muting, outbox
from checks.store.engine import open_engine, reading
from monitoring.models import Channel, Incident, Notification
from monitoring.notifier import delivery, system
from monitoring.notifier.delivery import claim, queue_test
from monitoring.notifier.muted import Muted
from monitoring.notifier.mutes import Hold
from tests.monitoring.notifier.conftest import LEASE, make_channel, make_rule, statuses


@pytest.mark.django_db
def test_what_is_due_is_held_with_its_reason_and_not_sent_later(tell):
    make_rule(make_channel("json://127.0.0.1:9/hook", name="chat"))
    story = tell(name="Shop")
    story.goes(Status.DOWN)
    queue_test(Channel.objects.get())

    while claim("notifier@here", clock.utcnow(), LEASE, muted=lambda: True) is not None:
        pytest.fail("a muted installation sends nothing")
    assert set(Notification.objects.values_list("status", "note")) == {("held", Hold.MUTED.value)}
    assert claim("notifier@here", clock.utcnow(), LEASE) is None, "unmuted, it is not sent any more"

    story.goes(Status.UP)
    story.goes(Status.DOWN, ago=0)
    claimed = claim("notifier@here", clock.utcnow(), LEASE)
    assert claimed is not None
    assert claimed.message.title == "Shop is down"


@pytest.mark.django_db
def test_a_message_on_its_way_is_left_to_whoever_sends_it(tell):
    make_rule(make_channel("json://127.0.0.1:9/hook", name="chat"))
    tell(name="Shop").goes(Status.DOWN)
    first = claim("notifier@here", clock.utcnow(), LEASE)
    assert first is not None
    assert claim("notifier@there", clock.utcnow(), LEASE, muted=lambda: True) is None
    assert statuses() == {"down": "sending"}
    delivery.settle(first, "notifier@here", delivery.Answer(sent=True), clock.utcnow())
    assert statuses() == {"down": "sent"}


@pytest.mark.django_db
def test_the_mute_is_a_trouble_that_is_shown_and_opens_no_incident(sqlite_store):
    with sqlite_store.begin() as conn:
        muting.mute(conn, "a copy", clock.utcnow())
        muting.mute(conn, "another copy", clock.utcnow())
    with reading(sqlite_store) as conn:
        assert [trouble.message for trouble in outbox.troubles(conn)] == ["another copy"]
    system.follow_troubles(sqlite_store, clock.utcnow())
    assert not Incident.objects.exists()


def test_the_notifier_asks_the_store_now_and_then_and_remembers_what_it_said(sqlite_store, monkeypatch):
    muted = Muted(sqlite_store)
    assert not muted()
    with sqlite_store.begin() as conn:
        muting.mute(conn, "a copy", clock.utcnow())
    assert not muted(), "asked a moment ago"
    with monkeypatch.context() as hurried:
        hurried.setattr("monitoring.notifier.muted.REMEMBERED", 0.0)
        assert muted()
    with sqlite_store.begin() as conn:
        assert muting.unmute(conn)
        assert not muting.unmute(conn)
    assert not muted(), "what becomes due from now on is not held"


@pytest.mark.django_db
def test_a_message_that_became_due_after_the_mute_ended_is_not_held(tell):
    make_rule(make_channel("json://127.0.0.1:9/hook", name="chat"))
    story, silent = tell(name="Shop"), [True]
    assert claim("notifier@here", clock.utcnow(), LEASE, muted=lambda: silent[0]) is None
    silent[0] = False
    story.goes(Status.DOWN)
    assert claim("notifier@here", clock.utcnow(), LEASE, muted=lambda: silent[0]) is not None


def test_a_store_that_is_away_says_what_it_said_last_and_must_have_spoken_once(tmp_path, sqlite_store, monkeypatch):
    monkeypatch.setattr("monitoring.notifier.muted.REMEMBERED", 0.0)
    with sqlite_store.begin() as conn:
        muting.mute(conn, "a copy", clock.utcnow())
    muted = Muted(sqlite_store)
    assert muted()
    with sqlite_store.begin() as conn:
        conn.exec_driver_sql("DROP TABLE trouble")
    assert muted()
    silent = open_engine(f"sqlite:///{tmp_path}/none.sqlite3")
    with pytest.raises(sa.exc.OperationalError):
        Muted(silent)()
    silent.dispose()
