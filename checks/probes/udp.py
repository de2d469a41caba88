"""`udp`: sends a datagram and waits for one that comes back."""

from __future__ import annotations

import re
from collections.abc import Mapping
from functools import cached_property
from typing import Annotated, ClassVar, Literal, Self

from pydantic import AfterValidator, Field, model_validator

from checks.address import parse_host_port
from checks.evidence import excerpt
from checks.expect import Subject
from checks.network import exchange
from checks.network.route import HostPort, RoutedSpec
from checks.probe import TIMINGS, Kind, ProbeContext
from checks.result import Observation
from checks.spec import Line, Payload

MAX_REPLY = 4096  # bytes
_HEX = re.compile(r"(?:[ \t]*[0-9A-Fa-f]{2})*[ \t]*", re.ASCII)


def _is_hex(text: str) -> str:
    if not _HEX.fullmatch(text):
        raise ValueError(f"{text[:40]!r} is not hexadecimal; write two digits a byte, as in 10 0c 00 ff")
    return text


class UdpSpec(RoutedSpec):
    """Options of a monitor that sends a datagram."""

    default_expect: ClassVar[tuple[str, ...]] = ("reply exists",)
    target_option: ClassVar[str] = "address"
    subjects: ClassVar[Mapping[str, Subject]] = {
        "reply": Subject("reply", "bytes", "The datagram that came back, its first 4 KiB."),
        "reply_hex": Subject("reply_hex", "text", "The same in hexadecimal digits, as in 0a1bff."),
        "size": Subject("size", "size", "The size of the datagram that came back."),
        **{name: TIMINGS[name] for name in ("latency", "dns", "first_byte")},
    }
    example: ClassVar[str] = """
        address: game.example.org:27015
        send_hex: ff ff ff ff 54 53 6f 75 72 63 65 20 45 6e 67 69 6e 65 20 51 75 65 72 79 00
        expect: ['reply_hex matches "^ffffffff(41|49)"']
        """

    kind: Literal["udp"] = "udp"
    """Sends a datagram and waits for one that comes back."""
    address: HostPort
    """The host and port that is asked, as in game.example.org:27015 or [::1]:5353."""
    send: Annotated[Payload, Field(max_length=4096)] = ""
    """Text that is sent, as it stands: "status\\n". By default a line end alone."""
    send_hex: Annotated[Line, Field(max_length=12288), AfterValidator(_is_hex)] = ""
    """Bytes that are sent instead of text, in hexadecimal digits, as in "10 0c 00 04"."""

    @model_validator(mode="after")
    def _sends_one_thing(self) -> Self:
        if self.send and self.send_hex:
            raise ValueError("send and send_hex are two ways to write what is sent; keep one")
        return self

    @cached_property
    def target(self) -> tuple[str, int]:
        """The host and the port."""
        return parse_host_port(self.address)

    @cached_property
    def wire(self) -> bytes:
        """The bytes that are sent."""
        return bytes.fromhex(self.send_hex) or self.send.encode() or b"\n"


async def probe(spec: UdpSpec, context: ProbeContext) -> Observation:
    """Send, and report the first datagram that comes back from there."""
    seen = context.seen
    reply = (await exchange(context, *spec.target, spec.wire, lambda _: True, route=spec.route)).data
    seen.facts["size"] = len(reply)
    seen.facts["reply"] = reply[:MAX_REPLY]
    seen.facts["reply_hex"] = reply[:MAX_REPLY].hex()
    seen.explain = lambda: {"reply": excerpt(reply), "received_bytes": len(reply)}
    seen.complete = True
    return seen


UDP = Kind(spec=UdpSpec, probe=probe)
