"""`http`: asks a web address and judges the answer. Step 1 of the path of a result: socket -> Result."""

from __future__ import annotations

import base64
import re
import zlib
from collections.abc import Mapping
from dataclasses import dataclass
from functools import cached_property
from typing import Annotated, Any, ClassVar, Literal, Self

from pydantic import AfterValidator, Field, model_validator

from checks.address import Url, join_url, parse_url
from checks.evidence import as_utf8, excerpt, shown_headers
from checks.expect import Subject
from checks.http1 import MAX_BODY, REDIRECTS, Exchange
from checks.network import Tls, dial
from checks.probe import TIMINGS, Kind, ProbeContext, ProbeFailure
from checks.result import Failure, Observation, Reason
from checks.spec import Line, Payload, ProbedSpec, Secret, SecretMark
from checks.tls import CaBundle

_TOKEN = re.compile(r"[A-Za-z0-9!#$%&'*+.^_`|~-]+", re.ASCII)
_HARMLESS = frozenset({"accept", "accept-language", "accept-encoding", "user-agent"})  # to another host, too
_OURS = frozenset({"connection", "content-length", "expect", "te", "trailer", "transfer-encoding", "upgrade"})


def _is_url(text: str) -> str:
    parse_url(text)
    return text


def _is_header_name(name: str) -> str:
    bad = next((i for i, char in enumerate(name) if not _TOKEN.fullmatch(char)), None)
    if bad is not None or not name:
        where = f"has {name[bad]!r} at position {bad + 1}" if bad is not None else "is empty"
        raise ValueError(f"is no header name: it {where}; allowed: letters, digits and !#$%&'*+.^_`|~-")
    if name.lower() in _OURS:
        raise ValueError(f"{name} is set by the probe itself")
    return name


HeaderName = Annotated[str, Field(max_length=200), AfterValidator(_is_header_name)]


class HttpSpec(ProbedSpec):
    """Options of a monitor that asks a web address."""

    default_expect: ClassVar[tuple[str, ...]] = ("status in 200-299",)
    target_option: ClassVar[str] = "url"
    example: ClassVar[str] = """
        url: https://shop.example.org/health
        expect:
          - status in 200-299
          - json $.database == "ok"
          - certificate > 14d
        degraded:
          - latency < 800ms
    """
    subjects: ClassVar[Mapping[str, Subject]] = {
        "status": Subject("status", "number", "The status code of the last answer."),
        "body": Subject("body", "bytes", "The body, its first 1 MiB."),
        "json": Subject("json", "json", "A value in the body, chosen by a JSONPath.", argument="jsonpath"),
        "header": Subject("header", "header", "A header of the answer, chosen by its name.", argument="name"),
        **TIMINGS,
        "certificate": Subject("certificate", "duration", "The time left until the certificate expires."),
        "size": Subject("size", "size", "The size of the body as it was sent."),
        "redirects": Subject("redirects", "number", "How many redirects were followed."),
    }

    kind: Literal["http"] = "http"
    """Asks a web address."""
    url: Annotated[Line, Field(min_length=1, max_length=2000), AfterValidator(_is_url)]
    """The address that is asked, http or https, without user name and password."""
    method: Literal["GET", "HEAD", "POST", "PUT", "PATCH", "DELETE", "OPTIONS"] = "GET"
    """The request method."""
    headers: Annotated[
        dict[HeaderName, Annotated[Line, Field(max_length=4096)]], Field(max_length=50), SecretMark()
    ] = {}
    """Headers of the request, by name. Kept like passwords, and not sent along a redirect to another host."""
    body: Annotated[Payload, Field(max_length=65536)] = ""
    """The body of the request, sent as it stands."""
    username: Annotated[Line, Field(max_length=200)] = ""
    """The user name for basic authentication."""
    password: Secret = ""
    """The password for basic authentication."""
    bearer: Secret = ""
    """The token for bearer authentication."""
    follow_redirects: bool = True
    """Ask again where a redirect points to, and judge that answer."""
    max_redirects: Annotated[int, Field(strict=True, ge=1, le=20)] = 5
    """How many redirects are followed: 1 to 20."""
    verify: bool = True
    """Down when the certificate is not trusted, not valid now, or made for another name."""
    ca: CaBundle = ""
    """Certificates in PEM that are trusted beside those of the system."""

    @model_validator(mode="after")
    def _has_one_authentication(self) -> Self:
        names = {name.lower() for name in self.headers}
        if len(names) < len(self.headers):
            raise ValueError("headers: each header may stand once, whatever its case")
        if self.password and not self.username:
            raise ValueError("password: needs a username")
        ways = {
            "username": bool(self.username),
            "bearer": bool(self.bearer),
            "the header Authorization": "authorization" in names,
        }
        given = [way for way, used in ways.items() if used]
        if len(given) > 1:
            raise ValueError(f"{' and '.join(given)} are ways to authenticate; keep one")
        if ":" in self.username:
            raise ValueError("username: basic authentication allows no colon in it")
        if self.body and self.method in ("GET", "HEAD"):
            raise ValueError(f"body: {self.method} sends none; use another method, such as POST")
        return self

    @cached_property
    def first_request(self) -> Request:
        """The request that a probe begins with, written out once."""
        return Request.write(self, parse_url(self.url), self.method, trusted=True)


