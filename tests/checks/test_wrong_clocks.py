"""Machines whose clocks are wrong, or are set while a worker runs: nothing goes down for it, and probing goes on."""

from __future__ import annotations

import os
import subprocess
import sys
import time
from collections import defaultdict
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from dataclasses import replace
from datetime import timedelta
from itertools import pairwise
from pathlib import Path
from uuid import uuid4

import pytest
import sqlalchemy as sa

from checks import clock
from checks.store.schema import blind_interval, sign_of_life, transition
from tests.checks.workers import ROOT, monitor_of, publish, results
from tests.servers import Target, Visit, answers
from tests.waiting import wait_until

pytestmark = [pytest.mark.long, pytest.mark.timeout(200)]

MONITORS, INTERVAL = 30, 2.0  # seconds
SLACK = 1.5  # seconds: of a machine that is busy
A_YEAR = 365 * 86_400
# A machine whose clock is ahead by what stands in a file, and runs faster than time by a share of what has passed since
# it was written. The product reads time at two places.
CLOCK = """
import sys
from datetime import datetime, timedelta
from pathlib import Path
from checks import clock
from checks.store import engine

class Wrong(datetime):
    @classmethod
    def now(cls, tz=None):
        ahead, faster, since = map(float, Path(sys.argv[1]).read_text().split())
        right = datetime.now(tz)
        return right + timedelta(seconds=ahead + faster * (right.timestamp() - since))

clock.datetime = engine.datetime = Wrong
"""
WORKER = """
from checks.worker_process import main
sys.exit(main(sys.argv[2:]))
"""
# What receives pings on that machine; here it pings by itself, each code twice in five seconds of true time, until the
# jobs are to be silent.
EAR = """
import asyncio, os
from uuid import UUID
from checks.heartbeats.journal import Journal
from checks.heartbeats.runs import Action, Ping

async def hear():
    journal = Journal(os.environ["STILLUP_MEASUREMENTS_URL"])
    journal.open()
    print("hearing", file=sys.stderr, flush=True)
    while True:
        for code in sys.argv[2:] if not Path(sys.argv[1]).with_name("silent").exists() else ():
            await journal.store(Ping(address=UUID(code), action=Action.SUCCESS, received_at=clock.utcnow()))
        journal.beat()
        await asyncio.sleep(2.5)

asyncio.run(hear())
"""


class Machine:
    """One process on a machine, and the machine's clock."""

    def __init__(self, url: str, directory: Path, program: str, *arguments: str) -> None:
        directory.mkdir(exist_ok=True)
        self._clock, self._log = directory / "clock", directory / f"log-{len(list(directory.iterdir()))}"
        environment = {name: value for name, value in os.environ.items() if not name.startswith("STILLUP_")}
        environment |= {"STILLUP_MEASUREMENTS_URL": url, "STILLUP_DATA_DIR": str(directory)}
        with self._log.open("wb") as log:
            self.process = subprocess.Popen(
                [sys.executable, "-c", CLOCK + program, str(self._clock), *arguments],
                cwd=ROOT,
                env=environment,
                stderr=log,
            )

    def set_clock(self, ahead: float, faster: float = 0.0) -> None:
        set_clock(self._clock.parent, ahead, faster)

    @property
    def log(self) -> str:
        return self._log.read_text()


def set_clock(directory: Path, ahead: float, faster: float = 0.0) -> None:
    """Set the clock of a machine, for all of its processes."""
    directory.mkdir(exist_ok=True)
    beside = directory / "clock.new"
    beside.write_text(f"{ahead} {faster} {time.time()}")
    beside.replace(directory / "clock")


@contextmanager
def running(url: str, directory: Path, said: str, program: str, *arguments: str) -> Iterator[Machine]:
    """A process that has begun to work, and is gone after the block."""
    found = Machine(url, directory, program, *arguments)
    try:
        wait_until(lambda: said in found.log, within=30, what=f"it says {said!r}")
        yield found
    finally:
        found.process.kill()
        found.process.wait()


@contextmanager
def machine(url: str, directory: Path, ahead: float = 0.0) -> Iterator[Machine]:
    """A machine with a worker."""
    set_clock(directory, ahead)
    with running(url, directory, "working at", WORKER, "--lease", "10s") as worker:
        yield worker


class Asked:
    """When each path was asked, by a clock that nobody sets."""

    def __init__(self) -> None:
        self.at: dict[str, list[float]] = defaultdict(list)
        self._answer = answers()

    def __call__(self, visit: Visit) -> None:
        begun = time.monotonic()
        self._answer(visit)
        self.at[visit.request.split()[1].decode()].append(begun)

    @property
    def longest_hole(self) -> float:
        return max(after - before for each in self.at.values() for before, after in pairwise(sorted(each)))

    def all_since(self, instant: float) -> bool:
        return len(self.at) == MONITORS and all(each[-1] > instant for each in self.at.values())


