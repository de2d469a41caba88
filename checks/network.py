"""The one way from a probe to its target: resolve, guard, connect, shake hands, and time each phase where it ends.

Every kind dials through here, with a protocol of its own made of `Connection`.
"""

from __future__ import annotations

import asyncio
import ipaddress
import itertools
import ssl
from collections import deque
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from functools import lru_cache
from typing import TypeVar

from checks import clock
from checks.connection import Connection
from checks.guard import Guard
from checks.probe import ProbeContext, ProbeFailure, Stopwatch, from_os_error
from checks.resolver import Resolver
from checks.result import OURS, Failure, Reason
from checks.tls import CertificateJudge, client_context

HEAD_START = 0.25  # seconds that an address has before the next is tried beside it (RFC 8305)
MAX_ADDRESSES = 10  # of a name that are tried


@dataclass(frozen=True, slots=True, kw_only=True)
class Tls:
    """How a connection is secured."""

    verify: bool = True
    ca: str = ""  # PEM, trusted beside the system's authorities
    alpn: tuple[str, ...] = ()


@dataclass(slots=True, kw_only=True)
class Resources:
    """What all probes of a process share. Belongs to the event loop it is first used in."""

    guard: Guard = field(default_factory=Guard.from_environment)
    resolver: Resolver = field(default_factory=Resolver)
    judge: CertificateJudge = field(default_factory=CertificateJudge)
    contexts: dict[tuple[str, ...], ssl.SSLContext] = field(default_factory=dict)

    @classmethod
    def open(cls) -> Resources:
        """Resources as the environment describes them. Raises EnvironmentProblem."""
        return cls()

    def close(self) -> None:
        """Let go of the resolver's threads."""
        self.resolver.close()

    def context(self, alpn: tuple[str, ...]) -> ssl.SSLContext:
        """The shared settings of handshakes that offer these protocols."""
        context = self.contexts.get(alpn)
        if context is None:
            context = self.contexts[alpn] = client_context(*alpn)
        return context


C = TypeVar("C", bound=Connection)


async def dial(context: ProbeContext, host: str, port: int, make: Callable[[], C], tls: Tls | None = None) -> C:
    """A connection of the sort that `make` makes, secured where `tls` says so, its phases marked.

    Raises ProbeFailure for what has a name and OSError for the rest. Whoever gets the connection aborts it.
    """
    resources: Resources = context.resources
    watch, seen = context.stopwatch, context.seen
    watch.phase = "connect" if is_address(host) else "dns"
    addresses = await _allowed_addresses(resources, host, watch)
    try:
        connection = await _connect_to_any(addresses, port, make if tls is None else lambda: _to_be_secured(make()))
    except OSError:
        resources.resolver.forget(host)
        raise
    try:
        watch.mark("connect", "first_byte" if tls is None else "tls", connection.made_ns)
        seen.evidence["address"] = connection.peer
        if tls is not None:
            await _secure(connection, resources, context, host, tls)
    except BaseException:
        connection.abort()
        raise
    return connection


async def _allowed_addresses(resources: Resources, host: str, watch: Stopwatch) -> Sequence[str]:
    if is_address(host):
        addresses: Sequence[str] = (host,)
    else:
        answer = await resources.resolver.resolve(host)
        if answer.failure is not None:
            raise ProbeFailure(answer.failure)
        watch.mark("dns", "connect")
        addresses = answer.addresses
    refused = [(address, why) for address in addresses if (why := resources.guard.refusal(address)) is not None]
    if not refused:
        return addresses
    allowed = [address for address in addresses if all(address != other for other, _ in refused)]
    if not allowed:
        address, why = refused[0]
        shown = address if address == host else f"{address}, the address of {host},"
        raise ProbeFailure(
            Failure(
                reason=Reason.DENIED,
                message=f"{shown} is {why}; probes do not go there unless STILLUP_PROBE_ALLOW names it",
                phase="connect",
            )
        )
    return allowed


@lru_cache(maxsize=50_000)
def is_address(host: str) -> bool:
    """Whether a host is written as an address, so that nothing is to be resolved."""
    try:
        ipaddress.ip_address(host)
    except ValueError:
        return False
    return True


async def _connect(address: str, port: int, make: Callable[[], C]) -> C:
    connection = make()
    try:
        await asyncio.get_running_loop().create_connection(lambda: connection, address, port)
    except BaseException:
        connection.abort()
        raise
    connection.peer = f"[{address}]:{port}" if ":" in address else f"{address}:{port}"
    return connection


async def _connect_to_any(addresses: Sequence[str], port: int, make: Callable[[], C]) -> C:
    """The first connection that stands: each address has a head start before the next is tried beside it (RFC 8305)."""
    if len(addresses) == 1:
        return await _connect(addresses[0], port, make)
    waiting = deque(_alternating(addresses)[:MAX_ADDRESSES])
    attempts: set[asyncio.Task[C]] = set()
    errors: list[OSError] = []
    try:
        while waiting or attempts:
            if waiting:
                address = waiting.popleft()
                attempts.add(asyncio.create_task(_connect(address, port, make), name=f"connect to {address}"))
            done, _ = await asyncio.wait(
                attempts, timeout=HEAD_START if waiting else None, return_when=asyncio.FIRST_COMPLETED
            )
            for task in done:
                if task.exception() is None:
                    attempts.discard(task)
                    return task.result()
            for task in done:
                attempts.discard(task)
                errors.append(_only_os_error(task.exception()))
    finally:
        await _abandon(attempts)
    # Where one address was out of our reach and another refused, the target speaks louder than our network.
    raise min(errors, key=lambda exc: from_os_error(exc, "connect").reason in OURS)


def _only_os_error(exc: BaseException | None) -> OSError:
    if isinstance(exc, OSError):
        return exc
    raise exc or AssertionError("a connection that failed has an exception")


async def _abandon(attempts: set[asyncio.Task[C]]) -> None:
    """Cancel the attempts that lost, and drop what some of them may have won meanwhile."""
    for task in attempts:
        task.cancel()
    for outcome in await asyncio.gather(*attempts, return_exceptions=True):
        if isinstance(outcome, Connection):
            outcome.abort()


def _alternating(addresses: Sequence[str]) -> list[str]:
    """The addresses in the resolver's order, its first family and the other taking turns."""
    first = [a for a in addresses if (":" in a) == (":" in addresses[0])]
    other = [a for a in addresses if (":" in a) != (":" in addresses[0])]
    return [a for pair in itertools.zip_longest(first, other) for a in pair if a is not None]


def _to_be_secured(connection: C) -> C:
    connection.expect_tls()
    return connection


async def _secure(connection: Connection, resources: Resources, context: ProbeContext, host: str, tls: Tls) -> None:
    at_ns = await connection.shake_hands(resources.context(tls.alpn), host)
    context.stopwatch.mark("tls", "first_byte", at_ns)
    now = clock.utcnow()
    verdict = resources.judge.judge(connection.chain(), host, tls.ca, now)
    if verdict.certificate is not None:
        connection.certificate = verdict.certificate
        context.seen.facts["certificate"] = (verdict.certificate.not_after - now).total_seconds()
    problem = verdict.problem(now) if tls.verify else None
    if problem is not None:
        if verdict.certificate is not None:
            context.seen.evidence["certificate"] = verdict.certificate.as_dict()
        raise ProbeFailure(Failure(reason=Reason.CERTIFICATE, message=problem, phase="tls"))
