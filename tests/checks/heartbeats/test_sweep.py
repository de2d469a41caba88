from __future__ import annotations

import threading
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from itertools import pairwise
from typing import Any
from uuid import UUID, uuid4

import pytest
import sqlalchemy as sa

from checks import sight
from checks.heartbeats.hearing import hear_all
from checks.heartbeats.runs import Action, Ping, Verdict
from checks.heartbeats.sweep import overdue, sweep
from checks.sight import EVERYWHERE, WEB, Blind, Signs, add_blind
from checks.store.engine import open_engine
from checks.store.schema import sign_of_life, target
from tests.checks.heartbeats.asking import CODE, job, status, transitions
from tests.checks.workers import monitor_of, publish
from tests.factories import NOON, at


def publish_job(store: sa.Engine, **options: Any) -> None:
    """A job, expected every minute with ten seconds of grace by default."""
    options = {"schedule": {"every": "60s"}, "grace": "10s", **options}
    publish(store, replace(monitor_of(kind="heartbeat", **options), ping_codes=(CODE,)), now=NOON)


def ping(store: sa.Engine, when: datetime, action: Action = Action.SUCCESS) -> None:
    with store.begin() as conn:
        known, _ = hear_all(conn, [Ping(address=CODE, action=action, received_at=when)], when)
    assert known == [Verdict.STORED]


def live(store: sa.Engine, until: datetime) -> None:
    """A web process lived until then, without a gap."""
    with store.begin() as conn:
        row = {"process": str(uuid4()), "role": WEB, "location": EVERYWHERE, "started_at": NOON, "at": until}
        conn.execute(sign_of_life.insert().values(row))


def go_blind(store: sa.Engine, start: datetime, end: datetime) -> None:
    with store.begin() as conn:
        add_blind(conn, WEB, EVERYWHERE, Blind(start, end))


def judge(store: sa.Engine, now: datetime) -> str:
    """The status after a sweep. Who is said to live until later has given a sign by now."""
    with store.connect() as conn:
        lives = conn.execute(sa.select(sa.func.max(sign_of_life.c.at) >= now)).scalar_one()
    if lives:
        live(store, now)
    with store.begin() as conn:
        sweep(conn, now)
    return status(store)


def test_silence_past_the_deadline_is_down_since_the_deadline(store: sa.Engine) -> None:
    publish_job(store)
    ping(store, at(0))
    live(store, at(71))
    assert judge(store, at(64)) == "up"
    assert judge(store, at(69)) == "degraded"
    assert judge(store, at(71)) == "down"
    change = transitions(store)[-1]
    assert (change.cause, change.since, change.at) == ("deadline", at(70), at(71))
    assert change.evidence["failure"]["reason"] == "missed"
    assert change.evidence["failure"]["message"] == "expected by 12:21:10 UTC, last heard from 2026-03-10 12:20 UTC"
    with store.begin() as conn:
        assert not overdue(conn, at(10_000)), "it is judged once"


def test_the_message_speaks_in_the_zone_of_the_job(sqlite_store: sa.Engine) -> None:
    publish_job(sqlite_store, schedule={"cron": "0 3 * * *", "timezone": "Europe/Riga"}, grace="15m")
    ping(sqlite_store, datetime(2026, 11, 21, 1, 4, tzinfo=UTC))
    missed = datetime(2026, 11, 22, 1, 15, tzinfo=UTC)
    live(sqlite_store, missed)
    assert judge(sqlite_store, missed) == "down"
    message = transitions(sqlite_store)[-1].evidence["failure"]["message"]
    assert message == "expected by 03:15 Europe/Riga, last heard from 2026-11-21 03:04 Europe/Riga"


def test_a_job_that_was_never_heard_of_is_not_missed(sqlite_store: sa.Engine) -> None:
    publish_job(sqlite_store)
    live(sqlite_store, at(10**6))
    assert judge(sqlite_store, at(10**6)) == "pending"


def test_no_deadline_is_judged_before_a_web_process_lived_past_it(store: sa.Engine) -> None:
    publish_job(store)
    ping(store, at(0))
    assert judge(store, at(80)) == "up"
    live(store, at(69))
    assert judge(store, at(80)) == "degraded"
    live(store, at(70))
    assert judge(store, at(80)) == "down"


