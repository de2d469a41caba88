"""An old worker refuses to work on what a newer version has upgraded under it."""

from __future__ import annotations

import asyncio
import sys
from collections.abc import Iterator
from datetime import timedelta
from pathlib import Path

import pytest
import sqlalchemy as sa

from checks import worker_process
from checks.store.engine import SchemaMismatch, open_engine
from checks.store.upgrade import VERSION_TABLE
from tests import postgres

LEASE = timedelta(seconds=30)


@pytest.fixture
def postgresql_url() -> Iterator[str]:
    """This test changes the version: its database is dropped afterwards."""
    url = postgres.fresh_store()
    yield url
    postgres.drop(url)


@pytest.fixture(autouse=True)
def _as_before(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> Iterator[None]:
    interval = sys.getswitchinterval()
    monkeypatch.setenv("STILLUP_DATA_DIR", str(tmp_path))
    monkeypatch.setattr(worker_process, "LOOK_EVERY", 0.05)
    yield
    sys.setswitchinterval(interval)


def test_a_worker_ends_when_the_store_becomes_newer_than_it_is(store: sa.Engine, store_url: str) -> None:
    async def work() -> None:
        stop = asyncio.Event()
        running = asyncio.create_task(
            worker_process.run_worker(store_url, location="local", slots=10, lease=LEASE, stop=stop)
        )
        await asyncio.sleep(0.3)
        assert not running.done()
        with store.begin() as conn:
            conn.execute(sa.text(f"UPDATE {VERSION_TABLE} SET version_num = '9999'"))
        async with asyncio.timeout(20):
            await running

    with pytest.raises(SchemaMismatch, match="revision 9999, which this version does not know: a newer Stillup"):
        asyncio.run(work())


def test_a_worker_outlasts_a_store_that_can_not_be_looked_at(sqlite_url: str, monkeypatch: pytest.MonkeyPatch) -> None:
    looked = 0

    def check(engine: sa.Engine) -> None:
        nonlocal looked
        looked += 1
        if looked > 1:  # the first look is that of the start
            raise sa.exc.OperationalError("SELECT", {}, OSError("away"))

    monkeypatch.setattr(worker_process, "check_schema", check)

    async def work() -> None:
        stop = asyncio.Event()
        running = asyncio.create_task(
            worker_process.run_worker(sqlite_url, location="local", slots=10, lease=LEASE, stop=stop)
        )
        while looked < 4:
            await asyncio.sleep(0.02)
            assert not running.done()
        stop.set()
        async with asyncio.timeout(20):
            await running

    asyncio.run(work())


def test_a_worker_that_refuses_a_store_leaves_no_connection_to_it(
    store: sa.Engine, store_url: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    engine = open_engine(store_url)
    monkeypatch.setattr(worker_process, "open_engine", lambda _url: engine)
    with store.begin() as conn:
        conn.execute(sa.text(f"UPDATE {VERSION_TABLE} SET version_num = '9999'"))
    before = engine.pool

    with pytest.raises(SchemaMismatch):
        asyncio.run(worker_process.run_worker(store_url, location="local", slots=10, lease=LEASE, stop=asyncio.Event()))

    assert isinstance(before, sa.pool.QueuePool)
    assert before.checkedin() + before.checkedout() == 0
