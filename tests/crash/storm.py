"""Real workers and notifiers over one PostgreSQL, with everything done to them that can happen; and the books afterwards."""

from __future__ import annotations

import json
import random
import signal
import subprocess
import sys
import time
from collections import Counter
from collections.abc import Callable, Iterator, Sequence
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from types import TracebackType
from typing import IO, Any, Self

import psycopg
import psycopg.rows

from tests.crash.scripted import Script
from tests.journeys.inbox import Inbox
from tests.journeys.stack import ROOT, environment, manage
from tests.pipe import Pipe
from tests.postgres import PostgresServer
from tests.waiting import wait_until

LEASE = 10  # seconds
INTERVAL = 5  # seconds between two probes of a target
CALM = (12.0, 22.0)  # seconds between two disruptions
TOLD = 10  # one monitor in so many has a rule that tells of it


@dataclass(frozen=True, slots=True)
class Disruption:
    """Something that was done, in seconds since 1970."""

    name: str
    begin: float
    end: float


@dataclass
class Fleet:
    """The processes. One that dies is started again, as a supervisor does."""

    directory: Path
    env: dict[str, str]
    running: dict[str, subprocess.Popen[bytes]] = field(default_factory=dict)
    exits: Counter[str] = field(default_factory=Counter)

    def start(self, name: str) -> None:
        """`worker-1`, `notifier-2`."""
        role = name.partition("-")[0]
        command = ["-m", "checks", "worker"] if role == "worker" else [str(ROOT / "manage.py"), role]
        with (self.directory / f"{name}.log").open("ab") as log:
            self.running[name] = subprocess.Popen(
                [sys.executable, *command, "--lease", f"{LEASE}s"], cwd=ROOT, env=self.env, stdout=log, stderr=log
            )

    def names(self, role: str) -> list[str]:
        return [name for name in self.running if name.startswith(role)]

    def revive(self) -> None:
        """Start again what has ended."""
        for name, process in list(self.running.items()):
            status = process.poll()
            if status is not None:
                self.exits[f"{name.partition('-')[0]} ended with {status}"] += 1
                self.start(name)

    def end(self) -> list[int]:
        """The exit statuses after SIGTERM."""
        for process in self.running.values():
            process.send_signal(signal.SIGCONT)
            process.terminate()
        statuses = []
        for process in self.running.values():
            try:
                statuses.append(process.wait(20))
            except subprocess.TimeoutExpired:
                process.kill()
                statuses.append(process.wait())
        return statuses


def _line(stream: IO[str] | None) -> str:
    assert stream is not None
    return stream.readline()


