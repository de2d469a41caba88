"""What a connection remembers of jobs changes nothing: rows are as if everything were read each time."""

from __future__ import annotations

import random
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from contextlib import suppress
from dataclasses import replace
from datetime import datetime
from pathlib import Path
from typing import Any, Self
from uuid import UUID, uuid4

import pytest
import sqlalchemy as sa

from checks.heartbeats.hearing import hear_all
from checks.heartbeats.runs import Action, Ping, Verdict
from checks.heartbeats.sweep import sweep
from checks.sight import EVERYWHERE, WEB
from checks.store.engine import open_engine
from checks.store.publishing import PublishedMonitor, publish
from checks.store.schema import monitor_state, open_run, ping_code, sign_of_life, target, transition
from checks.store.schema import ping as ping_table
from checks.store.upgrade import upgrade
from tests.checks.heartbeats.asking import CODE
from tests.checks.workers import monitor_of
from tests.factories import NOON, at
from tests.waiting import wait_until

OTHER = UUID("5b2b7a3c-3a55-4b7e-8b55-0a5d7d7c1f02")


class Undone(Exception):
    """A transaction that is not to be."""


class World:
    """Two connections on a store, that remember or don't."""

    def __init__(self, url: str, *, remembers: bool) -> None:
        self.engine = open_engine(url)
        self.connections = [self.engine.connect(), self.engine.connect()]
        self.remembers = remembers
        self.monitors = [
            monitor_of(kind="heartbeat", name=f"job {number}", schedule={"every": "60s"}, grace="10s")
            for number in range(3)
        ]

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        for conn in self.connections:
            conn.close()
        self.engine.dispose()

    def publish(self, *monitors: PublishedMonitor, now: datetime) -> None:
        with self.engine.begin() as conn:
            publish(conn, monitors, now)

    def hear(self, number: int, pings: list[Ping], now: datetime, *, undone: bool = False) -> list[Verdict]:
        conn = self.connections[number]
        if not self.remembers:
            conn.info.clear()
        with suppress(Undone), conn.begin():
            verdicts, _ = hear_all(conn, pings, now)
            if undone:
                raise Undone
            return verdicts
        return []

    def sweep(self, now: datetime) -> None:
        with self.engine.begin() as conn:
            conn.execute(sign_of_life.delete())
            row = {"process": "web", "role": WEB, "location": EVERYWHERE, "started_at": NOON, "at": now}
            conn.execute(sign_of_life.insert().values(row))
            while sweep(conn, now):
                pass

    def rows(self) -> list[Any]:
        """Everything that pings write, without what is made up by chance and what is known to about a minute."""
        with self.engine.begin() as conn:
            tables = (target, open_run, ping_code, transition, ping_table, monitor_state)
            found = []
            for table in tables:
                columns = [column for column in table.c if column.name not in {"uuid", "id", "last_used_at"}]
                ids = [column for column in table.c if column.name == "id"]
                found += [tuple(row) for row in conn.execute(sa.select(*columns).order_by(*(ids or columns)))]
            return found


def story(seed: int) -> list[Callable[[World], Any]]:
    """Steps that a world takes: pings of all sorts through either connection, silence, and changes of what is watched."""
    chance, steps = random.Random(seed), list[Callable[[World], Any]]()
    uuids = [uuid4() for _ in range(3)]
    codes: list[list[UUID]] = [[uuid4()] for _ in range(3)]
    revisions, now = [1, 1, 1], 0.0
    options: list[dict[str, Any]] = [{}, {}, {}]

    def publishing(job: int) -> Callable[[World], Any]:
        revisions[job] += 1
        changes = {**options[job], "revision": revisions[job], "uuid": uuids[job], "ping_codes": tuple(codes[job])}
        instant = at(now)
        return lambda world: world.publish(replace(world.monitors[job], **changes), now=instant)

    steps += [publishing(job) for job in range(3)]
    for _ in range(50):
        now += chance.choice((0.5, 1.0, 5.0, 40.0, 80.0))
        instant, job = at(now), chance.randrange(3)
        match chance.choice(("ping", "ping", "ping", "ping", "undone", "sweep", "code", "pause", "spec", "remove")):
            case "ping" | "undone" as how:
                known = [code for each in codes for code in each] + [uuid4()]
                pings = [
                    Ping(
                        address=chance.choice(known),
                        action=chance.choice((Action.SUCCESS, Action.SUCCESS, Action.FAIL, Action.START, Action.LOG)),
                        received_at=at(now + 0.001 * number),
                        run=chance.choice((None, None, CODE, OTHER)),
                    )
                    for number in range(chance.randrange(1, 5))
                ]
                who, is_undone = chance.randrange(2), how == "undone"
                steps.append(
                    lambda world, w=who, p=pings, n=instant, u=is_undone: world.hear(w, p, n, undone=u)  # type: ignore[misc]
                )
            case "sweep":
                steps.append(lambda world, n=instant: world.sweep(n))  # type: ignore[misc]
            case "code":
                codes[job] = [*codes[job][-1:], uuid4()]
                steps.append(publishing(job))
            case "pause":
                options[job]["paused"] = not options[job].get("paused", False)
                steps.append(publishing(job))
            case "spec":
                grace = chance.choice(("5s", "20s"))
                changed = monitor_of(kind="heartbeat", name=f"job {job}", schedule={"every": "60s"}, grace=grace)
                options[job]["spec"] = changed.spec
                steps.append(publishing(job))
            case _:
                options[job]["removed"] = None if options[job].get("removed") else "retired"
                steps.append(publishing(job))
    return steps


