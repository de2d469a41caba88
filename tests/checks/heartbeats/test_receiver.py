from __future__ import annotations

import asyncio
import sqlite3
import threading
import time
from collections.abc import Iterator
from dataclasses import replace
from datetime import datetime, timedelta
from pathlib import Path
from uuid import UUID, uuid4

import pytest
import sqlalchemy as sa
from sqlalchemy import event

from checks import clock, sight
from checks.heartbeats import journal
from checks.heartbeats import receiver as receiver_module
from checks.heartbeats.receiver import PingReceiver
from checks.sight import WEB, last_sign
from checks.store import publishing
from checks.store.publishing import PublishedMonitor
from tests import postgres
from tests.checks.heartbeats.asking import Answer, ask, asked, heard, job, pings, receiving, status, transitions
from tests.checks.workers import monitor_of, publish

CODE = UUID("8c0f6cb2-6f1e-4b0a-9d50-2f3c1f0f8a11")
RUN = "0b6a36f2-91c4-4a2e-8a4b-5d3f8a1c2e77"
PING = f"/ping/{CODE}"


@pytest.fixture
def heartbeat(store: sa.Engine) -> PublishedMonitor:
    """A published job that is expected every minute, with ten seconds of grace."""
    monitor = replace(monitor_of(kind="heartbeat", schedule={"every": "60s"}, grace="10s"), ping_codes=(CODE,))
    publish(store, monitor)
    return monitor


@pytest.fixture
def receiver(store_url: str, heartbeat: PublishedMonitor) -> Iterator[PingReceiver]:
    with receiving(store_url) as receiver:
        yield receiver


def test_an_answered_ping_is_stored_and_the_job_is_up(receiver: PingReceiver, store: sa.Engine) -> None:
    before = clock.utcnow()
    answer = asked(receiver, PING, headers=[(b"user-agent", b"curl/8")])
    assert (answer.status, answer.body, answer.headers["ping-body-limit"]) == (200, b"OK", "10000")
    (stored,) = pings(store)
    assert (stored.action, stored.method, stored.source, stored.user_agent) == ("success", "GET", "127.0.0.1", "curl/8")
    assert before <= stored.received_at <= clock.utcnow()
    heard = job(store)
    assert heard.last_ping_at == stored.received_at
    assert heard.deadline_at == stored.received_at + timedelta(seconds=70)
    assert status(store) == "up"
    assert transitions(store)[0].cause == "ping"


@pytest.mark.parametrize(
    ("path", "method", "query", "expected"),
    [
        (PING, "GET", "", 200),
        (PING, "HEAD", "", 200),
        (PING, "POST", "", 200),
        (f"{PING}/", "GET", "", 200),
        (PING.upper().replace("/PING", "/ping"), "GET", "", 200),
        (f"{PING}/start", "GET", "", 200),
        (f"{PING}/fail", "POST", "", 200),
        (f"{PING}/log", "POST", "", 200),
        (f"{PING}/0", "GET", "", 200),
        (f"{PING}/255", "GET", "", 200),
        (PING, "GET", f"rid={RUN}", 200),
        (PING, "GET", "create=1&x=%ff", 200),
        (f"{PING}/256", "GET", "", 400),
        (f"{PING}/1000000000", "GET", "", 400),
        (PING, "GET", "rid=7", 400),
        (PING, "GET", "rid=", 400),
        (f"{PING}/-1", "GET", "", 404),
        (f"{PING}/1.5", "GET", "", 404),
        (f"{PING}/stop", "GET", "", 404),
        (f"{PING}/start/now", "GET", "", 404),
        ("/ping/6f0d3c1e-58a2-4b8e-9d17-0c2b9a7e4f10", "GET", "", 404),
        (f"/ping/{CODE.hex}", "GET", "", 404),
        (f"/ping/{{{CODE}}}", "GET", "", 404),
        ("/ping/", "GET", "", 404),
        ("/ping/key/slug", "GET", "", 404),
        (PING, "PUT", "", 405),
        (PING, "DELETE", "", 405),
        (PING, "OPTIONS", "", 204),
        (f"{PING}/256", "OPTIONS", "", 400),
    ],
)
@pytest.mark.parametrize("dialect", ["sqlite"])
def test_each_request_has_its_answer(
    receiver: PingReceiver, store: sa.Engine, *, path: str, method: str, query: str, expected: int
) -> None:
    answer = asked(receiver, path, method=method, query=query)
    assert answer.status == expected
    assert len(pings(store)) == (1 if expected == 200 else 0)
    assert (answer.body == b"") == (method in ("HEAD", "OPTIONS") and expected < 300)
    if expected == 405:
        assert answer.headers["allow"] == "GET, HEAD, POST"


def test_a_reported_failure_is_down_at_once_and_says_why(receiver: PingReceiver, store: sa.Engine) -> None:
    asked(receiver, PING)
    asked(receiver, f"{PING}/3", method="POST")
    assert status(store) == "down"
    assert transitions(store)[-1].evidence["failure"] == {
        "reason": "reported",
        "message": "the job ended with exit code 3",
    }
    assert job(store).last_failure["message"] == "the job ended with exit code 3"
    asked(receiver, f"{PING}/0")
    assert status(store) == "up"
    assert job(store).last_failure is None


def test_a_log_entry_is_kept_and_changes_nothing(receiver: PingReceiver, store: sa.Engine) -> None:
    assert asked(receiver, f"{PING}/log", method="POST", parts=[b"still at it"]).status == 200
    assert pings(store)[0].body == b"still at it"
    assert (job(store).last_ping_at, status(store), transitions(store)) == (None, "pending", [])


