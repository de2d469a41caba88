"""`/ping/<code>` and `/ping/<key>/<slug>`, then `/start`, `/fail`, `/log` or an exit code: what jobs report to.

An ASGI application of its own. The same forms as healthchecks.io, so that its clients work unchanged: GET, HEAD and
POST, `?rid=` to pair the start and the end of a run, `?create=1` to make a monitor that is not there. A 200 means that
the ping is on disk. What can't be stored is 503 with Retry-After, what comes too fast 429, an unknown code 404, a slug
of a monitor that is not pinged 409, and so is everything that is no ping 404 or 400.
"""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Awaitable, Callable, Mapping, MutableMapping
from functools import lru_cache
from typing import Any

from checks import clock
from checks.deadline import Deadline
from checks.heartbeats.journal import ANSWER_WITHIN, Journal, NotStored
from checks.heartbeats.limits import Limits
from checks.heartbeats.request import METHODS, Headers, Refused, Request, numbers_of, read
from checks.heartbeats.runs import Named, Ping, Verdict

BODY_KEPT = 10_000  # bytes
BODY_READ = 1 << 20  # bytes; what is longer is refused
BODY_WITHIN = 10.0  # seconds
RETRY_AFTER = 5  # seconds

Scope = MutableMapping[str, Any]
Message = MutableMapping[str, Any]
Receive = Callable[[], Awaitable[Message]]
Send = Callable[[Message], Awaitable[None]]
Make = Callable[[str], Awaitable[bool]]
"""Makes the monitor of a slug, with this installation's defaults, and publishes it. Repeated, it does nothing.

Whether the slug is that of a heartbeat now: one that left the configuration may have been of another kind.
"""

logger = logging.getLogger(__name__)