@dataclass(frozen=True, slots=True, kw_only=True)
class Request:
    """One request, ready to be sent."""

    url: Url
    method: str
    trusted: bool  # still the host that the credentials are for
    wire: tuple[bytes, ...]

    @classmethod
    def write(cls, spec: HttpSpec, url: Url, method: str, *, trusted: bool) -> Self:
        """The bytes that ask `url`; credentials and headers of the user's own only for the host they are meant for."""
        headers = {"host": url.authority, "user-agent": "Stillup", "accept": "*/*", "accept-encoding": "identity"}
        if trusted:
            if spec.username:
                pair = f"{spec.username}:{spec.password}".encode()
                headers["authorization"] = f"Basic {base64.b64encode(pair).decode()}"
            elif spec.bearer:
                headers["authorization"] = f"Bearer {spec.bearer}"
        for name, value in spec.headers.items():
            if trusted or name.lower() in _HARMLESS:
                headers[name.lower()] = value
        body = spec.body.encode() if trusted and method not in ("GET", "HEAD") else b""
        if body or method in ("POST", "PUT", "PATCH"):
            headers["content-length"] = str(len(body))
        headers["connection"] = "close"
        lines = "".join(f"{name}: {value}\r\n" for name, value in headers.items())
        wire = f"{method} {url.target} HTTP/1.1\r\n{lines}\r\n".encode() + body
        return cls(url=url, method=method, trusted=trusted, wire=(wire,))

    def follow(self, spec: HttpSpec, status: int, location: bytes) -> Request:
        """The request that a redirect asks for. Raises ProbeFailure for one that is not followed."""
        try:
            url = join_url(self.url, location.decode("utf-8", "replace"))
        except ValueError as exc:
            raise _redirect_failure(f"redirected to an address that is not followed: {exc}") from exc
        if self.url.secure and not url.secure:
            raise _redirect_failure(f"redirected from https to http: {url.text}")
        method = self.method
        if (status == 303 and method != "HEAD") or (status in (301, 302) and method == "POST"):
            method = "GET"  # RFC 9110, 15.4
        trusted = self.trusted and url.origin == self.url.origin
        if not trusted and spec.body and method not in ("GET", "HEAD"):
            raise _redirect_failure(
                f"redirected with status {status} to another host, which is not sent the body: {url.text}"
            )
        return Request.write(spec, url, method, trusted=trusted)


def _redirect_failure(message: str) -> ProbeFailure:
    return ProbeFailure(Failure(reason=Reason.REDIRECT, message=message[:500]))


