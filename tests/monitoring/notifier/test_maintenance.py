"""Who is woken while maintenance is announced: nobody, unless it is down when that is over."""

from __future__ import annotations

from datetime import timedelta

import pytest

from checks import clock
from checks.status import Status
from monitoring import maintenance
from monitoring.models import Incident, Notification
from monitoring.notifier.delivery import PAUSES, claim, settle
from monitoring.notifier.mutes import Hold
from monitoring.notifier.sender import Answer
from tests.monitoring.notifier.conftest import LEASE, make_channel, make_rule
from tests.monitoring.past import announce

pytestmark = pytest.mark.django_db

HOUR, SECOND = timedelta(hours=1), timedelta(seconds=1)
REFUSED = Answer(error="the destination refused the connection")


@pytest.fixture
def story(tell):
    make_rule(make_channel("json://127.0.0.1:9/hook", name="chat"))
    return tell(name="Shop")


def sent(at=None, answer=None) -> list[str]:
    """The events of the messages that go out at an instant, or now."""
    now, found = at or clock.utcnow(), []
    while (claimed := claim("notifier@here", now, LEASE)) is not None:
        settle(claimed, "notifier@here", answer or Answer(sent=True, status=200), now)
        found.append(claimed.key.partition(":")[0])
    return found


def test_nobody_is_told_of_an_outage_that_begins_and_ends_in_it(story):
    now = clock.utcnow()
    announce(story.monitor, now - HOUR, now + HOUR)
    story.goes(Status.DOWN)
    assert sent() == []
    row = Notification.objects.get()
    assert (row.status, row.next_attempt_at) == ("pending", now + HOUR)
    assert row.note == "waits until announced maintenance is over: Moving house"

    story.goes(Status.UP)

    assert sent() == []
    assert sent(now + 2 * HOUR) == []
    assert set(Notification.objects.values_list("status", "note")) == {("held", Hold.MAINTENANCE.value)}
    assert Incident.objects.get().resolved_at is not None, "it is known all the same"


def test_who_is_down_when_it_is_over_is_told_of_then(story):
    now = clock.utcnow()
    announce(story.monitor, now - HOUR, now + HOUR)
    story.goes(Status.DOWN)
    assert sent() == []
    assert sent(now + HOUR - SECOND) == []
    assert sent(now + HOUR + SECOND) == ["down"]
    story.goes(Status.UP)
    assert sent(clock.utcnow() + SECOND) == ["resolved"]


def test_an_outage_that_began_before_is_told_of_and_so_is_its_end(story):
    now = clock.utcnow()
    story.goes(Status.DOWN)
    assert sent() == ["down"]
    announce(story.monitor, now - SECOND, now + HOUR)
    story.goes(Status.UP)
    assert sent(clock.utcnow() + SECOND) == ["resolved"]


def test_what_began_before_it_and_was_not_told_yet_comes_with_its_end(story):
    now = clock.utcnow()
    announce(story.monitor, now - timedelta(seconds=5), now + HOUR)
    story.goes(Status.DOWN, ago=30)
    assert sent() == []
    story.goes(Status.UP)
    assert sent(clock.utcnow() + SECOND) == ["resolved"]


def test_the_outages_of_others_are_told_of(story, tell):
    now = clock.utcnow()
    announce(story.monitor, now - HOUR, now + HOUR)
    tell(name="Mail").goes(Status.DOWN)
    assert sent() == ["down"]


def test_all_monitors_are_all_monitors(story):
    now = clock.utcnow()
    announce(None, now - HOUR, now + HOUR)
    story.goes(Status.DOWN)
    assert sent() == []


def test_one_that_is_ended_early_holds_up_nothing(story):
    now = clock.utcnow()
    window = announce(story.monitor, now - HOUR, now + HOUR)
    story.goes(Status.DOWN)
    assert sent() == []
    window.ends_at = now
    window.save(update_fields=["ends_at"])
    assert maintenance.look_again() == 1
    assert sent() == ["down"]


def test_a_message_that_waited_for_days_has_its_attempts_all_the_same(story):
    now = clock.utcnow()
    announce(story.monitor, now - HOUR, now + timedelta(days=3))
    story.goes(Status.DOWN)
    assert sent() == []
    at = now + timedelta(days=3)
    for number in range(1, len(PAUSES) + 1):
        assert sent(at, REFUSED) == ["down"]
        row = Notification.objects.get(event="down")
        assert row.status == ("pending" if number < len(PAUSES) else "dead")
        at = row.next_attempt_at
