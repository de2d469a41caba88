"""`websocket`: opens a WebSocket (RFC 6455) and, where asked to, sends a message and reads the reply."""

from __future__ import annotations

import re
from collections.abc import Mapping
from functools import cached_property
from typing import Annotated, Any, ClassVar, Literal, Self

from pydantic import AfterValidator, Field, model_validator
from websockets.datastructures import Headers
from websockets.http11 import Response

from checks import expect
from checks.address import Url, parse_url
from checks.deadline import Deadline
from checks.evidence import excerpt, shown_headers
from checks.expect import Subject
from checks.network import dial, spec_tls
from checks.network.request import TOKEN
from checks.network.route import ProxiedSpec, SecuredSpec
from checks.probe import TIMINGS, Kind, ProbeContext
from checks.protocols.websocket import Visit
from checks.protocols.wire import OVER_TLS, time_left
from checks.result import Failure, Observation, Reason
from checks.spec import Line, Payload, SecretMark
from checks.web.options import HeaderName

SWITCHED = 101
_REPLY = frozenset({"reply", "json"})  # subjects for which it is read
_SCHEME = re.compile(r"ws(s?)://", re.IGNORECASE)


def parse_websocket_url(text: str) -> Url:
    """The address that `text` writes, as one of http or https. Raises ValueError that says what is wrong."""
    scheme = _SCHEME.match(text)
    if scheme is None:
        raise ValueError(f"{text!r} does not begin with ws:// or wss://")
    rest = text[scheme.end() :]
    if "@" in re.split(r"[/?#\\]", rest, maxsplit=1)[0]:
        raise ValueError("holds a user name or a password; write them into the header Authorization")
    return parse_url(f"http{scheme[1].lower()}://{rest}")


def _is_url(text: str) -> str:
    parse_websocket_url(text)
    return text


def _is_token(text: str) -> str:
    if not TOKEN.fullmatch(text):
        raise ValueError(f"{text!r} is no name of a subprotocol; allowed: letters, digits and !#$%&'*+.^_`|~-")
    return text


class WebsocketSpec(ProxiedSpec, SecuredSpec):
    """Options of a monitor that opens a WebSocket."""

    default_expect: ClassVar[tuple[str, ...]] = ("status == 101",)
    target_option: ClassVar[str] = "url"
    example: ClassVar[str] = """
        url: wss://chat.example.org/socket
        subprotocols: [chat.v2]
        send: '{"type": "ping"}'
        expect: ['json $.type == "pong"', certificate > 14d]
        """
    subjects: ClassVar[Mapping[str, Subject]] = {
        "status": Subject("status", "number", "The status code of the answer to the upgrade; 101 opens the WebSocket."),
        "reply": Subject("reply", "bytes", "The message that it sent, text or not."),
        "json": Subject("json", "json", "A value in the reply, chosen by a JSONPath.", argument="jsonpath"),
        "close_code": Subject(
            "close_code", "number", "The code with which it closes by itself, as in 1008; it is waited for."
        ),
        "header": Subject("header", "header", "A header of the answer to the upgrade.", argument="name"),
        "subprotocol": Subject("subprotocol", "text", "The subprotocol that it chose."),
        "certificate": Subject("certificate", "duration", "The time left until the certificate expires."),
        **TIMINGS,
    }

    kind: Literal["websocket"] = "websocket"
    """Opens a WebSocket, and may send a message and judge the reply."""
    url: Annotated[Line, Field(min_length=1, max_length=2000), AfterValidator(_is_url)]
    """The address that is opened, ws or wss."""
    headers: Annotated[
        dict[HeaderName, Annotated[Line, Field(max_length=4096)]], Field(max_length=50), SecretMark()
    ] = {}
    """Headers of the upgrade, by name. Kept like passwords."""
    origin: Annotated[Line, Field(max_length=300)] = ""
    """The site that a browser would name as the one that asks, as in https://shop.example.org."""
    subprotocols: tuple[Annotated[Line, Field(max_length=100), AfterValidator(_is_token)], ...] = Field(
        default=(), max_length=10
    )
    """The subprotocols that are offered, the best first."""
    send: Annotated[Payload, Field(max_length=65536)] = ""
    """A message that is sent once it is open."""
    binary: bool = False
    """Send it as a binary message."""
    skip: Annotated[int, Field(strict=True, ge=0, le=100)] = 0
    """How many messages are passed over before the reply, such as a greeting: 0 to 100."""

    @model_validator(mode="after")
    def _speaks_of_tls_where_there_is_one(self) -> Self:
        of_tls = (self.needed | self.wished) & OVER_TLS.keys()
        if of_tls and not self.target.secure:
            raise ValueError(f"expect: nothing is known of {min(of_tls)} without wss://")
        return self

    @model_validator(mode="after")
    def _has_headers_of_its_own(self) -> Self:
        names = [name.lower() for name in self.headers]
        if len(set(names)) < len(names):
            raise ValueError("headers: each header may stand once, whatever its case")
        if taken := next((name for name in names if name.startswith("sec-websocket-") or name == "origin"), ""):
            raise ValueError(f"headers: {taken} is set by the probe itself")
        return self

    @cached_property
    def target(self) -> Url:
        """Where it is opened."""
        return parse_websocket_url(self.url)

    @cached_property
    def needed(self) -> frozenset[str]:
        """The subjects without which it is down."""
        return self._subjects_of(self.required)

    @cached_property
    def wished(self) -> frozenset[str]:
        """The subjects that only its `degraded` lines speak of."""
        return self._subjects_of(self.degraded) - self.needed

    def _subjects_of(self, lines: tuple[str, ...]) -> frozenset[str]:
        return frozenset(expect.parse(line, self.subjects).subject.name for line in lines)


