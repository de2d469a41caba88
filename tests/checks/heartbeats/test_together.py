"""Several processes of ours at once on one store: each ping is stored, each deadline judged once, nobody is refused."""

from __future__ import annotations

import asyncio
import random
import threading
import time
from collections import Counter
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from dataclasses import replace
from statistics import median
from typing import Any
from uuid import UUID, uuid4

import pytest
import sqlalchemy as sa

from checks import clock
from checks.heartbeats import hearing
from checks.heartbeats.hearing import hear_all
from checks.heartbeats.jobs import Job, jobs_of_codes
from checks.heartbeats.receiver import PingReceiver
from checks.heartbeats.request import digest_of
from checks.heartbeats.runs import Action, Address, Named, Ping, Verdict
from checks.heartbeats.sweep import overdue, sweep
from checks.sight import EVERYWHERE, WEB
from checks.store.engine import open_engine
from checks.store.publishing import PublishedMonitor
from checks.store.schema import monitor_state, ping_code, ping_key, sign_of_life, transition
from checks.store.schema import ping as ping_table
from tests.checks.heartbeats.asking import ask, heard, job, receiving
from tests.checks.workers import monitor_of, publish
from tests.factories import NOON, at

KEY = "aB3_-xYz0123456789abcd"


def jobs(store: sa.Engine, count: int) -> list[tuple[UUID, PublishedMonitor]]:
    """So many published jobs that are expected every minute, each with its code."""
    codes = [uuid4() for _ in range(count)]
    monitors = [
        replace(
            monitor_of(kind="heartbeat", name=f"job {number}", schedule={"every": "60s"}, grace="10s"),
            ping_codes=(code,),
        )
        for number, code in enumerate(codes)
    ]
    publish(store, *monitors, now=NOON)
    return list(zip(codes, monitors, strict=True))


def at_once(count: int, work: Callable[[sa.Engine], None], url: str) -> None:
    """Do the work in so many threads, each with an engine of its own, as so many processes would."""
    engines = [open_engine(url) for _ in range(count)]
    try:
        with ThreadPoolExecutor(count) as pool:
            for done in [pool.submit(work, engine) for engine in engines]:
                done.result()
    finally:
        for engine in engines:
            engine.dispose()


def test_several_workers_that_sweep_at_once_judge_each_deadline_once(store_url: str, store: sa.Engine) -> None:
    known = jobs(store, 300)
    with store.begin() as conn:
        hear_all(conn, [Ping(address=code, action=Action.SUCCESS, received_at=at(0)) for code, _ in known], at(0))
        row = {"process": "web", "role": WEB, "location": EVERYWHERE, "started_at": NOON, "at": at(1000)}
        conn.execute(sign_of_life.insert().values(row))

    def work(engine: sa.Engine) -> None:
        while True:
            with engine.begin() as conn:
                if not overdue(conn, at(1000)):
                    return
                sweep(conn, at(1000))

    at_once(4, work, store_url)
    with store.begin() as conn:
        changes = Counter((row.monitor, row.from_status, row.to_status) for row in conn.execute(sa.select(transition)))
    assert set(changes.values()) == {1}
    assert len([change for change in changes if change[2] == "down"]) == len(known)


def test_pings_by_code_and_by_slug_through_several_processes_are_all_stored(store_url: str, store: sa.Engine) -> None:
    known = jobs(store, 20)
    with store.begin() as conn:
        conn.execute(ping_key.insert(), [{"digest": digest_of(KEY), "name": "cron", "creates": False}])
    addresses: list[Address] = [code for code, _ in known]
    addresses += [Named(digest_of(KEY), monitor.slug) for _, monitor in known]
    sent, lock = Counter[str](), threading.Lock()

    def work(engine: sa.Engine) -> None:
        chance = random.Random(id(engine))
        for _ in range(15):
            now = clock.utcnow()
            pings = [
                # Changes of status lock monitors, the others do not.
                Ping(address=address, action=chance.choice((Action.SUCCESS, Action.FAIL)), received_at=now)
                for address in chance.sample(addresses, 10)
            ]
            with engine.begin() as conn:
                verdicts, _ = hear_all(conn, pings, now)
            with lock:
                sent.update(verdicts)

    at_once(4, work, store_url)
    assert sent == {Verdict.STORED: 4 * 15 * 10}
    assert heard(store) == 4 * 15 * 10
    with store.begin() as conn:
        by_monitor = sa.select(transition.c.monitor, transition.c.seq).order_by(transition.c.monitor, transition.c.seq)
        rows = conn.execute(by_monitor).all()
        last = {row.monitor: row.seq for row in conn.execute(sa.select(monitor_state))}
    numbers: dict[UUID, list[int]] = {}
    for row in rows:
        numbers.setdefault(row.monitor, []).append(row.seq)
    assert all(found == list(range(1, last[monitor] + 1)) for monitor, found in numbers.items())


def test_two_codes_of_one_monitor_that_come_together_are_of_one_job(store: sa.Engine) -> None:
    ((code, monitor),) = jobs(store, 1)
    replaced = uuid4()
    publish(store, replace(monitor, revision=2, ping_codes=(code, replaced)), now=NOON)

    def ping(address: UUID, seconds: float, action: Action) -> Ping:
        return Ping(address=address, action=action, received_at=at(seconds))

    for begin, order in enumerate([(code, replaced), (replaced, code)]):
        seconds = begin * 10.0
        pings = [ping(order[0], seconds, Action.START), ping(order[1], seconds + 4, Action.FAIL)]
        with store.begin() as conn:
            assert hear_all(conn, pings, at(seconds + 5))[0] == [Verdict.STORED] * 2
        known = job(store)
        assert (known.vote, known.last_ping_at, known.last_duration_ns) == ("down", at(seconds + 4), 4 * 10**9)
        assert known.open_runs == 0
    assert heard(store) == 4


