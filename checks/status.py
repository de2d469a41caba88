"""The state machine: (state, result, policy, now) -> (state, transition?). Pure.

Step 3 of the path of a result. Two levels: every target (one a location) holds a *vote*, which `observe` moves as
results come in; a monitor's status is `combine`d from the votes by its quorum, and `advance` says whether that is a
transition. Whoever calls `advance` holds the monitor's row (`checks.store.writer`).
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from collections.abc import Set as AbstractSet
from dataclasses import dataclass, field, replace
from datetime import datetime
from enum import StrEnum
from typing import Any

from checks.result import Outcome

GAP = 60.0  # seconds: runs of results don't survive a gap longer than this and than two intervals


class Status(StrEnum):
    """What a monitor is; also what one location votes."""

    PENDING = "pending"  # no data yet
    UP = "up"
    DEGRADED = "degraded"
    DOWN = "down"
    UNKNOWN = "unknown"  # we were blind
    PAUSED = "paused"


class Cause(StrEnum):
    """What moved a monitor to another status."""

    PROBE = "probe"
    PING = "ping"
    DEADLINE = "deadline"  # a heartbeat's deadline passed in silence
    SILENCE = "silence"  # no results for three intervals: we are blind
    LOCATION = "location"  # the network of a whole location is at fault, or well again
    PAUSED = "paused"
    RESUMED = "resumed"
    CHANGED = "changed"  # another specification: other locations, another quorum
    RETIRED = "retired"  # left the configuration
    DELETED = "deleted"
    MEMBERS = "members"  # a group's
    PERSON = "person"  # somebody set it


VOTING = frozenset({Status.UP, Status.DEGRADED, Status.DOWN})
MAJORITY = 0  # the quorum that grows and shrinks with the locations that vote: more than half of them


@dataclass(frozen=True, slots=True, kw_only=True)
class Policy:
    """How many results make a status. Seconds: `interval`, and `timeout`, for which a probe may last."""

    failures: int = 3
    successes: int = 2
    interval: float = 60.0
    timeout: float = 0.0
    quorum: int = 1  # of locations that must agree on down, or MAJORITY


@dataclass(slots=True, kw_only=True)  # to freeze it would cost half as much again as to make it
class TargetState:
    """What one location thinks of its target. Nobody changes it.

    `serving_run` counts the latest results that agree with the last one on "is it down?", `healthy_run` those that
    agree with it on "is it up?"; each run has the instant of its first result, which dates a change of vote back.
    """

    vote: Status = Status.PENDING
    vote_since: datetime | None = None
    last_outcome: Outcome | None = None
    last_result_at: datetime | None = None
    serving_run: int = 0
    serving_since: datetime | None = None
    healthy_run: int = 0
    healthy_since: datetime | None = None

    @property
    def confirming(self) -> bool:
        """Whether the last result disagrees with the vote, so that the next probe comes after `retry_interval`."""
        return self.last_outcome is not None and self.last_outcome.value != self.vote.value


@dataclass(frozen=True, slots=True, kw_only=True)
class MonitorState:
    """A monitor's status and the number of its last transition."""

    status: Status = Status.PENDING
    since: datetime
    seq: int = 0


@dataclass(frozen=True, slots=True, kw_only=True)
class Member:
    """A monitor as a group that it belongs to sees it."""

    slug: str
    name: str
    status: Status


@dataclass(frozen=True, slots=True, kw_only=True)
class Transition:
    """One change of status. `at` is when it was decided, `since` when it was so: the first result that says it."""

    seq: int
    at: datetime
    since: datetime
    from_status: Status
    to_status: Status
    cause: Cause
    evidence: dict[str, Any] = field(default_factory=dict)


def observe(state: TargetState, outcome: Outcome, at: datetime, policy: Policy) -> TargetState:
    """The target's state after one more result that started at `at`. `unknown` says nothing and changes nothing."""
    if outcome is Outcome.UNKNOWN:
        return state
    last = None if _is_after_gap(state, at, policy) else state.last_outcome
    same_serving = same_health = last is outcome
    if last is not None and not same_health:
        same_serving = (last is Outcome.DOWN) == (outcome is Outcome.DOWN)
        same_health = (last is Outcome.UP) == (outcome is Outcome.UP)
    state = TargetState(
        vote=state.vote,
        vote_since=state.vote_since,
        last_outcome=outcome,
        last_result_at=at,
        serving_run=state.serving_run + 1 if same_serving else 1,
        serving_since=state.serving_since if same_serving else at,
        healthy_run=state.healthy_run + 1 if same_health else 1,
        healthy_since=state.healthy_since if same_health else at,
    )
    if outcome._value_ == state.vote._value_:
        return state
    vote, since = _vote(state, outcome, policy)
    return state if vote is state.vote else replace(state, vote=vote, vote_since=since)


def _is_after_gap(state: TargetState, at: datetime, policy: Policy) -> bool:
    """Three failures are "in a row" only if we were looking all the while.

    Results are dated by their start, so that between two of them a whole probe may lie.
    """
    if state.last_result_at is None:
        return False
    return (at - state.last_result_at).total_seconds() > max(GAP, 2 * policy.interval) + policy.timeout


