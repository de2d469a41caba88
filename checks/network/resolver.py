"""Names to addresses, behind a bulkhead: a dead zone keeps its own few threads busy and no others.

`getaddrinfo` knows what the machine knows (hosts file, search domains, local resolvers) but blocks and can't be
cancelled. So it runs on threads of our own, at most `THREADS`, at most `ZONE_THREADS` for the names of one zone, one
flight a name. The threads are daemons: one that hangs in the C library never keeps the process from ending.

The C library tells a zone whose servers are dead from a name server of ours that is dead by neither code nor time. The
first is the target's trouble, the second is ours; so in doubt the name servers are asked about the root themselves.
"""

from __future__ import annotations

import asyncio
import os
import socket
import threading
from collections import Counter, OrderedDict, deque
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path
from queue import SimpleQueue

from checks import clock
from checks.result import Failure, Reason

THREADS = 64
ZONE_THREADS = 8
KEEP = 30.0  # seconds an answer is used; the real TTL is not known here
KEEP_FAILURE = 2.0  # seconds a failure is used, so that a retry asks again
MAX_KEPT = 20_000  # names
SUSPECT_AFTER = 0.5  # seconds without an answer, after which the name servers are asked for a sign of life
SIGN_OF_LIFE_WITHIN = 1.0  # seconds
KEEP_SIGN = 2.0  # seconds a sign of life, or its absence, is believed
_ROOT_QUESTION = b"\x01\x00\x00\x01\x00\x00\x00\x00\x00\x00" + b"\x00\x00\x02\x00\x01"  # NS of the root, RFC 1035
_SERVFAIL = 2

Addresses = tuple[str, ...]
Lookup = Callable[[str], Addresses]


@dataclass(frozen=True, slots=True)
class Answer:
    """What a resolver said: addresses, or why there are none."""

    addresses: Addresses = ()
    failure: Failure | None = None


def look_up(name: str) -> Addresses:
    """The addresses of a name by the machine's own resolver, in its order. Blocks; raises `socket.gaierror`."""
    rows = socket.getaddrinfo(name, None, type=socket.SOCK_STREAM)
    return tuple(dict.fromkeys(str(row[4][0]) for row in rows))


def nameservers(path: Path = Path("/etc/resolv.conf")) -> tuple[tuple[str, int], ...]:
    """The name servers that this machine asks."""
    try:
        lines = path.read_text(encoding="utf-8", errors="replace").splitlines()
    except OSError:
        lines = []
    words = (line.split() for line in lines)
    found = tuple((w[1], 53) for w in words if len(w) > 1 and w[0] == "nameserver")
    return found or (("127.0.0.1", 53),)


