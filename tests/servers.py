"""Real targets on loopback, well-behaved and hostile. Each connection has its own thread and plain blocking sockets."""

from __future__ import annotations

import contextlib
import socket
import ssl
import struct
import threading
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from functools import cache
from typing import Self

import trustme

Behaviour = Callable[["Visit"], None]


@dataclass
class Visit:
    """One connection, as a behaviour sees it."""

    sock: socket.socket
    target: Target
    request: bytes = b""

    def read_request(self) -> bytes:
        """Everything up to the end of the headers and of an announced body."""
        while b"\r\n\r\n" not in self.request:
            piece = self.sock.recv(65536)
            if not piece:
                return self.request
            self.request += piece
        head, _, body = self.request.partition(b"\r\n\r\n")
        length = next((int(h[15:]) for h in head.lower().split(b"\r\n") if h.startswith(b"content-length:")), 0)
        while len(body) < length:
            body += self.sock.recv(65536)
        self.request = head + b"\r\n\r\n" + body
        self.target.requests.append(self.request)
        return self.request

    def send(self, data: bytes) -> None:
        self.sock.sendall(data)

    def start_tls(self, context: ssl.SSLContext) -> None:
        """Speak TLS from here on."""
        self.target._open.discard(self.sock)
        self.sock = context.wrap_socket(self.sock, server_side=True)
        self.target._open.add(self.sock)

    def wait(self, seconds: float = 60.0) -> bool:
        """Whether the target is being stopped; waits for it."""
        return self.target.stopping.wait(seconds)

    def wait_for_end(self) -> None:
        """Wait until the other side is gone or the target is stopped."""
        with contextlib.suppress(OSError):
            while self.sock.recv(65536):
                pass


@dataclass
class Target:
    """A listening server for a `with` block; `requests` remembers what was asked."""

    behave: Behaviour
    tls: ssl.SSLContext | None = None
    host: str = "127.0.0.1"
    requests: list[bytes] = field(default_factory=list)
    connections: int = 0
    stopping: threading.Event = field(default_factory=threading.Event)

    def __enter__(self) -> Self:
        family = socket.AF_INET6 if ":" in self.host else socket.AF_INET
        self._listener = socket.create_server((self.host, 0), family=family, backlog=512)
        self.port = self._listener.getsockname()[1]
        self._threads = [threading.Thread(target=self._accept, name="target")]
        self._open: set[socket.socket] = set()
        self._threads[0].start()
        return self

    def __exit__(self, *_: object) -> None:
        self.stopping.set()
        with contextlib.suppress(OSError):
            self._listener.shutdown(socket.SHUT_RDWR)
        self._threads[0].join()
        self._listener.close()
        for sock in list(self._open):
            with contextlib.suppress(OSError):
                sock.shutdown(socket.SHUT_RDWR)
        for thread in self._threads:
            thread.join(10)
            assert not thread.is_alive(), "a behaviour does not end"

    @property
    def address(self) -> str:
        return f"[{self.host}]:{self.port}" if ":" in self.host else f"{self.host}:{self.port}"

    def url(self, path: str = "/") -> str:
        return f"{'https' if self.tls else 'http'}://{self.address}{path}"

    def _accept(self) -> None:
        while not self.stopping.is_set():
            try:
                sock, _ = self._listener.accept()
            except OSError:
                return
            self.connections += 1
            self._open.add(sock)
            thread = threading.Thread(target=self._serve, args=(sock,), name="visit")
            self._threads.append(thread)
            thread.start()

    def _serve(self, sock: socket.socket) -> None:
        visit = Visit(sock, self)
        try:
            with contextlib.suppress(OSError, ValueError):
                if self.tls is not None:
                    self._open.discard(sock)
                    visit.sock = sock = self.tls.wrap_socket(sock, server_side=True, do_handshake_on_connect=False)
                    self._open.add(sock)
                    try:
                        sock.do_handshake()
                    except ssl.SSLError:
                        self._open.discard(sock)
                        visit.sock = socket.socket(fileno=sock.detach())
                        self._open.add(visit.sock)
                        visit.wait_for_end()  # so that the alert is not lost to a reset
                        return
                self.behave(visit)
        finally:
            self._open.discard(visit.sock)
            visit.sock.close()


def closed_port(host: str = "127.0.0.1") -> int:
    """A port on which nothing listens."""
    with socket.create_server((host, 0)) as listener:
        return int(listener.getsockname()[1])


