"""One exchange that is in HTTP/2 where the handshake agreed on it, under the caps of HTTP/1.1 and some of its own.

h2 keeps the state of the protocol; here is what a hostile target could make of it: streams without end of frames that
carry nothing, windows that never open, and pushes that nobody asked for.
"""

from __future__ import annotations

import logging
from typing import Any

import h2.errors
import h2.events
from h2.config import H2Configuration
from h2.connection import H2Connection
from h2.exceptions import DenialOfServiceError, ProtocolError
from h2.settings import SettingCodes, Settings

from checks import clock
from checks.network.http1 import (
    MAX_BODY,
    MAX_HEAD,
    MAX_HEADERS,
    MAX_INFORMATIONAL,
    MAX_WIRE,
    REDIRECTS,
    Exchange,
    Headers,
)
from checks.network.request import OURS, Request
from checks.probe import ProbeFailure, Stopwatch
from checks.result import Failure, Reason

MAX_EVENTS = 4000  # of the protocol, in one answer: 1 MiB in frames of 262 bytes
MAX_CONTROLS = 200  # settings, pings, empty pieces of the body: what asks for a reply or does nothing
_WINDOW = 2 * MAX_BODY  # bytes that the target may send without waiting for us: more than we read
_FED = 8192  # bytes that h2 is given at a time, for it reads to the end of what it is given
_SETTINGS, _GOAWAY = 4, 7  # types of frames
_FRAME_HEAD, _GOODBYE, _MAX_FRAME = 9, 8, 16384  # bytes: a head, what is read of a GOAWAY, a frame
_STREAM = 1  # we ask once
_OF_HTTP_1 = OURS - {"content-length", "te"}

logging.getLogger("hpack").setLevel(logging.WARNING)  # below, it tells every header that is sent, credentials too


