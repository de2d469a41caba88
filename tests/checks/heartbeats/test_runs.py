"""What pings say of a job: outcomes, pairs of start and end, deadlines. Pure."""

from __future__ import annotations

from dataclasses import replace
from datetime import UTC, datetime, timedelta
from typing import Any
from uuid import UUID

import pytest
from hypothesis import given
from hypothesis import strategies as st

from checks.heartbeats.runs import (
    LATE_AFTER,
    MOST_OPEN,
    UNNAMED,
    Action,
    Heard,
    Ping,
    Report,
    action_of,
    deadlines,
    hear,
)
from checks.probes.heartbeat import HeartbeatSpec
from checks.status import Status, TargetState
from tests.factories import at, make_spec

CODE, FIRST, SECOND = UUID(int=1), UUID(int=2), UUID(int=3)
SUCCESS, START, FAIL, LOG = Action.SUCCESS, Action.START, Action.FAIL, Action.LOG


def job(**options: Any) -> HeartbeatSpec:
    return make_spec(kind="heartbeat", **{"schedule": {"every": "1h"}, "grace": "10m", **options})


def ping(seconds: float, action: Action = SUCCESS, **fields: Any) -> Ping:
    return Ping(address=CODE, action=action, received_at=at(seconds), **fields)


def told(spec: HeartbeatSpec, *pings: Ping, history: Any = lambda name, count: None) -> tuple[Heard, list[Report]]:
    """What is known after these pings, and what each was."""
    heard, reports = Heard(state=TargetState()), []
    for each in pings:
        heard, report = hear(heard, each, spec, history)
        reports.append(report)
    return heard, reports


def test_a_start_and_its_end_make_a_run():
    heard, reports = told(job(), ping(0, START), ping(250))
    assert reports[1].duration_ns == heard.duration_ns == 250 * 10**9
    assert (heard.open, heard.state.vote) == ({}, Status.UP)


def test_an_end_without_a_start_has_no_duration():
    heard, reports = told(job(), ping(0))
    assert (reports[0].duration_ns, heard.duration_ns) == (None, None)
    _, reports = told(job(), ping(0, START, run=FIRST), ping(10))
    assert reports[1].duration_ns is None, "an end without a name does not end a named run"


def test_of_two_starts_without_a_name_the_later_counts():
    _, reports = told(job(), ping(0, START), ping(60, START), ping(90))
    assert reports[2].duration_ns == 30 * 10**9


def test_overlapping_runs_are_told_apart_in_any_order_of_their_ends():
    begun = (ping(0, START, run=FIRST), ping(10, START, run=SECOND))
    _, ordered = told(job(), *begun, ping(100, run=FIRST), ping(200, run=SECOND))
    _, crossed = told(job(), *begun, ping(100, run=SECOND), ping(200, run=FIRST))
    assert [report.duration_ns for report in ordered[2:]] == [100 * 10**9, 190 * 10**9]
    assert [report.duration_ns for report in crossed[2:]] == [90 * 10**9, 200 * 10**9]


def test_a_job_that_only_starts_fills_no_memory():
    heard, _ = told(job(), *(ping(n, START, run=UUID(int=n + 10)) for n in range(MOST_OPEN + 50)))
    assert len(heard.open) == MOST_OPEN
    assert min(heard.open.values()) == at(50), "the oldest are forgotten"


def test_a_log_entry_changes_nothing():
    before, _ = told(job(), ping(0))
    assert hear(before, ping(5, LOG), job(), lambda *_: None)[0] == before


@pytest.mark.parametrize(
    ("seconds", "vote", "reason"),
    [(4.0, Status.DOWN, "too_short"), (5.0, Status.UP, None), (600.0, Status.UP, None)],
)
def test_too_fast_is_broken(seconds, vote, reason):
    heard, reports = told(job(min_run="5s"), ping(0, START), ping(seconds))
    assert heard.state.vote is vote
    assert (reports[1].failure.reason if reports[1].failure else None) == reason
    if reason:
        assert reports[1].failure.message == "the job ended after 4 s, sooner than it can do its work: at least 5 s"


def test_without_a_start_nothing_is_too_fast():
    heard, _ = told(job(min_run="5s"), ping(0))
    assert heard.state.vote is Status.UP


def test_progress_that_stands_still_is_stuck_and_moves_on_when_it_does():
    spec = job(stuck_after=3)

    def at_progress(seconds: float, value: float) -> Ping:
        return ping(seconds, numbers={"progress": value})

    heard, reports = told(spec, *(at_progress(n, 7.0) for n in range(3)))
    assert (heard.state.vote, reports[2].failure.reason) == (Status.DOWN, "stuck")
    assert "the same in 3 pings in a row" in reports[2].failure.message
    heard, _ = told(spec, *(at_progress(n, 7.0) for n in range(3)), at_progress(4, 8.0))
    assert heard.state.vote is Status.UP
    heard, _ = told(spec, at_progress(0, 7.0), ping(1), at_progress(2, 7.0))
    assert heard.state.vote is Status.UP, "a ping without progress says nothing of it"