def test_a_deadline_within_a_blindness_moves_to_its_end_plus_the_grace(store: sa.Engine) -> None:
    publish_job(store)
    ping(store, at(0))
    go_blind(store, at(60), at(500))
    live(store, at(500))
    assert judge(store, at(501)) == "up"
    assert job(store).deadline_at == at(510)
    live(store, at(511))
    assert judge(store, at(511)) == "down"
    assert transitions(store)[-1].since == at(510)


def test_a_blindness_that_ended_shortly_before_the_deadline_moves_it_too(sqlite_store: sa.Engine) -> None:
    publish_job(sqlite_store)
    ping(sqlite_store, at(0))
    go_blind(sqlite_store, at(20), at(65))
    live(sqlite_store, at(71))
    assert judge(sqlite_store, at(71)) == "up"
    assert job(sqlite_store).deadline_at == at(75)


def test_a_blindness_that_is_not_over_yet_is_of_a_clock_that_was_wrong_and_holds_up_nothing(store: sa.Engine) -> None:
    publish_job(store)
    ping(store, at(0))
    go_blind(store, at(20), at(10**8))
    live(store, at(71))
    assert judge(store, at(71)) == "down"


def test_a_blindness_before_the_last_ping_hides_nothing(sqlite_store: sa.Engine) -> None:
    publish_job(sqlite_store)
    go_blind(sqlite_store, at(-500), at(-1))
    ping(sqlite_store, at(0))
    live(sqlite_store, at(71))
    assert judge(sqlite_store, at(71)) == "down"


def test_a_ping_in_the_same_instant_wins(store: sa.Engine) -> None:
    publish_job(store)
    ping(store, at(0))
    live(store, at(100))
    ping(store, at(70))
    assert judge(store, at(71)) == "up"
    assert job(store).deadline_at == at(140)


def test_a_run_that_does_not_end_within_max_run_is_down(store: sa.Engine) -> None:
    publish_job(store, max_run="30s")
    ping(store, at(0))
    ping(store, at(50), Action.START)
    assert job(store).deadline_at == at(80)
    live(store, at(81))
    assert judge(store, at(81)) == "down"
    failure = transitions(store)[-1].evidence["failure"]
    assert failure["reason"] == "overran"
    assert failure["message"] == "started at 2026-03-10 12:20:50 UTC and did not end within 30 s"


def test_a_start_without_max_run_moves_no_deadline(sqlite_store: sa.Engine) -> None:
    publish_job(sqlite_store)
    ping(sqlite_store, at(0))
    ping(sqlite_store, at(50), Action.START)
    assert job(sqlite_store).deadline_at == at(70)


def test_a_schedule_that_allows_more_by_now_is_obeyed(sqlite_store: sa.Engine) -> None:
    monitor = replace(monitor_of(kind="heartbeat", name="job", schedule={"every": "60s"}), ping_codes=(CODE,))
    publish(sqlite_store, monitor, now=NOON)
    ping(sqlite_store, at(0))
    weekly = monitor_of(kind="heartbeat", name="job", schedule={"every": "7d"})
    publish(sqlite_store, replace(monitor, revision=2, spec=weekly.spec), now=at(1))
    live(sqlite_store, at(10_000))
    assert judge(sqlite_store, at(10_000)) == "up"
    assert job(sqlite_store).deadline_at == at(7 * 86400 + 300)


def test_a_specification_that_cannot_be_read_is_judged_by_its_stored_deadline(sqlite_store: sa.Engine) -> None:
    publish_job(sqlite_store)
    ping(sqlite_store, at(0))
    with sqlite_store.begin() as conn:
        conn.execute(target.update().values(spec={"kind": "heartbeat"}, revision=2))
    live(sqlite_store, at(71))
    assert judge(sqlite_store, at(71)) == "down"
    ping(sqlite_store, at(72))
    assert job(sqlite_store).last_ping_at == at(72)


def test_a_paused_job_is_not_judged(sqlite_store: sa.Engine) -> None:
    monitor = replace(monitor_of(kind="heartbeat", schedule={"every": "60s"}), ping_codes=(CODE,))
    publish(sqlite_store, monitor, now=NOON)
    ping(sqlite_store, at(0))
    publish(sqlite_store, replace(monitor, revision=2, paused=True), now=at(1))
    live(sqlite_store, at(10_000))
    assert judge(sqlite_store, at(10_000)) == "paused"


