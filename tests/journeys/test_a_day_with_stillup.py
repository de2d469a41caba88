"""What a person does besides waiting for an outage: starts it, edits, adds, reads figures, writes a post-mortem."""

from __future__ import annotations

import re
import subprocess
import sys
import time
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests import postgres
from tests.journeys.person import Person
from tests.journeys.ports import free_port
from tests.journeys.stack import ROOT, Stack, environment
from tests.journeys.town import Town
from tests.waiting import wait_until

pytestmark = [pytest.mark.journey, pytest.mark.timeout(300)]


def page_text(stack: Stack, path: str = "/") -> str:
    return " ".join(re.sub(r"<(style|script).*?</\1>|<[^>]+>", " ", stack.get(path)[1], flags=re.DOTALL).split())


@pytest.fixture
def fresh_database(database: str) -> str:
    return postgres.fresh_database() if database == "postgresql" else ""


@pytest.fixture
def first_start(tmp_path: Path, fresh_database: str) -> Iterator[tuple[subprocess.Popen[str], Stack]]:
    """`manage.py up --config config.example.yaml` on nothing at all, as `make run` starts it, on a free port."""
    port = free_port()
    config = ROOT / "config.example.yaml"
    env = environment(tmp_path / "data", fresh_database)
    del env["STILLUP_ADMIN_USER"], env["STILLUP_ADMIN_PASSWORD"]
    command = [sys.executable, "manage.py", "up", "--config", str(config), "--port", str(port)]
    with (tmp_path / "log").open("w") as log:
        process = subprocess.Popen(command, env=env, cwd=ROOT, stdout=log, stderr=subprocess.STDOUT, text=True)
    stack = Stack.attach(tmp_path, port, env, fresh_database)
    try:
        yield process, stack
    finally:
        process.terminate()
        assert process.wait(15) == 0


@pytest.mark.long_on("postgresql")
def test_from_nothing_to_a_page_with_one_command(
    first_start: tuple[subprocess.Popen[str], Stack],
) -> None:
    process, stack = first_start
    wait_until(lambda: "Stillup is running." in stack.log, within=60, what="the terminal says that it runs")
    for path in ("/", "/dashboard/", "/admin/"):
        assert f"{stack.address}{path}\n" in stack.log
    found = re.search(r"sign in as\s+admin, password (\S+) \(shown once\)", stack.log)
    assert found is not None
    assert stack.log.count(found[1]) == 1
    wait_until(lambda: "Website" in page_text(stack), within=20, what="the page shows the example's components")
    assert all(name in page_text(stack) for name in ("Example status", "Website", "Network", "Backup"))
    wait_until(lambda: stack.status("stillup-web") == "up", within=60, what="the server is up by its own monitor")
    with Person(stack, password=found[1]) as person:
        dashboard = person.read("/dashboard/").text
        assert all(name in dashboard for name in ("Stillup web", "Stillup port", "Nightly backup"))
    assert process.poll() is None


@pytest.mark.long_on("sqlite")
def test_an_edited_file_is_planned_applied_and_taken_up_within_seconds(town: Town, tmp_path: Path) -> None:
    stack, url = town.stack, town.servers["steady"].url
    more = [f"  - {{name: {name}, kind: http, url: '{url}', interval: 1s}}\n" for name in ("one", "two")]
    elsewhere = tmp_path / "edited.yaml"
    elsewhere.write_text(town.configuration(more[0]), encoding="utf-8")
    plan = stack.manage("plan", str(elsewhere))
    assert plan.returncode == 0
    assert "create monitor one" in plan.stdout
    assert stack.status("one") == ""
    assert stack.manage("apply", str(elsewhere)).returncode == 0
    stack.wait_status("one", "up", within=45)

    # The file that `up` was started with is applied again by itself.
    stack.write_config(town.configuration("".join(more)))
    stack.wait_status("two", "up", within=45)

    # A mistake leaves everything as it is, and is said with its place.
    stack.write_config(town.configuration("".join(more)).replace("name: two, kind: http", "name: two, kind: htttp"))
    wait_until(lambda: "unknown kind 'htttp'; did you mean http?" in stack.log, within=45, what="the mistake is said")
    assert stack.status("two") == "up"
    stack.write_config(town.configuration("".join(more)))


