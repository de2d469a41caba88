"""A watched server stops and comes back: what a person sees on the page and in the messages."""

from __future__ import annotations

import time
from datetime import UTC, datetime

import pytest

from tests.journeys.conftest import StartStack
from tests.journeys.inbox import Inbox
from tests.journeys.stack import wait_until
from tests.journeys.target import Target

pytestmark = [pytest.mark.journey, pytest.mark.timeout(300)]

FAILURES, RETRY = 3, 1.0


def configuration(target: Target, inbox: Inbox) -> str:
    return f"""
monitors:
  - name: Shop
    kind: http
    url: {target.url}
    interval: 2s
    timeout: 1s
    failures: {FAILURES}
    retry_interval: {RETRY:g}s
    successes: 2
    tags: [prod]
    expect:
      - status in 200-299
      - json $.queue < 100
  - name: Shop port
    kind: tcp
    address: 127.0.0.1:{target.port}
    interval: 2s
    retry_interval: 1s
channels:
  - name: ops-mail
    url: {inbox.mail_url}
  - name: team-chat
    url: {inbox.chat_url}
  - name: hook
    url: {inbox.json_url}
alert_rules:
  - name: Production is down
    when: down
    match: {{tags: [prod]}}
    notify: [ops-mail, team-chat, hook]
status_pages:
  - slug: public
    title: Example status
    groups:
      - name: Core
        components: [{{monitor: shop, name: The shop}}]
"""


def test_an_outage_is_one_incident_and_one_message_a_channel_and_so_is_its_end(
    start_stack: StartStack, target: Target, inbox: Inbox
) -> None:
    stack = start_stack(configuration(target, inbox))
    stack.wait_status("shop", "up")
    stack.wait_status("shop-port", "up")
    assert inbox.messages == []

    stopped_at = datetime.now(UTC)
    target.stop()
    # Up to an interval until it is noticed, then failures x retry_interval; the rest is this machine's slowness.
    stack.wait_status("shop", "down", within=2 + FAILURES * RETRY + 4)
    wait_until(
        lambda: all(inbox.of(via) for via in ("mail", "chat", "json")), within=15, what="a message on each channel"
    )
    assert "down" in stack.get("/")[1].lower() or "outage" in stack.get("/")[1].lower()
    (incident,) = [found for found in stack.incidents() if found["monitor"] == "shop"]
    opened_at = datetime.fromisoformat(incident["opened_at"])
    assert abs((opened_at - stopped_at).total_seconds()) < 3.5, "dated back to the first failed probe"
    assert incident["resolved_at"] is None
    for via in ("mail", "chat", "json"):
        assert "shop" in inbox.of(via)[0].text.lower()
        assert "refused" in inbox.of(via)[0].text, "what broke is said"

    time.sleep(2)
    target.start()
    stack.wait_status("shop", "up", within=20)
    wait_until(
        lambda: all(len(inbox.of(via)) == 2 for via in ("mail", "chat", "json")), within=15, what="the end is told"
    )
    stack.wait_quiet()
    (incident,) = [found for found in stack.incidents() if found["monitor"] == "shop"]
    assert incident["resolved_at"] is not None
    for via in ("mail", "chat", "json"):
        assert [m.text.lower().count("may be a repeat") for m in inbox.of(via)] == [0, 0]
        assert len(inbox.of(via)) == 2
    told = {(n["channel"], n["event"], n["status"]) for n in stack.notifications()}
    assert told == {(c, e, "sent") for c in ("ops-mail", "team-chat", "hook") for e in ("down", "resolved")}
    assert stack.transitions("shop") == [("pending", "up"), ("up", "down"), ("down", "up")]


def test_an_expectation_that_is_not_met_is_told_with_what_was_found(
    start_stack: StartStack, target: Target, inbox: Inbox
) -> None:
    stack = start_stack(configuration(target, inbox))
    stack.wait_status("shop", "up")
    target.body = b'{"queue": 143}'
    stack.wait_status("shop", "down", within=15)
    message = wait_until(lambda: inbox.of("mail"), within=15, what="a mail")[0].text
    assert "json $.queue < 100" in message
    assert "143" in message
    assert stack.status("shop-port") == "up"
