"""Machines whose clocks are wrong, or are set while a worker runs: nothing goes down for it, and probing goes on."""

from __future__ import annotations

import os
import subprocess
import sys
import time
from collections import defaultdict
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from datetime import timedelta
from itertools import pairwise
from pathlib import Path

import pytest
import sqlalchemy as sa

from checks import clock
from checks.store.schema import blind_interval, sign_of_life, transition
from tests.checks.workers import ROOT, monitor_of, publish, results, wait_until
from tests.servers import Target, Visit, answers

pytestmark = [pytest.mark.long, pytest.mark.timeout(200)]

MONITORS, INTERVAL = 30, 2.0  # seconds
SLACK = 1.5  # seconds: of a machine that is busy
A_YEAR = 365 * 86_400
# A worker whose machine's clock is ahead by what stands in a file. The product reads time at two places.
WORKER = """
import sys
from datetime import datetime, timedelta
from pathlib import Path
from checks import clock
from checks.store import engine

class Wrong(datetime):
    @classmethod
    def now(cls, tz=None):
        return datetime.now(tz) + timedelta(seconds=float(Path(sys.argv[1]).read_text()))

clock.datetime = engine.datetime = Wrong
from checks.worker_process import main
sys.exit(main(sys.argv[2:]))
"""


class Machine:
    """A worker, and its machine's clock, which is ahead by so many seconds."""

    def __init__(self, url: str, directory: Path, ahead: float) -> None:
        directory.mkdir()
        self._ahead, self._log = directory / "ahead", directory / "log"
        self.set_clock(ahead)
        environment = {name: value for name, value in os.environ.items() if not name.startswith("STILLUP_")}
        environment |= {"STILLUP_MEASUREMENTS_URL": url, "STILLUP_DATA_DIR": str(directory)}
        with self._log.open("wb") as log:
            self.process = subprocess.Popen(
                [sys.executable, "-c", WORKER, str(self._ahead), "--lease", "10s"],
                cwd=ROOT,
                env=environment,
                stderr=log,
            )

    def set_clock(self, ahead: float) -> None:
        beside = self._ahead.with_suffix(".new")
        beside.write_text(str(ahead))
        beside.replace(self._ahead)

    @property
    def log(self) -> str:
        return self._log.read_text()


@contextmanager
def machine(url: str, directory: Path, ahead: float = 0.0) -> Iterator[Machine]:
    """A machine whose worker has begun to work, and is gone after the block."""
    found = Machine(url, directory, ahead)
    try:
        wait_until(lambda: "working at" in found.log, within=30, what="the worker works")
        yield found
    finally:
        found.process.kill()
        found.process.wait()


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
