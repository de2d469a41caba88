"""Which addresses a probe may connect to.

A tool that watches must reach private networks and this machine itself; these are allowed. What no target has, and what
hands out credentials to whoever asks from inside (the metadata services of clouds), is refused to everybody. Every
answer of the resolver is judged, and the judged address is the one that is dialled, again for each redirect.

The table is our own because `ipaddress.is_private` and `is_global` differ between patch versions of Python and let
metadata services, carrier-grade and translated addresses through.
"""

from __future__ import annotations

import ipaddress
import re
import socket
from collections.abc import Iterable
from functools import lru_cache

from checks.environment import EnvironmentProblem, read_env

Address = ipaddress.IPv4Address | ipaddress.IPv6Address
Network = ipaddress.IPv4Network | ipaddress.IPv6Network

REFUSED: dict[str, str] = {
    "0.0.0.0/8": "unspecified",  # RFC 1122; Linux connects 0.0.0.0 to itself
    "169.254.0.0/16": "link-local",  # RFC 3927; 169.254.169.254 is the metadata service of most clouds
    "192.0.0.0/24": "reserved",  # RFC 6890
    "100.100.100.200/32": "a metadata service",  # Alibaba Cloud
    "168.63.129.16/32": "a metadata service",  # Azure
    "192.0.0.192/32": "a metadata service",  # Oracle Cloud
    "224.0.0.0/4": "multicast",  # RFC 5771
    "240.0.0.0/4": "reserved",  # RFC 1112, and the broadcast address
    "::/128": "unspecified",  # RFC 4291
    "fe80::/10": "link-local",  # RFC 4291
    "fec0::/10": "reserved",  # RFC 3879, site-local
    "ff00::/8": "multicast",  # RFC 4291
    "fd00:ec2::/32": "a metadata service",  # Amazon EC2
    "fd20:ce::/32": "a metadata service",  # Google Compute Engine
    "100::/64": "reserved",  # RFC 6666, discarded
    "5f00::/16": "reserved",  # RFC 9602, segment routing
    "2001:db8::/32": "reserved",  # RFC 3849, documentation
}
_NUMBER = re.compile(r"0[xX][0-9A-Fa-f]*|[0-9]+", re.ASCII)
_MAPPED = ipaddress.IPv6Network("::ffff:0:0/96")  # RFC 4291
_COMPATIBLE = ipaddress.IPv6Network("::/96")  # RFC 4291, deprecated
_TRANSLATED = ipaddress.IPv6Network("64:ff9b::/96")  # RFC 6052
_LOCALLY_TRANSLATED = ipaddress.IPv6Network("64:ff9b:1::/48")  # RFC 8215
_SIX_TO_FOUR = ipaddress.IPv6Network("2002::/16")  # RFC 3056
_TEREDO = ipaddress.IPv6Network("2001::/32")  # RFC 4380


@lru_cache(maxsize=50_000)
def literal(host: str) -> str:
    """The address that a host is written as, in its usual form; empty for a name.

    What a C library takes for an IPv4 address (2130706433, 0x7f.1, 010.0.0.1) is one, so that all who look at it see
    the same.
    """
    try:
        return str(ipaddress.ip_address(host))
    except ValueError:
        pass
    if not _NUMBER.fullmatch(host.removesuffix(".").rpartition(".")[2]):
        return ""
    try:
        return socket.inet_ntoa(socket.inet_aton(host.removesuffix(".")))
    except OSError:
        return ""


def inner_addresses(address: Address) -> list[Address]:
    """The address and every IPv4 address that it carries inside: a packet to it may end at any of them."""
    found: list[Address] = [address]
    if isinstance(address, ipaddress.IPv4Address):
        return found
    number = int(address)
    if (
        address in _MAPPED
        or address in _TRANSLATED
        or address in _LOCALLY_TRANSLATED
        or (address in _COMPATIBLE and number > 1)
    ):
        found.append(ipaddress.IPv4Address(number & 0xFFFFFFFF))
    elif address in _SIX_TO_FOUR:
        found.append(ipaddress.IPv4Address((number >> 80) & 0xFFFFFFFF))
    elif address in _TEREDO:
        found.append(ipaddress.IPv4Address((number >> 64) & 0xFFFFFFFF))
        found.append(ipaddress.IPv4Address((number & 0xFFFFFFFF) ^ 0xFFFFFFFF))
    return found


class Guard:
    """Judges addresses. Of the networks given, the narrowest that holds an address decides; a draw refuses."""

    def __init__(self, *, allow: Iterable[Network] = (), deny: Iterable[Network] = ()) -> None:
        table: list[tuple[Network, str]] = [(network, "") for network in allow]
        table += [(network, f"in {network}, which STILLUP_PROBE_DENY names") for network in deny]
        self._given = sorted(table, key=lambda row: (-row[0].prefixlen, not row[1]))
        self._refused = [(ipaddress.ip_network(network), why) for network, why in REFUSED.items()]
        self.refusal = lru_cache(maxsize=50_000)(self._refusal)

    @classmethod
    def from_environment(cls) -> Guard:
        """The guard that STILLUP_PROBE_ALLOW and STILLUP_PROBE_DENY describe."""
        return cls(allow=networks_of("STILLUP_PROBE_ALLOW"), deny=networks_of("STILLUP_PROBE_DENY"))

    def _refusal(self, text: str) -> str | None:
        """Why an address, however it is written, is refused, to follow "is"; None where it is allowed."""
        address = ipaddress.ip_address((literal(text) or text).partition("%")[0])
        inner = inner_addresses(address)
        for network, why in self._given:
            if any(a in network for a in inner if a.version == network.version):
                return why or None
        for network, why in self._refused:
            hit = next((a for a in inner if a.version == network.version and a in network), None)
            if hit is not None:
                return why if hit is address else f"{why} ({hit} inside)"
        return None


def networks_of(name: str) -> list[Network]:
    """The networks that a variable of the environment names. Raises EnvironmentProblem."""
    networks: list[Network] = []
    for part in read_env(name).replace(",", " ").split():
        try:
            networks.append(ipaddress.ip_network(part))
        except ValueError as exc:
            raise EnvironmentProblem(f"{name} holds {part!r}, which is no network such as 10.0.0.0/8: {exc}") from exc
    return networks
