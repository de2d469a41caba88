"""Addresses as users and targets write them: `https://shop.example.org/health`, `mail.example.org:25`.

Both are read strictly, and what is wrong is said in words: they come from configurations and from `Location` headers.
"""

from __future__ import annotations

import ipaddress
import re
import unicodedata
from dataclasses import dataclass
from functools import lru_cache

import httpx

_DEFAULT_PORTS = {"http": 80, "https": 443}
_LABEL = re.compile(r"[A-Za-z0-9_](?:[A-Za-z0-9_-]{0,61}[A-Za-z0-9_])?", re.ASCII)
_SCHEME = re.compile(r"([A-Za-z][A-Za-z0-9+.-]*):(//)?")


@dataclass(frozen=True, slots=True, kw_only=True)
class Url:
    """One http or https address, ready to be asked."""

    text: str  # without credentials and fragment
    scheme: str
    host: str  # ASCII; an IPv6 address without brackets
    port: int
    authority: str  # what stands in the Host header
    target: str  # path and query, percent-encoded

    @property
    def secure(self) -> bool:
        """Whether it is asked over TLS."""
        return self.scheme == "https"

    @property
    def origin(self) -> tuple[str, str, int]:
        """What credentials are bound to."""
        return self.scheme, self.host, self.port


@lru_cache(maxsize=2000)  # a monitor's is read to be judged, and again for its first request
def parse_url(text: str) -> Url:
    """The address that `text` writes. Raises ValueError that says what is wrong with it and what to write instead."""
    _refuse_unprintable(text)
    scheme = _SCHEME.match(text)
    if scheme is None or scheme[2] is None:
        hint = "" if scheme else f"; did you mean https://{text}?"
        raise ValueError(f"{text!r} does not begin with http:// or https://{hint}")
    if scheme[1].lower() not in _DEFAULT_PORTS:
        raise ValueError(f"begins with {scheme[1]}://; allowed: http:// and https://")
    authority = re.split(r"[/?#\\]", text[scheme.end() :], maxsplit=1)[0]
    if "@" in authority:
        raise ValueError("holds a user name or a password; use the options username and password")
    if authority.count(":") > 1 and "]" not in authority:
        raise ValueError(f"{text!r}: an IPv6 address stands in brackets, as in http://[::1]:8080/")
    try:
        url = httpx.URL(text)
        if "#" in text:
            url = url.copy_with(fragment=None)  # which reads it once more
    except (httpx.InvalidURL, UnicodeError) as exc:
        raise ValueError(f"{text!r} is no address: {str(exc) or 'its host can not be read'}") from exc
    if not url.raw_host:
        raise ValueError(f"{text!r} has no host")
    host = host_name(url.raw_host.decode("ascii"))
    port = url.port if url.port is not None else _DEFAULT_PORTS[url.scheme]
    if not 1 <= port <= 65535:
        raise ValueError(f"has the port {port}; allowed: 1 to 65535")
    return Url(
        text=str(url),
        scheme=url.scheme,
        host=host,
        port=port,
        authority=_authority(host, None if port == _DEFAULT_PORTS[url.scheme] else port),
        target=url.raw_path.decode("ascii"),
    )


def join_url(base: Url, location: str) -> Url:
    """Where a `Location` header of `base` leads. Raises ValueError for what is no http or https address."""
    scheme = _SCHEME.match(location)
    if scheme is not None:
        return parse_url(location)
    try:
        return parse_url(str(httpx.URL(base.text).join(location)))
    except (httpx.InvalidURL, UnicodeError) as exc:
        raise ValueError(f"{location[:200]!r} is no address: {exc}") from exc


def parse_host_port(text: str) -> tuple[str, int]:
    """The host and port of `host:port` or `[::1]:port`. Raises ValueError that says what is missing."""
    _refuse_unprintable(text)
    if "://" in text:
        raise ValueError(f"{text!r} begins with a scheme; write host:port, as in mail.example.org:25")
    host, colon, digits = text.rpartition(":")
    if not colon or not host:
        raise ValueError(f"{text!r} has no port; write host:port, as in mail.example.org:25")
    if not re.fullmatch(r"[0-9]{1,5}", digits, re.ASCII) or not 1 <= int(digits) <= 65535:
        raise ValueError(f"has the port {digits!r}; allowed: 1 to 65535")
    if host.startswith("[") and host.endswith("]"):
        host = host[1:-1]
        if ":" not in host:
            raise ValueError(f"has {host!r} in brackets, which are for IPv6 addresses")
    elif ":" in host:
        raise ValueError(f"{text!r}: an IPv6 address stands in brackets, as in [::1]:25")
    return host_name(host), int(digits)


def host_name(text: str) -> str:
    """A host in ASCII: a name, an IPv4 or an IPv6 address. Raises ValueError for what can be none of them."""
    if ":" in text:
        try:
            return str(ipaddress.IPv6Address(text))
        except ValueError as exc:
            raise ValueError(f"{text!r} is no IPv6 address") from exc
    if not text.isascii():
        try:
            text = httpx.URL(f"http://{text}/").raw_host.decode("ascii")
        except (httpx.InvalidURL, UnicodeError) as exc:
            raise ValueError(f"{text!r} is no host name") from exc
    labels = text.removesuffix(".").split(".")
    bad = next((label for label in labels if not _LABEL.fullmatch(label)), None)
    if bad is not None:
        where = f": {bad!r} is no part of a name" if bad else ": a part of it is empty"
        raise ValueError(f"{text!r} is no host name{where}")
    if len(text) > 253:
        raise ValueError(f"has a host name of {len(text)} characters; at most 253 are allowed")
    return text.lower()


def _authority(host: str, port: int | None) -> str:
    shown = f"[{host}]" if ":" in host else host
    return shown if port is None else f"{shown}:{port}"


def _refuse_unprintable(text: str) -> None:
    if text.isascii() and text.isprintable() and " " not in text:  # nearly always
        return
    for position, char in enumerate(text, start=1):
        if char == " ":
            raise ValueError(f"has a space at position {position}; write it as %20")
        if unicodedata.category(char) in ("Cc", "Cf", "Cs", "Zs", "Zl", "Zp"):
            raise ValueError(f"has the character U+{ord(char):04X} at position {position}, which no address has")
