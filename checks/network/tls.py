"""TLS certificates: evidence first, verdict second.

A probe shakes hands without verifying, so that an expired certificate can be shown; then the chain, the name and the
dates are judged here, before anything is sent. The rules are those of RFC 5280 as servers in the wild keep them:
private authorities leave out extensions that the web's own must have, and a certificate that a user trusts by itself
is trusted.
"""

from __future__ import annotations

import ipaddress
import re
import ssl
import warnings
from collections import OrderedDict
from dataclasses import dataclass
from datetime import datetime, timedelta
from functools import cached_property
from pathlib import Path
from typing import Annotated, Any

import certifi
from cryptography import x509
from cryptography.hazmat.primitives.hashes import SHA256
from cryptography.utils import CryptographyDeprecationWarning
from cryptography.x509.oid import ExtendedKeyUsageOID, NameOID
from cryptography.x509.verification import Criticality, ExtensionPolicy, PolicyBuilder, Store, VerificationError
from pydantic import AfterValidator, Field

from checks import clock
from checks.spec import Text
from checks.units import spoken_duration

KEEP = timedelta(hours=1)  # a verdict on a chain is used again so long; its dates are judged anew each time
MAX_KEPT = 10_000  # chains
MAX_CHAIN = 20  # certificates of a chain that are read
_BUNDLES = ("/etc/ssl/certs/ca-certificates.crt", "/etc/pki/tls/certs/ca-bundle.crt", "/etc/ssl/cert.pem")
# What is raised for a certificate that is none, or whose parts are read for the first time and are not of this world.
UNREADABLE = (
    *(ValueError, TypeError, LookupError),
    *(x509.InvalidVersion, x509.DuplicateExtension, x509.UnsupportedGeneralNameType),
)
_PEM = re.compile(r"-----BEGIN CERTIFICATE-----.+?-----END CERTIFICATE-----", re.DOTALL)


@dataclass(frozen=True, slots=True, kw_only=True)
class Certificate:
    """What a certificate says."""

    subject: str
    issuer: str
    names: tuple[str, ...]
    not_before: datetime
    not_after: datetime
    fingerprint: str  # SHA-256, in hexadecimal digits

    def as_dict(self) -> dict[str, Any]:
        """The evidence that is shown."""
        return {
            "subject": self.subject,
            "issuer": self.issuer,
            "names": [_printable(name) for name in self.names[:20]],
            "not_before": self.not_before.isoformat(),
            "not_after": self.not_after.isoformat(),
            "fingerprint": self.fingerprint,
        }


@dataclass(frozen=True, slots=True, kw_only=True)
class Verdict:
    """What is to be said about one chain for one host, dates aside; `trouble` is a sentence."""

    certificate: Certificate | None
    trouble: str | None
    at: datetime
    # What trust rests on, the host's own first, up to the authority that is trusted; where there is no trust, what was sent.
    chain: tuple[Certificate, ...] = ()

    @property
    def chain_ends(self) -> datetime | None:
        """When the first certificate of the chain expires; None where nothing could be read."""
        return min((certificate.not_after for certificate in self.chain), default=None)

    def problem(self, now: datetime) -> str | None:
        """What is wrong with the certificate at this instant; None where nothing is."""
        if self.certificate is None:
            return self.trouble
        begins, ends = self.certificate.not_before, self.certificate.not_after
        if now > ends:
            ago = spoken_duration((now - ends).total_seconds())
            return f"the certificate expired {ago} ago, on {ends:%Y-%m-%d %H:%M} UTC"
        if now < begins:
            return f"the certificate is valid only from {begins:%Y-%m-%d %H:%M} UTC on"
        return self.trouble


