"""`tls`: shakes hands, at once or after STARTTLS, and reports what the certificate and the connection are."""

from __future__ import annotations

from collections.abc import Mapping
from functools import cached_property
from typing import Any, ClassVar, Literal, Self

from pydantic import model_validator

from checks import clock, expect
from checks.address import parse_host_port
from checks.expect import Subject
from checks.network import dial
from checks.network.route import HostPort, ProxiedSpec, SecuredSpec
from checks.network.securing import spec_tls
from checks.network.tls import covers
from checks.probe import TIMINGS, Kind, ProbeContext
from checks.protocols.dialogue import Dialogue
from checks.protocols.starttls import StartTls, agree, upgrade
from checks.result import Observation


class TlsSpec(ProxiedSpec, SecuredSpec):
    """Options of a monitor that shakes hands."""

    target_option: ClassVar[str] = "address"
    default_expect: ClassVar[tuple[str, ...]] = ("certificate > 14d",)
    example: ClassVar[str] = """
        address: mail.example.org:25
        starttls: smtp
        interval: 1h
        expect:
          - chain > 21d
          - issuer contains "Let's Encrypt"
          - version == "TLS 1.3"
        degraded:
          - unchanged > 1d
    """
    subjects: ClassVar[Mapping[str, Subject]] = {
        "certificate": Subject("certificate", "duration", "The time left until the host's own certificate expires."),
        "chain": Subject(
            "chain",
            "duration",
            "The time left until the first certificate that trust rests on expires, authority included.",
        ),
        "issuer": Subject("issuer", "text", "Who issued the certificate, as in CN=R11,O=Let's Encrypt,C=US."),
        "subject": Subject("subject", "text", "Whom the certificate names, as in CN=example.org."),
        "names": Subject("names", "list", "The names and addresses that the certificate is for."),
        "host_matches": Subject("host_matches", "flag", "Whether one of them is for the host, or for server_name."),
        "fingerprint": Subject("fingerprint", "text", "The certificate's SHA-256 in hexadecimal digits, to pin it by."),
        "unchanged": Subject(
            "unchanged",
            "duration",
            "How long it has been this certificate: since another was seen there, else since it became valid.",
        ),
        "problem": Subject("problem", "text", "What is wrong with the certificate, where verify is off; nothing else."),
        "version": Subject("version", "text", "The version that was agreed on, as in TLS 1.3."),
        "cipher": Subject("cipher", "text", "The cipher suite that was agreed on, as in TLS_AES_256_GCM_SHA384."),
        **TIMINGS,
    }

    kind: Literal["tls"] = "tls"
    """Shakes hands and judges the certificate."""
    address: HostPort
    """The host and port that is connected to, as in www.example.org:443."""
    starttls: StartTls | Literal[""] = ""
    """The protocol in which TLS is asked for first. By default TLS is spoken from the first byte on."""

    @model_validator(mode="after")
    def _has_a_problem_to_speak_of(self) -> Self:
        for line in self.expect + self.degraded:
            said = expect.parse(line, self.subjects)
            if self.verify and said.subject.name == "problem" and said.operator != "not exists":
                raise ValueError("expect: nothing is known of problem without verify: false; by default one is down")
        return self

    @cached_property
    def target(self) -> tuple[str, int]:
        """The host and the port."""
        return parse_host_port(self.address)


async def probe(spec: TlsSpec, context: ProbeContext) -> Observation:
    """Shake hands and report."""
    seen, watch = context.seen, context.stopwatch
    host, port = spec.target
    tls, name = spec_tls(spec), spec.server_name or host
    at_once = None if spec.starttls else tls
    dialogue = await dial(context, host, port, lambda: Dialogue(watch), at_once, route=spec.route)
    try:
        if spec.starttls:
            dialogue.start()
            await agree(spec.starttls, dialogue, name)
            await upgrade(context, dialogue, host, tls)
        seen.facts |= _facts(spec, context, dialogue)
        seen.explain = lambda: _explanation(dialogue)
    finally:
        dialogue.abort()
    seen.complete = True
    watch.phase = "other"
    return seen


def _facts(spec: TlsSpec, context: ProbeContext, dialogue: Dialogue) -> dict[str, Any]:
    facts: dict[str, Any] = {"version": dialogue.tls_version(), "cipher": dialogue.tls_cipher()}
    verdict, now = dialogue.verdict, clock.utcnow()
    if verdict is None or verdict.certificate is None:
        return facts
    certificate, name = verdict.certificate, spec.server_name or spec.target[0]
    since = context.resources.sightings.since(
        (spec.address, spec.starttls, name, spec.route),
        certificate.fingerprint,
        began=certificate.not_before,
        now=now,
    )
    facts |= {
        "issuer": certificate.issuer,
        "subject": certificate.subject,
        "names": list(certificate.names),
        "host_matches": any(covers(own, name) for own in certificate.names),
        "fingerprint": certificate.fingerprint,
        "unchanged": max(0.0, (now - since).total_seconds()),
        "problem": verdict.problem(now),
    }
    if verdict.chain_ends is not None:
        facts["chain"] = (verdict.chain_ends - now).total_seconds()
    return facts


def _explanation(dialogue: Dialogue) -> dict[str, Any]:
    evidence: dict[str, Any] = {"version": dialogue.tls_version(), "cipher": dialogue.tls_cipher()}
    verdict = dialogue.verdict
    if verdict is not None and verdict.certificate is not None:
        evidence["certificate"] = verdict.certificate.as_dict()
        evidence["chain"] = [
            {"subject": link.subject, "not_after": link.not_after.isoformat()} for link in verdict.chain[1:]
        ]
        if (problem := verdict.problem(clock.utcnow())) is not None:
            evidence["problem"] = problem
    return evidence


TLS = Kind(spec=TlsSpec, probe=probe)
