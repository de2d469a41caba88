"""Who a client is that comes through reverse proxies of ours: what X-Forwarded-For says is believed of those alone."""

from __future__ import annotations

import ipaddress
from collections.abc import Iterable, Sequence

from checks.network.guard import Address, Network, networks_of

_HEADER = b"x-forwarded-for"
MOST_HOPS = 20


class TrustedProxies:
    """The proxies of STILLUP_TRUSTED_PROXIES. Without any, the client is who is connected, whatever a header says."""

    def __init__(self, networks: Iterable[Network] = ()) -> None:
        self._networks: Sequence[Network] = tuple(networks)

    @classmethod
    def from_environment(cls) -> TrustedProxies:
        """Those that the environment names. Raises EnvironmentProblem."""
        return cls(networks_of("STILLUP_TRUSTED_PROXIES"))

    def __bool__(self) -> bool:
        return bool(self._networks)

    def client_of(self, peer: str, headers: Iterable[tuple[bytes, bytes]]) -> str:
        """The last hop that is none of our proxies, seen from us; what it says of others is its own affair."""
        address = _address(peer)
        if address is None or not self._trusts(address):
            return peer
        said = ",".join(value.decode("latin-1") for name, value in headers if name == _HEADER)
        for hop in reversed(said.split(",")[-MOST_HOPS:]):
            before = _address(hop)
            if before is None:
                break
            address = before
            if not self._trusts(address):
                break
        return str(address)

    def _trusts(self, address: Address) -> bool:
        return any(address in network for network in self._networks)


def _address(text: str) -> Address | None:
    """The address of a hop, which may come with a port; None where it is none."""
    text = text.strip()
    if text.startswith("["):
        text = text[1:].partition("]")[0]
    elif text.count(":") == 1:
        text = text.partition(":")[0]
    try:
        address = ipaddress.ip_address(text)
    except ValueError:
        return None
    mapped = address.ipv4_mapped if isinstance(address, ipaddress.IPv6Address) else None
    return mapped or address
