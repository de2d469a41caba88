"""What pings us: our own `beat`, and clients from PyPI that were written for healthchecks.io, unchanged."""

from __future__ import annotations

from collections.abc import Iterator
from functools import cache
from pathlib import Path
from typing import Any
from uuid import uuid4

import pytest

from tests import foreign
from tests.clients.beating import keep, machine
from tests.journeys.stack import Stack
from tests.journeys.test_healthchecks_api import Script
from tests.journeys.town import Town
from tests.waiting import wait_until

pytestmark = [pytest.mark.journey, pytest.mark.timeout(300), pytest.mark.long_on("postgresql")]


@cache
def ping_key(stack: Stack) -> str:
    """A key that may make monitors."""
    made = stack.manage("create_ping_key", "clients", "--creates")
    assert made.returncode == 0, made.stderr
    return made.stdout.strip()


class Job:
    """A monitor that its own first ping makes."""

    def __init__(self, town: Town) -> None:
        self.stack, self.slug = town.stack, f"job-{uuid4()}"
        self.key = ping_key(town.stack)
        self.address = f"{town.stack.address}/ping/{self.key}/{self.slug}"
        self._script = Script(town.stack, "write")

    def check(self) -> Any:
        """What is known of it."""
        (check,) = self._script("GET", f"/api/v3/checks/?slug={self.slug}")[1]["checks"]
        return check

    def pings(self) -> list[Any]:
        """What is known of its pings, the oldest first."""
        return list(reversed(self._script("GET", f"{self.check()['update_url']}/pings/")[1]["pings"]))

    def heard(self, *types: str) -> list[Any]:
        """Its pings, once they are these."""
        wait_until(lambda: [ping["type"] for ping in self.pings()] == list(types), within=10, what=str(types))
        return self.pings()

    def body(self, ping: Any) -> bytes:
        """What came with a ping."""
        status, body = self._script("GET", ping["body_url"])
        assert status == 200
        return bytes(body)

    def forget(self) -> None:
        """Remove the monitor."""
        self._script("DELETE", self.check()["update_url"])


@pytest.fixture
def job(town: Town) -> Iterator[Job]:
    job = Job(town)
    yield job
    job.forget()


def test_beat_reports_the_runs_of_now_and_of_before(job: Job, tmp_path: Path):
    here = machine(tmp_path, "dash", "curl")
    done = here.run(f"{job.address}?create=1", "sh", "-c", "echo '{\"rows\": 7}'; exit 0")
    assert (done.returncode, done.stderr) == (0, b"")
    start, success = job.heard("start", "success")
    assert start["rid"] == success["rid"]
    assert job.body(success) == b'{"rows": 7}\n'
    kept = keep(here, job.address, "3", ago=600, body=b"disk full\n")
    assert here.run(job.address, "sh", "-c", "exit 4").returncode == 4
    late, fail = (ping for ping in job.heard("start", "success", "start", "fail", "fail")[3:])
    assert job.body(late) == b"disk full\n"
    assert "duration" not in late
    assert 0 <= fail["duration"] < 60
    assert not kept.exists()
    assert job.check()["status"] == "down"


SCRIPTS = {
    # The client, what it does, and what it reports. Addresses come as arguments: of the monitor, and of one run of it.
    "healthchecks-decorator": (
        """
import sys
from healthchecks_decorator import healthcheck

made, run = sys.argv[1:]

@healthcheck(url=run, send_start=True, send_diagnostics=True)
def good():
    return {"rows": 7}

@healthcheck(url=made)
def bad():
    raise ValueError("disk full")

assert good() == {"rows": 7}
try:
    bad()
except ValueError:
    print("done")
""",
        ["start", "success", "fail"],
        {1: b"rows=7"},
    ),
    "healthchecks-wrapper": (
        """
import sys
from healthchecks_wrapper import HealthCheck

url = sys.argv[1].partition("?")[0]
with HealthCheck(url):
    pass
with HealthCheck(url, suppress_exceptions=True):
    raise ValueError("disk full")
print("done")
""",
        ["start", "success", "start", "fail"],
        {3: b"ValueError: disk full"},
    ),
    "runchecked": (
        """
import sys
from runchecked import HealthCheckedContext

url = sys.argv[1].partition("?")[0]
with HealthCheckedContext(url, enable_tty_output=False) as context:
    context.run(["sh", "-c", "echo all good"])
with HealthCheckedContext(url, enable_tty_output=False) as context:
    context.run(["sh", "-c", "echo disk full; exit 3"])
print("done")
""",
        ["success", "fail"],
        {0: b"all good", 1: b"disk full"},
    ),
    "healthchecks-io": (
        """
import sys
from urllib.parse import urlsplit
from healthchecks_io import CheckTrap, Client

address = urlsplit(sys.argv[1])
root, key, slug = address.path[1:].split("/")
client = Client(ping_key=key, ping_url=f"{address.scheme}://{address.netloc}/{root}/")
with CheckTrap(client, slug=slug) as trap:
    trap.add_log("all good")
assert client.exit_code_ping(3, slug=slug, data="disk full")[0]
assert client.success_ping(slug=slug)[0]
print("done")
""",
        ["start", "success", "fail", "success"],
        {1: b"all good", 2: b"disk full"},
    ),
}


@pytest.mark.parametrize("client", SCRIPTS)
def test_a_client_of_healthchecks_runs_unchanged(job: Job, client: str):
    script, types, bodies = SCRIPTS[client]
    run = uuid4()
    assert job.stack.get(f"{job.address.removeprefix(job.stack.address)}/log?create=1")[0] == 201
    done = foreign.run(client, script, f"{job.address}?create=1", f"{job.address}?create=1&rid={run}")
    assert (done.stdout, done.returncode) == ("done\n", 0), done.stderr
    _, *pings = job.heard("log", *types)
    for index, body in bodies.items():
        assert body in job.body(pings[index])
    if client == "healthchecks-decorator":
        assert pings[0]["rid"] == pings[1]["rid"] == str(run)
