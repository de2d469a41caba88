"""What the tests of the operator's screens do again and again."""

from __future__ import annotations

import re
from datetime import timedelta
from uuid import uuid4

from django.urls import reverse

from checks import clock
from checks.heartbeats.hearing import hear_all
from checks.heartbeats.runs import Action, Ping, Verdict
from checks.result import Outcome
from checks.store import claims, writer
from monitoring.models import AlertRule, AlertRuleChannel, Channel
from tests.factories import make_finished


def text_of(response) -> str:
    assert response.status_code == 200
    return response.content.decode()


def monitor_url(monitor) -> str:
    return reverse("monitor", args=[monitor.slug])


def incident_url(incident) -> str:
    return reverse("incident", args=[incident.uuid])


def names(page: str) -> list[str]:
    return re.findall(r'<th scope="row"><a href="/dashboard/monitors/[^"]+">([^<]+)</a>', page)


def probe(engine, *outcomes: Outcome, **fields) -> None:
    """Every target is probed once a minute with these outcomes, beginning two minutes from now."""
    for number, outcome in enumerate(outcomes):
        now = clock.utcnow() + timedelta(minutes=2 + number)
        with engine.begin() as conn:
            due = claims.claim(
                conn,
                worker="test",
                location="local",
                now=now,
                horizon=timedelta(seconds=1),
                limit=100,
                lease=timedelta(seconds=30),
            )
            writer.record(conn, [make_finished(each, outcome, next_due_at=now, **fields) for each in due], now)


def hear(engine, monitor, *pings: tuple[float, str] | tuple[float, str, dict]) -> None:
    """The job reported: (seconds from now, action, more of the ping)."""
    now = clock.utcnow()
    for seconds, action, *more in pings:
        at = now + timedelta(seconds=seconds)
        given = Ping(address=monitor.ping_code, action=Action(action), received_at=at, **(more[0] if more else {}))
        with engine.begin() as conn:
            assert hear_all(conn, [given], at)[0] == [Verdict.STORED]


def tell_everybody(**match: list[str]) -> AlertRule:
    rule = AlertRule.objects.create(name=f"rule {uuid4()}", match=match)
    AlertRuleChannel.objects.create(rule=rule, channel=Channel.objects.create(name=f"channel {uuid4()}"))
    return rule
