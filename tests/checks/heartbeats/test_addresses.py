"""Pings by slug, codes that expire, strangers, and what comes too fast."""

from __future__ import annotations

import asyncio
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from dataclasses import replace
from datetime import datetime, timedelta
from uuid import UUID

import pytest
import sqlalchemy as sa

from checks import clock
from checks.heartbeats import limits
from checks.heartbeats.addresses import Stranger, count_strangers
from checks.heartbeats.receiver import Make, PingReceiver
from checks.heartbeats.request import digest_of
from checks.store.publishing import PublishedMonitor
from checks.store.schema import ping_code, ping_key, unknown_ping
from tests.checks.heartbeats.asking import CODE, ask, asked, heard, job, pings, receiving, status
from tests.checks.workers import monitor_of, publish

KEY, MAKER = "aB3_-xYz0123456789abcd", "maker-0123456789abcdef"
SLUG = f"/ping/{KEY}/nightly-backup"


@pytest.fixture(autouse=True)
def keys(store: sa.Engine) -> None:
    with store.begin() as conn:
        rows = [
            {"digest": digest_of(KEY), "name": "cron", "creates": False},
            {"digest": digest_of(MAKER), "name": "maker", "creates": True},
        ]
        conn.execute(ping_key.insert(), rows)
    publish(
        store,
        replace(monitor_of(kind="heartbeat", name="Nightly backup", schedule={"every": "60s"}), ping_codes=(CODE,)),
    )


@pytest.fixture
def receiver(store_url: str) -> Iterator[PingReceiver]:
    with receiving(store_url) as receiver:
        yield receiver


def test_a_monitor_is_pinged_by_a_key_and_its_slug(receiver: PingReceiver, store: sa.Engine) -> None:
    assert asked(receiver, SLUG).status == 200
    assert asked(receiver, f"{SLUG}/3").status == 200
    assert [row.action for row in pings(store)] == ["success", "fail"]
    with store.begin() as conn:
        assert conn.execute(sa.select(ping_key.c.last_used_at).where(ping_key.c.name == "cron")).scalar() is not None


@pytest.mark.parametrize(
    ("path", "sentence"),
    [
        (f"/ping/{KEY}/other", b"no monitor has this slug"),
        (f"/ping/{KEY}/other?create=1", b"no monitor has this slug"),  # a key that may not
        ("/ping/nobodys-key-0123456789/nightly-backup", b"no monitor has this ping key"),
        ("/ping/6f0d3c1e-58a2-4b8e-9d17-0c2b9a7e4f10", b"no monitor has this ping code"),
    ],
)
def test_what_is_nobodys_is_not_found(receiver: PingReceiver, path: str, sentence: bytes) -> None:
    path, _, query = path.partition("?")
    answer = asked(receiver, path, query=query)
    assert (answer.status, answer.body) == (404, sentence)


def test_a_slug_of_another_kind_is_a_conflict(receiver: PingReceiver, store: sa.Engine) -> None:
    publish(store, monitor_of(kind="http", name="Shop"))
    assert asked(receiver, f"/ping/{KEY}/shop").status == 409


def test_a_monitor_that_is_not_there_is_made_once(store_url: str, store: sa.Engine) -> None:
    made = []

    async def make(slug: str) -> bool:
        made.append(slug)
        publish(store, monitor_of(kind="heartbeat", name=slug, schedule={"every": "1d"}))
        return True

    receiver = PingReceiver(store_url, make)
    receiver.open()
    try:
        answers = [asked(receiver, f"/ping/{MAKER}/new-job/start", query="create=1") for _ in range(2)]
        assert [answer.status for answer in answers] == [201, 200]
        assert asked(receiver, f"/ping/{MAKER}/another").status == 404, "nothing is made that was not asked for"
    finally:
        receiver.close()
    assert made == ["new-job"]
    assert [row.action for row in pings(store)] == ["start", "start"]


async def _fails(slug: str) -> bool:
    raise OSError(f"no room for {slug}")


async def _is_not_told(slug: str) -> bool:
    return bool(slug)


async def _is_of_another_kind(slug: str) -> bool:
    return not slug


@pytest.mark.parametrize(
    ("make", "expected"), [(_fails, (503, "5")), (_is_not_told, (503, "5")), (_is_of_another_kind, (409, None))]
)
def test_a_monitor_that_can_not_be_made_now_is_503(
    store_url: str, make: Make, expected: tuple[int, str | None]
) -> None:
    receiver = PingReceiver(store_url, make)
    receiver.open()
    try:
        answer = asked(receiver, f"/ping/{MAKER}/new-job", query="create=1")
    finally:
        receiver.close()
    assert (answer.status, answer.headers.get("retry-after")) == expected


