"""One probe: the kind's coroutine under one deadline, judged by the expectations. Never raises for a target's fault."""

from __future__ import annotations

import errno
import logging
from collections.abc import Awaitable, Callable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from importlib.util import find_spec
from typing import Any

from checks import blockpage, clock, expect
from checks.deadline import Deadline
from checks.difference import facts_of
from checks.evidence import secrets_of, without
from checks.result import OURS, Failure, Observation, Outcome, Phases, Reason, Result
from checks.spec import MonitorSpec, ProbedSpec
from checks.status import Member, Status

logger = logging.getLogger(__name__)

TIMINGS: Mapping[str, expect.Subject] = {
    "latency": expect.Subject("latency", "duration", "The time from the start of the probe to the end of the answer."),
    "dns": expect.Subject("dns", "duration", "The time to resolve the name."),
    "connect": expect.Subject("connect", "duration", "The time to connect."),
    "tls": expect.Subject("tls", "duration", "The time of the TLS handshake."),
    "first_byte": expect.Subject(
        "first_byte", "duration", "The time from the request to the first byte of the answer."
    ),
    "transfer": expect.Subject("transfer", "duration", "The time from the first to the last byte of the answer."),
}
"""What an expectation of every probed kind can say about time."""


@dataclass(slots=True)
class Stopwatch:
    """Where the time of one probe goes. Phases follow each other; what lies between them is `other`.

    `checks.network` calls `mark` at the instant at which a phase ended, taken where the bytes arrived.
    """

    phases: Phases = field(default_factory=Phases)
    phase: str = "dns"  # the phase that is running
    started_ns: int = field(default_factory=clock.monotonic_ns)
    last_ns: int = 0

    def __post_init__(self) -> None:
        self.last_ns = self.started_ns

    def mark(self, phase: str, following: str, at_ns: int | None = None) -> None:
        """`phase` ended at `at_ns` (now, by default), and `following` began."""
        if at_ns is None:
            at_ns = clock.monotonic_ns()
        # It may have come while we were busy with what was before. A call of `max` is a two-hundredth of a probe.
        if at_ns < self.last_ns:  # noqa: PLR1730
            at_ns = self.last_ns
        phases = self.phases
        setattr(phases, phase, (getattr(phases, phase) or 0) + at_ns - self.last_ns)  # a redirect's hops add up
        self.last_ns = at_ns
        self.phase = following

    def leave_out(self, until_ns: int) -> None:
        """What passed until then was our own doing and not the target's: no phase counts it, nor does the latency."""
        if until_ns > self.last_ns:
            self.started_ns += until_ns - self.last_ns
            self.last_ns = until_ns


@dataclass(slots=True, kw_only=True)
class ProbeContext:
    """What a probe gets from whoever runs it. `lag` tells by how many seconds our own loop is late."""

    resources: Any  # checks.network.Resources: resolver, guard, TLS contexts; shared by all probes of a process
    stopwatch: Stopwatch = field(default_factory=Stopwatch)
    seen: Observation = field(default_factory=Observation)  # filled as the probe goes: a timeout keeps what was seen
    lag: Callable[[], float] = lambda: 0.0
    explain: bool = False  # gather all evidence even when the target is up: for a person who asked
    remember: bool = False  # keep a few facts of a good answer, to hold a bad one against later


@dataclass(frozen=True, slots=True, kw_only=True)
class Kind:
    """One kind of monitor: its options and, where it asks by itself, its coroutine.

    The coroutine fills `context.seen` and returns it; it raises `ProbeFailure` to end early with a named failure.
    A kind whose library is heavy names its extra and the modules that come with it, and imports them when it probes.
    """

    spec: type[MonitorSpec]
    probe: Callable[[Any, ProbeContext], Awaitable[Observation]] | None = None
    derive: Callable[[Any, Sequence[Member]], tuple[Status, Failure | None]] | None = None  # from other monitors
    extra: str = ""  # of this package, as in `pip install 'stillup[grpc]'`
    modules: tuple[str, ...] = ()  # what that extra brings
    lacks: Callable[[], str] | None = None  # what else this machine lacks for it, in words; empty where nothing
    needs_modules: Callable[[Any], bool] = lambda _spec: True  # whether a specification needs them

    def missing(self, spec: MonitorSpec | None = None) -> str:
        """What is to be installed or set before this kind, or one monitor of it, can probe; empty where nothing is."""
        needed = self.modules if spec is None or self.needs_modules(spec) else ()
        absent = [name for name in needed if find_spec(name) is None]
        if absent:
            return f"{absent[0]} is not installed; install it with: pip install 'stillup[{self.extra}]'"
        return self.lacks() if self.lacks is not None else ""


