"""The floor of `benchmarks/pings.py`: an ASGI application on granian that stores a row a request, many in one commit.

python benchmarks/bare_pings.py PORT FILE, ended by SIGTERM. It knows no monitors and judges nothing.
"""

from __future__ import annotations

import asyncio
import queue
import sqlite3
import sys
import threading
import time
from collections.abc import Sequence
from contextlib import suppress
from typing import Any

import uvloop
from granian.constants import HTTPModes, Interfaces
from granian.server.embed import Server

_OK = (
    {
        "type": "http.response.start",
        "status": 200,
        "headers": [(b"content-type", b"text/plain"), (b"content-length", b"2")],
    },
    {"type": "http.response.body", "body": b"OK"},
)


class Floor:
    """The application. A thread commits what has arrived, and what arrives meanwhile shares the next commit."""

    def __init__(self, path: str) -> None:
        self._path = path
        self._waiting: queue.SimpleQueue[tuple[Sequence[Any], asyncio.Future[None]]] = queue.SimpleQueue()

    async def __call__(self, scope: Any, receive: Any, send: Any) -> None:
        if scope["type"] == "lifespan":
            await receive()
            threading.Thread(target=self._commit, args=(asyncio.get_running_loop(),), daemon=True).start()
            await send({"type": "lifespan.startup.complete"})
            await receive()
            await send({"type": "lifespan.shutdown.complete"})
            return
        body = (await receive()).get("body", b"") if scope["method"] == "POST" else b""
        stored = asyncio.get_running_loop().create_future()
        self._waiting.put(((scope["path"], time.time_ns() // 1000, body), stored))
        await stored
        for message in _OK:
            await send(message)

    def _commit(self, loop: asyncio.AbstractEventLoop) -> None:
        connection = sqlite3.connect(self._path, isolation_level=None)
        connection.execute("PRAGMA journal_mode=WAL")
        connection.execute("PRAGMA synchronous=FULL")
        connection.execute("CREATE TABLE ping (id INTEGER PRIMARY KEY, path TEXT, received_at INTEGER, body BLOB)")
        while True:
            batch = [self._waiting.get()]
            with suppress(queue.Empty):
                while True:
                    batch.append(self._waiting.get_nowait())
            connection.execute("BEGIN IMMEDIATE")
            connection.executemany(
                "INSERT INTO ping (path, received_at, body) VALUES (?, ?, ?)", [row for row, _ in batch]
            )
            connection.execute("COMMIT")
            loop.call_soon_threadsafe(_answer, [stored for _, stored in batch])


def _answer(stored: Sequence[asyncio.Future[None]]) -> None:
    for each in stored:
        if not each.done():
            each.set_result(None)


async def serve(port: int, path: str) -> None:
    server = Server(
        Floor(path),
        address="127.0.0.1",
        port=port,
        interface=Interfaces.ASGI,
        http=HTTPModes.http1,
        websockets=False,
        runtime_blocking_threads=1,
        log_enabled=False,
    )
    await server.serve()


if __name__ == "__main__":
    uvloop.run(serve(int(sys.argv[1]), sys.argv[2]))
