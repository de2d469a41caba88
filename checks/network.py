"""The one way from a probe to its target: resolve, guard, connect, shake hands, and time each phase where it ends.

Every kind dials through here. A `Connection` is an asyncio protocol whose time stamps are taken when the bytes arrive,
not when a task wakes up; TLS runs inside it over memory buffers, so that a handshake is timed alike and a connection
is dropped at once instead of waiting for the other side to say good-bye.
"""

from __future__ import annotations

import _ssl
import asyncio
import ipaddress
import itertools
import ssl
from collections import deque
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from functools import lru_cache
from typing import Any, TypeVar, cast

from checks import clock
from checks.guard import Guard
from checks.probe import ProbeContext, ProbeFailure, Stopwatch, from_os_error
from checks.resolver import Resolver
from checks.result import OURS, Failure, Reason
from checks.tls import Certificate, CertificateJudge, client_context

HEAD_START = 0.25  # seconds that an address has before the next is tried beside it (RFC 8305)
MAX_ADDRESSES = 10  # of a name that are tried
READ = 65536  # bytes decrypted at a time


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


class Connection(asyncio.Protocol):
    """One connection to a target, in clear or over TLS. A kind's own overrides `received` and `ended`.

    Neither is called before `start`: a target may speak as soon as it is connected, before its certificate is judged.
    """

    def __init__(self) -> None:
        self.transport: asyncio.Transport | None = None
        self.peer = ""  # address and port it is connected to
        self.made_ns = 0  # when it was established
        self.tls: ssl.SSLObject | None = None
        self.certificate: Certificate | None = None
        self._incoming: ssl.MemoryBIO | None = None  # of TLS; whatever comes before the handshake waits there
        self._outgoing: ssl.MemoryBIO | None = None
        self._shaken: asyncio.Future[int] | None = None  # while shaking hands: resolves to when it was done
        self._over = False
        self._held: list[tuple[bytes, int]] | None = []  # what came before `start`
        self._held_end: list[Exception | None] = []

    def start(self) -> None:
        """Deliver what has come so far, and from here on everything when it comes."""
        held, self._held = self._held or [], None
        for data, at_ns in held:
            self.received(data, at_ns)
        for exc in self._held_end:
            self.ended(exc)

    def received(self, data: bytes, at_ns: int) -> None:
        """Bytes of the target, in clear, and when they arrived."""

    def ended(self, exc: Exception | None) -> None:
        """Nothing more comes: the target closed, or the connection broke by `exc`. Called once."""

    def send(self, data: bytes) -> None:
        """Send these bytes, encrypted where TLS is spoken."""
        if self.transport is None or self._over:
            return
        if self.tls is None:
            self.transport.write(data)
            return
        self.tls.write(data)
        self._flush()

    def abort(self) -> None:
        """Drop the connection now. Nothing is called any more."""
        self._over = True
        if self.transport is not None:
            self.transport.abort()

    def expect_tls(self) -> None:
        """Take nothing that arrives from here on for clear text; `shake_hands` comes next."""
        self._incoming, self._outgoing = ssl.MemoryBIO(), ssl.MemoryBIO()

    async def shake_hands(self, context: ssl.SSLContext, host: str) -> int:
        """Speak TLS, after `expect_tls`; when the handshake was done. Raises ProbeFailure, and OSError where it broke."""
        assert self._incoming is not None and self._outgoing is not None  # noqa: S101, PT018 - see above
        if self._over:
            raise _closed_in_handshake()
        self.tls = context.wrap_bio(self._incoming, self._outgoing, server_hostname=host.removesuffix("."))
        self._shaken = asyncio.get_running_loop().create_future()
        self._step(clock.monotonic_ns())
        try:
            return await self._shaken
        finally:
            self._shaken = None

    def chain(self) -> tuple[bytes, ...]:
        """The certificates that the target sent, its own first, in DER."""
        if self.tls is None:
            return ()
        inner: Any = self.tls
        if hasattr(inner, "get_unverified_chain"):  # public from Python 3.13 on
            return tuple(inner.get_unverified_chain())
        certificates = inner._sslobj.get_unverified_chain() or ()  # noqa: SLF001 - the only way on 3.11 and 3.12
        return tuple(certificate.public_bytes(_ssl.ENCODING_DER) for certificate in certificates)

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        """Asyncio's: the connection is there."""
        self.made_ns = clock.monotonic_ns()
        self.transport = cast("asyncio.Transport", transport)  # a stream has no other
        if self._over:
            self.transport.abort()

    def data_received(self, data: bytes) -> None:
        """Asyncio's: bytes arrived."""
        at_ns = clock.monotonic_ns()
        if self._over:
            return
        if self._incoming is None:
            self._deliver(data, at_ns)
            return
        self._incoming.write(data)
        if self.tls is None:
            return
        if self._shaken is not None and not self._shaken.done():
            self._step(at_ns)
        if self._shaken is None or self._shaken.done():
            self._decrypt(at_ns)

    def eof_received(self) -> None:
        """Asyncio's: the target sends no more. The transport closes by itself."""
        self._end(None)

    def connection_lost(self, exc: Exception | None) -> None:
        """Asyncio's: the connection is gone."""
        self._end(exc)

    def _end(self, exc: Exception | None) -> None:
        if self._over:
            return
        self._over = True
        if self._shaken is not None and not self._shaken.done():
            self._shaken.set_exception(exc or _closed_in_handshake())
        elif self._held is None:
            self.ended(exc)
        else:
            self._held_end.append(exc)

    def _deliver(self, data: bytes, at_ns: int) -> None:
        if self._held is None:
            self.received(data, at_ns)
        else:
            self._held.append((data, at_ns))

    def _step(self, at_ns: int) -> None:
        assert self.tls is not None and self._shaken is not None  # noqa: S101, PT018 - the handshake is on
        try:
            self.tls.do_handshake()
        except ssl.SSLWantReadError:
            self._flush()
        except ssl.SSLError as exc:
            self._flush()  # the alert that tells the other side why
            self._over = True
            self._shaken.set_exception(tls_failure(exc, "tls"))
        else:
            self._flush()
            self._shaken.set_result(at_ns)

    def _decrypt(self, at_ns: int) -> None:
        assert self.tls is not None  # noqa: S101 - the handshake is done
        try:
            while not self._over:
                data = self.tls.read(READ)
                if not data:
                    self._end(None)
                    return
                self._deliver(data, at_ns)
        except ssl.SSLWantReadError:
            self._flush()
        except ssl.SSLZeroReturnError:
            self._end(None)
        except ssl.SSLError as exc:
            self._end(tls_failure(exc, "first_byte"))

    def _flush(self) -> None:
        assert self._outgoing is not None  # noqa: S101 - TLS is spoken
        if self._outgoing.pending and self.transport is not None:
            self.transport.write(self._outgoing.read())


