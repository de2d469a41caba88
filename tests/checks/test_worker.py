from __future__ import annotations

import asyncio
import signal
import subprocess
import sys
import time
from collections import Counter
from datetime import timedelta
from itertools import pairwise
from pathlib import Path

import pytest
import sqlalchemy as sa

from checks import worker_process
from checks.lane import Lane
from checks.network import Resources
from checks.process import WRONG_CONFIGURATION, Watchdog
from checks.store.schema import trouble
from checks.worker import Claim
from tests import postgres
from tests.checks.workers import (
    ROOT,
    Worker,
    answers_after,
    hangs_up,
    make_all_due,
    monitor_of,
    publish,
    results,
    statuses,
    targets,
    working,
)
from tests.pausing import pause
from tests.servers import Target, closed_port, hangs
from tests.waiting import wait_until


def test_a_worker_probes_what_is_due_and_records_it(store: sa.Engine, store_url: str, tmp_path: Path) -> None:
    with Target(hangs_up) as server:
        good = [monitor_of(kind="tcp", address=server.address, interval="2s") for _ in range(20)]
        publish(store, *good, monitor_of(kind="tcp", address=f"127.0.0.1:{closed_port()}", interval="2s", failures=1))
        with working(store_url, tmp_path, "--lease", "2s") as worker:
            wait_until(lambda: len(results(store)) >= 60 and statuses(store) == {"up", "down"}, what="60 results")
            status, _ = worker.stop()
    assert status == 0
    found = results(store)
    assert Counter(row.outcome for row in found if row.outcome == "up")["up"] == server.connections
    assert all(row.latency_ns is not None and row.connect_ns is not None for row in found if row.outcome == "up")
    assert all(row.started_at >= row.due_at for row in found)


@pytest.mark.long_on("sqlite")
def test_a_worker_that_is_told_to_stop_gives_back_what_it_cuts_off(
    store: sa.Engine, store_url: str, tmp_path: Path
) -> None:
    with Target(hangs) as silent, Target(answers_after(3.0)) as slow:
        publish(
            store,
            monitor_of(name="silent", url=silent.url(), timeout="60s", failures=1),
            monitor_of(name="slow", url=slow.url(), timeout="60s", failures=1),
        )
        make_all_due(store)
        with working(store_url, tmp_path, "--lease", "2s") as worker:
            wait_until(lambda: silent.connections and slow.requests, what="both are probed")
            status, took = worker.stop()
    assert status == 0
    assert took < 25, "within 10 s, and what a machine adds that has other things to do"
    assert [row.outcome for row in results(store)] == ["up"], "what ended while draining is recorded, and nothing else"
    cut_off = next(row for row in targets(store) if row.last_result_at is None)
    assert (cut_off.leased_by, cut_off.vote) == (None, "pending")
    assert statuses(store) == {"up", "pending"}


def test_a_worker_that_is_told_to_stop_while_it_claims_gives_that_back(sqlite_store: sa.Engine) -> None:
    publish(sqlite_store, *[monitor_of(url="http://127.0.0.1:9/") for _ in range(3)])
    make_all_due(sqlite_store)

    async def main() -> None:
        loop, stop, watchdog = asyncio.get_running_loop(), asyncio.Event(), Watchdog()
        hot, house = Lane("hot", watchdog), Lane("house-keeping", watchdog)
        worker = worker_process.Worker(
            sqlite_store,
            name="w1",
            location="local",
            slots=10,
            lease=timedelta(seconds=30),
            hot=hot,
            house=house,
            resources=Resources.open(),
            secretbox=lambda: pytest.fail("nothing is sealed"),
            watchdog=watchdog,
        )
        claim = worker._claim_now

        def claim_slowly(limit: int) -> Claim:
            found = claim(limit)
            assert len(found.claimed) == 3
            loop.call_soon_threadsafe(stop.set)
            time.sleep(0.3)
            return found

        worker._claim_now = claim_slowly  # type: ignore[method-assign]
        await worker.run(stop)
        hot.close()
        house.close()

    asyncio.run(main())

    assert {row.leased_by for row in targets(sqlite_store)} == {None}


