"""`dns`: asks a name server about a name and judges the answer."""

from __future__ import annotations

import asyncio
from collections.abc import Mapping
from functools import cached_property
from typing import Annotated, Any, ClassVar, Literal, Self

import dns.exception
import dns.flags
import dns.name
import dns.rdatatype
import dns.reversename
from dns.rdata import Rdata
from dns.rdtypes.txtbase import TXTBase
from pydantic import AfterValidator, Field, model_validator

from checks.evidence import excerpt
from checks.expect import Subject
from checks.nearest import did_you_mean
from checks.network import spec_tls
from checks.network.guard import literal
from checks.network.nameserver import Question, Reply, ask, spoken
from checks.network.resolver import SUSPECT_AFTER, nameservers
from checks.network.route import NameServer, RoutedSpec, SecuredSpec, parse_resolver
from checks.probe import TIMINGS, Kind, ProbeContext, ProbeFailure
from checks.result import Failure, Observation, Reason
from checks.spec import Line

MAX_SHOWN = 20  # answers in the evidence
MAX_LINE = 500  # bytes of one of them
_NOT_TO_ASK = frozenset({"OPT", "TSIG", "TKEY", "SIG", "AXFR", "IXFR", "MAILA", "MAILB", "NONE"})
_USUAL = ("A", "AAAA", "CAA", "CNAME", "DNSKEY", "DS", "HTTPS", "MX", "NS", "PTR", "SOA", "SRV", "SVCB", "TLSA", "TXT")


def _is_type(text: str) -> str:
    try:
        rdtype = dns.rdatatype.from_text(text)
    except (dns.exception.DNSException, ValueError):
        hint = did_you_mean(text.upper(), _USUAL) or f"; as in {', '.join(_USUAL)}, or TYPE65 by number"
        raise ValueError(f"{text!r} is no type of record{hint}") from None
    word = dns.rdatatype.to_text(rdtype)
    if word in _NOT_TO_ASK:
        raise ValueError(f"{word} is nothing that a resolver is asked for; as in {', '.join(_USUAL)}")
    return word


def _is_name(text: str) -> str:
    try:
        dns.name.from_text(text)
    except (dns.exception.DNSException, UnicodeError) as exc:
        raise ValueError(f"{text!r} is no name: {exc}") from None
    return text


class DnsSpec(RoutedSpec, SecuredSpec):
    """Options of a monitor that asks a name server."""

    default_expect: ClassVar[tuple[str, ...]] = ('rcode == "NOERROR"', "answers exists")
    target_option: ClassVar[str] = "query"
    subjects: ClassVar[Mapping[str, Subject]] = {
        "answers": Subject(
            "answers",
            "list",
            "What the records of that type say, as zone files write it, without the final dot, sorted.",
        ),
        "count": Subject("count", "number", "How many records of that type there are."),
        "ttl": Subject("ttl", "duration", "The least time that the answer may be kept."),
        "rcode": Subject("rcode", "text", "The verdict: NOERROR, NXDOMAIN, SERVFAIL, REFUSED."),
        "flags": Subject("flags", "list", "The flags that are set: QR, AA, TC, RD, RA, AD, CD."),
        "ad": Subject("ad", "flag", "Whether the resolver validated the answer by DNSSEC."),
        "aa": Subject("aa", "flag", "Whether the answer is of a server of the zone itself."),
        "size": Subject("size", "size", "The size of the whole answer."),
        **TIMINGS,
        "certificate": Subject("certificate", "duration", "The time left until the resolver's certificate expires."),
    }
    example: ClassVar[str] = """
        query: shop.example.org
        type: MX
        resolver: tls://9.9.9.9
        server_name: dns.quad9.net
        expect: ['answers contains "10 mail.shop.example.org"', ttl > 60s, ad == true]
        """

    kind: Literal["dns"] = "dns"
    """Asks a name server about a name."""
    query: Annotated[Line, Field(min_length=1, max_length=1000), AfterValidator(_is_name)]
    """The name that is asked about; for PTR an address may stand here."""
    type: Annotated[Line, Field(min_length=1, max_length=20), AfterValidator(_is_type)] = "A"
    """The type of record: A, AAAA, CAA, CNAME, MX, NS, PTR, SOA, SRV, TXT or any other, TYPE65 by number too."""
    recursive: bool = True
    """Have the resolver ask others; without it a server tells only what it knows itself."""

    @model_validator(mode="after")
    def _has_a_use_for_what_tls_needs(self) -> Self:
        given = [name for name in ("ca", "server_name", "client_certificate") if getattr(self, name)]
        if given and (not self.resolver or parse_resolver(self.resolver).scheme in ("udp", "tcp")):
            raise ValueError(f"{given[0]}: is of use with a resolver tls:// or https:// only")
        return self

    @cached_property
    def server(self) -> NameServer:
        """Who is asked: the monitor's resolver, or the first of this machine's."""
        if self.resolver:
            return parse_resolver(self.resolver)
        host, port = nameservers()[0]
        return NameServer(scheme="udp", host=host, port=port)

    @cached_property
    def question(self) -> Question:
        """What is asked."""
        address = literal(self.query) if self.type == "PTR" else ""
        name = dns.reversename.from_address(address) if address else dns.name.from_text(self.query)
        return Question(name=name, type=dns.rdatatype.from_text(self.type), recursive=self.recursive)


