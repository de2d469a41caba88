"""`/ping/<code>[/start|/fail|/log|/<exit code>]`: the ASGI application that jobs report to.

The same forms as healthchecks.io, so that its clients work unchanged: GET, HEAD and POST, `?rid=` to pair the start and
the end of a run. A 200 means that the ping is on disk. What can't be stored is 503 with Retry-After, an unknown code is
404, and so is everything that is no ping; an exit code above 255 or a `rid` that is no UUID is 400.
"""

from __future__ import annotations

import asyncio
import re
from collections.abc import Awaitable, Callable, Iterable, MutableMapping
from typing import Any
from urllib.parse import parse_qs
from uuid import UUID

from checks import clock
from checks.heartbeats.journal import Journal, NotStored
from checks.heartbeats.runs import Action, Ping

BODY_KEPT = 10_000  # bytes
BODY_READ = 1 << 20  # bytes; what is longer is refused
BODY_WITHIN = 10.0  # seconds
ANSWER_WITHIN = 25.0  # seconds: a little longer than a writer waits for a SQLite file
RETRY_AFTER = 5  # seconds
METHODS = "GET, HEAD, POST"

Scope = MutableMapping[str, Any]
Message = MutableMapping[str, Any]
Receive = Callable[[], Awaitable[Message]]
Send = Callable[[Message], Awaitable[None]]
Headers = Iterable[tuple[bytes, bytes]]

_HEX = "[0-9a-fA-F]"
_UUID = f"{_HEX}{{8}}-{_HEX}{{4}}-{_HEX}{{4}}-{_HEX}{{4}}-{_HEX}{{12}}"
_PATH = re.compile(rf"/ping/(?P<code>{_UUID})(?:/(?P<what>start|fail|log|[0-9]{{1,10}}))?/?")
_RUN = re.compile(_UUID)


class Refused(Exception):
    """A request that is no ping, or one that can't be taken."""

    def __init__(self, status: int, sentence: str, headers: Headers = ()) -> None:
        super().__init__(sentence)
        self.status = status
        self.headers = tuple(headers)


class PingReceiver:
    """Answers pings. `open` begins to store them, `close` stores the last."""

    def __init__(self, url: str) -> None:
        self._journal = Journal(url)

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
            if scope["method"] == "OPTIONS":
                read(scope)
                await _answer(send, scope, 204, "", [(b"allow", METHODS.encode()), *_CROSS_ORIGIN])
                return
            await self._take(scope, receive)
        except Refused as refused:
            await _answer(send, scope, refused.status, str(refused), refused.headers)
        except ConnectionResetError:
            return  # the client left before its request was whole
        else:
            await _answer(send, scope, 200, "OK", [(b"ping-body-limit", str(BODY_KEPT).encode())])

    async def _take(self, scope: Scope, receive: Receive) -> None:
        code, action, exit_code, run = read(scope)
        if scope["method"] not in ("GET", "HEAD", "POST"):
            raise Refused(405, f"a ping is {METHODS}", [(b"allow", METHODS.encode())])
        body, size = await _read_body(scope, receive)
        ping = Ping(
            code=code,
            action=action,
            received_at=clock.utcnow(),
            exit_code=exit_code,
            run=run,
            method=scope["method"],
            source=str((scope.get("client") or ("",))[0])[:64],
            user_agent=_header(scope, b"user-agent").decode("latin-1").replace("\0", "")[:200],
            body=body,
            body_size=size,
        )
        again = [(b"retry-after", str(RETRY_AFTER).encode())]
        try:
            async with asyncio.timeout(ANSWER_WITHIN):
                known = await self._journal.store(ping)
        except (NotStored, TimeoutError):
            raise Refused(503, "the ping could not be stored; send it again", again) from None
        if not known:
            raise Refused(404, "no monitor has this ping code")


def read(scope: Scope) -> tuple[UUID, Action, int | None, UUID | None]:
    """Code, action, exit code and run of a request. Raises Refused."""
    match = _PATH.fullmatch(scope["path"])
    if match is None:
        raise Refused(404, "no ping; write /ping/<code>, then /start, /fail, /log or an exit code")
    what = match["what"] or ""
    action, exit_code = Action.SUCCESS, None
    if what.isdigit():
        exit_code = int(what)
        if exit_code > 255:
            raise Refused(400, f"exit code {exit_code} is not possible; allowed: 0 to 255")
        action = Action.FAIL if exit_code else Action.SUCCESS
    elif what:
        action = Action(what)
    return UUID(match["code"]), action, exit_code, _run_of(scope)


def _run_of(scope: Scope) -> UUID | None:
    query = scope.get("query_string", b"")
    if b"rid=" not in query:
        return None
    given = parse_qs(query.decode("latin-1"), keep_blank_values=True, max_num_fields=None).get("rid")
    if given is None:
        return None
    if not _RUN.fullmatch(given[0]):
        raise Refused(400, "rid is no UUID; write it as in 8c0f6cb2-6f1e-4b0a-9d50-2f3c1f0f8a11")
    return UUID(given[0])


async def _read_body(scope: Scope, receive: Receive) -> tuple[bytes, int]:
    """The first bytes of the body, and its size. Raises Refused, and ConnectionResetError when the client leaves."""
    announced = _header(scope, b"content-length")
    if announced.isdigit() and (len(announced) > 10 or int(announced) > BODY_READ):
        raise Refused(413, f"the body is larger than {BODY_READ} bytes", _CLOSE)
    kept, size = bytearray(), 0
    try:
        async with asyncio.timeout(BODY_WITHIN):
            while True:
                message = await receive()
                if message["type"] == "http.disconnect":
                    raise ConnectionResetError
                part = message.get("body", b"")
                kept += part[: BODY_KEPT - len(kept)]
                size += len(part)
                if size > BODY_READ:
                    raise Refused(413, f"the body is larger than {BODY_READ} bytes", _CLOSE)
                if not message.get("more_body", False):
                    return bytes(kept), size
    except TimeoutError:
        raise Refused(408, f"the body did not arrive within {BODY_WITHIN:g} s", _CLOSE) from None


_CLOSE = ((b"connection", b"close"),)
_CROSS_ORIGIN = ((b"access-control-allow-methods", METHODS.encode()), (b"access-control-max-age", b"86400"))


def _header(scope: Scope, name: bytes) -> bytes:
    return next((bytes(value) for key, value in scope["headers"] if key == name), b"")


async def _answer(send: Send, scope: Scope, status: int, sentence: str, headers: Headers) -> None:
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
    await send({"type": "http.response.start", "status": status, "headers": common})
    await send({"type": "http.response.body", "body": b"" if scope["method"] == "HEAD" else body})
