"""`http`: asks a web address and judges the answer. Step 1 of the path of a result: socket -> Result."""

from __future__ import annotations

from collections.abc import Mapping
from functools import cached_property
from typing import Annotated, ClassVar, Literal, Self

from pydantic import Field, model_validator

from checks.address import parse_url
from checks.expect import Subject
from checks.network import Tls, spec_tls
from checks.probe import TIMINGS, Kind, ProbeContext
from checks.request import basic
from checks.result import Observation
from checks.route import ProxiedSpec, SecuredSpec
from checks.spec import Line, Payload, Secret, SecretMark
from checks.web import ANSWER, HTTP_1, Request, facts, fetch
from checks.web_options import HeaderName, WebUrl


class HttpSpec(ProxiedSpec, SecuredSpec):
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
    subjects: ClassVar[Mapping[str, Subject]] = {**ANSWER, **TIMINGS}

    kind: Literal["http"] = "http"
    """Asks a web address."""
    url: WebUrl
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
        """The request that a probe begins with."""
        headers = {name.lower(): value for name, value in self.headers.items()}
        if self.username:
            headers["authorization"] = basic(self.username, self.password)
        elif self.bearer:
            headers["authorization"] = f"Bearer {self.bearer}"
        return Request(url=parse_url(self.url), method=self.method, headers=headers, body=self.body.encode())

    @cached_property
    def secured(self) -> Tls:
        """How its connections are secured."""
        return spec_tls(self, HTTP_1)


async def probe(spec: HttpSpec, context: ProbeContext) -> Observation:
    """Ask, follow redirects, and report the last answer."""
    seen = context.seen
    answer = await fetch(
        context,
        spec.first_request,
        tls=spec.secured,
        route=spec.route,
        follow=spec.max_redirects if spec.follow_redirects else 0,
    )
    seen.facts |= facts(answer)
    if answer.notes:
        seen.evidence["notes"] = answer.notes
    seen.complete = True
    context.stopwatch.phase = "other"
    return seen


HTTP = Kind(spec=HttpSpec, probe=probe)
