"""A watched server stops and comes back: what a person sees on the page and in the messages."""

from __future__ import annotations

import time
from datetime import UTC, datetime

import pytest

from tests.journeys.town import FAILURES, INTERVAL, RETRY, Town
from tests.waiting import wait_until

pytestmark = [pytest.mark.journey, pytest.mark.timeout(300)]

WAYS = ("mail", "chat", "json")


@pytest.mark.long_on("postgresql")
def test_an_outage_is_one_incident_and_one_message_a_channel_and_so_is_its_end(town: Town) -> None:
    stack, server = town.stack, town.servers["shop"]
    stack.wait_status("shop", "up")
    stack.wait_status("shop-port", "up")
    assert not any(town.told(via, "Shop") for via in WAYS)

    stopped_at = datetime.now(UTC)
    server.stop()
    # Up to an interval until it is noticed, then failures x retry_interval; the rest is this machine's slowness.
    stack.wait_status("shop", "down", within=INTERVAL + FAILURES * RETRY + 4)
    town.wait_told("Shop", 1, *WAYS)
    wait_until(lambda: "utage" in stack.get("/")[1], within=15, what="the page shows the outage")
    (incident,) = [found for found in stack.incidents() if found["monitor"] == "shop"]
    opened_at = datetime.fromisoformat(incident["opened_at"])
    assert abs((opened_at - stopped_at).total_seconds()) < INTERVAL + 1.5, "dated back to the first failed probe"
    assert incident["resolved_at"] is None
    for via in WAYS:
        assert "Shop is down" in town.told(via, "Shop")[0].text
        assert "refused" in town.told(via, "Shop")[0].text, "what broke is said"

    time.sleep(2)
    server.start()
    stack.wait_status("shop", "up", within=20)
    town.wait_told("Shop", 2, *WAYS)
    stack.wait_quiet()
    (incident,) = [found for found in stack.incidents() if found["monitor"] == "shop"]
    assert incident["resolved_at"] is not None
    for via in WAYS:
        down, over = town.told(via, "Shop")
        assert "Shop is up again after" in over.text, "for how long it was down is said"
        assert "may be a repeat" not in down.text + over.text
    told = [(n["channel"], n["event"], n["status"]) for n in stack.notifications() if n["monitor"] == "shop"]
    assert sorted(told) == sorted(
        (c, e, "sent") for c in ("ops-mail", "team-chat", "hook") for e in ("down", "resolved")
    )
    assert stack.transitions("shop") == [("pending", "up"), ("up", "down"), ("down", "up")]


@pytest.mark.long_on("postgresql")
def test_an_expectation_that_is_not_met_is_told_with_what_was_found(town: Town) -> None:
    server = town.servers["cart"]
    town.stack.wait_status("cart", "up")
    server.body = b'{"queue": 143}'
    town.stack.wait_status("cart", "down", within=15)
    town.wait_told("Cart", 1, "mail")
    message = town.told("mail", "Cart")[0].text
    assert "json $.queue < 100" in message
    assert "143" in message
    server.body = b'{"queue": 3}'
    town.stack.wait_status("cart", "up", within=20)
