"""Targets that go up and down by a script that everybody can compute: a web server in a process of its own.

    python -m tests.crash.scripted SEED LOG

All are up until it is told, by a line BEGIN END, when the script begins and ends.
`GET /n` answers 200 where target n is up at that instant, else 503; each request is a line of the log: n, when, up or not.
"""

from __future__ import annotations

import asyncio
import random
import sys
import time
from bisect import bisect_right
from itertools import pairwise
from pathlib import Path
from typing import NamedTuple, cast

import uvloop

SHORTEST, LONGEST = 70.0, 150.0  # seconds: longer than any trouble of ours, so that no phase can pass unseen
FLUSHED = 0.2  # seconds from a request until it is in the log


class Script:
    """When each target goes down and comes up, in seconds since 1970. All are up before `begin` and after `end`."""

    def __init__(self, seed: str, begin: float, end: float) -> None:
        self._seed, self._begin, self._end = seed, begin, end
        self._flips: dict[int, list[float]] = {}

    def flips(self, number: int) -> list[float]:
        """The instants at which it changes: down with the first, up with the second, and so on."""
        if number not in self._flips:
            dice = random.Random(f"{self._seed}-{number}")
            instants = [self._begin + dice.uniform(0, LONGEST)]
            while instants[-1] < self._end:
                instants.append(instants[-1] + dice.uniform(SHORTEST, LONGEST))
            inside = [instant for instant in instants if instant < self._end]
            self._flips[number] = inside[: len(inside) // 2 * 2]  # what went down comes up again
        return self._flips[number]

    def is_up(self, number: int, at: float) -> bool:
        return bisect_right(self.flips(number), at) % 2 == 0

    def downs(self, number: int) -> list[tuple[float, float]]:
        """From when to when it is down."""
        flips = self.flips(number)
        return [pair for index, pair in enumerate(pairwise(flips)) if index % 2 == 0]


class Request(NamedTuple):
    """A request as the server saw it."""

    number: int
    at: float
    is_up: bool


def read_log(path: Path) -> list[Request]:
    """What the server saw, by time."""
    lines = (line.split() for line in path.read_text().splitlines())
    return sorted((Request(int(n), float(at), up == "1") for n, at, up in lines), key=lambda request: request.at)


class Answer(asyncio.Protocol):
    """One connection."""

    script: Script
    log: list[str] = []

    def __init__(self) -> None:
        self.seen = b""

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        self.transport = cast("asyncio.Transport", transport)  # uvloop's is no subclass of asyncio's

    def data_received(self, data: bytes) -> None:
        self.seen += data
        if b"\r\n\r\n" not in self.seen:
            return
        number, now = int(self.seen.split(b" ", 2)[1].strip(b"/")), time.time()
        is_up = self.script.is_up(number, now)
        Answer.log.append(f"{number} {now:.6f} {is_up:d}")
        status = b"200 OK" if is_up else b"503 Service Unavailable"
        self.transport.write(b"HTTP/1.1 " + status + b"\r\nContent-Length: 2\r\nConnection: close\r\n\r\nok")
        self.transport.close()


async def begin_when_told(seed: str) -> None:
    line = await asyncio.get_running_loop().run_in_executor(None, sys.stdin.readline)
    begin, end = map(float, line.split())
    Answer.script = Script(seed, begin, end)


async def main(seed: str, path: Path) -> None:
    Answer.script = Script(seed, float("inf"), float("inf"))
    told = asyncio.create_task(begin_when_told(seed))
    server = await asyncio.get_running_loop().create_server(Answer, "127.0.0.1", 0, backlog=4096)
    print(server.sockets[0].getsockname()[1], flush=True)
    with path.open("a") as file:
        while True:
            await asyncio.sleep(FLUSHED)
            lines, Answer.log = Answer.log, []
            file.writelines(f"{line}\n" for line in lines)
            file.flush()
            if told.done():
                told.result()  # raises what went wrong with it


if __name__ == "__main__":
    _, given_seed, given_path = sys.argv
    uvloop.run(main(given_seed, Path(given_path)))
