"""`imap`: asks a mail server whether mail can be read: greeting, STARTTLS, capabilities, login."""

from __future__ import annotations

from typing import ClassVar, Literal

from checks.probe import Kind, ProbeContext
from checks.protocols.mail import Imap
from checks.protocols.mailbox import MailSpec, ask
from checks.result import Observation


class ImapSpec(MailSpec):
    """Options of a monitor that asks a server of IMAP. No mail is read."""

    implicit_port: ClassVar[int] = 993
    example: ClassVar[str] = """
        address: mail.example.org:993
        username: monitor@example.org
        password: ${MAIL_PASSWORD}
        expect:
          - capabilities contains "IMAP4rev1"
          - certificate > 14d
    """

    kind: Literal["imap"] = "imap"
    """Asks a mail server whether mail can be read over IMAP."""


async def probe(spec: ImapSpec, context: ProbeContext) -> Observation:
    """Ask as far as the options say."""
    return await ask(spec, context, Imap)


IMAP = Kind(spec=ImapSpec, probe=probe)
