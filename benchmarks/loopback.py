"""A web server in a process of its own that answers at once and counts: `GET /count` says how many it answered."""

from __future__ import annotations

import asyncio
from typing import cast

import uvloop


class Answer(asyncio.Protocol):
    """One connection."""

    count = 0

    def __init__(self) -> None:
        self.seen = b""

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        self.transport = cast("asyncio.Transport", transport)  # uvloop's is no subclass of asyncio's

    def data_received(self, data: bytes) -> None:
        self.seen += data
        while b"\r\n\r\n" in self.seen:
            head, _, self.seen = self.seen.partition(b"\r\n\r\n")
            if head.startswith(b"GET /count "):
                body = str(Answer.count).encode()
            else:
                Answer.count += 1
                body = b'{"status": "ok"}'
            close = b"\r\nconnection: close" in head.lower()
            length = str(len(body)).encode()
            self.transport.write(
                b"HTTP/1.1 200 OK\r\nContent-Type: application/json\r\nContent-Length: " + length + b"\r\n\r\n" + body
            )
            if close:
                self.transport.close()


async def main() -> None:
    loop = asyncio.get_running_loop()
    server = await loop.create_server(Answer, "127.0.0.1", 0, backlog=4096)
    print(server.sockets[0].getsockname()[1], flush=True)
    await server.serve_forever()


if __name__ == "__main__":
    uvloop.run(main())
