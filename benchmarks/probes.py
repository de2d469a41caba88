"""What one probe costs: CPU microseconds, beside the floors of bare protocols that ask the same servers.

    python benchmarks/probes.py [seconds]

The servers are processes of their own; CPU is user and system time of this process, whose garbage collector is set as
workers set theirs. The rows take turns, a quarter of a second each, and the least is printed: noise only ever adds.
"""

from __future__ import annotations

import asyncio
import gc
import os
import ssl
import sys
import tempfile
import time
from collections.abc import Awaitable, Callable
from dataclasses import dataclass
from pathlib import Path

import trustme
import uvloop

sys.path.insert(0, str(Path(__file__).resolve().parent))

import rig

from checks.network import Resources
from checks.probe import ProbeContext, run
from checks.probes import KINDS, parse_spec
from checks.process import leave_loaded_alone
from checks.result import Outcome
from checks.worker_process import COLLECT_EVERY

CONCURRENCY = 20
TURN = 0.25  # seconds
REQUEST = b"GET / HTTP/1.1\r\nhost: 127.0.0.1\r\nconnection: close\r\n\r\n"

Once = Callable[[], Awaitable[None]]


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


def floor(port: int, context: ssl.SSLContext | None = None) -> Once:
    async def once() -> None:
        loop = asyncio.get_running_loop()
        _, protocol = await loop.create_connection(Floor, "127.0.0.1", port, ssl=context)
        assert (await protocol.done).startswith(b"HTTP/1.1 200")

    return once


def probing(resources: Resources, **options) -> Once:
    """A probe with these options; its specification is parsed once, as workers do."""
    spec = parse_spec({"name": "benchmark", **options})

    async def once() -> None:
        result = await run(KINDS[spec.kind], spec, ProbeContext(resources=resources))
        assert result.outcome is Outcome.UP, result

    return once


async def cost(work: Once, seconds: float) -> float:
    """CPU microseconds a call."""
    count, until = 0, time.monotonic() + seconds

    async def repeat() -> None:
        nonlocal count
        while time.monotonic() < until:
            await work()
            count += 1

    before = time.process_time()
    await asyncio.gather(*(repeat() for _ in range(CONCURRENCY)))
    return (time.process_time() - before) / count * 1e6


@dataclass(frozen=True)
class Row:
    """One line of the table, held against the floor of its sort."""

    name: str
    work: Once
    floor: str = ""


def rows(port: int, tls_port: int, ca: trustme.CA, resources: Resources) -> list[Row]:
    plain, secured = f"http://127.0.0.1:{port}/", f"https://127.0.0.1:{tls_port}/"
    trusting = ssl.create_default_context()
    ca.configure_trust(trusting)
    expect = ["status in 200-299", 'json $.status == "ok"', "latency < 30s"]
    clear, over_tls = "floor: a bare protocol", "floor: a bare protocol over TLS"
    return [
        Row(clear, floor(port)),
        Row("http", probing(resources, kind="http", url=plain), clear),
        Row("http, by name", probing(resources, kind="http", url=plain.replace("127.0.0.1", "localhost")), clear),
        Row("http, three expectations", probing(resources, kind="http", url=plain, expect=expect), clear),
        Row("tcp", probing(resources, kind="tcp", address=f"127.0.0.1:{port}"), clear),
        Row(over_tls, floor(tls_port, trusting)),
        Row("http over TLS", probing(resources, kind="http", url=secured, ca=ca.cert_pem.bytes().decode()), over_tls),
    ]


async def measure(port: int, tls_port: int, ca: trustme.CA, seconds: float) -> None:
    resources = Resources.open()
    table = rows(port, tls_port, ca, resources)
    least = {row.name: float("inf") for row in table}
    try:
        for _ in range(max(2, round(seconds / TURN))):
            for row in table:
                least[row.name] = min(least[row.name], await cost(row.work, TURN))
    finally:
        resources.close()
    print(f"{os.cpu_count()} cores, {CONCURRENCY} probes at a time, one process, uvloop")
    for row in table:
        beside = f"  {least[row.name] / least[row.floor]:.2f} x its floor" if row.floor else ""
        print(f"{row.name:<32} {least[row.name]:7.0f} us of CPU{beside}")


def main(seconds: float) -> None:
    ca = trustme.CA()
    certificate = ca.issue_cert("localhost", "127.0.0.1")
    with tempfile.TemporaryDirectory(prefix="stillup-bench-") as directory:
        certificate.private_key_pem.write_to_path(str(Path(directory) / "key.pem"))
        for pem in certificate.cert_chain_pems:
            pem.write_to_path(str(Path(directory) / "chain.pem"), append=True)
        leave_loaded_alone()
        gc.set_threshold(COLLECT_EVERY)
        with rig.asked() as port, rig.asked("--tls", directory) as tls_port:
            uvloop.run(measure(port, tls_port, ca, seconds))


if __name__ == "__main__":
    main(float(sys.argv[1]) if len(sys.argv) > 1 else 3.0)