class CertificateJudge:
    """Judges the chains that targets present. Verdicts are kept: the same chain costs a look-up."""

    def __init__(self) -> None:
        self._kept: OrderedDict[tuple[tuple[bytes, ...], str, str], Verdict] = OrderedDict()
        self._anchors: dict[str, Store] = {}

    def judge(self, chain: tuple[bytes, ...], host: str, ca: str, now: datetime) -> Verdict:
        """The verdict on a chain (DER, the host's own certificate first) by the system's authorities and those of `ca`."""
        key = (chain, host, ca)
        verdict = self._kept.get(key)
        if verdict is None or not timedelta(0) <= now - verdict.at < KEEP:
            verdict = self._kept[key] = self._judged(chain, host, ca, now)
            if len(self._kept) > MAX_KEPT:
                self._kept.popitem(last=False)
        return verdict

    @cached_property
    def _system(self) -> list[x509.Certificate]:
        return read_bundle(system_bundle())

    def _store(self, ca: str) -> Store:
        store = self._anchors.get(ca)
        if store is None:
            if len(self._anchors) >= 1000:
                self._anchors.clear()
            store = self._anchors[ca] = Store([*self._system, *read_bundle(ca)])
        return store

    def _judged(self, chain: tuple[bytes, ...], host: str, ca: str, now: datetime) -> Verdict:
        try:
            certificates = [x509.load_der_x509_certificate(der) for der in chain[:MAX_CHAIN]]
            sent = tuple(_describe(certificate) for certificate in certificates)
            own = sent[0]
        except UNREADABLE:
            return Verdict(certificate=None, trouble="the certificate can't be read", at=now)
        if not any(covers(name, host) for name in own.names):
            shown = ", ".join(_printable(name) for name in own.names[:5]) or "no name at all"
            trouble = f"the certificate is for {shown}, not for {host}"
            return Verdict(certificate=own, trouble=trouble, at=now, chain=sent)
        # An expired certificate is told as such; whether it was trusted is asked for a time at which it was valid.
        time = min(max(now, own.not_before), own.not_after)
        try:
            trusted = tuple(_describe(certificate) for certificate in self._verified(certificates, host, ca, time))
        except (VerificationError, *UNREADABLE) as exc:
            return Verdict(certificate=own, trouble=_spoken(certificates, time, exc), at=now, chain=sent)
        return Verdict(certificate=own, trouble=None, at=now, chain=trusted)

    def _verified(
        self, certificates: list[x509.Certificate], host: str, ca: str, time: datetime
    ) -> list[x509.Certificate]:
        policy = PolicyBuilder().store(self._store(ca)).time(time)
        policy = policy.extension_policies(ca_policy=_OF_AUTHORITIES, ee_policy=_OF_SERVERS)
        if "_" in host:  # which the verifier takes for no name at all; that it is covered was seen before
            return policy.build_client_verifier().verify(certificates[0], certificates[1:]).chain
        return policy.build_server_verifier(_subject(host)).verify(certificates[0], certificates[1:])


def system_bundle() -> str:
    """The certificates in PEM that this machine trusts."""
    given = ssl.get_default_verify_paths().cafile  # SSL_CERT_FILE, or where OpenSSL was built to look
    path = next(path for path in (given, *_BUNDLES, certifi.where()) if path and Path(path).is_file())
    return Path(path).read_text(encoding="utf-8", errors="replace")


def pem_blocks(text: str) -> list[str]:
    """The certificates in a text, without what stands between them."""
    return _PEM.findall(text)


def read_bundle(pem: str) -> list[x509.Certificate]:
    """The certificates of a PEM bundle; one that can't be read is left out, for systems carry odd old ones."""
    found = []
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", CryptographyDeprecationWarning)
        for block in pem_blocks(pem):
            try:
                found.append(x509.load_pem_x509_certificate(block.encode()))
            except UNREADABLE:
                continue
    return found


def covers(pattern: str, host: str) -> bool:
    """Whether a name of a certificate is for this host: equal, or a wildcard for its first label (RFC 9525)."""
    pattern, host = pattern.lower().removesuffix("."), host.lower().removesuffix(".")
    if pattern == host:
        return True
    first, _, rest = host.partition(".")
    return pattern.startswith("*.") and bool(first) and "." in rest and pattern[2:] == rest and not _is_ip(host)


def _is_ip(host: str) -> bool:
    try:
        ipaddress.ip_address(host)
    except ValueError:
        return False
    return True


def _subject(host: str) -> x509.DNSName | x509.IPAddress:
    return x509.IPAddress(ipaddress.ip_address(host)) if _is_ip(host) else x509.DNSName(host.removesuffix("."))


