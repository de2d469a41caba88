"""What a person copies is run here, as far as this machine can, and reports to a server that remembers."""

from __future__ import annotations

import os
import shlex
import subprocess
import sys
import textwrap
from pathlib import Path
from urllib.parse import urlsplit

import pytest
import yaml

from checks.schedule import Schedule
from monitoring.operator.recipes import recipes
from tests.servers import Target, Visit

BEAT = Path(__file__).resolve().parents[3] / "clients" / "beat"
NIGHTLY = Schedule(cron=("30 0 3 * * *", "15 4 * * 1-5"))


def hears(visit: Visit) -> None:
    visit.read_request()
    visit.send(b"HTTP/1.1 200 OK\r\nContent-Length: 2\r\nConnection: close\r\n\r\nok")


def text_of(key: str, url: str = "http://127.0.0.1:9/ping/code") -> str:
    return next(recipe.text for recipe in recipes(url, NIGHTLY) if recipe.key == key)


def run(*command: str, **environment: str) -> int:
    env = {"PATH": os.environ["PATH"], **environment}
    return subprocess.run(command, env=env, timeout=30, check=False).returncode


def cron(text: str, job: str) -> int:
    when, command = text[:12], text[13:]
    assert when == "15 4 * * 1-5"  # what a crontab can't say is left out
    assert "%" not in command  # there it would be a new line
    return run("/bin/sh", "-c", command.replace("your-job", job))


def beat(text: str, job: str, directory: Path) -> int:
    command = text[13:].replace("beat", str(BEAT), 1).replace("your-job", job)
    return run("/bin/sh", "-c", command, BEAT_SPOOL=str(directory))


def systemd(text: str, job: str) -> None:
    """As systemd does: `-` before a command forgives it, `$$` is a dollar."""
    lines = dict(line.split("=", 1) for line in text.splitlines()[1:])
    before, after = (shlex.split(lines[name].removeprefix("-")) for name in ("ExecStartPre", "ExecStopPost"))
    assert run(*before) == 0
    result = "success" if run("/bin/sh", "-c", job) == 0 else "exit-code"
    assert run(*(word.replace("$$", "$") for word in after), SERVICE_RESULT=result) == 0


def bash(text: str, job: str) -> int:
    return run("bash", "-c", f"{text}\n{job}\n")


def python(text: str, job: str) -> int:
    defined = f"import subprocess\ndef your_job(): subprocess.run({shlex.split(job)!r}, check=True)\n"
    return run(sys.executable, "-c", defined + text)


def github(text: str, job: str) -> int:
    (step,) = yaml.safe_load(textwrap.dedent(text))
    assert step["if"] == "always()"
    status = "success" if run("/bin/sh", "-c", job) == 0 else "failure"
    return run("bash", "-e", "-c", step["run"].replace("${{ job.status }}", status))


def kubernetes(text: str, job: str) -> int:
    container = yaml.safe_load(textwrap.dedent(text))
    (script,) = container["args"]
    return run(*container["command"], script.replace("your-job", job))


CASES = {
    "cron": (cron, ["/0"], ["/3"]),
    "systemd": (systemd, ["/start", "/0"], ["/start", "/fail"]),
    "bash": (bash, ["/start", "/0"], ["/start", "/3"]),
    "python": (python, ["/start", "/0"], ["/start", "/fail"]),
    "github": (github, ["/0"], ["/fail"]),
    "kubernetes": (kubernetes, ["/start", "/0"], ["/start", "/3"]),
}


def reported(target: Target) -> list[str]:
    paths = [request.split()[1].decode() for request in target.requests]
    assert all(path.startswith("/ping/code") for path in paths)
    return [urlsplit(path).path.removeprefix("/ping/code") for path in paths]


@pytest.mark.parametrize("key", CASES)
def test_a_recipe_reports_success_and_failure(key):
    does, success, failure = CASES[key]
    with Target(hears) as target:
        text = text_of(key, target.url("/ping/code"))
        does(text, "sh -c 'exit 0'")
        assert reported(target) == success
        target.requests.clear()
        does(text, "sh -c 'exit 3'")
        assert reported(target) == failure


def test_beat_reports_and_passes_the_exit_code_on(tmp_path):
    with Target(hears) as target:
        assert beat(text_of("beat", target.url("/ping/code")), "sh -c 'exit 3'", tmp_path) == 3
        assert reported(target) == ["/start", "/3"]


@pytest.mark.parametrize("key", ["bash", "kubernetes"])
def test_a_job_ends_as_it_would_without_us_where_nobody_hears_it(key, unused_port):
    does = CASES[key][0]
    text = text_of(key, f"http://127.0.0.1:{unused_port}/ping/code").replace("--retry 5", "--retry 0")
    assert does(text, "exit 3" if key == "bash" else "sh -c 'exit 3'") == 3


def test_every_recipe_asks_again_and_not_for_ever():
    for recipe in recipes("https://stillup.example.org/ping/code", NIGHTLY):
        assert "https://stillup.example.org/ping/code" in recipe.text
        assert "<" not in recipe.text
        if "curl" in recipe.text:
            assert recipe.text.count("curl ") == recipe.text.count(
                "--fail --silent --show-error --retry 5 --retry-connrefused --max-time 10"
            )


@pytest.mark.parametrize(
    ("schedule", "line"),
    [
        (Schedule(cron=("@daily",)), "@daily"),
        (Schedule(cron=("30 0 3 * * *",)), "0 3 * * *"),
        (Schedule(every=60.0), "0 3 * * *"),
        (Schedule(oncalendar=("Mon 03:00",)), "0 3 * * *"),
    ],
)
def test_a_crontab_line_has_the_monitors_own_time_where_it_can_say_it(schedule, line):
    assert recipes("http://x/ping/code", schedule)[0].text.startswith(f"{line} your-job; curl ")