async def probe(spec: WebsocketSpec, context: ProbeContext) -> Observation:
    """Open it, send what is to be sent, and read what expectations ask about."""
    seen, watch, url = context.seen, context.stopwatch, spec.target
    tls = spec_tls(spec, ("http/1.1",)) if url.secure else None

    def make() -> Visit:
        return Visit(watch, url, headers=spec.headers, origin=spec.origin, subprotocols=spec.subprotocols)

    visit = await dial(context, url.host, url.port, make, tls, route=spec.route)
    seen.explain = lambda: _explanation(spec, visit)
    seen.progress = lambda: f"({len(visit.messages)} messages so far)"
    try:
        visit.ask()
        response = await visit.answer()
        seen.facts["status"] = response.status_code
        seen.facts["headers"] = _raw(response.headers)
        if response.status_code == SWITCHED:
            await _converse(spec, context, visit)
        elif "status" not in spec.needed | spec.wished:
            seen.failure = Failure(
                reason=Reason.EXPECTATION,
                message=f"expected the upgrade to be answered with status 101, got {_status(response)}",
                expected="status == 101",
                found=str(response.status_code),
            )
        watch.mark("transfer", "other", visit.last_ns)
        visit.take_leave()
    finally:
        visit.abort()
    seen.complete = True
    return seen


async def _converse(spec: WebsocketSpec, context: ProbeContext, visit: Visit) -> None:
    """Send, and read what expectations speak of. What only `degraded` wishes for is waited for half the time that is left."""
    if visit.protocol.subprotocol is not None:
        context.seen.facts["subprotocol"] = visit.protocol.subprotocol
    if spec.send and visit.is_open:
        visit.say(spec.send, binary=spec.binary)
    await _read(spec, visit, context.seen, spec.needed)
    if spec.needed & _REPLY and "reply" not in context.seen.facts and "close_code" not in spec.needed:
        message = f"closed before a reply: {visit.closing()}"
        context.seen.failure = Failure(reason=Reason.CLOSED, message=message, phase=visit.watch.phase)
        return
    if spec.wished & (_REPLY | {"close_code"}):
        try:
            with Deadline(time_left(spec, context)):
                await _read(spec, visit, context.seen, spec.wished)
        except TimeoutError as exc:
            if exc.errno is not None:  # the connection's, and not ours
                raise


async def _read(spec: WebsocketSpec, visit: Visit, seen: Observation, asked: frozenset[str]) -> None:
    """The reply and the close, where they are asked for."""
    if asked & _REPLY:
        reply = await visit.message(spec.skip)
        if reply is not None:
            seen.facts["reply"] = seen.facts["body"] = reply
    if "close_code" in asked:
        await visit.closed()
        seen.facts["close_code"] = visit.close_code


def _status(response: Response) -> str:
    location = response.headers.get("Location", "") if 300 <= response.status_code < 400 else ""
    return f"{response.status_code} {response.reason_phrase}".strip() + (f" to {location}" if location else "")


def _raw(headers: Headers) -> list[tuple[bytes, bytes]]:
    return [
        (name.encode("latin-1", "replace"), value.encode("latin-1", "replace")) for name, value in headers.raw_items()
    ]


def _explanation(spec: WebsocketSpec, visit: Visit) -> dict[str, Any]:
    evidence: dict[str, Any] = {"url": spec.url}
    if visit.response is not None:
        evidence["status"] = visit.response.status_code
        evidence["headers"] = shown_headers(_raw(visit.response.headers))
        if visit.response.body:
            evidence["body"] = excerpt(bytes(visit.response.body))
    if visit.messages:
        evidence["messages"] = len(visit.messages)
        evidence["reply"] = excerpt(visit.messages[min(spec.skip, len(visit.messages) - 1)])
    if visit.close_code is not None:
        evidence["closed"] = visit.closing()
    if visit.certificate is not None:
        evidence["certificate"] = visit.certificate.as_dict()
    return evidence


WEBSOCKET = Kind(spec=WebsocketSpec, probe=probe)