class PingReceiver:
    """Answers pings. `open` begins to store them, `close` stores the last. Without `make`, none makes a monitor."""

    def __init__(self, url: str, make: Make | None = None) -> None:
        self._limits = Limits()
        self._journal = Journal(url, self._limits.take_strangers)
        self._make = make

    def open(self) -> None:
        """Begin to store."""
        self._journal.open()

    def beat(self) -> None:
        """The loop moves, on which we are called."""
        self._journal.beat()

    def drain(self) -> None:
        """The server receives no more: nobody is to think that a ping would be heard."""
        self._journal.drain()

    def close(self) -> None:
        """Store what was received, then stop."""
        self._journal.close()

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Answer one request."""
        try:
            now = clock.utcnow()
            request = read(scope["path"], scope.get("query_string", b""), now)
            if scope["method"] == "OPTIONS":
                await _answer(send, scope, 204, "", ((b"allow", METHODS.encode()), *_CROSS_ORIGIN))
                return
            made = await self._take(request, scope, receive)
        except Refused as refused:
            await _answer(send, scope, refused.status, str(refused), refused.headers)
        else:
            await _answer(send, scope, *((201, "Created") if made else (200, "OK")), _BODY_LIMIT)

    async def _take(self, request: Request, scope: Scope, receive: Receive) -> bool:
        """Take one ping; whether its monitor was made for it. Raises Refused."""
        method = scope["method"]
        if method not in ("GET", "HEAD", "POST"):
            raise Refused(405, f"a ping is {METHODS}", [(b"allow", METHODS.encode())])
        source = str((scope.get("client") or ("",))[0])[:64]
        wait = self._limits.wait(request.address, source)
        if wait:
            raise Refused(429, f"too many pings; send it again in {wait} s", [(b"retry-after", str(wait).encode())])
        headers = dict(reversed(list(scope["headers"])))  # of those that came twice, the first
        body, size = await _read_body(scope, headers, receive)
        ping = Ping(
            address=request.address,
            action=request.action,
            received_at=clock.utcnow(),
            sent_at=request.sent_at,
            exit_code=request.exit_code,
            run=request.run,
            method=method,
            source=source,
            user_agent=headers.get(b"user-agent", b"").decode("latin-1").replace("\0", "")[:200],
            body=body,
            body_size=size,
            numbers={**numbers_of(body), **request.numbers} if body else request.numbers,
        )
        verdict = await self._store(ping)
        made = False
        if verdict is Verdict.MAY_BE_MADE and request.create and self._make and isinstance(request.address, Named):
            # A crash between the two leaves a monitor that waits for its first ping: the client sends it again.
            await self._have_made(self._make, request.address.slug)
            verdict, made = await self._store(ping), True
            if verdict is Verdict.MAY_BE_MADE:  # the store could not be told of it yet
                raise _again()
        self._judge(verdict, ping)
        return made

    async def _store(self, ping: Ping) -> Verdict:
        try:
            return await self._journal.store(ping)
        except NotStored:
            raise _again() from None

    @staticmethod
    async def _have_made(make: Make, slug: str) -> None:
        try:
            async with asyncio.timeout(ANSWER_WITHIN):
                is_pinged = await make(slug)
        except Exception as problem:
            logger.exception("the monitor %s can't be made", slug, extra={"action": "not_made", "monitor": slug})
            raise _again() from problem
        if not is_pinged:
            raise Refused(409, _OTHER_KIND)

    def _judge(self, verdict: Verdict, ping: Ping) -> None:
        """Raise Refused for what was not stored."""
        match verdict:
            case Verdict.STORED:
                self._limits.heard(ping.address)
            case Verdict.OTHER_KIND:
                raise Refused(409, _OTHER_KIND)
            case Verdict.BY_POST_ONLY:
                raise Refused(405, "this monitor is pinged by POST only", [(b"allow", b"POST")])
            case Verdict.UNKNOWN:
                self._limits.unknown(ping.address, ping.source, ping.user_agent)
                what = "this ping key" if isinstance(ping.address, Named) else "this ping code"
                raise Refused(404, f"no monitor has {what}")
            case Verdict.NO_SUCH_SLUG | Verdict.MAY_BE_MADE:
                self._limits.unknown(ping.address, ping.source, ping.user_agent)
                raise Refused(404, "no monitor has this slug")


async def _read_body(scope: Scope, headers: Mapping[bytes, bytes], receive: Receive) -> tuple[bytes, int]:
    """The first bytes of the body, and its size. Raises Refused."""
    announced = headers.get(b"content-length", b"")
    if announced.isdigit() and (len(announced) > 10 or int(announced) > BODY_READ):
        raise Refused(413, f"the body is larger than {BODY_READ} bytes", _CLOSE)
    if not announced and b"transfer-encoding" not in headers and scope.get("http_version") == "1.1":
        return b"", 0  # there is none (RFC 9112, 6.3)
    kept, size = bytearray(), 0
    try:
        with Deadline(BODY_WITHIN):
            while True:
                message = await receive()
                if message["type"] == "http.disconnect":  # the client left, or its chunks are none
                    raise Refused(400, "the body broke off before its end", _CLOSE)
                part = message.get("body", b"")
                kept += part[: BODY_KEPT - len(kept)]
                size += len(part)
                if size > BODY_READ:
                    raise Refused(413, f"the body is larger than {BODY_READ} bytes", _CLOSE)
                if not message.get("more_body", False):
                    return bytes(kept), size
    except TimeoutError:
        raise Refused(408, f"the body did not arrive within {BODY_WITHIN:g} s", _CLOSE) from None


_OTHER_KIND = "this monitor is not one that is pinged"


def _again() -> Refused:
    again = [(b"retry-after", str(RETRY_AFTER).encode())]
    return Refused(503, "the ping could not be stored; send it again", again)


_BODY_LIMIT = ((b"ping-body-limit", str(BODY_KEPT).encode()),)
_CLOSE = ((b"connection", b"close"),)
_CROSS_ORIGIN = ((b"access-control-allow-methods", METHODS.encode()), (b"access-control-max-age", b"86400"))


async def _answer(send: Send, scope: Scope, status: int, sentence: str, headers: Headers) -> None:
    start, body = _messages(status, sentence, tuple(headers), bodiless=scope["method"] == "HEAD")
    await send(start)
    await send(body)


@lru_cache(maxsize=100)
def _messages(
    status: int, sentence: str, headers: tuple[tuple[bytes, bytes], ...], *, bodiless: bool
) -> tuple[Message, Message]:
    """An answer as the server wants it. There are few, and nearly all are one."""
    body = sentence.encode()
    common = [
        (b"content-type", b"text/plain; charset=utf-8"),
        (b"content-length", str(len(body)).encode()),
        (b"cache-control", b"no-store"),
        (b"access-control-allow-origin", b"*"),
        *headers,
    ]
    if status == 204:
        common = [pair for pair in common if not pair[0].startswith(b"content-")]
    return (
        {"type": "http.response.start", "status": status, "headers": common},
        {"type": "http.response.body", "body": b"" if bodiless else body},
    )
