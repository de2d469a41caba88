"""Running and judging one probe."""

from __future__ import annotations

import errno

import pytest

from checks.probe import Kind, ProbeContext, ProbeFailure, Stopwatch, from_os_error, run
from checks.result import OURS, Failure, Outcome, Reason
from tests.factories import make_spec
from tests.probing import on_loop

SPEC = make_spec(timeout="100ms", expect=["status == 200"], degraded=["size < 10B"])


class SilentResolver:
    def is_silent(self, since):
        return False


class Shared:
    resolver = SilentResolver()


def run_with(coroutine, spec=SPEC, **context):
    return on_loop(run(Kind(spec=type(spec), probe=coroutine), spec, ProbeContext(resources=Shared(), **context)))


def reports(**facts):
    async def probe(_spec, context):
        context.seen.facts.update(facts)
        context.stopwatch.mark("connect", "other")
        context.seen.complete = True
        return context.seen

    return probe


def raises(exc):
    async def probe(_spec, _context):
        raise exc

    return probe


@pytest.mark.parametrize(
    ("facts", "outcome"),
    [
        ({"status": 200, "size": 5}, Outcome.UP),
        ({"status": 200, "size": 50}, Outcome.DEGRADED),
        ({"status": 500, "size": 5}, Outcome.DOWN),
        ({"size": 5}, Outcome.DOWN),
    ],
)
def test_expectations_make_the_outcome(facts, outcome):
    result = run_with(reports(**facts))
    assert result.outcome is outcome
    assert result.complete


@pytest.mark.parametrize(
    ("code", "reason"),
    [
        (errno.ECONNREFUSED, Reason.REFUSED),
        (errno.ECONNRESET, Reason.RESET),
        (errno.EHOSTUNREACH, Reason.UNREACHABLE),
        (errno.ETIMEDOUT, Reason.TIMEOUT),
        (errno.EINVAL, Reason.UNREACHABLE),
    ],
)
def test_an_error_of_the_target_is_down(code, reason):
    result = run_with(raises(OSError(code, "told by the system")))
    assert (result.outcome, result.failure.reason, result.latency_ns) == (Outcome.DOWN, reason, None)


@pytest.mark.parametrize(
    "exc",
    [
        *(OSError(getattr(errno, name), name) for name in ("EMFILE", "ENFILE", "ENETUNREACH", "ENETDOWN", "ENOBUFS")),
        *(OSError(getattr(errno, name), name) for name in ("ENOMEM", "EADDRNOTAVAIL")),
        MemoryError(),
        KeyError("a mistake of ours"),
    ],
    ids=lambda exc: str(exc) or type(exc).__name__,
)
def test_an_error_of_this_machine_is_unknown(exc):
    result = run_with(raises(exc))
    assert result.outcome is Outcome.UNKNOWN
    assert result.failure.reason in OURS


def test_our_own_fault_is_unknown_for_an_inverted_monitor_too():
    spec = make_spec(invert=True)
    assert run_with(raises(OSError(errno.EMFILE, "")), spec).outcome is Outcome.UNKNOWN


@pytest.mark.parametrize("reason", [Reason.DENIED, Reason.PROXY])
def test_an_inverted_monitor_is_not_up_because_its_target_was_never_asked(reason):
    failure = Failure(reason=reason, message="it was never asked", phase="connect")
    assert run_with(raises(ProbeFailure(failure)), make_spec(invert=True)).outcome is Outcome.UNKNOWN
    assert run_with(raises(ProbeFailure(failure))).outcome is Outcome.DOWN


def test_a_failure_that_has_a_name_is_told_as_it_is():
    failure = Failure(reason=Reason.TLS, message="the handshake failed", phase="tls")
    assert run_with(raises(ProbeFailure(failure))).failure == failure


@pytest.mark.parametrize(
    ("reason", "phase"),
    [(Reason.REJECTED, "connect"), (Reason.NO_DRIVER, None), (Reason.EXPECTATION, None)],
)
def test_a_failure_of_the_target_happened_in_the_phase_that_was_running(reason, phase):
    async def probe(_spec, context):
        context.stopwatch.phase = "connect"
        raise ProbeFailure(Failure(reason=reason, message="it says no"))

    assert run_with(probe).failure.phase == phase


async def _hang(_spec, context):
    import asyncio

    context.seen.evidence["seen"] = "so far"
    context.stopwatch.phase = "connect"
    await asyncio.sleep(10)


def test_the_deadline_is_over_everything_and_keeps_what_was_seen():
    result = run_with(_hang)
    assert (result.outcome, result.failure.phase) == (Outcome.DOWN, "connect")
    assert result.failure.message == "timed out after 0.1 s while connecting"
    assert result.evidence == {"seen": "so far"}


