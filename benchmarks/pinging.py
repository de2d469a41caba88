"""The load of `benchmarks/pings.py`: pings over kept connections, the codes from standard input, what came back as JSON.

python benchmarks/pinging.py PORT METHOD CONNECTIONS SECONDS < codes
"""

from __future__ import annotations

import asyncio
import json
import random
import sys
import time
from collections import Counter

import uvloop

BODY = b"x" * 100


class Client(asyncio.Protocol):
    """One connection that sends a ping when the one before is answered."""

    def __init__(self, load: Load) -> None:
        self.load = load
        self.sent_at = 0.0

    def connection_made(self, transport):
        self.transport = transport
        self.send()

    def send(self):
        self.sent_at = time.perf_counter()
        if self.load.is_over(self.sent_at):
            self.transport.close()
            return
        self.transport.write(self.load.request())

    def data_received(self, data):
        # Answers are a few hundred bytes: they come in one piece.
        self.load.latencies.append(time.perf_counter() - self.sent_at)
        self.load.statuses[data[9:12].decode()] += 1
        self.send()

    def connection_lost(self, exc):
        self.load.left -= 1
        if exc is not None:
            self.load.statuses[type(exc).__name__] += 1
        if not self.load.left:
            self.load.done.set_result(None)


class Load:
    """What all connections share."""

    def __init__(self, codes: list[str], method: str, connections: int, seconds: float) -> None:
        body = BODY if method == "POST" else b""
        length = f"content-length: {len(body)}\r\n" if body else ""
        self.requests = [
            f"{method} /ping/{code} HTTP/1.1\r\nhost: 127.0.0.1\r\n{length}\r\n".encode() + body for code in codes
        ]
        random.shuffle(self.requests)
        self.next = 0
        self.left = connections
        self.until = time.perf_counter() + seconds if seconds else 0.0
        self.latencies: list[float] = []
        self.statuses: Counter[str] = Counter()
        self.done = asyncio.get_running_loop().create_future()

    def is_over(self, now: float) -> bool:
        """Whether enough was sent: in time, or each once where no time is given."""
        return now >= self.until if self.until else self.next >= len(self.requests)

    def request(self) -> bytes:
        self.next += 1
        return self.requests[self.next % len(self.requests)]


async def main(port: int, method: str, connections: int, seconds: float) -> None:
    load = Load(sys.stdin.read().split(), method, connections, seconds)
    began = time.perf_counter()
    for _ in range(connections):
        await asyncio.get_running_loop().create_connection(lambda: Client(load), "127.0.0.1", port)
    await load.done
    print(json.dumps({"seconds": time.perf_counter() - began, "statuses": load.statuses, "latencies": load.latencies}))


if __name__ == "__main__":
    uvloop.run(main(int(sys.argv[1]), sys.argv[2], int(sys.argv[3]), float(sys.argv[4])))
