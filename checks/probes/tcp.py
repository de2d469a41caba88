"""`tcp`: connects to a port and, where asked to, speaks with what answers there."""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import replace
from functools import cached_property
from typing import Annotated, Any, ClassVar, Literal, Self

from pydantic import AfterValidator, BaseModel, ConfigDict, Field, field_validator, model_validator

from checks import expect
from checks.address import parse_host_port
from checks.deadline import Deadline
from checks.evidence import excerpt
from checks.expect import Subject
from checks.network import dial
from checks.network.route import HostPort, ProxiedSpec, SecuredSpec
from checks.network.securing import spec_tls
from checks.probe import TIMINGS, Kind, ProbeContext, ProbeFailure
from checks.protocols.dialogue import Dialogue
from checks.protocols.starttls import upgrade
from checks.protocols.wire import OVER_TLS, time_left
from checks.result import Observation
from checks.spec import Line, Payload

MAX_REPLY = 4096  # bytes
QUIET = 0.2  # seconds of silence after a line end that end a reply
_LINE_END = re.compile(rb"\n")

_OF_A_REPLY: Mapping[str, Subject] = {
    "reply": Subject("reply", "bytes", "What the other side says, its first 4 KiB."),
    "reply_hex": Subject("reply_hex", "text", "The same in hexadecimal digits, as in 0a1bff."),
}


def _is_hex(text: str) -> str:
    try:
        bytes.fromhex(text)
    except ValueError as exc:
        raise ValueError(f"{text[:40]!r} is not hexadecimal; write two digits a byte, as in 10 0c 00 ff") from exc
    return text


def facts_of(reply: bytes) -> dict[str, Any]:
    """What expectations can say about a reply; nothing where there was none."""
    return {"reply": reply, "reply_hex": reply.hex()} if reply else {}


class Step(BaseModel):
    """One turn of a dialogue: something is sent, a reply is read, TLS begins. Each of the three may be left out."""

    model_config = ConfigDict(extra="forbid", frozen=True, hide_input_in_errors=True)

    send: Annotated[Payload, Field(max_length=4096)] = ""
    """Text that is sent, as it stands, with its line ends: "EHLO monitor\\r\\n"."""
    send_hex: Annotated[Line, Field(max_length=12288), AfterValidator(_is_hex)] = ""
    """Bytes that are sent instead of text, in hexadecimal digits, as in "10 0c 00 04"."""
    expect: tuple[Annotated[str, Field(max_length=2000)], ...] = Field(default=(), max_length=20)
    """What the reply must say, one expectation a line, about reply or reply_hex. Without any, no reply is read."""
    starttls: bool = False
    """Speak TLS from here on, once the reply was as expected."""

    @field_validator("expect")
    @classmethod
    def _expectations_are_readable(cls, lines: tuple[str, ...]) -> tuple[str, ...]:
        expect.parse_all(lines, _OF_A_REPLY)
        return lines

    @model_validator(mode="after")
    def _does_something(self) -> Self:
        if self.send and self.send_hex:
            raise ValueError("send and send_hex are two ways to write what is sent; keep one")
        if not (self.send or self.send_hex or self.expect or self.starttls):
            raise ValueError("a step needs send, send_hex, expect or starttls")
        return self

    @cached_property
    def wire(self) -> bytes:
        """The bytes that are sent."""
        return bytes.fromhex(self.send_hex) if self.send_hex else self.send.encode()

    def measure(self, heard: bytearray) -> int:
        """How much of what was heard makes a reply that is as expected, or as long as replies may be."""
        reply = bytes(heard[:MAX_REPLY])
        if len(reply) < MAX_REPLY and not self._is_met_by(reply):
            return 0
        if not self.starttls:
            return len(reply)
        # What follows the line that agrees to TLS belongs to no reply; whoever sent it shall be noticed.
        ends = (match.end() for match in _LINE_END.finditer(reply))
        return next((end for end in ends if self._is_met_by(reply[:end])), len(reply))

    def _is_met_by(self, reply: bytes) -> bool:
        return expect.first_unmet(self.expect, _OF_A_REPLY, facts_of(reply)) is None


