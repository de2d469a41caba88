"""Pings a second, how long each takes, and what it costs: `.venv/bin/python benchmarks/pings.py [--database postgresql]`.

The product runs by its own command (`up`) with 10,000 heartbeats, pinged in random order, one ping each in turn, so that
every ping is a row of its own; and with 1,000 `http` monitors at 10 s, of which none may be late by more than a second
meanwhile. The load comes from another process over kept connections. Afterwards rows and counted pings in the store must
be as many as the 200s. CPU is user and system time of the web processes. One more row pings a single monitor: those
pings are counted on the row of the last.

The floor of the same run is `benchmarks/bare_pings.py` on SQLite, alone on the machine: 10,600 pings/s with 16 connections
and 20,000 with 64 where 6,000 were asked of the product, so that on a slower machine the same is asked by its ratio.
"""

from __future__ import annotations

import argparse
import json
import os
import signal
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import psutil

sys.path.insert(0, str(Path(__file__).resolve().parents[1]))

import sqlalchemy as sa

from benchmarks.rig import ROOT, asked, share
from benchmarks.spine import free_port
from checks import clock
from checks.probes import parse_spec
from checks.store.engine import open_engine
from checks.store.schema import monitor_state, ping, result
from tests import postgres

HEARTBEATS, PROBED, INTERVAL = 10_000, 1_000, 10.0
WANTED = {"sqlite": 6000, "postgresql": 4000}  # pings a second with 16 connections
FLOOR = 10_600  # what the floor reached there


def populate(asked_port: int) -> list[str]:
    """Make the monitors as the product makes them; the codes of the heartbeats."""
    import django  # noqa: PLC0415 - settings are read from the environment that `main` prepares

    django.setup()
    from django.db import transaction  # noqa: PLC0415

    from monitoring import publish  # noqa: PLC0415

    with transaction.atomic():
        for number in range(PROBED):
            url = f"http://127.0.0.1:{asked_port}/"
            publish.change(spec=parse_spec({"kind": "http", "name": f"Shop {number}", "url": url, "interval": "10s"}))
        made = [
            publish.change(spec=parse_spec({"kind": "heartbeat", "name": f"Job {number}", "schedule": {"every": "1d"}}))
            for number in range(HEARTBEATS)
        ]
    return [str(monitor.ping_code) for monitor in made]


@contextmanager
def running(port: int, directory: Path) -> Iterator[psutil.Process]:
    """`up`, once its pages answer."""
    log = directory / "log"
    with log.open("w") as stderr:
        up = subprocess.Popen(
            [sys.executable, str(ROOT / "manage.py"), "up", "--port", str(port)], cwd=ROOT, stderr=stderr
        )
    try:
        for _ in range(300):
            ready = subprocess.run(
                ["curl", "--silent", "--fail", "--output", "/dev/null", f"http://127.0.0.1:{port}/readyz"], check=False
            )
            if ready.returncode == 0:
                break
            time.sleep(0.2)
        else:
            raise RuntimeError(log.read_text()[-3000:])
        yield psutil.Process(up.pid)
        up.send_signal(signal.SIGTERM)
        up.wait(20)
    finally:
        up.kill()
        up.wait()


def web_seconds(up: psutil.Process) -> float:
    """User and system time of the web process, its children included."""
    total = 0.0
    for child in up.children():
        if "web" in child.cmdline():
            for process in (child, *child.children(recursive=True)):
                times = process.cpu_times()
                total += times.user + times.system
    return total


def load(port: int, codes: list[str], *, method: str, connections: int, seconds: float) -> dict[str, Any]:
    """What `benchmarks/pinging.py` in another process counted."""
    command = [
        sys.executable,
        str(ROOT / "benchmarks" / "pinging.py"),
        str(port),
        method,
        str(connections),
        str(seconds),
    ]
    done = subprocess.run(command, input="\n".join(codes), capture_output=True, text=True, check=True)
    counted: dict[str, Any] = json.loads(done.stdout)
    return counted


def floor(directory: Path, codes: list[str], connections: int, seconds: float) -> float:
    """Pings a second that the floor answers; prints them."""
    port, path = free_port(), directory / f"floor-{connections}.sqlite3"
    bare = subprocess.Popen(
        [sys.executable, str(ROOT / "benchmarks" / "bare_pings.py"), str(port), str(path)], cwd=ROOT
    )
    try:
        time.sleep(3)
        process = psutil.Process(bare.pid)
        before = process.cpu_times()
        counted = load(port, codes, method="GET", connections=connections, seconds=seconds)
        after = process.cpu_times()
    finally:
        bare.kill()
        bare.wait()
    answered = counted["statuses"]["200"]
    spent = (after.user + after.system) - (before.user + before.system)
    rate: float = answered / counted["seconds"]
    print(
        f"{f'floor: GET, {connections} connections':<34} {rate:7,.0f} pings/s, {spent / answered * 1e6:4.0f} us of CPU each"
    )
    return rate