class Http2Exchange(Exchange):
    """Sends one request and reads its answer, in HTTP/2 where that was agreed on or no handshake asks.

    `or_older`: HTTP/1.1 is spoken where it was not.
    """

    def __init__(self, watch: Stopwatch, *, bodiless: bool, skip_redirect_body: bool, or_older: bool = False) -> None:
        super().__init__(watch, bodiless=bodiless, skip_redirect_body=skip_redirect_body)
        self._or_older = or_older
        self._skip_redirects = skip_redirect_body
        self.trailers: Headers = []  # what came after the body
        self._h2: H2Connection | None = None
        self._unsent = b""
        self._begun = b""  # the first bytes of the target's first frame
        self._events = self._controls = self._hints = 0
        self._goodbyes = Goodbyes()

    async def run(self, request: Request) -> None:
        """Send the request and read the answer to its end. Raises ProbeFailure, and OSError where the connection broke."""
        if self.tls is not None and self.tls.selected_alpn_protocol() != "h2":
            if not self._or_older:
                message = "the other side does not speak HTTP/2"
                raise ProbeFailure(Failure(reason=Reason.PROTOCOL, message=message, phase="tls"))
            await super().run(request)
            return
        self.version = "2"
        self._h2 = H2Connection(H2Configuration(client_side=True, header_encoding=None))
        self._h2.local_settings = Settings(
            client=True,
            initial_values={
                SettingCodes.ENABLE_PUSH: 0,
                SettingCodes.INITIAL_WINDOW_SIZE: _WINDOW,
                SettingCodes.MAX_HEADER_LIST_SIZE: MAX_HEAD,
            },
        )
        self._h2.initiate_connection()
        self._h2.increment_flow_control_window(_WINDOW)
        self.watch.leave_out(clock.monotonic_ns())
        self._ask(self._h2, request)
        self.start()
        await self._done

    def received(self, data: bytes, at_ns: int) -> None:
        """Feed the protocol; called by `Connection` with bytes in clear."""
        if self._h2 is None:
            super().received(data, at_ns)
            return
        if self.is_sated:
            return
        self._wire_bytes += len(data)
        try:
            self._check_beginning(data)
            self._feed(self._h2, self._goodbyes.taken_out(data), at_ns)
        except DenialOfServiceError:
            self._fail(Reason.TOO_LARGE, f"the headers are over {MAX_HEAD // 1024} KiB")
        except (ProtocolError, ValueError) as exc:
            self._fail(Reason.PROTOCOL, f"not valid HTTP/2: {(str(exc) or type(exc).__name__)[:200]}")
        if not self.is_sated and self._wire_bytes > MAX_WIRE:
            self._fail(Reason.TOO_LARGE, "the answer is wrapped in more than 1 MiB of frames that carry nothing")
        if self._trouble is not None:
            self._settle(self._trouble)
        elif self.is_sated:
            self.watch.mark(self.watch.phase, "other", at_ns)
            self._settle(None)

    def _end_in_words(self) -> str:
        if self._h2 is None or not self._head_done or self.length is not None:
            return super()._end_in_words()
        return f"the body ended early (after {self.received_bytes} bytes)"

    def ended(self, exc: Exception | None) -> None:
        """The target closed the connection, which never is the end of an answer in HTTP/2."""
        if self._h2 is not None and not self.is_sated and exc is None:
            self._fail(Reason.CLOSED, self._end_in_words())
            self._settle(self._trouble)
        else:
            super().ended(exc)

    def _ask(self, h2c: H2Connection, request: Request) -> None:
        fields = {name: value for name, value in request.fields.items() if name not in _OF_HTTP_1}
        headers = [(":method", request.method), (":scheme", request.url.scheme), (":authority", fields.pop("host"))]
        headers += [(":path", request.url.target), *fields.items()]
        self._unsent = request.body
        h2c.send_headers(
            _STREAM, [(name.encode(), value.encode()) for name, value in headers], end_stream=not self._unsent
        )
        self._push(h2c)

    def _push(self, h2c: H2Connection) -> None:
        """Send what may be sent: replies of the protocol, and of the body what the window allows."""
        while self._unsent:
            room = min(h2c.local_flow_control_window(_STREAM), h2c.max_outbound_frame_size)
            if room <= 0:
                break
            piece, self._unsent = self._unsent[:room], self._unsent[room:]
            h2c.send_data(_STREAM, piece, end_stream=not self._unsent)
        outgoing = h2c.data_to_send()
        if outgoing:
            self.send(outgoing)

    def _check_beginning(self, data: bytes) -> None:
        """Raise ValueError where the first frame is not of settings (RFC 9113, 3.4): h2 would wait for all of it."""
        if len(self._begun) < 4:
            self._begun += data[: 4 - len(self._begun)]
            if len(self._begun) == 4 and self._begun[3] != _SETTINGS:
                raise ValueError(f"it begins with {data[:24].decode('ascii', 'backslashreplace')!r}")

    def _feed(self, h2c: H2Connection, data: bytes, at_ns: int) -> None:
        for start in range(0, len(data), _FED):
            for event in h2c.receive_data(data[start : start + _FED]):
                self._heed(event, at_ns)
                if self.is_sated:
                    return
        if self._goodbyes.refusal is not None:
            self._fail(Reason.CLOSED, f"the connection was ended (GOAWAY, {_named(self._goodbyes.refusal)})")
        self._push(h2c)

    def _heed(self, event: Any, at_ns: int) -> None:
        self._events += 1
        match event:
            case h2.events.ResponseReceived():
                self._begin(at_ns)
                self._take_head(event.headers)
            case h2.events.InformationalResponseReceived():
                self._begin(at_ns)
                self._hints += 1
            case h2.events.DataReceived():
                self._controls += not event.data
                self.on_body(event.data)
            case h2.events.StreamEnded():
                self.is_sated = True
            case h2.events.StreamReset():
                self._take_reset(event.error_code)
            case h2.events.TrailersReceived():
                self.trailers = list(event.headers)
            case _:
                self._controls += 1
        if not self.is_sated:
            self._check_counts()

    def _check_counts(self) -> None:
        if self._hints > MAX_INFORMATIONAL:
            self._fail(Reason.PROTOCOL, f"more than {MAX_INFORMATIONAL} informational answers")
        elif self._controls > MAX_CONTROLS:
            self._fail(Reason.PROTOCOL, f"more than {MAX_CONTROLS} frames that carry nothing")
        elif self._events > MAX_EVENTS:
            self._fail(Reason.PROTOCOL, f"more than {MAX_EVENTS:,} frames in one answer")

    def _begin(self, at_ns: int) -> None:
        if self.watch.phase == "first_byte":
            self.watch.mark("first_byte", "transfer", at_ns)

    def _take_head(self, headers: list[tuple[bytes, bytes]]) -> None:
        for name, value in headers:
            if name == b":status":
                self.status = int(value)
            elif len(self.headers) >= MAX_HEADERS:
                self._fail(Reason.TOO_LARGE, f"the answer has more than {MAX_HEADERS} headers")
                return
            else:
                self.headers.append((name, value))
                self._first.setdefault(name, value)
        length = self.header(b"content-length")
        if length is not None and length.isdigit():
            self.length = int(length[:19])
        if not 200 <= self.status <= 999:
            self._fail(Reason.PROTOCOL, f"not a valid HTTP answer: its status is {self.status:03d}")
            return
        self._head_done = True
        if self._skip_redirects and self.status in REDIRECTS and self.header(b"location"):
            self.is_sated = True

    def _take_reset(self, code: int) -> None:
        if self._head_done and code == h2.errors.ErrorCodes.NO_ERROR and not self._announced_more():
            self.is_sated = True  # a whole answer before our whole body: RFC 9113, 8.1
        else:
            self._fail(Reason.RESET, f"the stream was reset ({_named(code)})")

    def _announced_more(self) -> bool:
        return self.length is not None and self.received_bytes < self.length


