"""A dialogue with a target: what it says is kept, bounded, until a reply is whole, and stamped when it became so.

Kinds whose protocol takes turns speak through it: the mail protocols, the first words before a TLS handshake, `tcp`.
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from dataclasses import replace

from checks.network.connection import Connection
from checks.probe import ProbeFailure, Stopwatch
from checks.result import Failure, Reason

MAX_UNREAD = 65536  # bytes of one reply
MAX_LINE = 4096  # bytes of one line of a protocol
MAX_LINES = 200  # of one reply

Measure = Callable[[bytearray], int]
"""How many of the bytes heard so far make a whole reply; 0 while it is not whole. Raises ProbeFailure for nonsense."""


class Dialogue(Connection):
    """A connection on which the two sides take turns."""

    def __init__(self, watch: Stopwatch) -> None:
        super().__init__()
        self.watch = watch
        self.heard = bytearray()  # and not read yet
        self.closed = False
        self._last_ns = 0  # when the last byte came
        self._measure: Measure | None = None  # of the reply that is being waited for
        self._length = 0  # of that reply, once it is whole
        self._whole_ns = 0  # when it became whole
        self._trouble: Exception | None = None
        self._news: asyncio.Future[None] | None = None

    @property
    def own_address(self) -> str:
        """Our end of the connection."""
        assert self.transport is not None  # noqa: S101 - whoever speaks is connected
        return str(self.transport.get_extra_info("sockname")[0])

    def received(self, data: bytes, at_ns: int) -> None:
        """A piece of a reply; what comes beyond the cap is thrown away."""
        if self.watch.phase == "first_byte":
            self.watch.mark("first_byte", "transfer", at_ns)
        self.heard += data[: MAX_UNREAD - len(self.heard)]
        self._last_ns = at_ns
        self._judge()
        self._wake()

    def ended(self, exc: Exception | None) -> None:
        """The other side said all it has to say."""
        self.closed, self._trouble = True, exc
        self._wake()

    async def read(self, measure: Measure) -> bytes:
        """The next reply. Raises ProbeFailure where it is nonsense or cut off, OSError where the connection broke."""
        reply = await self.listen(measure)
        if self._length:
            return reply
        if self._trouble is not None:
            raise self._trouble
        where = "in the middle of an answer" if reply else "before an answer came"
        message = f"the connection was closed {where}"
        raise ProbeFailure(Failure(reason=Reason.CLOSED, message=message, phase=self.watch.phase))

    async def listen(self, measure: Measure, quiet: float | None = None) -> bytes:
        """What is said until a reply is whole, the other side ends, or it is `quiet` for so long after a line end.

        Raises ProbeFailure for nonsense and OSError where the connection broke before any byte.
        """
        self._measure, self._length = measure, 0
        self._judge()
        while not (self._length or self.closed):
            self._news = asyncio.get_running_loop().create_future()
            if quiet is None or not self.heard.endswith(b"\n"):
                await self._news
                continue
            # Whoever has finished a line may be done or may go on; a short silence says which.
            done, _ = await asyncio.wait([self._news], timeout=quiet)
            if not done:
                break
        self._measure = None
        if self._trouble is not None and not self.heard:
            raise self._trouble
        reply = bytes(self.heard[: self._length or None])
        del self.heard[: len(reply)]
        if reply:
            ended_ns = self._whole_ns if self._length else self._last_ns
            # What is said next, by whomever, belongs to the next exchange.
            self.watch.mark(self.watch.phase, "first_byte", max(ended_ns, self.watch.last_ns))
        return reply

    def _judge(self) -> None:
        if self._measure is None or self._length or not self.heard:
            return
        try:
            self._length = self._measure(self.heard)
            if not self._length and len(self.heard) >= MAX_UNREAD:
                raise nonsense(f"an answer of more than {MAX_UNREAD // 1024} KiB", Reason.TOO_LARGE)
        except ProbeFailure as exc:
            self._trouble, self.closed = ProbeFailure(replace(exc.failure, phase=self.watch.phase)), True
            self.heard.clear()
        self._whole_ns = self._last_ns

    def _wake(self) -> None:
        if self._news is not None and not self._news.done():
            self._news.set_result(None)


def nonsense(what: str, reason: Reason = Reason.PROTOCOL) -> ProbeFailure:
    """The failure of a target that sent what its protocol does not know."""
    return ProbeFailure(Failure(reason=reason, message=f"the other side sent {what}"))


def exactly(length: int) -> Measure:
    """Measures a reply of so many bytes."""
    return lambda heard: length if len(heard) >= length else 0


def lines(is_last: Callable[[bytes], bool]) -> Measure:
    """Measures a reply in lines, up to the one that `is_last` knows; it raises ProbeFailure for one that can't be."""

    def measure(heard: bytearray) -> int:
        begin = 0
        for _ in range(MAX_LINES):
            end = heard.find(b"\n", begin) + 1
            if (end or len(heard)) - begin > MAX_LINE:
                raise nonsense(f"a line of more than {MAX_LINE:,} bytes", Reason.TOO_LARGE)
            if not end:
                return 0
            if is_last(bytes(heard[begin:end])):
                return end
            begin = end
        raise nonsense(f"an answer of more than {MAX_LINES} lines", Reason.TOO_LARGE)

    return measure


def spoken(data: bytes) -> str:
    """A line of a protocol as text, without its end and whatever is not printable."""
    text = data.decode("utf-8", "replace").rstrip("\r\n")
    return "".join(char if char.isprintable() or char in "\n\t" else "\N{REPLACEMENT CHARACTER}" for char in text)
