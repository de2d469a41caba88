"""What house-keeping costs those who write meanwhile, and what a result takes on disk.

    python benchmarks/retention.py [--results 5000000] [--database sqlite|postgresql|both] [--seconds 90] [--directory DIR]

A store has so many results that are too old, and the product's own worker probes 200 monitors every 5 s. Another
process, this one, takes pings as web does, and writes. First nothing is too old by the settings; then everything is. The
difference between the two is what retention costs: any ping or write may wait 250 ms for it at most.
"""

from __future__ import annotations

import argparse
import os
import sys
import tempfile
import threading
import time
from collections.abc import Callable
from dataclasses import replace
from datetime import timedelta
from pathlib import Path
from uuid import uuid4

sys.path.insert(0, str(Path(__file__).parent))

import rig
import sqlalchemy as sa

from checks import clock
from checks.clock import to_micros
from checks.heartbeats.hearing import hear_all
from checks.heartbeats.runs import Action, Ping
from checks.result import PHASES
from checks.store import bulk, partitions
from checks.store.publishing import publish
from checks.store.retention import prune
from checks.store.schema import result, target
from tests.factories import make_published

MONITORS, HEARTBEATS, INTERVAL = 200, 50, 5
HEARTBEAT = {"kind": "heartbeat", "name": "Job", "schedule": {"every": "1d"}}
AGE = timedelta(days=9)  # of the youngest result that is too old
AT_ONCE = 10_000
PAUSE = 0.1  # seconds between two pings, and between two writes
ALLOWED = 0.25  # seconds beyond what it takes without house-keeping
_COLUMNS = (
    ("target_id", "bigint"),
    ("due_at", "bigint"),
    ("started_at", "bigint"),
    ("outcome", "text"),
    ("latency_ns", "bigint"),
    *((f"{phase}_ns", "bigint") for phase in PHASES),
)


def fill(engine: sa.Engine, count: int) -> None:
    """Results of 200 targets in turn, as they would have come: one a second each."""
    last = clock.utcnow() - AGE
    first = to_micros(last) - count // MONITORS * 1_000_000
    if engine.dialect.name == "postgresql":
        with engine.begin() as conn:
            day = last - timedelta(microseconds=to_micros(last) - first)
            while day <= last + timedelta(days=1):
                partitions.make_ahead(conn, day)
                day += timedelta(days=1)
    for begin in range(0, count, AT_ONCE):
        rows = []
        for number in range(begin, min(begin + AT_ONCE, count)):
            due = first + number // MONITORS * 1_000_000 + number % MONITORS * 5000
            jitter = number * 7919 % 1_000_003
            phases = (412_345 + jitter, 912_345 + jitter, 4_012_345 + jitter, 19_012_345 + jitter, 712_345 + jitter)
            rows.append((number % MONITORS + 1, due, due + 137, "up", sum(phases), *phases, None))
        with engine.begin() as conn:
            bulk.insert(conn, "result", _COLUMNS, rows)


class Repeated:
    """Does something again and again on a thread, and remembers how long it took each time."""

    def __init__(self, work: Callable[[], None]) -> None:
        self.took: list[float] = []
        self._work = work
        self._stop = threading.Event()
        self._thread = threading.Thread(target=self._repeat, daemon=True)
        self._thread.start()

    def stop(self) -> list[float]:
        self._stop.set()
        self._thread.join()
        return self.took

    def _repeat(self) -> None:
        while not self._stop.wait(PAUSE):
            begun = time.perf_counter()
            self._work()
            self.took.append(time.perf_counter() - begun)


