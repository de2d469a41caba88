"""Whether latencies stay true under load: what the worker recorded, beside what the server itself logged.

    python benchmarks/truth.py [--rate 1000] [--delay 0.05] [--seconds 30]

The server answers so long after the request came, and logs how long it really took. Our latency has the connection and
both ways on top.
"""

from __future__ import annotations

import argparse
import os
import sys
import time
from pathlib import Path

sys.path.insert(0, str(Path(__file__).parent))

import rig

from checks import clock
from checks.store.schema import result

WITHIN = {50: 0.001, 99: 0.005}  # seconds


def measure(rate: int, interval: int, delay: float, seconds: float) -> bool:
    """Print both distributions; whether ours is near enough to the server's."""
    with rig.asked("--delay", str(delay)) as port, rig.store("sqlite") as (url, engine):
        rig.watch(
            engine,
            [
                {"kind": "http", "url": f"http://127.0.0.1:{port}/{number}", "interval": f"{interval}s"}
                for number in range(rate * interval)
            ],
        )
        with rig.working(url):
            rig.wait_until_probed(engine, 60 + 3 * interval)
            time.sleep(interval)
            rig.ask(port, "/times")
            begun = clock.utcnow()
            time.sleep(seconds)
            ended, logged = clock.utcnow(), rig.ask(port, "/times")
        rows = rig.results(engine, begun, ended, result.c.latency_ns, result.c.first_byte_ns)
    ours = [row.latency_ns / 1e9 for row in rows]
    print(f"{rate * interval} http monitors every {interval} s, {len(rows)} probes in {seconds:g} s")
    print(rig.spoken("logged by the server", logged, "ms", 1e3))
    print(rig.spoken("recorded: until first byte", [row.first_byte_ns / 1e9 for row in rows], "ms", 1e3))
    print(rig.spoken("recorded: latency", ours, "ms", 1e3))
    apart = {percent: rig.share(ours, percent) - rig.share(logged, percent) for percent in WITHIN}
    print("  apart                        " + ", ".join(f"p{p} {by * 1e3:.2f} ms" for p, by in apart.items()))
    return all(abs(apart[percent]) <= most for percent, most in WITHIN.items())


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--rate", type=int, default=1000, help="probes a second")
    parser.add_argument("--interval", type=int, default=10, help="seconds")
    parser.add_argument("--delay", type=float, default=0.05, help="seconds until the server answers")
    parser.add_argument("--seconds", type=float, default=30)
    options = parser.parse_args()
    print(f"{os.cpu_count()} cores, load {os.getloadavg()[0]:.1f}")
    if not measure(options.rate, options.interval, options.delay, options.seconds):
        print("FAILED: the latencies are not those of the server", file=sys.stderr)
        return 1
    return 0


if __name__ == "__main__":
    sys.exit(main())
