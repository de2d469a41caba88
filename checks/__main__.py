"""`python -m checks probe TARGET` asks once and shows where the time went; `python -m checks worker` is the worker."""

from __future__ import annotations

import json
import sys
from argparse import ArgumentParser
from collections.abc import Sequence

import uvloop

from checks import asking, probe, process, waterfall, worker_process
from checks.environment import EnvironmentProblem
from checks.network import Resources
from checks.probes import KINDS
from checks.result import Outcome, Result
from checks.spec import ProbedSpec


def main(argv: Sequence[str]) -> int:
    """Run a subcommand; its exit status."""
    if argv[:1] == ["worker"]:
        return worker_process.main(argv[1:])
    parser = ArgumentParser(prog="python -m checks", description=__doc__)
    commands = parser.add_subparsers(required=True, metavar="{probe,worker}")
    commands.add_parser("worker", help="probe the targets of one location; see worker --help", add_help=False)
    one = commands.add_parser(
        "probe",
        help="probe one target once",
        description="Probe one target once. Exit status 0 where it is up, 1 where it is not, 2 for a wrong command line.",
        epilog=f"Schemes that pick a kind: {', '.join(asking.SCHEMES)}.",
    )
    one.add_argument("target", help="https://shop.example.org/health, redis://10.0.0.5, mail.example.org:25, or a file")
    one.add_argument("--kind", choices=asking.probed_kinds(), help="by default what the scheme says, else tcp")
    one.add_argument("--monitor", metavar="SLUG", help="which monitor of the file")
    one.add_argument("--expect", action="append", metavar="LINE", help="an expectation, as in 'status in 200-299'")
    one.add_argument("--degraded", action="append", metavar="LINE", help="an expectation that makes it degraded")
    one.add_argument("--timeout", metavar="DURATION", help="the deadline over everything, as in 10s")
    one.add_argument("--option", action="append", metavar="NAME=VALUE", help="any other option of the kind")
    one.add_argument("--json", action="store_true", help="the result as JSON")
    arguments = parser.parse_args(argv)
    try:
        spec = asking.read(arguments)
    except asking.WrongUsage as exc:
        one.error(str(exc))
    try:
        context, result = uvloop.run(_probe(spec))
    except EnvironmentProblem as exc:
        sys.stderr.write(f"{exc}\n")
        return process.WRONG_CONFIGURATION
    judged = waterfall.verdicts(spec, context.seen, result)
    if arguments.json:
        print(json.dumps(waterfall.as_json(result, judged), indent=2))
    else:
        print("\n".join(waterfall.as_text(arguments.target, result, judged)))
    return 0 if result.outcome is Outcome.UP else 1


async def _probe(spec: ProbedSpec) -> tuple[probe.ProbeContext, Result]:
    context = probe.ProbeContext(resources=Resources.open(), explain=True)
    try:
        return context, await probe.run(KINDS[spec.kind], spec, context)
    finally:
        context.resources.close()


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
