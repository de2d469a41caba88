from __future__ import annotations

from datetime import timedelta
from uuid import uuid4

import pytest
from django.db import IntegrityError, transaction

from checks import clock
from checks.status import Cause, Status
from monitoring.models import ConsumedTransition, Incident, KnownStore, Notification
from monitoring.notifier import dispatch
from monitoring.notifier.dispatch import OutOfOrder
from tests.monitoring.notifier.conftest import Story, make_channel, make_monitor, make_rule, statuses

pytestmark = pytest.mark.django_db

HOOK = "json://127.0.0.1:9/hook"


def notes(incident):
    return [(update.kind, update.text) for update in incident.updates.order_by("pk")]


def test_an_incident_is_dated_back_to_the_first_failure_and_keeps_the_evidence(tell):
    story = tell()
    transition = story.goes(Status.DOWN, ago=45)

    incident = story.incident
    assert (incident.opened_at, incident.detected_at) == (transition.since, transition.at)
    assert incident.summary == "Expected status in 200-299, got 500"
    assert incident.evidence == transition.evidence
    assert notes(incident) == [("opened", incident.summary)]


def test_an_incident_opens_even_when_no_rule_matches(tell):
    make_rule(make_channel(HOOK), match={"tags": ["other"]})
    story = tell()

    story.goes(Status.DOWN)

    assert story.incident.resolved_at is None
    assert not Notification.objects.exists()


def test_one_message_is_queued_for_each_channel_however_many_rules_name_it(tell):
    chat, mail, other = make_channel(HOOK), make_channel(HOOK), make_channel(HOOK)
    make_rule(chat, mail)
    make_rule(chat, match={"tags": ["prod"]})
    make_rule(other, match={"kinds": ["tcp"]})
    story = tell(spec={"tags": ["prod"]})

    story.goes(Status.DOWN)

    keys = {f"down:{story.incident.pk}:{channel.pk}:0" for channel in (chat, mail)}
    assert set(Notification.objects.values_list("key", flat=True)) == keys


def test_each_recipient_of_a_channel_gets_a_message_of_its_own(tell):
    make_rule(make_channel("mailto://127.0.0.1:25/ann@example.org/bob@example.org?from=stillup@example.org"))
    story = tell()

    story.goes(Status.DOWN)

    assert list(Notification.objects.order_by("recipient").values_list("recipient", flat=True)) == [0, 1]


@pytest.mark.parametrize("status", [Status.UP, Status.DEGRADED])
def test_what_serves_again_resolves_the_incident_and_tells_whoever_was_told(tell, status):
    make_rule(make_channel(HOOK))
    story = tell()
    story.goes(Status.DOWN)

    transition = story.goes(status, ago=5)

    incident = story.incident
    assert (incident.resolved_at, incident.resolution) == (transition.since, "recovered")
    assert notes(incident)[-1] == ("resolved", "It is up again, after 25 s.")
    assert statuses() == {"down": "pending", "resolved": "pending"}


def test_the_first_success_of_a_monitor_tells_nobody(tell):
    make_rule(make_channel(HOOK))
    tell().goes(Status.UP)
    assert not Incident.objects.exists()
    assert not Notification.objects.exists()


def test_degraded_opens_no_incident(tell):
    make_rule(make_channel(HOOK))
    story = tell()
    story.goes(Status.UP)
    story.goes(Status.DEGRADED)
    assert not Incident.objects.exists()


def test_an_incident_stays_open_while_we_are_blind_and_says_so(tell):
    make_rule(make_channel(HOOK))
    story = tell()
    story.goes(Status.DOWN)

    story.goes(Status.UNKNOWN, cause=Cause.SILENCE)
    story.goes(Status.DOWN)

    assert story.incident.resolved_at is None
    assert [text for kind, text in notes(story.incident) if kind == "note"] == [
        "We can't see whether it is still down.",
        "It is still down.",
    ]
    assert statuses() == {"down": "pending"}


@pytest.mark.parametrize(
    ("cause", "resolution"), [(Cause.PAUSED, "paused"), (Cause.RETIRED, "retired"), (Cause.DELETED, "deleted")]
)
def test_pausing_and_removing_resolve_as_such_and_withdraw_what_waits(tell, cause, resolution):
    make_rule(make_channel(HOOK))
    story = tell()
    story.goes(Status.DOWN)

    story.goes(Status.PAUSED, cause=cause)

    assert story.incident.resolution == resolution
    [row] = Notification.objects.all()
    assert (row.status, row.note) == ("held", f"withdrawn: the monitor was {resolution}")


def test_who_was_told_of_a_failure_is_told_that_the_monitor_was_paused(tell, post, receiver):
    make_rule(make_channel(receiver.url()))
    story = tell(name="Shop")
    story.goes(Status.DOWN)
    post.all()

    story.goes(Status.PAUSED, cause=Cause.PAUSED)
    post.all()

    assert receiver.requests[1].body["title"] == "Shop was paused while down"
    assert "That is no recovery" in receiver.requests[1].text


