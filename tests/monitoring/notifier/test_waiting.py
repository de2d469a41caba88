"""A heartbeat that was never heard of is remarked on, once."""

from __future__ import annotations

from datetime import timedelta

import pytest

from checks import clock
from checks.heartbeats.hearing import hear_all
from checks.heartbeats.runs import Action, Ping
from monitoring import publish
from monitoring.models import Notification
from monitoring.notifier import messages, waiting
from tests.factories import make_spec
from tests.monitoring.notifier.conftest import make_channel, make_rule

LATER = timedelta(days=3, seconds=1)


@pytest.fixture
def backup(installation):
    del installation
    make_rule(make_channel("json://127.0.0.1:9/"))
    return publish.change(spec=make_spec(kind="heartbeat", name="Backup", description="Nightly, of the shop."))


def told():
    return list(Notification.objects.filter(event="waiting"))


def test_whoever_would_be_alerted_is_told_once_after_three_days(installation, backup):
    now = clock.utcnow()
    assert waiting.remind(installation.engine, now + LATER - timedelta(seconds=5)) == 0
    assert [waiting.remind(installation.engine, now + LATER) for _ in range(2)] == [1, 0]
    (row,) = told()
    message = messages.render(row.event, row.facts, now + LATER)
    assert message.title == "Backup waits for its first ping"
    assert "nothing has reported to it yet: is its job set up?" in message.text
    assert "Nightly, of the shop." in message.text


def test_nobody_is_told_of_one_that_was_heard_or_is_paused(installation, backup):
    now = clock.utcnow()
    with installation.engine.begin() as conn:
        hear_all(conn, [Ping(address=backup.ping_code, action=Action.START, received_at=now)], now)
    publish.change(publish.change(spec=make_spec(kind="heartbeat", name="Other")), paused=True)
    publish.change(spec=make_spec(kind="http", name="Shop"))
    assert waiting.remind(installation.engine, now + LATER) == 0
    assert told() == []
