"""How a monitor reaches its target: the options that kinds share, and the route that they make.

`checks.network.dial` and its siblings take a `Route`; a kind inherits from the classes here what its protocol allows.
"""

from __future__ import annotations

import re
from dataclasses import dataclass
from functools import cached_property
from typing import Annotated, Literal, Self
from urllib.parse import unquote, urlsplit

from cryptography import x509
from cryptography.hazmat.primitives.serialization import load_pem_private_key
from pydantic import AfterValidator, Field, model_validator

from checks.address import host_name, parse_host_port, parse_url
from checks.network.tls import CaBundle
from checks.spec import AsWritten, Line, ProbedSpec, Secret, SecretMark, Text

_PROXY_PORTS = {"http": 8080, "socks5": 1080, "socks5h": 1080}
_RESOLVER_PORTS = {"udp": 53, "tcp": 53, "tls": 853}
_SCHEME = re.compile(r"([a-z0-9]+)://(.*)", re.DOTALL)


@dataclass(frozen=True, slots=True, kw_only=True)
class Proxy:
    """A way through another host. With `socks5` we resolve the target's name, with `http` and `socks5h` the proxy does."""

    scheme: Literal["http", "socks5", "socks5h"]
    host: str
    port: int
    username: str = ""
    password: str = ""

    @property
    def resolves(self) -> bool:
        """Whether the proxy is given the target's name."""
        return self.scheme != "socks5"


@dataclass(frozen=True, slots=True, kw_only=True)
class NameServer:
    """A resolver of the monitor's own. `path` is that of DNS over HTTPS."""

    scheme: Literal["udp", "tcp", "tls", "https"]
    host: str
    port: int
    path: str = ""


@dataclass(frozen=True, slots=True, kw_only=True)
class Route:
    """How a connection is made, beyond the target's own address."""

    family: Literal[0, 4, 6] = 0  # 0: whichever answers first
    resolver: NameServer | None = None  # None: the machine's own
    proxy: Proxy | None = None


def parse_proxy(text: str) -> Proxy:
    """The proxy that `text` writes, as in socks5://user:password@10.0.0.1:1080. Raises ValueError."""
    match = _SCHEME.fullmatch(text)
    if match is None or match[1] not in _PROXY_PORTS:
        begins = f"begins with {match[1]}://" if match else "has no scheme"
        raise ValueError(f"{begins}; allowed: http://, socks5://, and socks5h:// where the proxy is to resolve names")
    try:
        parts = urlsplit(f"//{match[2]}")
        host, port = parts.hostname or "", parts.port or _PROXY_PORTS[match[1]]
    except ValueError as exc:
        raise ValueError(f"is no address of a proxy: {exc}") from None
    if not host or parts.path not in ("", "/") or parts.query or parts.fragment:
        raise ValueError("is no address of a proxy; write it as http://host:port or socks5://user:password@host:port")
    host, port = parse_host_port(f"[{host}]:{port}" if ":" in host else f"{host}:{port}")
    scheme: Literal["http", "socks5", "socks5h"] = match[1]  # type: ignore[assignment]  # one of _PROXY_PORTS
    username, password = unquote(parts.username or ""), unquote(parts.password or "")
    if scheme != "http" and username and not (len(username.encode()) <= 255 and 1 <= len(password.encode()) <= 255):
        raise ValueError("has a user name or a password that SOCKS can't carry: 1 to 255 bytes each are allowed")
    if password and not username:
        raise ValueError("has a password without a user name")
    return Proxy(scheme=scheme, host=host, port=port, username=username, password=password)


def parse_resolver(text: str) -> NameServer:
    """The resolver that `text` writes: 10.0.0.53, tcp://10.0.0.53:53, tls://dns.example, https://dns.example/dns-query.

    Raises ValueError.
    """
    if text.startswith("https://"):
        url = parse_url(text)
        return NameServer(scheme="https", host=url.host, port=url.port, path=url.target)
    match = _SCHEME.fullmatch(text)
    scheme, rest = (match[1], match[2]) if match else ("udp", text)
    if scheme not in _RESOLVER_PORTS:
        raise ValueError(f"begins with {scheme}://; allowed: udp://, tcp://, tls://, https://, or an address alone")
    if not rest.startswith("[") and rest.count(":") > 1:
        rest = f"[{rest}]"
    if not re.search(r":\d+$", rest):
        rest = f"{rest}:{_RESOLVER_PORTS[scheme]}"
    host, port = parse_host_port(rest)
    allowed: Literal["udp", "tcp", "tls"] = scheme  # type: ignore[assignment]  # one of _RESOLVER_PORTS
    return NameServer(scheme=allowed, host=host, port=port)


