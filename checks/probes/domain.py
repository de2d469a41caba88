"""`domain`: asks the registry of a domain by RDAP (RFC 9082, 9083) how long the registration holds, and under whom.

Registries count how often an address asks. So a domain is asked about at most twice a day: that is the shortest
interval, which holds across restarts, and an answer is kept for as long, so that confirming a change asks nobody.
"""

from __future__ import annotations

import asyncio
import math
import re
from collections.abc import Iterator, Mapping
from dataclasses import replace
from datetime import UTC, datetime
from email.utils import parsedate_to_datetime
from functools import cached_property
from typing import Annotated, Any, ClassVar, Literal

from pydantic import AfterValidator, Field

from checks import clock
from checks.address import host_name, parse_url
from checks.environment import EnvironmentProblem, read_env
from checks.evidence import excerpt
from checks.expect import Subject
from checks.expect.jsonpath import NotJson, parse_json
from checks.network import spec_tls
from checks.network.guard import literal
from checks.network.registries import DAY, HOUR, STALE, Registration, Registries
from checks.network.route import ProxiedSpec, SecuredSpec
from checks.probe import TIMINGS, Kind, ProbeContext, ProbeFailure, from_os_error
from checks.result import OURS, Failure, Observation, Reason
from checks.spec import Duration, Line
from checks.units import spoken_duration
from checks.web import HTTP_1, Answer, Request, fetch

BOOTSTRAP = "STILLUP_RDAP_BOOTSTRAP"  # the environment variable
_IANA = "https://data.iana.org/rdap/dns.json"  # RFC 9224
# Of the timeout. What is left is for what is known already; a loop of ours that is late by more is blamed for it.
PATIENCE = 0.75
_WAITS = (60.0, HOUR, DAY)  # seconds to wait, at least, by default and at most, where a server says: too often
_ACCEPT = "application/rdap+json, application/json"
# RFC 8056: where the words of RDAP are not those of EPP with spaces.
_EPP = {"active": "ok", "associated": "linked"}


def _is_domain(text: str) -> str:
    name = host_name(text).removesuffix(".")
    if literal(name) or "." not in name:
        raise ValueError(f"{text!r} is no domain such as example.org")
    return text


class DomainSpec(ProxiedSpec, SecuredSpec):
    """Options of a monitor that watches the registration of a domain."""

    default_expect: ClassVar[tuple[str, ...]] = ("expires > 7d",)
    default_degraded: ClassVar[tuple[str, ...]] = ("expires > 21d",)
    target_option: ClassVar[str] = "domain"
    example: ClassVar[str] = """
        domain: example.org
        expect:
          - expires > 30d
          - registrar contains "Example Registrar"
          - status contains "clientTransferProhibited"
        """
    subjects: ClassVar[Mapping[str, Subject]] = {
        "expires": Subject("expires", "duration", "The time left until the registration expires."),
        "registrar": Subject("registrar", "text", "The name of the registrar."),
        "status": Subject("status", "list", 'Its status codes, in the words of EPP, as in "clientTransferProhibited".'),
        "nameservers": Subject("nameservers", "list", "The names of its name servers."),
        "dnssec": Subject("dnssec", "flag", "Whether its delegation is signed."),
        "latency": TIMINGS["latency"],
    }

    kind: Literal["domain"] = "domain"
    """Watches how long the registration of a domain holds."""
    domain: Annotated[Line, Field(min_length=3, max_length=253), AfterValidator(_is_domain)]
    """The registered domain, as in example.org or example.co.uk, without www."""
    interval: Annotated[Duration, Field(ge=12 * HOUR, le=DAY)] = DAY
    """How often it is probed: 12 h to 1 d. Registries do not like to be asked more often."""
    retry_interval: Annotated[Duration, Field(ge=600.0, le=DAY)] = HOUR
    """How soon it is probed again while a change is being confirmed: 10 min to 1 d. What is known already is not asked again."""
    timeout: Annotated[Duration, Field(ge=0.05, le=600.0)] = 30.0
    """The deadline over the whole probe, resolution included: 50 ms to 10 min."""

    @cached_property
    def asked_name(self) -> str:
        """The domain in ASCII."""
        return host_name(self.domain).removesuffix(".")


async def probe(spec: DomainSpec, context: ProbeContext) -> Observation:
    """What the registry says of the domain, or said within half a day."""
    seen, memory = context.seen, context.resources.registries
    known = memory.recall(spec.asked_name, clock.monotonic())
    if known is None:
        known = await _asked(spec, context, memory)
        seen.complete = known.asked >= context.stopwatch.started_ns / 1e9
    if known.data is None:
        message = f"{spec.asked_name} is not registered"
        raise ProbeFailure(Failure(reason=Reason.NAME_NOT_FOUND, message=message))
    seen.facts |= _registration_facts(known.data, clock.utcnow())
    seen.facts["latency"] = known.latency  # of a kept answer; else it is measured
    seen.explain = lambda: _explanation(known)
    return seen


