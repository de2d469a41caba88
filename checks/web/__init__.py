"""One web address asked, redirects and all: what every kind that speaks HTTP stands on.

Each request goes over a connection of its own, so that each phase is what a first visitor sees.
"""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Mapping
from dataclasses import dataclass, field, replace
from functools import partial
from typing import Any, Protocol

from checks.address import Url
from checks.evidence import EXCERPT, as_utf8, excerpt, shown_headers
from checks.expect import Subject
from checks.expect.cookies import Cookies
from checks.network import DIRECT, Tls, dial
from checks.network.attempts import shown
from checks.network.guard import literal
from checks.network.http1 import REDIRECTS, Exchange, Headers
from checks.network.http2 import Http2Exchange
from checks.network.proxying import blamed_on
from checks.network.request import Request, redirect_failure
from checks.network.route import Route
from checks.network.tls import Certificate
from checks.probe import ProbeContext, ProbeFailure
from checks.result import Failure, Reason
from checks.web.decoding import beginning, decoded

__all__ = ["ANSWER", "HTTP_1", "HTTP_2", "HTTP_ANY", "Answer", "Authentication", "Request", "facts", "fetch"]

HTTP_1, HTTP_2, HTTP_ANY = ("http/1.1",), ("h2",), ("h2", "http/1.1")  # what a handshake offers
_PROXY_REFUSES = 407
_SECURED = Tls(alpn=HTTP_1)


@dataclass(slots=True, kw_only=True)
class Answer:
    """The last answer, after all redirects that were followed."""

    status: int
    headers: Headers
    body: bytes | None  # decoded, text in UTF-8; None where it is encoded in a way that we don't know
    url: Url  # that gave it
    trail: list[dict[str, Any]]  # the redirects that led there: status and url
    version: str  # of HTTP: 1.0, 1.1, 2
    ip: str  # that gave it; of the proxy where there is one
    received_bytes: int  # of the body, as it was sent
    size: int | None  # the same; where the body was cut, what was announced
    cut: bool  # the body went on beyond 1 MiB
    certificate: Certificate | None
    notes: list[str] = field(default_factory=list)  # for the evidence

    def header(self, name: str) -> str | None:
        """The first header of this name."""
        wanted = name.lower().encode("latin-1", "replace")
        return next((value.decode("latin-1") for known, value in self.headers if known.lower() == wanted), None)


ANSWER: Mapping[str, Subject] = {
    "status": Subject("status", "number", "The status code of the last answer."),
    "body": Subject("body", "bytes", "The body: 1 MiB of it as it was sent, at most 8 MiB when it is decoded."),
    "json": Subject("json", "json", "A value in the body, chosen by a JSONPath.", argument="jsonpath"),
    "xml": Subject("xml", "header", "A value in the body, chosen by an XPath; names are without namespaces.", "xpath"),
    "html": Subject("html", "header", "A value in the page, chosen by an XPath.", argument="xpath"),
    "header": Subject("header", "header", "A header of the answer, chosen by its name.", argument="name"),
    "cookie": Subject("cookie", "header", "A cookie that the answer sets, chosen by its name.", argument="cookie"),
    "certificate": Subject("certificate", "duration", "The time left until the certificate expires."),
    "size": Subject("size", "size", "The size of the body as it was sent."),
    "redirects": Subject("redirects", "number", "How many redirects were followed."),
    "url": Subject("url", "text", "The address that gave the last answer, after redirects."),
    "version": Subject("version", "text", 'The version of HTTP: "1.0", "1.1" or "2".'),
    "ip": Subject("ip", "text", "The IP address that answered; of the proxy, where there is one."),
}
"""What an expectation can say about an answer."""


def facts(answer: Answer) -> dict[str, Any]:
    """What expectations know of an answer; what a connection has told already, as of the certificate, is not in it."""
    return {
        "status": answer.status,
        "headers": answer.headers,
        "redirects": len(answer.trail),
        "size": answer.size,
        "body": answer.body,
        "url": answer.url.text,
        "version": answer.version,
        "ip": answer.ip,
    }


