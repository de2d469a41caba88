"""From a host to a connection to it: the addresses that may be dialled, the first of them that stands, TLS over it.

The parts of `checks.network.dial`, which adds the route; the resolvers of monitors are reached by these alone.
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Sequence
from typing import TypeVar

from checks.network.attempts import first_to_stand
from checks.network.connection import Connection
from checks.network.guard import Guard, literal
from checks.network.securing import Tls, secure
from checks.network.streams import Streams
from checks.probe import ProbeContext, ProbeFailure
from checks.result import Failure, Reason

Addresses = Sequence[str]
Later = asyncio.Task[Addresses]  # addresses that come while the first ones are tried already

C = TypeVar("C", bound=Connection)


async def by_machine(context: ProbeContext, host: str) -> Addresses:
    """The addresses of a host by this machine's own resolver. Raises ProbeFailure."""
    context.stopwatch.phase = "dns"
    answer = await context.resources.resolver.resolve(host)
    if answer.failure is not None:
        raise ProbeFailure(answer.failure)
    context.stopwatch.mark("dns", "connect")
    return answer.addresses  # type: ignore[no-any-return]  # a Resolver's


def allowed(context: ProbeContext, host: str, addresses: Addresses) -> Addresses:
    """Those of the addresses of a host that may be dialled. Raises ProbeFailure where there are none."""
    guard: Guard = context.resources.guard
    if len(addresses) == 1 and guard.refusal(addresses[0]) is None:  # nearly always
        return addresses
    refused = {address: why for address in addresses if (why := guard.refusal(address)) is not None}
    if not refused:
        return addresses
    kept = [address for address in addresses if address not in refused]
    if not kept:
        address, why = next(iter(refused.items()))
        said = address if address == host else f"{address}, the address of {host},"
        message = f"{said} is {why}; probes do not go there unless STILLUP_PROBE_ALLOW names it"
        raise ProbeFailure(Failure(reason=Reason.DENIED, message=message, phase="connect"))
    return kept


def of_family(host: str, addresses: Addresses, family: int) -> Addresses:
    """Those of the addresses of a host that are of IPv`family`. Raises ProbeFailure where there are none."""
    kept = [address for address in addresses if (":" in address) == (family == 6)]
    if not kept:
        what = "is no" if literal(host) else "has no"
        message = f"{host} {what} IPv{family} address, and this monitor asks over IPv{family} only"
        raise ProbeFailure(Failure(reason=Reason.NAME_NOT_FOUND, message=message, phase="dns"))
    return kept


def as_written(context: ProbeContext, host: str, family: int = 0) -> Addresses:
    """The address that a host is written as, where it is one and may be dialled; else nothing. Raises ProbeFailure."""
    written = literal(host)
    if not written:
        return ()
    context.stopwatch.phase = "connect"
    return allowed(context, host, of_family(host, (written,), family) if family else (written,))


async def own_addresses(context: ProbeContext, host: str, family: int = 0) -> Addresses:
    """The addresses of a host that may be dialled, as it is written or by this machine's resolver. Raises ProbeFailure."""
    addresses = as_written(context, host, family)
    if addresses:
        return addresses
    addresses = await by_machine(context, host)
    return allowed(context, host, of_family(host, addresses, family) if family else addresses)


async def establish(
    context: ProbeContext,
    target: tuple[str, int],
    addresses: Addresses,
    make: Callable[[], C],
    tls: Tls | None,
    *,
    later: Later | None = None,
) -> C:
    """A connection to one of the addresses of a target, its phases marked. Raises ProbeFailure and OSError."""
    host, port = target
    streams: Streams = context.resources.streams
    alone = later is None and len(addresses) == 1

    def prepare() -> C:
        connection = make()
        if tls is None:
            connection.alone = alone
        else:
            connection.expect_tls()
        return connection

    if alone:
        connection = prepare()
    else:
        connection = await first_to_stand(
            addresses, lambda address: streams.connect(address, port, prepare), Connection.abort, later
        )
    try:
        if alone:
            standing = streams.ask(connection, addresses[0], port)
            if standing is not None:
                await standing
            context.stopwatch.leave_out(connection.asked_ns)
        context.stopwatch.mark("connect", "first_byte" if tls is None else "tls", connection.made_ns)
        context.seen.evidence["address"] = connection.peer
        if tls is not None:
            await secure(connection, context, host, tls)
    except BaseException:
        connection.abort()
        raise
    return connection
