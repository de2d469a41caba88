"""One connection to a target: an asyncio protocol whose time stamps are taken when the bytes arrive.

TLS runs inside it over memory buffers, so that a handshake is timed like everything else, and so that a connection is
dropped at once instead of waiting for the other side to say good-bye.
"""

from __future__ import annotations

import _ssl
import asyncio
import re
import ssl
from typing import Any, Protocol, cast

from checks import clock
from checks.network.tls import Certificate, Verdict
from checks.probe import ProbeFailure
from checks.result import Failure, Reason

READ = 65536  # bytes decrypted at a time


class Transport(Protocol):
    """What carries the bytes of a connection."""

    def write(self, data: bytes) -> None:
        """Send these bytes."""

    def pause_reading(self) -> None:
        """Pass on nothing, until `resume_reading`."""

    def resume_reading(self) -> None:
        """Pass on what comes."""

    def is_closing(self) -> bool:
        """Whether it is over."""

    def abort(self) -> None:
        """Drop the connection now."""

    def get_extra_info(self, name: str, /) -> Any:
        """What it knows, as `sockname`."""


class Connection(asyncio.Protocol):
    """One connection to a target, in clear or over TLS. A kind's own overrides `received` and `ended`.

    Neither is called before `start`: a target may speak as soon as it is connected, before its certificate is judged.
    """

    # What a connection begins with stands in the class: a probe makes one, and most of it never changes.
    transport: Transport | None = None
    ip = ""  # address it is connected to
    peer = ""  # the same with the port, as people read it
    opening = b""  # what it says the moment it stands, in clear, where it stands `alone`
    opened_ns = 0  # when it did
    alone = False  # no attempt at another address may stand beside it
    asked_ns = 0  # when we asked for it, where that is known
    made_ns = 0  # when it was established
    tls: ssl.SSLObject | None = None
    certificate: Certificate | None = None
    verdict: Verdict | None = None  # on the chain, once TLS is spoken
    is_sated = False  # nothing that may come yet is of use
    _incoming: ssl.MemoryBIO | None = None  # of TLS; whatever comes before the handshake waits there
    _outgoing: ssl.MemoryBIO | None = None
    _shaken: asyncio.Future[int] | None = None  # while shaking hands: resolves to when it was done
    _over = False
    _overhearing: asyncio.Future[None] | None = None  # while somebody waits for what is held

    def __init__(self) -> None:
        self._held: list[tuple[bytes, int]] | None = []  # what came before `start`
        self._held_end: list[Exception | None] = []

    def start(self) -> None:
        """Deliver what has come so far, and from here on everything when it comes."""
        held, self._held = self._held or [], None
        for data, at_ns in held:
            self.received(data, at_ns)
        ends, self._held_end = self._held_end, []
        for exc in ends:
            self.ended(exc)

    def hold(self) -> None:
        """Deliver nothing from here on, until `start`."""
        if self._held is None:
            self._held = []

    async def overhear(self) -> tuple[bytes, int]:
        """What came before `start`, taken out, for whoever speaks here before the target.

        Raises OSError or ProbeFailure where nothing more comes.
        """
        while not self._held:
            if self._over:
                raise next((exc for exc in self._held_end if exc is not None), None) or closed()
            self._overhearing = asyncio.get_running_loop().create_future()
            await self._overhearing
        return self._held.pop(0)

    def unhear(self, data: bytes, at_ns: int) -> None:
        """Put back what was overheard too much."""
        self._held = [(data, at_ns), *(self._held or ())]

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

    def pause(self) -> None:
        """Read nothing from here on, until `resume`: let the target wait."""
        if self.transport is not None and not self.transport.is_closing():
            self.transport.pause_reading()

    def resume(self) -> None:
        """Read on."""
        if self.transport is not None and not self.transport.is_closing():
            self.transport.resume_reading()

    def abort(self) -> None:
        """Drop the connection now. Nothing is called any more."""
        self._over = True
        if self.transport is not None:
            self.transport.abort()

    def expect_tls(self) -> None:
        """Take nothing that is held or arrives from here on for clear text; `shake_hands` comes next."""
        self._incoming, self._outgoing = ssl.MemoryBIO(), ssl.MemoryBIO()
        for data, _ in self._held or ():
            self._incoming.write(data)
        self._held = []

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

    def tls_version(self) -> str:
        """The version that was agreed on, as in TLS 1.3; empty in clear."""
        return ((self.tls and self.tls.version()) or "").replace("TLSv", "TLS ")

    def tls_cipher(self) -> str:
        """The cipher suite that was agreed on, as OpenSSL calls it; empty in clear."""
        cipher = self.tls and self.tls.cipher()
        return cipher[0] if cipher else ""

    def chain(self) -> tuple[bytes, ...]:
        """The certificates that the target sent, its own first, in DER."""
        if self.tls is None:
            return ()
        inner: Any = self.tls
        if hasattr(inner, "get_unverified_chain"):  # public from Python 3.13 on
            return tuple(inner.get_unverified_chain())
        certificates = inner._sslobj.get_unverified_chain() or ()  # noqa: SLF001 - the only way on 3.11 and 3.12
        return tuple(certificate.public_bytes(_ssl.ENCODING_DER) for certificate in certificates)

    def stands(self, transport: Transport, made_ns: int) -> None:
        """The connection is there, since `made_ns`."""
        self.transport, self.made_ns = transport, made_ns
        if self._over:
            transport.abort()
        elif self.alone and self.opening:
            self.opened_ns = clock.monotonic_ns()
            self.send(self.opening)

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        """Asyncio's: the connection is there."""
        self.stands(cast("asyncio.Transport", transport), clock.monotonic_ns())  # a stream has no other

    def data_received(self, data: bytes) -> None:
        """Asyncio's: bytes are here."""
        self.arrived(data, clock.monotonic_ns())

    def arrived(self, data: bytes, at_ns: int) -> None:
        """Bytes arrived."""
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
            self._tell()

    def _tell(self) -> None:
        if self._overhearing is not None and not self._overhearing.done():
            self._overhearing.set_result(None)

    def _deliver(self, data: bytes, at_ns: int) -> None:
        if self._held is None:
            self.received(data, at_ns)
        else:
            self._held.append((data, at_ns))
            self._tell()

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