def test_start_and_end_of_a_run_are_paired(receiver: PingReceiver, store: sa.Engine) -> None:
    asked(receiver, f"{PING}/start")
    assert job(store).last_start_at == pings(store)[0].received_at
    asked(receiver, PING)
    start, end = pings(store)
    took = round((end.received_at - start.received_at).total_seconds() * 1e9)
    assert end.duration_ns == took == job(store).last_duration_ns
    assert job(store).last_start_at is None


def test_runs_that_overlap_are_told_apart_by_their_rid(receiver: PingReceiver, store: sa.Engine) -> None:
    first, second = str(uuid4()), str(uuid4())
    asked(receiver, f"{PING}/start", query=f"rid={first}")
    asked(receiver, f"{PING}/start", query=f"rid={second}")
    asked(receiver, PING, query=f"rid={first}")
    assert job(store).last_start_at == pings(store)[1].received_at, "the second run is still open"
    asked(receiver, PING, query=f"rid={second}")
    begun, begun_too, ended, ended_too = pings(store)
    assert ended.duration_ns == round((ended.received_at - begun.received_at).total_seconds() * 1e9)
    assert ended_too.duration_ns == round((ended_too.received_at - begun_too.received_at).total_seconds() * 1e9)
    assert job(store).last_start_at is None


def test_a_body_is_kept_up_to_ten_thousand_bytes_as_it_came(receiver: PingReceiver, store: sa.Engine) -> None:
    strange = b"\xff\xfe\x00\x1b[2J"
    assert asked(receiver, PING, method="POST", parts=[strange, b"x" * 9_990, b"y" * 500_000]).status == 200
    (stored,) = pings(store)
    assert stored.body == strange + b"x" * 9_990 + b"y" * 3
    assert stored.body_size == 509_997


@pytest.mark.parametrize("dialect", ["sqlite"])
def test_a_body_above_one_mebibyte_is_refused(receiver: PingReceiver, store: sa.Engine) -> None:
    assert asked(receiver, PING, method="POST", parts=[b"x" * 600_000] * 2).status == 413
    announced = [(b"content-length", b"1048577")]
    assert asked(receiver, PING, method="POST", headers=announced).status == 413
    assert asked(receiver, PING, method="POST", headers=[(b"content-length", b"9" * 4000)]).status == 413
    assert pings(store) == []


@pytest.mark.parametrize("dialect", ["sqlite"])
def test_a_ping_counts_when_its_request_is_complete(receiver: PingReceiver, store: sa.Engine) -> None:
    assert asked(receiver, PING, method="POST", parts=[b"half"], leaves=True).status == 400
    assert pings(store) == []


@pytest.mark.parametrize("dialect", ["sqlite"])
def test_a_body_that_does_not_arrive_is_408(
    receiver: PingReceiver, store: sa.Engine, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(receiver_module, "BODY_WITHIN", 0.05)

    async def slow() -> list[int]:
        sent = []

        async def receive() -> dict[str, object]:
            await asyncio.sleep(60)
            return {}

        async def send(message: dict[str, object]) -> None:
            sent.append(message)

        scope = {"type": "http", "method": "POST", "path": PING, "query_string": b"", "headers": []}
        await receiver(scope, receive, send)
        return [message["status"] for message in sent if "status" in message]

    assert asyncio.run(slow()) == [408]
    assert pings(store) == []


def test_a_paused_job_keeps_its_pings_and_stays_paused(
    receiver: PingReceiver, store: sa.Engine, heartbeat: PublishedMonitor
) -> None:
    publish(store, replace(heartbeat, revision=2, paused=True))
    assert asked(receiver, f"{PING}/fail").status == 200
    assert len(pings(store)) == 1
    assert (status(store), job(store).deadline_at) == ("paused", None)
    assert job(store).last_ping_at == pings(store)[0].received_at


@pytest.mark.parametrize("dialect", ["sqlite"])
@pytest.mark.parametrize("removed", ["retired", "deleted"])
def test_a_removed_job_has_no_code_any_more(
    receiver: PingReceiver, store: sa.Engine, heartbeat: PublishedMonitor, removed: str
) -> None:
    publish(store, replace(heartbeat, revision=2, removed=removed))
    assert asked(receiver, PING).status == 404


def test_two_changes_in_one_commit_are_two_transitions(store: sa.Engine, heartbeat: PublishedMonitor) -> None:
    from checks.heartbeats.hearing import hear_all
    from checks.heartbeats.runs import Action, Ping, Verdict

    now = clock.utcnow()

    def ping(action: Action, seconds: float) -> Ping:
        return Ping(address=CODE, action=action, received_at=now + timedelta(seconds=seconds))

    # In the order in which they arrived, not in that of the batch.
    batch = [ping(Action.SUCCESS, 3), ping(Action.FAIL, 2), ping(Action.SUCCESS, 1)]
    with store.begin() as conn:
        known, written = hear_all(conn, batch, now + timedelta(seconds=4))
    assert known == [Verdict.STORED] * 3
    assert [each.transition.to_status for each in written] == ["up", "down", "up"]
    assert [row.to_status for row in transitions(store)] == ["up", "down", "up"]


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


def test_publishing_again_keeps_what_was_heard(
    receiver: PingReceiver, store: sa.Engine, heartbeat: PublishedMonitor
) -> None:
    asked(receiver, PING)
    before = job(store)
    with store.begin() as conn:
        publishing.publish(conn, [replace(heartbeat, revision=2, name="Another name")], clock.utcnow())
    after = job(store)
    assert (after.last_ping_at, after.deadline_at, after.vote) == (before.last_ping_at, before.deadline_at, "up")
