"""One story of the whole store, told on SQLite and on PostgreSQL: what is left behind must be the same, to the byte."""

from __future__ import annotations

import json
import random
from dataclasses import asdict, replace
from datetime import date, datetime, timedelta
from typing import Any
from uuid import UUID

import pytest
import sqlalchemy as sa

from checks.result import Outcome, Phases
from checks.status import Policy
from checks.store import outbox, reader, schema
from checks.store.claims import claim, next_due, release, renew
from checks.store.engine import open_engine, reading
from checks.store.publishing import forget_deleted, publish, revisions
from checks.store.retention import prune
from checks.store.rollup import roll_up
from checks.store.troubles import clear_trouble, report_trouble
from checks.store.writer import record
from tests.factories import NOON, at, make_finished, make_published

LEASE = timedelta(seconds=30)
NOT_COMPARED = {"uuid", "created_at"}  # drawn at random, read from the clock


def tell(engine: sa.Engine) -> dict[str, Any]:
    """Everything the store can do, with one seed; returns all that can be read of it afterwards."""
    chance = random.Random(20260310)
    policy = Policy(failures=2, successes=2, interval=10.0, quorum=2)
    monitors = [
        make_published(
            uuid=UUID(int=number + 1),
            slug=f"m{number}",
            name=f"Überwachung {number} 🎈",
            spec={"url": f"http://127.0.0.1/{number}", "note": "ü\u2028\\\"'%s", "nested": {"a": [1, 2.5, None, True]}},
            places=("eu-west", "local") if number % 3 == 0 else ("local",),
            policy=replace(policy, quorum=2 if number % 3 == 0 else 1),
            source="pinged" if number % 7 == 6 else "probed",
            ping_codes=(UUID(int=1000 + number),) if number % 7 == 6 else (),
        )
        for number in range(20)
    ]
    said: list[Any] = []
    with engine.begin() as conn:
        said.append(publish(conn, monitors, NOON))
    for step in range(40):
        now = at(60 + 97 * step)
        for location in ("local", "eu-west"):
            with engine.begin() as conn:
                claimed = claim(
                    conn,
                    worker=f"w-{location}",
                    location=location,
                    now=now,
                    horizon=timedelta(seconds=1),
                    limit=15,
                    lease=LEASE,
                )
            said.append([(item.target_id, item.fence, item.due_at.isoformat()) for item in claimed])
            back = claimed[: chance.randrange(3)]
            with engine.begin() as conn:
                release(conn, worker=f"w-{location}", claims=back)
                renew(
                    conn,
                    worker=f"w-{location}",
                    target_ids=[item.target_id for item in claimed],
                    now=now,
                    lease=LEASE,
                )
            batch = [finished(chance, item, now) for item in claimed]
            with engine.begin() as conn:
                done = record(conn, batch, now + timedelta(seconds=2))
            said.append([done.refused, [(w.slug, asdict(w.transition)) for w in done.transitions]])
        if step % 8 == 5:
            number = chance.randrange(20)
            change = chance.choice(
                [
                    {"paused": True},
                    {"paused": False},
                    {"removed": "retired"},
                    {"removed": None},
                    {"places": ("eu-west",)},
                ],
            )
            monitors[number] = replace(monitors[number], revision=monitors[number].revision + 1, **change)
            with engine.begin() as conn:
                said.append(publish(conn, [monitors[number], replace(monitors[0], revision=0)], now))
        if step % 5 == 4:
            said.append(consume(engine, now))
            until_done(roll_up, engine, now)
    with engine.begin() as conn:
        report_trouble(conn, "no_resolver", "no answer", at(1))
        report_trouble(conn, "no_route", "gone", at(2))
        clear_trouble(conn, "no_route")
    end = NOON + timedelta(days=1, minutes=30)
    until_done(roll_up, engine, end)
    read, left = read_all(engine, [monitor.uuid for monitor in monitors], end), dump(engine)
    until_done(prune, engine, end + timedelta(days=8))
    with engine.begin() as conn:
        said.append(forget_deleted(conn, end))
    return {"said": said, "read": read, "left": left, "pruned": dump(engine)}


def until_done(step, engine, now):
    """Whatever one step achieves in its time: how many it takes is a matter of the machine."""
    while step(engine, now):
        pass


