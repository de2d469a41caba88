"""`smtp`: asks a mail server whether it takes mail: greeting, STARTTLS, extensions, login."""

from __future__ import annotations

from typing import Annotated, ClassVar, Literal

from pydantic import Field

from checks.probe import Kind, ProbeContext
from checks.protocols.mail import Smtp
from checks.protocols.mailbox import MailSpec, ask
from checks.result import Observation
from checks.spec import Line


class SmtpSpec(MailSpec):
    """Options of a monitor that asks a server of SMTP. No mail is sent."""

    implicit_port: ClassVar[int] = 465
    example: ClassVar[str] = """
        address: mail.example.org:587
        username: monitor@example.org
        password: ${MAIL_PASSWORD}
        expect:
          - certificate > 14d
    """

    kind: Literal["smtp"] = "smtp"
    """Asks a mail server whether it takes mail."""
    helo: Annotated[Line, Field(max_length=255, pattern=r"^[A-Za-z0-9.:\[\]_-]*$")] = ""
    """The name that we give in EHLO. By default our address in brackets, as hosts without a name do."""


async def probe(spec: SmtpSpec, context: ProbeContext) -> Observation:
    """Ask as far as the options say."""
    return await ask(spec, context, lambda dialogue: Smtp(dialogue, spec.helo))


SMTP = Kind(spec=SmtpSpec, probe=probe)
