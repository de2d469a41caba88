"""What a ping says: pure. A start and the end of its run are paired here, and the next deadline follows."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field, replace
from datetime import datetime, timedelta
from enum import StrEnum
from typing import Any
from uuid import UUID

from checks import expect
from checks.probes.heartbeat import HeartbeatSpec
from checks.result import Failure, Outcome, Reason
from checks.status import Status, TargetState, observe
from checks.units import spoken_duration

# Two web processes may commit two pings in the other order; what is longer ago is a clock that was set back.
_OVERTAKEN = timedelta(seconds=30)
# A job takes a moment to report. Until then it is not late; a grace shorter than twice this is halved.
LATE_AFTER = timedelta(seconds=60)
EARLY = timedelta(seconds=60)  # by which a job's clock may be ahead of ours; see `_expected`
UNNAMED = UUID(int=0)  # the run of pings without ?rid=
MOST_OPEN = 100  # runs of one job; one more, and the oldest is forgotten
LONGEST_RUN = timedelta(days=3)  # that is waited for, unless max_run allows more


class Action(StrEnum):
    """What a job reports."""

    SUCCESS = "success"
    START = "start"
    FAIL = "fail"
    LOG = "log"  # only to be kept: changes nothing


@dataclass(frozen=True, slots=True)
class Named:
    """A monitor by its slug, with the key that allows to ping it."""

    digest: bytes  # SHA-256 of the key
    slug: str


Address = UUID | Named


class Verdict(StrEnum):
    """What became of a ping."""

    STORED = "stored"
    UNKNOWN = "unknown"  # nobody has that code or that key
    NO_SUCH_SLUG = "no_such_slug"  # the key is right
    MAY_BE_MADE = "may_be_made"  # as above, and the key may make monitors
    OTHER_KIND = "other_kind"  # the slug is that of a monitor which is not pinged
    BY_POST_ONLY = "by_post_only"


@dataclass(slots=True, kw_only=True)  # to freeze it would cost a hundredth of what a ping costs
class Ping:
    """One report of a job, as it arrived. Nobody changes it."""

    address: Address
    action: Action
    received_at: datetime
    sent_at: datetime | None = None  # when it was so, where the client says that it was earlier
    exit_code: int | None = None
    run: UUID | None = None
    method: str = "GET"
    source: str = ""
    user_agent: str = ""
    body: bytes = b""  # its first bytes
    body_size: int = 0  # of all that was sent
    subject: str = ""  # of a mail
    numbers: Mapping[str, float] = field(default_factory=dict)

    @property
    def at(self) -> datetime:
        """When it was so."""
        return self.sent_at or self.received_at


@dataclass(slots=True, kw_only=True)  # as above
class Heard:
    """What is known of one job from its pings. Nobody changes it."""

    state: TargetState
    last_ping_at: datetime | None = None
    counted_from: datetime | None = None  # silence is: the last end of a run, or a resumption
    open: Mapping[UUID, datetime] = field(default_factory=dict)  # the starts of runs that did not end yet
    duration_ns: int | None = None  # of the last run that ended
    expected_at: datetime | None = None
    deadline_at: datetime | None = None
    judge_at: datetime | None = None  # the next instant at which silence says something
    failure: Failure | None = None
    progress: float | None = None
    progress_run: int = 0

    @property
    def started_at(self) -> datetime | None:
        """When the run began that began last and did not end."""
        return max(self.open.values(), default=None)


@dataclass(slots=True, kw_only=True)  # as above
class Deadlines:
    """When a job is expected, when it is late without a word, and when it is down. Nobody changes it."""

    expected_at: datetime | None = None
    late_at: datetime | None = None  # None: it is not to be called late
    down_at: datetime | None = None
    overrun: tuple[datetime, datetime] | None = None  # the run, by its start, that must end, and until when

    @property
    def judge_at(self) -> datetime | None:
        """When silence says something next: nobody is late after being down."""
        return self.late_at or self.down_at


@dataclass(frozen=True, slots=True, kw_only=True)
class Report:
    """What one ping turned out to be."""

    action: Action
    duration_ns: int | None = None  # of the run that it ends
    failure: Failure | None = None


_USUAL = Report(action=Action.SUCCESS)

History = Callable[[str, int], float | None]  # the median of the last values of a number, where there were so many


def action_of(ping: Ping, spec: HeartbeatSpec) -> Action:
    """What a ping reports by the monitor's keywords, which speak louder than its address: failure, success, start."""
    if not (spec.failure_keywords or spec.success_keywords or spec.start_keywords) or ping.action is Action.LOG:
        return ping.action
    said = ping.body.decode("utf-8", "replace") + "\n" + ping.subject
    for words, action in (
        (spec.failure_keywords, Action.FAIL),
        (spec.success_keywords, Action.SUCCESS),
        (spec.start_keywords, Action.START),
    ):
        if any(word in said for word in words):
            return action
    return ping.action