class ProbeFailure(Exception):
    """A probe ended early, for a reason that has a name."""

    def __init__(self, failure: Failure) -> None:
        super().__init__(failure.message)
        self.failure = failure


async def run(kind: Kind, spec: ProbedSpec, context: ProbeContext) -> Result:
    """The judged result of one probe. Only cancellation passes through; a mistake of ours is the outcome `unknown`."""
    assert kind.probe is not None  # noqa: S101 - only probed kinds have due times
    started_at, watch, seen = clock.utcnow(), context.stopwatch, context.seen
    try:
        with Deadline(spec.timeout):
            seen = await kind.probe(spec, context)
    except TimeoutError as exc:  # of the deadline, or of the kernel, which gave up a connection sooner
        seen.failure = _timed_out(spec, context) if exc.errno is None else from_os_error(exc, watch.phase)
    except ProbeFailure as exc:
        seen.failure = _placed(exc.failure, watch.phase)
    except MemoryError:
        seen.failure = Failure(reason=Reason.NO_MEMORY, message="this machine is out of memory", phase=watch.phase)
    except OSError as exc:
        seen.failure = from_os_error(exc, watch.phase)
    except Exception as exc:  # noqa: BLE001 - logged by `_bug`
        seen.failure = _bug(spec, exc, watch.phase)
    if seen.failure is not None and seen.doing:
        seen.failure = replace(seen.failure, message=f"{seen.doing}: {seen.failure.message}")
    seen.complete = seen.complete and (seen.failure is None or seen.failure.reason is Reason.EXPECTATION)
    latency = watch.last_ns - watch.started_ns if seen.complete else None
    try:
        outcome, failure = judge(spec, seen, watch.phases, latency)
        if failure is not None and not spec.invert and _blames_our_loop(spec, failure, context):
            outcome, failure, latency = Outcome.UNKNOWN, _late(context), None
    except Exception as exc:  # noqa: BLE001 - logged by `_bug`
        outcome, failure = Outcome.UNKNOWN, _bug(spec, exc, watch.phase)
    result = Result(
        outcome=outcome,
        started_at=started_at,
        latency_ns=latency,
        phases=watch.phases,
        failure=failure,
        evidence=seen.evidence,
    )
    if outcome is Outcome.UP and not context.explain and not context.remember and seen.evidence.keys() <= _OURS_ALONE:
        return result
    return _explained(spec, seen, result, remember=outcome is Outcome.UP and not context.explain)


_OURS_ALONE = {"address", "addresses"}  # evidence that no target has a word in


def _placed(failure: Failure, phase: str) -> Failure:
    """The failure with the phase that was running, where it is the target's and names none."""
    if failure.phase is not None or failure.reason is Reason.EXPECTATION or failure.reason in OURS:
        return failure
    return replace(failure, phase=phase)


def _bug(spec: ProbedSpec, exc: Exception, phase: str) -> Failure:
    logger.error("probe of %s raised", spec.slug, exc_info=exc, extra={"action": "probe_bug", "monitor": spec.slug})
    return Failure(reason=Reason.BUG, message=f"the probe itself failed: {type(exc).__name__}", phase=phase)


def _blames_our_loop(spec: ProbedSpec, failure: Failure, context: ProbeContext) -> bool:
    """Whether it was too slow for an expectation while it may have been our own loop that was."""
    if failure.reason is not Reason.EXPECTATION or failure.expectation is None:
        return False
    return expect.parse(failure.expectation, spec.subjects).subject.name in TIMINGS and _is_late(spec, context)


def _is_late(spec: ProbedSpec, context: ProbeContext) -> bool:
    return context.lag() > spec.timeout / 5


def _late(context: ProbeContext) -> Failure:
    message = f"no verdict: this worker's own loop was {context.lag():.1f} s late"
    return Failure(reason=Reason.LOOP_LATE, message=message, phase=context.stopwatch.phase)


def _explained(spec: ProbedSpec, seen: Observation, result: Result, *, remember: bool) -> Result:
    """The result with all evidence, from which the monitor's own secrets are taken: a target may send them back.

    One that is only to be remembered gets its facts and no more evidence than it has.
    """
    evidence = dict(seen.evidence)
    try:
        secrets = secrets_of(spec, seen.secrets)
        facts = without(facts_of(spec.subjects, seen.facts, evidence.get("address")), secrets)
        if remember:
            return replace(result, evidence=without(evidence, secrets), facts=facts)
        if seen.explain is not None:
            evidence |= seen.explain()
        failure = result.failure
        if failure is not None:
            failure = Failure.from_dict(without(failure.as_dict(), secrets))
        return replace(result, failure=failure, evidence=without(evidence, secrets), facts=facts)
    except Exception:
        logger.exception("evidence of %s is lost", spec.slug, extra={"action": "probe_bug", "monitor": spec.slug})
        return replace(result, evidence={})