class Resolver:
    """Resolves names for all probes of a process; belongs to one event loop."""

    def __init__(self, *, lookup: Lookup = look_up, servers: Sequence[tuple[str, int]] | None = None) -> None:
        self._lookup = lookup
        self._servers = nameservers() if servers is None else tuple(servers)
        self._kept: OrderedDict[str, tuple[float, Answer]] = OrderedDict()
        self._flights: dict[str, asyncio.Future[Answer]] = {}
        self._queue: SimpleQueue[str | None] = SimpleQueue()
        self._threads = 0
        self._taken = 0  # names given to the threads and not yet back
        self._taken_by_zone: Counter[str] = Counter()
        self._waiting: dict[str, deque[str]] = {}  # by zone
        self._alive = True  # what the last look for a sign of life found
        self._looked_at = float("-inf")
        self._look: asyncio.Task[None] | None = None
        self._closed = False

    def close(self) -> None:
        """End the threads that are not inside a lookup. Whoever still waits is cancelled."""
        self._closed = True
        for flight in self._flights.values():
            flight.cancel()
        if self._look is not None:
            self._look.cancel()
        for _ in range(self._threads):
            self._queue.put(None)

    def forget(self, name: str) -> None:
        """Ask again the next time: the addresses of this name did not work."""
        self._kept.pop(name, None)

    def is_silent(self, since: float) -> bool:
        """Whether our own name servers gave no sign of life since that `clock.monotonic` instant, though asked."""
        return not self._alive and self._looked_at > since - KEEP_SIGN

    async def resolve(self, name: str) -> Answer:
        """The addresses of a name, or why there are none. Never raises but for cancellation."""
        answer = self._remembered(name)
        if answer is None:
            flight = self._flights.get(name) or self._take_off(name)
            done, _ = await asyncio.wait([flight], timeout=SUSPECT_AFTER)
            if not done:
                self._start_look()  # its outcome is for `is_silent`, should the probe's time run out
                await asyncio.wait([flight])
            answer = flight.result()
        failed = answer.failure is not None and answer.failure.reason is Reason.NAME_FAILED
        if failed and not await self.gives_signs():
            message = "this machine's name servers do not answer"
            return Answer(failure=Failure(reason=Reason.NO_RESOLVER, message=message, phase="dns"))
        return answer

    async def gives_signs(self) -> bool:
        """Whether this machine's name servers answer at all; a look that is recent is believed."""
        look = self._start_look()
        if look is not None:
            await asyncio.wait([look])
        return self._alive

    def _remembered(self, name: str) -> Answer | None:
        kept = self._kept.get(name)
        if kept is None:
            return None
        if clock.monotonic() < kept[0]:
            return kept[1]
        del self._kept[name]
        return None

    def _take_off(self, name: str) -> asyncio.Future[Answer]:
        flight = self._flights[name] = asyncio.get_running_loop().create_future()
        zone = _zone(name)
        if self._taken_by_zone[zone] < ZONE_THREADS:
            self._give(name, zone)
        else:
            self._waiting.setdefault(zone, deque()).append(name)
        return flight

    def _give(self, name: str, zone: str) -> None:
        self._taken += 1
        self._taken_by_zone[zone] += 1
        self._queue.put(name)
        if self._taken > self._threads and self._threads < THREADS:
            thread = threading.Thread(
                target=self._work, args=(asyncio.get_running_loop(),), name="resolver", daemon=True
            )
            try:
                thread.start()
            except RuntimeError:  # no more threads on this machine: those that run must do
                if not self._threads:
                    message = "this machine can start no more threads"
                    self._land(name, Answer(failure=Failure(reason=Reason.NO_MEMORY, message=message, phase="dns")))
            else:
                self._threads += 1

    def _work(self, loop: asyncio.AbstractEventLoop) -> None:
        """The life of one thread."""
        while (name := self._queue.get()) is not None and not self._closed:
            answer = _ask(self._lookup, name)
            try:
                loop.call_soon_threadsafe(self._land, name, answer)
            except RuntimeError:  # the loop is closed: nobody waits any more
                return

    def _land(self, name: str, answer: Answer) -> None:
        zone = _zone(name)
        self._taken -= 1
        self._taken_by_zone[zone] -= 1
        if not self._taken_by_zone[zone]:
            del self._taken_by_zone[zone]
        waiting = self._waiting.get(zone)
        if waiting and not self._closed:
            self._give(waiting.popleft(), zone)
            if not waiting:
                del self._waiting[zone]
        flight = self._flights.pop(name, None)
        if flight is not None and not flight.done():
            flight.set_result(answer)
        self._kept[name] = (clock.monotonic() + (KEEP_FAILURE if answer.failure else KEEP), answer)
        if len(self._kept) > MAX_KEPT:
            self._kept.popitem(last=False)

    def _start_look(self) -> asyncio.Task[None] | None:
        """The task that looks for a sign of life; None where the last look is still believed."""
        if self._look is None and clock.monotonic() - self._looked_at > KEEP_SIGN:
            self._look = asyncio.create_task(self._look_for_life(), name="resolver: look for life")
        return self._look

    async def _look_for_life(self) -> None:
        try:
            signs = await asyncio.gather(*(_gives_sign(server) for server in self._servers))
            self._alive, self._looked_at = any(signs), clock.monotonic()
        finally:
            self._look = None


def _zone(name: str) -> str:
    return ".".join(name.removesuffix(".").rsplit(".", 2)[-2:])


def _ask(lookup: Lookup, name: str) -> Answer:
    try:
        return Answer(addresses=lookup(name))
    except socket.gaierror as exc:
        if exc.errno in (socket.EAI_NONAME, getattr(socket, "EAI_NODATA", socket.EAI_NONAME)):
            reason, message = Reason.NAME_NOT_FOUND, f"the name {name} does not exist or has no address"
        else:
            reason, message = Reason.NAME_FAILED, f"the name {name} could not be resolved: {exc.strerror}"
    except UnicodeError:
        reason, message = Reason.NAME_NOT_FOUND, f"the name {name} is no name"
    except OSError as exc:
        reason, message = Reason.NO_RESOLVER, f"this machine could not resolve names: {exc.strerror}"
    except MemoryError:
        reason, message = Reason.NO_MEMORY, "this machine is out of memory"
    return Answer(failure=Failure(reason=reason, message=message, phase="dns"))


class _SignOfLife(asyncio.DatagramProtocol):
    """Asks one name server about the root; any answer but SERVFAIL shows that it is there and sees the world."""

    def __init__(self, seen: asyncio.Future[bool]) -> None:
        self.seen = seen
        self.number = os.urandom(2)

    def connection_made(self, transport: asyncio.DatagramTransport) -> None:  # type: ignore[override]
        transport.sendto(self.number + _ROOT_QUESTION)

    def datagram_received(self, data: bytes, addr: object) -> None:  # noqa: ARG002 - asyncio's signature
        if len(data) >= 12 and data[:2] == self.number and not self.seen.done():
            self.seen.set_result(data[3] & 0x0F != _SERVFAIL)

    def error_received(self, exc: Exception) -> None:  # noqa: ARG002 - asyncio's signature
        if not self.seen.done():
            self.seen.set_result(False)


async def _gives_sign(server: tuple[str, int]) -> bool:
    loop = asyncio.get_running_loop()
    seen: asyncio.Future[bool] = loop.create_future()
    try:
        transport, _ = await loop.create_datagram_endpoint(lambda: _SignOfLife(seen), remote_addr=server)
    except OSError:
        return False
    try:
        return await asyncio.wait_for(seen, SIGN_OF_LIFE_WITHIN)
    except TimeoutError:
        return False
    finally:
        transport.close()