def test_the_end_is_told_to_those_who_were_told_and_not_to_those_whom_rules_name_today(tell, post, receiver):
    rule = make_rule(make_channel(receiver.url("before")))
    story = tell()
    story.goes(Status.DOWN)
    post.all()
    rule.delete()
    make_rule(make_channel(receiver.url("after")))

    story.goes(Status.UP)
    post.all()

    assert [request.path for request in receiver.requests] == ["/before", "/before"]


def test_a_monitor_that_was_deleted_meanwhile_keeps_its_incident_under_its_last_name(tell):
    story = tell(name="Shop")
    story.goes(Status.DOWN)
    uuid = story.monitor.pk
    story.monitor.delete()

    story.monitor.pk = uuid
    story.goes(Status.PAUSED, cause=Cause.DELETED)

    incident = Incident.objects.get()
    assert (incident.monitor, incident.monitor_name, incident.resolution) == (None, "Shop", "deleted")


def test_a_changed_specification_leaves_the_incident_open(tell):
    story = tell()
    story.goes(Status.DOWN)
    story.goes(Status.PENDING, cause=Cause.CHANGED)
    assert story.incident.resolved_at is None


def test_a_transition_has_its_effect_once(tell, store_id):
    make_rule(make_channel(HOOK))
    transition = tell().goes(Status.DOWN)

    assert not dispatch.consume(transition, store_id, clock.utcnow())

    assert Incident.objects.count() == Notification.objects.count() == ConsumedTransition.objects.count() == 1


def test_a_transition_that_skips_one_is_refused_and_leaves_nothing(tell, store_id):
    story = tell()
    story.transition(Status.UP)
    second = story.transition(Status.DOWN)

    with pytest.raises(OutOfOrder, match="#2 does not follow #0"):
        dispatch.consume(second, store_id, clock.utcnow())

    assert not ConsumedTransition.objects.exists()
    assert not Incident.objects.exists()
    assert dispatch.consume(second, store_id, clock.utcnow(), after_gap=True)
    assert Incident.objects.count() == 1


def test_another_store_numbers_its_transitions_anew(tell, store_id):
    monitor = make_monitor()
    Story(store_id, monitor).goes(Status.DOWN)
    Story(uuid4(), monitor).goes(Status.UP)
    assert Incident.objects.get().resolution == "recovered"


def test_a_new_store_beside_an_old_configuration_sends_nothing_for_what_begins_from_pending():
    make_rule(make_channel(HOOK))
    monitor = make_monitor()
    now, old, new = clock.utcnow(), uuid4(), uuid4()
    KnownStore.objects.create(uuid=old, seen_at=now - timedelta(days=9))
    KnownStore.objects.create(uuid=new, seen_at=now + timedelta(seconds=1))
    story = Story(new, monitor)

    story.goes(Status.DOWN)
    assert not Notification.objects.exists()
    assert "nobody was told" in notes(story.incident)[-1][1]

    story.goes(Status.UP)
    assert not Notification.objects.exists()
    story.goes(Status.DOWN)
    assert statuses() == {"down": "pending"}


def test_a_monitor_made_after_the_new_store_is_told_of_from_the_beginning():
    make_rule(make_channel(HOOK))
    now, new = clock.utcnow(), uuid4()
    KnownStore.objects.create(uuid=uuid4(), seen_at=now - timedelta(days=9))
    KnownStore.objects.create(uuid=new, seen_at=now - timedelta(days=1))
    Story(new, make_monitor()).goes(Status.DOWN)
    assert statuses() == {"down": "pending"}


def test_an_open_incident_outlives_a_change_of_store_until_the_monitor_is_up(tell):
    monitor = make_monitor()
    Story(uuid4(), monitor).goes(Status.DOWN)
    story = Story(uuid4(), monitor)

    story.goes(Status.DOWN)
    assert Incident.objects.get().resolved_at is None
    story.goes(Status.UP)
    assert Incident.objects.get().resolution == "recovered"


def test_the_database_refuses_a_second_open_incident_of_one_cause(tell):
    story = tell()
    story.goes(Status.DOWN)
    now = clock.utcnow()
    with pytest.raises(IntegrityError), transaction.atomic():
        Incident.objects.create(monitor_uuid=story.monitor.pk, cause="down", opened_at=now, detected_at=now)


def test_a_rule_that_can_not_be_read_is_set_aside_and_the_others_go_on(tell, caplog):
    make_rule(make_channel(HOOK), name="broken", match={"tag": "prod"})
    make_rule(make_channel(HOOK, name="good"))
    tell().goes(Status.DOWN)
    assert Notification.objects.get().channel_name == "good"
    assert "The alert rule broken is set aside" in caplog.text
