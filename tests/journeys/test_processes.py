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
from tests.journeys.stack import ROLES, environment, manage, wait_until

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


@pytest.mark.parametrize("role", ROLES)
def test_a_child_that_dies_is_started_again_at_once(start_stack: StartStack, role: str) -> None:
    stack = start_stack()
    killed = stack.kill(role)
    again = wait_until(
        lambda: (child := stack.find(role)) is not None and child.pid != killed, within=3, what=f"a new {role}"
    )
    assert again
    stack.wait_ready()
    assert f"{role} ended with SIGKILL" in stack.log


def test_a_child_that_keeps_dying_is_started_more_and_more_slowly(start_stack: StartStack) -> None:
    stack = start_stack()
    for _ in range(3):
        stack.kill("worker")
        wait_until(lambda: stack.find("worker"), within=6, what="a new worker")
    pauses = re.findall(r"worker ended with SIGKILL; starting it again in (\d+) s", stack.log)
    assert pauses == ["0", "1", "2"]


def test_nothing_of_ours_outlives_a_killed_up(start_stack: StartStack) -> None:
    stack = start_stack()
    family = stack.kill_up()
    assert len(family) >= len(ROLES)
    wait_until(lambda: not alive(family) and not accepts(stack.port), within=2, what="nothing runs and nothing listens")
    stack.start()  # and its successor finds everything free


def test_nothing_holds_the_port_of_a_killed_web(start_stack: StartStack) -> None:
    stack = start_stack()
    web = stack.find("web")
    assert web is not None
    below = [web, *web.children(recursive=True)]
    stack.kill("web")
    wait_until(lambda: not alive(below), within=2, what="nothing of the old web runs")
    wait_until(lambda: stack.get("/healthz")[0] == 200, within=20, what="a new web answers")


@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGINT])
def test_a_signal_to_stop_ends_everything_in_time(start_stack: StartStack, number: signal.Signals) -> None:
    stack = start_stack()
    assert stack.process is not None
    family = stack.family()
    begun = time.monotonic()
    stack.process.send_signal(number)
    assert stack.process.wait(15) == 0
    assert time.monotonic() - begun < 15
    assert alive(family) == []
    assert not accepts(stack.port)
    assert "was killed" not in stack.log
    assert "Traceback" not in stack.log
    stack.start()


def test_a_second_up_on_the_same_data_is_refused_with_the_number_of_the_first(start_stack: StartStack) -> None:
    stack = start_stack()
    assert stack.process is not None
    second = stack.manage("up", "--port", str(stack.port))
    assert second.returncode == 78
    assert f"process {stack.process.pid}" in second.stderr
    assert "Traceback" not in second.stderr


def test_a_port_that_is_taken_is_said_so(start_stack: StartStack, tmp_path) -> None:
    stack = start_stack()
    env = {**stack.env, "STILLUP_DATA_DIR": str(tmp_path / "other")}
    other = manage("up", "--port", str(stack.port), env=env)
    assert other.returncode == 78
    assert f"port {stack.port}" in other.stderr
    assert "--port" in other.stderr


def test_a_wrong_configuration_stops_the_start_with_every_mistake_named(start_stack: StartStack) -> None:
    stack = start_stack()
    stack.stop()
    stack.write_config(
        "monitors:\n  - name: Shop\n    kind: htpp\n    url: x\n  - name: Port\n    kind: tcp\n    adress: a:1\n"
    )
    done = stack.manage("up", "--port", str(stack.port), "--config", str(stack.config))
    assert done.returncode == 78
    assert "config.yaml:3" in done.stderr
    assert "http" in done.stderr
    assert "config.yaml:7" in done.stderr
    assert "address" in done.stderr
    assert "Traceback" not in done.stderr
    stack.config.unlink()
    stack.start()


def test_a_wrong_environment_stops_the_start_with_a_sentence(tmp_path: Path) -> None:
    env = environment(tmp_path / "data")
    for name, value in (
        ("STILLUP_DATABASE_URL", "mysql://localhost/x"),
        ("STILLUP_BASE_URL", "status.example.org"),
        ("STILLUP_LOG_FORMAT", "xml"),
        ("STILLUP_SECRET_KEY_FILE", "/nowhere/secret"),
    ):
        done = manage("up", "--port", str(free_port()), env={**env, name: value})
        assert done.returncode == 78, (name, done.stderr)
        assert name in done.stderr
        assert "Traceback" not in done.stderr


def test_every_line_of_the_log_is_json_when_asked_for(start_stack: StartStack) -> None:
    stack = start_stack(STILLUP_LOG_FORMAT="json")
    killed = stack.kill("notifier")
    wait_until(lambda: (child := stack.find("notifier")) and child.pid != killed, within=5, what="a new notifier")
    stack.stop()
    lines = [line for line in stack.log.splitlines() if line.startswith("{")]
    events = [json.loads(line) for line in lines]
    assert {event["process"] for event in events} >= {"up", *ROLES}
    assert any(event.get("action") == "child_died" for event in events)
    # What is not JSON is the greeting, which is for the person at the terminal.
    rest = "\n".join(line for line in stack.log.splitlines() if not line.startswith("{"))
    assert "Traceback" not in rest
    stack.start()


def test_the_three_processes_stay_small(start_stack: StartStack) -> None:
    stack = start_stack()
    stack.get("/")
    resident = {role: (child.memory_info().rss >> 20) for role in ROLES if (child := stack.find(role)) is not None}
    assert set(resident) == set(ROLES)
    assert sum(resident.values()) <= 350, resident
