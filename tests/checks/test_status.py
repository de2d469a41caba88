"""The state machine: votes from results, a status from votes, transitions that make a history."""

from __future__ import annotations

import itertools
from datetime import datetime, timedelta

import pytest
from hypothesis import given
from hypothesis import strategies as st

from checks.result import Outcome
from checks.status import (
    MAJORITY,
    Cause,
    MonitorState,
    Policy,
    Status,
    TargetState,
    Transition,
    advance,
    combine,
    move,
    observe,
)
from tests.factories import NOON, at

UP, DEGRADED, DOWN, UNKNOWN = Outcome.UP, Outcome.DEGRADED, Outcome.DOWN, Outcome.UNKNOWN
POLICY = Policy(failures=3, successes=2, interval=10.0)


def after(*outcomes: Outcome, policy: Policy = POLICY, every: float = 10.0, state: TargetState | None = None):
    """The state after results that started at NOON and then regularly."""
    state = state or TargetState()
    for number, outcome in enumerate(outcomes):
        state = observe(state, outcome, at(number * every), policy)
    return state


def test_the_first_good_result_is_believed_at_once() -> None:
    assert after(UP).vote is Status.UP
    assert after(DEGRADED).vote is Status.DEGRADED
    assert after(UP).vote_since == NOON


def test_a_new_target_is_down_after_as_many_failures_as_any_other() -> None:
    assert after(DOWN, DOWN).vote is Status.PENDING
    assert after(DOWN, DOWN, DOWN).vote is Status.DOWN


def test_down_needs_failures_in_a_row_and_is_dated_back_to_the_first() -> None:
    assert after(UP, DOWN, DOWN).vote is Status.UP
    assert after(UP, DOWN, DOWN, UP, DOWN, DOWN).vote is Status.UP
    state = after(UP, UP, DOWN, DOWN, DOWN, DOWN)
    assert (state.vote, state.vote_since) == (Status.DOWN, at(20))


def test_up_again_needs_successes_in_a_row_and_is_dated_back_to_the_first() -> None:
    down = (UP, DOWN, DOWN, DOWN)
    assert after(*down, UP).vote is Status.DOWN
    assert after(*down, UP, DOWN, UP).vote is Status.DOWN
    state = after(*down, UP, UP)
    assert (state.vote, state.vote_since) == (Status.UP, at(40))


def test_degraded_serves_so_it_ends_an_outage() -> None:
    state = after(UP, DOWN, DOWN, DOWN, DEGRADED, DEGRADED)
    assert (state.vote, state.vote_since) == (Status.DEGRADED, at(40))
    assert after(UP, DOWN, DOWN, DOWN, UP, DEGRADED).vote is Status.DEGRADED


def test_degraded_needs_as_many_results_in_a_row_as_down() -> None:
    assert after(UP, DEGRADED, DEGRADED, UP, DEGRADED, DEGRADED).vote is Status.UP
    state = after(UP, DEGRADED, DEGRADED, DEGRADED)
    assert (state.vote, state.vote_since) == (Status.DEGRADED, at(10))
    assert after(UP, DEGRADED, DEGRADED, DEGRADED, UP).vote is Status.DEGRADED
    assert after(UP, DEGRADED, DEGRADED, DEGRADED, UP, UP).vote is Status.UP


def test_neither_well_nor_down_long_enough_is_degraded() -> None:
    assert after(UP, DOWN, DEGRADED, DOWN).vote is Status.DEGRADED


def test_a_degraded_target_goes_down_like_any_other() -> None:
    state = after(DEGRADED, DOWN, DOWN, DOWN)
    assert (state.vote, state.vote_since) == (Status.DOWN, at(10))


def test_our_own_fault_says_nothing_about_the_target() -> None:
    before = after(UP, DOWN, DOWN)
    assert observe(before, UNKNOWN, at(30), POLICY) == before
    assert after(UP, DOWN, UNKNOWN, DOWN, UNKNOWN, DOWN).vote is Status.DOWN


def test_one_failure_is_enough_where_one_is_asked_for() -> None:
    policy = Policy(failures=1, successes=1, interval=10.0)
    assert after(UP, DOWN, policy=policy).vote is Status.DOWN
    assert after(UP, DOWN, UP, policy=policy).vote is Status.UP


def test_failures_before_a_gap_do_not_count() -> None:
    state = after(UP, DOWN, DOWN)
    state = observe(state, DOWN, at(20 + 60.001), POLICY)
    assert (state.vote, state.serving_run) == (Status.UP, 1)
    state = after(UP, DOWN, DOWN)
    assert observe(state, DOWN, at(20 + 60), POLICY).vote is Status.DOWN