def test_a_timeout_while_our_own_loop_is_late_is_unknown():
    result = run_with(_hang, lag=lambda: 0.05)
    assert (result.outcome, result.failure.reason) == (Outcome.UNKNOWN, Reason.LOOP_LATE)
    assert run_with(_hang, lag=lambda: 0.01).outcome is Outcome.DOWN


@pytest.mark.parametrize("lines", [{"expect": ["latency < 0ms"]}, {"degraded": ["connect < 0ms"]}])
def test_an_answer_that_was_slow_while_our_own_loop_was_late_is_unknown(lines):
    spec = make_spec(timeout="100ms", **lines)
    facts = {"status": 200}
    late = run_with(reports(**facts), spec, lag=lambda: 0.05)
    assert (late.outcome, late.failure.reason, late.latency_ns) == (Outcome.UNKNOWN, Reason.LOOP_LATE, None)
    assert run_with(reports(**facts), spec, lag=lambda: 0.01).outcome in (Outcome.DOWN, Outcome.DEGRADED)
    assert run_with(reports(status=500), SPEC, lag=lambda: 0.05).outcome is Outcome.DOWN, "that is no matter of time"


def test_a_judgement_that_raises_is_our_own_fault(monkeypatch, caplog):
    monkeypatch.setattr("checks.expect.first_unmet", lambda *_: 1 / 0)
    result = run_with(reports(status=200))
    assert (result.outcome, result.failure.reason) == (Outcome.UNKNOWN, Reason.BUG)
    assert "ZeroDivisionError" in caplog.text


def test_what_no_database_keeps_is_taken_out_of_the_words_of_a_target():
    """A certificate can be for `a\\0b`; PostgreSQL would refuse the result, and the outage would never be seen."""

    async def probe(_spec, context):
        context.seen.evidence["names"] = ["a\0b", "\ud800"]
        raise ProbeFailure(Failure(reason=Reason.CERTIFICATE, message="the certificate is for a\0b"))

    result = run_with(probe)
    assert result.failure.message == "the certificate is for a\N{REPLACEMENT CHARACTER}b"
    assert result.evidence == {"names": ["a\N{REPLACEMENT CHARACTER}b", "\N{REPLACEMENT CHARACTER}"]}


def test_evidence_that_can_not_be_gathered_costs_no_result(caplog):
    async def probe(_spec, context):
        context.seen.explain = lambda: 1 / 0
        raise ConnectionResetError(errno.ECONNRESET, "reset")

    result = run_with(probe)
    assert (result.outcome, result.evidence) == (Outcome.DOWN, {})
    assert "evidence of" in caplog.text


def test_evidence_that_costs_is_gathered_for_failures_and_for_people_only():
    asked = []

    async def probe(_spec, context):
        context.seen.explain = lambda: asked.append(1) or {"more": True}
        context.seen.facts.update(status=200, size=1)
        return context.seen

    assert run_with(probe).evidence == {}
    assert run_with(probe, explain=True).evidence == {"more": True}
    assert len(asked) == 1


def test_the_phases_of_a_stopwatch_follow_each_other():
    watch = Stopwatch()
    start = watch.started_ns
    watch.mark("dns", "connect", start + 5)
    watch.mark("connect", "first_byte", start + 12)
    watch.mark("connect", "first_byte", start + 20)  # a second hop adds up
    assert watch.phases.as_dict() == {"dns": 5, "connect": 15}
    assert watch.phases.total() == watch.last_ns - start


def test_an_error_without_a_number_is_the_targets():
    assert from_os_error(OSError("odd"), "connect").reason is Reason.UNREACHABLE


def test_of_a_good_answer_a_few_facts_are_kept_where_that_is_asked_for():
    def answer(status):
        async def probe(spec, context):
            context.seen.explain = lambda: pytest.fail("nobody asked for the evidence")
            return await reports(status=status, size=5, headers=[(b"Server", b"nginx")])(spec, context)

        return probe

    assert run_with(answer(200)).facts is None
    kept = run_with(answer(200), remember=True)
    assert (kept.outcome, kept.evidence) == (Outcome.UP, {})
    assert kept.facts == {"status": 200, "size": 5, "server": "nginx"}


def test_a_bad_answer_brings_its_facts_along():
    assert run_with(reports(status=500, size=5)).facts == {"status": 500, "size": 5}
    assert run_with(raises(ConnectionRefusedError(errno.ECONNREFUSED, "refused"))).facts == {}
