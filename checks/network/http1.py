"""One HTTP/1.1 exchange over one connection: a request written out beforehand, an answer read under caps.

The stamps of the first byte and of the end are those of the chunk that brought them. What the target sends is bounded
in header bytes, header lines, informational answers and body; time is bounded by whoever awaits.
"""

from __future__ import annotations

import asyncio

import httptools

from checks import clock
from checks.network.connection import Connection
from checks.network.request import Request
from checks.probe import ProbeFailure, Stopwatch
from checks.result import Failure, Reason

MAX_BODY = 1024 * 1024  # bytes; an answer is cut there, and the result says so
MAX_HEAD = 64 * 1024  # bytes of all headers
MAX_HEADERS = 100
MAX_WIRE = 2 * MAX_BODY + MAX_HEAD  # bytes of everything: a body may be wrapped in chunks of one byte
AT_ONCE = 8 * 1024  # bytes of what may be tiny chunks that are read in one turn of the loop: it takes milliseconds
MAX_INFORMATIONAL = 8  # answers 1xx before the real one
REDIRECTS = frozenset({301, 302, 303, 307, 308})

Headers = list[tuple[bytes, bytes]]


class Exchange(Connection):
    """Sends one request and reads its answer. After `run`, the answer is in `status`, `headers` and `body`."""

    status = 0
    cut = False  # the body went on beyond the cap
    length: int | None = None  # what Content-Length announced
    version = ""  # of HTTP in which the answer came: 1.1, 2
    received_bytes = 0  # of the body, so far
    _end_unread: tuple[Exception | None] | None = None  # the end of the connection, which came after what is unread
    _wire_bytes = 0
    _head_done = False
    _fields = 0  # headers and trailers
    _informational = 0
    _chunked = False
    _trouble: Exception | None = None
    is_sated = False  # set once the answer is whole, or never will be

    def __init__(self, watch: Stopwatch, *, bodiless: bool, skip_redirect_body: bool) -> None:
        super().__init__()
        self.watch = watch
        self.headers: Headers = []
        self._first: dict[bytes, bytes] = {}  # the first header of each lower-case name
        self._bodiless = bodiless  # the answer to HEAD has none, whatever it announces
        self._skip_redirect_body = skip_redirect_body
        self._parser: httptools.HttpResponseParser | None = httptools.HttpResponseParser(self)
        # Old servers end lines with a bare LF, and clients have always read them.
        self._parser.set_dangerous_leniencies(lenient_optional_cr_before_lf=True, lenient_spaces_after_chunk_size=True)
        self._unread: list[tuple[bytes, int]] = []  # what came and waits for its turn
        self._pieces: list[bytes] = []
        self._done: asyncio.Future[None] = asyncio.get_running_loop().create_future()

    @property
    def body(self) -> bytes:
        """The body as it was sent, its first MAX_BODY bytes."""
        return b"".join(self._pieces)

    def header(self, name: bytes) -> bytes | None:
        """The first header of this lower-case name."""
        return self._first.get(name)

    async def run(self, request: Request) -> None:
        """Send the request and read the answer to its end. Raises ProbeFailure, and OSError where the connection broke."""
        self.watch.leave_out(self.opened_ns or clock.monotonic_ns())
        if not self.opened_ns:
            self.send(request.wire)
        self.start()
        try:
            await self._done
        finally:
            self._parser = None  # it holds methods of ours: a circle, left to the collector by every probe

    # What arrives.

    def received(self, data: bytes, at_ns: int) -> None:
        """Feed the parser; called by `Connection` with bytes in clear."""
        if len(data) <= AT_ONCE and not self._unread:
            self._parse(data, at_ns)
            return
        self._unread.append((data, at_ns))
        if len(self._unread) == 1:
            self._read_on()

    def _read_on(self) -> None:
        """Feed the parser with what came, so much a turn of the loop that other probes need not wait long."""
        if self.is_sated or self._parser is None:
            self._unread.clear()
            return
        data, at_ns = self._unread.pop(0)
        may_be_chunks = self._chunked or not self._head_done
        if may_be_chunks and len(data) > AT_ONCE:
            self._unread.insert(0, (data[AT_ONCE:], at_ns))
            data = data[:AT_ONCE]
        self._parse(data, at_ns)
        if self._unread:
            self.pause()
            asyncio.get_running_loop().call_soon(self._read_on)
        elif self._end_unread is not None:
            self.ended(*self._end_unread)
        else:
            self.resume()

    def _parse(self, data: bytes, at_ns: int) -> None:
        if self.is_sated or self._parser is None:
            return
        if self.watch.phase == "first_byte":
            self.watch.mark("first_byte", "transfer", at_ns)
        self._wire_bytes += len(data)
        try:
            self._parser.feed_data(data)
        except httptools.HttpParserUpgrade:
            self.is_sated = True
        except httptools.HttpParserError as exc:
            if not self.is_sated:  # what comes after a whole answer is nobody's business
                self._fail(Reason.PROTOCOL, _spoken(exc, data, head_done=self._head_done))
        if self._wire_bytes > MAX_HEAD and self._trouble is None:
            self._check_size()
        if self._trouble is not None:
            self._settle(self._trouble)
        elif self.is_sated:
            self.watch.mark("transfer", "other", at_ns)
            self._settle(None)

    def _check_size(self) -> None:
        if not self._head_done:
            self._fail(Reason.TOO_LARGE, f"the headers are over {MAX_HEAD // 1024} KiB")
        elif self._wire_bytes > MAX_WIRE and not self.is_sated:
            self._fail(Reason.TOO_LARGE, "the body is wrapped in more than 1 MiB of chunk headers and trailers")

    def ended(self, exc: Exception | None) -> None:
        """The target closed the connection, which ends an answer that announced no length."""
        if self.is_sated:
            return
        if self._unread:
            self._end_unread = (exc,)
            return
        if exc is not None:
            self._settle(exc)
        elif self._head_done and self.length is None and not self._chunked:
            self.is_sated = True
            self.watch.mark("transfer", "other", clock.monotonic_ns())
            self._settle(None)
        else:
            self._fail(Reason.CLOSED, self._end_in_words())
            self._settle(self._trouble)

    def _end_in_words(self) -> str:
        if not self._wire_bytes:
            return "the connection was closed before any answer"
        if not self._head_done:
            return "the connection was closed in the middle of the headers"
        if self.length is not None:
            return f"the body ended early ({self.received_bytes} of {self.length} bytes)"
        return f"the chunked body ended early (after {self.received_bytes} bytes)"

    def _fail(self, reason: Reason, message: str) -> None:
        self.is_sated = True
        self._trouble = ProbeFailure(Failure(reason=reason, message=message, phase=self.watch.phase))

    def _settle(self, exc: Exception | None) -> None:
        if self._done.done():
            return
        if exc is None:
            self._done.set_result(None)
        else:
            self._done.set_exception(exc)

    # What httptools calls. An exception here would come out of `feed_data` as one of the parser's.

    def on_header(self, name: bytes, value: bytes) -> None:
        """One header line."""
        if self.is_sated:
            return
        self._fields += 1
        if self._fields > MAX_HEADERS:
            self._fail(Reason.TOO_LARGE, f"the answer has more than {MAX_HEADERS} headers")
            return
        if self._head_done:  # a trailer is no header (RFC 9110, 6.5.1)
            return
        self.headers.append((name, value))
        lower = name.lower()
        self._first.setdefault(lower, value)
        if lower == b"content-length" and value.isdigit():
            self.length = int(value[:19])
        elif lower == b"transfer-encoding" and b"chunked" in value.lower():
            self._chunked = True

    def on_headers_complete(self) -> None:
        """The empty line after the headers."""
        if self.is_sated or self._parser is None:
            return
        self.status, self.version = self._parser.get_status_code(), self._parser.get_http_version()
        if 100 <= self.status < 200 and self.status != 101:
            self._informational += 1
            if self._informational > MAX_INFORMATIONAL:
                self._fail(
                    Reason.PROTOCOL, f"more than {MAX_INFORMATIONAL} informational answers (status {self.status})"
                )
            self.headers.clear()
            self._first.clear()
            self._fields = 0
            self.length, self._chunked = None, False
            return
        if self.status < 100:  # up to 999 there are servers that mean it: the expectation judges
            self._fail(Reason.PROTOCOL, f"not a valid HTTP answer: its status is {self.status:03d}")
            return
        if self._wire_bytes > MAX_HEAD < sum(len(name) + len(value) for name, value in self.headers):
            self._fail(Reason.TOO_LARGE, f"the headers are over {MAX_HEAD // 1024} KiB")
            return
        self._head_done = True
        if self._bodiless or (self._skip_redirect_body and self.status in REDIRECTS and self.header(b"location")):
            self.is_sated = True

    def on_body(self, piece: bytes) -> None:
        """A piece of the body."""
        if self.is_sated:
            return
        self.received_bytes += len(piece)
        if self.received_bytes > MAX_BODY:
            piece = piece[: len(piece) - (self.received_bytes - MAX_BODY)]
            self.received_bytes = MAX_BODY
            self.cut = self.is_sated = True
        self._pieces.append(piece)

    def on_message_complete(self) -> None:
        """The end of an answer, be it an informational one."""
        if self._head_done:
            self.is_sated = True


def _spoken(exc: Exception, data: bytes, *, head_done: bool) -> str:
    """What the parser complains about, in words; with the first bytes where they are no HTTP at all."""
    words = str(exc)
    if "content-length" in words.lower():
        return f"bad Content-Length: {words}"
    if head_done:
        return f"the body is not well-formed: {words}"
    begins = data[:24].decode("ascii", "backslashreplace")
    return f"not a valid HTTP answer: {words}" + ("" if data.startswith(b"HTTP/") else f"; it begins with {begins!r}")