def test_a_gap_is_two_intervals_where_those_are_longer_than_a_minute() -> None:
    policy = Policy(failures=2, successes=1, interval=300.0)
    assert after(UP, DOWN, DOWN, policy=policy, every=600).vote is Status.DOWN
    assert after(UP, DOWN, DOWN, policy=policy, every=601).vote is Status.UP


def test_probes_that_time_out_after_minutes_still_follow_each_other() -> None:
    policy = Policy(failures=3, successes=2, interval=10.0, timeout=300.0)
    assert after(UP, DOWN, DOWN, DOWN, policy=policy, every=310).vote is Status.DOWN


def test_a_vote_outlives_a_gap() -> None:
    state = observe(after(UP, DOWN, DOWN, DOWN), UP, at(5000), POLICY)
    assert (state.vote, state.healthy_run) == (Status.DOWN, 1)


def test_a_target_that_was_not_seen_is_up_again_with_its_first_good_result() -> None:
    blind = TargetState(vote=Status.UNKNOWN, vote_since=NOON, last_outcome=UP, last_result_at=at(-100))
    state = observe(blind, UP, at(10), POLICY)
    assert (state.vote, state.vote_since) == (Status.UP, at(10))
    assert after(DOWN, DOWN, state=blind).vote is Status.UNKNOWN
    assert after(DOWN, DOWN, DOWN, state=blind).vote is Status.DOWN


@pytest.mark.parametrize(
    ("outcomes", "confirming"),
    [
        ((), False),
        ((UP,), False),
        ((UP, DOWN), True),
        ((UP, DOWN, DOWN, DOWN), False),
        ((DOWN,), True),
        ((UP, DOWN, DOWN, DOWN, UP), True),
        ((UP, DEGRADED), True),
        ((UP, DOWN, UP), False),
    ],
)
def test_a_change_is_being_confirmed_while_the_last_result_disagrees(outcomes, confirming: bool) -> None:
    assert after(*outcomes).confirming is confirming


outcomes_ = st.lists(st.tuples(st.sampled_from(list(Outcome)), st.sampled_from([1.0, 10.0, 59.0, 61.0, 500.0])))
policies = st.builds(
    Policy, failures=st.integers(1, 4), successes=st.integers(1, 4), interval=st.sampled_from([1.0, 10.0, 100.0])
)


def run_of(history: list[tuple[Outcome, datetime]], same) -> tuple[int, datetime]:
    """How many of the latest results agree with the last one, and when the first of them was."""
    count, since = 0, history[-1][1]
    for outcome, moment in reversed(history):
        if same(outcome) != same(history[-1][0]):
            break
        count, since = count + 1, moment
    return count, since


@given(outcomes_, policies)
def test_the_vote_is_what_the_whole_history_says(steps, policy: Policy) -> None:
    """The machine keeps two counters; this looks at everything that ever came in."""
    state, vote, since = TargetState(), Status.PENDING, None
    history: list[tuple[Outcome, datetime]] = []
    now, longest = NOON, max(timedelta(seconds=60), timedelta(seconds=2 * policy.interval))
    for outcome, pause in steps:
        now += timedelta(seconds=pause)
        state = observe(state, outcome, now, policy)
        if outcome is UNKNOWN:
            assert (state.vote, state.vote_since) == (vote, since)
            continue
        if history and now - history[-1][1] > longest:
            history = []
        history.append((outcome, now))
        serving, serving_since = run_of(history, lambda o: o is DOWN)
        healthy, healthy_since = run_of(history, lambda o: o is UP)
        if outcome is DOWN and serving >= policy.failures and vote is not Status.DOWN:
            vote, since = Status.DOWN, serving_since
        elif outcome is not DOWN and vote is Status.DOWN and serving >= policy.successes:
            vote, since = Status(outcome.value), serving_since
        elif outcome is not UP and vote is Status.UP and healthy >= policy.failures:
            vote, since = Status.DEGRADED, healthy_since
        elif outcome is UP and vote is Status.DEGRADED and healthy >= policy.successes:
            vote, since = Status.UP, healthy_since
        elif outcome is not DOWN and vote is Status.PENDING:
            vote, since = Status(outcome.value), now
        assert (state.vote, state.vote_since) == (vote, since)


# The status of a monitor from the votes of its locations.

S = Status


