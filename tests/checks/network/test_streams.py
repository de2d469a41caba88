from __future__ import annotations

import asyncio
import os
import socket
import struct
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import pytest
import uvloop

from checks import clock
from checks.network import streams
from checks.network.connection import Connection
from checks.network.streams import Streams

MUCH = 5_000_000  # bytes: more than the kernel takes at once


class Noted(Connection):
    """Keeps what it is told."""

    def __init__(self) -> None:
        super().__init__()
        self.heard = bytearray()
        self.instants: list[int] = []
        self.end: asyncio.Future[Exception | None] = asyncio.get_running_loop().create_future()

    def received(self, data: bytes, at_ns: int) -> None:
        self.heard += data
        self.instants.append(at_ns)

    def ended(self, exc: Exception | None) -> None:
        self.end.set_result(exc)


@contextmanager
def serving(serve: Callable[[socket.socket], None]) -> Iterator[int]:
    """The port at which `serve` gets the first that connects, in a thread of its own."""
    with socket.create_server(("127.0.0.1", 0)) as listening:

        def accept() -> None:
            accepted, _ = listening.accept()
            with accepted:
                serve(accepted)

        thread = threading.Thread(target=accept)
        thread.start()
        yield listening.getsockname()[1]
        thread.join(10)
        assert not thread.is_alive()


def visit(port: int, then: Callable[[Noted], Any]) -> Any:
    """What `then` returns of a connection that has been started."""

    async def main() -> Any:
        own = Streams()
        connection = await asyncio.wait_for(own.connect("127.0.0.1", port, Noted), 10)
        connection.start()
        try:
            return await asyncio.wait_for(then(connection), 10)
        finally:
            connection.abort()
            own.close()
            await asyncio.sleep(0.01)  # the loop's own transports close in its next turn

    return uvloop.run(main())


@pytest.fixture
def elsewhere(monkeypatch: pytest.MonkeyPatch) -> None:
    """No connection stands as soon as it is asked for, which those to this machine do."""
    stand = streams.Stream.stand
    monkeypatch.setattr(
        streams.Stream, "stand", lambda stream, now_ns: stream.standing is not None and stand(stream, now_ns)
    )


@pytest.fixture(params=["epoll", "epoll, elsewhere", "the loop's transports"])
def either(request: pytest.FixtureRequest, monkeypatch: pytest.MonkeyPatch) -> None:
    """Each way to connect."""
    monkeypatch.setattr(streams, "_HAS_EPOLL", request.param.startswith("epoll"))
    if request.param.endswith("elsewhere"):
        request.getfixturevalue("elsewhere")


def reset(sock: socket.socket) -> None:
    """Have `close` break the connection."""
    sock.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))


def read_slowly(sock: socket.socket, into: bytearray) -> None:
    """Read `MUCH`, so that the sender must wait."""
    time.sleep(0.05)
    while len(into) < MUCH:
        into.extend(sock.recv(30_000))


def open_files() -> int:
    return len(list(Path("/proc/self/fd").iterdir()))