class Authentication(Protocol):
    """Proves who we are in more than one step."""

    async def prove(self, context: ProbeContext, request: Request) -> Request:
        """The request with the proof."""

    def refused(self, context: ProbeContext, request: Request, answer: Exchange) -> bool:
        """Whether to prove it anew, because the answer to `request` is that the proof is none."""


async def fetch(
    context: ProbeContext,
    request: Request,
    *,
    tls: Tls = _SECURED,
    route: Route = DIRECT,
    follow: int = 5,
    downgrade: bool = False,
    authentication: Authentication | None = None,
    cookies: Cookies | None = None,
) -> Answer:
    """The answer to a request, after at most `follow` redirects; 0 takes a redirect for the answer.

    Which versions of HTTP are spoken is what `tls.alpn` says. The phases are marked, those of all hops together, and
    the evidence of what failed is in `context.seen`. Raises ProbeFailure, and OSError where a connection broke.
    """
    trail: list[dict[str, Any]] = []
    asked: set[tuple[str, str, str]] = set()
    home, sent = request.url.origin, request if cookies is None else _with_cookies(request, cookies)
    while True:
        if authentication is None or not sent.trusted:
            exchange = await _ask(context, sent, tls, route, follow)
        else:
            ask = partial(_ask, context, tls=tls, route=route, follow=follow)
            exchange = await _proven(context, sent, authentication, ask)
        if cookies is not None:
            cookies.take(request.url, exchange.headers)
        location = exchange.header(b"location") if follow and exchange.status in REDIRECTS else None
        if not location:
            body: bytes | None = exchange.body
            if encoding := _encoding(exchange):
                body = await decoded(exchange.body, encoding, whole=not exchange.cut)
            return _answer(exchange, body, request.url, trail)
        if cookies is None:
            cookies = Cookies()
            cookies.take(request.url, exchange.headers)
        asked.add(_key(sent))
        trail.append({"status": exchange.status, "url": request.url.text})
        context.seen.evidence["redirects"] = trail
        request = request.following(exchange.status, location, downgrade=downgrade)
        sent = _with_cookies(request, cookies)
        if len(trail) > follow:
            raise redirect_failure(f"more than {follow} redirects; the last one leads to {request.url.text}")
        if _key(sent) in asked:
            raise redirect_failure(f"the redirects go in a circle, back to {request.url.text}")
        if request.url.origin != home:
            # Whom we ask for, and who we are, is said to the host that was meant only.
            tls = replace(tls, server_name="", certificate="", key="")


def _key(request: Request) -> tuple[str, str, str]:
    """What makes a request another one: many a site sets a cookie and redirects to itself."""
    return request.method, request.url.text, request.headers.get("cookie", "")


def _with_cookies(request: Request, cookies: Cookies) -> Request:
    line = cookies.header(request.url)
    if not line:
        return request
    own = request.headers.get("cookie", "")
    return request.having(cookie=f"{own}; {line}" if own else line)


async def _proven(
    context: ProbeContext,
    request: Request,
    authentication: Authentication,
    ask: Callable[[Request], Awaitable[Exchange]],
) -> Exchange:
    """The answer to a request that says who we are; asked once more where it has to say it anew."""
    exchange = await ask(proven := await authentication.prove(context, request))
    if authentication.refused(context, proven, exchange):
        exchange = await ask(await authentication.prove(context, request))
    return exchange


