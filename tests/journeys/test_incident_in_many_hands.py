"""One incident in the hands of twenty at once: reported down and up, paused, explained, published, at last deleted."""

from __future__ import annotations

import itertools
import random
import time
from collections import Counter
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from contextlib import suppress
from threading import Lock
from typing import Any
from uuid import UUID, uuid4

import httpx
import psycopg
import pytest

from tests.journeys.conftest import StartStack
from tests.journeys.person import Page, Person
from tests.journeys.stack import Stack
from tests.waiting import wait_until

pytestmark = [pytest.mark.journey, pytest.mark.long, pytest.mark.timeout(300)]

HANDS = 20
NAMES = ("Nightly", "Nightly backup", "Backup of the night")


class Hand:
    """Somebody who does one thing after the other, and notes what is answered."""

    def __init__(self, crowd: Crowd, number: int) -> None:
        self.crowd, self.chance = crowd, random.Random(f"{crowd.seed}/{number}")
        self.browser = httpx.Client(
            base_url=crowd.stack.address,
            cookies=crowd.cookies,
            headers={"Referer": crowd.stack.address},
            timeout=60,
            event_hooks={"response": [self.note]},
        )

    def note(self, answer: httpx.Response) -> None:
        with self.crowd.lock:
            self.crowd.answers[answer.status_code] += 1
            if answer.status_code >= 500:
                self.crowd.broken.append(f"{answer.request.method} {answer.request.url} {answer.status_code}")

    def work(self, until: float) -> None:
        with self.browser:
            while time.monotonic() < until:
                self.chance.choice(self.crowd.deeds)(self)

    # What one may do.

    def report(self) -> None:
        self.browser.get(self.crowd.check["ping_url"] + self.chance.choice(("", "/fail", "/fail")))

    def hold(self) -> None:
        address = self.crowd.check[self.chance.choice(("pause_url", "resume_url", "resume_url"))]
        self.browser.post(address, headers={"X-Api-Key": self.crowd.key})

    def rename(self) -> None:
        change = {"name": self.chance.choice(NAMES)}
        self.browser.post(self.crowd.check["update_url"], json=change, headers={"X-Api-Key": self.crowd.key})

    def explain(self) -> None:
        """Write a line of the timeline, the post-mortem, or both, on the incident of now or of a moment ago."""
        address = f"/admin/monitoring/incident/{self.incident()}/change/"
        shown = self.browser.get(address)
        if shown.status_code != 200:
            return
        form = Page(shown.text).form_with("updates-TOTAL_FORMS")
        line = ""
        if self.chance.random() < 0.7:
            line = f"line {uuid4()}"
            form[f"updates-{form['updates-INITIAL_FORMS']}-text"] = line
        if not line or self.chance.random() < 0.5:
            form["post_mortem-0-markdown"] = f"It was *{uuid4()}*."
        # 200 is the form again: somebody else was faster.
        if self.browser.post(address, data=form).status_code == 302 and line:
            with self.crowd.lock:
                self.crowd.lines.append(line)

    def publish(self) -> None:
        word = self.chance.choice(("publish", "publish", "withdraw", "preview"))
        form = {"csrfmiddlewaretoken": self.crowd.token, "post_mortem-0-markdown": "A *draft*."}
        self.browser.post(f"/admin/monitoring/incident/{self.incident()}/{word}/", data=form)

    def look(self) -> None:
        self.browser.get(self.chance.choice(("/dashboard/", "/", f"/dashboard/incidents/{self.incident()}/")))

    def incident(self) -> str:
        incidents = self.crowd.stack.query("SELECT uuid FROM monitoring_incident ORDER BY opened_at DESC LIMIT 3")
        return str(UUID(str(self.chance.choice(incidents)["uuid"])))  # SQLite keeps it without hyphens


class Crowd:
    """All of them, and what they did."""

    deeds: tuple[Callable[[Hand], None], ...] = (
        *(Hand.report, Hand.report, Hand.hold, Hand.rename),
        *(Hand.explain, Hand.explain, Hand.publish, Hand.look),
    )

    def __init__(self, stack: Stack, seed: int) -> None:
        self.stack, self.seed, self.lock = stack, seed, Lock()
        self.answers: Counter[int] = Counter()
        self.broken: list[str] = []
        self.lines: list[str] = []  # of the timeline, that were taken
        made = stack.manage("create_api_key", f"crowd {seed}", "--role", "write")
        assert made.returncode == 0, made.stderr
        self.key = made.stdout.strip()
        asked = {"name": NAMES[0], "slug": f"nightly-{seed}", "timeout": 3600, "grace": 60}
        answer = httpx.post(f"{stack.address}/api/v3/checks/", json=asked, headers={"X-Api-Key": self.key})
        assert answer.status_code == 201, answer.text
        self.check: dict[str, Any] = answer.json()
        with Person(stack) as person:
            self.token = person.read("/admin/").form_with("csrfmiddlewaretoken")["csrfmiddlewaretoken"]
            self.cookies = dict(person.browser.cookies)

    def begin(self) -> None:
        """Make the first incident."""
        wait_until(lambda: self.ping("/fail") == 200, within=20, what="the failure is stored")
        wait_until(
            lambda: self.stack.query("SELECT 1 AS one FROM monitoring_incident"), within=20, what="there is an incident"
        )

    def work(self, seconds: float) -> None:
        """Begin with an incident, end with the monitor's deletion in the midst of it."""
        self.begin()
        end = time.monotonic() + seconds
        with ThreadPoolExecutor(HANDS) as pool:
            works = [pool.submit(Hand(self, number).work, end) for number in range(HANDS)]
            time.sleep(0.8 * seconds)
            gone = httpx.delete(self.check["update_url"], headers={"X-Api-Key": self.key}, timeout=60)
            for work in works:
                work.result()
        assert gone.status_code == 200, gone.text

    def ping(self, report: str) -> int:
        with suppress(httpx.HTTPError):
            return httpx.get(self.check["ping_url"] + report).status_code
        return 0


