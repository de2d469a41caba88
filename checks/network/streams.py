"""TCP connections on sockets of our own, all watched by one epoll set of their event loop.

The loop's own transports tell that bytes are here when the loop gets round to them, which under load is later than they
came. Here the kernel says when: of what arrives by its stamps, of the connection itself by the round trip that it
measured. Where there is no epoll, which is not on Linux, the loop's transports do it.
"""

from __future__ import annotations

import asyncio
import errno
import os
import select
import socket
import struct
from collections.abc import Awaitable, Callable
from typing import Any, TypeVar

from checks import clock
from checks.network.attempts import shown
from checks.network.connection import Connection
from checks.network.stamps import ROOM, ask_for_stamps, keep_stamping, stamp_of

READ = 65536  # bytes that are read at a time
AT_ONCE = 64  # connections that are looked after before others on the loop get their turn
SET = 50_000_000  # nanoseconds by which the wall's clock must have moved against ours, to be called set
# Of `struct tcp_info` of Linux: the state of the connection; at 68 the round trip in microseconds, and at 100 how many
# packets had to be sent again.
_INFO = struct.Struct("@B67xI28xI")
_ASKED, _CLOSED = 2, 7  # of its states: nobody has answered yet; refused, or broken since
_HAS_EPOLL = hasattr(select, "epoll")
if _HAS_EPOLL:
    # Told once of each change, and not for as long as it lasts.
    _ARRIVALS = select.EPOLLIN | select.EPOLLRDHUP | select.EPOLLET
    _CHANGES = _ARRIVALS | select.EPOLLOUT

C = TypeVar("C", bound=Connection)


class Streams:
    """The TCP connections of an event loop. Belongs to the loop that it is first used in; `close` it."""

    def __init__(self) -> None:
        self._streams: dict[int, Stream] = {}  # by the number of the socket
        self._set: select.epoll | None = None
        self._loop: asyncio.AbstractEventLoop | None = None
        self.room = memoryview(bytearray(READ))  # what was read last, for whoever reads
        self.now_ns = 0  # when we last looked
        self._wall_ahead_ns = 0  # by how much the wall's clock was ahead of ours then
        self._is_set = False  # the wall's clock, since we looked before

    async def connect(self, address: str, port: int, make: Callable[[], C]) -> C:
        """A connection of the sort that `make` makes, to a literal address. Raises OSError."""
        connection = make()
        try:
            standing = self.ask(connection, address, port)
            if standing is not None:
                await standing
        except BaseException:
            connection.abort()
            raise
        return connection

    def ask(self, connection: Connection, address: str, port: int) -> Awaitable[object] | None:
        """Ask for a connection to a literal address; done once it stands, None where it does. Raises OSError, also then."""
        connection.ip, connection.peer = address, shown(address, port)
        if _HAS_EPOLL:
            return self._open(connection, address, port)
        return asyncio.get_running_loop().create_connection(lambda: connection, address, port)

    def close(self) -> None:
        """Watch nothing any more."""
        if self._set is not None and self._loop is not None:
            if not self._loop.is_closed():
                self._loop.remove_reader(self._set.fileno())
            self._set.close()
            self._set = self._loop = None

    def instant(self, stamp: int) -> int:
        """When something that we were just told of arrived, by `clock.monotonic_ns`, from its stamp by the kernel."""
        if not stamp or self._is_set:
            return self.now_ns
        return min(stamp - self._wall_ahead_ns, clock.monotonic_ns())

    def _open(self, connection: Connection, address: str, port: int) -> asyncio.Future[None] | None:
        family = socket.AF_INET6 if ":" in address else socket.AF_INET
        sock = socket.SocketType(family, socket.SOCK_STREAM | socket.SOCK_NONBLOCK)  # without what `socket.socket` adds
        ask_for_stamps(sock)
        connection.asked_ns = clock.monotonic_ns()
        connection.transport = stream = Stream(self, connection, sock)
        problem = sock.connect_ex((address, port))
        if problem not in (0, errno.EINPROGRESS):
            raise OSError(problem, os.strerror(problem))
        watched = self._set or self._begin()
        # A target on this machine has answered by now: nobody need be woken to be told so.
        if stream.stand(clock.monotonic_ns()):
            watched.register(stream.number, _CHANGES if stream.unsent else _ARRIVALS)
        else:
            stream.standing = asyncio.get_running_loop().create_future()
            watched.register(stream.number, _CHANGES)
        self._streams[stream.number] = stream
        return stream.standing

    def await_room(self, number: int) -> None:
        """Look after a socket again when the kernel takes more of what it has to send."""
        if self._set is not None and number in self._streams:
            self._set.modify(number, _CHANGES)

    def forget(self, number: int) -> None:
        """A socket is about to be closed, which takes it out of the set."""
        self._streams.pop(number, None)

    def _begin(self) -> select.epoll:
        """Watch, from the first connection on."""
        self._set, self._loop = select.epoll(), asyncio.get_running_loop()
        self._loop.add_reader(self._set.fileno(), self._look)
        keep_stamping()
        self._read_clocks()
        return self._set

    def _read_clocks(self) -> None:
        self.now_ns = clock.monotonic_ns()
        ahead_ns = clock.wall_ns() - self.now_ns
        self._is_set, self._wall_ahead_ns = abs(ahead_ns - self._wall_ahead_ns) > SET, ahead_ns

    def _look(self) -> None:
        """Tell the connections what happened to them; called by the loop."""
        assert self._set is not None  # noqa: S101 - it is what woke us
        happened = self._set.poll(0, AT_ONCE)
        self._read_clocks()
        for number, events in happened:
            stream = self._streams.get(number)
            if stream is not None:
                stream.happened(events)


