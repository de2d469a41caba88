"""What one probe costs: CPU microseconds, beside the floor of a bare protocol that asks the same server.

Run it as `.venv/bin/python benchmarks/probes.py [seconds]`. The server is a process of its own; CPU is user and system time of
this process. Each row is measured in turn, three times, and the least is printed: noise only ever adds.
"""

from __future__ import annotations

import asyncio
import os
import resource
import subprocess
import sys
import time
from collections.abc import Awaitable, Callable
from pathlib import Path

import uvloop

sys.path.insert(0, str(Path(__file__).resolve().parents[1]))

from checks.network import Resources
from checks.probe import ProbeContext, run
from checks.probes import KINDS, parse_spec
from checks.result import Outcome

CONCURRENCY = 20
REQUEST = b"GET / HTTP/1.1\r\nhost: 127.0.0.1\r\nconnection: close\r\n\r\n"


class Floor(asyncio.Protocol):
    """The least that asking can cost: connect, send, read one piece, drop."""

    def __init__(self) -> None:
        self.done = asyncio.get_running_loop().create_future()

    def connection_made(self, transport):
        self.transport = transport
        transport.write(REQUEST)

    def data_received(self, data):
        if not self.done.done():
            self.done.set_result(data)
        self.transport.abort()

    def connection_lost(self, exc):
        if not self.done.done():
            self.done.set_exception(exc or ConnectionError("closed"))


async def floor(port: int) -> None:
    _, protocol = await asyncio.get_running_loop().create_connection(Floor, "127.0.0.1", port)
    assert (await protocol.done).startswith(b"HTTP/1.1 200")


def probing(resources: Resources, **options) -> Callable[[int], Awaitable[None]]:
    """A probe with these options, `{port}` filled in; its specification is parsed once, as workers do."""
    known = {}

    async def once(port: int) -> None:
        spec = known.get(port)
        if spec is None:
            filled = {
                name: value.format(port=port) if isinstance(value, str) else value for name, value in options.items()
            }
            spec = known[port] = parse_spec({"name": "benchmark", **filled})
        result = await run(KINDS[spec.kind], spec, ProbeContext(resources=resources))
        assert result.outcome is Outcome.UP, result

    return once


async def cost(work: Callable[[int], Awaitable[None]], port: int, seconds: float) -> tuple[float, int]:
    """CPU microseconds a call, and how many calls there were."""
    count, until = 0, time.monotonic() + seconds

    async def repeat() -> None:
        nonlocal count
        while time.monotonic() < until:
            await work(port)
            count += 1

    before = resource.getrusage(resource.RUSAGE_SELF)
    await asyncio.gather(*(repeat() for _ in range(CONCURRENCY)))
    after = resource.getrusage(resource.RUSAGE_SELF)
    used = after.ru_utime + after.ru_stime - before.ru_utime - before.ru_stime
    return used / count * 1e6, count


async def measure(port: int, seconds: float) -> None:
    resources = Resources.open()
    rows = {
        "floor: a bare protocol": floor,
        "http, no expectation": probing(resources, kind="http", url="http://127.0.0.1:{port}/"),
        "http, by name": probing(resources, kind="http", url="http://localhost:{port}/"),
        "http, three expectations": probing(
            resources,
            kind="http",
            url="http://127.0.0.1:{port}/",
            expect=["status in 200-299", 'json $.status == "ok"', "latency < 30s"],
        ),
        "tcp": probing(resources, kind="tcp", address="127.0.0.1:{port}"),
    }
    try:
        for work in rows.values():
            await cost(work, port, 0.2)  # warm
        least = dict.fromkeys(rows, float("inf"))
        for _ in range(3):
            for name, work in rows.items():
                least[name] = min(least[name], (await cost(work, port, seconds))[0])
    finally:
        resources.close()
    print(f"{os.cpu_count()} cores, {CONCURRENCY} probes at a time, one process, uvloop")
    for name, micros in least.items():
        print(f"{name:<28} {micros:7.0f} us of CPU")


def main(seconds: float) -> None:
    command = [sys.executable, str(Path(__file__).with_name("loopback.py"))]
    with subprocess.Popen(command, stdout=subprocess.PIPE, text=True) as server:
        assert server.stdout is not None
        try:
            uvloop.run(measure(int(server.stdout.readline()), seconds))
        finally:
            server.terminate()


if __name__ == "__main__":
    main(float(sys.argv[1]) if len(sys.argv) > 1 else 2.0)