def _describe(certificate: x509.Certificate) -> Certificate:
    try:
        names = certificate.extensions.get_extension_for_class(x509.SubjectAlternativeName).value
        dns = tuple(names.get_values_for_type(x509.DNSName))
        addresses = tuple(str(address) for address in names.get_values_for_type(x509.IPAddress))
    except x509.ExtensionNotFound:
        dns = addresses = ()
    return Certificate(
        subject=_shown(certificate.subject),
        issuer=_shown(certificate.issuer),
        names=dns + addresses,
        not_before=certificate.not_valid_before_utc,
        not_after=certificate.not_valid_after_utc,
        fingerprint=certificate.fingerprint(SHA256()).hex(),
    )


def _shown(name: x509.Name) -> str:
    return _printable(name.rfc4514_string(), 300)


def _printable(text: str, most: int = 100) -> str:
    return "".join(char if char.isprintable() else "\N{REPLACEMENT CHARACTER}" for char in text[:most])


def _common_name(name: x509.Name) -> str:
    found = name.get_attributes_for_oid(NameOID.COMMON_NAME)
    return _printable(str(found[0].value)) if found else _shown(name)


def _spoken(certificates: list[x509.Certificate], time: datetime, exc: Exception) -> str:
    """Why a chain is not trusted, as precisely as the chain itself tells."""
    own = certificates[0]
    if len(certificates) == 1 and own.issuer == own.subject:
        return "the certificate is self-signed"
    stale = next((c for c in certificates[1:] if not c.not_valid_before_utc <= time <= c.not_valid_after_utc), None)
    if stale is not None:
        what = "expired" if stale.not_valid_after_utc < time else "is not valid yet"
        return f"the intermediate certificate {_common_name(stale.subject)!r} {what}"
    if "no interior errors" not in str(exc) and "max depth" not in str(exc):  # it found an issuer and a fault in it
        words = str(exc).removeprefix("validation failed: ").partition(" (encountered")[0]
        return f"the certificate does not hold: {words[:200]}"
    top = certificates[-1]
    if top.issuer == top.subject:
        return f"the certificate's authority {_common_name(top.subject)!r} is not trusted"
    missing = "; the server may not send its intermediate certificate" if len(certificates) == 1 else ""
    return f"the certificate's issuer {_common_name(top.issuer)!r} is not trusted{missing}"


def _is_authority(_policy: object, _certificate: x509.Certificate, constraints: x509.BasicConstraints | None) -> None:
    if constraints is None or not constraints.ca:
        raise ValueError("a certificate that is no authority signed it")


def _may_sign(_policy: object, _certificate: x509.Certificate, usage: x509.KeyUsage | None) -> None:
    if usage is not None and not usage.key_cert_sign:
        raise ValueError("an authority that may not sign certificates signed it")


def _is_for_servers(_policy: object, _certificate: x509.Certificate, usage: x509.ExtendedKeyUsage | None) -> None:
    if usage is None:
        return
    if ExtendedKeyUsageOID.SERVER_AUTH not in usage and ExtendedKeyUsageOID.ANY_EXTENDED_KEY_USAGE not in usage:
        raise ValueError("it is not made for servers")


_OF_AUTHORITIES = (
    ExtensionPolicy.permit_all()
    .require_present(x509.BasicConstraints, Criticality.AGNOSTIC, _is_authority)
    .may_be_present(x509.KeyUsage, Criticality.AGNOSTIC, _may_sign)
)
_OF_SERVERS = (
    ExtensionPolicy.permit_all()
    .require_present(x509.SubjectAlternativeName, Criticality.AGNOSTIC, None)
    .may_be_present(x509.ExtendedKeyUsage, Criticality.AGNOSTIC, _is_for_servers)
)


def _are_certificates(pem: str) -> str:
    if pem and not read_bundle(pem):
        raise ValueError("holds no certificate that can be read; expected PEM: -----BEGIN CERTIFICATE----- ...")
    return pem


CaBundle = Annotated[Text, AfterValidator(_are_certificates), Field(max_length=65536)]


def client_context(*alpn: str) -> ssl.SSLContext:
    """The settings of a handshake that only collects: `CertificateJudge` decides. TLS 1.2 at least."""
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)
    context.check_hostname = False
    context.verify_mode = ssl.CERT_NONE
    context.minimum_version = ssl.TLSVersion.TLSv1_2
    if alpn:
        context.set_alpn_protocols(list(alpn))
    return context


def seconds_left(certificate: Certificate) -> float:
    """How long a certificate is valid yet; negative once it expired."""
    return (certificate.not_after - clock.utcnow()).total_seconds()