def test_a_restart_after_an_hour_judges_only_after_a_grace_that_was_seen(store: sa.Engine) -> None:
    publish_job(store)
    ping(store, at(0))
    web = Signs(process="before", role=WEB, location=EVERYWHERE)
    with store.begin() as conn:
        web.write(conn, at(1))
    restarted = Signs(process="after", role=WEB, location=EVERYWHERE)
    with store.begin() as conn:
        assert restarted.write(conn, at(3601)) == [Blind(at(1), at(3601))]
    assert judge(store, at(3602)) == "up"
    assert job(store).deadline_at == at(3611)
    with store.begin() as conn:
        restarted.write(conn, at(3603))
        sight.tidy(conn, at(3603))
    assert judge(store, at(3612)) == "up", "no sign of life past the deadline yet"
    live(store, at(3612))
    assert judge(store, at(3612)) == "down"


def test_a_blindness_that_is_written_down_while_a_sweep_waits_for_its_turn_counts(store: sa.Engine) -> None:
    publish_job(store)
    ping(store, at(0))
    web = Signs(process="web", role=WEB, location=EVERYWHERE)
    with store.begin() as conn:
        web.write(conn, at(1))
    with store.begin() as conn:
        assert web.write(conn, at(100.3)) == [Blind(at(1), at(100.3))]
    with store.begin() as conn:
        sweep(conn, at(100))
    assert status(store) == "up"


def test_many_deadlines_at_once_are_judged_in_steps(sqlite_store: sa.Engine) -> None:
    codes = [uuid4() for _ in range(250)]
    publish(
        sqlite_store,
        *[replace(monitor_of(kind="heartbeat", schedule={"every": "60s"}), ping_codes=(code,)) for code in codes],
        now=NOON,
    )
    with sqlite_store.begin() as conn:
        hear_all(conn, [Ping(address=code, action=Action.SUCCESS, received_at=at(0)) for code in codes], at(0))
    live(sqlite_store, at(10_000))
    with sqlite_store.begin() as conn:
        assert sweep(conn, at(10_000))
        assert not sweep(conn, at(10_000))
        assert not overdue(conn, at(10_000))
    assert len(transitions(sqlite_store)) == 500


@pytest.mark.parametrize("late", [timedelta(seconds=1), timedelta(seconds=29)])
def test_of_two_pings_committed_in_the_other_order_the_later_one_counts(
    sqlite_store: sa.Engine, late: timedelta
) -> None:
    publish_job(sqlite_store)
    ping(sqlite_store, at(0))
    ping(sqlite_store, at(0) - late, Action.FAIL)
    assert status(sqlite_store) == "up"
    assert job(sqlite_store).last_ping_at == at(0)


def test_within_its_grace_a_job_is_late_which_is_degraded_and_a_ping_ends_that(store: sa.Engine) -> None:
    publish_job(store, grace="20m")
    ping(store, at(0))
    live(store, at(200))
    assert judge(store, at(119)) == "up", "a job takes a moment to report"
    assert judge(store, at(121)) == "degraded"
    change = transitions(store)[-1]
    assert (change.cause, change.since, change.evidence["failure"]["reason"]) == ("deadline", at(120), "late")
    assert change.evidence["failure"]["message"] == (
        "expected at 12:21 UTC, last heard from 2026-03-10 12:20 UTC; down if silent until 12:41 UTC"
    )
    assert (job(store).expected_at, job(store).deadline_at, job(store).judge_at) == (at(60), at(1260), at(1260))
    ping(store, at(150))
    assert status(store) == "up"


def test_a_late_start_ends_the_lateness_and_a_run_that_is_open_is_not_late(sqlite_store: sa.Engine) -> None:
    publish_job(sqlite_store, grace="20m")
    ping(sqlite_store, at(0))
    live(sqlite_store, at(2000))
    assert judge(sqlite_store, at(121)) == "degraded"
    ping(sqlite_store, at(130), Action.START)
    assert status(sqlite_store) == "up"
    assert judge(sqlite_store, at(1250)) == "up"
    assert judge(sqlite_store, at(1261)) == "down", "without max_run the end of a run is what is waited for"
    assert (
        "it started at 2026-03-10 12:22:10 UTC and did not end"
        in transitions(sqlite_store)[-1].evidence["failure"]["message"]
    )


