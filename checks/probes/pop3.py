"""`pop3`: asks a mail server whether mail can be fetched: greeting, STLS, capabilities, login."""

from __future__ import annotations

from typing import ClassVar, Literal, Self

from pydantic import model_validator

from checks.probe import Kind, ProbeContext
from checks.protocols.mail import Pop3
from checks.protocols.mailbox import MailSpec, ask
from checks.result import Observation


class Pop3Spec(MailSpec):
    """Options of a monitor that asks a server of POP3. No mail is fetched."""

    implicit_port: ClassVar[int] = 995
    example: ClassVar[str] = """
        address: mail.example.org:995
        username: monitor@example.org
        password: ${MAIL_PASSWORD}
        noop: true
    """

    kind: Literal["pop3"] = "pop3"
    """Asks a mail server whether mail can be fetched over POP3."""

    @model_validator(mode="after")
    def _is_logged_in_before_noop(self) -> Self:
        if self.noop and not self.username:
            raise ValueError("noop: POP3 knows it only after a login; add username and password")
        return self


async def probe(spec: Pop3Spec, context: ProbeContext) -> Observation:
    """Ask as far as the options say."""
    return await ask(spec, context, Pop3)


POP3 = Kind(spec=Pop3Spec, probe=probe)