@pytest.mark.usefixtures("either")
def test_everything_that_is_sent_arrives_however_slowly_it_is_read() -> None:
    read = bytearray()

    def serve(sock: socket.socket) -> None:
        read_slowly(sock, read)
        sock.sendall(b"thanks")

    async def send(connection: Noted) -> bytes:
        for start in range(0, MUCH, MUCH // 5):
            connection.send(sent[start : start + MUCH // 5])
        await connection.end
        return bytes(connection.heard)

    sent = os.urandom(MUCH)
    with serving(serve) as port:
        assert visit(port, send) == b"thanks"
    assert bytes(read) == sent


@pytest.mark.usefixtures("either")
def test_everything_that_arrives_is_passed_on_in_order_and_then_the_end() -> None:
    sent = os.urandom(MUCH)

    async def listen(connection: Noted) -> bytes:
        assert await connection.end is None
        assert connection.instants == sorted(connection.instants)
        return bytes(connection.heard)

    with serving(lambda sock: sock.sendall(sent)) as port:
        assert visit(port, listen) == sent


@pytest.mark.usefixtures("either")
def test_what_comes_while_it_is_paused_waits_until_it_goes_on() -> None:
    sent = os.urandom(MUCH)

    async def listen(connection: Noted) -> bytes:
        connection.pause()
        connection.send(b"go")
        await asyncio.sleep(0.1)
        before = len(connection.heard)
        await asyncio.sleep(0.1)
        assert len(connection.heard) == before < MUCH
        connection.resume()
        await connection.end
        return bytes(connection.heard)

    def serve(sock: socket.socket) -> None:
        sock.recv(10)
        sock.sendall(sent)

    with serving(serve) as port:
        assert visit(port, listen) == sent


@pytest.mark.usefixtures("either")
def test_a_connection_that_is_broken_says_so() -> None:
    def serve(sock: socket.socket) -> None:
        sock.recv(10)
        reset(sock)

    async def ask(connection: Noted) -> Exception | None:
        connection.send(b"question")
        return await connection.end

    with serving(serve) as port:
        assert isinstance(visit(port, ask), ConnectionResetError)


def test_what_a_target_said_before_it_stopped_listening_comes_first() -> None:
    said = threading.Event()

    def serve(sock: socket.socket) -> None:
        sock.sendall(b"too much")
        said.set()
        time.sleep(0.2)
        reset(sock)

    async def send(connection: Noted) -> bytes:
        connection.pause()
        said.wait()
        await asyncio.sleep(0.4)
        connection.send(b"more")
        connection.resume()
        assert isinstance(await connection.end, OSError)
        return bytes(connection.heard)

    with serving(serve) as port:
        assert visit(port, send) == b"too much"


@pytest.mark.usefixtures("either")
@pytest.mark.usefixtures("either")
def test_what_it_says_as_soon_as_it_stands_arrives_however_much_it_is() -> None:
    read = bytearray()

    def opening() -> Noted:
        connection = Noted()
        connection.alone, connection.opening = True, sent
        return connection

    async def main(port: int) -> None:
        own = Streams()
        connection = await asyncio.wait_for(own.connect("127.0.0.1", port, opening), 10)
        assert connection.asked_ns <= connection.made_ns <= connection.opened_ns
        connection.start()
        await asyncio.wait_for(connection.end, 10)
        own.close()

    sent = os.urandom(MUCH)
    with serving(lambda sock: read_slowly(sock, read)) as port:
        uvloop.run(main(port))
    assert bytes(read) == sent


@pytest.mark.usefixtures("either")
def test_nobody_at_a_port_is_a_refusal_that_leaves_nothing_open() -> None:
    with socket.create_server(("127.0.0.1", 0)) as nobody:
        port = nobody.getsockname()[1]

    async def main() -> None:
        own = Streams()
        before = open_files()
        for _ in range(20):
            with pytest.raises(ConnectionRefusedError):
                await own.connect("127.0.0.1", port, Noted)
        await asyncio.sleep(0.01)
        assert open_files() <= before + 2  # the set itself, and what keeps the kernel stamping
        own.close()

    uvloop.run(main())


@pytest.mark.usefixtures("either")
def test_a_wait_for_a_connection_that_is_given_up_leaves_nothing_open() -> None:
    async def main(port: int) -> None:
        own = Streams()
        before = open_files()
        for _ in range(3):
            with pytest.raises(TimeoutError):
                await asyncio.wait_for(own.connect("127.0.0.1", port, Noted), 0.05)
        await asyncio.sleep(0.01)
        assert open_files() <= before + 2
        own.close()

    with socket.socket() as full, socket.socket() as one, socket.socket() as two:
        full.bind(("127.0.0.1", 0))
        full.listen(0)
        for waiting in (one, two):  # whoever comes after these is not answered
            waiting.setblocking(False)
            waiting.connect_ex(full.getsockname())
        uvloop.run(main(full.getsockname()[1]))


def test_what_arrives_while_the_loop_is_busy_is_stamped_when_it_came() -> None:
    sent_ns = []

    def serve(sock: socket.socket) -> None:
        sock.recv(10)
        time.sleep(0.1)
        sent_ns.append(clock.monotonic_ns())
        sock.sendall(b"answer")

    async def ask(connection: Noted) -> int:
        connection.send(b"question")
        time.sleep(0.4)  # noqa: ASYNC251 - nothing else on the loop gets its turn
        await connection.end
        return connection.instants[0]

    with serving(serve) as port:
        came_ns = visit(port, ask)
    assert 0 <= came_ns - sent_ns[0] < 100_000_000


def test_a_connection_to_this_machine_stands_as_soon_as_it_is_asked_for() -> None:
    async def main(port: int) -> int:
        own, at_once = Streams(), 0
        for _ in range(20):
            connection = Noted()
            at_once += own.ask(connection, "127.0.0.1", port) is None
            connection.abort()
        own.close()
        return at_once

    with socket.create_server(("127.0.0.1", 0), backlog=50) as listening:
        # A kernel with much to do may leave one for later.
        assert uvloop.run(main(listening.getsockname()[1])) > 10


@pytest.mark.usefixtures("elsewhere")
def test_a_connection_stands_since_its_handshake_however_busy_the_loop_is() -> None:
    async def main(port: int) -> int:
        own = Streams()
        asking = asyncio.create_task(own.connect("127.0.0.1", port, Noted))
        await asyncio.sleep(0)
        time.sleep(0.3)  # noqa: ASYNC251 - nothing else on the loop gets its turn
        connection = await asking
        connection.abort()
        own.close()
        return connection.made_ns - connection.asked_ns

    with serving(lambda _: None) as port:
        assert 0 < uvloop.run(main(port)) < 100_000_000


def test_a_clock_that_is_set_meanwhile_moves_no_instant(monkeypatch: pytest.MonkeyPatch) -> None:
    ahead_ns = 0
    monkeypatch.setattr(clock, "wall_ns", lambda: time.time_ns() + ahead_ns)

    async def listen(connection: Noted) -> list[int]:
        nonlocal ahead_ns
        connection.send(b"question")
        begun_ns = clock.monotonic_ns()
        ahead_ns = -3600 * 10**9  # what was stamped before lies in the future now
        await connection.end
        return [instant - begun_ns for instant in connection.instants]

    def serve(sock: socket.socket) -> None:
        sock.recv(10)
        sock.sendall(b"answer")

    with serving(serve) as port:
        [took_ns] = visit(port, listen)
    assert 0 <= took_ns < 1_000_000_000