def hear(heard: Heard, ping: Ping, spec: HeartbeatSpec, history: History) -> tuple[Heard, Report]:
    """What is known after one more ping, and what that ping was."""
    action, at = action_of(ping, spec), ping.at
    if action is Action.LOG:
        return heard, Report(action=action)
    if action is Action.START:
        return _begin(heard, ping, spec), Report(action=action)
    duration, remaining = _ended(heard, ping, spec) if heard.open else (None, heard.open)
    progress, progress_run = _progress(heard, ping)
    outcome, failure = _judged(ping, spec, action, duration_ns=duration, progress_run=progress_run, history=history)
    usual = outcome is Outcome.UP and duration is None
    report = _USUAL if usual else Report(action=action, duration_ns=duration, failure=failure)
    if _is_overtaken(heard, ping) and not _ends_the_last(heard, ping):
        return replace(heard, open=remaining), report
    counted_from = _counted_from(heard, ping)
    due = _deadlines(counted_from, remaining, spec)
    ended = Heard(
        # What was silent until now was silent: only the times of the job itself are set right by its own clock.
        state=observe(heard.state, outcome, ping.received_at, spec.policy()),
        last_ping_at=at,
        counted_from=counted_from,
        open=remaining,
        duration_ns=heard.duration_ns if duration is None else duration,
        expected_at=due.expected_at,
        deadline_at=due.down_at,
        judge_at=due.judge_at,
        failure=failure,
        progress=progress,
        progress_run=progress_run,
    )
    if ping.sent_at is not None and heard.state.vote is Status.DOWN and _is_past(ended.deadline_at, ping.received_at):
        # It was silent again since then: up would last until the next look of the sweep.
        ended = replace(ended, state=heard.state, failure=heard.failure)
    return ended, report


def _ended(heard: Heard, ping: Ping, spec: HeartbeatSpec) -> tuple[int | None, Mapping[UUID, datetime]]:
    """How long the run took that a ping ends, where its start was taken in, and the runs that are open still."""
    run, at = _run_of(heard, ping), ping.at
    started = None if run is None else heard.open.get(run)
    duration = None if started is None else max(0, round((at - started).total_seconds() * 1e9))
    return duration, {name: start for name, start in _alive(heard, spec, at).items() if name != run}


def _run_of(heard: Heard, ping: Ping) -> UUID | None:
    """The run that a ping ends; None for a spooled one of long before the run that is open now: its start was not taken in."""
    if ping.run is not None:
        return ping.run
    started = heard.open.get(UNNAMED)
    is_of_before = ping.sent_at is not None and started is not None and started - ping.at > _OVERTAKEN
    return None if is_of_before else UNNAMED


def _counted_from(heard: Heard, ping: Ping) -> datetime:
    """From when silence counts after a ping: what was spooled does not reach back behind a resumption."""
    if ping.sent_at is None or heard.counted_from is None:
        return ping.at
    return max(ping.at, heard.counted_from)


def _is_past(deadline: datetime | None, now: datetime) -> bool:
    return deadline is not None and deadline <= now


def _begin(heard: Heard, ping: Ping, spec: HeartbeatSpec) -> Heard:
    at = ping.at
    latest = sorted(_alive(heard, spec, at).items(), key=lambda each: each[1])[-(MOST_OPEN - 1) :]
    runs = {**dict(latest), ping.run or UNNAMED: at}
    if _is_overtaken(heard, ping):
        # A named run can't be mistaken for another: its end may still be on its way.
        return heard if ping.run is None else replace(heard, open=runs)
    begun = replace(heard, last_ping_at=at, open=runs)
    if spec.max_run is not None or heard.counted_from is None:
        begun = replace(begun, counted_from=_counted_from(heard, ping))
    if heard.state.vote is Status.DEGRADED and heard.failure is not None and heard.failure.reason is Reason.LATE:
        state = observe(heard.state, Outcome.UP, ping.received_at, spec.policy())
        begun = replace(begun, state=state, failure=None)
    if heard.state.vote is Status.DOWN and heard.judge_at is None:
        # Whatever it was down for, only the end of a run says that it is over; but this run is waited for.
        return begun if spec.max_run is None else with_deadlines(begun, spec)
    return with_deadlines(begun, spec)


def _alive(heard: Heard, spec: HeartbeatSpec, now: datetime) -> Mapping[UUID, datetime]:
    """The open runs, without those whose end nobody will report any more."""
    if not heard.open:
        return heard.open
    longest = max(LONGEST_RUN, timedelta(seconds=2 * (spec.max_run or 0)))
    return {run: start for run, start in heard.open.items() if now - start <= longest}


def _is_overtaken(heard: Heard, ping: Ping) -> bool:
    """Whether something later was heard already, so that this ping says nothing about now."""
    if heard.last_ping_at is None:
        return False
    behind = heard.last_ping_at - ping.at
    if ping.sent_at is not None and not ping.sent_at.microsecond:
        behind -= timedelta(seconds=1)  # `date +%s` cuts off what ours has
    return timedelta(0) < behind and (ping.sent_at is not None or behind < _OVERTAKEN)


