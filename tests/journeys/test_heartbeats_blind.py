"""While we could not hear, nobody was silent: no absence of ours is an outage of theirs."""

from __future__ import annotations

import signal
import socket
import sqlite3
import subprocess
import threading
import time
from collections.abc import Iterator
from contextlib import closing, contextmanager, suppress
from pathlib import Path

import psutil
import pytest

from checks import clock
from tests.journeys.pinging import Pinger, paths_of, pinging
from tests.journeys.stack import Stack
from tests.pausing import pause
from tests.waiting import wait_until

pytestmark = [pytest.mark.journey, pytest.mark.long, pytest.mark.timeout(600)]

JOBS, STOPPED = 100, 10
AWAY = 20.0  # seconds; a gap above 10 s is a blindness
CONFIGURATION = "monitors:\n" + "".join(
    f"  - {{name: Job {n}, kind: heartbeat, schedule: {{every: 5s}}, grace: 5s}}\n" for n in range(JOBS)
)


def went_down(stack: Stack, after: int) -> set[str]:
    """Who did, after a transition."""
    rows = stack.query(
        "SELECT DISTINCT slug FROM transition JOIN monitor_state USING (monitor)"
        f" WHERE to_status = 'down' AND transition.at > {after}",
        store=True,
    )
    return {row["slug"] for row in rows}


def latest(stack: Stack) -> int:
    """The instant of the last transition."""
    return int(stack.query("SELECT max(at) AS at FROM transition", store=True)[0]["at"])


def pingers_of(stack: Stack) -> list[Pinger]:
    """All jobs, each every 2 s; the first of them has those that may die."""
    paths = list(paths_of(stack).values())
    shares = [paths[:STOPPED], *(paths[STOPPED + n :: 3] for n in range(3))]
    return [Pinger(stack, *share, per_second=len(share) / 2) for share in shares]


def blind_seconds(stack: Stack) -> list[float]:
    rows = stack.query("SELECT start, \"end\" FROM blind_interval WHERE role = 'web' ORDER BY start", store=True)
    return [(row["end"] - row["start"]) / 1e6 for row in rows]


def last_heard(stack: Stack, slug: str) -> float:
    """How many seconds ago, by the store."""
    (row,) = stack.query(
        f"SELECT last_ping_at FROM target JOIN monitor_state USING (monitor) WHERE slug = '{slug}'", store=True
    )
    return clock.utcnow().timestamp() - row["last_ping_at"] / 1e6


def wait_all_up(stack: Stack) -> None:
    def all_up() -> bool:
        rows = stack.query("SELECT DISTINCT status FROM monitor_state", store=True)
        return [row["status"] for row in rows] == ["up"]

    wait_until(all_up, within=60, what="all are up")


@pytest.mark.parametrize("database", ["sqlite", "postgresql"])
def test_no_absence_of_ours_is_an_outage_of_theirs(tmp_path: Path, database: str) -> None:
    with Stack(tmp_path, database, CONFIGURATION) as stack:
        paths = paths_of(stack)
        pingers = pingers_of(stack)
        with pinging(*pingers):
            wait_all_up(stack)
            known = latest(stack)

            # The worker, which judges, is away; web hears on.
            worker = stack.find("worker")
            assert worker is not None
            pause(worker.pid, stack.store_url)
            time.sleep(AWAY)
            assert last_heard(stack, "job-7") < 6, "pings are stored at their true times"
            worker.send_signal(signal.SIGCONT)
            time.sleep(5)
            assert went_down(stack, known) == set()
            assert blind_seconds(stack) == []

            # The whole machine sleeps.
            assert stack.process is not None
            asleep = [psutil.Process(stack.process.pid), *stack.family()]
            for process in asleep:
                process.send_signal(signal.SIGSTOP)
            time.sleep(AWAY)
            for process in reversed(asleep):
                process.send_signal(signal.SIGCONT)
            wait_until(lambda: blind_seconds(stack), within=10, what="the blindness is written down")
            time.sleep(12)
            assert went_down(stack, known) == set()
            (blind,) = blind_seconds(stack)
            assert abs(blind - AWAY) < 5
            wait_all_up(stack)

            # Everything is stopped, and meanwhile some jobs die.
            stack.stop()
            pingers[0].stop()
            time.sleep(AWAY)
            stack.start()
            sight = time.time()
            dead = set(list(paths)[:STOPPED])
            wait_until(lambda: went_down(stack, known) == dead, within=40, what="those that died are down")
            time.sleep(10)
            assert went_down(stack, known) == dead
            rows = stack.query(f"SELECT since FROM transition WHERE to_status = 'down' AND at > {known}", store=True)
            assert min(row["since"] for row in rows) / 1e6 - sight > -5, "not before a grace that we could see"
            assert len(blind_seconds(stack)) == 2


