"""The bytes of a binary protocol, read in the pieces that its frames announce, never more of them than a cap in all.

Libraries that speak such a protocol bring a way to connect, buffers, tasks and threads of their own. Here their codecs
are used and the connection is ours: the address that was checked is the one that is dialled, a certificate is judged as
everywhere, and the deadline and cancellation hold at every byte.
"""

from __future__ import annotations

import asyncio
import contextlib
from collections.abc import Iterator, Mapping
from functools import cached_property
from typing import Any, ClassVar, Self

from pydantic import model_validator

from checks import clock
from checks.address import parse_host_port
from checks.expect import Subject
from checks.network import dial, spec_tls
from checks.network.connection import Connection
from checks.network.route import HostPort, ProxiedSpec, SecuredSpec
from checks.probe import TIMINGS, ProbeContext, ProbeFailure, Stopwatch
from checks.result import Failure, Reason
from checks.spec import ProbedSpec

MAX_HEARD = 1_048_576  # bytes of one connection
FAREWELL = 0.2  # seconds for the other side to take leave
BREATHER = 100  # reads, or quarters of a KiB, after which the others of this loop get a turn, whatever there is to read


WIRE_SUBJECTS: Mapping[str, Subject] = {
    **TIMINGS,
    "certificate": Subject("certificate", "duration", "The time left until the certificate expires (with tls)."),
}
"""What an expectation of every kind that speaks over a `Wire` can be about."""


OVER_TLS: Mapping[str, str] = {"certificate": "tls", "tls": "tls"}
"""What of them is known only where TLS is spoken."""


class WireSpec(ProxiedSpec, SecuredSpec):
    """Options of the kinds that speak a binary protocol."""

    target_option: ClassVar[str] = "address"
    known_with: ClassVar[Mapping[str, str]] = OVER_TLS

    address: HostPort
    """The host and port that is connected to, as in host.example.org:5671 or [::1]:5671."""
    tls: bool = False
    """Speak TLS from the first byte on."""

    @cached_property
    def target(self) -> tuple[str, int]:
        """The host and the port."""
        return parse_host_port(self.address)

    @model_validator(mode="after")
    def _has_a_use_for_what_tls_needs(self) -> Self:
        given = [name for name in ("ca", "server_name", "client_certificate") if getattr(self, name)]
        if given and not self.tls:
            raise ValueError(f"{given[0]}: is of use with tls only")
        return self


