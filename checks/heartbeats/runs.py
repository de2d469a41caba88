"""What a ping says: pure. A start and the end of its run are paired here, and the next deadline follows."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, replace
from datetime import datetime, timedelta
from enum import StrEnum
from uuid import UUID

from checks import schedule
from checks.probes.heartbeat import HeartbeatSpec
from checks.result import Failure, Outcome, Reason
from checks.status import TargetState, observe

# Two web processes may commit two pings in the other order; what is longer ago is a clock that was set back.
_OVERTAKEN = timedelta(seconds=30)


class Action(StrEnum):
    """What a job reports."""

    SUCCESS = "success"
    START = "start"
    FAIL = "fail"
    LOG = "log"  # only to be kept: changes nothing


@dataclass(frozen=True, slots=True, kw_only=True)
class Ping:
    """One report of a job, as it arrived."""

    code: UUID
    action: Action
    received_at: datetime
    exit_code: int | None = None
    run: UUID | None = None
    method: str = "GET"
    source: str = ""
    user_agent: str = ""
    body: bytes = b""  # its first bytes
    body_size: int = 0  # of all that was sent


@dataclass(frozen=True, slots=True, kw_only=True)
class Heard:
    """What is known of one job from its pings. `started_at` is None unless a run is open."""

    state: TargetState
    last_ping_at: datetime | None = None
    started_at: datetime | None = None
    duration_ns: int | None = None  # of the last run that ended
    deadline_at: datetime | None = None
    failure: Failure | None = None


def failure_of(ping: Ping) -> Failure | None:
    """Why a ping means down; None where it does not."""
    if ping.action is not Action.FAIL:
        return None
    message = "the job reported that it failed"
    if ping.exit_code is not None:
        message = f"the job ended with exit code {ping.exit_code}"
    return Failure(reason=Reason.REPORTED, message=message)


def hear(
    heard: Heard, ping: Ping, spec: HeartbeatSpec, start_of: Callable[[UUID], datetime | None]
) -> tuple[Heard, int | None]:
    """What is known after one more ping, and how many nanoseconds the run took that it ends.

    `start_of` looks up when the run of a `?rid=` began; without one, the end belongs to the last start.
    """
    at = ping.received_at
    overtaken = heard.last_ping_at is not None and timedelta(0) < heard.last_ping_at - at < _OVERTAKEN
    if ping.action is Action.LOG or overtaken:
        return heard, None
    if ping.action is Action.START:
        begun = replace(heard, last_ping_at=at, started_at=at)
        if spec.max_run is not None or heard.deadline_at is None:
            begun = replace(begun, deadline_at=deadline_of(begun, spec))
        return begun, None
    started = heard.started_at if ping.run is None else start_of(ping.run)
    duration = None if started is None else max(0, round((at - started).total_seconds() * 1e9))
    still_open = heard.started_at if ping.run is not None and started != heard.started_at else None
    failure = failure_of(ping)
    outcome = Outcome.UP if failure is None else Outcome.DOWN
    ended = Heard(
        state=observe(heard.state, outcome, at, spec.policy()),
        last_ping_at=at,
        started_at=still_open,
        duration_ns=heard.duration_ns if duration is None else duration,
        failure=failure,
    )
    return replace(ended, deadline_at=deadline_of(ended, spec)), duration


def deadline_of(heard: Heard, spec: HeartbeatSpec) -> datetime | None:
    """The instant after which silence means down; None for a job that was never heard of."""
    if heard.last_ping_at is None:
        return None
    if heard.started_at is not None and spec.max_run is not None:
        # Of a run that others overlapped, only the one that began last is waited for.
        return schedule.deadline(
            spec.expected(),
            last_ping=heard.started_at,
            grace=spec.grace,
            started=heard.started_at,
            max_run=spec.max_run,
        )
    return schedule.deadline(spec.expected(), last_ping=heard.last_ping_at, grace=spec.grace)