@pytest.mark.parametrize(
    ("body", "subject", "action"),
    [
        (b"backup FAILED after OK", "", FAIL),
        (b"all OK", "", SUCCESS),
        (b"", "Job begins", START),
        (b"hello", "", SUCCESS),
        (b"\xff\xfe OK \0", "", SUCCESS),
    ],
)
def test_keywords_say_what_a_ping_reports(body, subject, action):
    spec = job(failure_keywords=["FAILED"], success_keywords=["OK"], start_keywords=["begins"])
    assert action_of(ping(0, body=body, subject=subject), spec) is action
    assert action_of(ping(0, LOG, body=b"FAILED"), spec) is LOG, "a note is a note"


def test_a_keyword_of_success_takes_back_the_address():
    heard, reports = told(job(success_keywords=["OK"]), ping(0, FAIL, body=b"OK"))
    assert (reports[0].action, heard.state.vote) == (SUCCESS, Status.UP)


@pytest.mark.parametrize(
    ("numbers", "median", "vote"),
    [
        ({"rows": 60}, 100.0, Status.UP),
        ({"rows": 50}, 100.0, Status.DOWN),
        ({"rows": 5}, None, Status.UP),
        ({"rows": 0}, None, Status.DEGRADED),
        ({}, None, Status.DOWN),
    ],
)
def test_numbers_are_held_against_expectations(numbers, median, vote):
    spec = job(expect=["rows > 50% of median(7)"], degraded=["rows > 0"])
    asked = []

    def history(name: str, count: int) -> float | None:
        asked.append((name, count))
        return median

    heard, _ = told(spec, ping(0, numbers=numbers), history=history)
    assert heard.state.vote is vote
    assert asked == [("rows", 7)]


def test_a_reported_failure_is_not_judged_further():
    _, reports = told(job(expect=["rows > 5"]), ping(0, FAIL, exit_code=3))
    assert reports[0].failure.message == "the job ended with exit code 3"


def test_the_duration_and_the_exit_code_can_be_expected():
    spec = job(expect=["duration < 1m", "exit_code == 0"])
    assert told(spec, ping(0, START), ping(59))[0].state.vote is Status.UP
    assert told(spec, ping(0, START), ping(61))[0].state.vote is Status.DOWN
    assert told(spec, ping(0))[0].state.vote is Status.DOWN, "what is missing meets nothing"


def test_only_what_is_expected_judges_a_run_by_its_length_at_its_end():
    """Silence beyond `max_run` is for the sweep; where nobody looked in between, the end breaks it."""
    reports = (ping(0, START), ping(7201))
    assert told(job(max_run="2h"), *reports)[0].state.vote is Status.UP
    assert told(job(max_run="2h", expect=["duration < 2h"]), *reports)[0].state.vote is Status.DOWN


def test_a_spooled_ping_sets_the_times_of_the_job_right_and_not_our_history():
    late = ping(3000, sent_at=at(600))
    heard, _ = told(job(), late)
    assert (heard.last_ping_at, heard.expected_at) == (at(600), at(4200))
    assert heard.state.vote_since == at(3000), "until then it was silent"


def test_what_was_overtaken_repairs_the_history_only():
    heard, reports = told(
        job(),
        ping(5000),
        ping(5001, START, sent_at=at(100), run=FIRST),
        ping(5002, FAIL, sent_at=at(200), run=FIRST, exit_code=1),
    )
    assert (heard.state.vote, heard.last_ping_at, heard.open) == (Status.UP, at(5000), {})
    assert reports[2].duration_ns == 100 * 10**9


def test_a_report_in_whole_seconds_is_not_overtaken_by_what_came_in_the_same_second():
    heard, _ = told(job(), ping(100.7), ping(100.9, FAIL, sent_at=at(100), exit_code=1))
    assert heard.state.vote is Status.DOWN
    heard, reports = told(
        job(), ping(100.7, START, run=FIRST), ping(400, FAIL, sent_at=at(100), run=FIRST, exit_code=1)
    )
    assert (heard.state.vote, reports[1].duration_ns, heard.open) == (Status.DOWN, 0, {})


def test_the_end_of_the_run_that_began_last_counts_though_its_clock_is_behind_ours():
    heard, _ = told(job(), ping(0), ping(100, START, run=FIRST), ping(160, FAIL, sent_at=at(90), run=FIRST))
    assert (heard.state.vote, heard.open) == (Status.DOWN, {})
    heard, _ = told(job(), ping(100, START), ping(160, sent_at=at(90)))
    assert (heard.state.vote, heard.open, heard.expected_at) == (Status.UP, {}, at(3700))


