"""A web server in a process of its own that answers after a set time and counts.

`GET /count` says how many it answered, `GET /times` after how many seconds each was answered, since it was last asked:
from the arrival of the request by the kernel's stamp, so that a server that was busy itself knows how long it really took.
With a directory of `key.pem` and `chain.pem` it speaks TLS.

    python benchmarks/loopback.py [--delay SECONDS] [--tls DIRECTORY]
"""

from __future__ import annotations

import argparse
import asyncio
import json
import socket
import ssl
import sys
import time
from pathlib import Path
from typing import cast

import uvloop

sys.path.insert(0, str(Path(__file__).resolve().parents[1]))

from checks.network.stamps import ROOM, ask_for_stamps, stamp_of


class Answer(asyncio.Protocol):
    """One connection."""

    delay = 0.0
    count = 0
    times: list[float] = []

    def __init__(self) -> None:
        self.seen = b""

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        self.transport = cast("asyncio.Transport", transport)  # uvloop's is no subclass of asyncio's

    def data_received(self, data: bytes) -> None:
        self.take(data, time.monotonic())

    def take(self, data: bytes, came: float) -> None:
        """Bytes came at that time, by the monotonic clock."""
        self.seen += data
        while b"\r\n\r\n" in self.seen:
            head, _, self.seen = self.seen.partition(b"\r\n\r\n")
            if head.startswith((b"GET /count ", b"GET /times ")):
                self._send(head, self._report(head))
                continue
            Answer.count += 1
            if not self.delay:
                self._send(head, b'{"status": "ok"}')
                continue
            loop = asyncio.get_running_loop()
            # The loop's clock is that of the last round; the answer is to go so long after the bytes came.
            loop.call_at(loop.time() + self.delay - (time.monotonic() - came), self._answer_late, head, came)

    def _answer_late(self, head: bytes, came: float) -> None:
        self._send(head, b'{"status": "ok"}')
        Answer.times.append(time.monotonic() - came)

    def _report(self, head: bytes) -> bytes:
        if head.startswith(b"GET /count "):
            return str(Answer.count).encode()
        times, Answer.times = Answer.times, []
        return json.dumps(times).encode()

    def _send(self, head: bytes, body: bytes) -> None:
        length = str(len(body)).encode()
        self.transport.write(
            b"HTTP/1.1 200 OK\r\nContent-Type: application/json\r\nContent-Length: " + length + b"\r\n\r\n" + body
        )
        if b"\r\nconnection: close" in head.lower():
            self.transport.close()


class Plain:
    """A connection of the sort whose requests are stamped by the kernel."""

    def __init__(self, listening: socket.socket) -> None:
        self.sock, _ = listening.accept()
        self.answer = Answer()
        self.answer.connection_made(cast("asyncio.Transport", self))
        asyncio.get_running_loop().add_reader(self.sock, self.read)

    def read(self) -> None:
        data, ancillary, _, _ = self.sock.recvmsg(65536, ROOM)
        stamp = stamp_of(ancillary)
        if data:
            self.answer.take(data, time.monotonic() - ((time.time_ns() - stamp) / 1e9 if stamp else 0.0))
        else:
            self.close()

    def write(self, data: bytes) -> None:
        if self.sock.fileno() >= 0:
            self.sock.sendall(data)  # blocks where it is the times of many

    def close(self) -> None:
        if self.sock.fileno() >= 0:
            asyncio.get_running_loop().remove_reader(self.sock)
            self.sock.close()


async def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--delay", type=float, default=0.0, help="seconds until it answers")
    parser.add_argument("--tls", type=Path, help="a directory with key.pem and chain.pem")
    options = parser.parse_args()
    Answer.delay = options.delay
    context = None
    if options.tls is not None:
        context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
        context.load_cert_chain(options.tls / "chain.pem", options.tls / "key.pem")
    loop = asyncio.get_running_loop()
    if options.delay:
        with socket.create_server(("127.0.0.1", 0), backlog=4096) as listening:
            ask_for_stamps(listening)  # and for those of what it accepts
            loop.add_reader(listening, Plain, listening)
            print(listening.getsockname()[1], flush=True)
            await asyncio.Event().wait()
    server = await loop.create_server(Answer, "127.0.0.1", 0, backlog=4096, ssl=context)
    print(server.sockets[0].getsockname()[1], flush=True)
    await server.serve_forever()


if __name__ == "__main__":
    uvloop.run(main())
