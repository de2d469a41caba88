"""By how much 200 hostile targets slow down 200 healthy ones on the same worker.

    python benchmarks/hostile.py [--targets 200] [--seconds 30]

The healthy ones are watched alone first, then beside the others; both every second.
"""

from __future__ import annotations

import argparse
import os
import sys
import time
from pathlib import Path

sys.path.insert(0, str(Path(__file__).parent))

import psutil
import rig
import sqlalchemy as sa

from checks import clock
from checks.store.engine import reading
from checks.store.schema import result, target
from tests.hostile import hostile, hostile_monitors

WITHIN = 0.005  # seconds at p99


def observed(engine: sa.Engine, worker: psutil.Process, seconds: float, healthy: set[int]) -> list[float]:
    """The latencies of the healthy targets in so much time from now."""
    begun = clock.utcnow()
    time.sleep(seconds)
    ended, memory = clock.utcnow(), worker.memory_info().rss / 2**20
    time.sleep(4)  # what timed out is recorded by now
    rows = rig.results(engine, begun, ended, result.c.target_id, result.c.latency_ns, result.c.outcome)
    good = [row for row in rows if row.target_id in healthy]
    others = [row for row in rows if row.target_id not in healthy]
    unknown = sum(row.outcome == "unknown" for row in rows)
    print(
        f"  {len(good)} probes of healthy targets, {sum(row.outcome != 'up' for row in good)} not up;"
        f" {len(others)} of hostile ones, {sum(row.outcome == 'up' for row in others)} up; {unknown} without a verdict;"
        f" {memory:.0f} MiB"
    )
    return [row.latency_ns / 1e9 for row in good if row.latency_ns is not None]


def measure(number: int, seconds: float) -> bool:
    """Print both distributions; whether they are near enough."""
    with rig.asked() as port, hostile() as ports, rig.store("sqlite") as (url, engine):
        rig.watch(
            engine,
            [
                {"kind": "http", "url": f"http://127.0.0.1:{port}/{each}", "interval": "1s", "name": f"Healthy {each}"}
                for each in range(number)
            ],
        )
        with reading(engine) as conn:
            healthy = set(conn.execute(sa.select(target.c.id)).scalars())
        with rig.working(url) as worker:
            rig.wait_until_probed(engine, 60)
            alone = observed(engine, worker, seconds, healthy)
            rig.watch(engine, [{**each, "interval": "1s"} for each in hostile_monitors(ports, number, "2s")])
            time.sleep(10)
            beside = observed(engine, worker, seconds, healthy)
    print(rig.spoken("healthy, alone", alone, "ms", 1e3))
    print(rig.spoken("healthy, beside hostile ones", beside, "ms", 1e3))
    moved = rig.share(beside, 99) - rig.share(alone, 99)
    print(f"  p99 moved by                 {moved * 1e3:.2f} ms")
    return moved <= WITHIN


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--targets", type=int, default=200, help="of either sort")
    parser.add_argument("--seconds", type=float, default=30)
    options = parser.parse_args()
    print(
        f"{options.targets} healthy and as many hostile targets, {os.cpu_count()} cores, load {os.getloadavg()[0]:.1f}"
    )
    if not measure(options.targets, options.seconds):
        print(f"FAILED: it moved by more than {WITHIN * 1e3:g} ms", file=sys.stderr)
        return 1
    return 0


if __name__ == "__main__":
    sys.exit(main())
