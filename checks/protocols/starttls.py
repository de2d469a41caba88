"""The words after which a connection in clear becomes one over TLS: one small dialogue a protocol.

Whatever comes in clear after the other side agreed is refused: nobody can say who wrote it (CVE-2011-0411).
"""

from __future__ import annotations

import re
import struct
from collections.abc import Awaitable, Callable, Mapping
from typing import Literal

from checks.network import start_tls
from checks.network.securing import Tls
from checks.probe import ProbeContext, ProbeFailure
from checks.protocols.dialogue import Dialogue, exactly, lines, nonsense, spoken
from checks.protocols.mail import SHOWN, Imap, Mail, Pop3, Smtp, refusal
from checks.result import Failure, Reason

MAX_FEATURES = 16384  # bytes of an XMPP stream before its handshake

StartTls = Literal["smtp", "imap", "pop3", "ldap", "postgres", "mysql", "ftp", "xmpp"]


async def upgrade(context: ProbeContext, dialogue: Dialogue, host: str, tls: Tls) -> None:
    """Shake hands on a dialogue whose other side agreed to. Raises ProbeFailure and OSError as `dial` does."""
    if dialogue.heard:
        message = f"{len(dialogue.heard)} bytes came in clear after the other side agreed to TLS; they may be anybody's"
        raise ProbeFailure(Failure(reason=Reason.TLS, message=message, phase="tls"))
    await start_tls(context, dialogue, host, tls)


async def agree(protocol: StartTls, dialogue: Dialogue, name: str) -> None:
    """Have the other side, known as `name`, expect a handshake. Raises ProbeFailure where it does not."""
    await _AGREEMENTS[protocol](dialogue, name)


def _by_mail(make: Callable[[Dialogue], Mail]) -> Callable[[Dialogue, str], Awaitable[None]]:
    async def agreement(dialogue: Dialogue, _name: str) -> None:
        server = make(dialogue)
        await server.greet()
        await server.start_tls(await server.capabilities())

    return agreement


async def _ftp(dialogue: Dialogue, _name: str) -> None:
    """RFC 4217: AUTH TLS."""
    await _ftp_reply(dialogue, "the connection", b"220")
    dialogue.send(b"AUTH TLS\r\n")
    await _ftp_reply(dialogue, "AUTH TLS", b"234")


async def _ftp_reply(dialogue: Dialogue, what: str, wanted: bytes) -> None:
    """RFC 959, 4.2: several lines begin with the code and a hyphen, and end with the code and a space."""
    opening = b""

    def is_last(line: bytes) -> bool:
        nonlocal opening
        if not opening:
            if not line[:3].isdigit() or line[3:4] not in (b" ", b"-"):
                raise nonsense(f"what is no answer of FTP: {spoken(line)[:SHOWN]!r}")
            opening = line[:3]
        return line.startswith(opening + b" ")

    def measure(heard: bytearray) -> int:
        nonlocal opening
        opening = b""
        return lines(is_last)(heard)

    reply = await dialogue.read(measure)
    if not reply.startswith(wanted):
        raise refusal(what, spoken(reply.splitlines()[-1]), Reason.REJECTED)


async def _postgres(dialogue: Dialogue, _name: str) -> None:
    """SSLRequest of PostgreSQL's protocol 3: the answer is one byte."""
    dialogue.send(struct.pack("!ii", 8, 80877103))
    answer = await dialogue.read(exactly(1))
    if answer == b"N":
        raise _no_tls("PostgreSQL")
    if answer == b"E":
        raise refusal("TLS", "it answered with an error", Reason.REJECTED)
    if answer != b"S":
        raise nonsense(f"what is no answer of PostgreSQL: {answer!r}")


_CLIENT_PROTOCOL_41, _CLIENT_SSL, _CLIENT_SECURE_CONNECTION = 0x200, 0x800, 0x8000


async def _mysql(dialogue: Dialogue, _name: str) -> None:
    """SSLRequest after the initial handshake packet of MySQL's protocol 10."""
    packet = (await dialogue.read(_mysql_packet))[4:]
    if packet[:1] == b"\xff":
        raise refusal("the connection", spoken(packet[3:]), Reason.REJECTED)
    version_end = packet.find(b"\0", 1)
    low = version_end + 1 + 4 + 8 + 1  # behind the thread, the first half of the salt and a filler
    if packet[:1] != b"\x0a" or version_end < 0 or len(packet) < low + 2:
        raise nonsense("what is no greeting of MySQL")
    if not int.from_bytes(packet[low : low + 2], "little") & _CLIENT_SSL:
        raise _no_tls("MySQL")
    flags = _CLIENT_PROTOCOL_41 | _CLIENT_SSL | _CLIENT_SECURE_CONNECTION
    request = struct.pack("<IIB23x", flags, 1 << 24, 45)  # 45: utf8mb4
    dialogue.send(len(request).to_bytes(3, "little") + b"\x01" + request)


