"""`python -m checks probe TARGET` asks once and shows where the time went; `python -m checks worker` is the worker."""

from __future__ import annotations

import json
import sys
from argparse import ArgumentParser, Namespace
from collections.abc import Sequence
from typing import Any, cast

import uvloop
from pydantic import ValidationError

from checks import probe, process, worker_process
from checks.environment import EnvironmentProblem
from checks.network import Resources
from checks.probes import KINDS, parse_spec, spec_class
from checks.result import PHASES, Outcome, Result
from checks.spec import ProbedSpec
from checks.units import spoken_duration

WIDTH = 48  # characters of the longest bar


def main(argv: Sequence[str]) -> int:
    """Run a subcommand; its exit status."""
    if argv[:1] == ["worker"]:
        return worker_process.main(argv[1:])
    parser = ArgumentParser(prog="python -m checks", description=__doc__)
    commands = parser.add_subparsers(required=True, metavar="{probe,worker}")
    commands.add_parser("worker", help="probe the targets of one location; see worker --help", add_help=False)
    one = commands.add_parser(
        "probe", help="probe one target once", description="Exit status 0 where it is up, else 1."
    )
    one.add_argument("target", help="https://shop.example.org/health, or mail.example.org:25")
    one.add_argument("--kind", choices=_kinds(), help="by default http for an address with ://, else tcp")
    one.add_argument("--expect", action="append", metavar="LINE", help="an expectation, as in 'status in 200-299'")
    one.add_argument("--degraded", action="append", metavar="LINE", help="an expectation that makes it degraded")
    one.add_argument("--timeout", metavar="DURATION", help="the deadline over everything, as in 10s")
    one.add_argument("--option", action="append", metavar="NAME=VALUE", help="any other option of the kind")
    one.add_argument("--json", action="store_true", help="the result as JSON")
    arguments = parser.parse_args(argv)
    try:
        spec = _read_spec(arguments)
    except ValueError as exc:
        parser.error(_spoken(exc))
    try:
        result = uvloop.run(_probe(spec))
    except EnvironmentProblem as exc:
        sys.stderr.write(f"{exc}\n")
        return process.WRONG_CONFIGURATION
    print(json.dumps(as_json(result), indent=2) if arguments.json else "\n".join(as_text(arguments.target, result)))
    return 0 if result.outcome is Outcome.UP else 1


def _kinds() -> list[str]:
    return [name for name, kind in KINDS.items() if issubclass(kind.spec, ProbedSpec)]


def _read_spec(arguments: Namespace) -> ProbedSpec:
    kind = arguments.kind or ("http" if "://" in arguments.target else "tcp")
    target_option = cast("type[ProbedSpec]", spec_class(kind)).target_option
    data: dict[str, Any] = {"kind": kind, "name": "probe", target_option: arguments.target}
    data |= {name: value for name in ("expect", "degraded", "timeout") if (value := getattr(arguments, name))}
    for option in arguments.option or ():
        name, equals, value = option.partition("=")
        if not equals:
            raise ValueError(f"--option {option}: write NAME=VALUE, as in method=HEAD")
        try:
            data[name] = json.loads(value)
        except ValueError:
            data[name] = value
    return cast("ProbedSpec", parse_spec(data))


def _spoken(exc: ValueError) -> str:
    if not isinstance(exc, ValidationError):
        return str(exc)
    problems = exc.errors(include_url=False, include_input=False)
    return "; ".join(
        f"{'.'.join(map(str, p['loc']))} {p['msg'].removeprefix('Value error, ')}".strip() for p in problems
    )


async def _probe(spec: ProbedSpec) -> Result:
    resources = Resources.open()
    try:
        return await probe.run(KINDS[spec.kind], spec, probe.ProbeContext(resources=resources, explain=True))
    finally:
        resources.close()


def as_json(result: Result) -> dict[str, Any]:
    """A result for scripts; durations in seconds."""
    return {
        "outcome": result.outcome.value,
        "started_at": result.started_at.isoformat(),
        "latency_seconds": None if result.latency_ns is None else result.latency_ns / 1e9,
        "phases_seconds": {name: ns / 1e9 for name, ns in result.phases.as_dict().items()},
        "failure": result.failure.as_dict() if result.failure else None,
        "evidence": result.evidence,
    }


def as_text(target: str, result: Result) -> list[str]:
    """A result for people: the verdict, where the time went, what was seen."""
    lines = [f"{result.outcome.value}: {target}" + (f": {result.failure.message}" if result.failure else "")]
    took, total, before = result.phases.as_dict(), result.phases.total(), 0
    for phase in (name for name in PHASES if name in took):
        start, end = (round(WIDTH * at / total) if total else 0 for at in (before, before + took[phase]))
        bar = " " * start + "█" * max(end - start, 1)
        lines.append(f"  {phase.replace('_', ' '):<10} {spoken_duration(took[phase] / 1e9):>9}  {bar}")
        before += took[phase]
    if result.latency_ns is not None:
        lines.append(f"  {'latency':<10} {spoken_duration(result.latency_ns / 1e9):>9}")
    for name, value in result.evidence.items():
        lines += _evidence(name.replace("_", " "), value)
    return lines


def _evidence(name: str, value: Any) -> list[str]:
    if isinstance(value, list):
        rows = [": ".join(map(str, row)) if isinstance(row, list) else _inline(row) for row in value]
    elif isinstance(value, dict):
        rows = [f"{key.replace('_', ' ')}: {_inline(inner)}" for key, inner in value.items()]
    else:
        rows = str(value).splitlines()[:20]
    return [f"  {name}: {rows[0]}"] if len(rows) == 1 else [f"  {name}:", *(f"    {row}" for row in rows)]


def _inline(value: Any) -> str:
    if isinstance(value, dict):
        return " ".join(str(inner) for inner in value.values())
    return ", ".join(map(str, value)) if isinstance(value, list) else str(value)


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