def watch(store: sa.Engine, port: int) -> None:
    every = {"timeout": "1s", "interval": "2s", "retry_interval": "2s"}
    publish(store, *(monitor_of(url=f"http://127.0.0.1:{port}/{number}", **every) for number in range(MONITORS)))


def went_to(store: sa.Engine) -> list[str]:
    with store.begin() as conn:
        return list(conn.execute(sa.select(transition.c.to_status)).scalars())


@pytest.mark.parametrize("ahead", [-3600.0, 3600.0, -86_400.0, 10.0 * A_YEAR], ids=["-1h", "+1h", "-1d", "+10y"])
def test_a_clock_that_is_set_leaves_no_hole_and_takes_nobody_down(
    store: sa.Engine, store_url: str, tmp_path: Path, ahead: float
) -> None:
    asked = Asked()
    with Target(asked) as target, machine(store_url, tmp_path / "machine") as one:
        watch(store, target.port)
        wait_until(lambda: asked.all_since(0), what="all were probed")
        for seconds in (ahead, 0.0):  # and it is set right again
            one.set_clock(seconds)
            begun = time.monotonic()
            wait_until(lambda begun=begun: asked.all_since(begun + 5), within=40, what="all are probed again")
        assert "the clock was set" in one.log

    assert asked.longest_hole <= 2 * INTERVAL + SLACK
    assert "down" not in went_to(store)
    assert all(row.latency_ns is not None and 0 <= row.latency_ns < 1e9 for row in results(store))


def test_workers_whose_clocks_differ_by_minutes_probe_each_due_time_once(
    postgresql_store: sa.Engine, postgresql_url: str, tmp_path: Path
) -> None:
    begun, asked = clock.utcnow(), Asked()
    with Target(asked) as target, ExitStack() as machines:
        for ahead in (-300.0, 0.0, 300.0):
            machines.enter_context(machine(postgresql_url, tmp_path / f"machine{ahead:g}", ahead))
        watch(postgresql_store, target.port)
        wait_until(lambda: len(results(postgresql_store)) >= 5 * MONITORS, within=40, what="each was probed five times")

    found, second = results(postgresql_store), timedelta(seconds=1)
    assert len({(row.target_id, row.due_at) for row in found}) == len(found)
    assert all(begun - second <= row.started_at <= clock.utcnow() + second for row in found)
    assert went_to(postgresql_store) == ["up"] * MONITORS
    with postgresql_store.begin() as conn:
        signs = conn.execute(sa.select(sign_of_life.c.started_at, sign_of_life.c.at)).all()
        assert conn.execute(sa.select(blind_interval)).all() == []
    assert len(signs) == 3
    assert all(begun - second <= instant <= clock.utcnow() + second for sign in signs for instant in sign)


CLOCKS = {
    "set by an hour and by a day": [
        (-3600.0, 0.0),
        (0.0, 0.0),
        (3600.0, 0.0),
        (0.0, 0.0),
        (-86_400.0, 0.0),
        (0.0, 0.0),
    ],
    "set by ten years": [(10.0 * A_YEAR, 0.0), (0.0, 0.0)],
    "twice as fast, then half as fast": [(0.0, 1.0), (0.0, -0.5)],
}


@pytest.mark.parametrize("clocks", CLOCKS.values(), ids=CLOCKS)
def test_no_job_is_late_because_our_clock_is_wrong_and_those_that_died_are_found(
    sqlite_store: sa.Engine, sqlite_url: str, tmp_path: Path, clocks: list[tuple[float, float]]
) -> None:
    here, codes, asked = tmp_path / "machine", [uuid4() for _ in range(20)], Asked()
    jobs = [monitor_of(kind="heartbeat", name=f"Job {n}", schedule={"every": "10s"}, grace="10s") for n in range(20)]
    with Target(asked) as target, machine(sqlite_url, here) as worker:
        watch(sqlite_store, target.port)
        publish(sqlite_store, *(replace(job, ping_codes=(code,)) for job, code in zip(jobs, codes, strict=True)))
        with running(sqlite_url, here, "hearing", EAR, *map(str, codes)) as ear:
            wait_until(lambda: went_to(sqlite_store).count("up") == MONITORS + 20, within=30, what="all are up")
            for ahead, faster in clocks:
                worker.set_clock(ahead, faster)
                time.sleep(25.0 if faster else 7.0)
            assert set(went_to(sqlite_store)) <= {"up", "unknown"}, "at worst we say that we do not know"
            worker.set_clock(0.0)
            (here / "silent").touch()
            wait_until(lambda: went_to(sqlite_store).count("down") == 20, within=60, what="jobs that died are down")
            assert ear.process.poll() is None, ear.log
            assert worker.process.poll() is None, worker.log
