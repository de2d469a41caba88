"""How far one PostgreSQL and this machine go: workers beside each other, and claims after millions of updates.

    python benchmarks/scaling.py [--part workers|claims|both] [--workers 1,2,4] [--seconds 20] [--updates 2000000]

`workers`: so many of the product's own workers are given more than they can do, and the probes a second that they record
are counted; where the CPU went says what bounds them. `claims`: claims and records in batches of 200, and what a claim
takes at the beginning and at the end. CPU is user and system time; the server's is apart.
"""

from __future__ import annotations

import argparse
import os
import sys
import time
from contextlib import ExitStack
from datetime import timedelta
from pathlib import Path
from typing import Any

sys.path.insert(0, str(Path(__file__).parent))

import psutil
import rig
import sqlalchemy as sa

from checks import clock
from checks.result import Outcome, Phases, Result
from checks.status import observe
from checks.store.claims import Finished, claim, next_due
from checks.store.schema import result, target
from checks.store.writer import record
from tests.factories import make_published

LEASE = timedelta(seconds=30)
OFFERED = 6000  # probes a second: more than two cores can do
BATCH = 200
TARGETS = 10_000
RUSH = 2000  # claims over which a share is taken


def server_cpu() -> float:
    """Seconds that PostgreSQL has spent so far, without sessions that have ended."""
    process = psutil.Process(rig.server().pid)
    spent = 0.0
    for each in (process, *process.children()):
        try:
            times = each.cpu_times()
        except psutil.NoSuchProcess:
            continue
        spent += times.user + times.system
    return spent


def workers(count: int, seconds: float) -> None:
    """What so many workers record together when more is due than they can do."""
    with rig.asked() as port, rig.store("postgresql") as (url, engine), ExitStack() as running:
        monitors = [
            {"kind": "http", "url": f"http://127.0.0.1:{port}/{number}", "interval": "2s"}
            for number in range(2 * OFFERED)
        ]
        rig.watch(engine, monitors)
        processes = [running.enter_context(rig.working(url)) for _ in range(count)]
        rig.wait_until_probed(engine, 240)
        time.sleep(5)
        asked, spent, server = int(rig.ask(port, "/count")), [rig.Spent.by(each) for each in processes], server_cpu()
        begun = clock.utcnow()
        time.sleep(seconds)
        ended = clock.utcnow()
        asked, server = int(rig.ask(port, "/count")) - asked, server_cpu() - server
        after = [rig.Spent.by(each) - before for each, before in zip(processes, spent, strict=True)]
        idle = psutil.cpu_times_percent(1.0).idle
        time.sleep(1)
        outcomes = rig.results(engine, begun, ended, result.c.outcome)
    elapsed = (ended - begun).total_seconds()
    whole, loops = sum(each.whole for each in after), sum(each.loop for each in after)
    print(
        f"{count} workers: {asked / elapsed:7.0f} probes/s; {whole / asked * 1e6:5.0f} us a probe in the workers"
        f" ({loops / asked * 1e6:.0f} in their loops), {server / asked * 1e6:.0f} us in PostgreSQL;"
        f" busiest loop {max(each.loop for each in after) / elapsed:.0%} of a core, PostgreSQL {server / elapsed:.0%},"
        f" machine idle {idle:.0f} %, unknown {sum(row.outcome == 'unknown' for row in outcomes)} of {len(outcomes)}",
        flush=True,
    )


def finished(claimed: Any, policy: Any, now: Any, interval: float) -> Finished:
    phases = Phases(dns=400_000, connect=900_000, first_byte=19_000_000, transfer=700_000)
    made = Result(outcome=Outcome.UP, started_at=now, latency_ns=phases.total(), phases=phases)
    after = observe(claimed.state, Outcome.UP, now, policy)
    due = claimed.due_at + timedelta(seconds=interval)
    return Finished(claimed=claimed, result=made, policy=policy, after=after, next_due_at=due, skipped=0)