def warm(port: int, codes: list[str], engine: sa.Engine) -> None:
    """Ping every heartbeat once, and wait until nothing is new: a first ping makes a transition that somebody consumes."""
    load(port, codes, method="GET", connections=64, seconds=0)
    waiting = sa.select(sa.func.count()).where(monitor_state.c.seq > monitor_state.c.consumed_seq)
    for _ in range(300):
        with engine.begin() as conn:
            left = conn.execute(waiting).scalar_one()
        if not left:
            break
        time.sleep(1)


def stored(engine: sa.Engine) -> tuple[int, int]:
    """Rows of pings, and pings with those that are counted on the row of another."""
    with engine.begin() as conn:
        rows, pings = conn.execute(sa.select(sa.func.count(), sa.func.sum(ping.c.count)).select_from(ping)).one()
    return rows, int(pings or 0)


def latest_start(engine: sa.Engine, since: Any) -> float:
    """By how many seconds the latest probe started late since then."""
    query = sa.select(result.c.due_at, result.c.started_at).where(result.c.due_at >= since)
    with engine.begin() as conn:
        return max(((row.started_at - row.due_at).total_seconds() for row in conn.execute(query)), default=0.0)


def measure(
    name: str, port: int, codes: list[str], up: psutil.Process, engine: sa.Engine, *, bare: float, **how: Any
) -> bool:
    """Run one load, print its figures and the share of the floor's; whether the store has what was answered."""
    before, spent, since = stored(engine), web_seconds(up), clock.utcnow()
    counted = load(port, codes, **how)
    spent = web_seconds(up) - spent
    time.sleep(1.5)
    rows, pings = (after - was for after, was in zip(stored(engine), before, strict=True))
    answered = counted["statuses"].get("200", 0)
    late = latest_start(engine, since)
    latencies = counted["latencies"]
    print(
        f"{name:<34} {answered / counted['seconds']:7,.0f} pings/s ({answered / counted['seconds'] / bare:.2f} of the floor), p50 {share(latencies, 50) * 1e3:.1f} ms, "
        f"p99 {share(latencies, 99) * 1e3:.1f} ms, {spent / max(1, answered) * 1e6:4.0f} us of CPU each; "
        f"{answered:,} answered 200, {pings:,} stored in {rows:,} rows; others: "
        f"{ {status: n for status, n in counted['statuses'].items() if status != '200'} or 'none' }; "
        f"latest probe {late * 1e3:.0f} ms late",
        flush=True,
    )
    return pings == answered


def main(database: str, seconds: float) -> int:
    with tempfile.TemporaryDirectory(prefix="stillup-bench-") as name, asked() as asked_port:
        directory, port = Path(name), free_port()
        for variable in [variable for variable in os.environ if variable.startswith("STILLUP_")]:
            del os.environ[variable]
        os.environ |= {
            "STILLUP_DATA_DIR": str(directory / "data"),
            "STILLUP_BASE_URL": f"http://127.0.0.1:{port}",
            "STILLUP_ADMIN_PASSWORD": "a password for nothing",
            "STILLUP_ADMIN_USER": "bench",
            "DJANGO_SETTINGS_MODULE": "monitoring.settings",
        }
        url = f"sqlite:///{directory}/data/measurements.sqlite3"
        if database == "postgresql":
            url = os.environ["STILLUP_DATABASE_URL"] = postgres.fresh_database()
        subprocess.run([sys.executable, str(ROOT / "manage.py"), "prepare"], cwd=ROOT, check=True, capture_output=True)
        codes = populate(asked_port)
        engine = open_engine(url)
        good = True
        print(
            f"{os.cpu_count()} cores shared with the load, {HEARTBEATS:,} heartbeats, {PROBED:,} probed at {INTERVAL:g} s, {database}"
        )
        bare = {connections: floor(directory, codes, connections, seconds) for connections in (16, 64)}
        print(f"asked with 16 connections: {WANTED[database]:,} pings/s, {WANTED[database] / FLOOR:.2f} of the floor")
        with running(port, directory) as up:
            warm(port, codes, engine)
            for method in ("GET", "POST"):
                for connections in (16, 64):
                    row = f"{method}, {connections} connections"
                    how = {"method": method, "connections": connections, "seconds": seconds}
                    good &= measure(row, port, codes, up, engine, bare=bare[connections], **how)
            good &= measure(
                "one hot URL, GET, 16 connections",
                port,
                codes[:1],
                up,
                engine,
                bare=bare[16],
                method="GET",
                connections=16,
                seconds=seconds,
            )
        engine.dispose()
    print("what was answered is stored" if good else "MISMATCH between answers and store")
    return 0 if good else 1


if __name__ == "__main__":
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--database", choices=list(WANTED), default="sqlite")
    parser.add_argument("--seconds", type=float, default=5.0)
    given = parser.parse_args()
    sys.exit(main(given.database, given.seconds))