def _vote(state: TargetState, outcome: Outcome, policy: Policy) -> tuple[Status, datetime | None]:
    """The vote that the runs justify where the last result says otherwise, with the instant from which it held."""
    if outcome is Outcome.DOWN and state.serving_run >= policy.failures:
        return Status.DOWN, state.serving_since
    match state.vote:
        case Status.DOWN if outcome is not Outcome.DOWN and state.serving_run >= policy.successes:
            return Status(outcome.value), state.serving_since
        case Status.UP if outcome is not Outcome.UP and state.healthy_run >= policy.failures:
            return Status.DEGRADED, state.healthy_since
        case Status.DEGRADED if outcome is Outcome.UP and state.healthy_run >= policy.successes:
            return Status.UP, state.healthy_since
        case Status.PENDING | Status.UNKNOWN if outcome is not Outcome.DOWN:
            return Status(outcome.value), state.last_result_at
        case _:
            return state.vote, state.vote_since


def quorum_of(word: str, locations: int) -> int:
    """The quorum of a policy that `any`, `all`, `majority` or a number means for so many locations."""
    words = {"any": 1, "all": locations, "majority": MAJORITY}
    return words[word] if word in words else int(word)


def needed(quorum: int, voting: int) -> int:
    """How many of the locations that vote must agree on down: those that don't vote lower the quorum."""
    return voting // 2 + 1 if quorum == MAJORITY else min(quorum, voting)


def combine(votes: Iterable[Status], quorum: int) -> Status:
    """The status that the votes of all locations make; where none votes it is unknown, or pending still."""
    votes = list(votes)
    voting = [vote for vote in votes if vote in VOTING]
    if not voting:
        return Status.UNKNOWN if Status.UNKNOWN in votes else Status.PENDING
    enough = needed(quorum, len(voting))
    down = voting.count(Status.DOWN)
    if down >= enough:
        return Status.DOWN
    return Status.DEGRADED if down + voting.count(Status.DEGRADED) >= enough else Status.UP


def advance(
    monitor: MonitorState,
    targets: Sequence[TargetState],
    policy: Policy,
    now: datetime,
    *,
    cause: Cause,
    evidence: dict[str, Any] | None = None,
) -> tuple[MonitorState, Transition | None]:
    """The monitor's state by the votes of all its targets, with the transition if that is another status."""
    status = combine((target.vote for target in targets), policy.quorum)
    return move(monitor, status, now, since=_since(status, targets, policy, cause), cause=cause, evidence=evidence)


def move(
    monitor: MonitorState,
    status: Status,
    now: datetime,
    *,
    cause: Cause,
    since: datetime | None = None,
    evidence: dict[str, Any] | None = None,
) -> tuple[MonitorState, Transition | None]:
    """Put the monitor into `status`: for pausing, resuming and retiring, which no vote decides."""
    if status is monitor.status:
        return monitor, None
    # A history never overlaps itself: nothing is dated back beyond the change before it, nor into the future. Who waited
    # for the monitor's row has read the clock before, maybe before that change.
    at = max(now, monitor.since)
    since = min(max(since or at, monitor.since), at)
    transition = Transition(
        seq=monitor.seq + 1,
        at=at,
        since=since,
        from_status=monitor.status,
        to_status=status,
        cause=cause,
        evidence=evidence or {},
    )
    return MonitorState(status=status, since=since, seq=transition.seq), transition


def _since(status: Status, targets: Sequence[TargetState], policy: Policy, cause: Cause) -> datetime | None:
    """Since when the votes make this status: the instant at which the last vote it needs began to hold.

    A vote that was there long before is no reason to date a change back: what was down did not serve until a location
    said otherwise. Another configuration, and a location that falls silent, change nothing that was before.
    """
    if cause is Cause.CHANGED:
        return None
    voting = sum(1 for target in targets if target.vote in VOTING)
    enough = needed(policy.quorum, voting)
    others = voting - enough + 1  # so many keep those who say otherwise below the quorum
    begun: list[datetime | None] = []
    if status in (Status.DOWN, Status.DEGRADED):
        begun.append(_reached(targets, {Status.DOWN, status}, enough))
    if status in (Status.UP, Status.DEGRADED):
        begun.append(_reached(targets, {Status.UP, status}, others))
    if status is Status.UNKNOWN or cause in (Cause.SILENCE, Cause.LOCATION):
        begun.append(_reached(targets, {Status.UNKNOWN}, len(targets)))
    return max((instant for instant in begun if instant is not None), default=None)


def _reached(targets: Sequence[TargetState], votes: AbstractSet[Status], number: int) -> datetime | None:
    """When so many targets, or all that do, had come to vote like that; None where none does."""
    begun = sorted(t.vote_since for t in targets if t.vote in votes and t.vote_since is not None)
    return begun[min(number, len(begun)) - 1] if begun else None
