"""How fast years of history answer: percentiles of any window, the dashboard and charts, from millions of results.

    python benchmarks/history.py [--results 10000000] [--monitors 200] [--database sqlite] [--directory DIR]
    python benchmarks/history.py --keep FILE   builds a SQLite file where there is none, and else asks that one again

The results are those of monitors at 10 s, without end before now; they are rolled up by the product's own code, and
older roll-ups (hours of 180 days, days of 3 years) are copies of those. Nothing is asserted: the figures are printed,
with the load of the machine beside, and what they should be.
"""

from __future__ import annotations

import argparse
import os
import platform
import random
import statistics
import sys
import tempfile
import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from datetime import datetime, timedelta
from pathlib import Path
from typing import Any
from uuid import UUID

sys.path.insert(0, str(Path(__file__).resolve().parents[1]))

import sqlalchemy as sa

from checks import clock, process
from checks.result import PHASES
from checks.store import bulk, reader
from checks.store.engine import open_engine, reading
from checks.store.periods import DAY, HOUR, LENGTH, start_of
from checks.store.publishing import publish
from checks.store.rollup import roll_up
from checks.store.schema import result, rollup, target
from checks.store.upgrade import upgrade
from tests import postgres
from tests.factories import make_published

INTERVAL = timedelta(seconds=10)
AT_ONCE = 20_000  # rows a transaction
DAYS = timedelta(days=3 * 365)
_COLUMNS = (
    ("target_id", "bigint"),
    ("due_at", "bigint"),
    ("started_at", "bigint"),
    ("outcome", "text"),
    ("latency_ns", "bigint"),
    *((f"{phase}_ns", "bigint") for phase in PHASES),
    ("failure", "jsonb"),
    ("evidence", "jsonb"),
)


@contextmanager
def opened(database: str, directory: Path | None, keep: Path | None) -> Iterator[tuple[sa.Engine, Path | None]]:
    with tempfile.TemporaryDirectory(prefix="stillup-bench-", dir=directory) as made:
        path = keep or Path(made) / "store.sqlite3"
        url = f"sqlite:///{path}" if database == "sqlite" else postgres.fresh_database()
        upgrade(url)
        engine = open_engine(url)
        try:
            yield engine, path if database == "sqlite" else None
        finally:
            engine.dispose()


def fill(engine: sa.Engine, monitors: int, results: int, now: datetime) -> tuple[list[int], datetime]:
    """Store the results in the order in which they would have come; answers the targets and the first instant."""
    made = [make_published(interval=INTERVAL.total_seconds()) for _ in range(monitors)]
    with engine.begin() as conn:
        publish(conn, made, now)
        targets = list(conn.execute(sa.select(target.c.id)).scalars())
    rounds, chance = results // monitors, random.Random(1)
    begun = now - rounds * INTERVAL
    rows: list[tuple[Any, ...]] = []
    for number in range(rounds):
        base = clock.to_micros(begun + number * INTERVAL)
        for position, target_id in enumerate(targets):
            at = base + position * 10_000_000 // monitors
            rows.append((target_id, at, at, *_found(chance), None, None))
        if len(rows) >= AT_ONCE or number == rounds - 1:
            with engine.begin() as conn:
                bulk.insert(conn, "result", _COLUMNS, rows)
            rows.clear()
    return targets, begun