class Goodbyes:
    """Takes GOAWAY out of what the target sends: h2 takes nothing that comes behind it, and our answer may well do.

    A server that will take no more requests on a connection says so before it has answered the last (RFC 9113, 6.8).
    """

    def __init__(self) -> None:
        self.refusal: int | None = None  # the error of a GOAWAY behind which our answer does not come
        self._head = b""  # of the frame that has begun
        self._left = 0  # bytes of its content that are yet to come
        self._goodbye: bytes | None = None  # as much of its content as has come, if it is one

    def taken_out(self, data: bytes) -> bytes:
        """The frames that are for h2. Raises ValueError for a GOAWAY that is none."""
        kept, at = bytearray(), 0
        while at < len(data):
            if not self._left:
                missing = _FRAME_HEAD - len(self._head)
                self._head += data[at : at + missing]
                at += missing
                if len(self._head) == _FRAME_HEAD:
                    kept += self._begin(self._head)
                    self._head = b""
                continue
            piece = data[at : at + self._left]
            at, self._left = at + len(piece), self._left - len(piece)
            if self._goodbye is None:
                kept += piece
            else:
                self._goodbye = (self._goodbye + piece)[:_GOODBYE]
                if not self._left:
                    self._read(self._goodbye)
        return bytes(kept)

    def _begin(self, head: bytes) -> bytes:
        """Take the head of a frame; what of it is for h2."""
        self._left = int.from_bytes(head[:3])
        if head[3] != _GOAWAY:
            self._goodbye = None
            return head
        if not _GOODBYE <= self._left <= _MAX_FRAME:
            raise ValueError(f"a GOAWAY of {self._left} bytes")
        self._goodbye = b""
        return b""

    def _read(self, content: bytes) -> None:
        last, code = int.from_bytes(content[:4]) & 0x7FFFFFFF, int.from_bytes(content[4:])
        if code != h2.errors.ErrorCodes.NO_ERROR or last < _STREAM:
            self.refusal = code


def _named(code: int | None) -> str:
    try:
        return h2.errors.ErrorCodes(code or 0).name
    except ValueError:
        return f"error {code}"
