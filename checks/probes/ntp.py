"""`ntp`: asks a time server for the time, once, and tells how far its clock is from ours (RFC 5905)."""

from __future__ import annotations

import os
import struct
from collections.abc import Mapping
from dataclasses import dataclass
from functools import cached_property
from typing import Annotated, Any, ClassVar, Literal

from pydantic import AfterValidator, Field

from checks import clock
from checks.address import parse_host_port
from checks.expect import Subject
from checks.network import exchange
from checks.network.route import RoutedSpec
from checks.probe import TIMINGS, Kind, ProbeContext, ProbeFailure
from checks.result import Failure, Observation, Reason
from checks.spec import Line

PORT = 123
_PACKET = struct.Struct("!BBbbiI4sQ8sQQ")  # what begins every packet; extensions and keys may follow
_ASK = (4 << 3) | 3  # version 4, client
_SERVER = 4
_UNSYNCHRONISED = 3  # the leap indicator of a clock that is not set
_SECONDARY = 15  # the largest stratum of a clock that is set
_EPOCH = 2_208_988_800  # seconds from 1900, where NTP begins to count, to 1970
_KISSES = {
    "RATE": "it is asked too often",
    "DENY": "it does not serve us",
    "RSTR": "it does not serve us",
    "ACST": "it serves no single askers",
    "AUTH": "it wants a key",
    "AUTO": "it wants a key",
    "NKEY": "it wants a key",
    "CRYP": "it wants a key",
    "INIT": "it has only begun",
    "STEP": "its clock was just stepped",
}


def _is_host(text: str) -> str:
    _target(text)
    return text


def _target(text: str) -> tuple[str, int]:
    """The host and port; the port may be left out."""
    if text.startswith("["):
        has_port = not text.endswith("]")
    else:
        has_port = text.count(":") == 1
        text = f"[{text}]" if text.count(":") > 1 else text
    return parse_host_port(text if has_port else f"{text}:{PORT}")


class NtpSpec(RoutedSpec):
    """Options of a monitor that asks a time server."""

    default_expect: ClassVar[tuple[str, ...]] = ("stratum in 1-15", "offset < 1s")
    target_option: ClassVar[str] = "address"
    subjects: ClassVar[Mapping[str, Subject]] = {
        "offset": Subject("offset", "duration", "How far its clock and this machine's are apart, whichever is ahead."),
        "stratum": Subject("stratum", "number", "How many servers it is away from a clock: 1 has one itself."),
        "delay": Subject("delay", "duration", "The time on the way there and back, without what the server took."),
        "root_delay": Subject("root_delay", "duration", "The same from the server to the clock that it goes by."),
        "root_dispersion": Subject("root_dispersion", "duration", "How far off the server holds its clock possible."),
        "reference": Subject("reference", "text", "What it goes by: a source such as GPS, or the address of a server."),
        **{name: TIMINGS[name] for name in ("latency", "dns", "first_byte")},
    }
    example: ClassVar[str] = """
        address: time.example.org
        expect: [offset < 50ms, stratum <= 3]
        """

    kind: Literal["ntp"] = "ntp"
    """Asks a time server for the time."""
    address: Annotated[Line, Field(min_length=1, max_length=300), AfterValidator(_is_host)]
    """The host that is asked, with a port where it is not 123, as in time.example.org or [::1]:123."""

    @cached_property
    def target(self) -> tuple[str, int]:
        """The host and the port."""
        return _target(self.address)


@dataclass(frozen=True, slots=True, kw_only=True)
class Packet:
    """What a time server says. Times are in seconds since 1970."""

    leap: int
    mode: int
    stratum: int
    root_delay: float  # seconds
    root_dispersion: float  # seconds
    reference: bytes
    originate: bytes  # what we sent as our time
    received: float
    sent: float

    @classmethod
    def read(cls, data: bytes, near: float) -> Packet:
        """The packet in a datagram; its times are of the era (136 years) that is nearest to `near`."""
        first, stratum, _, _, delay, dispersion, reference, _, originate, received, sent = _PACKET.unpack_from(data)
        return cls(
            leap=first >> 6,
            mode=first & 7,
            stratum=stratum,
            root_delay=delay / 2**16,
            root_dispersion=dispersion / 2**16,
            reference=reference,
            originate=originate,
            received=_since_1970(received, near),
            sent=_since_1970(sent, near),
        )

    @property
    def spoken_reference(self) -> str:
        """What the server goes by: letters for a clock of its own, otherwise a server's address (or what stands for it)."""
        if self.stratum <= 1:
            return self.reference.rstrip(b"\0").decode("ascii", "replace")
        return ".".join(str(byte) for byte in self.reference)


def _since_1970(stamp: int, near: float) -> float:
    seconds = stamp / 2**32
    era = round((near + _EPOCH - seconds) / 2**32)
    return seconds + era * 2**32 - _EPOCH


async def probe(spec: NtpSpec, context: ProbeContext) -> Observation:
    """Ask for the time, and report how far apart the clocks are."""
    seen = context.seen
    nonce = os.urandom(8)  # stands for our time, which is nobody's business; whoever can't repeat it is not heard
    question = bytes([_ASK]) + bytes(39) + nonce
    heard = await exchange(context, *spec.target, question, lambda data: _fits(data, nonce), route=spec.route)
    asked = (clock.wall_ns() - clock.monotonic_ns() + heard.asked_ns) / 1e9
    packet = Packet.read(heard.data, asked)
    seen.explain = lambda: _explanation(packet)
    _refuse(packet)
    there = packet.received - asked
    back = packet.sent - (asked + (heard.at_ns - heard.asked_ns) / 1e9)
    seen.facts.update(
        offset=abs(there + back) / 2,
        delay=max(0.0, there - back),
        stratum=packet.stratum,
        root_delay=max(0.0, packet.root_delay),
        root_dispersion=packet.root_dispersion,
        reference=packet.spoken_reference,
    )
    seen.evidence["offset_seconds"] = round((there + back) / 2, 6)
    seen.complete = True
    return seen


def _fits(data: bytes, nonce: bytes) -> bool:
    return len(data) >= _PACKET.size and data[24:32] == nonce and data[0] & 7 == _SERVER


def _refuse(packet: Packet) -> None:
    """Raise ProbeFailure where the server says that its time is not to be used."""
    if packet.stratum == 0:
        kiss = packet.spoken_reference
        message = f"the server sent a kiss of death, {kiss}: {_KISSES.get(kiss, 'it does not serve us')}"
        raise ProbeFailure(Failure(reason=Reason.REJECTED, message=message, phase="first_byte"))
    if packet.leap == _UNSYNCHRONISED or packet.stratum > _SECONDARY:
        message = "the server's own clock is not set (unsynchronised)"
        raise ProbeFailure(Failure(reason=Reason.REJECTED, message=message, phase="first_byte"))


def _explanation(packet: Packet) -> dict[str, Any]:
    return {
        "stratum": packet.stratum,
        "leap": packet.leap,
        "reference": packet.spoken_reference,
        "root_delay_seconds": round(packet.root_delay, 6),
        "root_dispersion_seconds": round(packet.root_dispersion, 6),
    }


NTP = Kind(spec=NtpSpec, probe=probe)