@pytest.mark.long_on("sqlite")
def test_another_worker_takes_over_from_one_that_is_killed(store: sa.Engine, store_url: str, tmp_path: Path) -> None:
    with Target(answers_after(0.3)) as server:
        publish(store, *[monitor_of(url=server.url(), interval="2s", retry_interval="1s") for _ in range(30)])
        make_all_due(store)
        with working(store_url, tmp_path, "--lease", "2s", number=1) as first:
            wait_until(lambda: len(results(store)) >= 40, what="the first worker probes")
            with working(store_url, tmp_path, "--lease", "2s", number=2):
                first.signal(signal.SIGKILL)
                first.process.wait()
                killed = max(row.started_at for row in results(store))

                def all_are_probed_again() -> bool:
                    return len({row.target_id for row in results(store) if row.started_at > killed}) == 30

                wait_until(all_are_probed_again, within=30, what="the second worker has all targets")
    assert statuses(store) == {"up"}
    assert _repeated(store) <= 30, "a due time is probed once, save one repeat a killed worker"


@pytest.mark.long_on("sqlite")
def test_two_workers_probe_each_due_time_once_and_skip_none(store: sa.Engine, store_url: str, tmp_path: Path) -> None:
    interval = timedelta(seconds=5)
    with Target(hangs_up) as server:
        options = {"kind": "tcp", "address": server.address, "interval": "5s", "timeout": "4s"}
        with (
            working(store_url, tmp_path, number=1) as first,
            working(store_url, tmp_path, number=2) as second,
        ):
            publish(store, *[monitor_of(**options) for _ in range(500)])
            wait_until(lambda: len(results(store)) >= 1500, within=60, what="three rounds")
            assert first.stop()[0] == second.stop()[0] == 0
    assert _repeated(store) == 0
    assert sum(row.skipped_slots for row in targets(store)) == 0
    by_target: dict[int, list[sa.Row]] = {}
    for row in results(store):
        by_target.setdefault(row.target_id, []).append(row)
    assert len(by_target) == 500
    for rows in by_target.values():
        dues = sorted(row.due_at for row in rows)
        assert all(later - earlier == interval for earlier, later in pairwise(dues))
    assert server.connections == len(results(store))


def _repeated(store: sa.Engine) -> int:
    counts = Counter((row.target_id, row.due_at) for row in results(store))
    return sum(count - 1 for count in counts.values())


@pytest.mark.long_on("sqlite")
def test_a_worker_that_was_stopped_cannot_overwrite_its_successor(
    store: sa.Engine, store_url: str, tmp_path: Path
) -> None:
    with Target(answers_after(1.5)) as server:
        publish(store, *[monitor_of(url=server.url(), interval="3s", retry_interval="1s") for _ in range(10)])
        make_all_due(store)
        with working(store_url, tmp_path, "--lease", "1s", number=1) as first:
            wait_until(lambda: len(server.requests) >= 10, what="the probes of the first worker")
            pause(first.process.pid, store.url)
            with working(store_url, tmp_path, "--lease", "1s", number=2) as second:
                wait_until(lambda: len({row.target_id for row in results(store)}) == 10, what="the second took over")
                pause(second.process.pid, store.url)
                fences = {row.id: row.fence for row in targets(store)}
                first.signal(signal.SIGCONT)
                first.wait_for("results came too late")
                assert all(row.fence >= fences[row.id] for row in targets(store))
                second.signal(signal.SIGCONT)
    assert _repeated(store) == 0
    assert statuses(store) == {"up"}


