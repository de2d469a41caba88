"""One HTTP request, whatever the version that carries it, and the request that a redirect makes of it."""

from __future__ import annotations

import base64
import re
from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from functools import cached_property

from checks.address import Url, join_url
from checks.probe import ProbeFailure
from checks.result import Failure, Reason

TOKEN = re.compile(r"[A-Za-z0-9!#$%&'*+.^_`|~-]+", re.ASCII)
HARMLESS = frozenset({"accept", "accept-language", "accept-encoding", "user-agent"})  # to another host, too
OURS = frozenset({"connection", "content-length", "expect", "te", "trailer", "transfer-encoding", "upgrade"})
_BODILESS = frozenset({"GET", "HEAD"})
_WITH_LENGTH = frozenset({"POST", "PUT", "PATCH"})  # say how long their body is, also where there is none
_BREAKS = re.compile(r"[\r\n\0]")


@dataclass(frozen=True, kw_only=True)
class Request:
    """One request. What is given in `headers` replaces what every request carries; their names are in lower case.

    While it is `trusted`, it goes to the origin that its headers and body are meant for.
    """

    url: Url
    method: str = "GET"
    headers: Mapping[str, str] = field(default_factory=dict)
    body: bytes = b""
    trusted: bool = True
    absolute: bool = False  # written for a proxy, which is told the whole address

    @cached_property
    def fields(self) -> dict[str, str]:
        """All headers of it, but those that HTTP/1.1 alone needs. Raises ProbeFailure where one holds a line break."""
        fields = {"host": self.url.authority, "user-agent": "Stillup", "accept": "*/*", "accept-encoding": "identity"}
        fields.update(self.headers)
        if self.body or self.method in _WITH_LENGTH:
            fields["content-length"] = str(len(self.body))
        bad = next((name for name, value in fields.items() if _BREAKS.search(value) or not TOKEN.fullmatch(name)), None)
        if bad is not None:
            message = f"the header {bad[:100]!r} can't be sent: its name is none or its value has a line break"
            raise ProbeFailure(Failure(reason=Reason.PROTOCOL, message=message))
        return fields

    @cached_property
    def wire(self) -> bytes:
        """It in HTTP/1.1, over a connection of its own."""
        lines = "".join(f"{name}: {value}\r\n" for name, value in self.fields.items())
        target = self.url.text if self.absolute else self.url.target
        return f"{self.method} {target} HTTP/1.1\r\n{lines}connection: close\r\n\r\n".encode() + self.body

    def having(self, **headers: str) -> Request:
        """The same with these headers, an underscore for each hyphen of their names."""
        added = {name.replace("_", "-"): value for name, value in headers.items()}
        return replace(self, headers={**self.headers, **added})

    def through(self, username: str, password: str) -> Request:
        """The same, written for an HTTP proxy that passes requests on."""
        request = replace(self, absolute=True)
        return request.having(proxy_authorization=basic(username, password)) if username else request

    def following(self, status: int, location: bytes, *, downgrade: bool = False) -> Request:
        """The request that a redirect asks for; from https to http only with `downgrade`.

        Another origin gets no body and no header of the user's own. Raises ProbeFailure for what is not followed.
        """
        try:
            url = join_url(self.url, _text(location))
        except ValueError as exc:
            raise redirect_failure(f"redirected to an address that is not followed: {exc}") from exc
        if self.url.secure and not url.secure and not downgrade:
            raise redirect_failure(f"redirected from https to http: {url.text}")
        method, body, headers = self.method, self.body, self.headers
        if (status == 303 and method != "HEAD") or (status in (301, 302) and method == "POST"):
            method = "GET"  # RFC 9110, 15.4
        trusted = self.trusted and url.origin == self.url.origin
        if not trusted and body and method not in _BODILESS:
            raise redirect_failure(
                f"redirected with status {status} to another host, which is not sent the body: {url.text}"
            )
        if not trusted:
            headers = {name: value for name, value in headers.items() if name in HARMLESS}
        if method != self.method or not trusted:
            body = b"" if method in _BODILESS else body
            headers = {name: value for name, value in headers.items() if body or name != "content-type"}
        return Request(url=url, method=method, headers=headers, body=body, trusted=trusted)


def _text(location: bytes) -> str:
    """An address as the server means it: in UTF-8, or as old software has it."""
    try:
        return location.decode()
    except UnicodeDecodeError:
        return location.decode("latin-1")


def basic(username: str, password: str) -> str:
    """What proves who we are in the header of basic authentication."""
    return f"Basic {base64.b64encode(f'{username}:{password}'.encode()).decode()}"


def redirect_failure(message: str) -> ProbeFailure:
    """A redirect that is not followed."""
    return ProbeFailure(Failure(reason=Reason.REDIRECT, message=message[:500]))
