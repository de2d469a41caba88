"""One visit to a WebSocket (RFC 6455) over a connection of ours: the library parses, and does no more.

So each phase ends where its bytes arrive, and what the other side sends is bounded in bytes, frames and messages.
"""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Mapping, Sequence

from websockets.client import ClientProtocol
from websockets.datastructures import Headers
from websockets.exceptions import (
    InvalidHandshake,
    InvalidHeaderValue,
    InvalidMessage,
    InvalidStatus,
    NegotiationError,
    PayloadTooBig,
    SecurityError,
)
from websockets.frames import CLOSE_CODE_EXPLANATIONS, Frame, Opcode
from websockets.http11 import Response
from websockets.protocol import OPEN
from websockets.typing import Origin, Subprotocol
from websockets.uri import WebSocketURI

from checks.address import Url
from checks.evidence import excerpt
from checks.network.connection import Connection
from checks.probe import ProbeFailure, Stopwatch
from checks.result import Failure, Reason

MAX_MESSAGE = 1024 * 1024  # bytes
MAX_HEARD = MAX_MESSAGE + 256 * 1024  # bytes of a whole visit
MAX_FRAMES = 2000  # of a whole visit
SLICE = 1024  # bytes fed to the parser at a time, so that many small frames do not stop the loop
# The library logs every header and frame for whoever debugs it, and there are secrets in them.
_silent = logging.getLogger(f"{__name__}.frames")
_silent.disabled = True


class Visit(Connection):
    """One WebSocket, from the upgrade to the reply or the close."""

    def __init__(
        self, watch: Stopwatch, url: Url, *, headers: Mapping[str, str], origin: str, subprotocols: Sequence[str]
    ) -> None:
        super().__init__()
        self.watch = watch
        self.protocol = ClientProtocol(
            WebSocketURI(url.secure, url.host, url.port, url.target, ""),
            origin=Origin(_as_sent(origin)) if origin else None,
            subprotocols=[Subprotocol(name) for name in subprotocols] or None,
            max_size=MAX_MESSAGE,
            logger=_silent,
        )
        self.response: Response | None = None
        self.messages: list[bytes] = []
        self.last_ns = 0  # when its last byte came
        self._given = headers
        self._partial: bytearray | None = None
        self._size = self._frames = 0
        self._ended = False
        self._trouble: Exception | None = None
        self._news: asyncio.Future[None] | None = None

    def ask(self) -> None:
        """Send the upgrade."""
        request = self.protocol.connect()
        _put(request.headers, {"User-Agent": "Stillup", **self._given})
        self.protocol.send_request(request)
        self._flush_frames()
        self.start()

    def say(self, text: str, *, binary: bool) -> None:
        """Send one message."""
        (self.protocol.send_binary if binary else self.protocol.send_text)(text.encode())
        self._flush_frames()

    @property
    def is_open(self) -> bool:
        """Whether messages may be sent."""
        return self.protocol.state is OPEN

    def take_leave(self) -> None:
        """Say that we go, where that is still of interest."""
        if self.is_open:
            self.protocol.send_close(1000)
            self._flush_frames()

    async def answer(self) -> Response:
        """The answer to the upgrade, be it a refusal. Raises ProbeFailure, and OSError where the connection broke."""
        while self.response is None and self.protocol.handshake_exc is None and not self._is_over():
            await self._more()
        problem = self.protocol.handshake_exc
        if self.response is not None and (problem is None or isinstance(problem, InvalidStatus)):
            return self.response
        if self._trouble is not None:
            raise self._trouble
        raise _failure(*_spoken(problem, self.response), self.watch)

    async def message(self, index: int) -> bytes | None:
        """The message of this index; None where it closed before, in the way that the protocol has for it."""
        while len(self.messages) <= index and self.close_code is None and not self._is_over():
            await self._more()
        if len(self.messages) > index:
            return self.messages[index]
        if self.close_code is None:
            raise self._silence()
        return None

    async def closed(self) -> None:
        """Read on until it closes. Raises ProbeFailure where it does so in another way than the protocol has for it."""
        while self.close_code is None and not self._is_over():
            await self._more()
        if self.close_code is None:
            raise self._silence()

    @property
    def close_code(self) -> int | None:
        """The code with which it closed; None where it did not say."""
        return None if self.protocol.close_rcvd is None else self.protocol.close_rcvd.code

    def closing(self) -> str:
        """How it closed, in words: 1008 (policy violation): go away."""
        close = self.protocol.close_rcvd
        if close is None:
            return "without a word"
        words = CLOSE_CODE_EXPLANATIONS.get(close.code, "").removesuffix(" [internal]")
        reason = excerpt(close.reason.encode())[:200]
        return f"{close.code}{f' ({words})' if words else ''}{f': {reason}' if reason else ''}"

    # What arrives.

    def received(self, data: bytes, at_ns: int) -> None:
        """Bytes of the answer and of frames."""
        if self.watch.phase == "first_byte":
            self.watch.mark("first_byte", "transfer", at_ns)
        self.last_ns = at_ns
        self._size += len(data)
        for start in range(0, len(data), SLICE):
            self.protocol.receive_data(data[start : start + SLICE])
            self._take()
            if self._size > MAX_HEARD or self._frames > MAX_FRAMES:
                message = f"it sent more than {MAX_HEARD // 1024} KiB or {MAX_FRAMES} frames"
                self._trouble = _failure(Reason.TOO_LARGE, message, self.watch)
                self.abort()
                break
        self._flush_frames()
        self._wake()

    def ended(self, exc: Exception | None) -> None:
        """The other side closed the connection."""
        self._ended = True
        self._trouble = self._trouble or exc
        self.protocol.receive_eof()
        self._take()
        self._wake()

    def _take(self) -> None:
        for event in self.protocol.events_received():
            if isinstance(event, Response):
                self.response = event
            elif isinstance(event, Frame):
                self._frames += 1
                self._add(event)

    def _add(self, frame: Frame) -> None:
        if frame.opcode in (Opcode.TEXT, Opcode.BINARY):
            self._partial = bytearray()
        elif frame.opcode is not Opcode.CONT:
            return
        if self._partial is not None:
            self._partial += frame.data
            if frame.fin:
                self.messages.append(bytes(self._partial))
                self._partial = None

    def _is_over(self) -> bool:
        return self._ended or self._trouble is not None or self.protocol.parser_exc is not None

    def _silence(self) -> Exception:
        """Why nothing more comes, where it did not close in the way that the protocol has for it."""
        if self._trouble is not None:
            return self._trouble
        problem = self.protocol.parser_exc
        if isinstance(problem, PayloadTooBig):
            return _failure(Reason.TOO_LARGE, f"a message is over {MAX_MESSAGE // 1024} KiB", self.watch)
        if problem is None or isinstance(problem, EOFError):
            return _failure(Reason.CLOSED, "the connection was closed without a close frame (1006)", self.watch)
        return _failure(Reason.PROTOCOL, f"not valid WebSocket frames: {_clipped(problem)}", self.watch)

    def _flush_frames(self) -> None:
        for data in self.protocol.data_to_send():
            if data:  # an empty one would end our side
                self.send(data)

    def _wake(self) -> None:
        if self._news is not None and not self._news.done():
            self._news.set_result(None)

    async def _more(self) -> None:
        self._news = asyncio.get_running_loop().create_future()
        await self._news


