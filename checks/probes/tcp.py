"""`tcp`: connects to a port and, where asked to, reads what answers there."""

from __future__ import annotations

import asyncio
from collections.abc import Mapping
from functools import cached_property
from typing import Annotated, Any, ClassVar, Literal, Self

from pydantic import AfterValidator, Field, model_validator

from checks import expect
from checks.address import parse_host_port
from checks.connection import Connection
from checks.evidence import excerpt
from checks.expect import Subject
from checks.network import Tls, dial
from checks.probe import TIMINGS, Kind, ProbeContext, Stopwatch
from checks.result import Observation
from checks.spec import Line, Payload, ProbedSpec
from checks.tls import CaBundle

MAX_BANNER = 4096  # bytes
QUIET = 0.2  # seconds of silence after a line end that end a banner


def _is_address(text: str) -> str:
    parse_host_port(text)
    return text


class TcpSpec(ProbedSpec):
    """Options of a monitor that connects to a port."""

    target_option: ClassVar[str] = "address"
    example: ClassVar[str] = """
        address: mail.example.org:25
        expect:
          - banner contains "ESMTP"
    """
    subjects: ClassVar[Mapping[str, Subject]] = {
        "banner": Subject("banner", "bytes", "What the other side says first, its first 4 KiB."),
        **TIMINGS,
        "certificate": Subject("certificate", "duration", "The time left until the certificate expires (with tls)."),
    }

    kind: Literal["tcp"] = "tcp"
    """Connects to a port."""
    address: Annotated[Line, Field(min_length=1, max_length=300), AfterValidator(_is_address)]
    """The host and port that is connected to, as in mail.example.org:25 or [::1]:25."""
    send: Annotated[Payload, Field(max_length=4096)] = ""
    """Text that is sent once connected, as it stands, with its line ends: "PING\\r\\n"."""
    tls: bool = False
    """Speak TLS from the first byte on."""
    verify: bool = True
    """Down when the certificate is not trusted, not valid now, or made for another name."""
    ca: CaBundle = ""
    """Certificates in PEM that are trusted beside those of the system."""

    @cached_property
    def target(self) -> tuple[str, int]:
        """The host and the port."""
        return parse_host_port(self.address)

    @cached_property
    def banner_lines(self) -> tuple[str, ...]:
        """The expectations that speak about the banner; without any, nothing is read."""
        lines = self.expect + self.degraded
        return tuple(line for line in lines if expect.parse(line, self.subjects).subject.name == "banner")

    @model_validator(mode="after")
    def _has_a_use_for_ca(self) -> Self:
        if self.ca and not self.tls:
            raise ValueError("ca: is of use with tls only")
        return self


class Banner(Connection):
    """Collects what the other side says first, until it meets every line about it, ends, or falls silent."""

    def __init__(self, spec: TcpSpec, watch: Stopwatch) -> None:
        super().__init__()
        self.spec, self.watch = spec, watch
        self.heard = bytearray()
        self.last_ns = 0  # when its last byte came
        self.closed = False
        self._news: asyncio.Future[None] = asyncio.get_running_loop().create_future()
        self._trouble: Exception | None = None

    def received(self, data: bytes, at_ns: int) -> None:
        """A piece of the banner; beyond the cap it is thrown away."""
        if self.watch.phase == "first_byte":
            self.watch.mark("first_byte", "transfer", at_ns)
        if not self._is_enough():
            self.heard += data[: MAX_BANNER - len(self.heard)]
            self.last_ns = at_ns
        self._wake()

    def ended(self, exc: Exception | None) -> None:
        """The other side said all it has to say."""
        self.closed, self._trouble = True, exc
        self._wake()

    async def read(self) -> bytes:
        """The banner. Raises OSError where the connection broke before any byte of it."""
        self.start()
        while not (self.closed or self._is_enough()):
            # Whoever has finished a line may be done or may go on; a short silence says which.
            quiet = QUIET if self.heard.endswith(b"\n") else None
            done, _ = await asyncio.wait([self._news], timeout=quiet)
            if not done:
                break
            self._news = asyncio.get_running_loop().create_future()
        if self._trouble is not None and not self.heard:
            raise self._trouble
        if self.heard:
            self.watch.mark("transfer", "other", self.last_ns)
        return bytes(self.heard)

    def _is_enough(self) -> bool:
        if not self.heard:
            return False
        facts = {"banner": bytes(self.heard)}
        return len(self.heard) >= MAX_BANNER or not expect.first_unmet(
            self.spec.banner_lines, self.spec.subjects, facts
        )

    def _wake(self) -> None:
        if not self._news.done():
            self._news.set_result(None)


async def probe(spec: TcpSpec, context: ProbeContext) -> Observation:
    """Connect, send what is to be sent, and read what expectations ask about."""
    seen, watch = context.seen, context.stopwatch
    host, port = spec.target
    tls = Tls(verify=spec.verify, ca=spec.ca) if spec.tls else None
    banner = await dial(context, host, port, lambda: Banner(spec, watch), tls)
    seen.explain = lambda: _explanation(banner)
    seen.progress = lambda: f"({len(banner.heard)} bytes so far)"
    try:
        if spec.send:
            banner.send(spec.send.encode())
        if spec.banner_lines:
            heard = await banner.read()
            if heard:
                seen.facts["banner"] = heard
    finally:
        banner.abort()
    seen.complete = True
    return seen


def _explanation(banner: Banner) -> dict[str, Any]:
    evidence: dict[str, Any] = {"banner": excerpt(bytes(banner.heard))} if banner.heard else {}
    if banner.certificate is not None:
        evidence["certificate"] = banner.certificate.as_dict()
    return evidence


TCP = Kind(spec=TcpSpec, probe=probe)
