from __future__ import annotations

import asyncio
import logging
import sqlite3
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager
from datetime import timedelta
from pathlib import Path
from typing import Any

import pytest
import sqlalchemy as sa
from sqlalchemy import event

from checks import clock
from checks import recorder as recorder_module
from checks.lane import Lane
from checks.process import Watchdog
from checks.recorder import Recorder, store_is_shut
from checks.result import Failure, Outcome, Reason
from checks.sight import WORKER, last_sign
from checks.store import claims
from checks.store.claims import Finished
from checks.store.schema import target, trouble
from tests.checks.workers import make_all_due, monitor_of, publish, results
from tests.factories import make_finished
from tests.waiting import BUSY

LEASE = timedelta(seconds=30)


def claim_all(store: sa.Engine, count: int) -> list[claims.Claimed]:
    publish(store, *[monitor_of() for _ in range(count)])
    make_all_due(store)
    with store.begin() as conn:
        return claims.claim(
            conn,
            worker="w",
            location="local",
            now=clock.utcnow(),
            horizon=timedelta(0),
            limit=count,
            lease=LEASE,
        )


@asynccontextmanager
async def recording(store: sa.Engine, recorded: list[Finished]) -> AsyncIterator[Recorder]:
    lane = Lane("hot", Watchdog())
    recorder = Recorder(store, lane, worker="w", location="local", recorded=recorded.extend)
    running = asyncio.create_task(recorder.run())
    try:
        yield recorder
    finally:
        running.cancel()
        await asyncio.gather(running, return_exceptions=True)
        lane.close()


async def until(ask: Callable[[], object], within: float = 10.0) -> None:
    async with asyncio.timeout(within * BUSY):
        while not ask():  # noqa: ASYNC110 - it asks a database
            await asyncio.sleep(0.02)


def run(main: Callable[[], Awaitable[None]]) -> None:
    asyncio.run(main())  # type: ignore[arg-type]  # every main here is a coroutine function


def impatient(store: sa.Engine) -> None:
    """Wait 50 ms for a lock, not 20 s."""
    event.listen(store, "connect", lambda raw, _: raw.execute("PRAGMA busy_timeout=50"))
    store.dispose()


def troubles(store: sa.Engine) -> dict[str, str]:
    with store.begin() as conn:
        return {row.what: row.message for row in conn.execute(sa.select(trouble))}


def test_results_are_recorded_in_batches_with_a_sign_of_life(store: sa.Engine) -> None:
    recorded: list[Finished] = []
    commits: list[object] = []
    claimed = claim_all(store, 700)
    event.listen(store, "commit", commits.append)

    async def main() -> None:
        async with recording(store, recorded) as recorder:
            for each in claimed:
                recorder.add(make_finished(each))
            await until(lambda: len(recorded) == 700)

    run(main)
    assert len(results(store)) == 700
    assert len(commits) <= 5
    with store.begin() as conn:
        assert last_sign(conn, WORKER, "local", now=clock.utcnow()) is not None


def test_one_result_that_cannot_be_written_is_set_aside(store: sa.Engine, caplog: pytest.LogCaptureFixture) -> None:
    recorded: list[Finished] = []
    claimed = claim_all(store, 9)

    async def main() -> None:
        async with recording(store, recorded) as recorder:
            for number, each in enumerate(claimed):
                evidence: dict[str, Any] = {"banner": b"no JSON"} if number == 4 else {"banner": "220"}
                recorder.add(make_finished(each, Outcome.DOWN, evidence=evidence))
            await until(lambda: len(recorded) == 9)
            await until(lambda: troubles(store))

    run(main)
    assert len(results(store)) == 8
    assert "was set aside" in caplog.text
    assert list(troubles(store)) == ["bug:local"]