def _mysql_packet(heard: bytearray) -> int:
    if len(heard) < 4:
        return 0
    length = 4 + int.from_bytes(heard[:3], "little")
    if length > 4096 or length == 4:
        raise nonsense("what is no greeting of MySQL")
    return length if len(heard) >= length else 0


_LDAP_START_TLS = b"\x30\x1d\x02\x01\x01\x77\x18\x80\x161.3.6.1.4.1.1466.20037"


async def _ldap(dialogue: Dialogue, _name: str) -> None:
    """The extended operation StartTLS of LDAP (RFC 4511, 4.14), in BER."""
    dialogue.send(_LDAP_START_TLS)
    message = await dialogue.read(_ldap_message)
    _, begin, _ = _element(message, 0)
    _, _, after_id = _element(message, begin)
    tag, begin, _ = _element(message, after_id)
    code_tag, code_at, code_end = _element(message, begin)
    if tag != 0x78 or code_tag != 0x0A:  # an ExtendedResponse that begins with an ENUMERATED
        raise nonsense("what is no answer of LDAP")
    code = int.from_bytes(message[code_at:code_end])
    if code == 2:  # protocolError: RFC 4511, 4.14.2, what a server without TLS says
        raise _no_tls("LDAP")
    if code != 0:
        raise refusal("TLS", f"result code {code}", Reason.REJECTED)


def _ldap_message(heard: bytearray) -> int:
    if len(heard) < 2:
        return 0
    # Active Directory writes each length in four octets, however short (RFC 4511, 5.1).
    if heard[0] != 0x30 or heard[1] > 0x84 or heard[1] == 0x80:
        raise nonsense("what is no answer of LDAP")
    if len(heard) < 2 + (heard[1] & 0x7F if heard[1] > 0x80 else 0):
        return 0
    length = _element(bytes(heard), 0)[2]
    if length > 4096:
        raise nonsense("what is no answer of LDAP")
    return length if len(heard) >= length else 0


def _element(message: bytes, at: int) -> tuple[int, int, int]:
    """The tag of the element of BER at a position, where its content begins and where it ends."""
    if at + 2 > len(message):
        raise nonsense("what is no answer of LDAP")
    tag, length, begin = message[at], message[at + 1], at + 2
    if length & 0x80:
        octets = length & 0x7F
        length, begin = int.from_bytes(message[begin : begin + octets]), begin + octets
    return tag, begin, begin + length


_FEATURES = re.compile(
    rb"</(?:[a-z]+:)?features>|<(?:[a-z]+:)?features\s*/>|<(?:[a-z]+:)?error\b|</(?:[a-z]+:)?stream>"
)
_GO_AHEAD = re.compile(rb"<(?:[a-z]+:)?(proceed|failure)\b[^<>]*(?:/>|>[^<>]*</(?:[a-z]+:)?\1>)|</(?:[a-z]+:)?stream>")


async def _xmpp(dialogue: Dialogue, name: str) -> None:
    """STARTTLS of XMPP between a client and its server (RFC 6120, 5)."""
    dialogue.send(
        f"<?xml version='1.0'?><stream:stream to='{name}' version='1.0' xmlns='jabber:client'"
        " xmlns:stream='http://etherx.jabber.org/streams'>".encode()
    )
    features = await dialogue.read(_up_to(_FEATURES))
    if b"features" not in features:
        raise refusal("the stream", spoken(features), Reason.REJECTED)
    if b"<starttls" not in features:
        raise _no_tls("XMPP")
    dialogue.send(b"<starttls xmlns='urn:ietf:params:xml:ns:xmpp-tls'/>")
    answer = await dialogue.read(_up_to(_GO_AHEAD))
    if b"<proceed" not in answer:
        raise refusal("STARTTLS", spoken(answer), Reason.REJECTED)


def _up_to(pattern: re.Pattern[bytes]) -> Callable[[bytearray], int]:
    def measure(heard: bytearray) -> int:
        found = pattern.search(heard)
        if found is not None:
            return found.end()
        if not b"<".startswith(heard.lstrip()[:1]):
            raise nonsense(f"what is no answer of XMPP: {spoken(bytes(heard[:SHOWN]))!r}")
        if len(heard) > MAX_FEATURES:
            raise nonsense(f"a stream of more than {MAX_FEATURES // 1024} KiB", Reason.TOO_LARGE)
        return 0

    return measure


def _no_tls(protocol: str) -> ProbeFailure:
    message = f"the {protocol} server does not offer TLS"
    return ProbeFailure(Failure(reason=Reason.TLS, message=message, phase="tls"))


_AGREEMENTS: Mapping[StartTls, Callable[[Dialogue, str], Awaitable[None]]] = {
    "smtp": _by_mail(Smtp),
    "imap": _by_mail(Imap),
    "pop3": _by_mail(Pop3),
    "ldap": _ldap,
    "postgres": _postgres,
    "mysql": _mysql,
    "ftp": _ftp,
    "xmpp": _xmpp,
}
