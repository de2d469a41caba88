"""What availability costs: a report of a month, the intervals of a monitor that flaps, objectives, an export.

    .venv/bin/python benchmarks/availability.py [--monitors 200] [--results 1000000]

On SQLite. CPU times beside wall times: the machine may have other things to do.
"""

# ruff: noqa: PLC0415 - Django has to know its settings before the models are imported

from __future__ import annotations

import argparse
import os
import sys
import tempfile
import time
from collections.abc import Callable, Iterable
from datetime import datetime, timedelta
from pathlib import Path
from uuid import UUID, uuid4

sys.path.insert(0, str(Path(__file__).resolve().parents[1]))

import psutil


def main() -> None:
    arguments = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    arguments.add_argument("--monitors", type=int, default=200)
    arguments.add_argument("--results", type=int, default=1_000_000)
    asked = arguments.parse_args()
    with tempfile.TemporaryDirectory() as directory:
        os.environ["STILLUP_DATA_DIR"] = directory
        os.environ["DJANGO_SETTINGS_MODULE"] = "monitoring.settings"
        os.environ.pop("STILLUP_DATABASE_URL", None)
        os.environ.pop("STILLUP_MEASUREMENTS_URL", None)
        import django

        django.setup()
        from django.core.management import call_command

        call_command("migrate", verbosity=0)
        measure(asked.monitors, asked.results)


def measure(monitors: int, results: int) -> None:
    from checks import clock
    from checks.store.upgrade import upgrade
    from monitoring import publish, reports
    from monitoring.exports import rows
    from monitoring.exports.writing import written
    from monitoring.models import Monitor, Objective
    from monitoring.objectives import minutes
    from monitoring.objectives.standing import stand

    engine, now = publish.store_engine(), clock.utcnow()
    upgrade(engine.url.render_as_string(hide_password=False))
    made = make(monitors, now)
    print(
        f"load average {os.getloadavg()[0]:.1f}, SQLite, {monitors} monitors with 100 changes a month, one with 50,000"
    )
    month = (now - timedelta(days=31), now)
    timed(f"a report of a month, {monitors} monitors", lambda: reports.report(*month, now))
    timed("a month of one monitor", lambda: reports.of_monitor(made[0], *month, now))
    flapping = reports.of_monitor(made[-1], *month, now)
    assert sum((each.interval.length for each in flapping[1]), timedelta(0)) == month[1] - month[0]
    timed("a month of one that flaps, 50,000 intervals", lambda: reports.of_monitor(made[-1], *month, now))

    put_results(made[0], now, results)
    monitor = Monitor.objects.get(uuid=made[0])
    there = Objective.objects.create(name="there", monitor=monitor, target=99.9, window_seconds=30 * 86_400.0)
    fast = Objective.objects.create(
        name="fast", monitor=monitor, target=99, window_seconds=30 * 86_400.0, minutes="p95 < 300ms"
    )
    begun = time.process_time()
    counted = 0
    while done := minutes.follow(engine, now):
        counted += done
    cpu = time.process_time() - begun
    print(f"{'minutes of an hour, counted and kept':<50} {1000 * cpu / max(1, counted):8.2f} ms CPU, {counted} hours")
    timed("an objective about availability, 30 d", lambda: stand(engine, there, now))
    timed("an objective about minutes, 30 d", lambda: stand(engine, fast, now))

    process = psutil.Process()
    wanted = rows.Wanted(monitor=made[0], start=now - timedelta(days=400), end=now)
    for form in ("csv", "json"):
        before = most = process.memory_info().rss
        begun, size = time.process_time(), 0
        for piece in written(form, rows.RESULTS, rows.results(engine, wanted), {}):
            size += len(piece)
            most = max(most, process.memory_info().rss)
        cpu = time.process_time() - begun
        grown = (most - before) / 1e6
        name = f"an export of {results:,} results as {form}"
        print(f"{name:<50} {1e6 * cpu / results:8.2f} us CPU a row, {size / 1e6:.0f} MB, {grown:.1f} MB of memory more")


def timed(name: str, act: Callable[[], object], times: int = 5) -> None:
    act()
    walls, cpus = [], []
    for _ in range(times):
        wall, cpu = time.perf_counter(), time.process_time()
        act()
        walls.append(time.perf_counter() - wall)
        cpus.append(time.process_time() - cpu)
    print(
        f"{name:<50} {1000 * min(cpus):8.2f} ms CPU, {1000 * sorted(walls)[times // 2]:8.2f} ms wall (median of {times})"
    )


def make(monitors: int, now: datetime) -> list[UUID]:
    """Monitors with a past of a month; the last of them flaps."""
    from checks.store.schema import monitor_state, transition
    from monitoring import publish
    from tests.factories import make_spec

    made = [publish.change(spec=make_spec(name=f"Monitor {number}")).uuid for number in range(monitors)]
    publish.reconcile()
    engine = publish.store_engine()
    for uuid in made:
        changes = 50_000 if uuid == made[-1] else 100
        step = timedelta(days=32) / changes
        before, values = "pending", []
        for seq in range(1, changes + 1):
            since, status = now - timedelta(days=32) + step * seq, "up" if seq % 2 else "down"
            values.append(
                {
                    "uuid": uuid4(),
                    "monitor": uuid,
                    "seq": seq,
                    "at": since,
                    "since": since,
                    "from_status": before,
                    "to_status": status,
                    "cause": "probe",
                    "evidence": {},
                }
            )
            before = status
        with engine.begin() as conn:
            conn.execute(transition.insert(), values)
            mine = monitor_state.c.monitor == uuid
            conn.execute(monitor_state.update().where(mine).values(status=before, since=since, seq=changes))
    return made


def put_results(monitor: object, now: datetime, count: int) -> None:
    """So many results in the last week, evenly."""
    import sqlalchemy as sa

    from checks.store.schema import result, target
    from monitoring import publish

    step = timedelta(days=7) / count
    with publish.store_engine().begin() as conn:
        place = conn.execute(sa.select(target.c.id).where(target.c.monitor == monitor)).scalars().first()
        for first in range(0, count, 10_000):
            conn.execute(
                result.insert(), list(rows_of(place, now, step, range(first, min(count, first + 10_000)), count))
            )


def rows_of(
    place: object, now: datetime, step: timedelta, numbers: Iterable[int], count: int
) -> Iterable[dict[str, object]]:
    for number in numbers:
        begun = now - step * (count - number)
        nanoseconds = 50_000_000 + (number * 7919 % 400) * 1_000_000
        yield {
            "target_id": place,
            "due_at": begun,
            "started_at": begun,
            "outcome": "up",
            "latency_ns": nanoseconds,
            "connect_ns": 5_000_000,
            "first_byte_ns": nanoseconds - 5_000_000,
        }


if __name__ == "__main__":
    main()
