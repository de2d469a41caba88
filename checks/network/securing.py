"""TLS on a connection: the settings, the handshake, and the verdict on the certificate before anything is sent."""

from __future__ import annotations

import ssl
import tempfile
from collections import OrderedDict
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass

from checks import clock
from checks.network.connection import Connection
from checks.network.route import SecuredSpec
from checks.network.tls import client_context
from checks.probe import ProbeContext, ProbeFailure
from checks.result import Failure, Reason

MAX_CONTEXTS = 1000  # settings that are kept: a client certificate each


@dataclass(frozen=True, slots=True, kw_only=True)
class Tls:
    """How a connection is secured."""

    verify: bool = True
    ca: str = ""  # PEM, trusted beside the system's authorities
    alpn: tuple[str, ...] = ()
    server_name: str = ""  # asked for and judged instead of the host
    certificate: str = ""  # PEM, ours, with its chain
    key: str = ""  # PEM, of that certificate


def spec_tls(spec: SecuredSpec, alpn: tuple[str, ...] = ()) -> Tls:
    """How the connections of a monitor are secured."""
    return Tls(
        verify=spec.verify,
        ca=spec.ca,
        alpn=alpn,
        server_name=spec.server_name,
        certificate=spec.client_certificate,
        key=spec.client_key,
    )


class TlsContexts:
    """The settings of handshakes, shared by all probes of a process: making one costs more than a handshake."""

    def __init__(self) -> None:
        self._kept: OrderedDict[tuple[tuple[str, ...], str, str], ssl.SSLContext] = OrderedDict()

    def get(self, tls: Tls) -> ssl.SSLContext:
        """The settings for these protocols and this client certificate. They only collect; we judge."""
        key = (tls.alpn, tls.certificate, tls.key)
        context = self._kept.get(key)
        if context is None:
            context = self._kept[key] = client_context(*tls.alpn)
            _load_own(context, tls)
            if len(self._kept) > MAX_CONTEXTS:
                self._kept.popitem(last=False)
        return context


async def secure(connection: Connection, context: ProbeContext, host: str, tls: Tls) -> None:
    """Shake hands on a connection that expects TLS and judge the certificate; the phase `tls` ends here.

    Raises ProbeFailure for a handshake that failed and a certificate that is not to be trusted, OSError where it broke.
    """
    name = tls.server_name or host
    context.stopwatch.leave_out(clock.monotonic_ns())
    at_ns = await connection.shake_hands(context.resources.contexts.get(tls), name)
    context.stopwatch.mark("tls", "first_byte", at_ns)
    now = clock.utcnow()
    verdict = connection.verdict = context.resources.judge.judge(connection.chain(), name, tls.ca, now)
    certificate = connection.certificate = verdict.certificate
    if certificate is not None:
        context.seen.facts["certificate"] = (certificate.not_after - now).total_seconds()
        context.seen.facts["issuer"] = certificate.issuer
    problem = verdict.problem(now) if tls.verify else None
    if problem is not None:
        if certificate is not None:
            context.seen.evidence["certificate"] = certificate.as_dict()
        raise ProbeFailure(Failure(reason=Reason.CERTIFICATE, message=problem, phase="tls"))


def _load_own(context: ssl.SSLContext, tls: Tls) -> None:
    if tls.certificate:
        with _as_file(tls.certificate) as certificate, _as_file(tls.key) as key:
            context.load_cert_chain(certificate, key)


@contextmanager
def _as_file(pem: str) -> Iterator[str]:
    """A path to read `pem` from, which OpenSSL insists on; the file has no name that others could find."""
    with tempfile.TemporaryFile() as file:
        file.write(pem.encode())
        file.flush()
        file.seek(0)
        yield f"/dev/fd/{file.fileno()}"
