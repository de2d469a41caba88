"""How a slot writes down what became of a message."""

from __future__ import annotations

import pytest

from checks import clock
from checks.process import Watchdog
from checks.status import Status
from monitoring.models import Channel, Notification
from monitoring.notifier import delivery, system
from monitoring.notifier.sender import Answer
from monitoring.notifier.slots import Slots
from tests.monitoring.notifier.conftest import LEASE, make_channel, make_rule

pytestmark = pytest.mark.django_db

NAME = "notifier@here"


@pytest.fixture
def claimed(tell):
    """The message of a monitor that is down, claimed, to a channel that failed before."""
    make_rule(make_channel("json://127.0.0.1:9/hook", last_error="the destination refused the connection"))
    tell().goes(Status.DOWN)
    return delivery.claim(NAME, clock.utcnow(), LEASE)


def raises(*_args, **_kwargs):
    raise ValueError("a mistake of ours")


def test_what_was_sent_is_sent_even_where_what_follows_from_it_can_not_be_written(claimed, warm_pool, monkeypatch):
    monkeypatch.setattr(system, "resolve_incident", raises)

    Slots(NAME, LEASE, Watchdog(), pool=warm_pool)._settle(claimed, Answer(sent=True, status=200))

    row = Notification.objects.get()
    assert (row.status, row.leased_by, row.leased_until, row.in_doubt) == ("sent", "", None, False)
    assert row.sent_at is not None
    assert Channel.objects.get().last_error, "the rest was undone"
    assert delivery.claim(NAME, clock.utcnow() + 2 * LEASE, LEASE) is None


def test_what_was_not_sent_is_tried_again_where_its_end_can_not_be_written(claimed, warm_pool, monkeypatch):
    monkeypatch.setattr(delivery, "settle", raises)

    Slots(NAME, LEASE, Watchdog(), pool=warm_pool)._settle(claimed, Answer(error="no"))

    assert Notification.objects.get().status == "sending"
    assert delivery.claim(NAME, clock.utcnow() + 2 * LEASE, LEASE).repeat


def test_a_message_that_another_notifier_took_over_is_not_called_sent_by_us(claimed, warm_pool, monkeypatch):
    delivery.claim("another", clock.utcnow() + 2 * LEASE, LEASE)
    monkeypatch.setattr(delivery, "settle", raises)

    Slots(NAME, LEASE, Watchdog(), pool=warm_pool)._settle(claimed, Answer(sent=True, status=200))

    assert Notification.objects.get().status == "sending"