def test_a_monitor_added_in_the_admin_is_probed_within_seconds(town: Town) -> None:
    stack, server = town.stack, town.servers["steady"]
    with Person(stack) as person:
        form = person.read("/admin/monitoring/monitor/add/?kind=http").form_with("url")
        address = f"{server.url}by-hand"
        form |= {"name": "By hand", "url": address, "interval": "1s", "expect": "status == 200\nlatency < 5s"}
        person.send("/admin/monitoring/monitor/add/?kind=http", form)
        stack.wait_status("by-hand", "up", within=15)
        assert "/by-hand" in server.seen
        text = person.read("/dashboard/").text
        assert "By hand http nobody is told" in text, "no rule and no page mention it, and it says so"
        assert "Shop http nobody is told" not in text


@pytest.mark.long_on("postgresql")
def test_a_job_that_stops_pinging_is_down_after_its_grace_and_says_when_it_was_heard(town: Town) -> None:
    stack = town.stack
    url = stack.monitors()["backup"]["ping_url"]
    for _ in range(4):
        assert stack.get(url)[0] == 200
        time.sleep(1)
    assert stack.status("backup") == "up"
    heard = time.monotonic()
    assert stack.get(url)[0] == 200
    stack.wait_status("backup", "down", within=20)
    assert time.monotonic() - heard >= 4, "not before the grace was over"
    town.wait_told("Backup", 1, "mail")
    message = town.told("mail", "Backup")[0].text
    assert "Backup is down" in message
    assert "heard" in message
    assert stack.get(url)[0] == 200
    stack.wait_status("backup", "up", within=5)
    town.wait_told("Backup", 2, "mail")
    assert stack.get("/ping/00000000-0000-0000-0000-000000000000")[0] == 404


FIGURE = r"[\d.,]+ (?:ms|µs|s)"


def test_percentiles_of_an_hour_a_day_and_a_month_stand_on_the_monitors_page(town: Town) -> None:
    wait_until(lambda: len(town.servers["steady"].seen) >= 5, within=30, what="five probes")
    with Person(town.stack) as person:
        for window in ("hour", "day", "week", "month"):
            text = person.read(f"/dashboard/monitors/steady/?window={window}").text
            assert re.search(rf"Latency( {FIGURE}){{8}} \d+ 0", text), text


@pytest.mark.long_on("postgresql")
def test_a_post_mortem_is_written_published_and_read_by_everybody(town: Town) -> None:
    stack, server = town.stack, town.servers["blog"]
    stack.wait_status("blog", "up")
    server.stop()
    stack.wait_status("blog", "down")
    server.start()
    stack.wait_status("blog", "up")
    stack.wait_quiet()
    (incident,) = [found for found in stack.incidents() if found["monitor"] == "blog"]
    edit = f"/admin/monitoring/incident/{incident['id']}/change/"
    public = f"/incidents/{incident['id']}/"
    with Person(stack) as person:
        form = person.read(edit).form_with("post_mortem-0-markdown")
        form["post_mortem-0-markdown"] = "## Why\n\nThe **index** was empty. <script>alert(1)</script>"
        person.send(edit, form)
        assert "was empty" not in stack.get(public)[1], "not public yet"
        page = person.read(edit)
        person.press(page, next(label for label in page.buttons if "ublish" in label))
    wait_until(lambda: "<strong>index</strong>" in stack.get(public)[1], within=15, what="it stands on its page")
    assert "<script>alert" not in stack.get(public)[1]


@pytest.mark.long
@pytest.mark.timeout(300)
def test_percentiles_stand_on_the_dashboard_once_they_were_rolled_up(town: Town) -> None:
    with Person(town.stack) as person:
        wait_until(
            lambda: re.search(rf"Steady http .*? {FIGURE} {FIGURE} {FIGURE} 100 %", person.read("/dashboard/").text),
            within=100,
            what="p50 and p95 of 24 hours stand on the dashboard",
            every=2,
        )
