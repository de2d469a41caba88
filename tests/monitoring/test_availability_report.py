from __future__ import annotations

import json
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest
from django.core.management import CommandError, call_command

from checks import clock
from checks.status import Status
from monitoring import channels
from monitoring.models import Channel, Notification
from monitoring.notifier import messages
from tests.monitoring.pages import XSS
from tests.monitoring.past import put_transitions

pytestmark = pytest.mark.django_db

START = datetime(2025, 10, 1, tzinfo=UTC)


@pytest.fixture
def shop(published_to_sqlite, make_monitor):
    monitor = make_monitor(name=f"Shop {XSS}", slug="shop", tags=["prod"])
    down = START + timedelta(days=3)
    put_transitions(
        published_to_sqlite,
        monitor,
        (START - timedelta(days=1), Status.UP),
        (down, Status.DOWN),
        (down + timedelta(minutes=72), Status.UP),
    )
    return monitor


@pytest.fixture
def mail(db: None) -> Channel:
    channel = Channel(name="mail")
    channels.set_url(channel, "mailtos://me:word@mail.example.org?to=a@example.org,b@example.org")
    channel.save()
    return channel


def said(capsys: Any, *arguments: str) -> str:
    call_command("availability_report", *arguments)
    return capsys.readouterr().out


def test_a_month_is_printed(shop, capsys):
    heading, line = said(capsys, "--month", "2025-10").splitlines()

    assert heading.split()[:2] == ["NAME", "AVAILABILITY"]
    assert line.split()[-6:] == ["99.839", "99.839", "100.000", "1", "4320.000", "0.000"]
    (row,) = json.loads(said(capsys, "--month", "2025-10", "--json", "--zone", "Europe/Riga", "--tag", "prod"))
    assert (row["monitor"], row["outages"]) == ("shop", 1)
    assert row["availability"] == pytest.approx(100 * (1 - 72 / (31 * 24 * 60 + 60)))
    assert json.loads(said(capsys, "--month", "2025-10", "--json", "--monitor", "other")) == []
    assert said(capsys)  # the last month that is over


def test_a_month_is_sent_once_to_each_recipient(shop, mail, capsys):
    assert said(capsys, "--month", "2025-10", "--channel", "mail") == "Queued 2.\n"
    assert said(capsys, "--month", "2025-10", "--channel", "mail") == "It was sent already.\n"
    assert said(capsys, "--month", "2025-10", "--tag", "prod", "--channel", "mail") == "Queued 2.\n"
    assert said(capsys, "--month", "2025-09", "--channel", "mail") == "Queued 2.\n"

    row = Notification.objects.filter(key__startswith="report:2025-10").earliest("created_at")
    message = messages.render(row.event, row.facts, clock.utcnow())
    assert (message.type, message.title) == ("info", "Availability, October 2025")
    assert "1 monitor, 1 outage." in message.text
    assert "99.83 % available, 1 outage, 1 h 12 min down; 100 % observed" in message.text
    assert "/dashboard/report/?month=2025-10&zone=UTC" in message.text
    assert "<img" not in message.html
    assert "<script" not in message.html


@pytest.mark.parametrize(
    ("arguments", "problem"),
    [
        (("--month", "10/2025"), "not a month"),
        (("--zone", "Europe/Rga"), "unknown time zone"),
        (("--channel", "nobody"), "there is no channel 'nobody'"),
    ],
)
def test_what_can_not_be_reported_is_said(shop, arguments, problem):
    with pytest.raises(CommandError, match=problem):
        call_command("availability_report", *arguments)


def test_a_month_that_goes_on_is_not_sent(shop, mail):
    running = f"{clock.utcnow():%Y-%m}"
    with pytest.raises(CommandError, match="not over"):
        call_command("availability_report", "--month", running, "--channel", "mail")
    assert not Notification.objects.exists()
