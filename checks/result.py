"""What one probe found: the outcome, where the time went, and the evidence.

A probe's coroutine reports an `Observation` (what it saw); `checks.probe.run` judges it by the monitor's expectations
into a `Result`. The target's fault is a `Failure`, never an exception.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from datetime import datetime
from enum import StrEnum
from operator import attrgetter
from typing import Any


class Outcome(StrEnum):
    """The verdict on one probe."""

    UP = "up"
    DEGRADED = "degraded"  # it serves, but misses a `degraded` expectation
    DOWN = "down"
    UNKNOWN = "unknown"  # our own fault: says nothing about the target


class Reason(StrEnum):
    """Why a probe failed. Those in `OURS` make the outcome `unknown`, never `down`."""

    NAME_NOT_FOUND = "name_not_found"  # the resolver answered: no such name
    NAME_FAILED = "name_failed"  # the zone's servers failed or did not answer
    REFUSED = "refused"  # the host said no
    UNREACHABLE = "unreachable"  # the host or its network can't be reached, ours can
    TIMEOUT = "timeout"  # the monitor's timeout ran out
    RESET = "reset"  # the peer reset the connection
    CLOSED = "closed"  # the peer closed before the answer was whole
    TLS = "tls"  # the handshake failed
    CERTIFICATE = "certificate"  # the certificate is not trusted, not valid now, or another's
    HOST_KEY = "host_key"  # the host's key of SSH is not the pinned one
    PROTOCOL = "protocol"  # the answer is not of the protocol
    TOO_LARGE = "too_large"  # a cap on headers or on the decoded body was passed
    REDIRECT = "redirect"  # too many, in a circle, or to a scheme that is not followed
    AUTHENTICATION = "authentication"  # our credentials are not accepted, or not for what was asked
    REJECTED = "rejected"  # the target understood what was asked and said no: an unknown topic, a query with a mistake
    PROXY = "proxy"  # the monitor's proxy can't be reached, refuses or does not speak its protocol
    DENIED = "denied"  # the address guard refuses this address
    EXPECTATION = "expectation"  # a complete answer, but not a healthy one
    BLOCKED = "blocked"  # a content network or firewall before the target turned us away with a page of its own
    MISSED = "missed"  # heartbeat: no ping before the deadline
    REPORTED = "reported"  # heartbeat: the job itself reported failure
    OVERRAN = "overran"  # heartbeat: started, and did not end within max_run
    TOO_SHORT = "too_short"  # heartbeat: ended sooner than min_run
    STUCK = "stuck"  # heartbeat: its progress stood still
    LATE = "late"  # heartbeat: expected, and still within the grace
    MEMBERS = "members"  # group: not enough of its members serve
    SET = "set"  # manual: a person said so
    INVERTED = "inverted"  # the monitor is inverted and the target answered well
    NO_DESCRIPTORS = "no_descriptors"
    NO_ROUTE = "no_route"
    NO_RESOLVER = "no_resolver"
    NO_MEMORY = "no_memory"
    NO_DRIVER = "no_driver"
    NO_SOURCE = "no_source"  # whoever would know of the target can't be asked: there is nobody, or we asked too often
    LOOP_LATE = "loop_late"  # our own event loop was late by more than a fifth of the timeout
    BUG = "bug"  # the probe raised: a mistake of ours


OURS = frozenset(
    {
        Reason.NO_DESCRIPTORS,
        Reason.NO_ROUTE,
        Reason.NO_RESOLVER,
        Reason.NO_MEMORY,
        Reason.NO_DRIVER,
        Reason.NO_SOURCE,
        Reason.LOOP_LATE,
        Reason.BUG,
    },
)

PHASES = ("dns", "connect", "tls", "first_byte", "transfer", "other")
_values = attrgetter(*PHASES)


@dataclass(slots=True, kw_only=True)
class Phases:
    """Where the time went, in nanoseconds; None where a phase did not happen. They sum to the latency."""

    dns: int | None = None
    connect: int | None = None
    tls: int | None = None
    first_byte: int | None = None
    transfer: int | None = None
    other: int | None = None

    def total(self) -> int:
        """The sum of the phases in nanoseconds."""
        return sum(value for name in PHASES if (value := getattr(self, name)) is not None)

    def in_seconds(self) -> dict[str, float]:
        """The phases that happened, by name, in seconds."""
        return {name: value / 1e9 for name, value in zip(PHASES, _values(self), strict=True) if value is not None}

    def as_dict(self) -> dict[str, int]:
        """The phases that happened, by name, in nanoseconds."""
        return {name: value for name in PHASES if (value := getattr(self, name)) is not None}


@dataclass(frozen=True, slots=True, kw_only=True)
class Failure:
    """Why a probe failed, in words and for machines."""

    reason: Reason
    message: str  # one sentence for people: "the connection was refused"
    phase: str | None = None  # the phase in which it happened
    expectation: str | None = None  # the line that was not met
    expected: str | None = None  # "json $.queue < 100"
    found: str | None = None  # "143"

    def as_dict(self) -> dict[str, str]:
        """The fields that are set, as JSON keeps them."""
        names = ("reason", "message", "phase", "expectation", "expected", "found")
        return {name: str(value) for name in names if (value := getattr(self, name)) is not None}

    @classmethod
    def from_dict(cls, data: Mapping[str, str]) -> Failure:
        """The failure that `as_dict` wrote."""
        return cls(**{**data, "reason": Reason(data["reason"])})  # type: ignore[arg-type]  # the keys are our own


@dataclass(slots=True, kw_only=True)
class Observation:
    """What a probe's coroutine saw, before it is judged.

    `facts` maps the subjects of the expectation language to values: `status` int, `body` bytes, `headers` list of
    (name, value), `certificate` seconds left, `size` bytes, `redirects` int, `banner` str. Latency and phases are
    added by `checks.probe.run`. `evidence` is JSON for people; the monitor's own secrets are taken out of it by
    `checks.probe.run`. What costs to gather is left to `explain`, which is called only where it is needed.
    """

    facts: dict[str, Any] = field(default_factory=dict)
    evidence: dict[str, Any] = field(default_factory=dict)
    explain: Callable[[], dict[str, Any]] | None = None  # more evidence, for a result that is not up
    doing: str = ""  # what the probe is at, where it has steps: begins the message of a failure
    secrets: list[str] = field(default_factory=list)  # that came up on the way: hidden like the monitor's own
    progress: Callable[[], str] | None = None  # how much of the answer has come, for the message of a timeout
    waiting_for: str = ""  # who else we wait for, for the message of a timeout: "the proxy 10.0.0.1:3128"
    failure: Failure | None = None
    complete: bool = False  # the answer came to its end, whatever it says


@dataclass(slots=True, kw_only=True)  # to freeze it would cost a hundredth of a probe
class Result:
    """One probe, judged. Nobody changes it.

    `latency_ns` is from the start of the probe to the end of the answer; None where no answer was complete.
    """

    outcome: Outcome
    started_at: datetime
    latency_ns: int | None
    phases: Phases
    failure: Failure | None = None  # of the verdict: what made it down, unknown or degraded
    evidence: dict[str, Any] = field(default_factory=dict)
    facts: dict[str, Any] | None = None  # the few by which answers are told apart (checks.difference), where asked for

    @property
    def complete(self) -> bool:
        """Whether the latency enters the histogram."""
        return self.latency_ns is not None