def closed(phase: str = "connect") -> ProbeFailure:
    """The failure of a connection that ended before what had to come."""
    return ProbeFailure(Failure(reason=Reason.CLOSED, message="the connection was closed", phase=phase))


def _closed_in_handshake() -> ProbeFailure:
    message = "the connection was closed during the TLS handshake"
    return ProbeFailure(Failure(reason=Reason.TLS, message=message, phase="tls"))


def tls_failure(exc: ssl.SSLError, phase: str) -> ProbeFailure:
    """The failure that OpenSSL's error names, in words where the common ones are cryptic."""
    told = _TOLD.search(str(exc))  # what Python knows no symbol of
    reason = exc.reason or (told[1].replace(" ", "_").upper() if told else "unknown error")
    words = _SPOKEN.get(reason) or reason.replace("_", " ").lower()
    return ProbeFailure(Failure(reason=Reason.TLS, message=f"the TLS handshake failed: {words}", phase=phase))


_TOLD = re.compile(r"\[SSL\] ([a-z0-9 ]{3,80}) \(")
_SPOKEN = {
    "WRONG_VERSION_NUMBER": "the other side does not speak TLS",
    "HTTP_REQUEST": "the other side speaks plain HTTP",
    "RECORD_LAYER_FAILURE": "the other side does not speak TLS",
    "UNSUPPORTED_PROTOCOL": "the other side speaks only versions before TLS 1.2",
    "TLSV1_ALERT_PROTOCOL_VERSION": "the other side speaks none of TLS 1.2 and 1.3",
    "SSLV3_ALERT_HANDSHAKE_FAILURE": "the two sides share no cipher or other setting",
    "TLSV1_ALERT_NO_APPLICATION_PROTOCOL": "the other side speaks none of the protocols that were offered, as HTTP/2",
    "TLSV1_UNRECOGNIZED_NAME": "the other side does not know this name",
    "TLSV13_ALERT_CERTIFICATE_REQUIRED": "the other side wants a client certificate",
    "EXCESSIVE_MESSAGE_SIZE": "the certificate chain is too long to be read",
    "UNEXPECTED_EOF_WHILE_READING": "the other side closed the connection",
}
