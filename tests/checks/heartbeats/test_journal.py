"""What the journal of pings promises: 200 only after the commit, 503 where there is none, and a sign of life."""

from __future__ import annotations

import asyncio
import sqlite3
import threading
import time
from dataclasses import replace
from datetime import datetime, timedelta
from pathlib import Path

import pytest
import sqlalchemy as sa
from sqlalchemy import event

from checks import clock, sight
from checks.heartbeats import journal
from checks.heartbeats.receiver import PingReceiver
from checks.heartbeats.runs import Action, Ping
from checks.sight import WEB, last_sign
from checks.store.publishing import PublishedMonitor
from tests import postgres
from tests.checks.heartbeats.asking import CODE, PING, Answer, ask, asked, heard, pings, receiving
from tests.checks.workers import monitor_of, publish


def test_requests_that_arrive_during_a_commit_share_the_next_one(
    receiver: PingReceiver, store: sa.Engine, heartbeat: PublishedMonitor
) -> None:
    engine = receiver._journal._engine
    assert engine is not None
    commits = []
    event.listen(engine, "commit", lambda _: commits.append(threading.current_thread().name))

    async def many() -> list[Answer | None]:
        return await asyncio.gather(*(ask(receiver, PING) for _ in range(50)))

    answers = asyncio.run(many())
    assert {answer.status for answer in answers if answer} == {200}
    assert heard(store) == len(answers) == 50
    assert len(commits) < 30
    assert set(commits) == {"pings"}