async def _ask(context: ProbeContext, request: Request, tls: Tls, route: Route, follow: int) -> Exchange:
    """One request and its answer over a connection of its own."""
    url, watch = request.url, context.stopwatch
    modern = "h2" in tls.alpn and (url.secure or tls.alpn == HTTP_2)

    def make() -> Exchange:
        bodiless, skip = request.method == "HEAD", follow > 0
        if not modern:
            exchange = Exchange(watch, bodiless=bodiless, skip_redirect_body=skip)
            exchange.opening = request.wire
            return exchange
        return Http2Exchange(watch, bodiless=bodiless, skip_redirect_body=skip, or_older=tls.alpn != HTTP_2)

    proxy = route.proxy
    if proxy is not None and proxy.scheme == "http" and not url.secure and not modern:
        # A proxy passes on what is in clear; many lead nobody through to a port that is not for TLS.
        _refuse_denied(context, url.host)
        request = request.through(proxy.username, proxy.password)
        context.seen.evidence["proxy"] = shown(proxy.host, proxy.port)
        with blamed_on(proxy):
            exchange = await dial(context, proxy.host, proxy.port, make, route=replace(route, proxy=None))
    else:
        exchange = await dial(context, url.host, url.port, make, tls if url.secure else None, route=route)
    context.seen.explain = lambda: _explanation(exchange, url)
    context.seen.progress = lambda: f"({exchange.received_bytes} bytes of the body so far)"
    try:
        await exchange.run(request)
    finally:
        exchange.abort()
    if request.absolute and exchange.status == _PROXY_REFUSES:
        message = "the proxy does not accept our credentials (status 407)"
        raise ProbeFailure(Failure(reason=Reason.PROXY, message=message, phase="first_byte"))
    return exchange


def _refuse_denied(context: ProbeContext, host: str) -> None:
    """Refuse an address that is denied before a proxy is asked for it; names are resolved, and judged, by the proxy."""
    why = context.resources.guard.refusal(literal(host)) if literal(host) else None
    if why is not None:
        message = f"{host} is {why}; probes do not go there unless STILLUP_PROBE_ALLOW names it"
        raise ProbeFailure(Failure(reason=Reason.DENIED, message=message, phase="connect"))


def _answer(exchange: Exchange, body: bytes | None, url: Url, trail: list[dict[str, Any]]) -> Answer:
    """What a target answered. `body` is decoded; None where nobody knows how."""
    notes = []
    if body is None:
        notes.append(f"unknown content-encoding {_encoding(exchange)[:100]}: the body was not read")
    else:
        body = as_utf8(body, _content_type(exchange))
    if exchange.cut:
        notes.append("body cut at 1 MiB")
    return Answer(
        status=exchange.status,
        headers=exchange.headers,
        body=body,
        url=url,
        trail=trail,
        version=exchange.version,
        ip=exchange.ip,
        received_bytes=exchange.received_bytes,
        size=exchange.length if exchange.cut else exchange.received_bytes,
        cut=exchange.cut,
        certificate=exchange.certificate,
        notes=notes,
    )


def _explanation(exchange: Exchange, url: Url) -> dict[str, Any]:
    """What the last answer was, as far as it came."""
    evidence: dict[str, Any] = {"url": url.text}
    if exchange.status:
        evidence["status"] = exchange.status
        evidence["version"] = exchange.version
        evidence["headers"] = shown_headers(exchange.headers)
    if exchange.received_bytes:
        begins = beginning(exchange.body, _encoding(exchange), 4 * EXCERPT)
        evidence["body"] = excerpt(as_utf8(begins, _content_type(exchange)))
        evidence["received_bytes"] = exchange.received_bytes
    if exchange.certificate is not None:
        evidence["certificate"] = exchange.certificate.as_dict()
    return evidence


def _content_type(exchange: Exchange) -> str:
    return (exchange.header(b"content-type") or b"").decode("latin-1")


def _encoding(exchange: Exchange) -> str:
    if exchange.header(b"content-encoding") is None:
        return ""
    # Several fields of one name are one list (RFC 9110, 5.3): who passes an answer on may encode it once more.
    return ", ".join(value.decode("latin-1") for name, value in exchange.headers if name.lower() == b"content-encoding")
