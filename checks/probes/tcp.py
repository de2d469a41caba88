"""`tcp`: connects to a port and, where asked to, reads what answers there."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Annotated, ClassVar, Literal, Self

from pydantic import AfterValidator, Field, model_validator

from checks.address import parse_host_port
from checks.expect import Subject
from checks.probe import TIMINGS, Kind
from checks.spec import Line, ProbedSpec, Text
from checks.tls import CaBundle


def _is_address(text: str) -> str:
    parse_host_port(text)
    return text


class TcpSpec(ProbedSpec):
    """Options of a monitor that connects to a port."""

    subjects: ClassVar[Mapping[str, Subject]] = {
        "banner": Subject("banner", "bytes", "What the other side says first, its first 4 KiB."),
        **TIMINGS,
        "certificate": Subject("certificate", "duration", "The time left until the certificate expires (with tls)."),
    }

    kind: Literal["tcp"] = "tcp"
    """Connects to a port."""
    address: Annotated[Line, Field(min_length=1, max_length=300), AfterValidator(_is_address)]
    """The host and port that is connected to, as in mail.example.org:25 or [::1]:25."""
    send: Annotated[Text, Field(max_length=4096)] = ""
    """Text that is sent once connected; a new line in it is sent as it stands."""
    tls: bool = False
    """Speak TLS from the first byte on."""
    verify: bool = True
    """Down when the certificate is not trusted, not valid now, or made for another name."""
    ca: CaBundle = ""
    """Certificates in PEM that are trusted beside those of the system."""

    @model_validator(mode="after")
    def _has_a_use_for_ca(self) -> Self:
        if self.ca and not self.tls:
            raise ValueError("ca: is of use with tls only")
        return self


TCP = Kind(spec=TcpSpec)