@pytest.mark.parametrize("seed", range(5))
def test_what_is_remembered_changes_nothing(seed: int, store_url: str, tmp_path: Path) -> None:
    other_url = f"sqlite:///{tmp_path}/forgetful.sqlite3"
    upgrade(other_url)
    steps = story(seed)
    with World(store_url, remembers=True) as remembering, World(other_url, remembers=False) as forgetful:
        for number, step in enumerate(steps):
            assert step(remembering) == step(forgetful), f"step {number} is answered otherwise"
            assert remembering.rows() == forgetful.rows(), f"step {number} wrote otherwise"


def test_a_code_that_was_taken_away_is_not_remembered(store: sa.Engine) -> None:
    monitor = replace(monitor_of(kind="heartbeat", schedule={"every": "60s"}), ping_codes=(CODE, OTHER))

    def ping(conn: sa.Connection, code: UUID, seconds: float) -> Verdict:
        with conn.begin():
            return hear_all(conn, [Ping(address=code, action=Action.SUCCESS, received_at=at(seconds))], at(seconds))[0][
                0
            ]

    with store.begin() as publishing:
        publish(publishing, [monitor], NOON)
    with store.connect() as conn:
        assert [ping(conn, code, 1) for code in (CODE, OTHER)] == [Verdict.STORED] * 2
        with store.begin() as publishing:
            publish(publishing, [replace(monitor, revision=2, ping_codes=(OTHER,))], at(2))
        assert [ping(conn, code, 3) for code in (OTHER, CODE)] == [Verdict.STORED, Verdict.UNKNOWN]


def test_a_code_that_is_taken_away_while_it_is_read_is_not_remembered(postgresql_store: sa.Engine) -> None:
    store = postgresql_store  # a transaction on SQLite holds the file
    monitor = replace(monitor_of(kind="heartbeat", schedule={"every": "60s"}), ping_codes=(CODE, OTHER))
    with store.begin() as publishing:
        publish(publishing, [monitor], NOON)
        # It is up already: one that becomes so is read again.
        hear_all(publishing, [Ping(address=OTHER, action=Action.SUCCESS, received_at=at(0))], at(0))

    def ping(conn: sa.Connection, seconds: float) -> Verdict:
        with conn.begin():
            return hear_all(conn, [Ping(address=CODE, action=Action.SUCCESS, received_at=at(seconds))], at(seconds))[0][
                0
            ]

    waiting = sa.text("SELECT 1 FROM pg_stat_activity WHERE wait_event_type = 'Lock' AND datname = current_database()")
    with store.connect() as conn, store.connect() as looking, ThreadPoolExecutor(1) as pool:
        with store.begin() as publishing:
            publish(publishing, [replace(monitor, revision=2, ping_codes=(OTHER,))], at(1))
            first = pool.submit(ping, conn, 1)
            wait_until(lambda: looking.execute(waiting).first(), within=20, what="the ping waits for the target")
        assert first.result() in {Verdict.STORED, Verdict.UNKNOWN}  # both happened at once
        assert ping(conn, 3) is Verdict.UNKNOWN


def test_a_replaced_code_ends_when_it_was_to_end(store: sa.Engine) -> None:
    monitor = replace(
        monitor_of(kind="heartbeat", schedule={"every": "60s"}), ping_codes=(OTHER,), old_codes=((CODE, at(10)),)
    )
    with store.begin() as publishing:
        publish(publishing, [monitor], NOON)
    answers = []
    with store.connect() as conn:
        for seconds in (1, 9, 10, 11):
            with conn.begin():
                pings = [Ping(address=CODE, action=Action.SUCCESS, received_at=at(seconds))]
                answers += hear_all(conn, pings, at(seconds))[0]
    assert answers == [Verdict.STORED, Verdict.STORED, Verdict.UNKNOWN, Verdict.UNKNOWN]
