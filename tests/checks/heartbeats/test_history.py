"""What people see of a job, on both databases: the pings are heard as they are in production."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from typing import Any
from uuid import UUID

import pytest
import sqlalchemy as sa

from checks.heartbeats import history
from checks.heartbeats.addresses import Stranger, count_strangers
from checks.heartbeats.hearing import hear_all
from checks.heartbeats.history import Cursor, Run, Which
from checks.heartbeats.runs import Action, Ping
from checks.store.engine import reading
from checks.store.schema import ping
from tests.checks.store.acts import rows
from tests.checks.workers import monitor_of, publish
from tests.factories import NOON, at, make_spec

CODE, OTHER = UUID(int=7), UUID(int=8)
RID, SECOND = UUID(int=1), UUID(int=2)
HOURLY: dict[str, Any] = {"kind": "heartbeat", "schedule": {"every": "1h"}}
MONITOR = replace(monitor_of(**HOURLY), ping_codes=(CODE,))
FELLOW = replace(monitor_of(**HOURLY), ping_codes=(OTHER,))


@pytest.fixture(autouse=True)
def published(store: sa.Engine) -> None:
    publish(store, MONITOR, FELLOW, now=NOON)


@pytest.fixture
def hear(store: sa.Engine) -> Callable[..., None]:
    """Pings are heard: `hear((seconds after NOON, action, more of the ping), ...)`."""

    def heard(*pings: tuple[float, str] | tuple[float, str, dict[str, Any]], code: UUID = CODE) -> None:
        made = []
        for seconds, action, *more in pings:
            fields = more[0] if more else {}
            made.append(Ping(address=code, action=Action(action), received_at=at(seconds), **fields))  # type: ignore[arg-type]
        with store.begin() as conn:
            for each in made:
                hear_all(conn, [each], each.received_at)

    return heard


def read(store: sa.Engine, ask: Callable[..., Any], *arguments: Any, **options: Any) -> Any:
    with reading(store) as conn:
        return ask(conn, MONITOR.uuid, *arguments, **options)


def listed(store: sa.Engine, **options: Any) -> list[Run]:
    found: history.Runs = read(store, history.runs, 50, **options)
    return list(found.runs)


def kinds(runs: list[Run]) -> list[tuple[str, float]]:
    return [(run.action.value, (run.received_at - NOON).total_seconds()) for run in runs]


def test_a_run_is_one_line_with_its_start_its_end_and_what_it_brought(store, hear):
    said = {"exit_code": 3, "body": b"\xff\x00no space", "body_size": 60_000, "numbers": {"rows": 14.0}}
    hear((0, "start"), (250, "fail", {**said, "method": "POST", "source": "10.0.0.7", "user_agent": "curl/8"}))
    hear((1, "success"), code=OTHER)

    (run,) = listed(store)

    assert (run.started_at, run.ended_at) == (NOON, at(250))
    assert run.duration_ns == 250 * 10**9
    assert (run.action, run.exit_code, run.numbers) == (Action.FAIL, 3, {"rows": 14.0})
    assert (run.body, run.body_size) == (b"\xff\x00no space", 60_000)
    assert (run.method, run.source, run.user_agent) == ("POST", "10.0.0.7", "curl/8")
    assert not run.is_open


def test_the_first_ping_is_known(store, hear):
    assert read(store, history.first_at) is None
    hear((5, "log"), (6, "success"))
    hear((1, "success"), code=OTHER)
    assert read(store, history.first_at) == at(5)


def test_of_a_run_without_a_start_nobody_says_when_it_began(store, hear):
    hear((5, "success"))
    (run,) = listed(store)
    assert (run.started_at, run.ended_at, run.duration_ns) == (None, at(5), None)


def test_a_start_is_a_line_of_its_own_while_its_run_is_open_and_where_it_never_ended(store, hear):
    hear((0, "start"), (100, "start"), (130, "success"), (200, "start"))

    runs = listed(store)

    assert kinds(runs) == [("start", 200), ("success", 130), ("start", 0)]
    assert [run.is_open for run in runs] == [True, False, False]
    assert runs[0].started_at == at(200)
    assert runs[0].ended_at is None
    assert read(store, history.open_since) == [at(200)]


def test_overlapping_runs_are_paired_by_their_names(store, hear):
    hear((0, "start", {"run": RID}), (0, "start", {"run": SECOND}), (60, "success", {"run": RID}))

    runs = listed(store)

    assert [(run.action.value, run.run, run.is_open) for run in runs] == [
        ("success", RID, False),
        ("start", SECOND, True),
    ]
    assert kinds(listed(store, which=Which.ALL)) == [("success", 60), ("start", 0), ("start", 0)]


def test_a_run_that_was_reported_late_is_dated_by_its_client(store, hear):
    hear((2400, "start", {"sent_at": NOON}), (2400, "success", {"sent_at": at(33.000001)}))

    (run,) = listed(store)

    assert (run.started_at, run.ended_at) == (NOON, at(33.000001))
    assert run.received_at == at(2400)


def test_what_was_logged_is_a_line_and_failures_can_be_asked_for_alone(store, hear):
    hear((0, "log"), (10, "fail"), (20, "success"))
    assert kinds(listed(store)) == [("success", 20), ("fail", 10), ("log", 0)]
    assert kinds(listed(store, which=Which.FAILED)) == [("fail", 10)]


def test_pings_that_were_counted_together_say_how_many_and_until_when(store, hear):
    hear(*((second / 10, "success") for second in range(14)))

    runs = listed(store)

    assert sum(run.count for run in runs) == 14
    assert (runs[0].count, runs[0].last_at) == (5, at(1.3))


@pytest.mark.parametrize("together", [False, True], ids=["one by one", "in one batch"])
def test_a_run_or_a_number_is_never_counted_several_times(store, hear, together):
    pings: list[Any] = [(n / 10, "success") for n in range(11)]
    pings += [(2, "success", {"run": RID}), (3, "success"), (4, "success", {"numbers": {"rows": 5.0}}), (5, "success")]
    if together:
        made = [Ping(address=CODE, action=Action(what), received_at=at(s), **dict(*more)) for s, what, *more in pings]
        with store.begin() as conn:
            hear_all(conn, made, at(5))
    else:
        hear(*pings)

    found = rows(store, ping)
    assert sum(row.count for row in found) == 15
    assert {row.count for row in found if row.run or row.numbers} == {1}


def test_pages_follow_each_other_without_a_gap_where_instants_are_equal(store, hear):
    for number in range(7):
        hear((number // 3, "fail", {"exit_code": number}))
    found, cursor = list[int | None](), None
    for _ in range(4):
        page = read(store, history.runs, 2, before=cursor)
        found += [run.exit_code for run in page.runs]
        cursor = page.older and Cursor.parse(str(page.older))
    assert found == [6, 5, 4, 3, 2, 1, 0]
    assert cursor is None
    nowhere = ["", "x", "1", "1-", "-1", "1-x", "1.5-2", "99999999999999999-1", "1-" + 19 * "9", "²-1"]
    assert [text for text in nowhere if Cursor.parse(text) is not None] == []


def test_runs_are_found_by_what_they_say(store, hear):
    hear(
        (0, "success", {"numbers": {"rows": 14.0}, "run": RID}),
        (60, "fail", {"exit_code": 3, "body": "No space left: Größe 100% of \\SHARE axb".encode() + b"\xff"}),
        (120, "success", {"body": b"before\0AFTER", "source": "10.0.0.9", "user_agent": "curl/8.5"}),
    )
    expected: dict[str, list[int]] = {
        "no SPACE left": [1],
        "größe": [1],
        "100%": [1],
        "a_b": [],
        "\\share": [1],
        "after": [2],  # behind a NUL byte
        "rows": [0],
        "fail": [1],
        "3": [1],
        "10.0.0.9": [2],
        "CURL": [2],
        str(RID): [0],
        "\0": [2, 1, 0],
        "nowhere": [],
    }

    found = {
        text: [round((run.received_at - NOON).total_seconds() / 60) for run in listed(store, text=text)]
        for text in expected
    }

    assert found == expected


def test_numbers_are_told_apart_by_name_from_the_earliest_on(store, hear):
    hear(
        (0, "success", {"numbers": {"rows": 10.0, "bytes": 5.5}}),
        (60, "success"),
        (120, "fail", {"numbers": {"rows": 0.0}}),
        (7300, "success", {"numbers": {"rows": 12.0}, "sent_at": at(180)}),
    )

    series = read(store, history.numbers, 3)

    assert list(series) == ["bytes", "rows"]
    assert [(sample.at, sample.value, sample.failed) for sample in series["rows"]] == [
        (NOON, 10.0, False),
        (at(120), 0.0, True),
        (at(180), 12.0, False),
    ]
    assert list(read(store, history.numbers, 1)) == ["rows"]


def test_durations_are_told_of_runs_whose_start_was_reported(store, hear):
    hear((0, "start"), (4, "success"), (10, "success"), (20, "start"), (26, "fail"))
    samples = read(store, history.durations, 10)
    assert [(sample.value, sample.failed) for sample in samples] == [(4.0, False), (6.0, True)]


def test_habits_are_learned_from_when_runs_began(store, hear):
    spec = make_spec(**HOURLY)
    runs = [(3600 * number + part, action) for number in range(30) for part, action in ((0, "start"), (90, "success"))]
    hear(*runs[:-2])
    assert read(store, history.usual, spec) is None

    hear(*runs[-2:])

    habits = read(store, history.usual, spec)
    assert (habits.runs, habits.gap.median, habits.duration.median) == (30, 3600.0, 90.0)


def test_who_pings_nobody_is_listed_the_latest_first(store):
    strangers = [
        Stranger(source=source, count=count, at=at(seconds), user_agent="curl")
        for source, count, seconds in (("10.0.0.1", 2, 0), ("10.0.0.2", 1, 50), ("10.0.0.1", 3, 100))
    ]
    with store.begin() as conn:
        for each in strangers:
            count_strangers(conn, [each])
    with reading(store) as conn:
        found = history.unknown_pings(conn, 10)
        recent = history.unknown_pings(conn, 10, since=at(60))

    assert [(each.source, each.count, each.first_at, each.last_at) for each in found] == [
        ("10.0.0.1", 5, NOON, at(100)),
        ("10.0.0.2", 1, at(50), at(50)),
    ]
    assert [each.source for each in recent] == ["10.0.0.1"]


def test_a_page_of_runs_is_read_along_an_index(sqlite_store):
    asked: list[str] = []
    sa.event.listen(sqlite_store, "before_cursor_execute", lambda *event: asked.append((event[2], event[3])))
    with reading(sqlite_store) as conn:
        history.runs(conn, MONITOR.uuid, 25, before=Cursor(NOON, 5), text="x")
    statement, parameters = next(each for each in asked if "FROM ping" in each[0])
    with sqlite_store.connect() as conn:
        plan = [row[3] for row in conn.exec_driver_sql(f"EXPLAIN QUERY PLAN {statement}", parameters)]
    assert "SEARCH ping USING INDEX ix_ping_monitor_received (monitor=? AND received_at<?)" in plan
    assert not any("SCAN" in line or "TEMP B-TREE" in line for line in plan)