def _ends_the_last(heard: Heard, ping: Ping) -> bool:
    """Whether it ends the very run whose start was the last that was heard, by a clock that is behind ours."""
    run = _run_of(heard, ping)
    return run is not None and heard.open.get(run) == heard.last_ping_at


def _progress(heard: Heard, ping: Ping) -> tuple[float | None, int]:
    progress = ping.numbers.get("progress")
    if progress is None:
        return heard.progress, heard.progress_run
    return progress, heard.progress_run + 1 if progress == heard.progress else 1


def _judged(
    ping: Ping, spec: HeartbeatSpec, action: Action, *, duration_ns: int | None, progress_run: int, history: History
) -> tuple[Outcome, Failure | None]:
    """The outcome of a run by what its last ping says of it, and why it is not up."""
    failure = reported(ping) if action is Action.FAIL else _wrong(spec, duration_ns, progress_run)
    if failure is not None:
        return Outcome.DOWN, failure
    if not spec.expect and not spec.degraded:
        return Outcome.UP, None
    facts = _facts(ping, spec, duration_ns, history)
    failure = expect.first_unmet(spec.expect, spec.subjects, facts)
    if failure is not None:
        return Outcome.DOWN, failure
    failure = expect.first_unmet(spec.degraded, spec.subjects, facts)
    return (Outcome.UP, None) if failure is None else (Outcome.DEGRADED, failure)


def reported(ping: Ping) -> Failure:
    """The failure that a job reported."""
    message = "the job reported that it failed"
    if ping.exit_code:
        message = f"the job ended with exit code {ping.exit_code}"
    return Failure(reason=Reason.REPORTED, message=message)


def _wrong(spec: HeartbeatSpec, duration_ns: int | None, progress_run: int) -> Failure | None:
    """What is wrong with a run that calls itself a success."""
    if spec.min_run is not None and duration_ns is not None and duration_ns < spec.min_run * 1e9:
        took, least = spoken_duration(duration_ns / 1e9), spoken_duration(spec.min_run)
        message = f"the job ended after {took}, sooner than it can do its work: at least {least}"
        return Failure(reason=Reason.TOO_SHORT, message=message, expected=f"at least {least}", found=took)
    if spec.stuck_after is not None and progress_run >= spec.stuck_after:
        message = f"the job is stuck: its progress was the same in {progress_run} pings in a row"
        return Failure(reason=Reason.STUCK, message=message)
    return None


def _facts(ping: Ping, spec: HeartbeatSpec, duration_ns: int | None, history: History) -> dict[str, Any]:
    facts: dict[str, Any] = {**ping.numbers, "body": ping.body, "size": ping.body_size}
    if duration_ns is not None:
        facts["duration"] = duration_ns / 1e9
    facts["exit_code"] = ping.exit_code or (1 if ping.action is Action.FAIL else 0)
    for name, count in spec.histories:
        median = history(name, count)
        if median is not None:
            facts[f"{name}:median({count})"] = median
    return facts


def with_deadlines(heard: Heard, spec: HeartbeatSpec) -> Heard:
    """What is known, with the instants that follow from it."""
    due = deadlines(heard, spec)
    return replace(heard, expected_at=due.expected_at, deadline_at=due.down_at, judge_at=due.judge_at)


def _expected(since: datetime, spec: HeartbeatSpec) -> datetime:
    """When the next run is expected after one that ended at `since`.

    A job that is started at 03:00 by a clock a second ahead of ours ends at 02:59:59: that was the run of 03:00. So
    what comes a little before an occurrence counts for it, where occurrences lie far enough apart to tell.
    """
    expected = spec.expected.next_expected(since)
    if spec.schedule.every is not None or expected - since > EARLY:
        return expected
    following = spec.expected.next_expected(expected)
    return following if expected - since <= (following - expected) / 10 else expected


def deadlines(heard: Heard, spec: HeartbeatSpec) -> Deadlines:
    """When a job is expected, late and down; nothing for one that was never heard of.

    A run that is open is not late. With `max_run` it has that long to end, and the next one its own time to start,
    whichever passes first; without, the end of a run is what the schedule waits for.
    """
    return Deadlines() if heard.counted_from is None else _deadlines(heard.counted_from, heard.open, spec)


def _deadlines(counted_from: datetime, runs: Mapping[UUID, datetime], spec: HeartbeatSpec) -> Deadlines:
    expected, grace = _expected(counted_from, spec), spec.waited
    if not runs:
        return Deadlines(expected_at=expected, late_at=expected + min(LATE_AFTER, grace / 2), down_at=expected + grace)
    allowed = None if spec.max_run is None else timedelta(seconds=spec.max_run)
    # A run whose time was up before something newer was heard was judged then.
    starts = [start for start in runs.values() if allowed is None or start + allowed > counted_from]
    if not starts:
        late = expected + min(LATE_AFTER, grace / 2)
        return Deadlines(expected_at=expected, late_at=late, down_at=expected + grace)
    if allowed is None or min(starts) + allowed > expected + grace:
        return Deadlines(expected_at=expected, down_at=expected + grace)
    start = min(starts)
    return Deadlines(expected_at=expected, down_at=start + allowed, overrun=(start, start + allowed))
