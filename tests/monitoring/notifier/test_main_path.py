from __future__ import annotations

import pytest

from checks.status import Status
from monitoring.models import Incident, Notification
from tests.monitoring.notifier.conftest import make_channel, make_rule

pytestmark = pytest.mark.django_db


def test_a_monitor_that_goes_down_and_up_again_makes_one_incident_and_two_messages(tell, post, receiver):
    make_rule(make_channel(receiver.url()))
    story = tell(name="Shop")

    story.goes(Status.UP)
    assert not Notification.objects.exists()
    story.goes(Status.DOWN, ago=95)
    [answer] = post.all()

    assert answer.sent
    assert "Shop is down" in receiver.requests[0].text
    assert "Expected status in 200-299, got 500." in receiver.requests[0].text
    assert "first byte 80 ms" in receiver.requests[0].text
    assert f"/dashboard/incidents/{story.incident.pk}/" in receiver.requests[0].text

    story.goes(Status.UP, ago=0)
    assert [answer.sent for answer in post.all()] == [True]

    assert "Shop is up again after 1 min" in receiver.requests[1].text
    assert Incident.objects.get().resolution == "recovered"
    assert len(receiver.requests) == 2
