"""What the store costs: claims, records, roll-ups, figures, publishes; on SQLite and on PostgreSQL.

    python benchmarks/store.py [--targets 5000] [--rounds 20] [--directory DIR]

CPU is user + system time of this process; PostgreSQL's own is beside it where /proc tells. Nothing is asserted.
"""

from __future__ import annotations

import argparse
import os
import platform
import sqlite3
import statistics
import sys
import tempfile
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from datetime import datetime, timedelta
from pathlib import Path
from typing import Any

sys.path.insert(0, str(Path(__file__).parent.parent))

import psutil
import sqlalchemy as sa

from checks import clock
from checks.result import Outcome, Phases, Result
from checks.status import Policy, observe
from checks.store import reader
from checks.store.claims import Finished, claim
from checks.store.engine import open_engine, reading
from checks.store.periods import SETTLED
from checks.store.publishing import publish
from checks.store.rollup import roll_up
from checks.store.schema import result
from checks.store.upgrade import upgrade
from checks.store.writer import record
from tests import postgres
from tests.factories import make_published

LEASE = timedelta(seconds=30)
POLICY = Policy(failures=1, successes=1, interval=10.0)


class Stopwatch:
    """Wall and CPU time of what runs inside `running`, per item."""

    def __init__(self, server: psutil.Process | None) -> None:
        self.server = server
        self.wall: list[float] = []
        self.cpu = self.server_cpu = 0.0
        self.items = 0

    @contextmanager
    def running(self, items: int) -> Iterator[None]:
        begun, cpu, server = time.perf_counter(), time.process_time(), self._server_cpu()
        yield
        self.wall.append(time.perf_counter() - begun)
        self.cpu += time.process_time() - cpu
        self.server_cpu += self._server_cpu() - server
        self.items += items

    def _server_cpu(self) -> float:
        if self.server is None:
            return 0.0
        times = [process.cpu_times() for process in (self.server, *self.server.children())]
        return sum(spent.user + spent.system for spent in times)

    def line(self, name: str) -> str:
        per_item = 1e6 / max(self.items, 1)
        text = (
            f"  {name:<36} {self.items:>7} items  {self.cpu * per_item:8.1f} us CPU/item  "
            f"{sum(self.wall) * per_item:8.1f} us wall/item  {statistics.median(self.wall) * 1e3:7.2f} ms median a call"
        )
        return text if self.server is None else f"{text}  +{self.server_cpu * per_item:.1f} us CPU/item in the server"


def finished(claimed: Any, now: datetime, outcome: Outcome) -> Finished:
    phases = Phases(dns=400_000, connect=900_000, tls=4_000_000, first_byte=19_000_000, transfer=700_000)
    made = Result(outcome=outcome, started_at=claimed.due_at, latency_ns=phases.total(), phases=phases)
    after = observe(claimed.state, outcome, made.started_at, POLICY)
    due = now + timedelta(seconds=10)
    return Finished(claimed=claimed, result=made, policy=POLICY, after=after, next_due_at=due, skipped=0)


def a_quarter(number: int) -> Callable[[int], Outcome]:
    """Every fourth target answers badly, another quarter each time: half of all votes move."""
    return lambda target_id: Outcome.DEGRADED if target_id % 4 == number else Outcome.UP


def measure(url: str, server: psutil.Process | None, targets: int, rounds: int) -> None:  # noqa: C901 - a script
    upgrade(url)
    engine = open_engine(url)
    watches: dict[str, Stopwatch] = {}

    def watch(name: str, items: int) -> Any:
        return watches.setdefault(name, Stopwatch(server)).running(items)

    begun = clock.utcnow().replace(minute=0, second=0, microsecond=0) - timedelta(hours=2)
    monitors = [make_published(policy=POLICY, interval=10.0) for _ in range(targets)]
    with watch("publish", targets), engine.begin() as conn:
        publish(conn, monitors, begun)

    def round_of(batch: int, now: datetime, name: str, outcome: Callable[[int], Outcome]) -> int:
        done = 0
        while True:
            claimed: list[Any] = []
            with watch(f"claim, {name}", 0), engine.begin() as conn:
                claimed = claim(
                    conn,
                    worker="w",
                    location="local",
                    now=now,
                    horizon=timedelta(seconds=1),
                    limit=batch,
                    lease=LEASE,
                )
            watches[f"claim, {name}"].items += len(claimed)
            if not claimed:
                return done
            ended = [finished(item, now, outcome(item.target_id)) for item in claimed]
            with watch(f"record, {name}", len(claimed)), engine.begin() as conn:
                assert record(conn, ended, now).refused == 0
            done += len(claimed)

    now, recorded = begun + timedelta(seconds=60), 0
    for batch in (100, 500):
        for _ in range(rounds):
            recorded += round_of(batch, now, f"batches of {batch}", lambda _: Outcome.UP)
            now += timedelta(seconds=20)
    for number in range(4):
        recorded += round_of(500, now, "500, half of the votes move", a_quarter(number))
        now += timedelta(seconds=20)
    with reading(engine) as conn:
        assert conn.execute(sa.select(sa.func.count()).select_from(result)).scalar_one() == recorded

    steps, over, longest = 0, begun + timedelta(hours=1) + SETTLED + timedelta(days=1), 0.0
    while True:
        before = time.perf_counter()
        with watch("roll-up, in steps", 0):
            more = roll_up(engine, over)
        longest = max(longest, time.perf_counter() - before)
        steps += 1
        if not more:
            break
    watches["roll-up, in steps"].items = recorded
    for name, read in (("overview", reader.overview), ("figures", reader.figures)):
        with watch(f"{name} of all monitors", targets), reading(engine) as conn:
            read(conn, now)
    engine.dispose()
    for name, found in watches.items():
        print(found.line(name))
    print(f"  roll-up: {steps} steps, the longest {longest * 1e3:.0f} ms; {recorded} results")


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--targets", type=int, default=5000)
    parser.add_argument("--rounds", type=int, default=5)
    parser.add_argument("--directory", type=Path, help="where the SQLite file lies (default: the temporary directory)")
    given = parser.parse_args()
    load = os.getloadavg()[0]
    print(f"{platform.machine()}, {os.cpu_count()} cores, load {load:.1f}, Python {platform.python_version()}")
    with tempfile.TemporaryDirectory(dir=given.directory) as directory:
        print(f"SQLite {sqlite3.sqlite_version}, synchronous=FULL, {given.targets} targets")
        measure(f"sqlite:///{directory}/store.sqlite3", None, given.targets, given.rounds)
    server = postgres.server()
    print(f"PostgreSQL (fsync off, on this machine), {given.targets} targets")
    measure(postgres.fresh_database(), psutil.Process(server.pid), given.targets, given.rounds)


if __name__ == "__main__":
    main()