def _timed_out(spec: ProbedSpec, context: ProbeContext) -> Failure:
    watch, phase = context.stopwatch, context.stopwatch.phase
    if _is_late(spec, context):
        return _late(context)
    if context.seen.waiting_for:
        message = f"timed out after {spec.timeout:g} s while waiting for {context.seen.waiting_for}"
        return Failure(reason=Reason.TIMEOUT, message=message, phase=phase)
    if phase == "dns" and context.resources.resolver.is_silent(watch.started_ns / 1e9):
        message = "this machine's name servers do not answer"
        return Failure(reason=Reason.NO_RESOLVER, message=message, phase=phase)
    spoken = {
        "dns": "while resolving the name",
        "connect": "while connecting",
        "tls": "during the TLS handshake",
        "first_byte": "while waiting for the first byte",
        "transfer": "while reading the answer",
    }.get(phase, "")
    progress = context.seen.progress() if phase == "transfer" and context.seen.progress else ""
    message = f"timed out after {spec.timeout:g} s {spoken} {progress}".rstrip()
    return Failure(reason=Reason.TIMEOUT, message=message, phase=phase)


_BY_ERRNO = {
    errno.ECONNREFUSED: (Reason.REFUSED, "the connection was refused"),
    errno.ECONNRESET: (Reason.RESET, "the connection was reset"),
    errno.EPIPE: (Reason.RESET, "the connection was closed while we were sending"),
    errno.ECONNABORTED: (Reason.RESET, "the connection was aborted"),
    errno.EHOSTUNREACH: (Reason.UNREACHABLE, "the host can't be reached"),
    errno.ETIMEDOUT: (Reason.TIMEOUT, "the connection timed out"),
    errno.ENETUNREACH: (Reason.NO_ROUTE, "this machine has no route to that network"),
    errno.ENETDOWN: (Reason.NO_ROUTE, "this machine's network is down"),
    errno.EADDRNOTAVAIL: (Reason.NO_ROUTE, "this machine has no address or port left to connect from"),
    errno.EMFILE: (Reason.NO_DESCRIPTORS, "this process is out of file descriptors"),
    errno.ENFILE: (Reason.NO_DESCRIPTORS, "this machine is out of file descriptors"),
    errno.ENOBUFS: (Reason.NO_MEMORY, "this machine is out of network buffers"),
    errno.ENOMEM: (Reason.NO_MEMORY, "this machine is out of memory"),
}


def from_os_error(exc: OSError, phase: str) -> Failure:
    """The failure that an operating system's error names; what it does not name is the target's."""
    reason, message = _BY_ERRNO.get(
        exc.errno or 0, (Reason.UNREACHABLE, f"the connection failed: {exc.strerror or exc}")
    )
    return Failure(reason=reason, message=message, phase=phase)


# With these the target was never asked: that makes an inverted monitor, which is up when its probe fails, no better.
_NOT_ASKED = (Reason.DENIED, Reason.PROXY)


def judge(
    spec: ProbedSpec, seen: Observation, phases: Phases, latency_ns: int | None
) -> tuple[Outcome, Failure | None]:
    """The verdict and its cause: our fault, the target's failure, a missed expectation, a missed `degraded` line."""
    failure = seen.failure
    if failure is not None and (failure.reason in OURS or (spec.invert and failure.reason in _NOT_ASKED)):
        return Outcome.UNKNOWN, failure
    facts = seen.facts
    if spec.speaks_of_time:
        facts = facts | phases.in_seconds()
        if latency_ns is not None:
            facts["latency"] = latency_ns / 1e9
    failure = failure or expect.first_unmet(spec.required, spec.subjects, facts)
    if spec.invert:
        return _inverted(failure)
    if failure is not None:
        if failure.reason is Reason.EXPECTATION and (page := blockpage.of(seen.facts)):
            message = f"blocked by {page}: {failure.message}"
            outcome = Outcome(getattr(spec, "block_page", "degraded"))
            return outcome, replace(failure, reason=Reason.BLOCKED, message=message)
        return Outcome.DOWN, failure
    failure = expect.first_unmet(spec.desired, spec.subjects, facts) if spec.desired else None
    return Outcome.DEGRADED if failure else Outcome.UP, failure


def _inverted(failure: Failure | None) -> tuple[Outcome, Failure | None]:
    if failure is not None:
        return Outcome.UP, None
    message = "the probe succeeded, and this monitor is inverted: it is up when the probe fails"
    return Outcome.DOWN, Failure(reason=Reason.INVERTED, message=message)