@pytest.mark.parametrize(
    ("votes", "quorum", "status"),
    [
        ([], 1, S.PENDING),
        ([S.PENDING], 1, S.PENDING),
        ([S.PENDING, S.UNKNOWN], 1, S.UNKNOWN),
        ([S.UNKNOWN], 1, S.UNKNOWN),
        ([S.UP], 1, S.UP),
        ([S.UP, S.PENDING, S.UNKNOWN], 3, S.UP),
        ([S.DOWN, S.UP], 1, S.DOWN),
        ([S.DOWN, S.UP], 2, S.UP),
        ([S.DOWN, S.DOWN, S.UP], 2, S.DOWN),
        ([S.DOWN, S.UNKNOWN, S.UNKNOWN], 2, S.DOWN),
        ([S.DEGRADED, S.UP], 1, S.DEGRADED),
        ([S.DEGRADED, S.UP], 2, S.UP),
        ([S.DOWN, S.DEGRADED, S.UP], 2, S.DEGRADED),
        ([S.DOWN, S.DEGRADED, S.UP], 3, S.UP),
        ([S.DOWN], MAJORITY, S.DOWN),
        ([S.DOWN, S.UP], MAJORITY, S.UP),
        ([S.DOWN, S.DOWN, S.UP], MAJORITY, S.DOWN),
        ([S.DOWN, S.DOWN, S.UP, S.UP], MAJORITY, S.UP),
        ([S.DOWN, S.DOWN, S.UP, S.UP, S.UNKNOWN], MAJORITY, S.UP),
        ([S.DOWN, S.DOWN, S.UP, S.UNKNOWN, S.UNKNOWN], MAJORITY, S.DOWN),
        ([S.DOWN, S.UNKNOWN, S.UNKNOWN], MAJORITY, S.DOWN),
    ],
)
def test_votes_make_a_status_by_their_quorum(votes: list[Status], quorum: int, status: Status) -> None:
    assert combine(votes, quorum) is status


votes_ = st.lists(st.sampled_from([S.PENDING, S.UP, S.DEGRADED, S.DOWN, S.UNKNOWN]), max_size=6)


@given(votes_, st.integers(0, 6), st.randoms(use_true_random=False))
def test_the_order_of_locations_does_not_matter(votes: list[Status], quorum: int, random) -> None:
    assert combine(random.sample(votes, len(votes)), quorum) is combine(votes, quorum)


@given(votes_, st.integers(0, 6), st.data())
def test_one_more_location_that_sees_an_outage_never_makes_things_look_better(votes, quorum: int, data) -> None:
    order = [S.UP, S.DEGRADED, S.DOWN]
    voting = [index for index, vote in enumerate(votes) if vote in order]
    if not voting:
        return
    index = data.draw(st.sampled_from(voting))
    worse = [*votes[:index], S.DOWN, *votes[index + 1 :]]
    assert order.index(combine(worse, quorum)) >= order.index(combine(votes, quorum))


@given(votes_, st.integers(0, 6))
def test_a_location_that_does_not_vote_lowers_the_quorum_and_decides_nothing(votes: list[Status], quorum: int) -> None:
    voting = [vote for vote in votes if vote in (S.UP, S.DEGRADED, S.DOWN)]
    if voting:
        assert combine(votes, quorum) is combine(voting, quorum)


# Transitions.


def test_the_status_moves_with_the_votes_and_says_from_when_on() -> None:
    monitor = MonitorState(status=S.UP, since=NOON, seq=4)
    targets = [after(UP, DOWN, DOWN, DOWN)]
    state, transition = advance(monitor, targets, POLICY, at(31), cause=Cause.PROBE, evidence={"a": 1})
    assert state == MonitorState(status=S.DOWN, since=at(10), seq=5)
    assert transition == Transition(
        seq=5, at=at(31), since=at(10), from_status=S.UP, to_status=S.DOWN, cause=Cause.PROBE, evidence={"a": 1}
    )


def test_the_same_status_is_no_transition() -> None:
    monitor = MonitorState(status=S.UP, since=NOON, seq=4)
    assert advance(monitor, [after(UP)], POLICY, at(31), cause=Cause.PROBE) == (monitor, None)


def test_with_a_quorum_it_is_down_since_the_last_location_that_it_needed() -> None:
    monitor = MonitorState(status=S.UP, since=NOON)
    targets = [TargetState(vote=S.DOWN, vote_since=at(seconds)) for seconds in (30, 10, 50)]
    policy = Policy(quorum=2)
    _, transition = advance(monitor, targets, policy, at(60), cause=Cause.PROBE)
    assert transition is not None
    assert transition.since == at(30)