def claims(database: str, updates: int) -> None:
    """Claims and records over and over: what they cost, and how long a claim takes at the end."""
    with rig.store(database) as (_, engine):
        monitors = [make_published(interval=10.0) for _ in range(TARGETS)]
        policy, now = monitors[0].policy, clock.utcnow()
        with engine.begin() as conn:
            rig.publish(conn, monitors, now)
            # Spread evenly, as they come to be.
            micros = sa.type_coerce(clock.to_micros(now), sa.BigInteger) + target.c.id * (10_000_000 // TARGETS)
            conn.execute(target.update().values(next_due_at=sa.type_coerce(micros, target.c.next_due_at.type)))
        if database == "postgresql":
            with engine.begin() as conn:
                conn.exec_driver_sql("ANALYZE")
        took: list[float] = []
        cpu, server, done, warm, written = 0.0, 0.0, 0, 0, 0
        while done * 2 < updates:
            now += timedelta(seconds=10 * BATCH / TARGETS)
            before, begun = time.process_time(), time.perf_counter()
            with engine.begin() as conn:
                found = claim(
                    conn, worker="w", location="local", now=now, horizon=timedelta(0), limit=BATCH, lease=LEASE
                )
                next_due(conn, "local", after=now)
            waited = time.perf_counter() - begun
            batch = [finished(each, policy, now, 10.0) for each in found]
            with engine.begin() as conn:
                record(conn, batch, now)
            if warm < TARGETS:  # the first result of each is a transition
                warm += len(batch)
                if database == "postgresql":
                    server = server_cpu()
                    with engine.begin() as conn:
                        written = _written(conn)
                continue
            took.append(waited)
            cpu += time.process_time() - before
            done += len(batch)
        server = server_cpu() - server if database == "postgresql" else 0.0
        size = ""
        if database == "postgresql":
            with engine.begin() as conn:
                size = _size(conn, done, _written(conn) - written)
    first, last = took[:RUSH], took[-RUSH:]
    print(
        f"{database}: {done} claims and records in batches of {BATCH}: {cpu / done * 1e6:.1f} us CPU of the worker each,"
        f" {server / done * 1e6:.1f} us of the server\n"
        f"  a claim of {BATCH} at the beginning: p50 {rig.share(first, 50) * 1e3:.2f} ms, p99 {rig.share(first, 99) * 1e3:.2f} ms\n"
        f"  a claim of {BATCH} after {done * 2:,} updates: p50 {rig.share(last, 50) * 1e3:.2f} ms, p99"
        f" {rig.share(last, 99) * 1e3:.2f} ms (wanted: at most 20){size}",
        flush=True,
    )


def _written(conn: sa.Connection) -> int:
    """Bytes of write-ahead log so far, without the page images that a server with default settings adds."""
    return int(conn.exec_driver_sql("SELECT pg_current_wal_insert_lsn() - '0/0'").scalar_one())


def _size(conn: sa.Connection, done: int, written: int) -> str:
    of_targets, dead = conn.exec_driver_sql(
        "SELECT pg_total_relation_size('target'), n_dead_tup FROM pg_stat_user_tables WHERE relname = 'target'"
    ).one()
    of_results = conn.exec_driver_sql("SELECT sum(pg_total_relation_size(relid)) FROM pg_partition_tree('result')")
    return (
        f"\n  {TARGETS} targets take {of_targets / 2**20:.0f} MiB, with {dead} dead rows; a result takes"
        f" {int(of_results.scalar_one()) / (done + TARGETS):.0f} bytes, a probe writes {written / done:.0f} bytes of log"
    )


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--part", choices=("workers", "claims", "both"), default="both")
    parser.add_argument("--workers", default="1,2,4")
    parser.add_argument("--seconds", type=float, default=20)
    parser.add_argument("--updates", type=int, default=2_000_000)
    options = parser.parse_args()
    print(f"{os.cpu_count()} cores, load {os.getloadavg()[0]:.1f}; servers and workers share them", flush=True)
    if options.part != "claims":
        for count in options.workers.split(","):
            workers(int(count), options.seconds)
    if options.part != "workers":
        claims("sqlite", options.updates // 10)
        claims("postgresql", options.updates)
    return 0


if __name__ == "__main__":
    sys.exit(main())