def test_a_commit_waits_a_moment_for_those_that_the_last_one_answered(
    sqlite_url: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(journal, "GATHER", 60.0)
    quiet = journal.Journal(sqlite_url)
    gathering = quiet._thread = threading.Thread(target=quiet._gather, args=(3,))
    ping = Ping(address=CODE, action=Action.SUCCESS, received_at=clock.utcnow())

    async def come_one_after_the_other() -> None:
        gathering.start()
        stored = []
        for number in range(1, 4):
            stored.append(asyncio.create_task(quiet.store(ping)))
            await asyncio.to_thread(gathering.join, 0.2 if number < 3 else 20)
            assert gathering.is_alive() is (number < 3)
        for task in stored:
            task.cancel()

    asyncio.run(come_one_after_the_other())


def test_what_cannot_be_stored_is_503_and_is_stored_when_sent_again(
    sqlite_url: str, sqlite_store: sa.Engine, tmp_path: Path
) -> None:
    publish(sqlite_store, replace(monitor_of(kind="heartbeat"), ping_codes=(CODE,)))
    with receiving(sqlite_url) as receiver:
        engine = receiver._journal._engine
        assert engine is not None
        event.listen(engine, "connect", lambda raw, _: raw.execute("PRAGMA busy_timeout=100"))
        engine.dispose()
        blocker = sqlite3.connect(tmp_path / "measurements.sqlite3", isolation_level=None)
        blocker.execute("BEGIN EXCLUSIVE")
        refused = asked(receiver, PING)
        assert (refused.status, refused.headers["retry-after"]) == (503, "5")
        blocker.execute("COMMIT")
        blocker.close()
        assert asked(receiver, PING).status == 200
    assert len(pings(sqlite_store)) == 1


def test_while_the_server_only_reads_a_ping_is_503_and_none_is_lost(
    postgresql_url: str, postgresql_store: sa.Engine
) -> None:
    publish(postgresql_store, replace(monitor_of(kind="heartbeat"), ping_codes=(CODE,)))
    with receiving(postgresql_url) as receiver:
        assert asked(receiver, PING).status == 200
        postgres.set_read_only(postgresql_url, "on")
        refused = [asked(receiver, PING) for _ in range(3)]
        assert {(answer.status, answer.headers["retry-after"]) for answer in refused} == {(503, "5")}
        postgres.set_read_only(postgresql_url, "off")
        answers = [asked(receiver, PING).status for _ in range(3)]
        assert answers[-1] == 200
    postgresql_store.dispose()
    assert len(pings(postgresql_store)) == 1 + answers.count(200)


def test_a_connection_that_broke_is_not_used_again(receiver: PingReceiver, store: sa.Engine) -> None:
    assert asked(receiver, PING).status == 200
    conn = receiver._journal._conn
    assert conn is not None
    conn.connection.driver_connection.close()  # type: ignore[union-attr]  # as where the server went away
    answers = [asked(receiver, PING).status for _ in range(2)]
    assert answers[0] in (200, 503)
    assert answers[1] == 200
    assert len(pings(store)) == 1 + answers.count(200)


def test_a_connection_that_can_not_even_be_closed_ends_no_thread(
    receiver: PingReceiver, monkeypatch: pytest.MonkeyPatch
) -> None:
    def broken(*_: object) -> None:
        raise sa.exc.OperationalError("ROLLBACK", None, sqlite3.OperationalError("gone"))

    assert asked(receiver, PING).status == 200
    with monkeypatch.context() as broke:
        broke.setattr(journal, "KEPT", 60.0)
        broke.setattr(journal, "hear_all", broken)
        broke.setattr(sa.Connection, "close", broken)
        assert asked(receiver, PING).status == 503
    assert asked(receiver, PING).status == 200


def test_a_full_disk_is_503_too(sqlite_url: str, sqlite_store: sa.Engine) -> None:
    publish(sqlite_store, replace(monitor_of(kind="heartbeat"), ping_codes=(CODE,)))
    with receiving(sqlite_url) as receiver:
        engine = receiver._journal._engine
        assert engine is not None
        asked(receiver, PING)
        # The database itself refuses to grow, with the error of a full disk.
        event.listen(engine, "begin", lambda conn: conn.exec_driver_sql("PRAGMA max_page_count=1"))
        answers = {asked(receiver, PING, method="POST", parts=[b"x" * 10_000]).status for _ in range(20)}
    assert answers <= {200, 503}
    assert 503 in answers


def test_a_ping_before_the_store_exists_is_503(tmp_path: Path) -> None:
    with receiving(f"sqlite:///{tmp_path / 'none.sqlite3'}") as receiver:
        assert asked(receiver, PING).status == 503
    assert asked(PingReceiver("sqlite:///none"), PING).status == 503


def test_a_stopping_receiver_stores_what_it_took(store_url: str, store: sa.Engine, heartbeat: PublishedMonitor) -> None:
    receiver = PingReceiver(store_url)
    receiver.open()

    async def stop_meanwhile() -> list[Answer | None]:
        asking = [asyncio.create_task(ask(receiver, PING)) for _ in range(50)]
        await asyncio.sleep(0)
        await asyncio.to_thread(receiver.close)
        return await asyncio.gather(*asking)

    answers = asyncio.run(stop_meanwhile())
    assert [answer.status for answer in answers if answer].count(200) == heard(store)


def signed_after(store: sa.Engine, since: datetime, within: float) -> bool:
    """Whether the process says within so many seconds that it lives."""
    end = time.monotonic() + within
    while time.monotonic() < end:
        with store.begin() as conn:
            last = last_sign(conn, WEB, now=clock.utcnow())
        if last is not None and last >= since:
            return True
        time.sleep(0.05)
    return False


def test_signs_of_life_are_written_by_the_path_of_the_pings(store_url: str, store: sa.Engine) -> None:
    with receiving(store_url) as receiver:
        receiver.beat()
        assert signed_after(store, clock.utcnow() - timedelta(seconds=1), within=5)


def test_a_loop_that_stands_still_signs_no_life_until_it_moves_again(
    store_url: str, store: sa.Engine, heartbeat: PublishedMonitor, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(sight, "SIGN_EVERY", 0.1)
    monkeypatch.setattr(journal, "BEAT_WITHIN", 0.3)
    with receiving(store_url) as receiver:
        assert not signed_after(store, clock.utcnow(), within=0.5), "the loop has not begun"
        receiver.beat()
        assert signed_after(store, clock.utcnow(), within=5)
        time.sleep(0.4)
        hung = clock.utcnow()
        assert not signed_after(store, hung, within=0.8)
        assert asked(receiver, PING).status == 200
        assert signed_after(store, hung, within=5), "a ping that is received shows that it moves"


def test_a_receiver_that_is_stopping_signs_no_life_and_stores_what_still_comes(
    store_url: str, store: sa.Engine, heartbeat: PublishedMonitor, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(sight, "SIGN_EVERY", 0.1)
    with receiving(store_url) as receiver:
        receiver.beat()
        assert signed_after(store, clock.utcnow(), within=5)
        receiver.drain()
        time.sleep(0.3)
        stopping = clock.utcnow()
        receiver.beat()
        assert asked(receiver, PING).status == 200
        assert not signed_after(store, stopping, within=0.5)
    assert len(pings(store)) == 1
