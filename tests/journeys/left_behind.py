"""Data directories that earlier versions left behind, as text: what an upgrade begins with.

`python -m tests.journeys.left_behind NAME` runs the present version for a while and keeps what it leaves under that
name. Made once a version and never changed: an upgrade must read what was, not what should have been.
"""

from __future__ import annotations

import shutil
import sqlite3
import subprocess
import sys
import tempfile
from contextlib import closing
from pathlib import Path

from tests import postgres
from tests.journeys.ports import free_port
from tests.journeys.stack import Stack
from tests.waiting import wait_until

KEPT = Path(__file__).parent / "versions"
KEYS = ("data.key", "secret.key")
FILES = ("config", "measurements")
# Nobody listens on port 9, so the first of them is down, with an incident that is open when the version ends.
CONFIGURATION = """
defaults: {interval: 1s, timeout: 1s, failures: 1, successes: 1, retry_interval: 1s}
monitors:
  - {name: Shop, kind: http, url: "http://127.0.0.1:9/", username: shop, password: a secret}
  - {name: Backup, kind: heartbeat, schedule: {every: 30d}, grace: 1h}
channels: [{name: hook, url: "json://127.0.0.1:PORT/json"}]
alert_rules: [{name: Anything, when: down, notify: [hook]}]
status_pages: [{slug: public, title: Kept, groups: [{name: G, components: [{monitor: shop, name: The shop}]}]}]
"""


def restore(kept: Path, data: Path, database: str) -> None:
    """Make the data directory, or fill the PostgreSQL database, as that version left them."""
    data.mkdir(parents=True)
    for name in KEYS:
        shutil.copy(kept / name, data / name)
    if database:
        subprocess.run(
            [postgres.INSTALLED / "bin" / "psql", "--quiet", "--no-psqlrc", "-v", "ON_ERROR_STOP=1", "-f", kept / "postgresql.sql", database],
            check=True, capture_output=True,
        )  # fmt: skip
        return
    for name in FILES:
        with closing(sqlite3.connect(data / f"{name}.sqlite3")) as conn:
            conn.executescript((kept / f"{name}.sql").read_text(encoding="utf-8"))


def _keep(name: str, database: str) -> None:
    kept = KEPT / name / database
    kept.mkdir(parents=True, exist_ok=True)
    with tempfile.TemporaryDirectory() as directory:
        configuration = CONFIGURATION.replace("PORT", str(free_port()))
        with Stack(Path(directory), database, configuration) as stack:
            stack.get(stack.monitors()["backup"]["ping_url"])
            stack.wait_status("shop", "down")
            stack.wait_status("backup", "up")
            wait_until(lambda: "The shop" in stack.get("/")[1], within=30, what="the page shows it")
        for key in KEYS:
            shutil.copy(stack.data / key, kept / f"{key}")
        if database == "postgresql":
            dump = [
                postgres.INSTALLED / "bin" / "pg_dump",
                "--inserts",
                "--no-owner",
                "--no-privileges",
                stack.database,
            ]
            done = subprocess.run(dump, check=True, capture_output=True, text=True)
            (kept / "postgresql.sql").write_text(done.stdout, encoding="utf-8")
            return
        for file in FILES:
            with closing(sqlite3.connect(stack.data / f"{file}.sqlite3")) as conn:
                (kept / f"{file}.sql").write_text("\n".join(conn.iterdump()) + "\n", encoding="utf-8")


if __name__ == "__main__":
    for each in ("sqlite", "postgresql"):
        _keep(sys.argv[1], each)