def test_a_locked_store_stops_the_claims_until_it_is_open_again(
    sqlite_store: sa.Engine, tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    recorded: list[Finished] = []
    claimed = claim_all(sqlite_store, 3)
    impatient(sqlite_store)
    caplog.set_level(logging.INFO)

    async def main() -> None:
        async with recording(sqlite_store, recorded) as recorder:
            await until(lambda: recorder._signed_at > 0)
            blocker = sqlite3.connect(tmp_path / "measurements.sqlite3", isolation_level=None)
            blocker.execute("BEGIN EXCLUSIVE")
            for each in claimed:
                recorder.add(make_finished(each))
            await until(lambda: not recorder.writable.is_set())
            await asyncio.sleep(0.5)
            assert recorded == []
            blocker.execute("ROLLBACK")
            blocker.close()
            await until(lambda: len(recorded) == 3, within=5)
            assert recorder.writable.is_set()

    run(main)
    assert len(results(sqlite_store)) == 3
    assert caplog.text.count("can't write to the store: the store's file is locked by another process") == 1
    assert "the store can be written to again" in caplog.text
    assert troubles(sqlite_store) == {
        "no_write:local": "a worker of local could not write to the store: the store's file is locked by another process"
    }


def test_a_store_that_stays_slow_is_a_trouble_of_ours(store: sa.Engine, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(recorder_module, "SLOW", 0.2)
    recorded: list[Finished] = []
    claimed = claim_all(store, 3)

    async def main() -> None:
        async with recording(store, recorded) as recorder:
            for number, each in enumerate(claimed, 1):
                assert troubles(store) == {}
                with store.begin() as conn:
                    if store.dialect.name == "postgresql":
                        conn.exec_driver_sql("LOCK TABLE target IN ACCESS EXCLUSIVE MODE")
                    recorder.add(make_finished(each))
                    await asyncio.sleep(0.6)
                    assert len(recorded) < number
                await until(lambda number=number: len(recorded) == number)
            await until(lambda: troubles(store))

    run(main)
    assert list(troubles(store)) == ["slow_store:local"]
    assert "the store is slow: a worker of local needs 0." in troubles(store)["slow_store:local"]
    assert recorder_module.troubles_of_workers("slow_store:local")  # silence means that it is over


def test_a_lock_that_passes_by_itself_is_nobodys_trouble(
    sqlite_store: sa.Engine, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    recorded: list[Finished] = []
    claimed = claim_all(sqlite_store, 3)
    impatient(sqlite_store)
    monkeypatch.setattr(recorder_module, "RETRY_AFTER", (0.4,))

    async def main() -> None:
        async with recording(sqlite_store, recorded) as recorder:
            await until(lambda: recorder._signed_at > 0)
            blocker = sqlite3.connect(tmp_path / "measurements.sqlite3", isolation_level=None)
            blocker.execute("BEGIN EXCLUSIVE")
            for each in claimed:
                recorder.add(make_finished(each))
            await until(lambda: not recorder.writable.is_set())
            blocker.execute("ROLLBACK")
            blocker.close()
            await until(lambda: len(recorded) == 3, within=5)
            assert recorder.writable.is_set()

    run(main)
    assert troubles(sqlite_store) == {}


def test_a_full_disk_is_no_reason_to_forget(sqlite_store: sa.Engine) -> None:
    recorded: list[Finished] = []
    claimed = claim_all(sqlite_store, 400)
    full = [True]

    def limit(raw: sqlite3.Connection, _: object) -> None:
        raw.execute(f"PRAGMA max_page_count={1 if full[0] else 1_000_000}")

    event.listen(sqlite_store, "connect", limit)
    sqlite_store.dispose()

    async def main() -> None:
        async with recording(sqlite_store, recorded) as recorder:
            for each in claimed:
                recorder.add(make_finished(each, Outcome.DOWN, evidence={"body": "x" * 4000}))
            await until(lambda: not recorder.writable.is_set())
            await asyncio.sleep(0.3)
            full[0] = False
            sqlite_store.dispose()
            await until(lambda: len(recorded) == 400, within=5)

    run(main)
    assert len(results(sqlite_store)) == 400
    assert "the disk is full" in troubles(sqlite_store)["no_write:local"]


def test_our_own_faults_are_reported_once_for_all_targets(sqlite_store: sa.Engine) -> None:
    recorded: list[Finished] = []
    claimed = claim_all(sqlite_store, 5)

    async def main() -> None:
        async with recording(sqlite_store, recorded) as recorder:
            for each in claimed:
                failure = Failure(reason=Reason.NO_RESOLVER, message="the resolver\x00 is silent")
                recorder.add(make_finished(each, Outcome.UNKNOWN, failure=failure))
            await until(lambda: len(recorded) == 5)

    run(main)
    assert troubles(sqlite_store) == {"no_resolver:local": "no verdict at local: the resolver\\x00 is silent"}


def test_a_result_that_comes_too_late_is_refused_and_counted(store: sa.Engine) -> None:
    recorded: list[Finished] = []
    claimed = claim_all(store, 2)
    with store.begin() as conn:
        conn.execute(target.update().where(target.c.id == claimed[0].target_id).values(fence=target.c.fence + 1))

    async def main() -> None:
        async with recording(store, recorded) as recorder:
            for each in claimed:
                recorder.add(make_finished(each))
            await until(lambda: len(recorded) == 2)
            assert recorder.refused == 1

    run(main)
    assert [row.target_id for row in results(store)] == [claimed[1].target_id]


def test_a_batch_that_comes_again_after_a_lost_answer_is_recorded_once(store: sa.Engine) -> None:
    claimed = claim_all(store, 3)
    for _ in range(2):
        recorded: list[Finished] = []

        async def main(recorded: list[Finished] = recorded) -> None:
            async with recording(store, recorded) as recorder:
                for each in claimed:
                    recorder.add(make_finished(each))
                await until(lambda: len(recorded) == 3)

        run(main)
    assert len(results(store)) == 3


def test_leases_are_renewed_while_probes_run(store: sa.Engine) -> None:
    claimed = claim_all(store, 3)
    with store.begin() as conn:
        conn.execute(target.update().values(leased_until=clock.utcnow()))

    async def main() -> None:
        async with recording(store, []) as recorder:
            await recorder.renew([each.target_id for each in claimed[:2]], LEASE)

    run(main)
    with store.begin() as conn:
        leases = list(conn.execute(sa.select(target.c.leased_until).order_by(target.c.id)).scalars())
    later = clock.utcnow() + timedelta(seconds=20)
    assert [lease > later for lease in leases] == [True, True, False]


def test_a_mistake_of_ours_is_no_trouble_of_the_store() -> None:
    assert not store_is_shut(ValueError("no"))
    assert not store_is_shut(sa.exc.DataError("INSERT", {}, Exception("null character not permitted")))
    assert not store_is_shut(sa.exc.IntegrityError("INSERT", {}, Exception("UNIQUE")))
    assert store_is_shut(sa.exc.OperationalError("INSERT", {}, Exception("database is locked")))
    assert store_is_shut(sa.exc.InternalError("UPDATE", {}, Exception("read-only transaction")))
