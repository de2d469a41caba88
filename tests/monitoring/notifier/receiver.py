"""A webhook on loopback that remembers what it was sent, and misbehaves on request."""

from __future__ import annotations

import json
import socket
import struct
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any

from tests.waiting import wait_until


@dataclass(frozen=True)
class Received:
    """One request."""

    at: float
    path: str
    headers: dict[str, str]
    body: dict[str, Any]

    @property
    def key(self) -> str:
        return self.headers["idempotency-key"]

    @property
    def text(self) -> str:
        return "\n".join(str(self.body[name]) for name in ("title", "message", "text") if name in self.body)


@dataclass
class Receiver:
    """`mode`: a status to answer with, or hang, drip, reset, drop, endless, bomb. By path, where `modes` has it."""

    mode: int | str = 200
    modes: dict[str, int | str] = field(default_factory=dict)
    retry_after: str = ""
    seconds: float = 0.0  # before any answer
    requests: list[Received] = field(default_factory=list)
    port: int = 0

    def __post_init__(self) -> None:
        self.released = threading.Event()
        self._lock = threading.Lock()

    def url(self, path: str = "hook", scheme: str = "json") -> str:
        return f"{scheme}://127.0.0.1:{self.port}/{path}"

    def keys(self) -> list[str]:
        return [request.key for request in self.requests]

    def wait_for(self, count: int, seconds: float = 30.0) -> list[Received]:
        wait_until(lambda: len(self.requests) >= count, within=seconds, what=f"{count} messages", every=0.01)
        return self.requests

    def take(self, handler: BaseHTTPRequestHandler) -> None:
        body = handler.rfile.read(int(handler.headers["Content-Length"]))
        headers = {name.lower(): value for name, value in handler.headers.items()}
        mode = self.modes.get(handler.path, self.mode)
        with self._lock:
            self.requests.append(Received(time.monotonic(), handler.path, headers, json.loads(body)))
        self.released.wait(self.seconds)
        if isinstance(mode, int):
            self._answer(handler, mode)
        else:
            getattr(self, f"_{mode}")(handler)

    def _answer(self, handler: BaseHTTPRequestHandler, status: int) -> None:
        handler.send_response(status)
        if self.retry_after:
            handler.send_header("Retry-After", self.retry_after)
        handler.send_header("Content-Length", "2")
        handler.end_headers()
        handler.wfile.write(b"ok")

    def _hang(self, handler: BaseHTTPRequestHandler) -> None:
        self.released.wait(60)

    def _drip_header(self, handler: BaseHTTPRequestHandler) -> None:
        handler.wfile.write(b"HTTP/1.1 200 OK\r\nX: ")
        while not self.released.wait(0.1):
            handler.wfile.write(b"y")

    def _drip(self, handler: BaseHTTPRequestHandler) -> None:
        handler.wfile.write(b"HTTP/1.1 200 OK\r\nContent-Length: 1000000\r\n\r\n")
        while not self.released.wait(0.2):
            handler.wfile.write(b".")

    def _endless(self, handler: BaseHTTPRequestHandler) -> None:
        handler.wfile.write(b"HTTP/1.1 200 OK\r\n\r\n")
        while not self.released.is_set():
            handler.wfile.write(b"." * 65536)

    def _reset(self, handler: BaseHTTPRequestHandler) -> None:
        handler.connection.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
        handler.connection.close()

    def _drop(self, handler: BaseHTTPRequestHandler) -> None:
        handler.connection.shutdown(socket.SHUT_RDWR)


class _Handler(BaseHTTPRequestHandler):
    server: Any

    def do_POST(self) -> None:
        try:
            self.server.receiver.take(self)
        except OSError:
            self.close_connection = True

    def log_message(self, *args: object) -> None:
        pass


class _Server(ThreadingHTTPServer):
    daemon_threads = True

    def handle_error(self, *args: object) -> None:
        pass


@contextmanager
def receiving() -> Iterator[Receiver]:
    """A receiver that runs."""
    server: Any = _Server(("127.0.0.1", 0), _Handler)
    server.receiver = receiver = Receiver(port=server.server_port)
    thread = threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.02})
    thread.start()
    try:
        yield receiver
    finally:
        receiver.released.set()
        server.shutdown()
        thread.join()
        server.server_close()