async def _asked(spec: DomainSpec, context: ProbeContext, memory: Registries) -> Registration:
    """What the registry says now. Where it says nothing, what it said within a week stands in.

    Raises ProbeFailure: that a registry can't be asked is the trouble of another, and says nothing about the domain.
    """
    try:
        async with asyncio.timeout(spec.timeout * PATIENCE):
            return await _ask(spec, context, memory)
    except TimeoutError:
        message = f"it did not answer within {spoken_duration(spec.timeout * PATIENCE)}"
        trouble = Failure(reason=Reason.NO_SOURCE, message=message, phase=context.stopwatch.phase)
    except ProbeFailure as exc:
        trouble = exc.failure
    except OSError as exc:
        trouble = from_os_error(exc, context.stopwatch.phase)
    older = memory.recall(spec.asked_name, clock.monotonic(), within=STALE)
    if older is not None:  # dates of registrations seldom change
        context.seen.evidence["notes"] = [f"the registry can't be asked: {trouble.message}"]
        return older
    if trouble.reason not in OURS:
        trouble = replace(trouble, reason=Reason.NO_SOURCE)
    raise ProbeFailure(replace(trouble, message=f"the registry can't be asked: {trouble.message}"[:500]))


async def _ask(spec: DomainSpec, context: ProbeContext, memory: Registries) -> Registration:
    server = await _server(spec, context, memory)
    pause = memory.waits(server, clock.monotonic())
    if pause:
        raise _nobody(f"{server} asks us to wait for another {spoken_duration(pause)}")
    answer = await _fetch(spec, context, f"{server}domain/{spec.asked_name}")
    now = clock.monotonic()
    match answer.status:
        case 200:
            data: Mapping[str, Any] | None = _read(answer, "registry's answer")
        case 404:
            data = None
        case 429:
            memory.wait(server, now + _pause(answer))
            raise _nobody(f"{server} asks us to wait: it was asked too often (status 429)")
        case status:
            message = f"the registry's server answered with status {status}"
            raise ProbeFailure(Failure(reason=Reason.PROTOCOL, message=message, phase="transfer"))
    latency = now - context.stopwatch.started_ns / 1e9
    registration = Registration(data=data, server=server, asked=now, latency=latency)
    memory.remember(spec.asked_name, registration)
    return registration


async def _server(spec: DomainSpec, context: ProbeContext, memory: Registries) -> str:
    """The address of the registry's server, with a slash at its end."""
    async with memory.lock:
        if not memory.knows_servers(clock.monotonic()):
            await _learn_servers(spec, context, memory)
    server = memory.server_of(spec.asked_name)
    if server is None:
        suffix = spec.asked_name.rpartition(".")[2]
        raise _nobody(f"no registry of .{suffix} answers by RDAP: the list of their servers has none")
    return server


async def _learn_servers(spec: DomainSpec, context: ProbeContext, memory: Registries) -> None:
    """Fetch the list of servers; an old one does where that fails."""
    try:
        address = parse_url(read_env(BOOTSTRAP, _IANA)).text
    except (ValueError, EnvironmentProblem) as exc:
        raise _nobody(f"{BOOTSTRAP} is no address: {exc}") from exc
    try:
        answer = await _fetch(spec, context, address)
        if answer.status != 200:
            message = f"the list of registries at {address} answered with status {answer.status}"
            raise _nobody(message)
        found = dict(_servers(_read(answer, "list of registries")))
    except (ProbeFailure, OSError):
        if not memory.servers:
            raise
        return
    memory.servers, memory.servers_asked = found, clock.monotonic()


def _servers(listed: Mapping[str, Any]) -> Iterator[tuple[str, str]]:
    """Suffixes and their servers, those over https first."""
    services = listed.get("services")
    for service in services if isinstance(services, list) else ():
        match service:
            case [list(suffixes), list(addresses)]:
                usable = [a for a in addresses if isinstance(a, str) and re.match(r"https?://", a)]
                best = min(usable, key=lambda address: not address.startswith("https:"), default=None)
                if best is not None:
                    yield from ((s.lower(), best.rstrip("/") + "/") for s in suffixes if isinstance(s, str))


