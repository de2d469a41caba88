"""One result for people and for scripts: the verdict, where the time went, which expectations held, what was seen."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import Any, Literal

from checks import expect
from checks.evidence import hidden, secrets_of, without
from checks.result import PHASES, Observation, Result
from checks.spec import ProbedSpec
from checks.units import spoken_duration

WIDTH = 48  # characters of the longest bar
MOST_LINES = 20  # of a text


@dataclass(frozen=True, slots=True, kw_only=True)
class Verdict:
    """One expectation beside what was found. `found` is None where it was met."""

    line: str
    decides: Literal["down", "degraded"]  # what it makes of a monitor when it is not met
    found: str | None

    @property
    def met(self) -> bool:
        """Whether it was met."""
        return self.found is None


def verdicts(spec: ProbedSpec, seen: Observation, result: Result) -> list[Verdict]:
    """Every expectation of the monitor; none where the probe failed before it could be judged."""
    if seen.failure is not None:
        return []
    facts = {**seen.facts, **{phase: ns / 1e9 for phase, ns in result.phases.as_dict().items()}}
    if result.latency_ns is not None:
        facts["latency"] = result.latency_ns / 1e9
    secrets = secrets_of(spec, seen.secrets)
    found: list[Verdict] = []
    kinds: tuple[tuple[Literal["down", "degraded"], tuple[str, ...]], ...] = (
        ("down", spec.required),
        ("degraded", spec.desired),
    )
    for decides, lines in kinds:
        for line in lines:
            failure = expect.first_unmet((line,), spec.subjects, facts)
            said = None if failure is None else str(without(failure.found or failure.message, secrets))
            found.append(Verdict(line=line, decides=decides, found=said))
    return found


def as_json(result: Result, judged: Sequence[Verdict]) -> dict[str, Any]:
    """A result for scripts; durations in seconds."""
    return {
        "outcome": result.outcome.value,
        "started_at": result.started_at.isoformat(),
        "latency_seconds": None if result.latency_ns is None else result.latency_ns / 1e9,
        "phases_seconds": {name: ns / 1e9 for name, ns in result.phases.as_dict().items()},
        "failure": result.failure.as_dict() if result.failure else None,
        "expectations": [
            {"line": each.line, "decides": each.decides, "met": each.met, "found": each.found} for each in judged
        ],
        "evidence": result.evidence,
    }


def as_text(target: str, result: Result, judged: Sequence[Verdict]) -> Iterator[str]:
    """A result for people, line by line."""
    yield f"{result.outcome.value}: {hidden(target)}" + (f": {result.failure.message}" if result.failure else "")
    yield from _bars(result)
    for each in judged:
        sign, found = ("✓", "") if each.met else ("✗", f": got {each.found}")
        yield f"  {sign} {each.line}{'' if each.decides == 'down' else ' (or degraded)'}{found}"
    for name, value in result.evidence.items():
        yield from _evidence(name.replace("_", " "), value)


def _bars(result: Result) -> Iterator[str]:
    took, total, before = result.phases.as_dict(), result.phases.total(), 0
    for phase in (name for name in PHASES if name in took):
        start, end = (round(WIDTH * at / total) if total else 0 for at in (before, before + took[phase]))
        bar = " " * min(start, WIDTH - 1) + "█" * max(end - start, 1)
        yield f"  {phase.replace('_', ' '):<10} {spoken_duration(took[phase] / 1e9):>9}  {bar}"
        before += took[phase]
    if result.latency_ns is not None:
        yield f"  {'latency':<10} {spoken_duration(result.latency_ns / 1e9):>9}"


def _evidence(name: str, value: Any) -> Iterator[str]:
    if isinstance(value, list):
        rows = [": ".join(map(str, row)) if isinstance(row, list) else _inline(row) for row in value]
    elif isinstance(value, dict):
        rows = [f"{key.replace('_', ' ')}: {_inline(inner)}" for key, inner in value.items()]
    else:
        rows = str(value).splitlines()
    if len(rows) == 1:
        yield f"  {name}: {rows[0]}"
    elif rows:
        yield f"  {name}:"
        yield from (f"    {row}" for row in rows[:MOST_LINES])
        if len(rows) > MOST_LINES:
            yield f"    … {len(rows) - MOST_LINES} more lines"


def _inline(value: Any) -> str:
    if isinstance(value, dict):
        return " ".join(str(inner) for inner in value.values())
    return ", ".join(map(str, value)) if isinstance(value, list) else str(value)
