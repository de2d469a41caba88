"""Servers come and go while processes are killed at random, and worse: the books must balance afterwards."""

from __future__ import annotations

import itertools
import random
import time
from collections import Counter
from contextlib import ExitStack
from pathlib import Path

import pytest

from tests.crash.books import Books
from tests.crash.storm import Storm
from tests.journeys.inbox import Inbox
from tests.journeys.stack import ROLES, Stack
from tests.journeys.target import Target
from tests.waiting import wait_until

pytestmark = [pytest.mark.journey, pytest.mark.long, pytest.mark.timeout(600)]

SERVERS, LASTING = 8, 60.0  # seconds
REPEAT = "may be a repeat"


def configuration(targets: list[Target], inbox: Inbox) -> str:
    monitors = "".join(f"  - {{name: Server {n}, kind: http, url: '{t.url}'}}\n" for n, t in enumerate(targets))
    return f"""
defaults: {{interval: 4s, timeout: 1s, failures: 2, successes: 1, retry_interval: 1s}}
monitors:
{monitors}
channels: [{{name: hook, url: "{inbox.json_url}"}}]
alert_rules: [{{name: Anything, when: down, notify: [hook]}}]
"""


@pytest.mark.parametrize("database", ["sqlite", "postgresql"])
def test_the_books_balance_after_a_minute_of_chaos(database: str, tmp_path: Path) -> None:
    dice = random.Random()
    with ExitStack() as running:
        targets = [running.enter_context(Target()) for _ in range(SERVERS)]
        inbox = running.enter_context(Inbox())
        stack = running.enter_context(Stack(tmp_path, database, configuration(targets, inbox)))
        for number in range(SERVERS):
            stack.wait_status(f"server-{number}", "up")

        down: set[int] = set()
        killed: Counter[str] = Counter()
        end = time.monotonic() + LASTING
        while time.monotonic() < end:
            number = dice.randrange(SERVERS)
            if number in down:
                targets[number].start()
                down.discard(number)
            else:
                targets[number].stop()
                down.add(number)
            if dice.random() < 0.4:
                role = dice.choice(ROLES)
                stack.kill(role)
                killed[role] += 1
            time.sleep(dice.uniform(0.3, 2.5))
        for number in down:
            targets[number].start()
        for number in range(SERVERS):
            stack.wait_status(f"server-{number}", "up", within=60)
        wait_until(lambda: all(stack.find(role) for role in ROLES), within=15, what="all processes run")
        stack.wait_ready()
        stack.wait_quiet(within=120)
        print(f"killed: {dict(killed)}, messages: {len(inbox.messages)}")

        for number in range(SERVERS):
            check_books(stack, inbox, f"server-{number}", f"Server {number}")


@pytest.mark.alone
def test_four_workers_and_two_notifiers_weather_a_storm(tmp_path: Path) -> None:
    """The short form of `benchmarks/chaos.py`: each of its disruptions once or so."""
    with Storm(tmp_path, monitors=200, seconds=270, workers=4, notifiers=2, seed=f"{time.time_ns():x}") as storm:
        print(f"seed {storm.seed}")
        storm.rage()
        books = Books(storm)
    print(books.figures, storm.fleet.exits)
    assert books.faults == []
    assert not any(storm.statuses)


def check_books(stack: Stack, inbox: Inbox, slug: str, name: str) -> None:
    """What must hold of one monitor, whatever happened."""
    rows = stack.query(
        "SELECT transition.seq, from_status, to_status, transition.since FROM transition JOIN monitor_state USING (monitor)"
        f" WHERE slug = '{slug}' ORDER BY transition.seq",
        store=True,
    )
    assert [row["seq"] for row in rows] == list(range(1, len(rows) + 1)), "no number is missing"
    assert all(one["to_status"] == two["from_status"] for one, two in itertools.pairwise(rows)), rows
    assert all(one["since"] <= two["since"] for one, two in itertools.pairwise(rows)), "no history overlaps"

    # An incident begins where the monitor goes down, unless one is open: between down and down it may be unknown.
    begun, is_open = 0, False
    for row in rows:
        begun += row["to_status"] == "down" and not is_open
        is_open = row["to_status"] == "down" or (is_open and row["to_status"] == "unknown")
    incidents = stack.query(f"SELECT uuid, resolved_at FROM monitoring_incident WHERE monitor_name = '{name}'")
    assert len(incidents) == begun
    assert all(incident["resolved_at"] is not None for incident in incidents)

    told = stack.query(
        "SELECT key, event, n.status AS status, incident_id FROM monitoring_notification n"
        f" JOIN monitoring_incident i ON i.uuid = n.incident_id WHERE i.monitor_name = '{name}'"
    )
    assert len({row["key"] for row in told}) == len(told)
    assert {row["status"] for row in told} <= {"sent", "held"}
    assert Counter(row["event"] for row in told) == {"down": begun, "resolved": begun} if begun else not told
    sent = [row for row in told if row["status"] == "sent"]
    arrived = [message for message in inbox.of("json") if f"{name} is" in message.text]
    assert len(arrived) >= len(sent), "each arrived"
    assert sum(REPEAT not in message.text for message in arrived) <= len(sent), "what came again says so"
    ends = [row["incident_id"] for row in sent if row["event"] == "resolved"]
    assert len(ends) == begun, "the end of each is told, if only together with its beginning"
