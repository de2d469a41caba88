"""What the arguments mean before Django is loaded."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

import pytest

from monitoring.address import address_of

ROOT = Path(__file__).resolve().parents[2]
RUNNING, KEEPING = "up web worker notifier prepare plan apply export", "backup restore unmute prune"
COMMANDS = f"{RUNNING} {KEEPING}".split()


@pytest.mark.parametrize(
    ("host", "port", "address"),
    [
        ("127.0.0.1", 8000, "http://127.0.0.1:8000"),
        ("0.0.0.0", 80, "http://127.0.0.1:80"),
        ("::", 8000, "http://[::1]:8000"),
        ("::1", 8000, "http://[::1]:8000"),
        ("status.example.org", 8000, "http://status.example.org:8000"),
    ],
)
def test_the_address_is_one_that_a_browser_on_this_machine_can_open(host: str, port: int, address: str) -> None:
    assert address_of(host, port) == address


def run(*arguments: str, **env: str) -> subprocess.CompletedProcess[str]:
    inherited = {name: value for name, value in os.environ.items() if not name.startswith("STILLUP_")}
    command = [sys.executable, "manage.py", *arguments]
    return subprocess.run(
        command, cwd=ROOT, env={**inherited, **env}, capture_output=True, text=True, timeout=60, check=False
    )


def loaded(*arguments: str, tmp_path: Path) -> set[str]:
    """The modules that a command loads before it says how it is used."""
    done = run(*arguments, "--help", PYTHONVERBOSE="1", STILLUP_DATA_DIR=str(tmp_path))
    assert done.returncode == 0
    return {line.split("'")[1] for line in done.stderr.splitlines() if line.startswith("import '")}


@pytest.mark.parametrize("command", ["up", "worker", "mail_pings", "backup", "restore"])
def test_what_needs_no_django_loads_none(command: str, tmp_path: Path) -> None:
    modules = loaded(command, tmp_path=tmp_path)
    assert "monitoring.command_line" in modules
    assert {"django", "django.db", "apprise"} & modules == set()


def test_a_data_directory_that_is_given_is_made_for_nobody_else(tmp_path: Path) -> None:
    data = tmp_path / "data"
    assert run("prepare", STILLUP_DATA_DIR=str(data)).returncode == 0
    for path in (data, *data.iterdir()):
        assert path.stat().st_mode & 0o077 == 0, path.name


def test_an_unknown_argument_is_told_with_the_usage(tmp_path: Path) -> None:
    for command in ("up", "worker", "web", "mail_pings"):
        done = run(command, "--prot", "1", STILLUP_DATA_DIR=str(tmp_path))
        assert done.returncode == 2
        assert "usage: " in done.stderr
        assert "--prot" in done.stderr


@pytest.mark.parametrize("port", ["0", "70000", "-1", "http"])
def test_what_is_no_port_is_told_so(port: str, tmp_path: Path) -> None:
    done = run("up", f"--port={port}", STILLUP_DATA_DIR=str(tmp_path))
    assert done.returncode == 2
    assert f"'{port}' is no port; allowed: 1 to 65535" in done.stderr


def test_every_command_is_in_the_list(tmp_path: Path) -> None:
    done = run("help", "--commands", STILLUP_DATA_DIR=str(tmp_path))
    assert set(COMMANDS) <= set(done.stdout.split())
