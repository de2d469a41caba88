"""The one way from a probe to its target: resolve, guard, connect, shake hands, and time each phase where it ends.

Every kind dials through here, with a protocol of its own made of `Connection`; what no stream carries exchanges
datagrams, or asks for an address that was checked.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field, replace
from typing import TypeVar

from checks.network import datagrams
from checks.network.attempts import first_to_stand, has_route, shown
from checks.network.connection import Connection
from checks.network.datagrams import Fits, Heard
from checks.network.dialling import Addresses, Later, as_written, establish, own_addresses
from checks.network.guard import Guard, literal
from checks.network.names import Names
from checks.network.proxying import Link, blamed_on, open_tunnel
from checks.network.registries import Registries
from checks.network.resolver import Resolver
from checks.network.route import Route
from checks.network.securing import Tls, TlsContexts, secure, spec_tls
from checks.network.streams import Streams
from checks.network.tls import CertificateJudge
from checks.network.tokens import Tokens
from checks.probe import ProbeContext
from checks.sightings import Sightings

__all__ = [
    "DIRECT",
    "Resources",
    "Tls",
    "dial",
    "exchange",
    "reach",
    "spec_tls",
    "start_tls",
]

DIRECT = Route()


@dataclass(slots=True, kw_only=True)
class Resources:
    """What all probes of a process share. Belongs to the event loop it is first used in."""

    guard: Guard = field(default_factory=Guard.from_environment)
    resolver: Resolver = field(default_factory=Resolver)
    names: Names = field(default_factory=Names)
    judge: CertificateJudge = field(default_factory=CertificateJudge)
    contexts: TlsContexts = field(default_factory=TlsContexts)
    registries: Registries = field(default_factory=Registries)
    tokens: Tokens = field(default_factory=Tokens)
    sightings: Sightings = field(default_factory=Sightings)
    streams: Streams = field(default_factory=Streams)

    @classmethod
    def open(cls) -> Resources:
        """Resources as the environment describes them. Raises EnvironmentProblem."""
        return cls()

    def close(self) -> None:
        """Let go of the resolver's threads, and of the sockets."""
        self.resolver.close()
        self.streams.close()


C = TypeVar("C", bound=Connection)


async def dial(
    context: ProbeContext,
    host: str,
    port: int,
    make: Callable[[], C],
    tls: Tls | None = None,
    *,
    route: Route = DIRECT,
) -> C:
    """A connection of the sort that `make` makes, secured where `tls` says so, its phases marked.

    Raises ProbeFailure for what has a name and OSError for the rest. Whoever gets the connection aborts it.
    """
    if route.proxy is None:
        addresses, later = as_written(context, host, route.family), None
        if not addresses:
            addresses, later = await _addresses(context, host, route)
        try:
            return await establish(context, (host, port), addresses, make, tls, later=later)
        except OSError:
            _forget(context, host, route)
            raise
    connection, address, made_ns = await _through(context, host, port, route, make)
    connection.made_ns = made_ns
    try:
        connection.ip = address
        connection.peer = context.seen.evidence["address"] = shown(address, port)
        context.stopwatch.mark("connect", "first_byte" if tls is None else "tls", made_ns)
        if tls is not None:
            connection.expect_tls()
            await secure(connection, context, host, tls)
    except BaseException:
        connection.abort()
        raise
    return connection


async def start_tls(context: ProbeContext, connection: Connection, host: str, tls: Tls) -> None:
    """Go on in TLS on a connection that spoke in clear until now; what the target says next is delivered at once.

    The phase that is running ends here, and `tls` is marked. Raises like `dial`; the connection is the caller's to abort.
    """
    context.stopwatch.mark(context.stopwatch.phase, "tls")
    connection.hold()
    connection.expect_tls()
    await secure(connection, context, host, tls)
    connection.start()


async def exchange(
    context: ProbeContext, host: str, port: int, question: bytes, fits: Fits, *, route: Route = DIRECT
) -> Heard:
    """The first datagram that fits as an answer to `question`; `dns` and `first_byte` are marked. Raises like `dial`."""
    addresses, later = await _addresses(context, host, route)
    try:
        return await datagrams.exchange(context, addresses, port, question, fits, later=later)
    except OSError:
        _forget(context, host, route)
        raise


async def reach(context: ProbeContext, host: str, port: int, route: Route = DIRECT) -> str:
    """One address of the host that may be dialled, for a library that connects by itself; `dns` is marked.

    The first to which a way leads from this machine. Raises like `dial`.
    """
    addresses, later = await _addresses(context, host, route)
    if later is not None:
        later.cancel()
    address = next(filter(has_route, addresses), addresses[0])
    context.seen.evidence["address"] = shown(address, port)
    return address


async def _through(
    context: ProbeContext, host: str, port: int, route: Route, make: Callable[[], C]
) -> tuple[C, str, int]:
    """A connection to the proxy that leads on to the target, the address or name it leads to, and since when."""
    proxy = route.proxy
    assert proxy is not None  # noqa: S101 - nobody else comes here
    name = context.seen.evidence["proxy"] = shown(proxy.host, proxy.port)
    with blamed_on(proxy):
        proxies, later = await _addresses(context, proxy.host, replace(route, family=0))
        if later is not None:
            later.cancel()
    # Whoever resolves, an address is judged by us; a name that only the proxy can resolve is the proxy's to judge.
    by_proxy = proxy.resolves and not literal(host)
    goals, later = ((host,), None) if by_proxy else await _addresses(context, host, route)

    async def attempt(goal: str) -> tuple[C, str, int]:
        with blamed_on(proxy):
            opened = await first_to_stand(
                proxies, lambda address: context.resources.streams.connect(address, proxy.port, make), Connection.abort
            )
        try:
            link = Link(opened)
            await open_tunnel(link, proxy, goal, port)
        except BaseException:
            opened.abort()
            raise
        link.leave()
        return opened, goal, link.at_ns

    context.seen.waiting_for = f"the proxy {name}"
    won = await first_to_stand(goals, attempt, lambda lost: lost[0].abort(), later)
    context.seen.waiting_for = ""
    return won


async def _addresses(context: ProbeContext, host: str, route: Route) -> tuple[Addresses, Later | None]:
    """The addresses of a host that may be dialled, at least one, and those that may come late. Raises ProbeFailure."""
    written = as_written(context, host, route.family)
    if written:
        return written, None
    later: Later | None = None
    if route.resolver is None:
        addresses = await own_addresses(context, host, route.family)
    else:
        addresses, later = await context.resources.names.resolve(context, route.resolver, host, route.family)
    context.seen.evidence["addresses"] = addresses  # for whoever looks why none of them answered
    return addresses, later


def _forget(context: ProbeContext, host: str, route: Route) -> None:
    """Resolve again the next time: no address of this host worked."""
    if route.resolver is None:
        context.resources.resolver.forget(host)
    else:
        context.resources.names.forget(route.resolver, host)
