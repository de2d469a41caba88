"""Valid by default, one keyword to spoil: specifications, results, published monitors."""

from __future__ import annotations

import itertools
from datetime import UTC, datetime, timedelta
from typing import Any
from uuid import UUID, uuid4

from checks.result import Failure, Outcome, Phases, Reason, Result
from checks.status import Policy, TargetState, observe
from checks.store.claims import Claimed, Finished
from checks.store.publishing import PublishedMonitor

# A Tuesday in the middle of an hour, in no zone's night of changing clocks.
NOON = datetime(2026, 3, 10, 12, 20, tzinfo=UTC)

_numbers = itertools.count(1)


def at(seconds: float) -> datetime:
    """The instant `seconds` after NOON."""
    return NOON + timedelta(seconds=seconds)


def make_spec(**options: Any) -> Any:
    """A specification of any kind, `http` by default."""
    from checks.probes import parse_spec

    kind = options.get("kind", "http")
    return parse_spec({"kind": kind, "name": f"Monitor {next(_numbers)}", **_needed(kind), **options})


def _needed(kind: str) -> dict[str, Any]:
    """The options without which a monitor of this kind is none."""
    from checks.probes import spec_class
    from tests.contracts.examples import EXAMPLES

    unasked: dict[str, dict[str, Any]] = {"heartbeat": {"schedule": {"every": "60s"}}, "group": {"members": ["other"]}}
    if kind in unasked:
        return unasked[kind]
    if kind not in EXAMPLES:
        return {}  # what is wrong is for the caller to see
    fields = spec_class(kind).model_fields
    return {name: value for name, value in EXAMPLES[kind].ask("127.0.0.1:9").items() if fields[name].is_required()}


def make_result(outcome: Outcome = Outcome.UP, **fields: Any) -> Result:
    """A result of 25 ms; where it is not up, with a failure that fits."""
    failures = {
        Outcome.DOWN: Failure(reason=Reason.REFUSED, message="the connection was refused", phase="connect"),
        Outcome.DEGRADED: Failure(reason=Reason.EXPECTATION, message="latency was 900 ms", expectation="latency < 1ms"),
        Outcome.UNKNOWN: Failure(reason=Reason.NO_DESCRIPTORS, message="this process is out of file descriptors"),
    }
    latency = fields.pop("latency_ns", 25_000_000 if outcome in (Outcome.UP, Outcome.DEGRADED) else None)
    phases = Phases(connect=5_000_000, first_byte=latency - 5_000_000) if latency else Phases(connect=1_000_000)
    defaults = {
        "outcome": outcome,
        "started_at": NOON,
        "latency_ns": latency,
        "phases": phases,
        "failure": failures.get(outcome),
    }
    return Result(**{**defaults, **fields})


def make_published(**fields: Any) -> PublishedMonitor:
    """A probed monitor, published for the first time."""
    number = next(_numbers)
    source = fields.get("source", "probed")
    defaults: dict[str, Any] = {
        "uuid": uuid4(),
        "slug": f"monitor-{number}",
        "name": f"Monitor {number}",
        "kind": "http" if source == "probed" else "heartbeat",
        "source": source,
        "revision": 1,
        "spec": {"kind": "http", "name": f"Monitor {number}", "url": f"http://127.0.0.1:{number}/"},
        "places": ("local",),
        "interval": 10.0,
        "retry_interval": 2.0,
        "policy": Policy(failures=1, successes=1, interval=10.0, quorum=1),
    }
    return PublishedMonitor(**{**defaults, **fields})


def make_claimed(**fields: Any) -> Claimed:
    """A claim of a target that no store knows."""
    defaults: dict[str, Any] = {
        "target_id": next(_numbers),
        "monitor": UUID(int=next(_numbers)),
        "location": "local",
        "revision": 1,
        "fence": 1,
        "due_at": NOON,
        "interval": 10.0,
        "retry_interval": 2.0,
        "state": TargetState(),
    }
    return Claimed(**{**defaults, **fields})


def make_finished(claimed: Claimed, outcome: Outcome = Outcome.UP, **fields: Any) -> Finished:
    """The end of a claimed probe that started when it was due; `policy`, `next_due_at`, `skipped` or of the result."""
    of_finished: dict[str, Any] = {
        "policy": Policy(failures=1, successes=1, interval=claimed.interval),
        "next_due_at": claimed.due_at + timedelta(seconds=claimed.interval),
        "skipped": 0,
    }
    of_finished |= {name: fields.pop(name) for name in of_finished if name in fields}
    result = make_result(outcome, **{"started_at": claimed.due_at, **fields})
    after = observe(claimed.state, result.outcome, result.started_at, of_finished["policy"])
    return Finished(claimed=claimed, result=result, after=after, **of_finished)