class Storm:
    """An installation of `workers` and `notifiers` that watches `monitors` scripted targets for so many `seconds`."""

    def __init__(
        self, directory: Path, *, monitors: int, seconds: float, workers: int, notifiers: int, seed: str
    ) -> None:
        self.directory, self.monitors, self.seconds, self.seed = directory, monitors, seconds, seed
        self.disruptions: list[Disruption] = []
        self.dice = random.Random(seed)
        self.log = directory / "requests.log"
        self.script = Script(seed, 0, 0)
        self._counts = {"worker": workers, "notifier": notifiers}
        self._running = ExitStack()

    def __enter__(self) -> Self:
        """Everything runs, and every monitor is up."""
        enter = self._running.enter_context
        try:
            self.inbox = enter(Inbox())
            # What was committed is there after an immediate stop; the rest is as a server has it that tidies up.
            self.server = PostgresServer(synchronous_commit="on", autovacuum_naptime="10s", shared_buffers="128MB")
            self._running.callback(self.server.stop)
            self.database = self.server.create_database()
            self.pipe = enter(Pipe(self.server.port))
            targets = enter(self._targets())
            port = int(_line(targets.stdout))
            data = self.directory / "data"
            config = self.directory / "config.yaml"
            config.write_text(self._configuration(port), encoding="utf-8")
            done = manage("prepare", "--config", str(config), env=environment(data, self.url), within=300)
            assert done.returncode == 0, done.stderr
            through = self.url.replace(f":{self.server.port}/", f":{self.pipe.port}/")
            self.fleet = Fleet(self.directory, environment(data, through))
            for role, count in self._counts.items():
                for number in range(count):
                    self.fleet.start(f"{role}-{number + 1}")
            wait_until(
                lambda: self.count("monitor_state WHERE status = 'up' AND seq = consumed_seq") == self.monitors,
                within=120 + self.monitors / 5,
                what="every monitor is up",
                every=0.5,
            )
            self.begin = time.time() + 1
            self.ended = self.begin + self.seconds
            self.script = Script(self.seed, self.begin, self.ended)
            assert targets.stdin is not None
            targets.stdin.write(f"{self.begin} {self.ended}\n")
            targets.stdin.flush()
        except BaseException:
            self.__exit__(None, None, None)
            raise
        return self

    def __exit__(self, kind: type[BaseException] | None, exc: BaseException | None, tb: TracebackType | None) -> None:
        if hasattr(self, "fleet"):
            self.statuses = self.fleet.end()
        self._running.close()

    @property
    def url(self) -> str:
        """The database without the pipe."""
        return self.server.url(self.database)

    @contextmanager
    def _targets(self) -> Iterator[subprocess.Popen[str]]:
        command = [sys.executable, "-m", "tests.crash.scripted", self.seed, str(self.log)]
        pipe = subprocess.PIPE
        with subprocess.Popen(command, cwd=ROOT, stdin=pipe, stdout=pipe, text=True) as server:
            try:
                yield server
            finally:
                server.terminate()

    def _configuration(self, port: int) -> str:
        monitors = [
            {
                "name": f"Target {number}",
                "kind": "http",
                "url": f"http://127.0.0.1:{port}/{number}",
                "tags": ["told"] if number % TOLD == 0 else [],
            }
            for number in range(self.monitors)
        ]
        often = {"interval": f"{INTERVAL}s", "timeout": "2s", "failures": 2, "successes": 1, "retry_interval": "1s"}
        rule = {"name": "Anything", "when": "down", "match": {"tags": ["told"]}, "notify": ["hook"]}
        channels = [{"name": "hook", "url": self.inbox.json_url}]
        # JSON is YAML.
        return json.dumps({"defaults": often, "monitors": monitors, "channels": channels, "alert_rules": [rule]})

    def rows(self, statement: str) -> list[dict[str, Any]]:
        options = "-c search_path=measurements,public"
        with psycopg.connect(self.url, options=options, row_factory=psycopg.rows.dict_row) as conn:
            return conn.execute(statement.encode()).fetchall()

    def count(self, what: str) -> int:
        return int(self.rows(f"SELECT count(*) AS n FROM {what}")[0]["n"])

    # What happens.

    def rage(self, kinds: Sequence[str] = ()) -> None:
        """Do one thing after the other until the script's time is over; then let everything come to rest."""
        every: dict[str, Callable[[], None]] = {
            "a worker is killed": lambda: self._kill("worker"),
            "a notifier is killed": lambda: self._kill("notifier"),
            "a worker is stopped for 3 leases": self._stop_a_worker,
            "all sessions are terminated": self._terminate_sessions,
            "the database restarts": self._restart_database,
            "the database is read-only": self._read_only,
            "the database refuses": lambda: self._through_the_pipe(self.pipe.refuse, 10),
            "the database is 1 s away": lambda: self._through_the_pipe(lambda: self.pipe.delay(0.5), 12),
            "connections are reset": self._reset_connections,
            "the database falls silent": lambda: self._through_the_pipe(self.pipe.swallow, 12),
        }
        left: list[str] = []
        while time.time() < self.ended - 45:
            if not left:
                left = list(kinds or every)
                self.dice.shuffle(left)
            name = left.pop()
            begin = time.time()
            every[name]()
            self.disruptions.append(Disruption(name, begin, time.time()))
            self._rest(self.dice.uniform(*CALM))
        self._rest(max(0.0, self.ended - time.time()))
        self._rest(30.0)
        quiet = "monitor_state WHERE status != 'up' OR seq != consumed_seq"
        wait_until(lambda: not self.count(quiet), within=90, what="everything is up and told", every=0.5)
        unsent = "monitoring_notification WHERE status IN ('pending', 'sending')"
        wait_until(lambda: not self.count(unsent), within=120, what="everything is sent", every=0.5)

    def _rest(self, seconds: float) -> None:
        until = time.time() + seconds
        while (left := until - time.time()) > 0:
            self.fleet.revive()
            time.sleep(min(0.2, left))

    def _kill(self, role: str) -> None:
        self.fleet.running[self.dice.choice(self.fleet.names(role))].kill()

    def _stop_a_worker(self) -> None:
        process = self.fleet.running[self.dice.choice(self.fleet.names("worker"))]
        process.send_signal(signal.SIGSTOP)
        self._rest(3 * LEASE)
        process.send_signal(signal.SIGCONT)

    def _terminate_sessions(self) -> None:
        for _ in range(5):
            self.count(
                "(SELECT pg_terminate_backend(pid) FROM pg_stat_activity"
                f" WHERE datname = '{self.database}' AND pid <> pg_backend_pid()) AS ended"
            )
            self._rest(1.0)

    def _restart_database(self) -> None:
        self.server.restart()

    def _read_only(self) -> None:
        """As a standby is after a fail-over, before it is promoted."""
        self._set_read_only("on")
        self._rest(10.0)
        self._set_read_only("off")

    def _set_read_only(self, value: str) -> None:
        with psycopg.connect(self.url, autocommit=True, options="-c default_transaction_read_only=off") as conn:
            conn.execute(f"ALTER SYSTEM SET default_transaction_read_only = {value}".encode())
            conn.execute("SELECT pg_reload_conf()")

    def _reset_connections(self) -> None:
        for _ in range(5):
            self.pipe.reset()
            self._rest(3.0)

    def _through_the_pipe(self, spoil: Callable[[], None], seconds: float) -> None:
        spoil()
        self._rest(seconds)
        self.pipe.heal()