async def probe(spec: HttpSpec, context: ProbeContext) -> Observation:
    """Ask, follow redirects, and report the last answer."""
    seen, watch = context.seen, context.stopwatch
    request = spec.first_request
    trail: list[dict[str, Any]] = []
    asked = {(request.method, request.url.text)}
    while True:
        exchange = await _ask(spec, context, request)
        location = exchange.header(b"location")
        if not spec.follow_redirects or exchange.status not in REDIRECTS or not location:
            break
        trail.append({"status": exchange.status, "url": request.url.text})
        seen.evidence["redirects"] = trail
        request = request.follow(spec, exchange.status, location)
        if len(trail) > spec.max_redirects:
            raise _redirect_failure(
                f"more than {spec.max_redirects} redirects; the last one leads to {request.url.text}"
            )
        key = (request.method, request.url.text)
        if key in asked:
            raise _redirect_failure(f"the redirects go in a circle, back to {request.url.text}")
        asked.add(key)
    facts = seen.facts
    facts["status"], facts["headers"], facts["redirects"] = exchange.status, exchange.headers, len(trail)
    facts["size"] = exchange.length if exchange.cut else exchange.received_bytes
    facts["body"] = _readable_body(exchange, seen)
    seen.complete = True
    watch.phase = "other"
    return seen


async def _ask(spec: HttpSpec, context: ProbeContext, request: Request) -> Exchange:
    """One request and its answer over a connection of its own."""
    url, watch = request.url, context.stopwatch

    def make() -> Exchange:
        return Exchange(watch, bodiless=request.method == "HEAD", skip_redirect_body=spec.follow_redirects)

    tls = Tls(verify=spec.verify, ca=spec.ca, alpn=("http/1.1",)) if url.secure else None
    exchange = await dial(context, url.host, url.port, make, tls)
    context.seen.explain = lambda: _explanation(exchange, url)
    context.seen.progress = lambda: f"({exchange.received_bytes} bytes of the body so far)"
    try:
        await exchange.run(request.wire)
    finally:
        exchange.abort()
    return exchange


def _explanation(exchange: Exchange, url: Url) -> dict[str, Any]:
    """What the last answer was, as far as it came."""
    evidence: dict[str, Any] = {"url": url.text}
    if exchange.status:
        evidence["status"] = exchange.status
        evidence["headers"] = shown_headers(exchange.headers)
    if exchange.received_bytes:
        body, _ = _decoded(exchange)
        evidence["body"] = excerpt(as_utf8(body or b"", _content_type(exchange)))
        evidence["received_bytes"] = exchange.received_bytes
    if exchange.certificate is not None:
        evidence["certificate"] = exchange.certificate.as_dict()
    return evidence


def _readable_body(exchange: Exchange, seen: Observation) -> bytes | None:
    """The body as expectations read it, in UTF-8; None where it is encoded in a way that was not asked for."""
    body, problem = _decoded(exchange)
    if problem:
        raise ProbeFailure(Failure(reason=Reason.PROTOCOL, message=problem, phase="transfer"))
    if body is None:
        seen.evidence["notes"] = [f"unrequested content-encoding {_encoding(exchange)}: the body was not read"]
        return None
    if exchange.cut or len(body) >= MAX_BODY:
        seen.evidence["notes"] = ["body cut at 1 MiB"]
    return as_utf8(body, _content_type(exchange))


def _content_type(exchange: Exchange) -> str:
    return (exchange.header(b"content-type") or b"").decode("latin-1")


def _encoding(exchange: Exchange) -> str:
    return (exchange.header(b"content-encoding") or b"").decode("latin-1").strip().lower()[:100]


def _decoded(exchange: Exchange) -> tuple[bytes | None, str]:
    """The body without its content-encoding, at most MAX_BODY bytes, and what is wrong with it.

    One layer of gzip or deflate is taken off, for servers that send it unasked; anything else is None.
    """
    encoding = _encoding(exchange)
    if encoding in ("", "identity") or not exchange.received_bytes:
        return exchange.body, ""
    if encoding not in ("gzip", "x-gzip", "deflate"):
        return None, ""
    try:
        return zlib.decompressobj(wbits=47).decompress(exchange.body, MAX_BODY), ""  # 47: gzip or zlib, as it begins
    except zlib.error as exc:
        return None, f"the body's {encoding} can't be decoded: {exc}"


HTTP = Kind(spec=HttpSpec, probe=probe)
