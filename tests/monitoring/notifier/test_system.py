from __future__ import annotations

from datetime import timedelta

import pytest

from checks import clock
from checks.status import Cause, Status
from checks.store.troubles import clear_trouble, report_trouble
from monitoring.models import AlertRule, Incident, Notification
from monitoring.notifier import reminders, system
from tests.monitoring.notifier.conftest import make_channel, make_rule

pytestmark = pytest.mark.django_db

HOOK = "json://127.0.0.1:9/hook"


def told() -> list[tuple[str, str]]:
    return list(Notification.objects.order_by("created_at", "key").values_list("event", "channel_name"))


def test_a_trouble_of_ours_is_an_incident_from_its_beginning_to_its_end(sqlite_store):
    make_channel(HOOK, name="ops", fallback=True)
    make_rule(make_channel(HOOK, name="chat"))
    now = clock.utcnow()
    with sqlite_store.begin() as conn:
        report_trouble(conn, "no_resolver", "the resolver of eu-west is silent", now)

    for _ in range(2):
        system.follow_troubles(sqlite_store, now + timedelta(seconds=5))
    incident = Incident.objects.get()
    assert (incident.cause, incident.opened_at, incident.is_system) == ("system:no_resolver", now, True)
    assert told() == [("system", "ops")]

    with sqlite_store.begin() as conn:
        clear_trouble(conn, "no_resolver")
    system.follow_troubles(sqlite_store, now + timedelta(seconds=9))
    incident.refresh_from_db()
    assert (incident.resolved_at, incident.resolution) == (now + timedelta(seconds=9), "system")
    assert told() == [("system", "ops"), ("resolved", "ops")]


def test_a_trouble_that_nobody_reports_any_more_is_over_after_a_minute(sqlite_store):
    now = clock.utcnow()
    with sqlite_store.begin() as conn:
        report_trouble(conn, "disk", "the disk is full", now)
    system.follow_troubles(sqlite_store, now + timedelta(seconds=60))
    assert Incident.objects.get().resolved_at is None
    system.follow_troubles(sqlite_store, now + timedelta(seconds=61))
    assert Incident.objects.get().resolved_at is not None


def test_without_a_fallback_the_channels_of_rules_for_all_monitors_are_told():
    make_rule(make_channel(HOOK, name="everybody"))
    make_rule(make_channel(HOOK, name="some"), match={"tags": ["prod"]})
    system.open_incident("disk", "the disk is full", clock.utcnow())
    assert told() == [("system", "everybody")]


def test_a_system_incident_that_is_open_is_not_opened_again():
    now = clock.utcnow()
    assert system.open_incident("disk", "the disk is full", now)
    assert not system.open_incident("disk", "the disk is full", now)
    assert not system.resolve_incident("other", now)


@pytest.fixture
def reminded(tell, post, receiver):
    """A monitor that is down and of which everybody was told."""
    make_rule(make_channel(receiver.url(), name="chat"), remind_seconds=600)
    story = tell(name="Shop")
    story.goes(Status.DOWN)
    post.all()
    return story


def later(story, minutes: float):
    return story.incident.detected_at + timedelta(minutes=minutes)


def test_a_reminder_comes_at_each_interval_once(reminded, post, receiver):
    for minutes in (9, 11, 12, 21):
        clock.set_offset(minutes * 60)
        reminders.queue_due(clock.utcnow())
        post.all()
    titles = [request.body["title"] for request in receiver.requests[1:]]
    assert len(titles) == 2
    assert all(title.startswith("Shop is still down, for ") for title in titles)
    numbers = [key.split(":")[2] for key in receiver.keys()[1:]]
    assert numbers == ["1", "2"]


def test_of_several_reminders_that_were_missed_only_the_last_is_sent(reminded):
    assert reminders.queue_due(later(reminded, 65)) == 1
    assert [
        key.split(":")[2] for key in Notification.objects.filter(event="reminder").values_list("key", flat=True)
    ] == ["6"]
    assert reminders.queue_due(later(reminded, 66)) == 0


def test_nobody_is_reminded_of_what_is_over(reminded):
    reminded.goes(Status.UP)
    assert reminders.queue_due(later(reminded, 30)) == 0


def test_nobody_is_reminded_who_was_not_told(tell):
    make_rule(make_channel(HOOK), remind_seconds=600)
    story = tell()
    story.goes(Status.DOWN)
    assert reminders.queue_due(later(story, 30)) == 0


def test_no_reminder_overtakes_one_that_waits(reminded):
    reminders.queue_due(later(reminded, 11))
    assert reminders.queue_due(later(reminded, 21)) == 0


def test_todays_rules_decide_about_reminders(reminded):
    AlertRule.objects.update(remind_seconds=None)
    assert reminders.queue_due(later(reminded, 30)) == 0
    AlertRule.objects.update(remind_seconds=600, match={"kinds": ["tcp"]})
    assert reminders.queue_due(later(reminded, 30)) == 0


def test_a_reminder_that_waits_is_folded_into_the_end(reminded, post, receiver):
    reminders.queue_due(later(reminded, 11))
    reminded.goes(Status.UP, cause=Cause.PROBE)  # by a clock that was set back by eleven minutes
    post.all()
    assert [request.body["title"].partition(" after ")[0] for request in receiver.requests] == [
        "Shop is down",
        "Shop is up again",
    ]
    assert Notification.objects.get(event="reminder").status == "held"