def _closed_in_handshake() -> ProbeFailure:
    message = "the connection was closed during the TLS handshake"
    return ProbeFailure(Failure(reason=Reason.TLS, message=message, phase="tls"))


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


def tls_failure(exc: ssl.SSLError, phase: str) -> ProbeFailure:
    """The failure that OpenSSL's error names, in words where the common ones are cryptic."""
    known = _SPOKEN.get(exc.reason or "")
    words = known or (exc.reason or "unknown error").replace("_", " ").lower()
    return ProbeFailure(Failure(reason=Reason.TLS, message=f"the TLS handshake failed: {words}", phase=phase))


_SPOKEN = {
    "WRONG_VERSION_NUMBER": "the other side does not speak TLS",
    "HTTP_REQUEST": "the other side speaks plain HTTP",
    "RECORD_LAYER_FAILURE": "the other side does not speak TLS",
    "UNSUPPORTED_PROTOCOL": "the other side speaks only versions before TLS 1.2",
    "TLSV1_ALERT_PROTOCOL_VERSION": "the other side speaks none of TLS 1.2 and 1.3",
    "SSLV3_ALERT_HANDSHAKE_FAILURE": "the two sides share no cipher or other setting",
    "TLSV1_UNRECOGNIZED_NAME": "the other side does not know this name",
    "TLSV13_ALERT_CERTIFICATE_REQUIRED": "the other side wants a client certificate",
    "EXCESSIVE_MESSAGE_SIZE": "the certificate chain is too long to be read",
    "UNEXPECTED_EOF_WHILE_READING": "the other side closed the connection",
}
