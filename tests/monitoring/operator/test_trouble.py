from __future__ import annotations

from datetime import timedelta

import pytest

from checks import clock
from checks.store.outbox import Trouble
from monitoring.models import Channel, ConfigurationFile, Incident, Notification
from monitoring.operator import trouble
from tests.factories import NOON

FINE = [("worker", "local", NOON), ("notifier", "", NOON), ("web", "", NOON)]


def texts(banners) -> list[str]:
    return [banner.text for banner in banners]


def test_processes_that_were_just_heard_from_are_no_news():
    assert trouble.judge_signs(FINE, NOON + timedelta(seconds=29)) == []


def test_a_silent_location_is_named():
    signs = [*FINE, ("worker", "eu-west", NOON - timedelta(minutes=4))]

    assert texts(trouble.judge_signs(signs, NOON)) == [
        "No worker at eu-west has been heard from for 4 min: nothing is probed there."
    ]


def test_a_location_that_was_given_up_long_ago_is_forgotten():
    assert trouble.judge_signs([*FINE, ("worker", "eu-west", NOON - timedelta(days=31))], NOON) == []


def test_a_missing_worker_or_notifier_is_said():
    assert texts(trouble.judge_signs([], NOON)) == [
        "No worker has ever been heard from: nothing is probed there.",
        "No notifier has ever been heard from: nobody is told, and status pages stand still.",
    ]


@pytest.mark.django_db
def test_messages_that_reached_nobody_and_channels_that_do_not_work_are_shown_with_their_reasons():
    now = clock.utcnow()
    Channel.objects.create(name="ops-mail", broken_since=now, last_error="the server answered 535")
    for number in range(7):
        Notification.objects.create(
            key=str(number),
            channel_name="ops-mail",
            event="down",
            status="dead",
            note="given up after 24 h",
            next_attempt_at=now,
            created_at=now,
        )

    dead, broken = trouble.of_messages()

    assert dead.text == "7 messages were given up and reached nobody."
    assert len(dead.lines) == trouble.MOST_NAMED
    assert dead.lines[0] == "ops-mail, down: given up after 24 h"
    assert broken.text == "1 channel does not work."
    assert broken.lines == ("ops-mail: the server answered 535",)


@pytest.mark.django_db
def test_a_trouble_that_is_an_incident_already_is_shown_once():
    now = clock.utcnow()
    incident = Incident.objects.create(
        cause="system:no_resolver", summary="The resolver is silent.", opened_at=now, detected_at=now
    )
    troubles = [
        Trouble(what="no_resolver", message="silent", since=now, seen_at=now),
        Trouble(what="disk", message="The disk is full.", since=now, seen_at=now),
    ]

    known, new = trouble.of_system(troubles)

    assert (known.text, known.incident) == ("The resolver is silent.", str(incident.uuid))
    assert (new.text, new.incident) == ("The disk is full.", "")


@pytest.mark.django_db
def test_a_configuration_file_that_was_refused_is_shown_with_its_problems():
    ConfigurationFile.objects.create(path="stillup.yaml", applied_at=NOON, problems="stillup.yaml:3:1: wrong")
    assert trouble.of_configuration() == []

    ConfigurationFile.objects.update(refused_at=NOON)

    [banner] = trouble.of_configuration()
    assert banner.text == "stillup.yaml was changed and can't be applied; the version before it runs on."
    assert banner.lines == ("stillup.yaml:3:1: wrong",)
