"""The whole product as a person runs it: `manage.py up` with its children, its databases and its log."""

from __future__ import annotations

import atexit
import http.client
import json
import os
import shutil
import signal
import sqlite3
import subprocess
import sys
import time
from collections.abc import Mapping
from contextlib import closing
from functools import cache
from pathlib import Path
from tempfile import mkdtemp
from types import TracebackType
from typing import Any, Self

import psutil
import psycopg
import psycopg.rows
import sqlalchemy as sa

from tests import postgres
from tests.journeys.ports import accepts, free_port
from tests.waiting import wait_until

ROOT = Path(__file__).resolve().parents[2]
PASSWORD = "correct horse battery staple"
ROLES = ("web", "worker", "notifier")
START, STOP = 60.0, 15.0  # seconds: generous where the machine may be slow, exact where a promise is tested


def environment(directory: Path, database: str = "", **more: str) -> dict[str, str]:
    """The environment of a command: nothing of the person's own settings, all of the test's."""
    inherited = {name: value for name, value in os.environ.items() if not name.startswith("STILLUP_")}
    for name in ("DJANGO_SETTINGS_MODULE", "http_proxy", "https_proxy", "HTTP_PROXY", "HTTPS_PROXY", "CI"):
        inherited.pop(name, None)
    own = {
        "STILLUP_DATA_DIR": str(directory),
        "STILLUP_ADMIN_USER": "admin",
        "STILLUP_ADMIN_PASSWORD": PASSWORD,
        "PYTHONPATH": "",
        "PYTHONWARNINGS": "default",
    }
    return inherited | own | ({"STILLUP_DATABASE_URL": database} if database else {}) | more


def manage(*arguments: str, env: Mapping[str, str], within: float = 60.0) -> subprocess.CompletedProcess[str]:
    """One command of `manage.py`, ended."""
    command = [sys.executable, str(ROOT / "manage.py"), *arguments]
    return subprocess.run(command, env=dict(env), cwd=ROOT, capture_output=True, text=True, timeout=within, check=False)


@cache
def template(database: str) -> tuple[Path, str]:
    """A prepared data directory and, on PostgreSQL, the name of a prepared database: what every stack copies."""
    directory = Path(mkdtemp(prefix="stillup-template-"))
    atexit.register(shutil.rmtree, directory, ignore_errors=True)
    name = postgres.server().create_database(prefix="stack_template") if database == "postgresql" else ""
    done = manage("prepare", env=environment(directory, postgres.server().url(name) if name else ""))
    assert done.returncode == 0, done.stderr
    return directory, name