def _found(chance: random.Random) -> tuple[Any, ...]:
    """An outcome, a latency and its phases: log-normal, 1 % ten times as slow, 0.2 % without an answer."""
    lot = chance.random()
    if lot < 0.002:
        return ("down", None, 400_000, None, None, None, None, None)
    latency = int(chance.lognormvariate(17.9, 0.3) * (10 if lot < 0.012 else 1))  # about 60 ms
    parts = (latency // 50, latency // 10, latency // 4, latency // 20)
    return ("up", latency, parts[0], parts[1], parts[2], latency - sum(parts), parts[3], None)


def roll(engine: sa.Engine, targets: Sequence[int], begun: datetime, now: datetime) -> int:
    """Mark every hour as the results would have, and roll all up; answers how many steps that took."""
    hours = []
    hour = start_of(HOUR, begun)
    while hour < now:
        hours.append(clock.to_micros(hour))
        hour += LENGTH[HOUR]
    with engine.begin() as conn:
        bulk.mark_dirty(conn, [(number, HOUR, at, at) for number in targets for at in hours])
    steps = 1
    while roll_up(engine, now):
        steps += 1
    return steps


def grow_old(engine: sa.Engine, begun: datetime, now: datetime, hours: timedelta) -> None:
    """Copy the roll-ups that are there into the time before them."""
    for resolution, age in ((HOUR, hours), (DAY, DAYS)):
        first = start_of(DAY, begun) + LENGTH[DAY]
        last = start_of(DAY, now)
        length = last - first
        back = length + LENGTH[DAY]  # the day that was begun in the middle stays as it is
        c = rollup.c
        micros = sa.type_coerce(c.start, sa.BigInteger)
        while length > timedelta(0) and first - back > now - age:
            shifted = sa.type_coerce(micros - int(back.total_seconds() * 1_000_000), c.start.type)
            others = [each for each in rollup.c if each.name != "start"]
            copied = sa.select(shifted, *others).where(c.resolution == resolution, c.start >= first, c.start < last)
            with engine.begin() as conn:
                conn.execute(rollup.insert().from_select(["start", *(each.name for each in others)], copied))
            back += length


def measure(name: str, most: float, engine: sa.Engine, calls: Sequence[Callable[[sa.Connection], Any]]) -> None:
    """Call each once, after one that is not counted, and print what they took in milliseconds."""
    wall, cpu = [], []
    for call in (calls[0], *calls):
        with reading(engine) as conn:
            begun, spent = time.perf_counter(), time.process_time()
            call(conn)
            wall.append((time.perf_counter() - begun) * 1e3)
            cpu.append((time.process_time() - spent) * 1e3)
    wall, cpu = sorted(wall[1:]), sorted(cpu[1:])
    at95 = min(len(wall) - 1, int(len(wall) * 0.95))
    told = f"wall p50 {statistics.median(wall):7.2f}, p95 {wall[at95]:7.2f}; CPU p50 {statistics.median(cpu):7.2f} ms"
    print(f"  {name:<58} {told}  (at most {most:g})")


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--results", type=int, default=10_000_000)
    parser.add_argument("--monitors", type=int, default=200)
    parser.add_argument("--database", choices=("sqlite", "postgresql"), default="sqlite")
    parser.add_argument("--hours", type=int, default=180, help="days whose hours are there (default: 180)")
    parser.add_argument("--keep", type=Path, metavar="FILE", help="a SQLite file to build, or to ask again")
    parser.add_argument("--directory", type=Path, help="where the SQLite file lies (default: the temporary directory)")
    given = parser.parse_args()
    print(
        f"{platform.machine()}, {os.cpu_count()} cores, load {os.getloadavg()[0]:.1f}, Python {platform.python_version()}"
    )
    built = given.keep is not None and given.keep.exists()
    with opened(given.database, given.directory, given.keep) as (engine, path):
        now = clock.utcnow() if not built else _built_at(engine)
        if not built:
            build(engine, given, now)
        if path is not None:
            print(f"  {path.stat().st_size / 1e6:.0f} MB in the file")
        ask(engine, now)


def _built_at(engine: sa.Engine) -> datetime:
    """The instant of the latest result: a store that was kept is asked as if it were still then."""
    with reading(engine) as conn:
        latest: datetime = conn.execute(sa.select(sa.func.max(result.c.started_at))).scalar_one()
        return latest


def build(engine: sa.Engine, given: argparse.Namespace, now: datetime) -> None:
    before = time.perf_counter()
    targets, begun = fill(engine, given.monitors, given.results, now)
    took = time.perf_counter() - before
    print(f"{given.database}: {given.results} results of {given.monitors} monitors in {took:.0f} s", flush=True)
    before, spent = time.perf_counter(), time.process_time()
    steps = roll(engine, targets, begun, now)
    took, spent = time.perf_counter() - before, time.process_time() - spent
    print(f"rolled up in {steps} steps, {took:.0f} s, {spent / given.results * 1e6:.2f} us of CPU a result", flush=True)
    grow_old(engine, begun, now, timedelta(days=given.hours))
    with engine.begin() as conn:
        conn.exec_driver_sql("ANALYZE")
        for row in conn.execute(_SIZES):
            print(f"  roll-ups, {row.resolution:<6} {row.rows:>9} rows, {float(row.bytes):.0f} bytes in the mean")


_SIZES = sa.text(
    "SELECT resolution, count(*) AS rows, avg(length(histogram)) AS bytes FROM rollup"
    " WHERE phase = 'total' GROUP BY resolution ORDER BY resolution"
)


def ask(engine: sa.Engine, now: datetime) -> None:
    with reading(engine) as conn:
        monitors = list(conn.execute(sa.select(target.c.monitor).order_by(target.c.id)).scalars())
    chance = random.Random(2)
    some = [chance.choice(monitors) for _ in range(100)]

    def back(**length: float) -> datetime:
        return now - timedelta(**length)

    def odd(longest: float) -> tuple[datetime, datetime]:
        end = now - timedelta(seconds=chance.random() * 86_400)
        return end - timedelta(seconds=chance.random() * longest * 86_400), end

    process.leave_loaded_alone()  # as web does
    windows = [odd(days) for days in (1, 5, 30, 170, 1000) for _ in range(20)]
    print(f"load {os.getloadavg()[0]:.1f}")
    measure("p95 of a monitor over 30 days", 5, engine, [_p95(each, back(days=30), now) for each in some])
    measure("p95 of a monitor over an hour", 5, engine, [_p95(each, back(hours=1), now) for each in some])
    measure(
        "p95 over any window, to the second", 250, engine, [_p95(m, *w) for m, w in zip(some, windows, strict=True)]
    )
    measure(
        "all figures, phases and locations over 30 days", 250, engine, [_all(each, back(days=30), now) for each in some]
    )
    measure("all figures over any window", 250, engine, [_all(m, *w) for m, w in zip(some, windows, strict=True)])
    for word, days in (("an hour", 1 / 24), ("a day", 1), ("a week", 7), ("30 days", 30), ("a year", 365)):
        calls = [_series(each, back(days=days), now) for each in some[:20]]
        measure(f"a series over {word} in 168 points", 250, engine, calls)
    measure(f"the dashboard's figures of {len(monitors)} monitors", 60, engine, [_figures(now)] * 20)
    print(f"load {os.getloadavg()[0]:.1f}")


def _p95(monitor: UUID, start: datetime, end: datetime) -> Callable[[sa.Connection], Any]:
    return lambda conn: reader.latency(conn, monitor, start, end).p95


def _all(monitor: UUID, start: datetime, end: datetime) -> Callable[[sa.Connection], Any]:
    return lambda conn: reader.summary(conn, monitor, (start, end), end)


def _series(monitor: UUID, start: datetime, end: datetime) -> Callable[[sa.Connection], Any]:
    return lambda conn: reader.series(conn, monitor, (start, end), 168)


def _figures(now: datetime) -> Callable[[sa.Connection], Any]:
    return lambda conn: reader.figures(conn, now)


if __name__ == "__main__":
    main()
