from __future__ import annotations

import json
from collections.abc import Callable
from datetime import datetime, timedelta
from typing import Any

import pytest
from django.test import Client

from checks import clock
from checks.heartbeats.hearing import hear_all
from checks.heartbeats.runs import Action, Ping
from monitoring import publish
from monitoring.models import AlertRule, AlertRuleChannel, ApiKey, Channel, Monitor
from monitoring.models.access import digest_of, random_key
from monitoring.publish import secretbox

Ask = Callable[..., Any]


def make_key(role: str) -> str:
    text = random_key()
    ApiKey.objects.create(name=text, digest=digest_of(text), role=role, created_at=clock.utcnow())
    return text


@pytest.fixture
def write_key(db: None) -> str:
    return make_key("write")


@pytest.fixture
def read_key(db: None) -> str:
    return make_key("read")


@pytest.fixture
def ask(write_key: str, committed: Any) -> Ask:
    """One call with the write key; a document is sent as JSON. What it changes is committed."""
    client = Client(enforce_csrf_checks=True)

    def call(method: str, path: str, document: Any = None, *, key: str | None = None, version: int = 3) -> Any:
        data = b"" if document is None else document if isinstance(document, bytes) else json.dumps(document)
        headers = {"X-Api-Key": write_key if key is None else key}
        with committed():
            return client.generic(
                method, f"/api/v{version}/{path}", data, content_type="application/json", headers=headers
            )

    return call


@pytest.fixture
def make_channel(db: None) -> Callable[..., Channel]:
    """A channel, told about the monitors that a rule's match chooses; by no rule where there is none."""

    def make(name: str, *, url: str = "mailto://user:word@example.org", match: dict | None = None) -> Channel:
        channel = Channel.objects.create(name=name, sealed_url=secretbox().encrypt(url))
        if match is not None:
            rule = AlertRule.objects.create(name=f"rule of {name}", match=match)
            AlertRuleChannel.objects.create(rule=rule, channel=channel)
        return channel

    return make


@pytest.fixture
def begin() -> datetime:
    """A whole second after everything that a test makes."""
    return clock.utcnow().replace(microsecond=0) + timedelta(seconds=60)


@pytest.fixture
def hear(begin: datetime) -> Callable[..., None]:
    """A job reports: `hear(monitor, "start", (250, "fail", {...}))`, so many seconds after `begin`, 0 by default."""

    def heard(monitor: Monitor, *reports: str | tuple[float, str] | tuple[float, str, dict[str, Any]]) -> None:
        for report in reports:
            seconds, action, *more = (0.0, report) if isinstance(report, str) else report
            fields = more[0] if more else {}
            received_at = begin + timedelta(seconds=seconds)
            ping = Ping(address=monitor.ping_code, action=Action(str(action)), received_at=received_at, **fields)
            with publish.store_engine().begin() as conn:
                hear_all(conn, [ping], ping.received_at)

    return heard