class Stack:
    """A running installation. Leave the block, and it must have stopped cleanly with nothing left behind."""

    def __init__(
        self, directory: Path, database: str, config: str = "", *, lease: str = "2s", fresh: bool = False, **env: str
    ) -> None:
        """In `directory`, on `database`; `fresh` begins with neither a data directory nor tables."""
        self.directory = directory
        self.data = directory / "data"
        self.port = free_port()
        self.address = f"http://127.0.0.1:{self.port}"
        self.config = directory / "config.yaml"
        self.lease = lease
        self._log = directory / "log"
        self.database = postgres.fresh_database() if fresh and database == "postgresql" else ""
        if not fresh:
            prepared, name = template(database)
            shutil.copytree(prepared, self.data)
            server = postgres.server() if name else None
            self.database = server.url(server.create_database(template=name, prefix="stack")) if server else ""
        self.env = environment(self.data, self.database, STILLUP_BASE_URL=self.address, **env)
        self.process: subprocess.Popen[bytes] | None = None
        if config:
            self.write_config(config)

    @classmethod
    def attach(cls, directory: Path, port: int, env: dict[str, str], database: str = "") -> Self:
        """An installation that somebody else started and stops."""
        stack = cls.__new__(cls)
        stack.directory, stack.data, stack._log = directory, directory / "data", directory / "log"
        stack.port, stack.address, stack.env, stack.database = port, f"http://127.0.0.1:{port}", env, database
        stack.process = None
        return stack

    def __enter__(self) -> Self:
        self.start()
        return self

    def __exit__(self, kind: type[BaseException] | None, exc: BaseException | None, tb: TracebackType | None) -> None:
        if kind is not None:
            print(self.log[-20_000:])
        if self.process is not None:
            self.stop(check=kind is None)

    # Starting and stopping

    def write_config(self, text: str) -> None:
        """Replace the configuration file in one step, as an editor does."""
        beside = self.config.with_suffix(".new")
        beside.write_text(text, encoding="utf-8")
        beside.replace(self.config)

    def start(self, *, ready: bool = True, **env: str) -> None:
        """`manage.py up`, until it is ready."""
        arguments = ["up", "--port", str(self.port), "--lease", self.lease]
        if self.config.exists():
            arguments += ["--config", str(self.config)]
        with self._log.open("ab") as log:
            self.process = subprocess.Popen(
                [sys.executable, str(ROOT / "manage.py"), *arguments],
                env={**self.env, **env},
                cwd=ROOT,
                stdin=subprocess.DEVNULL,
                stdout=log,
                stderr=subprocess.STDOUT,
            )
        if ready:
            self.wait_ready()

    def wait_ready(self) -> None:
        """Web answers, and worker and notifier gave signs of life."""

        def ready() -> bool:
            assert self.process is not None
            assert self.process.poll() is None, f"up ended with {self.process.returncode}:\n{self.log[-8000:]}"
            return self.get("/readyz")[0] == 200

        try:
            wait_until(ready, within=START, what="the installation is ready")
        except AssertionError:
            print(self.log[-20_000:])
            raise

    def stop(self, *, check: bool = True) -> None:
        """SIGTERM to `up`; with `check` it must have ended cleanly and in time, with nothing left behind."""
        assert self.process is not None
        family = self.family()
        begun = time.monotonic()
        self.process.terminate()
        try:
            self.process.wait(STOP + 10)
        except subprocess.TimeoutExpired:
            self.process.kill()
            self.process.wait()
        took, status, self.process = time.monotonic() - begun, self.process.returncode, None
        left = [process for process in family if process.is_running() and process.status() != psutil.STATUS_ZOMBIE]
        for process in left:
            process.kill()
        if check:
            assert status == 0, f"up ended with {status}:\n{self.log[-8000:]}"
            assert took <= STOP, f"up took {took:.1f} s to stop"
            assert left == []
            assert not accepts(self.port)

    def kill_up(self) -> list[psutil.Process]:
        """SIGKILL to `up`; the processes that were its children, grandchildren and so on."""
        assert self.process is not None
        family = self.family()
        self.process.kill()
        self.process.wait()
        self.process = None
        return family

    # Its processes

    def family(self) -> list[psutil.Process]:
        """All processes below `up`."""
        assert self.process is not None
        try:
            return psutil.Process(self.process.pid).children(recursive=True)
        except psutil.NoSuchProcess:
            return []

    def find(self, role: str) -> psutil.Process | None:
        """The child of that role, once it runs."""
        for process in self.family():
            try:
                line = process.cmdline()
            except psutil.Error:
                continue
            if role in line[:4] and any(part.endswith("manage.py") for part in line):
                return process
        return None

    def kill(self, role: str) -> int:
        """SIGKILL to the child of that role; its process number."""
        process = wait_until(lambda: self.find(role), within=30, what=f"{role} runs")
        process.send_signal(signal.SIGKILL)
        return process.pid

    # What it says

    @property
    def log(self) -> str:
        return self._log.read_text(encoding="utf-8", errors="replace") if self._log.exists() else ""

    def get(self, path: str, *, method: str = "GET", body: bytes | None = None) -> tuple[int, str]:
        """Status and text of an address; (0, why) where nobody answers."""
        connection = http.client.HTTPConnection("127.0.0.1", self.port, timeout=40)
        try:
            connection.request(method, path.removeprefix(self.address), body)
            answer = connection.getresponse()
            return answer.status, answer.read().decode("utf-8", "replace")
        except (OSError, http.client.HTTPException) as exc:
            return 0, repr(exc)
        finally:
            connection.close()

    def manage(self, *arguments: str) -> subprocess.CompletedProcess[str]:
        """One command of `manage.py` on this installation."""
        return manage(*arguments, env=self.env)

    def listed(self, command: str) -> list[dict[str, Any]]:
        """What `manage.py monitors|incidents|notifications --json` says."""
        done = self.manage(command, "--json")
        assert done.returncode == 0, done.stderr
        found: list[dict[str, Any]] = json.loads(done.stdout)
        return found

    def monitors(self) -> dict[str, dict[str, Any]]:
        return {monitor["slug"]: monitor for monitor in self.listed("monitors")}

    def incidents(self) -> list[dict[str, Any]]:
        return self.listed("incidents")

    def notifications(self) -> list[dict[str, Any]]:
        return self.listed("notifications")

    @property
    def store_url(self) -> sa.URL:
        """Where the measurements are."""
        return sa.make_url(self.database or f"sqlite:///{self.data}/measurements.sqlite3")

    def query(self, statement: str, *, store: bool = False) -> list[dict[str, Any]]:
        """Rows of one of the two databases: for waiting, where starting a command each time would cost too much."""
        if self.database:
            options = "-c search_path=measurements,public"
            with psycopg.connect(self.database, options=options, row_factory=psycopg.rows.dict_row) as conn:
                return conn.execute(statement.encode()).fetchall()
        path = self.data / ("measurements.sqlite3" if store else "config.sqlite3")
        with closing(sqlite3.connect(f"file:{path}?mode=ro", uri=True, timeout=20)) as conn:
            conn.row_factory = sqlite3.Row
            return [dict(row) for row in conn.execute(statement)]

    def status(self, slug: str) -> str:
        """The monitor's status by the store; empty where the store does not know it."""
        rows = self.query(f"SELECT status FROM monitor_state WHERE slug = '{slug}'", store=True)
        return str(rows[0]["status"]) if rows else ""

    def wait_status(self, slug: str, status: str, *, within: float = 60.0) -> None:
        """Until the monitor has that status."""
        wait_until(lambda: self.status(slug) == status, within=within, what=f"{slug} is {status}")

    def transitions(self, slug: str) -> list[tuple[str, str]]:
        """From which status to which, in order."""
        rows = self.query(
            "SELECT from_status, to_status FROM transition JOIN monitor_state USING (monitor)"
            f" WHERE slug = '{slug}' ORDER BY transition.seq",
            store=True,
        )
        return [(row["from_status"], row["to_status"]) for row in rows]

    def consumed(self) -> bool:
        """Whether every transition has had its effect."""
        return not self.query("SELECT 1 AS one FROM monitor_state WHERE seq > consumed_seq", store=True)

    def wait_quiet(self, *, within: float = 60.0) -> None:
        """Until every transition has had its effect and every message is on its way no longer."""

        def quiet() -> bool:
            # In this order: the effect of a transition that is consumed between the two is seen by the second.
            unsent = "SELECT 1 AS one FROM monitoring_notification WHERE status IN ('pending', 'sending')"
            return self.consumed() and not self.query(unsent)

        wait_until(quiet, within=within, what="nothing waits for the notifier", every=0.2)
