from __future__ import annotations

import asyncio
from dataclasses import replace
from datetime import timedelta
from uuid import uuid4

import pytest
import sqlalchemy as sa

from checks import clock
from checks.heartbeats import receiver as receiver_module
from checks.heartbeats.receiver import PingReceiver
from checks.store import publishing
from checks.store.publishing import PublishedMonitor
from tests.checks.heartbeats.asking import (
    CODE,
    PING,
    asked,
    job,
    pings,
    status,
    transitions,
)
from tests.checks.workers import publish

RUN = "0b6a36f2-91c4-4a2e-8a4b-5d3f8a1c2e77"


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


def test_publishing_again_keeps_what_was_heard(
    receiver: PingReceiver, store: sa.Engine, heartbeat: PublishedMonitor
) -> None:
    asked(receiver, PING)
    before = job(store)
    with store.begin() as conn:
        publishing.publish(conn, [replace(heartbeat, revision=2, name="Another name")], clock.utcnow())
    after = job(store)
    assert (after.last_ping_at, after.deadline_at, after.vote) == (before.last_ping_at, before.deadline_at, "up")
