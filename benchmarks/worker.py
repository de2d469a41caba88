"""What a probe costs in the whole worker: claim, probe, judge, status, write; on SQLite and on PostgreSQL.

    python benchmarks/worker.py [--rate 1000] [--interval 10] [--seconds 30] [--store sqlite|postgresql|both]

The product's own worker process, with its default settings, asks a server in another process, which counts; a mismatch
above 0.1 % fails. CPU is user and system time of the worker; a database server's own is not in it.
"""

from __future__ import annotations

import argparse
import os
import sys
import time
from dataclasses import astuple
from itertools import pairwise
from pathlib import Path

sys.path.insert(0, str(Path(__file__).parent))

import rig

from checks import clock
from checks.store.schema import result

MISMATCH = 0.001
ROUNDS = 6  # of the window: the least is the figure, since noise only ever adds


def measure(database: str, rate: int, interval: int, seconds: float) -> bool:
    """Print the figures of one database; whether the books balance."""
    with rig.asked() as port, rig.store(database) as (url, engine):
        rig.watch(
            engine,
            [
                {"kind": "http", "url": f"http://127.0.0.1:{port}/{number}", "interval": f"{interval}s"}
                for number in range(rate * interval)
            ],
        )
        with rig.working(url) as worker:
            rig.wait_until_probed(engine, 60 + 3 * interval)
            time.sleep(interval)
            marks = [(clock.utcnow(), rig.Spent.by(worker))]
            for _ in range(ROUNDS):
                time.sleep(seconds / ROUNDS)
                marks.append((clock.utcnow(), rig.Spent.by(worker)))
            memory = worker.memory_info().rss / 2**20
        # The worker is gone: what it asked and what it recorded has to be the same.
        asked, recorded = int(rig.ask(port, "/count")), rig.recorded(engine)
        rounds = [
            (rig.results(engine, begun, ended, result.c.due_at, result.c.started_at, result.c.outcome), after - before)
            for (begun, before), (ended, after) in pairwise(marks)
        ]
    rows = [row for found, _ in rounds for row in found]
    late = [(row.started_at - row.due_at).total_seconds() for row in rows]
    costs = sorted((spent.whole / len(found) * 1e6, spent.loop / len(found) * 1e6) for found, spent in rounds if found)
    (least, of_loop), (most, _) = costs[0], costs[-1]
    whole, *parts = (each / max(1, len(rows)) * 1e6 for each in astuple(marks[-1][1] - marks[0][1]))
    loop, hot, house = parts
    print(f"{database}: {rate * interval} http monitors every {interval} s, {len(rows)} probes in {seconds:g} s")
    print(
        f"  CPU of the worker, a probe   {least:.0f} us, {of_loop:.0f} of them in its loop; the costliest round {most:.0f} us"
    )
    print(
        f"  in all rounds                {whole:.0f} us: {loop:.0f} in its loop, {hot:.0f} in claims and records,"
        f" {house:.0f} in house-keeping, {whole - sum(parts):.0f} elsewhere"
    )
    print(f"  memory                       {memory:.0f} MiB")
    print(rig.spoken("started after its due time", late, "ms", 1e3))
    print(f"  not up                       {sum(row.outcome != 'up' for row in rows)}")
    print(f"  in all                       {recorded} recorded, {asked} seen by the server")
    return abs(asked - recorded) <= MISMATCH * asked


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--rate", type=int, default=1000, help="probes a second")
    parser.add_argument("--interval", type=int, default=10, help="seconds")
    parser.add_argument("--seconds", type=float, default=30)
    parser.add_argument("--store", choices=("sqlite", "postgresql", "both"), default="both")
    options = parser.parse_args()
    print(f"{os.cpu_count()} cores, load {os.getloadavg()[0]:.1f}")
    databases = ("sqlite", "postgresql") if options.store == "both" else (options.store,)
    balanced = [measure(database, options.rate, options.interval, options.seconds) for database in databases]
    if not all(balanced):
        print("FAILED: the server saw another number of probes than were recorded", file=sys.stderr)
        return 1
    return 0


if __name__ == "__main__":
    sys.exit(main())