async def probe(spec: DnsSpec, context: ProbeContext) -> Observation:
    """Ask, and report what was answered."""
    seen = context.seen
    seen.evidence["resolver"] = spoken(spec.server)
    work = ask(context, spec.server, spec.question, family=spec.route.family, tls=spec_tls(spec))
    reply = await (work if spec.resolver else _unless_we_are_cut_off(context, work))
    _report(seen, reply)
    return seen


async def _unless_we_are_cut_off(context: ProbeContext, work: Any) -> Reply:
    """The reply of this machine's own name server, whose silence is our trouble where it knows nothing else either."""
    asking = asyncio.create_task(work, name="ask this machine's name server")
    try:
        done, _ = await asyncio.wait([asking], timeout=SUSPECT_AFTER)
        if not done and not await context.resources.resolver.gives_signs():
            message = "this machine's name servers do not answer"
            raise ProbeFailure(Failure(reason=Reason.NO_RESOLVER, message=message, phase="first_byte"))
        return await asking  # type: ignore[no-any-return]  # of `ask`
    finally:
        asking.cancel()


def _report(seen: Observation, reply: Reply) -> None:
    message, facts = reply.message, seen.facts
    flags = dns.flags.to_text(message.flags).split()
    facts.update(
        rcode=reply.rcode, flags=flags, ad="AD" in flags, aa="AA" in flags, size=reply.size, count=0, answers=None
    )
    try:
        records, ttl = reply.records()
    except dns.exception.DNSException as exc:
        words = f"the answer contradicts itself: {exc}"
        raise ProbeFailure(Failure(reason=Reason.PROTOCOL, message=words, phase="first_byte")) from exc
    if records:
        facts["answers"], facts["count"], facts["ttl"] = sorted(_written(r) for r in records), len(records), ttl

    seen.complete = True

    def explain() -> dict[str, Any]:
        lines = [line for rrset in message.answer for line in rrset.to_text().splitlines()]
        return {
            "rcode": reply.rcode,
            "flags": " ".join(flags),
            "transport": reply.transport,
            "answers": [excerpt(line.encode()[:MAX_LINE]) for line in lines[:MAX_SHOWN]],
        }

    seen.explain = explain


def _written(record: Rdata) -> str:
    """A record as people compare it: what a zone file says, a text without its quotes and pieces."""
    if isinstance(record, TXTBase):
        return b"".join(record.strings).decode("utf-8", "replace")
    return record.to_text().removesuffix(".")


DNS = Kind(spec=DnsSpec, probe=probe)
