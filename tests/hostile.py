"""Targets that mean no good, in a process of their own: `python -m tests.hostile` prints the ports of four servers.

A web server whose path says what it does, one that accepts and hangs, one that resets, and one that speaks nonsense.
"""

from __future__ import annotations

import asyncio
import gzip
import itertools
import socket
import struct
import subprocess
import sys
from collections.abc import AsyncIterator, Callable, Iterator
from contextlib import AbstractContextManager, contextmanager
from pathlib import Path
from typing import Any

import brotli
import uvloop
from backports import zstd

ROOT = Path(__file__).resolve().parents[1]
OK = b"HTTP/1.1 200 OK\r\n"
_ZEROS = bytes(32 * 1024 * 1024)

Behaviour = Callable[[], AsyncIterator[bytes]]


def says(*pieces: bytes) -> Behaviour:
    """Sends this and closes."""

    async def behave() -> AsyncIterator[bytes]:
        for piece in pieces:
            yield piece

    return behave


def for_ever(start: bytes, piece: bytes, pause: float = 0.0) -> Behaviour:
    """Begins, and never ends."""

    async def behave() -> AsyncIterator[bytes]:
        yield start
        while True:
            await asyncio.sleep(pause)
            yield piece

    return behave


def encoded(name: bytes, body: bytes) -> Behaviour:
    return says(OK + b"Content-Encoding: " + name + b"\r\nContent-Length: %d\r\n\r\n" % len(body), body)


def redirects(location: bytes) -> Behaviour:
    return says(b"HTTP/1.1 302 Found\r\nContent-Length: 0\r\nLocation: " + location + b"\r\n\r\n")


def whole(body: bytes) -> Behaviour:
    return says(OK + b"Content-Length: %d\r\n\r\n" % len(body), body)


BEHAVIOURS: dict[str, Behaviour] = {
    "never-answers": for_ever(b"", b"", 3600),
    "drips": for_ever(OK + b"Content-Length: 1000000\r\n\r\n", b"x", 1.0),
    "drips-its-head": for_ever(b"HTTP", b"/", 1.0),
    "endless-headers": for_ever(OK, b"X-Endless: on and on\r\n" * 100),
    "endless-header": for_ever(OK + b"X: ", b"x" * 4096),
    "100000-headers": says(OK, *[b"".join(b"X-%d: 1\r\n" % n for n in range(100_000))], b"\r\n"),
    "endless-body": for_ever(OK + b"\r\n", b"x" * 65536),
    "endless-chunks": for_ever(OK + b"Transfer-Encoding: chunked\r\n\r\n", b"1\r\nx\r\n" * 1000),
    "endless-informational": for_ever(b"", b"HTTP/1.1 103 Early Hints\r\n\r\n" * 10),
    "short-body": says(OK + b"Content-Length: 1000\r\n\r\nshort"),
    "long-body": says(OK + b"Content-Length: 2\r\n\r\nmuch longer"),
    "bad-chunks": says(OK + b"Transfer-Encoding: chunked\r\n\r\nZZ\r\nx\r\n"),
    "gzip-bomb": encoded(b"gzip", gzip.compress(_ZEROS)),
    "brotli-bomb": encoded(b"br", brotli.compress(_ZEROS, quality=5)),
    "zstd-bomb": encoded(b"zstd", zstd.compress(_ZEROS)),
    "not-gzip": encoded(b"gzip", b"this is none"),
    "redirect-loop": redirects(b"redirect-loop"),
    "redirect-to-a-file": redirects(b"file:///etc/passwd"),
    "redirect-to-metadata": redirects(b"http://169.254.169.254/latest/"),
    "no-status": says(b"HTTP/1.1 abc\r\n\r\n"),
    "no-http": says(b"SSH-2.0-OpenSSH_9.2\r\n"),
    "not-utf-8": whole(b"\xff\xfe\x00\x80 status \xed\xa0\x80"),
    "deep-json": whole(b"[" * 10_000 + b"]" * 10_000),
    "long-json": whole(b'{"status": "' + b"x" * 5_000_000 + b'"}'),
    "explosive-text": whole(b"a" * 500_000 + b"!"),
}
# What is asked of a body, so that it is not enough to read it.
EXPECT = {
    "not-utf-8": ['body contains "ok"'],
    "deep-json": ['json $..status == "ok"'],
    "long-json": ['json $.status == "ok"'],
    "explosive-text": ['body matches "(a+)+$"'],
}


def hostile_monitors(ports: list[int], number: int, timeout: str) -> Iterator[dict[str, Any]]:
    """The options of so many monitors of these servers, each of another sort of trouble than the one before."""
    sorts: list[dict[str, Any]] = [
        {"url": f"http://127.0.0.1:{ports[0]}/{name}", "expect": EXPECT.get(name, [])} for name in BEHAVIOURS
    ]
    sorts += [{"url": f"{scheme}://127.0.0.1:{port}/"} for scheme in ("http", "https") for port in ports[1:]]
    for options in itertools.islice(itertools.cycle(sorts), number):
        yield {"kind": "http", "timeout": timeout, **options}


def hostile() -> AbstractContextManager[list[int]]:
    """The ports of the four servers, while the block runs."""
    return _serving("-m", "tests.hostile")


def healthy() -> AbstractContextManager[list[int]]:
    """The port of a web server in another process that answers at once, while the block runs."""
    return _serving("benchmarks/loopback.py")


@contextmanager
def _serving(*arguments: str) -> Iterator[list[int]]:
    command = [sys.executable, *arguments]
    with subprocess.Popen(command, cwd=ROOT, stdout=subprocess.PIPE, text=True) as server:
        assert server.stdout is not None
        try:
            yield [int(port) for port in server.stdout.readline().split()]
        finally:
            server.kill()


async def _serve_web(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
    try:
        head = await reader.readuntil(b"\r\n\r\n")
        name = head.split(b" ")[1].decode().strip("/")
        async for piece in BEHAVIOURS[name]():
            writer.write(piece)
            await writer.drain()
    except (OSError, RuntimeError, asyncio.IncompleteReadError):
        pass  # whoever asked is gone, or sent nothing
    finally:
        writer.close()


async def _hang(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
    while await reader.read(65536):
        pass
    writer.close()


async def _reset(_: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
    writer.get_extra_info("socket").setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
    writer.transport.abort()


async def _babble(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
    await reader.read(1)
    writer.write(bytes(range(255, -1, -1)) * 16)
    writer.close()


async def _main() -> None:
    servers = [
        await asyncio.start_server(serve, "127.0.0.1", 0, backlog=1024)
        for serve in (_serve_web, _hang, _reset, _babble)
    ]
    print(*(server.sockets[0].getsockname()[1] for server in servers), flush=True)
    await asyncio.Event().wait()


if __name__ == "__main__":
    uvloop.run(_main())
