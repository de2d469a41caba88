"""What Redis and its like say and hear: RESP, version 2 (https://redis.io/docs/latest/develop/reference/protocol-spec)."""

from __future__ import annotations

from typing import Any

from checks.probe import ProbeFailure
from checks.result import Reason
from checks.wire import Wire, printable

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
    """The next answer: text, a number, None, or a list of these. Raises Refusal, and ProbeFailure for nonsense."""
    value = await _value(wire, 0)
    if isinstance(value, Refusal):
        raise value
    return value


async def _value(wire: Wire, depth: int) -> Any:
    line = await wire.line(MAX_LINE)
    sort, rest = line[:1], line[1:]
    match sort:
        case b"+":
            return rest.decode("utf-8", "replace")
        case b"-":
            return Refusal(printable(rest))
        case b":":
            return _number(wire, rest)
        case b"$":
            length = _number(wire, rest)
            if length < 0:
                return None
            data = await wire.read(length + 2)
            if not data.endswith(b"\r\n"):
                raise nonsense(wire)
            return data[:-2]
        case b"*" if depth < MAX_DEPTH:
            count = _number(wire, rest)
            return None if count < 0 else await _values(wire, count, depth + 1)
        case _:
            raise nonsense(wire)


async def _values(wire: Wire, count: int, depth: int) -> list[Any]:
    values = []
    for _ in range(count):  # however many are announced: each takes some of the bytes that the wire will read
        value = await _value(wire, depth)
        values.append(str(value) if isinstance(value, Refusal) else value)
    return values


def _number(wire: Wire, text: bytes) -> int:
    if not text.removeprefix(b"-").isdigit() or len(text) > 20:
        raise nonsense(wire)
    return int(text)


def nonsense(wire: Wire) -> ProbeFailure:
    """The failure of what is no RESP."""
    return wire.failure(Reason.PROTOCOL, "the answer is not of Redis's protocol")