def test_deadlines_follow_the_schedule():
    heard, _ = told(job(), ping(0))
    due = deadlines(heard, job())
    assert (due.expected_at, due.late_at, due.down_at) == (at(3600), at(3600) + LATE_AFTER, at(4200))
    assert (heard.expected_at, heard.judge_at, heard.deadline_at) == (due.expected_at, due.late_at, due.down_at)


def test_a_short_grace_is_late_in_its_middle():
    heard, _ = told(job(grace="10s"), ping(0))
    assert heard.judge_at == at(3605)


def test_a_job_that_was_never_heard_of_has_no_deadline():
    assert deadlines(Heard(state=TargetState()), job()).down_at is None


@given(
    st.lists(
        st.tuples(st.floats(0, 10**6), st.sampled_from(list(Action)), st.sampled_from([None, FIRST, SECOND])),
        max_size=30,
    ),
    st.sampled_from([None, "10m", "3h"]),
)
def test_whatever_is_reported_what_follows_is_in_order(reports, max_run):
    spec = job(**({} if max_run is None else {"max_run": max_run}))
    pings = [ping(seconds, action, run=run) for seconds, action, run in sorted(reports, key=lambda each: each[0])]
    heard, told_of = told(spec, *pings)
    if heard.counted_from is None:
        assert all(report.action is LOG for report in told_of)
        return
    assert heard.expected_at is not None and heard.deadline_at is not None and heard.judge_at is not None  # noqa: PT018
    assert heard.counted_from < heard.judge_at <= heard.deadline_at
    assert heard.deadline_at <= heard.expected_at + timedelta(seconds=spec.grace)
    assert all(report.duration_ns is None or report.duration_ns >= 0 for report in told_of)
    assert set(heard.open) <= {UNNAMED, FIRST, SECOND}


@given(st.integers(1, 86400), st.integers(1, 86400))
def test_max_run_is_counted_from_the_start_alone(start_after: int, max_run: int):
    spec = job(schedule={"every": "365d"}, max_run=f"{max_run}s")
    heard, _ = told(spec, ping(0), ping(start_after, START))
    assert heard.deadline_at == at(start_after + max_run)
    assert deadlines(heard, spec).overrun == (at(start_after), at(start_after + max_run))


def test_the_end_of_a_spooled_run_is_not_that_of_a_run_which_began_after_it():
    heard, reports = told(
        job(min_run="1m"),
        ping(0),
        ping(5000, START),
        ping(5001, START, sent_at=at(100)),
        ping(5002, sent_at=at(400)),
        ping(5300),
    )
    assert reports[3].duration_ns is None, "when that run began was not taken in"
    assert (reports[4].duration_ns, heard.open) == (300 * 10**9, {})


def test_a_spooled_ping_that_is_overdue_itself_ends_no_outage():
    down = told(job(), ping(0), ping(10, FAIL))[0]
    heard, _ = hear(down, ping(9000, sent_at=at(3000)), job(), lambda name, count: None)
    assert (heard.state.vote, heard.last_ping_at) == (Status.DOWN, at(3000)), "its next one is missing already"
    heard, _ = hear(heard, ping(9001, sent_at=at(6000)), job(), lambda name, count: None)
    assert heard.state.vote is Status.UP


def test_a_ping_of_before_its_resumption_does_not_count_silence_from_then():
    heard, _ = told(job(), ping(0))
    resumed = replace(heard, state=TargetState(), counted_from=at(9000))
    heard, _ = hear(resumed, ping(9001, sent_at=at(60)), job(), lambda name, count: None)
    assert (heard.last_ping_at, heard.expected_at) == (at(60), at(12600))


@pytest.mark.parametrize(
    ("cron", "seconds", "expected"),
    [
        ("0 3 * * *", -1.0, 86400),  # a clock that is a second ahead
        ("0 3 * * *", -60.0, 86400),
        ("0 3 * * *", -61.0, 0),  # an hour or a minute early is another run
        ("*/5 * * * *", -30.0, 300),
        ("*/5 * * * *", -31.0, 0),
        ("* * * * *", -6.0, 60),
        ("* * * * *", -7.0, 0),
        ("0 3 * * *", 1.0, 86400),
    ],
)
def test_what_comes_a_moment_before_its_time_was_the_run_of_that_time(cron, seconds, expected):
    three = datetime(2026, 3, 10, 3, tzinfo=UTC)
    spec = job(schedule={"cron": cron})
    heard = Heard(state=TargetState(), counted_from=three + timedelta(seconds=seconds))
    assert deadlines(heard, spec).expected_at == three + timedelta(seconds=expected)