def test_a_code_that_expired_is_nobodys(receiver: PingReceiver, store: sa.Engine, heartbeat: PublishedMonitor) -> None:
    def ends(revision: int, at: datetime) -> PublishedMonitor:
        return replace(heartbeat, revision=revision, ping_codes=(), old_codes=((CODE, at),))

    publish(store, ends(2, clock.utcnow() + timedelta(hours=1)))
    assert asked(receiver, f"/ping/{CODE}").status == 200
    with store.begin() as conn:
        assert conn.execute(sa.select(ping_code.c.last_used_at)).scalar_one() is not None
    publish(store, ends(3, clock.utcnow() - timedelta(seconds=1)))
    assert asked(receiver, f"/ping/{CODE}").status == 404


def test_a_monitor_may_demand_post(receiver: PingReceiver, store: sa.Engine) -> None:
    publish(
        store,
        replace(
            monitor_of(kind="heartbeat", name="Careful", schedule={"every": "60s"}, post_only=True),
            ping_codes=(UUID(int=7),),
        ),
    )
    refused = asked(receiver, f"/ping/{UUID(int=7)}")
    assert (refused.status, refused.headers["allow"]) == (405, "POST")
    assert asked(receiver, f"/ping/{UUID(int=7)}", method="POST").status == 200
    assert len(pings(store)) == 1


def test_strangers_are_counted_by_source_and_slowed_down(
    receiver: PingReceiver, store: sa.Engine, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(limits, "GUESSES", 3)
    assert asked(receiver, f"/ping/{CODE}").status == 200
    guesses = [asked(receiver, f"/ping/{UUID(int=number)}").status for number in range(1, 6)]
    assert guesses == [404, 404, 404, 429, 429]
    assert asked(receiver, f"/ping/{CODE}").status == 200, "who is known is heard all the same"
    receiver.beat()
    for _ in range(100):
        with store.begin() as conn:
            row = conn.execute(sa.select(unknown_ping)).first()
        if row is not None:
            break
        asyncio.run(asyncio.sleep(0.05))
        receiver.beat()
    assert row is not None
    assert (row.source, row.count) == ("127.0.0.1", 3)


def test_strangers_that_two_processes_saw_are_counted_in_one_order(store: sa.Engine) -> None:
    sources = [f"192.0.2.{number}" for number in range(1, 40)]
    strangers = [Stranger(source=source, count=1, at=clock.utcnow(), user_agent="curl") for source in sources]

    def count(several: list[Stranger]) -> None:
        for _ in range(20):
            with store.begin() as conn:
                count_strangers(conn, several)

    with ThreadPoolExecutor(2) as pool:
        for done in [pool.submit(count, strangers), pool.submit(count, strangers[::-1])]:
            done.result()
    with store.begin() as conn:
        assert set(conn.execute(sa.select(unknown_ping.c.count)).scalars()) == {40}


def test_a_flood_is_refused_and_what_was_answered_is_counted(receiver: PingReceiver, store: sa.Engine) -> None:
    async def flood() -> list[int]:
        answers = await asyncio.gather(*(ask(receiver, f"/ping/{CODE}") for _ in range(200)))
        return [answer.status for answer in answers if answer]

    statuses = asyncio.run(flood())
    assert set(statuses) == {200, 429}
    assert statuses.count(200) == heard(store)
    assert 10 <= len(pings(store)) <= 12, "the rest is counted on the last row"
    assert pings(store)[-1].last_at is not None
    assert (status(store), job(store).last_ping_at) == ("up", pings(store)[-1].last_at)


def test_what_says_something_new_is_stored_however_fast_it_comes(receiver: PingReceiver, store: sa.Engine) -> None:
    for number in range(20):
        asked(receiver, f"/ping/{CODE}/{'fail' if number % 2 else 'start'}")
    assert [row.count for row in pings(store)] == [1] * 20


def test_numbers_are_kept_with_the_ping(receiver: PingReceiver, store: sa.Engine) -> None:
    asked(receiver, f"/ping/{CODE}", method="POST", query="rows=7", parts=[b'{"rows": 3, "bytes": 10}'])
    assert pings(store)[0].numbers == {"rows": 7.0, "bytes": 10.0}
