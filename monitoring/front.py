"""What stands before Django: caps on a request, `/ping/`, and our own static files.

A ping must be stored when Django can't serve a page: it never reaches Django.
"""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Awaitable, Callable, MutableMapping
from typing import Any, Protocol

from checks import clock
from monitoring.static_files import StaticFiles
from monitoring.trusted_proxies import TrustedProxies

logger = logging.getLogger(__name__)

MAX_HEADERS = 100
BEAT_EVERY = 0.5  # seconds
MAX_BODY = 1 << 20  # bytes; the largest form, a post-mortem, has 50,000 characters
BODY_WITHIN = 30.0  # seconds for a whole body, however it trickles in
TAKEN_WITHIN = 60.0  # seconds that a client may keep an answer waiting: who hangs must not hold a slot for ever
SLOWEST = 4096  # bytes that earn a second of it back: who takes a little now and then must not, either
SLOTS = 32  # requests that Django answers at once: each has a thread, and may have a connection to the database

Scope = MutableMapping[str, Any]
Message = MutableMapping[str, Any]
Receive = Callable[[], Awaitable[Message]]
Send = Callable[[Message], Awaitable[None]]
Application = Callable[[Scope, Receive, Send], Awaitable[None]]


class Pings(Protocol):
    """The receiver of heartbeats: an application with a thread of its own that is opened and closed."""

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Answer one ping."""

    def open(self) -> None:
        """Begin to store."""

    def beat(self) -> None:
        """Know that the loop moves, on which pings are received."""

    def drain(self) -> None:
        """Know that none are received from now on."""

    def close(self) -> None:
        """Store what was received, then stop."""


class BodyTooLarge(Exception):
    """The body that is being read passed the cap."""


class BodyBrokeOff(Exception):
    """The client left before its body was whole, or sent chunks that are none."""


class Front:
    """The application that the server runs."""

    def __init__(
        self, django: Application, pings: Pings, static: StaticFiles, proxies: TrustedProxies | None = None
    ) -> None:
        self._django = django
        self._pings = pings
        self._static = static
        self._proxies = proxies or TrustedProxies()
        self._slots = asyncio.Semaphore(SLOTS)

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Answer one request, or live through the server's life."""
        if scope["type"] == "lifespan":
            await self._live(receive, send)
        elif scope["type"] == "http":
            await self._answer(scope, receive, send)

    def drain(self) -> None:
        """The server was told to stop, and accepts nothing more."""
        self._pings.drain()

    async def _live(self, receive: Receive, send: Send) -> None:
        beating: asyncio.Task[None] | None = None
        while True:
            message = await receive()
            if message["type"] == "lifespan.startup":
                await asyncio.to_thread(self._pings.open)
                beating = asyncio.create_task(self._beat(), name="beat")
                await send({"type": "lifespan.startup.complete"})
            else:
                if beating is not None:
                    beating.cancel()
                self._pings.drain()
                await asyncio.to_thread(self._pings.close)
                await send({"type": "lifespan.shutdown.complete"})
                return

    async def _beat(self) -> None:
        while True:
            self._pings.beat()
            await asyncio.sleep(BEAT_EVERY)

    async def _answer(self, scope: Scope, receive: Receive, send: Send) -> None:
        headers, path = scope["headers"], scope["path"]
        if self._proxies and scope.get("client"):
            scope["client"] = (self._proxies.client_of(scope["client"][0], headers), 0)
        if len(headers) > MAX_HEADERS:
            await refuse(send, 431, f"{len(headers)} headers; at most {MAX_HEADERS} are read")
        elif path.startswith("/ping/"):
            await self._pings(scope, receive, send)
        elif path.startswith("/static/"):
            await self._static.answer(scope, send)
        elif _announced(headers) > MAX_BODY:
            await refuse(send, 413, f"the body is larger than {MAX_BODY} bytes")
        else:
            await self._ask_django(scope, receive, send)

    async def _ask_django(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Ask Django once the body is whole: a slow client must not hold one of the slots."""
        try:
            async with asyncio.timeout(BODY_WITHIN):
                body = await _whole_body(receive)
        except TimeoutError:
            await refuse(send, 408, f"the body did not arrive within {BODY_WITHIN:g} s")
            return
        except BodyTooLarge:
            await refuse(send, 413, f"the body is larger than {MAX_BODY} bytes")
            return
        except BodyBrokeOff:
            await refuse(send, 400, "the body broke off before its end")
            return
        waiting: list[Message] = [{"type": "http.request", "body": body, "more_body": False}]

        async def handed() -> Message:
            return waiting.pop() if waiting else await receive()  # then the client's leaving, for which Django waits

        patience = TAKEN_WITHIN

        async def taken(message: Message) -> None:
            nonlocal patience
            begun = clock.monotonic()
            try:
                async with asyncio.timeout(patience):
                    await send(message)
            except TimeoutError:
                # As Django learns of a client that left: it ends the answer in good order, and its place is free.
                raise asyncio.CancelledError from None
            earned = len(message.get("body", b"")) / SLOWEST
            patience = min(TAKEN_WITHIN, patience - (clock.monotonic() - begun) + earned)

        async with self._slots:
            await self._django(scope, handed, taken)


async def _whole_body(receive: Receive) -> bytes:
    """The body. Raises BodyTooLarge and BodyBrokeOff."""
    body = bytearray()
    while True:
        message = await receive()
        if message["type"] == "http.disconnect":
            raise BodyBrokeOff
        body += message.get("body", b"")
        if len(body) > MAX_BODY:
            raise BodyTooLarge
        if not message.get("more_body", False):
            return bytes(body)


def _announced(headers: list[tuple[bytes, bytes]]) -> int:
    """The length that the request says its body has; 0 where it says none, or no number."""
    for name, value in headers:
        if name == b"content-length" and value.isdigit() and len(value) < 20:
            return int(value)
    return 0


async def refuse(send: Send, status: int, sentence: str) -> None:
    """A plain answer that says what is wrong."""
    body = f"{sentence}\n".encode()
    headers = [
        (b"content-type", b"text/plain; charset=utf-8"),
        (b"content-length", str(len(body)).encode()),
        (b"connection", b"close"),
    ]
    await send({"type": "http.response.start", "status": status, "headers": headers})
    await send({"type": "http.response.body", "body": body})
