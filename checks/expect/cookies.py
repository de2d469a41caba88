"""The cookies that one probe is given and sends back, as RFC 6265 has it, within bounds."""

from __future__ import annotations

import ipaddress
from collections.abc import Iterable
from dataclasses import dataclass
from email.utils import parsedate_to_datetime

from checks import clock
from checks.address import Url

MAX_COOKIES = 50
MAX_COOKIE = 4096  # bytes of a name and its value


@dataclass(frozen=True, slots=True, kw_only=True)
class _Cookie:
    name: str
    value: str
    domain: str
    path: str
    whole_domain: bool  # also for the hosts below it
    secure: bool

    def is_for(self, url: Url) -> bool:
        """Whether it is sent along to this address."""
        at_home = url.host == self.domain or (self.whole_domain and url.host.endswith(f".{self.domain}"))
        path = url.target.partition("?")[0] or "/"
        below = path == self.path or path.startswith(self.path if self.path.endswith("/") else f"{self.path}/")
        return at_home and below and (url.secure or not self.secure)


class Cookies:
    """The cookies of one probe, from its first answer to its last."""

    def __init__(self) -> None:
        self._kept: dict[tuple[str, str, str], _Cookie] = {}

    def take(self, url: Url, headers: Iterable[tuple[bytes, bytes]]) -> None:
        """Keep what an answer of this address sets, and drop what it takes back."""
        for name, value in headers:
            if name.lower() == b"set-cookie" and len(value) <= 2 * MAX_COOKIE:
                self._take(url, value.decode("latin-1"))

    def header(self, url: Url) -> str:
        """What the header Cookie says to this address; empty where nothing."""
        if not self._kept:
            return ""
        chosen = sorted((c for c in self._kept.values() if c.is_for(url)), key=lambda c: -len(c.path))
        return "; ".join(f"{cookie.name}={cookie.value}" for cookie in chosen)

    def values(self) -> list[str]:
        """What the cookies say, without their names."""
        return [cookie.value for cookie in self._kept.values()]

    def _take(self, url: Url, line: str) -> None:
        pair, _, rest = line.partition(";")
        name, sign, value = (part.strip() for part in pair.partition("="))
        if not name or not sign or len(name) + len(value) > MAX_COOKIE or not (name + value).isprintable():
            return
        attributes = {k.strip().lower(): v.strip() for k, _, v in (part.partition("=") for part in rest.split(";"))}
        domain = attributes.get("domain", "").lower().removeprefix(".")
        if domain and domain != url.host and not _may_set(url.host, domain):
            return
        path = attributes.get("path", "")
        cookie = _Cookie(
            name=name,
            value=value,
            domain=domain or url.host,
            path=path if path.startswith("/") else _default_path(url),
            whole_domain=bool(domain),
            secure="secure" in attributes,
        )
        key = (cookie.domain, cookie.path, name)
        if _is_over(attributes):
            self._kept.pop(key, None)
        elif key in self._kept or len(self._kept) < MAX_COOKIES:
            self._kept[key] = cookie


def cookie_values(headers: Iterable[tuple[bytes, bytes]]) -> dict[str, str]:
    """The cookies that an answer sets, by name."""
    found: dict[str, str] = {}
    for name, value in headers:
        if name.lower() == b"set-cookie":
            key, sign, content = value.decode("latin-1").partition(";")[0].partition("=")
            if sign:
                found[key.strip()] = content.strip()
    return found


def _may_set(host: str, domain: str) -> bool:
    """Whether a host may set a cookie for this domain above it; a name of one label is everybody's."""
    if "." not in domain or not host.endswith(f".{domain}"):
        return False
    try:
        ipaddress.ip_address(host)
    except ValueError:
        return True
    return False


def _default_path(url: Url) -> str:
    return url.target.partition("?")[0].rpartition("/")[0] or "/"


def _is_over(attributes: dict[str, str]) -> bool:
    age = attributes.get("max-age", "")
    if age.removeprefix("-").isdigit():
        return age.startswith("-") or not age.strip("0")
    try:
        return bool(attributes.get("expires")) and parsedate_to_datetime(attributes["expires"]) <= clock.utcnow()
    except (ValueError, TypeError, OverflowError):  # a naive date has no zone to compare in
        return False