def test_nobody_is_late_for_an_instant_that_we_did_not_see(sqlite_store: sa.Engine) -> None:
    publish_job(sqlite_store, grace="20m")
    ping(sqlite_store, at(0))
    go_blind(sqlite_store, at(50), at(90))
    live(sqlite_store, at(3000))
    assert judge(sqlite_store, at(500)) == "up"
    assert judge(sqlite_store, at(1289)) == "up"
    assert judge(sqlite_store, at(1291)) == "down"


def test_a_resumed_job_is_waited_for_again(store: sa.Engine) -> None:
    monitor = replace(monitor_of(kind="heartbeat", schedule={"every": "60s"}, grace="10s"), ping_codes=(CODE,))
    publish(store, monitor, now=NOON)
    ping(store, at(0))
    publish(store, replace(monitor, revision=2, paused=True), now=at(1))
    publish(store, replace(monitor, revision=3), now=at(5000))
    live(store, at(6000))
    assert judge(store, at(5001)) == "pending"
    assert job(store).deadline_at == at(5070)
    judge(store, at(5066))
    assert judge(store, at(5071)) == "down"


def test_of_overlapping_runs_each_has_its_own_time(store: sa.Engine) -> None:
    publish_job(store, schedule={"every": "1h"}, max_run="10m")
    first, second = UUID(int=1), UUID(int=2)

    def report(when: float, action: Action, run: UUID) -> None:
        with store.begin() as conn:
            hear_all(conn, [Ping(address=CODE, action=action, received_at=at(when), run=run)], at(when))

    report(0, Action.START, first)
    report(300, Action.START, second)
    assert (job(store).open_runs, job(store).deadline_at) == (2, at(600))
    report(400, Action.SUCCESS, second)
    assert (job(store).last_duration_ns, job(store).open_runs) == (100 * 10**9, 1)
    live(store, at(601))
    assert judge(store, at(601)) == "down", "the first one still runs"
    assert transitions(store)[-1].evidence["failure"]["reason"] == "overran"
    report(700, Action.SUCCESS, first)
    assert (status(store), job(store).last_duration_ns, job(store).open_runs) == ("up", 700 * 10**9, 0)


def test_the_message_of_a_missed_job_says_how_long_it_last_ran(sqlite_store: sa.Engine) -> None:
    publish_job(sqlite_store)
    ping(sqlite_store, at(0), Action.START)
    ping(sqlite_store, at(250))
    live(sqlite_store, at(400))
    assert judge(sqlite_store, at(400)) == "down"
    message = transitions(sqlite_store)[-1].evidence["failure"]["message"]
    assert message.endswith("last heard from 2026-03-10 12:24:10 UTC, ran 4 min 10 s")


def test_what_is_degraded_for_another_reason_stays_so_when_it_is_late_and_starts(sqlite_store: sa.Engine) -> None:
    publish_job(sqlite_store, degraded=["rows > 0"])
    with sqlite_store.begin() as conn:
        hear_all(conn, [Ping(address=CODE, action=Action.SUCCESS, received_at=at(0), numbers={"rows": 0})], at(0))
    live(sqlite_store, at(66))
    assert judge(sqlite_store, at(66)) == "degraded"
    assert job(sqlite_store).judge_at == at(70)
    ping(sqlite_store, at(67), Action.START)
    assert (status(sqlite_store), job(sqlite_store).last_failure["reason"]) == ("degraded", "expectation")


@pytest.mark.parametrize("rounds", [30, pytest.param(1000, marks=pytest.mark.long)])
def test_two_that_judge_silence_while_its_ping_arrives_leave_one_history(
    store: sa.Engine, store_url: str, rounds: int
) -> None:
    publish_job(store)
    ping(store, at(0))
    live(store, at(100 * (rounds + 1)))
    engines = [open_engine(store_url) for _ in range(3)]
    start = threading.Barrier(3)

    def together(work: Callable[[sa.Engine, datetime], object], engine: sa.Engine, now: datetime) -> None:
        start.wait()
        work(engine, now)

    for number in range(1, rounds + 1):
        now = at(100 * number)  # the deadline was 30 s ago
        with ThreadPoolExecutor(3) as pool:
            works = [judge, judge, ping]
            list(pool.map(together, works, engines, [now] * 3))
        # Whoever came first: the ping is later than the deadline that was missed.
        assert status(store) == "up"
    for engine in engines:
        engine.dispose()
    told = transitions(store)
    assert [each.seq for each in told] == list(range(1, len(told) + 1))
    assert all(before.to_status == after.from_status for before, after in pairwise(told))