def _is_proxy(text: str) -> str:
    if text:
        parse_proxy(text)
    return text


def _is_resolver(text: str) -> str:
    if text:
        parse_resolver(text)
    return text


def _is_host_port(text: str) -> str:
    parse_host_port(text)
    return text


HostPort = Annotated[Line, Field(min_length=1, max_length=300), AfterValidator(_is_host_port)]


class RoutedSpec(ProbedSpec):
    """Options of the kinds that reach a target by its name or address."""

    ip: Annotated[Literal["any", "4", "6"], AsWritten] = "any"
    """Over IPv4 or IPv6 only; any takes whichever connects first."""
    resolver: Annotated[Line, Field(max_length=300), AfterValidator(_is_resolver)] = ""
    """Who resolves names, as in 10.0.0.53, tls://dns.example or https://dns.example/dns-query. By default this machine."""

    @cached_property
    def route(self) -> Route:
        """How connections of this monitor are made."""
        family: Literal[0, 4, 6] = 4 if self.ip == "4" else 6 if self.ip == "6" else 0
        return Route(family=family, resolver=parse_resolver(self.resolver) if self.resolver else None)


class ProxiedSpec(RoutedSpec):
    """Options of the kinds whose connections may go through a proxy."""

    proxy: Annotated[Secret, AfterValidator(_is_proxy)] = ""
    """A proxy that connects for us, as in http://10.0.0.1:3128 or socks5://user:password@10.0.0.1:1080."""

    @model_validator(mode="after")
    def _has_one_who_resolves(self) -> Self:
        if self.ip != "any" and self.proxy and parse_proxy(self.proxy).resolves:
            raise ValueError("ip: this proxy resolves names itself; use a proxy socks5:// to choose")
        return self

    @cached_property
    def route(self) -> Route:
        """How connections of this monitor are made."""
        plain = super().route
        proxy = parse_proxy(self.proxy) if self.proxy else None
        return Route(family=plain.family, resolver=plain.resolver, proxy=proxy)


def _is_certificate(text: str) -> str:
    if text:
        try:
            x509.load_pem_x509_certificates(text.encode())
        except (ValueError, x509.InvalidVersion) as exc:
            raise ValueError("holds no certificate in PEM: -----BEGIN CERTIFICATE----- ...") from exc
    return text


def _is_private_key(text: str) -> str:
    if text:
        try:
            load_pem_private_key(text.encode(), password=None)
        except (ValueError, TypeError) as exc:
            raise ValueError("holds no private key in PEM without a passphrase") from exc
    return text


def _is_name(text: str) -> str:
    return host_name(text) if text else text


def _keys_match(certificate: str, key: str) -> bool:
    own = x509.load_pem_x509_certificates(certificate.encode())[0].public_key()
    return own == load_pem_private_key(key.encode(), password=None).public_key()


class SecuredSpec(ProbedSpec):
    """Options of the kinds that may speak TLS."""

    verify: bool = True
    """Down when the certificate is not trusted, not valid now, or made for another name."""
    ca: CaBundle = ""
    """Certificates in PEM that are trusted beside those of the system."""
    server_name: Annotated[Line, Field(max_length=253), AfterValidator(_is_name)] = ""
    """The name that is asked for in the TLS handshake (SNI) and that the certificate must bear. By default the host."""
    client_certificate: Annotated[Text, Field(max_length=65536), AfterValidator(_is_certificate)] = ""
    """The certificate in PEM, with its chain, by which we prove who we are (mutual TLS)."""
    client_key: Annotated[Text, Field(max_length=65536), AfterValidator(_is_private_key), SecretMark()] = ""
    """The private key in PEM of client_certificate, without a passphrase."""

    @model_validator(mode="after")
    def _has_both_halves(self) -> Self:
        if bool(self.client_certificate) != bool(self.client_key):
            missing = "client_key" if self.client_certificate else "client_certificate"
            raise ValueError(f"{missing}: client_certificate and client_key belong together")
        if self.client_key and not _keys_match(self.client_certificate, self.client_key):
            raise ValueError("client_key: is not the key of client_certificate, whose first certificate must be ours")
        return self