class Wire(Connection):
    """A connection whose bytes are read in order and by number."""

    def __init__(self, watch: Stopwatch) -> None:
        super().__init__()
        self.watch = watch
        self.heard = 0  # bytes so far
        self.last_ns = 0  # when the last of them came
        self.closed = False
        self._unread = bytearray()
        self._busy = 0  # since the others had a turn
        self._trouble: Exception | None = None
        self._news: asyncio.Future[None] | None = None

    def received(self, data: bytes, at_ns: int) -> None:
        """A piece of what is to be read."""
        if self.watch.phase == "first_byte":
            self.watch.mark("first_byte", "transfer", at_ns)
        self.heard += len(data)
        self.last_ns = at_ns
        if self.heard > MAX_HEARD:
            self.abort()
            self._unread.clear()
            self.ended(self.failure(Reason.TOO_LARGE, f"the other side sent more than {MAX_HEARD // 1024} KiB"))
            return
        self._unread += data
        self._wake()

    def ended(self, exc: Exception | None) -> None:
        """Nothing comes after what is unread."""
        self.closed, self._trouble = True, exc
        self._wake()

    async def read(self, count: int) -> bytes:
        """The next `count` bytes. Raises ProbeFailure where they will never come, OSError where the connection broke."""
        if count > MAX_HEARD:
            raise self.failure(
                Reason.TOO_LARGE, f"the other side announced {count} bytes; {MAX_HEARD} are read at most"
            )
        await self._breathe(count)
        while len(self._unread) < count:
            await self._more()
        return self._take(count)

    async def line(self, most: int) -> bytes:
        """The next line without its end (CR LF), of at most so many bytes. Raises like `read`."""
        await self._breathe(most)
        while (end := self._unread.find(b"\r\n", 0, most + 2)) < 0:
            if len(self._unread) >= most + 2:
                raise self.failure(Reason.PROTOCOL, f"a line of the answer is longer than {most} bytes")
            await self._more()
        return self._take(end + 2)[:-2]

    async def some(self) -> bytes:
        """What has come and is unread, once there is any. Raises like `read`."""
        while not self._unread:
            await self._more()
        return self._take(len(self._unread))

    @property
    def unread(self) -> int:
        """How many bytes have come that nobody has read."""
        return len(self._unread)

    def finish(self) -> None:
        """The answer is whole: its last byte is the last that was heard."""
        self.watch.mark(self.watch.phase, "other", max(self.last_ns, self.watch.last_ns))

    async def take_leave(self, last_words: bytes, within: float) -> None:
        """Say good-bye and give the other side a moment to answer or to close, lest it logs a client that vanished."""
        self.send(last_words)
        with contextlib.suppress(TimeoutError, ProbeFailure, OSError):
            async with asyncio.timeout(min(FAREWELL, within)):
                await self.some()

    def now_ns(self) -> int:
        """The instant by the clock that stamps what arrives."""
        return clock.monotonic_ns()

    def failure(self, reason: Reason, message: str) -> ProbeFailure:
        """A failure in the phase that is running."""
        return ProbeFailure(Failure(reason=reason, message=message, phase=self.watch.phase))

    async def _breathe(self, count: int) -> None:
        self._busy += 1 + count // 256
        if self._busy >= BREATHER:
            self._busy = 0
            await asyncio.sleep(0)

    def _take(self, count: int) -> bytes:
        taken = bytes(self._unread[:count])
        del self._unread[:count]
        return taken

    async def _more(self) -> None:
        if self._trouble is not None:
            raise self._trouble
        if self.closed:
            when = "in the middle of the conversation" if self.heard else "before any answer"
            raise self.failure(Reason.CLOSED, f"the connection was closed {when}")
        self._news = asyncio.get_running_loop().create_future()
        await self._news

    def _wake(self) -> None:
        if self._news is not None and not self._news.done():
            self._news.set_result(None)


async def open_wire(spec: WireSpec, context: ProbeContext, target: tuple[str, int] | None = None) -> Wire:
    """A wire to the monitor's target, or to another that it named, over TLS where the monitor says so.

    Raises like `dial`. Whoever gets the wire aborts it.
    """
    host, port = target or spec.target
    tls = spec_tls(spec) if spec.tls else None
    wire = await dial(context, host, port, lambda: Wire(context.stopwatch), tls, route=spec.route)
    wire.start()

    def explain() -> dict[str, Any]:
        return {"certificate": wire.certificate.as_dict()} if wire.certificate is not None else {}

    context.seen.explain = explain
    return wire


@contextlib.contextmanager
def importing(extra: str, watch: Stopwatch) -> Iterator[None]:
    """A time in which a library is imported, which the first probe of a process does and no target is to blame for.

    Raises ProbeFailure where the library is not here; `extra` of this package brings it.
    """
    began_ns = clock.monotonic_ns()
    try:
        yield
    except ModuleNotFoundError as exc:
        message = f"{exc.name} is not installed; install it with: pip install 'stillup[{extra}]'"
        raise ProbeFailure(Failure(reason=Reason.NO_DRIVER, message=message)) from exc
    watch.leave_out(watch.last_ns + clock.monotonic_ns() - began_ns)


def printable(text: str | bytes) -> str:
    """The beginning of what a target said, for a message."""
    text = text.decode("utf-8", "backslashreplace") if isinstance(text, bytes) else text
    return "".join(char if char.isprintable() else "\N{REPLACEMENT CHARACTER}" for char in text[:200])


def time_left(spec: ProbedSpec, context: ProbeContext) -> float:
    """Half of the seconds until the deadline: what may be spent on good manners once the answer is there."""
    return (spec.timeout - (clock.monotonic_ns() - context.stopwatch.started_ns) / 1e9) / 2
