"""Workers and notifiers over one PostgreSQL that are killed, stopped, cut off and restarted, for minutes; then the books.

    python benchmarks/chaos.py [--minutes 10] [--monitors 1000] [--workers 4] [--notifiers 2] [--seed TEXT]

The targets go up and down by a script; what the store says of them must be that script, and nothing else. Fails, and says
what does not balance, where a transition was lost or invented, a target was said to be down that was up, a due time was
probed more often than something happened, or a target was not probed again within 30 seconds.
"""

from __future__ import annotations

import argparse
import os
import sys
import tempfile
import time
from collections import Counter
from pathlib import Path

sys.path.insert(0, str(Path(__file__).resolve().parents[1]))

from tests.crash.books import Books
from tests.crash.storm import INTERVAL, LEASE, Storm


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--minutes", type=float, default=10)
    parser.add_argument("--monitors", type=int, default=1000)
    parser.add_argument("--workers", type=int, default=4)
    parser.add_argument("--notifiers", type=int, default=2)
    parser.add_argument("--seed", default="", help="repeats a storm, as far as processes can be repeated")
    options = parser.parse_args()
    seed = options.seed or f"{time.time_ns():x}"
    print(
        f"{options.monitors} monitors every {INTERVAL} s, {options.workers} workers, {options.notifiers} notifiers, leases"
        f" of {LEASE} s, {options.minutes:g} minutes, seed {seed}; {os.cpu_count()} cores, load {os.getloadavg()[0]:.1f}",
        flush=True,
    )
    with tempfile.TemporaryDirectory(prefix="stillup-chaos-") as directory:
        with Storm(
            Path(directory),
            monitors=options.monitors,
            seconds=60 * options.minutes,
            workers=options.workers,
            notifiers=options.notifiers,
            seed=seed,
        ) as storm:
            storm.rage()
            books = Books(storm)
        if any(storm.statuses):
            books.faults.append(f"processes ended with {storm.statuses}")
        done = Counter(disruption.name for disruption in storm.disruptions)
        print("\n".join(f"  {name:<40} {count}" for name, count in sorted(done.items())))
        print("\n".join(f"  {name:<40} {figure}" for name, figure in books.figures.items()))
        print(f"  {'processes that ended':<40} {dict(storm.fleet.exits)}")
        for log in sorted(Path(directory).glob("*-*.log")):
            print(
                "".join(f"  {log.stem}: {line}\n" for line in log.read_text().splitlines() if " CRITICAL " in line),
                end="",
            )
        if books.faults:
            for fault in books.faults[:20]:
                print(f"FAILED: {fault}", file=sys.stderr)
            for log in sorted(Path(directory).glob("*-*.log")):
                print(f"--- {log.name}\n{log.read_text()[-1500:]}", file=sys.stderr)
    return 1 if books.faults else 0


if __name__ == "__main__":
    sys.exit(main())