def test_with_a_quorum_it_is_degraded_since_the_last_location_that_it_needed_whatever_that_said() -> None:
    monitor = MonitorState(status=S.UP, since=NOON)
    targets = [TargetState(vote=S.DEGRADED, vote_since=at(10)), TargetState(vote=S.DOWN, vote_since=at(40))]
    state, transition = advance(monitor, targets, Policy(quorum=2), at(60), cause=Cause.PROBE)
    assert state.status is S.DEGRADED
    assert transition is not None
    assert transition.since == at(40)


@pytest.mark.parametrize(
    ("before", "votes", "quorum", "cause", "becomes"),
    [
        # What others have said for long does not end an outage before it ended.
        (S.DOWN, [(S.UP, -900), (S.UP, 50)], 1, Cause.PROBE, (S.UP, 50)),
        (S.DOWN, [(S.DEGRADED, -900), (S.UP, 50)], 1, Cause.PROBE, (S.DEGRADED, 50)),
        (S.DOWN, [(S.DOWN, -900), (S.UP, -900), (S.UP, 50)], 2, Cause.PROBE, (S.UP, 50)),
        # A location that falls silent leaves the vote when it does.
        (S.DOWN, [(S.UP, -900), (S.UNKNOWN, 50)], 1, Cause.SILENCE, (S.UP, 50)),
        (S.UP, [(S.DOWN, -900), (S.UNKNOWN, 50)], 2, Cause.SILENCE, (S.DOWN, 50)),
        (S.UP, [(S.DOWN, -900), (S.UNKNOWN, 50), (S.UP, -900), (S.DOWN, 50)], MAJORITY, Cause.PROBE, (S.DOWN, 50)),
        # Another configuration is not what was before.
        (S.DOWN, [(S.UP, -900)], 1, Cause.CHANGED, (S.UP, 60)),
        (S.UP, [(S.DOWN, -900), (S.UP, -900)], 1, Cause.CHANGED, (S.DOWN, 60)),
    ],
)
def test_a_vote_of_long_ago_does_not_date_a_change_back(before, votes, quorum: int, cause, becomes) -> None:
    monitor = MonitorState(status=before, since=at(-600))
    targets = [TargetState(vote=vote, vote_since=at(seconds)) for vote, seconds in votes]
    _, transition = advance(monitor, targets, Policy(quorum=quorum), at(60), cause=cause)
    assert transition is not None
    status, since = becomes
    assert (transition.to_status, transition.since) == (status, at(since))


def test_a_history_does_not_overlap_itself() -> None:
    monitor = MonitorState(status=S.UP, since=at(20))
    _, transition = move(monitor, S.DOWN, at(30), since=at(5), cause=Cause.PROBE)
    assert transition is not None
    assert transition.since == at(20)


def test_a_change_is_decided_no_sooner_than_the_one_before_it_began() -> None:
    monitor = MonitorState(status=S.PENDING, since=at(20))
    _, transition = move(monitor, S.DOWN, at(18), since=at(5), cause=Cause.PING)
    assert transition is not None
    assert (transition.since, transition.at) == (at(20), at(20))


def test_nothing_is_dated_into_the_future() -> None:
    _, transition = move(MonitorState(since=NOON), S.DOWN, at(30), since=at(90), cause=Cause.PROBE)
    assert transition is not None
    assert transition.since == at(30)


@given(
    st.lists(
        st.tuples(
            st.lists(st.tuples(st.sampled_from(list(S)), st.integers(-50, 50)), min_size=1, max_size=3),
            st.integers(-20, 60),
            st.integers(1, 3),
        ),
        max_size=20,
    )
)
def test_transitions_number_themselves_and_make_one_history(steps) -> None:
    state, now, history = MonitorState(since=NOON), NOON, []
    for votes, seconds, quorum in steps:
        now += timedelta(seconds=seconds)  # a store's clock may be corrected backwards
        targets = [TargetState(vote=vote, vote_since=now + timedelta(seconds=since)) for vote, since in votes]
        before = state
        state, transition = advance(before, targets, Policy(quorum=quorum), now, cause=Cause.PROBE)
        assert (transition is None) == (state is before)
        if transition is not None:
            history.append(transition)
            assert (transition.from_status, transition.to_status) == (before.status, state.status)
    assert [transition.seq for transition in history] == list(range(1, len(history) + 1))
    assert [t.since for t in history] == sorted(t.since for t in history)
    assert all(a.to_status is b.from_status for a, b in itertools.pairwise(history))
