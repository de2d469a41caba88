"""The one way from a probe to its target: resolve, guard, connect, shake hands, and time each phase where it ends.

Every kind dials through here, with a protocol of its own made of `Connection`; a library that wants to do more by
itself gets a connected socket, or at the least an address that was checked.
"""

from __future__ import annotations

import socket
from collections.abc import Callable, Coroutine, Sequence
from dataclasses import dataclass, field, replace
from functools import partial
from typing import Any, Generic, TypeVar

from checks.attempts import connect, connected_socket, first_to_stand, shown
from checks.connection import Connection
from checks.guard import Guard, literal
from checks.probe import ProbeContext, ProbeFailure
from checks.proxying import ConnectionLink, Link, SocketLink, blamed_on, open_tunnel
from checks.resolver import Resolver
from checks.result import Failure, Reason
from checks.route import Route
from checks.securing import Tls, TlsContexts, library_context, secure, spec_tls
from checks.tls import CertificateJudge

__all__ = [
    "DIRECT",
    "Resources",
    "Tls",
    "connect_socket",
    "dial",
    "library_context",
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
    judge: CertificateJudge = field(default_factory=CertificateJudge)
    contexts: TlsContexts = field(default_factory=TlsContexts)

    @classmethod
    def open(cls) -> Resources:
        """Resources as the environment describes them. Raises EnvironmentProblem."""
        return cls()

    def close(self) -> None:
        """Let go of the resolver's threads."""
        self.resolver.close()


C = TypeVar("C", bound=Connection)
T = TypeVar("T")


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
        addresses = await _addresses(context, host, route)
        prepare = make if tls is None else lambda: _to_be_secured(make())
        try:
            connection = await first_to_stand(
                addresses, lambda address: connect(address, port, prepare), Connection.abort
            )
        except OSError:
            context.resources.resolver.forget(host)
            raise
    else:
        way = _Way(partial(connect, port=route.proxy.port, make=make), ConnectionLink, Connection.abort)
        connection, address, connection.made_ns = await _through(context, host, port, route, way)
        connection.peer = shown(address, port)
    try:
        context.stopwatch.mark("connect", "first_byte" if tls is None else "tls", connection.made_ns)
        context.seen.evidence["address"] = connection.peer
        if tls is not None:
            if route.proxy is not None:
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


async def connect_socket(context: ProbeContext, host: str, port: int, route: Route = DIRECT) -> socket.socket:
    """A connected socket that does not block, for a library that takes one; `dns` and `connect` are marked.

    Raises like `dial`. Whoever gets the socket closes it.
    """
    close = socket.socket.close
    if route.proxy is None:
        addresses = await _addresses(context, host, route)
        try:
            sock = await first_to_stand(addresses, lambda address: connected_socket(address, port), close)
        except OSError:
            context.resources.resolver.forget(host)
            raise
        context.stopwatch.mark("connect", "first_byte")
        context.seen.evidence["address"] = shown(*sock.getpeername()[:2])
        return sock
    way = _Way(partial(connected_socket, port=route.proxy.port), SocketLink, close)
    sock, address, at_ns = await _through(context, host, port, route, way)
    context.stopwatch.mark("connect", "first_byte", at_ns)
    context.seen.evidence["address"] = shown(address, port)
    return sock


async def reach(context: ProbeContext, host: str, port: int, route: Route = DIRECT) -> str:
    """One address of the host that may be dialled, for a library that connects by itself; `dns` is marked.

    Raises like `dial`.
    """
    address = (await _addresses(context, host, route))[0]
    context.seen.evidence["address"] = shown(address, port)
    return address


@dataclass(frozen=True, slots=True)
class _Way(Generic[T]):
    """How a thing of one sort is led through a proxy: opened, spoken over and dropped."""

    open: Callable[[str], Coroutine[Any, Any, T]]
    link: Callable[[T], Link]
    drop: Callable[[T], None]


async def _through(context: ProbeContext, host: str, port: int, route: Route, way: _Way[T]) -> tuple[T, str, int]:
    """What was opened to the proxy and led on to the target, the address or name it leads to, and since when."""
    proxy = route.proxy
    assert proxy is not None  # noqa: S101 - nobody else comes here
    name = context.seen.evidence["proxy"] = shown(proxy.host, proxy.port)
    with blamed_on(proxy):
        proxies = await _addresses(context, proxy.host, replace(route, family=0))
    # Whoever resolves, an address is judged by us; a name that only the proxy can resolve is the proxy's to judge.
    by_proxy = proxy.resolves and not literal(host)
    goals: Sequence[str] = (host,) if by_proxy else await _addresses(context, host, route)

    async def attempt(goal: str) -> tuple[T, str, int]:
        with blamed_on(proxy):
            opened = await first_to_stand(proxies, way.open, way.drop)
        try:
            link = way.link(opened)
            await open_tunnel(link, proxy, goal, port)
        except BaseException:
            way.drop(opened)
            raise
        link.leave()
        return opened, goal, link.at_ns

    context.seen.waiting_for = f"the proxy {name}"
    won = await first_to_stand(goals, attempt, lambda lost: way.drop(lost[0]))
    context.seen.waiting_for = ""
    return won


async def _addresses(context: ProbeContext, host: str, route: Route) -> Sequence[str]:
    """The addresses of a host that may be dialled: at least one. Raises ProbeFailure."""
    watch = context.stopwatch
    written = literal(host)
    if written:
        watch.phase = "connect"
        addresses: Sequence[str] = (written,)
    else:
        watch.phase = "dns"
        answer = await context.resources.resolver.resolve(host)
        if answer.failure is not None:
            raise ProbeFailure(answer.failure)
        watch.mark("dns", "connect")
        addresses = answer.addresses
    if route.family:
        addresses = _of_family(addresses, host, route.family)
    guard: Guard = context.resources.guard
    refused = [(address, why) for address in addresses if (why := guard.refusal(address)) is not None]
    if not refused:
        return addresses
    allowed = [address for address in addresses if all(address != other for other, _ in refused)]
    if not allowed:
        address, why = refused[0]
        said = address if address == host else f"{address}, the address of {host},"
        message = f"{said} is {why}; probes do not go there unless STILLUP_PROBE_ALLOW names it"
        raise ProbeFailure(Failure(reason=Reason.DENIED, message=message, phase="connect"))
    return allowed


def _of_family(addresses: Sequence[str], host: str, family: int) -> Sequence[str]:
    kept = [address for address in addresses if (":" in address) == (family == 6)]
    if not kept:
        what = "is no" if literal(host) else "has no"
        message = f"{host} {what} IPv{family} address, and this monitor asks over IPv{family} only"
        raise ProbeFailure(Failure(reason=Reason.NAME_NOT_FOUND, message=message, phase="dns"))
    return kept


def _to_be_secured(connection: C) -> C:
    connection.expect_tls()
    return connection
