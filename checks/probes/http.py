"""`http`: asks a web address and judges the answer. Step 1 of the path of a result: socket -> Result."""

from __future__ import annotations

import re
from collections.abc import Mapping
from typing import Annotated, ClassVar, Literal, Self

from pydantic import AfterValidator, Field, model_validator

from checks.address import parse_url
from checks.expect import Subject
from checks.probe import TIMINGS, Kind
from checks.spec import Line, ProbedSpec, Secret, SecretMark, Text
from checks.tls import CaBundle

_TOKEN = re.compile(r"[A-Za-z0-9!#$%&'*+.^_`|~-]+", re.ASCII)
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
    body: Annotated[Text, Field(max_length=65536)] = ""
    """The body of the request."""
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


HTTP = Kind(spec=HttpSpec)
