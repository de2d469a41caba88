"""Starting, dying, stopping: what `manage.py up` promises of its processes."""

from __future__ import annotations

import json
import re
import signal
import time
from pathlib import Path

import psutil
import pytest

from tests.journeys.conftest import StartStack
from tests.journeys.ports import accepts, free_port
from tests.journeys.stack import ROLES, Stack, environment, manage
from tests.waiting import wait_until

pytestmark = [pytest.mark.journey, pytest.mark.timeout(300)]


@pytest.fixture
def database() -> str:
    """Processes are the same on either database."""
    return "sqlite"


def alive(processes: list[psutil.Process]) -> list[psutil.Process]:
    """Those that still run. A zombie whose parent is gone does not."""
    found = []
    for process in processes:
        try:
            if process.is_running() and process.status() != psutil.STATUS_ZOMBIE:
                found.append(process)
        except psutil.NoSuchProcess:
            continue
    return found


def wait_for_another(stack: Stack, role: str, killed: int) -> None:
    wait_until(
        lambda: (child := stack.find(role)) is not None and child.pid != killed, within=8, what=f"another {role}"
    )


def test_a_child_that_dies_is_started_again_at_once_and_then_more_and_more_slowly(start_stack: StartStack) -> None:
    stack = start_stack()
    stack.get("/")
    resident = {role: (child.memory_info().rss >> 20) for role in ROLES if (child := stack.find(role)) is not None}
    assert set(resident) == set(ROLES)
    assert sum(resident.values()) <= 350, f"the three processes stay small: {resident} MB"

    web = stack.find("web")
    assert web is not None
    below = [web, *web.children(recursive=True)]
    for role in ROLES:
        wait_for_another(stack, role, stack.kill(role))
    assert alive(below) == [], "nothing of the old web is left, so nothing holds the port"
    for _ in range(2):
        wait_for_another(stack, "worker", stack.kill("worker"))
    stack.wait_ready()
    pauses = re.findall(r"(\w+) ended with SIGKILL; starting it again in (\d+) s", stack.log)
    assert sorted(pauses) == [("notifier", "0"), ("web", "0"), ("worker", "0"), ("worker", "1"), ("worker", "2")]


def test_nothing_of_ours_outlives_a_killed_up_and_its_successor_finds_everything_free(start_stack: StartStack) -> None:
    stack = start_stack()
    family = stack.kill_up()
    assert len(family) >= len(ROLES)
    wait_until(lambda: not alive(family) and not accepts(stack.port), within=2, what="nothing runs and nothing listens")
    stack.start()


@pytest.mark.parametrize("number", [signal.SIGTERM, pytest.param(signal.SIGINT, marks=pytest.mark.long)])
def test_a_signal_to_stop_ends_everything_in_time(start_stack: StartStack, number: signal.Signals) -> None:
    stack = start_stack(STILLUP_LOG_FORMAT="json")
    assert stack.process is not None
    wait_for_another(stack, "notifier", stack.kill("notifier"))
    wait_until(lambda: "  admin  " in stack.log, within=60, what="the greeting")
    family = stack.family()
    begun = time.monotonic()
    stack.process.send_signal(number)
    assert stack.process.wait(15) == 0
    assert time.monotonic() - begun < 15
    assert alive(family) == []
    assert not accepts(stack.port)
    stack.process = None

    # Every line of the log is JSON; what is not is the greeting, which is for the person at the terminal.
    events = [json.loads(line) for line in stack.log.splitlines() if line.startswith("{")]
    assert {event["process"] for event in events} >= {"up", *ROLES}
    assert any(event.get("action") == "child_died" for event in events)
    assert not any(event.get("action") == "child_killed" for event in events)
    rest = [line.strip() for line in stack.log.splitlines() if line and not line.startswith("{")]
    assert [line.split("  ")[0] for line in rest] == ["Stillup is running.", "status page", "dashboard", "admin"]


def test_a_second_up_on_the_same_data_is_refused_with_the_number_of_the_first(
    start_stack: StartStack, tmp_path: Path
) -> None:
    stack = start_stack()
    assert stack.process is not None
    second = stack.manage("up", "--port", str(stack.port))
    assert second.returncode == 78
    assert f"process {stack.process.pid}" in second.stderr
    assert "Traceback" not in second.stderr

    # On other data it is the port that is taken.
    env = {**stack.env, "STILLUP_DATA_DIR": str(tmp_path / "other")}
    other = manage("up", "--port", str(stack.port), env=env)
    assert other.returncode == 78
    assert f"port {stack.port}" in other.stderr
    assert "--port" in other.stderr


def test_a_wrong_configuration_stops_the_start_with_every_mistake_named(tmp_path: Path) -> None:
    config = tmp_path / "config.yaml"
    config.write_text(
        "monitors:\n  - name: Shop\n    kind: htpp\n    url: x\n  - name: Port\n    kind: tcp\n    adress: a:1\n"
    )
    done = manage("up", "--port", str(free_port()), "--config", str(config), env=environment(tmp_path / "data"))
    assert done.returncode == 78
    for said in ("config.yaml:3", "did you mean http?", "config.yaml:7", "did you mean address?"):
        assert said in done.stderr
    assert "Traceback" not in done.stderr


@pytest.mark.parametrize(
    ("name", "value"),
    [
        ("STILLUP_DATABASE_URL", "mysql://localhost/x"),
        ("STILLUP_BASE_URL", "status.example.org"),
        ("STILLUP_LOG_FORMAT", "xml"),
        ("STILLUP_SECRET_KEY_FILE", "/nowhere/secret"),
    ],
)
def test_a_wrong_environment_stops_the_start_with_a_sentence(name: str, value: str, tmp_path: Path) -> None:
    done = manage("up", "--port", str(free_port()), env={**environment(tmp_path / "data"), name: value})
    assert done.returncode == 78, done.stderr
    assert name in done.stderr
    assert "Traceback" not in done.stderr