def phase(url: str, engine: sa.Engine, codes: list[object], seconds: float, **settings: str) -> dict[str, list[float]]:
    """How long pings and writes took, and how late probes were, while a worker with these settings ran."""
    turn = iter(range(10**9))

    def ping() -> None:
        now = clock.utcnow()
        address = codes[next(turn) % len(codes)]
        with engine.begin() as conn:
            hear_all(conn, [Ping(address=address, action=Action.SUCCESS, received_at=now)], now)  # type: ignore[arg-type]

    def write() -> None:
        with engine.begin() as conn:
            conn.execute(target.update().where(target.c.id == MONITORS + 1).values(last_duration_ns=1))

    with rig.working(url, **settings):
        rig.wait_until_probed(engine, 120)
        time.sleep(2 * INTERVAL)  # what was due while no worker ran is spread over an interval
        begun = clock.utcnow()
        pings, writes = Repeated(ping), Repeated(write)
        time.sleep(seconds)
        found = {"pings": pings.stop(), "writes": writes.stop()}
        ended = clock.utcnow()
    rows = rig.results(engine, begun, ended, result.c.due_at, result.c.started_at)
    found["probes, late"] = [max(0.0, (row.started_at - row.due_at).total_seconds()) for row in rows]
    return found


def measure(database: str, count: int, seconds: float, directory: Path | None) -> bool:
    """Print the figures of one database; whether nothing took longer than allowed."""
    with rig.asked() as port, rig.store(database, directory) as (url, engine):
        rig.watch(
            engine,
            [
                {"kind": "http", "url": f"http://127.0.0.1:{port}/{n}", "interval": f"{INTERVAL}s"}
                for n in range(MONITORS)
            ],
        )
        codes = [uuid4() for _ in range(HEARTBEATS)]
        jobs = [replace(make_published(source="pinged", spec=HEARTBEAT), ping_codes=(code,)) for code in codes]
        with engine.begin() as conn:
            publish(conn, jobs, clock.utcnow())
        before, begun = size(engine), time.perf_counter()
        fill(engine, count)
        took, taken = time.perf_counter() - begun, size(engine) - before
        print(f"{database}: {count} results in {took:.0f} s, {taken / count:.1f} bytes each, indexes included")
        quiet = phase(url, engine, list(codes), seconds / 2, STILLUP_KEEP_RESULTS="30d")
        with_old = rig.recorded(engine)
        busy = phase(url, engine, list(codes), seconds)
        gone = with_old + len(busy["probes, late"]) - rig.recorded(engine)
        print(f"  {gone} results went in {seconds:g} s")
        for what, values in busy.items():
            print(rig.spoken(f"{what}, quiet", quiet[what], "ms", 1e3))
            print(rig.spoken(f"{what}, house kept", values, "ms", 1e3))
        steps(engine)
        delays = [max(busy[what]) - max(quiet[what]) for what in ("pings", "writes")]
        print(f"  longest delay by house-keeping: {max(0.0, *delays) * 1e3:.0f} ms; allowed: {ALLOWED * 1e3:.0f}")
        return max(delays) <= ALLOWED


def steps(engine: sa.Engine) -> None:
    """What a step of retention takes, with nobody beside it."""
    took = []
    while len(took) < 100:
        begun = time.perf_counter()
        more = prune(engine, clock.utcnow())
        took.append(time.perf_counter() - begun)
        if not more:
            break
    print(rig.spoken(f"{len(took)} steps by themselves", took, "ms", 1e3))


def size(engine: sa.Engine) -> int:
    """Bytes that the store takes; on PostgreSQL its results alone."""
    whole = "SELECT sum(pg_total_relation_size(inhrelid)) FROM pg_inherits WHERE inhparent = 'result'::regclass"
    with engine.connect() as conn:
        if engine.dialect.name == "postgresql":
            return int(conn.exec_driver_sql(whole).scalar_one())
        pages, each = (conn.exec_driver_sql(f"PRAGMA {name}").scalar_one() for name in ("page_count", "page_size"))
        return int(pages * each)


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--results", type=int, default=5_000_000)
    parser.add_argument("--database", choices=("sqlite", "postgresql", "both"), default="both")
    parser.add_argument(
        "--seconds", type=float, default=90.0, help="of house-keeping; partitions are looked at once a minute"
    )
    parser.add_argument("--directory", type=Path, default=Path(tempfile.gettempdir()), help="of the SQLite file")
    given = parser.parse_args()
    print(f"{os.cpu_count()} cores, load {os.getloadavg()[0]:.1f}")
    databases = ("sqlite", "postgresql") if given.database == "both" else (given.database,)
    well = [measure(database, given.results, given.seconds, given.directory) for database in databases]
    return 0 if all(well) else 1


if __name__ == "__main__":
    sys.exit(main())