class Gate:
    """A way to a database that can be shut: what went through it breaks off, and who comes is refused."""

    def __init__(self, onward: int) -> None:
        self._onward, self.port = onward, 0
        self._server: socket.socket | None = None
        self._through: list[socket.socket] = []

    def open(self) -> None:
        self._server = socket.create_server(("127.0.0.1", self.port), reuse_port=False)
        self.port = self._server.getsockname()[1]
        threading.Thread(target=self._let_in, args=(self._server,), daemon=True).start()

    def shut(self) -> None:
        assert self._server is not None
        with suppress(OSError):
            self._server.shutdown(socket.SHUT_RDWR)
        self._server.close()
        for each in self._through:
            with suppress(OSError):
                each.shutdown(socket.SHUT_RDWR)
            each.close()
        self._through.clear()

    def _let_in(self, server: socket.socket) -> None:
        while True:
            try:
                client, _ = server.accept()
                onward = socket.create_connection(("127.0.0.1", self._onward))
            except OSError:
                return
            self._through += [client, onward]
            for source, sink in ((client, onward), (onward, client)):
                threading.Thread(target=_carry, args=(source, sink), daemon=True).start()


def _carry(source: socket.socket, sink: socket.socket) -> None:
    with suppress(OSError):
        while part := source.recv(65536):
            sink.sendall(part)
        sink.shutdown(socket.SHUT_WR)


@contextmanager
def shut_store(stack: Stack, gate: Gate | None) -> Iterator[None]:
    """The store can't be written while the block runs."""
    if gate is not None:
        gate.shut()
        yield
        gate.open()
        return
    with closing(sqlite3.connect(stack.data / "measurements.sqlite3", isolation_level=None, timeout=20)) as blocker:
        blocker.execute("BEGIN EXCLUSIVE")
        yield
        blocker.execute("COMMIT")


@pytest.mark.parametrize("database", ["sqlite", "postgresql"])
def test_the_curl_line_of_the_guide_outlasts_a_database_that_is_down(tmp_path: Path, database: str) -> None:
    stack = Stack(tmp_path, database, CONFIGURATION)
    gate = None
    if stack.database:
        base, _, name = stack.database.rpartition("/")
        gate = Gate(int(base.rpartition(":")[2]))
        gate.open()
        stack.env["STILLUP_DATABASE_URL"] = f"{base.rpartition(':')[0]}:{gate.port}/{name}"
    with stack:
        paths = paths_of(stack)
        pingers = pingers_of(stack)
        with pinging(*pingers):
            wait_all_up(stack)
            known = latest(stack)
            pingers[0].stop()
            with shut_store(stack, gate):
                time.sleep(1)
                curl = ["curl", "-fsS", "-m", "10", "--retry", "5", "-o", "/dev/null"]
                sent = [
                    subprocess.Popen([*curl, f"{stack.address}{path}"], stderr=subprocess.PIPE)
                    for path in list(paths.values())[:STOPPED]
                ]
                time.sleep(AWAY)
            for client in sent:
                _, said = client.communicate(timeout=60)
                assert client.returncode == 0, said
            # These jobs report no more, and are not down before their grace is over.
            assert went_down(stack, known) == set()
            time.sleep(5)
            assert went_down(stack, known) <= set(list(paths)[:STOPPED])
    if gate is not None:
        gate.shut()