class TcpSpec(ProxiedSpec, SecuredSpec):
    """Options of a monitor that connects to a port."""

    target_option: ClassVar[str] = "address"
    example: ClassVar[str] = """
        address: mail.example.org:587
        dialogue:
          - expect: ['reply matches "^220 "']
          - send: "EHLO monitor.example.org\\r\\n"
            expect: ['reply contains "STARTTLS"', 'reply matches "(?m)^250 "']
          - send: "STARTTLS\\r\\n"
            expect: ['reply matches "^220 "']
            starttls: true
        expect:
          - certificate > 14d
    """
    subjects: ClassVar[Mapping[str, Subject]] = {
        "banner": Subject("banner", "bytes", "What the other side says first, its first 4 KiB (without a dialogue)."),
        "reply": Subject("reply", "bytes", "Its last reply of the dialogue, the first 4 KiB of it."),
        "reply_hex": Subject("reply_hex", "text", "The same in hexadecimal digits, as in 0a1bff."),
        **TIMINGS,
        "certificate": Subject("certificate", "duration", "The time left until the certificate expires (over TLS)."),
    }

    kind: Literal["tcp"] = "tcp"
    """Connects to a port."""
    address: HostPort
    """The host and port that is connected to, as in mail.example.org:25 or [::1]:25."""
    send: Annotated[Payload, Field(max_length=4096)] = ""
    """Text that is sent once connected, as it stands, with its line ends: "PING\\r\\n"."""
    dialogue: tuple[Step, ...] = Field(default=(), max_length=20)
    """What is said in turns, a step each; the first that does not go as expected is down."""
    tls: bool = False
    """Speak TLS from the first byte on."""

    @cached_property
    def target(self) -> tuple[str, int]:
        """The host and the port."""
        return parse_host_port(self.address)

    @cached_property
    def banner_lines(self) -> tuple[str, ...]:
        """The expectations that speak about the banner; without any, nothing is read."""
        return tuple(line for line in self.expect + self.degraded if self._subject_of(line) == "banner")

    @model_validator(mode="after")
    def _options_fit_together(self) -> Self:
        upgrades = sum(step.starttls for step in self.dialogue)
        if upgrades + self.tls > 1:
            raise ValueError("dialogue: TLS begins once, by tls or by one step's starttls")
        if not (upgrades or self.tls):
            of_tls = ("ca", "server_name", "client_certificate")
            unused = next((name for name in of_tls if getattr(self, name)), None)
            if unused is not None:
                raise ValueError(f"{unused}: is of use with tls only, or with starttls in a step")
            unknown = OVER_TLS.keys() & {self._subject_of(line) for line in self.expect + self.degraded}
            if unknown:
                raise ValueError(f"expect: nothing is known of {min(unknown)} without tls, or starttls in a step")
        if self.dialogue and self.send:
            raise ValueError("send: belongs into the first step of the dialogue")
        asked = {self._subject_of(line) for line in self.expect + self.degraded}
        if self.dialogue and "banner" in asked:
            raise ValueError("expect: with a dialogue, say what the banner must be in its first step")
        if not self.dialogue and asked & set(_OF_A_REPLY):
            raise ValueError("expect: reply is of use with a dialogue only; what the other side says first is banner")
        return self

    @cached_property
    def required_of_banner(self) -> tuple[str, ...]:
        """Those of them that are not only of `degraded`."""
        return tuple(line for line in self.expect if self._subject_of(line) == "banner")

    def hears(self, lines: tuple[str, ...], banner: bytes) -> bool:
        """Whether what was heard so far meets these lines."""
        return expect.first_unmet(lines, self.subjects, {"banner": banner} if banner else {}) is None

    def _subject_of(self, line: str) -> str:
        return expect.parse(line, self.subjects).subject.name


async def probe(spec: TcpSpec, context: ProbeContext) -> Observation:
    """Connect, send what is to be sent, and read what expectations ask about."""
    seen, watch = context.seen, context.stopwatch
    host, port = spec.target
    tls = spec_tls(spec) if spec.tls else None
    dialogue = await dial(context, host, port, lambda: Dialogue(watch), tls, route=spec.route)
    replies: list[bytes] = []
    seen.explain = lambda: _explanation(spec, dialogue, replies)
    seen.progress = lambda: f"({len(dialogue.heard)} bytes so far)"
    try:
        if spec.dialogue:
            await _speak(spec, context, dialogue, replies)
        else:
            await _hear_banner(spec, context, dialogue, replies)
    finally:
        dialogue.abort()
    seen.complete = True
    watch.phase = "other"
    return seen


async def _hear_banner(spec: TcpSpec, context: ProbeContext, dialogue: Dialogue, replies: list[bytes]) -> None:
    if spec.send:
        dialogue.send(spec.send.encode())
    if not spec.banner_lines:
        return

    def measure(heard: bytearray) -> int:
        banner = bytes(heard[:MAX_REPLY])
        return len(banner) if len(banner) == MAX_REPLY or spec.hears(spec.banner_lines, banner) else 0

    dialogue.start()
    try:
        with Deadline(time_left(spec, context)):
            banner = await dialogue.listen(measure, QUIET)
    except TimeoutError as exc:
        if exc.errno is not None:  # the connection's, and not ours
            raise
        # What a `degraded` line alone asks for, or nothing, makes nobody down who does not say it.
        is_enough = spec.hears(spec.required_of_banner, bytes(dialogue.heard[:MAX_REPLY]))
        banner = bytes(dialogue.heard[:MAX_REPLY]) if is_enough else await dialogue.listen(measure, QUIET)
    if banner:
        context.seen.facts["banner"] = banner
        replies.append(banner)


async def _speak(spec: TcpSpec, context: ProbeContext, dialogue: Dialogue, replies: list[bytes]) -> None:
    dialogue.start()
    for number, step in enumerate(spec.dialogue, 1):
        context.seen.doing = f"step {number}"
        if step.wire:
            dialogue.send(step.wire)
        if step.expect:
            reply = await dialogue.listen(step.measure, QUIET)
            replies.append(reply)
            facts = facts_of(reply)
            context.seen.facts |= facts
            unmet = expect.first_unmet(step.expect, _OF_A_REPLY, facts)
            if unmet is not None:
                raise ProbeFailure(replace(unmet, phase=context.stopwatch.phase))
        if step.starttls:
            await upgrade(context, dialogue, spec.target[0], spec_tls(spec))
    context.seen.doing = ""


def _explanation(spec: TcpSpec, dialogue: Dialogue, replies: list[bytes]) -> dict[str, Any]:
    if dialogue.heard:
        replies = [*replies, bytes(dialogue.heard)]
    evidence: dict[str, Any] = {}
    if spec.dialogue:
        evidence["replies"] = [excerpt(reply) for reply in replies]
    elif replies:
        evidence["banner"] = excerpt(replies[0])
    if dialogue.certificate is not None:
        evidence["certificate"] = dialogue.certificate.as_dict()
    return evidence


TCP = Kind(spec=TcpSpec, probe=probe)
