"""What Redis and its like say and hear: RESP, version 2 (https://redis.io/docs/latest/develop/reference/protocol-spec)."""

from __future__ import annotations

from typing import Any

from checks.probe import ProbeFailure
from checks.protocols.databases import MAX_VALUES
from checks.protocols.wire import Wire, printable
from checks.result import Reason

MAX_LINE = 4096  # bytes of a length, a number, a short text or an error
MAX_DEPTH = 20  # of lists in lists


class Refusal(Exception):
    """The server answered a command with an error; its first word says of which sort."""

    def __init__(self, message: str) -> None:
        super().__init__(message)
        self.sort = message.partition(" ")[0]


def command(*words: str) -> bytes:
    """A command as it is sent."""
    encoded = [word.encode() for word in words]
    return b"*%d\r\n" % len(encoded) + b"".join(b"$%d\r\n%s\r\n" % (len(word), word) for word in encoded)


async def answer(wire: Wire) -> Any:
    """The next answer: text, bytes, a number, None, or a list of these. Raises Refusal, and ProbeFailure for nonsense."""
    value = await _Answer(wire).read()
    if isinstance(value, Refusal):
        raise value
    return value


class _Answer:
    """One answer, read value by value."""

    def __init__(self, wire: Wire) -> None:
        self._wire, self._left = wire, MAX_VALUES

    async def read(self, depth: int = 0) -> Any:
        wire = self._wire
        self._left -= 1
        if self._left < 0:
            raise wire.failure(Reason.TOO_LARGE, f"the answer has more than {MAX_VALUES:,} values")
        line = await wire.line(MAX_LINE)
        sort, rest = line[:1], line[1:]
        match sort:
            case b"+":
                return rest.decode("utf-8", "replace")
            case b"-":
                return Refusal(printable(rest))
            case b":":
                return self._number(rest)
            case b"$":
                length = self._number(rest)
                return None if length < 0 else await self._bytes(length)
            case b"*" if depth < MAX_DEPTH:
                count = self._number(rest)
                return None if count < 0 else [await self._element(depth + 1) for _ in range(count)]
            case _:
                raise nonsense(wire)

    async def _element(self, depth: int) -> Any:
        value = await self.read(depth)
        return str(value) if isinstance(value, Refusal) else value

    async def _bytes(self, length: int) -> bytes:
        data = await self._wire.read(length + 2)
        if not data.endswith(b"\r\n"):
            raise nonsense(self._wire)
        return data[:-2]

    def _number(self, text: bytes) -> int:
        if not text.removeprefix(b"-").isdigit() or len(text) > 20:
            raise nonsense(self._wire)
        return int(text)


def nonsense(wire: Wire) -> ProbeFailure:
    """The failure of what is no RESP."""
    return wire.failure(Reason.PROTOCOL, "the answer is not of Redis's protocol")
