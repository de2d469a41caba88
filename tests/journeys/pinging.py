"""Jobs that report to a running installation, as fast and from where a story wants it."""

from __future__ import annotations

import http.client
import threading
import time
from collections import Counter
from collections.abc import Iterator
from contextlib import contextmanager
from functools import cache

from tests.journeys.stack import Stack


class Client:
    """A client of its own address, as far as the server can tell: all of 127.0.0.0/8 is this machine."""

    def __init__(self, stack: Stack, source: str = "127.0.0.1") -> None:
        self._to, self._source = ("127.0.0.1", stack.port), source
        self._connection: http.client.HTTPConnection | None = None

    def ask(self, path: str, method: str = "GET", body: bytes | None = None) -> int:
        """The status of the answer; 0 where there was none."""
        try:
            if self._connection is None:
                self._connection = http.client.HTTPConnection(*self._to, timeout=40, source_address=(self._source, 0))
            self._connection.request(method, path, body)
            answer = self._connection.getresponse()
            answer.read()
        except (OSError, http.client.HTTPException):
            self.close()
            return 0
        return answer.status

    def close(self) -> None:
        if self._connection is not None:
            self._connection.close()
            self._connection = None


class Pinger(threading.Thread):
    """Jobs that report in turn, so many of them a second. What was not answered 200 is told; nobody waits."""

    def __init__(self, stack: Stack, *paths: str, per_second: float, source: str = "127.0.0.1") -> None:
        super().__init__(daemon=True)
        self.answers: Counter[int] = Counter()
        self.took: list[float] = []  # seconds, of those that were answered
        self._client, self._paths, self._pause = Client(stack, source), paths, 1 / per_second
        self._end = threading.Event()

    def run(self) -> None:
        due, turn = time.monotonic(), 0
        while not self._end.wait(max(0.0, due - time.monotonic())):
            begun, turn = time.monotonic(), turn + 1
            status = self._client.ask(self._paths[turn % len(self._paths)])
            self.answers[status] += 1
            if status:
                self.took.append(time.monotonic() - begun)
            due = max(due + self._pause, time.monotonic() - 1.0)
        self._client.close()

    def stop(self) -> None:
        """Report no more."""
        self._end.set()
        self.join(20)


@contextmanager
def pinging(*pingers: Pinger) -> Iterator[None]:
    """While the block runs, they report."""
    for pinger in pingers:
        pinger.start()
    try:
        yield
    finally:
        for pinger in pingers:
            pinger.stop()


@cache
def paths_of(stack: Stack) -> dict[str, str]:
    """The path of the ping of each heartbeat, by its slug."""
    urls = {slug: monitor["ping_url"] for slug, monitor in stack.monitors().items()}
    return {slug: str(url).removeprefix(stack.address) for slug, url in urls.items() if url}


def stored(stack: Stack, slug: str) -> tuple[int, int]:
    """Rows of a heartbeat, and the pings that they stand for."""
    (row,) = stack.query(
        "SELECT count(*) AS n, coalesce(sum(count), 0) AS heard FROM ping JOIN monitor_state USING (monitor)"
        f" WHERE slug = '{slug}'",
        store=True,
    )
    return int(row["n"]), int(row["heard"])