def assert_history_is_linear(stack: Stack, check: dict[str, Any]) -> None:
    """Each transition follows from the one before; incidents never overlap, and each begins and ends once."""
    # What is deleted has no slug any more that is its own; this installation watched nothing else.
    rows = stack.query("SELECT seq, from_status, to_status, cause, at, since FROM transition ORDER BY seq", store=True)
    assert all(row["since"] <= row["at"] for row in rows), rows
    assert [row["seq"] for row in rows] == list(range(1, len(rows) + 1))
    for before, after in itertools.pairwise(rows):
        assert before["to_status"] == after["from_status"], rows
    assert len(rows) > 5, "nothing happened"
    incidents = stack.query(
        "SELECT uuid, opened_at, resolved_at, resolution FROM monitoring_incident ORDER BY opened_at"
    )
    told = "\n".join(map(str, (*rows, *incidents)))
    assert len(incidents) == sum(row["to_status"] == "down" for row in rows), told
    assert all(incident["resolved_at"] is not None for incident in incidents)
    incidents.sort(key=lambda incident: (incident["opened_at"], incident["resolved_at"]))  # some last no time at all
    for earlier, later in itertools.pairwise(incidents):
        assert earlier["opened_at"] <= earlier["resolved_at"] <= later["opened_at"], told
    kinds: dict[str, Counter[str]] = {str(incident["uuid"]): Counter() for incident in incidents}
    for line in stack.query("SELECT incident_id, kind FROM monitoring_incidentupdate"):
        kinds[str(line["incident_id"])][line["kind"]] += 1
    assert all(kind["opened"] == kind["resolved"] == 1 for kind in kinds.values()), kinds
    assert check["slug"] not in stack.monitors()


@pytest.mark.parametrize("seed", [1, 2])
def test_twenty_at_once_leave_an_incident_in_order(start_stack: StartStack, seed: int):
    stack = start_stack()
    crowd = Crowd(stack, seed)
    crowd.work(10)
    stack.wait_quiet()
    assert crowd.broken == []
    assert crowd.answers[200] > 30
    assert crowd.lines, "nobody's line was taken"
    assert_history_is_linear(stack, crowd.check)
    kept = [row["text"] for row in stack.query("SELECT text FROM monitoring_incidentupdate WHERE kind = 'update'")]
    assert sorted(kept) == sorted(crowd.lines)
    assert "Traceback" not in stack.log


@pytest.mark.parametrize("database", ["postgresql"], indirect=True)
def test_an_incident_that_ends_while_somebody_saves_its_form_stays_ended(start_stack: StartStack):
    stack = start_stack()
    crowd = Crowd(stack, 0)
    crowd.begin()
    address = f"/admin/monitoring/incident/{UUID(str(stack.query('SELECT uuid FROM monitoring_incident')[0]['uuid']))}/change/"
    with Person(stack) as person, psycopg.connect(stack.database) as ending, ThreadPoolExecutor(1) as pool:
        form = person.read(address).form_with("updates-TOTAL_FORMS") | {"updates-0-text": "We look into it."}
        ending.execute("UPDATE monitoring_incident SET resolved_at = now(), resolution = 'recovered'")
        saved = pool.submit(person.browser.post, address, data=form)
        waiting = (
            "SELECT 1 AS one FROM pg_stat_activity WHERE wait_event_type = 'Lock' AND datname = current_database()"
        )
        wait_until(lambda: stack.query(waiting), within=20, what="the form waits for the incident's row")
        ending.commit()
        assert "changed successfully" in saved.result().text
    (incident,) = stack.query("SELECT resolved_at, resolution FROM monitoring_incident")
    assert incident["resolved_at"] is not None
    assert incident["resolution"] == "recovered"
    (line,) = stack.query("SELECT text FROM monitoring_incidentupdate WHERE kind = 'update'")
    assert line["text"] == "We look into it."