async def _fetch(spec: DomainSpec, context: ProbeContext, address: str) -> Answer:
    try:
        request = Request(url=parse_url(address), headers={"accept": _ACCEPT})
    except ValueError as exc:
        raise _nobody(f"the list of registries has an address that is none: {exc}") from exc
    return await fetch(context, request, tls=spec_tls(spec, HTTP_1), route=spec.route)


def _nobody(message: str) -> ProbeFailure:
    return ProbeFailure(Failure(reason=Reason.NO_SOURCE, message=message[:500]))


def _read(answer: Answer, what: str) -> Mapping[str, Any]:
    try:
        data = parse_json(answer.body or b"")
    except NotJson as exc:
        message = f"the {what} is not JSON: {exc}"
        raise ProbeFailure(Failure(reason=Reason.PROTOCOL, message=message, phase="transfer")) from exc
    if not isinstance(data, dict):
        message = f"the {what} is not a JSON object"
        raise ProbeFailure(Failure(reason=Reason.PROTOCOL, message=message, phase="transfer"))
    return data


def _pause(answer: Answer) -> float:
    """For how many seconds the server wants to be left alone."""
    least, usual, most = _WAITS
    said = (answer.header("retry-after") or "").strip()
    if re.fullmatch(r"[0-9]{1,9}", said, re.ASCII):
        return min(max(float(said), least), most)
    try:
        until = parsedate_to_datetime(said)
        return min(max((until - clock.utcnow()).total_seconds(), least), most)
    except (ValueError, TypeError, OverflowError):
        return usual


def _registration_facts(data: Mapping[str, Any], now: datetime) -> dict[str, Any]:
    found: dict[str, Any] = {}
    expires = _expiration(data)
    if expires is not None:
        found["expires"] = (expires - now).total_seconds()
    if registrar := _registrar(data):
        found["registrar"] = registrar
    if isinstance(data.get("status"), list):
        found["status"] = [_epp(code) for code in data["status"] if isinstance(code, str)]
    names = [row.get("ldhName") for row in _rows(data, "nameservers")]
    if names:
        found["nameservers"] = [name.lower().removesuffix(".") for name in names if isinstance(name, str)]
    secure = data.get("secureDNS")
    if isinstance(secure, dict) and isinstance(secure.get("delegationSigned"), bool):
        found["dnssec"] = secure["delegationSigned"]
    return found


def _rows(data: Mapping[str, Any], name: str) -> Iterator[Mapping[str, Any]]:
    rows = data.get(name)
    return (row for row in (rows if isinstance(rows, list) else ())[:100] if isinstance(row, dict))


def _expiration(data: Mapping[str, Any]) -> datetime | None:
    dates = {row.get("eventAction"): row.get("eventDate") for row in _rows(data, "events") if _is_text(row)}
    said = dates.get("expiration", dates.get("registrar expiration"))
    try:
        date = datetime.fromisoformat(said or "")
    except ValueError:
        return None
    return date if date.tzinfo else date.replace(tzinfo=UTC)


def _is_text(event: Mapping[str, Any]) -> bool:
    return isinstance(event.get("eventAction"), str) and isinstance(event.get("eventDate"), str)


def _registrar(data: Mapping[str, Any]) -> str:
    """The name in the card of the entity that is the registrar (jCard, RFC 7095)."""
    for entity in _rows(data, "entities"):
        roles = entity.get("roles")
        if isinstance(roles, list) and "registrar" in roles:
            match entity.get("vcardArray"):
                case ["vcard", list(properties)]:
                    names = (p[3] for p in properties if isinstance(p, list) and len(p) > 3 and p[0] in ("fn", "org"))
                    return next((name for name in names if isinstance(name, str) and name), "")
    return ""


def _epp(code: str) -> str:
    """The status code of EPP that RDAP writes with spaces: client transfer prohibited, clientTransferProhibited."""
    first, *rest = code.strip().split(" ")
    return _EPP.get(code.lower(), first[:1].lower() + first[1:] + "".join(word.capitalize() for word in rest))


def _explanation(known: Registration) -> dict[str, Any]:
    data = known.data or {}
    expires, ago = _expiration(data), clock.monotonic() - known.asked
    shown = {name: value for name, value in _registration_facts(data, clock.utcnow()).items() if name != "expires"}
    evidence: dict[str, Any] = {"registry": known.server}
    if expires is not None:
        evidence["expires"] = expires.isoformat()
    if math.floor(ago / 60):
        evidence["asked"] = f"{spoken_duration(ago)} ago"
    return evidence | {
        name: [excerpt(item.encode())[:100] for item in value[:20]] if isinstance(value, list) else str(value)[:200]
        for name, value in shown.items()
    }


DOMAIN = Kind(spec=DomainSpec, probe=probe)
