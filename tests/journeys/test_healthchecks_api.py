"""A script, and a client from PyPI, that were written for healthchecks do their work with us: over real HTTP."""

from __future__ import annotations

import http.client
import json
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from functools import cache
from typing import Any
from uuid import uuid4

import pytest

from tests import foreign
from tests.journeys.stack import Stack
from tests.journeys.town import Town
from tests.waiting import wait_until

pytestmark = [pytest.mark.journey, pytest.mark.timeout(300), pytest.mark.long_on("postgresql")]


@cache
def key_of(stack: Stack, role: str) -> str:
    """A key of that role."""
    made = stack.manage("create_api_key", f"{role} script", "--role", role)
    assert made.returncode == 0, made.stderr
    return made.stdout.strip()


class Script:
    """What a script does with curl."""

    def __init__(self, stack: Stack, role: str) -> None:
        self.key, self._stack = key_of(stack, role), stack

    def __call__(self, method: str, address: str, document: Any = None) -> tuple[int, Any]:
        """Status and answer, read where it is JSON."""
        connection = http.client.HTTPConnection("127.0.0.1", self._stack.port, timeout=30)
        try:
            body = None if document is None else json.dumps(document)
            path = address.removeprefix(self._stack.address)
            connection.request(method, path, body, {"X-Api-Key": self.key})
            answer = connection.getresponse()
            text = answer.read()
            is_json = answer.headers["Content-Type"].startswith("application/json")
            return answer.status, json.loads(text) if is_json else text
        finally:
            connection.close()


@pytest.fixture
def script(town: Town) -> Iterator[Script]:
    script = Script(town.stack, "write")
    yield script
    for check in script("GET", "/api/v3/checks/?tag=scripted")[1]["checks"]:
        script("DELETE", check["update_url"])


def test_a_script_makes_a_check_pings_it_reads_what_happened_and_removes_it(town: Town, script: Script):
    asked = {"name": "Scripted", "tags": "scripted", "timeout": 3600, "grace": 60, "unique": ["name"]}
    status, check = script("POST", "/api/v3/checks/", asked)
    assert (status, check["status"], check["timeout"]) == (201, "new", 3600)
    assert script("POST", "/api/v3/checks/", asked | {"grace": 120})[1]["grace"] == 120

    run = uuid4()
    for report, body in ((f"/start?rid={run}", None), (f"?rid={run}", {"rows": 7}), ("/fail", None), ("", None)):
        wait_until(
            lambda: script("POST", check["ping_url"] + report, body)[0] == 200,  # noqa: B023 - asked at once
            within=10,
            what="the ping is stored",
        )
    known = script("GET", check["update_url"])[1]
    assert (known["status"], known["n_pings"], known["started"]) == ("up", 4, False)
    assert known["last_ping"] < known["next_ping"]
    assert script("GET", "/api/v3/checks/?tag=scripted")[1] == {"checks": [known]}

    pings = script("GET", f"{check['update_url']}/pings/")[1]["pings"]
    assert [ping["type"] for ping in pings] == ["success", "fail", "success", "start"]
    assert (pings[2]["rid"], pings[2]["remote_addr"]) == (str(run), "127.0.0.1")
    assert 0 < pings[2]["duration"] < 60
    assert script("GET", pings[2]["body_url"]) == (200, b'{"rows": 7}')
    assert [flip["up"] for flip in script("GET", f"{check['update_url']}/flips/")[1]["flips"]] == [1, 0, 1]

    assert script("POST", check["pause_url"])[1]["status"] == "paused"
    assert script("POST", check["ping_url"])[0] == 200
    assert script("GET", check["update_url"])[1]["status"] == "paused"
    assert script("POST", check["resume_url"])[1]["status"] == "new"
    assert script("POST", check["resume_url"])[0] == 409
    assert script("DELETE", check["update_url"])[0] == 200
    assert script("GET", check["update_url"])[0] == 404
    assert script("POST", check["ping_url"])[0] == 404


def test_scripts_that_make_the_same_check_at_once_make_one(town: Town, script: Script):
    asked = {"name": "Together", "tags": "scripted", "unique": ["name"]}
    with ThreadPoolExecutor(8) as pool:
        answers = list(pool.map(lambda _: script("POST", "/api/v3/checks/", asked), range(8)))
    assert sorted(status for status, _ in answers) == [200] * 7 + [201]
    assert len({check["uuid"] for _, check in answers}) == 1


def test_what_stands_in_the_file_is_seen_and_not_changed(town: Town, script: Script):
    backup = script("GET", "/api/v3/checks/?slug=backup")[1]["checks"][0]
    names = {channel["id"]: channel["name"] for channel in script("GET", "/api/v3/channels/")[1]["channels"]}
    assert [names[channel] for channel in backup["channels"].split(",")] == ["ops-mail"]
    status, refused = script("POST", backup["update_url"], {"grace": 60})
    assert (status, "configuration file" in refused["error"]) == (403, True)
    reader = Script(town.stack, "read")
    seen = reader("GET", "/api/v3/checks/?slug=backup")[1]["checks"][0]
    assert seen.keys() - backup.keys() == {"unique_key"}
    assert reader("GET", f"/api/v3/checks/{seen['unique_key']}/flips/")[0] == 200
    assert reader("GET", "/api/v3/channels/")[0] == 401
    assert script("GET", "/api/v3/status/") == (200, b"OK")


CLIENT = """
import sys
from healthchecks_io import CheckCreate, CheckTrap, CheckUpdate, Client

client = Client(api_key=sys.argv[1], api_url=f"{sys.argv[2]}/api/", ping_url=f"{sys.argv[2]}/ping/", api_version=int(sys.argv[3]))
made = client.create_check(CheckCreate(name="Client", tags="scripted jobs", schedule="5 * * * *", tz="Europe/Riga", unique=["name"]))
assert made.status == "new", made
assert client.get_check(made.uuid).tags == "scripted jobs"
assert [check.name for check in client.get_checks(tags=["scripted"])] == ["Client"]
assert client.update_check(made.uuid, CheckUpdate(desc="Ask Ann.", grace=90, tz="UTC")).grace == 90
with CheckTrap(client, uuid=made.uuid):
    pass
assert client.fail_ping(uuid=made.uuid, data="disk full")[0]
assert client.exit_code_ping(0, uuid=made.uuid)[0]
pings = client.get_check_pings(made.uuid)
assert [ping.type for ping in pings] == ["success", "fail", "success", "start"], pings
assert client.get_check(made.uuid).status == "up"
assert "ops-mail" in [integration.name for integration in client.get_integrations()]
assert client.pause_check(made.uuid).status == "paused"
client.delete_check(made.uuid)
assert client.get_checks(tags=["scripted"]) == []
print("done")
"""


@pytest.mark.long
@pytest.mark.parametrize("version", ["1", "2", "3"])
def test_healthchecks_io_from_pypi_runs_unchanged(town: Town, script: Script, version: str):
    done = foreign.run("healthchecks-io", CLIENT, script.key, town.stack.address, version)
    assert (done.stdout, done.returncode) == ("done\n", 0), done.stderr