class Stream:
    """One of them, as a connection's transport."""

    __slots__ = (
        *("_connection", "_has_sent", "_hung", "_last_ns", "_paused", "_sock", "_stands", "_streams", "_trouble"),
        *("number", "standing", "unsent"),
    )

    def __init__(self, streams: Streams, connection: Connection, sock: socket.SocketType) -> None:
        self._streams, self._sock, self.number = streams, sock, sock.fileno()
        self._connection: Connection | None = connection  # None once it is over
        self.standing: asyncio.Future[None] | None = None  # done once it stands, where that was waited for
        self._stands = False
        self._last_ns = connection.asked_ns  # when the last thing happened
        self.unsent = b""  # what the kernel has not taken yet
        self._has_sent = False
        self._paused = False
        self._hung = False  # the target said that it sends no more; what it sent may lie here still
        self._trouble: OSError | None = None  # why no more can be sent

    def happened(self, events: int) -> None:
        """What the kernel tells of the socket, and nothing of it twice."""
        try:
            if not self._stands and not self._come_to_stand():
                return
            if self.unsent:
                self.write(b"")
            if events & ~select.EPOLLOUT:
                if events & (select.EPOLLRDHUP | select.EPOLLHUP):
                    self._hung = True
                self._read()
        except Exception as exc:  # noqa: BLE001 - the other streams must be told of theirs; whoever waits here gets it
            self._lose(exc)

    def _come_to_stand(self) -> bool:
        """Whether the connection stands now, for which somebody waits."""
        standing = self.standing
        if standing is None or standing.done():
            return False
        try:
            stands = self.stand(self._streams.now_ns)
        except OSError as exc:
            standing.set_exception(exc)
            return False
        if stands:
            standing.set_result(None)
        return stands

    def stand(self, now_ns: int) -> bool:
        """Whether the connection stands now, which it is told then. Raises OSError where it never will."""
        if self._connection is None:
            return False
        info = self._sock.getsockopt(socket.IPPROTO_TCP, socket.TCP_INFO, _INFO.size)
        state, round_trip, repeated = _INFO.unpack(info)
        if state == _ASKED:  # the news was of an earlier socket of this number
            return False
        if state == _CLOSED:
            problem = self._sock.getsockopt(socket.SOL_SOCKET, socket.SO_ERROR) or errno.ECONNRESET
            raise OSError(problem, os.strerror(problem))
        # By the kernel's own measure, unless packets were lost: what it measured is the last one.
        if round_trip and not repeated and self._last_ns + 1000 * round_trip <= now_ns:
            self._last_ns += 1000 * round_trip
        elif self._last_ns < now_ns:
            self._last_ns = now_ns
        self._stands = True
        self._connection.stands(self, self._last_ns)
        return True

    def _read(self) -> None:
        """Pass on what has come, so much a turn of the loop that others need not wait long."""
        connection = self._connection
        if connection is None or self._paused:
            return
        try:
            room = self._streams.room
            size, ancillary, _, _ = self._sock.recvmsg_into((room,), ROOM)
            data = bytes(room[:size])
        except (BlockingIOError, InterruptedError):
            if self._trouble is not None:
                self._lose(self._trouble)
            return
        if not data:
            self._lose(self._trouble)
            return
        arrived_ns = self._streams.instant(stamp_of(ancillary))
        if arrived_ns > self._last_ns:  # noqa: PLR1730 - as a Stopwatch does
            self._last_ns = arrived_ns
        connection.arrived(data, self._last_ns)
        # Less than there was room for is all that there is, but for the end.
        if (self._hung or len(data) == READ or self._trouble is not None) and not connection.is_sated:
            self._read_on()

    def _read_on(self) -> None:
        asyncio.get_running_loop().call_soon(self.happened, select.EPOLLIN)

    def write(self, data: bytes) -> None:
        """Send these bytes, those that the kernel does not take now when it takes more."""
        if self._connection is None or self._trouble is not None:
            return
        if self.unsent:
            data = self.unsent + data
        try:
            if self._has_sent:  # what comes second need not wait until the first has arrived
                self._sock.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
            self._has_sent = True
            sent = self._sock.send(data)
        except (BlockingIOError, InterruptedError):
            sent = 0
        except OSError as exc:
            # What the target said before it stopped listening is here still, and comes first.
            self._trouble, sent = exc, len(data)
            self._read_on()
        self.unsent = data[sent:]
        if self.unsent:
            self._streams.await_room(self.number)

    def pause_reading(self) -> None:
        """Leave what comes where it is."""
        self._paused = True

    def resume_reading(self) -> None:
        """Pass on what came meanwhile, and go on."""
        if self._paused:
            self._paused = False
            self._read_on()

    def is_closing(self) -> bool:
        """Whether it is over."""
        return self._connection is None

    def abort(self) -> None:
        """Drop the connection now; nobody is told."""
        if self._connection is not None:
            self._connection = None  # they hold each other
            self._streams.forget(self.number)
            self._sock.close()

    def get_extra_info(self, name: str, default: Any = None) -> Any:
        """`sockname`: our end of the connection."""
        return self._sock.getsockname() if name == "sockname" else default

    def _lose(self, exc: Exception | None) -> None:
        connection = self._connection
        self.abort()
        if connection is None:
            return
        if self.standing is not None and not self.standing.done():
            self.standing.set_exception(exc or ConnectionResetError(errno.ECONNRESET, os.strerror(errno.ECONNRESET)))
        connection.connection_lost(exc)
