"""Many monitors on one worker for a long time: on time, in bounded memory, without growth.

    python benchmarks/soak.py [--monitors 20000] [--interval 10] [--minutes 30] [--store sqlite|postgresql]

Prints a line a minute. A due time that was skipped counts as late.
"""

from __future__ import annotations

import argparse
import os
import sys
import time
from dataclasses import dataclass
from datetime import datetime, timedelta
from pathlib import Path

sys.path.insert(0, str(Path(__file__).parent))

import psutil
import rig
import sqlalchemy as sa

from checks import clock
from checks.store.engine import reading
from checks.store.schema import result, target

ON_TIME = 0.999  # of the probes start within a second of their due time
MEMORY = 250  # MiB
GROWTH = 0.05  # of the memory after the first minutes
SETTLING = 3  # minutes that are in no verdict on growth
FIVE = 5.0  # seconds between two looks at the memory
RECORDED = timedelta(seconds=15)  # after its start a probe has ended and is in the store


@dataclass(frozen=True, kw_only=True)
class Minute:
    """What one minute brought."""

    probes: int
    on_time: int
    skipped: int
    latest: float
    not_up: int
    cpu: float
    memory: float


def watched(engine: sa.Engine, worker: psutil.Process, since: datetime, seconds: float) -> tuple[Minute, datetime]:
    """So much time of the results that started from `since` on, and the instant from which the next ones did."""
    skipped, before, until = _skipped(engine), rig.Spent.by(worker), time.monotonic() + seconds
    memory = 0.0
    while (left := until - time.monotonic()) > 0:
        time.sleep(min(FIVE, left))
        memory = max(memory, worker.memory_info().rss / 2**20)
    spent = rig.Spent.by(worker) - before
    late = result.c.started_at.op("-")(result.c.due_at)
    micros = sa.type_coerce(late, sa.BigInteger)
    end = clock.utcnow() - RECORDED
    # Target by target, as the only index that both databases have over the results goes.
    started = sa.and_(result.c.target_id == target.c.id, result.c.started_at >= since, result.c.started_at < end)
    query = sa.select(
        sa.func.count(),
        sa.func.count(sa.case((micros <= 1_000_000, 1))),
        sa.func.max(micros),
        sa.func.count(sa.case((result.c.outcome != "up", 1))),
    ).select_from(target.join(result, started))
    with reading(engine) as conn:
        probes, on_time, latest, not_up = conn.execute(query).one()
    minute = Minute(
        probes=probes,
        on_time=on_time,
        skipped=_skipped(engine) - skipped,
        latest=(latest or 0) / 1e6,
        not_up=not_up,
        cpu=spent.whole,
        memory=memory,
    )
    return minute, end


def _skipped(engine: sa.Engine) -> int:
    with reading(engine) as conn:
        count: int = conn.execute(sa.select(sa.func.coalesce(sa.func.sum(target.c.skipped_slots), 0))).scalar_one()
        return count


def measure(options: argparse.Namespace) -> list[str]:
    """Soak, and say what was not as it should be."""
    with rig.asked() as port, rig.store(options.store) as (url, engine):
        rig.watch(
            engine,
            [
                {"kind": "http", "url": f"http://127.0.0.1:{port}/{number}", "interval": f"{options.interval}s"}
                for number in range(options.monitors)
            ],
        )
        with rig.working(url) as worker:
            rig.wait_until_probed(engine, 120 + 3 * options.interval)
            _, since = watched(engine, worker, clock.utcnow(), 2 * options.interval + RECORDED.total_seconds())
            minutes: list[Minute] = []
            for number in range(1, options.minutes + 1):
                minute, since = watched(engine, worker, since, 60)
                minutes.append(minute)
                print(
                    f"  minute {number:>3}: {minute.probes} probes, {_share(minute):.3%} within 1 s,"
                    f" the latest {minute.latest:.2f} s, {minute.skipped} skipped, {minute.not_up} not up,"
                    f" {minute.cpu / max(1, minute.probes) * 1e6:.0f} us of CPU a probe, {minute.memory:.0f} MiB",
                    flush=True,
                )
        asked, recorded = int(rig.ask(port, "/count")), rig.recorded(engine)
    print(f"  in all: {recorded} recorded, {asked} seen by the server")
    return _faults(minutes, asked, recorded)


def _share(minute: Minute) -> float:
    return minute.on_time / max(1, minute.probes + minute.skipped)


def _faults(minutes: list[Minute], asked: int, recorded: int) -> list[str]:
    faults = []
    due = sum(minute.probes + minute.skipped for minute in minutes)
    share = sum(minute.on_time for minute in minutes) / max(1, due)
    if share < ON_TIME:
        faults.append(f"{share:.3%} of the probes started within a second of their due times")
    if max(minute.memory for minute in minutes) > MEMORY:
        faults.append(f"the worker took more than {MEMORY} MiB")
    settled = [minute.memory for minute in minutes[SETTLING:]]
    if settled and settled[-1] > (1 + GROWTH) * settled[0]:
        faults.append(f"its memory grew from {settled[0]:.0f} to {settled[-1]:.0f} MiB")
    if asked != recorded:
        faults.append(f"the server saw {asked} probes, {recorded} were recorded")
    return faults


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--monitors", type=int, default=20_000)
    parser.add_argument("--interval", type=int, default=10, help="seconds")
    parser.add_argument("--minutes", type=int, default=30)
    parser.add_argument("--store", choices=("sqlite", "postgresql"), default="sqlite")
    options = parser.parse_args()
    print(
        f"{options.monitors} http monitors every {options.interval} s, {options.store}, {os.cpu_count()} cores, load"
        f" {os.getloadavg()[0]:.1f}"
    )
    faults = measure(options)
    for fault in faults:
        print(f"FAILED: {fault}", file=sys.stderr)
    return 1 if faults else 0


if __name__ == "__main__":
    sys.exit(main())
