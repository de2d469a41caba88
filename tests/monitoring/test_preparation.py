"""Databases are brought to this version once, by one process, and a wrong version is refused with what to do."""

from __future__ import annotations

import os
import sqlite3
import subprocess
import sys
from contextlib import closing
from pathlib import Path

import psycopg
import pytest

from tests import postgres

ROOT = Path(__file__).resolve().parents[2]


def start(command: str, data: Path, database: str = "") -> subprocess.Popen[str]:
    env = {name: value for name, value in os.environ.items() if not name.startswith("STILLUP_")}
    env |= {"STILLUP_DATA_DIR": str(data), "STILLUP_ADMIN_PASSWORD": "correct horse battery staple"}
    if database:
        env["STILLUP_DATABASE_URL"] = database
    return subprocess.Popen(
        [sys.executable, "manage.py", command],
        cwd=ROOT,
        env=env,
        text=True,
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
    )


def run(command: str, data: Path, database: str = "") -> tuple[int, str]:
    with start(command, data, database) as process:
        said = process.communicate(timeout=60)[1]
    return process.returncode, said


@pytest.fixture(params=["sqlite", "postgresql"])
def database(request: pytest.FixtureRequest) -> str:
    return postgres.fresh_database() if request.param == "postgresql" else ""


def execute(data: Path, database: str, statement: str, *, store: bool = False) -> None:
    if database:
        with psycopg.connect(database, options="-c search_path=measurements,public") as conn:
            conn.execute(statement.encode())
        return
    with closing(sqlite3.connect(data / ("measurements.sqlite3" if store else "config.sqlite3"))) as conn:
        conn.execute(statement)
        conn.commit()


@pytest.mark.long_on("sqlite")
def test_several_that_prepare_at_once_take_turns(tmp_path: Path, database: str) -> None:
    running = [start("prepare", tmp_path / "data", database) for _ in range(3)]
    ended = [(process.communicate(timeout=90)[1], process.returncode) for process in running]
    assert [status for _, status in ended] == [0, 0, 0], ended


@pytest.mark.long
def test_what_a_newer_version_made_is_refused_and_left_alone(tmp_path: Path, database: str) -> None:
    data = tmp_path / "data"
    assert run("prepare", data, database)[0] == 0
    execute(data, database, "UPDATE store_revision SET version_num = '9999' || version_num", store=True)
    for command in ("prepare", "worker", "notifier"):
        status, said = run(command, data, database)
        assert status == 78, (command, said)
        assert "revision 9999" in said
        assert "a newer Stillup made them; install that version here too" in said
        assert "Traceback" not in said
    execute(data, database, "UPDATE store_revision SET version_num = substr(version_num, 5)", store=True)
    execute(
        data, database,
        "INSERT INTO django_migrations (app, name, applied) VALUES ('monitoring', '9999_later', '2030-01-01 00:00:00')",
    )  # fmt: skip
    for command in ("prepare", "web"):
        status, said = run(command, data, database)
        assert status == 78, (command, said)
        assert "has migration 9999_later, which this version does not know" in said


@pytest.mark.long_on("postgresql")
def test_a_process_that_is_started_on_nothing_says_what_is_missing(tmp_path: Path, database: str) -> None:
    for command in ("web", "notifier", "worker"):
        status, said = run(command, tmp_path / "data", database)
        assert status == 78, (command, said)
        assert "`manage.py" in said
        assert "Traceback" not in said


def test_a_database_that_is_away_is_told_without_its_password(tmp_path: Path) -> None:
    status, said = run("prepare", tmp_path / "data", "postgresql://stillup:very-secret@127.0.0.1:9/stillup")
    assert status == 78
    assert "can't be used" in said
    assert "very-secret" not in said
    assert "Traceback" not in said