@contextlib.contextmanager
def silent(host: str = "127.0.0.1", port: int = 0) -> Iterator[int]:
    """A port that answers no connection at all, like one behind a firewall that drops: its queue is full."""
    with contextlib.ExitStack() as opened:
        family = socket.AF_INET6 if ":" in host else socket.AF_INET
        listener = opened.enter_context(socket.socket(family))
        listener.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)  # a connection of before may linger there
        listener.bind((host, port))
        listener.listen(0)
        for _ in range(8):
            filler = opened.enter_context(socket.socket(family))
            filler.setblocking(False)
            filler.connect_ex(listener.getsockname())
        time.sleep(0.1)
        yield int(listener.getsockname()[1])


# Behaviours


def answer(body: bytes = b"ok", status: str = "200 OK", headers: tuple[str, ...] = ()) -> bytes:
    """A well-formed answer."""
    lines = "".join(f"{header}\r\n" for header in headers)
    return f"HTTP/1.1 {status}\r\nContent-Length: {len(body)}\r\n{lines}\r\n".encode() + body


def answers(body: bytes = b"ok", status: str = "200 OK", headers: tuple[str, ...] = ()) -> Behaviour:
    """Reads a request and answers it."""
    return sends(answer(body, status, headers))


def sends(*pieces: bytes, pause: float = 0.0, close: bool = True) -> Behaviour:
    """Reads a request, sends these bytes as they are, and closes, or waits for the other side to."""

    def behave(visit: Visit) -> None:
        visit.read_request()
        for piece in pieces:
            visit.send(piece)
            if pause and visit.wait(pause):
                return
        if close:
            visit.sock.shutdown(socket.SHUT_WR)
        visit.wait_for_end()

    return behave


def by_path(**paths: bytes) -> Behaviour:
    """Answers by the first word of the path: `/a/b` is `a`, `/` is `root`."""

    def behave(visit: Visit) -> None:
        path = visit.read_request().split(b" ")[1].decode().strip("/").split("/")[0].split("?")[0]
        visit.send(paths.get(path or "root", answer(b"no", "404 Not Found")))

    return behave


def echoes(visit: Visit) -> None:
    """Answers with the request itself, headers and all."""
    visit.send(answer(visit.read_request()))


def hangs(visit: Visit) -> None:
    """Accepts, reads and never says a word."""
    visit.wait_for_end()


def drips(start: bytes, piece: bytes = b"x", pause: float = 0.05) -> Behaviour:
    """Sends a beginning at once and then a little again and again, for ever."""

    def behave(visit: Visit) -> None:
        visit.read_request()
        visit.send(start)
        while not visit.wait(pause):
            visit.send(piece)

    return behave


def floods(start: bytes, piece: bytes) -> Behaviour:
    """Sends a beginning and then as fast as it can, for ever."""

    def behave(visit: Visit) -> None:
        visit.read_request()
        visit.send(start)
        while not visit.target.stopping.is_set():
            visit.send(piece)

    return behave


def reset(visit: Visit) -> None:
    """Resets the connection."""
    visit.sock.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
    visit.sock.close()


def resets(after: bytes = b"") -> Behaviour:
    """Reads a request, sends these bytes and resets the connection."""

    def behave(visit: Visit) -> None:
        visit.read_request()
        if after:
            visit.send(after)
            time.sleep(0.05)  # so that they arrive before the reset
        reset(visit)

    return behave


def greets(*pieces: bytes, pause: float = 0.0, close: bool = False) -> Behaviour:
    """Speaks first, as mail servers do."""

    def behave(visit: Visit) -> None:
        for piece in pieces:
            visit.send(piece)
            if pause and visit.wait(pause):
                return
        if close:
            visit.sock.shutdown(socket.SHUT_WR)
        visit.wait_for_end()

    return behave


# Certificates


@cache
def authority() -> trustme.CA:
    """The authority that tests trust with the option `ca`."""
    return trustme.CA()


def authority_pem() -> str:
    return authority().cert_pem.bytes().decode()


def serving(certificate: trustme.LeafCert, *, whole_chain: bool = True) -> ssl.SSLContext:
    """A server's settings with this certificate."""
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    if whole_chain:
        certificate.configure_cert(context)
        return context
    with certificate.private_key_pem.tempfile() as key, certificate.cert_chain_pems[0].tempfile() as chain:
        context.load_cert_chain(chain, key)
    return context


@cache
def trusted(*names: str) -> ssl.SSLContext:
    """A server's settings with a certificate of `authority()`, by default for loopback."""
    return serving(authority().issue_cert(*(names or ("localhost", "127.0.0.1", "::1"))))


def dated(*, begins_in_days: float, ends_in_days: float) -> ssl.SSLContext:
    """A server's settings with a certificate of `authority()` for loopback that is valid between these days from now."""
    now = datetime.now(UTC)
    certificate = authority().issue_cert(
        "localhost",
        "127.0.0.1",
        not_before=now + timedelta(days=begins_in_days),
        not_after=now + timedelta(days=ends_in_days),
    )
    return serving(certificate)