def test_a_worker_that_cannot_write_stops_claiming_and_recovers_by_itself(
    postgresql_store: sa.Engine, postgresql_url: str, tmp_path: Path
) -> None:
    store = postgresql_store
    with Target(hangs_up) as server:
        publish(store, monitor_of(kind="tcp", address=server.address, interval="1s", retry_interval="1s"))
        make_all_due(store)
        with working(postgresql_url, tmp_path, "--lease", "2s") as worker:
            wait_until(lambda: len(results(store)) >= 2, what="results")
            postgres.set_read_only(postgresql_url, "on")
            worker.wait_for("can't write to the store")
            time.sleep(1.5)  # what was in flight ends
            held = server.connections
            time.sleep(3)
            assert server.connections == held, "nothing is claimed while nothing can be recorded"
            assert worker.process.poll() is None
            postgres.set_read_only(postgresql_url, "off")
            store.dispose()
            worker.wait_for("can be written to again", within=5)
            wait_until(lambda: server.connections > held, within=5, what="it probes again")
            wait_until(lambda: _troubles(store), within=5, what="it says so in the store")
            assert worker.stop()[0] == 0
    assert _troubles(store) == {"no_write:local"}
    assert statuses(store) == {"up"}


def _troubles(store: sa.Engine) -> set[str]:
    with store.begin() as conn:
        return set(conn.execute(sa.select(trouble.c.what)).scalars())


def test_a_specification_that_cannot_be_read_is_our_fault_and_stops_nobody_else(
    sqlite_store: sa.Engine, sqlite_url: str, tmp_path: Path
) -> None:
    with Target(hangs_up) as server:
        sealed = monitor_of(url="http://127.0.0.1:1/", interval="1s", retry_interval="1s")
        sealed.spec["password"] = {"sealed": "by another key"}
        unheard = monitor_of(url="http://127.0.0.1:1/", interval="1s", retry_interval="1s")
        unheard.spec["kind"] = "carrier-pigeon"
        publish(sqlite_store, sealed, unheard, monitor_of(kind="tcp", address=server.address, interval="1s"))
        make_all_due(sqlite_store)
        with working(sqlite_url, tmp_path) as worker:
            wait_until(lambda: len(results(sqlite_store)) >= 6, what="results")
            assert worker.stop()[0] == 0
    assert {row.outcome for row in results(sqlite_store)} == {"up", "unknown"}
    assert statuses(sqlite_store) == {"pending", "up"}
    assert _troubles(sqlite_store) == {"bug:local"}


def test_a_worker_waits_for_a_store_that_does_not_answer_yet(tmp_path: Path) -> None:
    worker = Worker(f"postgresql://nobody@127.0.0.1:{closed_port()}/none", tmp_path)
    try:
        worker.wait_for("waiting for the store: the store's server refuses connections")
        status, took = worker.stop()
    finally:
        worker.end()
    assert (status, took < 10) == (0, True)


def test_a_worker_refuses_a_password_on_its_command_line(tmp_path: Path) -> None:
    worker = Worker("", tmp_path, "--store", "postgresql://watch:horse@127.0.0.1/stillup")
    assert worker.process.wait(20) == WRONG_CONFIGURATION
    assert "STILLUP_MEASUREMENTS_URL" in worker.log()
    assert "horse" not in worker.log()


def test_a_worker_refuses_a_store_without_tables(tmp_path: Path) -> None:
    worker = Worker(f"sqlite:///{tmp_path / 'empty.sqlite3'}", tmp_path)
    assert worker.process.wait(20) == WRONG_CONFIGURATION
    assert worker.log().count("\n") == 1


@pytest.mark.parametrize(
    ("option", "value", "said"),
    [
        ("--lease", "5", "not a duration: '5'"),
        ("--lease", "1h", "allowed: 1s to 10m"),
        ("--slots", "0", "allowed: 1 to 100000"),
        ("--location", "EU West", "write up to 50 of a-z, 0-9 and -, as in eu-west"),
    ],
)
def test_a_wrong_option_is_named(capsys: pytest.CaptureFixture[str], option: str, value: str, said: str) -> None:
    with pytest.raises(SystemExit):
        worker_process.main([option, value])
    assert said in capsys.readouterr().err


def test_a_worker_knows_nothing_of_django() -> None:
    code = "import sys, checks.worker_process; sys.exit('django' in sys.modules or 'apprise' in sys.modules)"
    assert subprocess.run([sys.executable, "-c", code], cwd=ROOT, check=False).returncode == 0