def _put(headers: Headers, given: Mapping[str, str]) -> None:
    for name, value in given.items():
        if name in headers:
            del headers[name]
        headers[name] = _as_sent(value)


def _as_sent(value: str) -> str:
    """A value that the library, which knows headers in Latin-1, sends in UTF-8."""
    return value.encode().decode("iso-8859-1")


def _clipped(problem: BaseException) -> str:
    return excerpt(str(problem).encode())[:200]


def _failure(reason: Reason, message: str, watch: Stopwatch) -> ProbeFailure:
    return ProbeFailure(Failure(reason=reason, message=message, phase=watch.phase))


def _spoken(problem: Exception | None, response: Response | None) -> tuple[Reason, str]:
    """Why the upgrade failed: what is wrong with the answer to it."""
    match problem:
        case InvalidHeaderValue(name="Sec-WebSocket-Accept"):
            return Reason.PROTOCOL, "the upgrade was answered with a wrong Sec-WebSocket-Accept: not for our key"
        case NegotiationError():
            return Reason.PROTOCOL, f"the upgrade was answered with what was not offered: {_clipped(problem)}"
        case InvalidMessage() | SecurityError():
            cause = problem.__cause__ or problem
            if isinstance(cause, EOFError):
                return Reason.CLOSED, "the connection was closed before the upgrade was answered"
            if isinstance(cause, SecurityError):
                return Reason.TOO_LARGE, f"the answer to the upgrade is too large: {_clipped(cause)}"
            return Reason.PROTOCOL, f"not a valid HTTP answer: {_clipped(cause)}"
        case InvalidHandshake():
            status = response.status_code if response is not None else 0
            return Reason.PROTOCOL, f"the upgrade was answered with status {status}, but {_clipped(problem)}"
        case _:
            return Reason.CLOSED, "the connection was closed before the upgrade was answered"