def statuses_while(receiver: PingReceiver, paths: list[str], change: Callable[[], None]) -> dict[str, list[int]]:
    """The answers to each path in turn, a hundred a second and more, while something changes in their midst."""

    async def pinging() -> dict[str, list[int]]:
        answers: dict[str, list[int]] = {path: [] for path in paths}

        async def go_round() -> None:
            for path in paths:
                answer = await ask(receiver, path)
                assert answer is not None
                answers[path].append(answer.status)
            await asyncio.sleep(0.02)

        for _ in range(5):
            await go_round()
        changing = asyncio.create_task(asyncio.to_thread(change))
        while not changing.done():
            await go_round()
        await changing
        for _ in range(5):
            await go_round()
        return answers

    return asyncio.run(pinging())


def test_a_monitor_that_is_deleted_while_it_is_pinged_is_then_nobodys(store_url: str, store: sa.Engine) -> None:
    (code, monitor), (other, _) = jobs(store, 2)
    with receiving(store_url) as receiver:
        answers = statuses_while(
            receiver,
            [f"/ping/{code}", f"/ping/{other}"],
            lambda: publish(store, replace(monitor, revision=2, removed="deleted")),
        )
    of_deleted = answers[f"/ping/{code}"]
    assert set(of_deleted) == {200, 404}
    assert of_deleted == sorted(of_deleted), "once it is gone it stays gone"
    assert set(answers[f"/ping/{other}"]) == {200}


def test_a_code_that_is_published_while_it_is_looked_for_is_heard(
    postgresql_store: sa.Engine, monkeypatch: pytest.MonkeyPatch
) -> None:
    store = postgresql_store  # a transaction on SQLite holds the file
    ((_, monitor),) = jobs(store, 1)
    code = uuid4()

    def read_and_publish(*args: Any) -> dict[UUID, Job]:
        found = jobs_of_codes(*args)
        monkeypatch.undo()  # it is published once
        publish(store, replace(monitor, revision=2, ping_codes=(*monitor.ping_codes, code)), now=NOON)
        return found

    monkeypatch.setattr(hearing, "jobs_of_codes", read_and_publish)
    with store.begin() as conn:
        verdicts, _ = hear_all(conn, [Ping(address=code, action=Action.SUCCESS, received_at=at(0))], at(0))
    assert verdicts == [Verdict.STORED]


def test_a_slug_that_is_renamed_while_it_is_pinged_is_heard_by_its_new_name(store_url: str, store: sa.Engine) -> None:
    ((_, monitor),) = jobs(store, 1)
    with store.begin() as conn:
        conn.execute(ping_key.insert(), [{"digest": digest_of(KEY), "name": "cron", "creates": False}])
    with receiving(store_url) as receiver:
        old, new = f"/ping/{KEY}/{monitor.slug}", f"/ping/{KEY}/renamed"
        answers = statuses_while(
            receiver, [old, new], lambda: publish(store, replace(monitor, revision=2, slug="renamed"))
        )
    assert answers[old] == sorted(answers[old])
    assert answers[new] == sorted(answers[new], reverse=True)
    assert (answers[old][0], answers[old][-1]) == (200, 404)
    assert (answers[new][0], answers[new][-1]) == (404, 200)
    with store.begin() as conn:
        assert conn.execute(sa.select(sa.func.count(ping_table.c.monitor.distinct()))).scalar_one() == 1


def test_a_paused_job_that_fails_and_recovers_is_counted_and_stays_paused(store_url: str, store: sa.Engine) -> None:
    ((code, monitor),) = jobs(store, 1)
    publish(store, replace(monitor, revision=2, paused=True))
    with receiving(store_url) as receiver:
        for action in ("", "/start", "/fail", "/3", ""):
            answer = asyncio.run(ask(receiver, f"/ping/{code}{action}"))
            assert answer is not None
            assert answer.status == 200
    assert heard(store) == 5
    with store.begin() as conn:
        assert conn.execute(sa.select(monitor_state.c.status)).scalar_one() == "paused"


def test_a_code_that_is_nearly_right_is_refused_in_the_time_of_any_other(store: sa.Engine) -> None:
    # Codes and digests of keys are looked up whole, by an index: no byte of them is compared by itself.
    ((code, _), *_) = jobs(store, 50)
    chance = random.Random(1)
    near = [UUID(int=code.int ^ (1 << bit)) for bit in range(8)]
    far = [UUID(int=chance.getrandbits(128)) for _ in range(8)]
    took: dict[str, list[float]] = {"near": [], "far": []}
    with store.begin() as conn:
        for turn in range(400):
            for name in chance.sample(["near", "far"], 2):
                address = (near if name == "near" else far)[turn % 8]
                begun = time.perf_counter()
                verdicts, _ = hear_all(conn, [Ping(address=address, action=Action.LOG, received_at=NOON)], NOON)
                took[name].append(time.perf_counter() - begun)
                assert verdicts == [Verdict.UNKNOWN]
    assert median(took["near"]) / median(took["far"]) == pytest.approx(1.0, abs=0.25)
    with store.begin() as conn:
        assert conn.execute(sa.select(sa.func.count()).select_from(ping_code)).scalar_one() == 50