def finished(chance, item, now):
    outcome = chance.choices(list(Outcome), weights=(5, 1, 4, 1))[0]
    latency = None if outcome in (Outcome.DOWN, Outcome.UNKNOWN) else chance.randrange(100_000, 5_000_000_000)
    return make_finished(
        item,
        outcome,
        started_at=now,
        latency_ns=latency,
        phases=Phases(dns=1) if latency is None else Phases(connect=latency // 3, transfer=latency - latency // 3),
        evidence={"excerpt": "\x01\uffff 💥", "number": chance.randrange(9)},
        policy=Policy(failures=2, successes=2, interval=10.0),
        skipped=chance.randrange(3),
    )


def consume(engine, now):
    consumed = []
    with engine.begin() as conn:
        for monitor in outbox.claim_monitors(conn, notifier="n", now=now, lease=LEASE, limit=6):
            found = outbox.next_transition(conn, monitor)
            outbox.mark_consumed(conn, found, now)
            outbox.release_monitors(conn, "n", [monitor])
            consumed.append((found.slug, found.seq, found.evidence))
    return consumed


def read_all(engine, uuids, now):
    with reading(engine) as conn:
        return [
            reader.overview(conn, now, include_removed=True),
            reader.figures(conn, now),
            reader.daily_availability(conn, uuids, date(2026, 3, 8), date(2026, 3, 11), now),
            [reader.latency(conn, uuid, NOON - timedelta(days=3), now) for uuid in uuids],
            [reader.availability(conn, uuid, NOON, now, now) for uuid in uuids],
            [reader.recent_results(conn, uuid, 5) for uuid in uuids],
            [[replace(step, uuid=uuid) for step in reader.transitions(conn, uuid, NOON, now)] for uuid in uuids],
            outbox.troubles(conn),
            revisions(conn),
            [next_due(conn, place, NOON) for place in ("local", "eu-west", "mars")],
        ]


def dump(engine):
    with reading(engine) as conn:
        return {
            table.name: sorted(
                json.dumps(
                    {k: v for k, v in row._mapping.items() if k not in NOT_COMPARED}, default=plain, sort_keys=True
                )
                for row in conn.execute(sa.select(table))
            )
            for table in schema.metadata.sorted_tables
        }


def plain(value):
    return value.isoformat() if isinstance(value, datetime) else str(value)


def test_the_same_story_leaves_the_same_rows_on_both_databases(sqlite_url, postgresql_url):
    told = {}
    for url in (sqlite_url, postgresql_url):
        engine = open_engine(url)
        told[engine.dialect.name] = tell(engine)
        engine.dispose()
    one, other = told["sqlite"], told["postgresql"]

    assert one["said"] == other["said"]
    assert one["read"] == other["read"]
    for when in ("left", "pruned"):
        for table, rows in one[when].items():
            assert rows == other[when][table], (when, table)
    # The story was worth telling.
    for table in ("monitor_state", "target", "transition", "rollup", "result", "ping_code", "trouble"):
        assert one["left"][table], table
    assert one["pruned"]["result"] == []


VALUES = [
    (schema.trouble.c.message, "ü 🎈 \u2028 ' \" \\ %s {} \x01"),
    (schema.trouble.c.since, datetime.fromisoformat("0001-01-02T00:00:00+00:00")),
    (schema.trouble.c.since, datetime.fromisoformat("9999-12-30T23:59:59.999999+00:00")),
    (schema.trouble.c.since, datetime.fromisoformat("2026-03-29T03:30:00.000001+03:00")),
]


@pytest.mark.parametrize(("column", "value"), VALUES, ids=lambda value: str(value)[:32])
def test_every_value_comes_back_as_it_went_in(store, column, value):
    row = {"what": "w", "message": "m", "since": NOON, "seen_at": NOON, column.name: value}
    with store.begin() as conn:
        conn.execute(schema.trouble.insert().values(row))

    with reading(store) as conn:
        found = conn.execute(sa.select(column)).scalar_one()
    assert found == value
    if isinstance(found, datetime):
        assert found.utcoffset() == timedelta(0)


@pytest.mark.parametrize("value", [{}, {"a": None}, {"ü": ["🎈", 1.5, True, [], {}]}, {"big": 2**53}], ids=str)
def test_json_comes_back_as_it_went_in(store, value):
    monitor = make_published(spec=value)
    with store.begin() as conn:
        publish(conn, [monitor], NOON)
        found = conn.execute(sa.select(schema.target.c.spec, schema.target.c.last_failure)).one()

    assert (found.spec, found.last_failure) == (value, None)


def test_nothing_is_null_and_not_json_s_null(store):
    with store.begin() as conn:
        publish(conn, [make_published()], NOON)
        query = sa.select(sa.func.count()).where(schema.target.c.last_failure.is_(None))
        assert conn.execute(query).scalar_one() == 1


def test_a_naive_datetime_never_gets_into_the_store(store):
    row = {"what": "w", "message": "m", "since": datetime(2026, 3, 10), "seen_at": NOON}  # noqa: DTZ001 - on purpose
    with pytest.raises(sa.exc.StatementError, match="a naive datetime is no instant"), store.begin() as conn:
        conn.execute(schema.trouble.insert().values(row))
