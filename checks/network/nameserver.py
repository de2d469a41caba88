"""One question to one name server: over UDP (and TCP where the answer does not fit), TCP, TLS or HTTPS.

RFC 1035, 5625, 7766, 7858, 8484. The server is as untrusted as any target: its answer has to fit the question, its size
and its records are bounded before they are read, and what a datagram of somebody else says is not heard.
"""

from __future__ import annotations

import asyncio
import secrets
import struct
from collections.abc import Callable
from dataclasses import dataclass, replace
from http import HTTPStatus

import dns.exception
import dns.flags
import dns.message
import dns.name
import dns.rcode
import dns.rdatatype
from dns.rdata import Rdata
from dns.rdatatype import ANY

from checks.address import parse_url
from checks.network.attempts import shown
from checks.network.connection import Connection, closed
from checks.network.datagrams import exchange
from checks.network.dialling import Addresses, establish, own_addresses
from checks.network.http2 import Http2Exchange
from checks.network.request import Request
from checks.network.route import NameServer
from checks.network.securing import Tls
from checks.probe import ProbeContext, ProbeFailure
from checks.result import Failure, Reason

MAX_RECORDS = 500  # in an answer; more are not read
PAYLOAD = 1232  # bytes of a datagram that we ask for, which no network has to break up (the DNS flag day of 2020)
AGAIN_AFTER = 1.0  # seconds without an answer, after which a datagram is sent again; then 2, then 4
_TYPE = "application/dns-message"
_KNOWS_NO_EDNS = (dns.rcode.FORMERR, dns.rcode.NOTIMP, dns.rcode.BADVERS)  # RFC 6891, 7: it is asked without
_HEADER, _RESPONSE, _TRUNCATED = 12, 0x80, 0x02  # bytes of a message's head; two of its flags, in its third byte


@dataclass(frozen=True, slots=True, kw_only=True)
class Question:
    """What is asked about a name."""

    name: dns.name.Name
    type: dns.rdatatype.RdataType
    recursive: bool = True

    def message(self, *, extended: bool = True) -> dns.message.Message:
        """The question as it is sent; AD asks to be told whether the answer was validated (RFC 6840, 5.7)."""
        flags = dns.flags.AD | (dns.flags.RD if self.recursive else 0)
        return dns.message.make_query(
            self.name,
            self.type,
            use_edns=0 if extended else -1,
            payload=PAYLOAD if extended else 0,
            flags=flags,
            id=secrets.randbelow(65536),
        )


@dataclass(frozen=True, slots=True, kw_only=True)
class Reply:
    """What a name server answered, and over what: udp, tcp, tls, https."""

    message: dns.message.Message
    transport: str
    size: int  # bytes

    @property
    def rcode(self) -> str:
        """The verdict in its usual word: NOERROR, NXDOMAIN."""
        return dns.rcode.to_text(self.message.rcode())

    def records(self) -> tuple[list[Rdata], int]:
        """The records that were asked for, and for how many seconds they may be kept. Raises DNSException."""
        if not self.message.question:  # as many servers say no
            return [], 0
        chain, answer = self.answers(), self.message.answer
        if chain.answer is not None:
            return list(chain.answer), chain.minimum_ttl
        asked = self.message.question[0].rdtype
        several = [rrset for rrset in answer if asked in (ANY, rrset.rdtype)]  # signatures are an RRset for each type
        return [record for rrset in several for record in rrset], min((rrset.ttl for rrset in several), default=0)

    def answers(self) -> dns.message.ChainingResult:
        """The records that answer the question, behind the aliases that lead to them. Raises DNSException."""
        assert isinstance(self.message, dns.message.QueryMessage)  # noqa: S101 - as `ask` makes sure
        return self.message.resolve_chaining()


async def ask(
    context: ProbeContext, server: NameServer, question: Question, *, family: int = 0, tls: Tls | None = None
) -> Reply:
    """The answer of a name server, its phases marked. Raises ProbeFailure and OSError."""
    addresses = await own_addresses(context, server.host, family)
    return await ask_at(context, server, addresses, question, tls=tls)


async def ask_at(
    context: ProbeContext, server: NameServer, addresses: Addresses, question: Question, *, tls: Tls | None = None
) -> Reply:
    """The answer of a name server whose addresses are known."""
    context.seen.waiting_for = f"the resolver {spoken(server)}"
    reply = await _asked(context, server, addresses, question.message(), tls)
    if reply.message.rcode() in _KNOWS_NO_EDNS:
        reply = await _asked(context, server, addresses, question.message(extended=False), tls)
    context.seen.waiting_for = ""
    return reply


async def _asked(
    context: ProbeContext, server: NameServer, addresses: Addresses, query: dns.message.Message, tls: Tls | None
) -> Reply:
    transport: str = server.scheme
    match server.scheme:
        case "udp":
            question_wire = query.to_wire()
            fits = _answers_to(question_wire)
            heard = await exchange(context, addresses, server.port, question_wire, fits, again_after=AGAIN_AFTER)
            wire = heard.data
            if wire[2] & _TRUNCATED:
                transport = "tcp"
                context.stopwatch.phase = "connect"
                wire = await _over_stream(context, server, addresses, query.to_wire(), None)
        case "tcp":
            wire = await _over_stream(context, server, addresses, query.to_wire(), None)
        case "tls":
            wire = await _over_stream(context, server, addresses, query.to_wire(), tls or Tls())
        case "https":
            query.id = 0  # so that caches on the way can keep the answer (RFC 8484, 4.1)
            wire = await _over_https(context, server, addresses, query.to_wire(), tls or Tls())
    return Reply(message=_read(wire, query), transport=transport, size=len(wire))


def _answers_to(query: bytes) -> Callable[[bytes], bool]:
    """Whether a datagram answers this question, by its number and its text; others are somebody's guesses (RFC 5452, 9.1).

    A refusal may come without the text. Names are the same in any case.
    """
    end = query.index(0, _HEADER) + 1  # of the name
    name, sort = query[_HEADER:end].lower(), query[end : end + 4]

    def fits(data: bytes) -> bool:
        if len(data) < _HEADER or data[:2] != query[:2] or not data[2] & _RESPONSE:
            return False
        return data[4:6] == b"\0\0" or (data[_HEADER:end].lower() == name and data[end : end + 4] == sort)

    return fits


def spoken(server: NameServer) -> str:
    """A name server as people write it."""
    if server.scheme == "https":
        host = f"[{server.host}]" if ":" in server.host else server.host
        return f"https://{host}{'' if server.port == 443 else f':{server.port}'}{server.path}"
    where = shown(server.host, server.port)
    return where if server.scheme == "udp" else f"{server.scheme}://{where}"


def _read(wire: bytes, query: dns.message.Message) -> dns.message.Message:
    """The message in these bytes. Raises ProbeFailure for what is none, or none to this question."""
    if len(wire) < _HEADER:
        raise _nonsense(f"an answer of {len(wire)} bytes, which is too short")
    if wire[:2] != query.id.to_bytes(2, "big") or not wire[2] & _RESPONSE:
        raise _nonsense("what is no answer to the question")
    counts = struct.unpack("!4H", wire[4:_HEADER])
    if sum(counts[1:]) > MAX_RECORDS or counts[0] > 1:
        raise _nonsense(f"an answer with {sum(counts)} records; at most {MAX_RECORDS} are read", Reason.TOO_LARGE)
    try:
        message = dns.message.from_wire(wire, ignore_trailing=True)
    except (dns.exception.DNSException, ValueError, struct.error) as exc:
        raise _nonsense(f"an answer that can't be read: {str(exc)[:200] or type(exc).__name__}") from exc
    if not query.is_response(message):
        raise _nonsense("an answer to another question")
    return message


def _nonsense(words: str, reason: Reason = Reason.PROTOCOL) -> ProbeFailure:
    return ProbeFailure(Failure(reason=reason, message=f"the resolver sent {words}", phase="first_byte"))


class _Framed(Connection):
    """Reads one message that its length precedes (RFC 1035, 4.2.2)."""

    def __init__(self) -> None:
        super().__init__()
        self.answer: asyncio.Future[tuple[bytes, int]] = asyncio.get_running_loop().create_future()
        self._wire = bytearray()

    def received(self, data: bytes, at_ns: int) -> None:
        """A piece of it."""
        self._wire += data
        size = int.from_bytes(self._wire[:2], "big")
        if len(self._wire) >= max(2, size + 2) and not self.answer.done():
            self.answer.set_result((bytes(self._wire[2 : size + 2]), at_ns))

    def ended(self, exc: Exception | None) -> None:
        """The server said all that it has to say."""
        if not self.answer.done():
            self.answer.set_exception(exc or closed("first_byte"))


async def _over_stream(
    context: ProbeContext, server: NameServer, addresses: Addresses, query: bytes, tls: Tls | None
) -> bytes:
    connection = await establish(context, (server.host, server.port), addresses, _Framed, tls)
    try:
        connection.send(len(query).to_bytes(2, "big") + query)
        connection.start()
        wire, at_ns = await connection.answer
    finally:
        connection.abort()
    context.stopwatch.mark("first_byte", "other", at_ns)
    return wire


async def _over_https(context: ProbeContext, server: NameServer, addresses: Addresses, query: bytes, tls: Tls) -> bytes:
    request = Request(
        url=parse_url(spoken(server)), method="POST", headers={"content-type": _TYPE, "accept": _TYPE}, body=query
    )

    def make() -> Http2Exchange:
        return Http2Exchange(context.stopwatch, bodiless=False, skip_redirect_body=False, or_older=True)

    secured = replace(tls, alpn=("h2", "http/1.1"))
    web = await establish(context, (server.host, server.port), addresses, make, secured)
    try:
        await web.run(request)
    finally:
        web.abort()
    if web.status != HTTPStatus.OK:
        raise _nonsense(f"the HTTP status {web.status} and no answer")
    return web.body
