"""Pings by mail: an SMTP server for `<code>@`, `<key>+<slug>@` and no one else, on any domain.

`+start`, `+fail`, `+log` or `+<exit code>` before the @ say what is reported; so may the monitor's keywords, of the
subject and the text. 250 means that the ping is on disk. What can't be stored is 451, whom nobody knows 550, too much
552, 452 or 421. Nothing is ever sent on, and what is attached is not looked at.
"""

from __future__ import annotations

import asyncio
import logging
import signal
from collections import Counter, defaultdict
from collections.abc import Sequence
from contextlib import suppress
from typing import Any

from aiosmtpd.smtp import SMTP, Envelope, Session, syntax

from checks import clock, sight
from checks.heartbeats.journal import Journal, NotStored
from checks.heartbeats.letter import read_letter
from checks.heartbeats.limits import Limits
from checks.heartbeats.receiver import BODY_KEPT
from checks.heartbeats.request import Refused, Request, numbers_of, read
from checks.heartbeats.runs import Ping, Verdict

logger = logging.getLogger(__name__)

LARGEST = 1 << 20  # bytes of a mail
MOST_READ = 2 * LARGEST  # bytes that are read of a larger one, before the connection ends
MOST_RECIPIENTS = 100  # of one mail, as RFC 5321, 4.5.3.1.8 wants it
MOST_CONNECTIONS = 100
MOST_OF_ONE = 20  # connections of one source; a relay opens no more
MOST_COMMANDS = 200  # of each sort in one connection
STEP_WITHIN = 60.0  # seconds for a command, and for a whole mail with its storing
CONNECTED_FOR = 300.0  # seconds at most
DRAIN = 8.0  # seconds for the mails that are being sent when the server is told to stop
BEAT_EVERY = 0.5  # seconds
_LINE = 8192  # bytes that are held of a line until its end has come

_NOBODY = "550 5.1.1 nobody here; write to <code>@ or <key>+<slug>@, with +start, +fail, +log or +<exit code> before @"
_REFUSED = {
    Verdict.UNKNOWN: "no monitor has this ping code or ping key",
    Verdict.NO_SUCH_SLUG: "no monitor has this slug",
    Verdict.MAY_BE_MADE: "no monitor has this slug, and a mail makes none",
    Verdict.OTHER_KIND: "this monitor is not one that is pinged",
}


def _request(address: str) -> Request:
    """What the address of a recipient says. Raises Refused."""
    local, _, _ = address.rpartition("@")
    if "/" in local:
        raise Refused(404, "no address")
    return read("/ping/" + local.replace("+", "/"), b"", clock.utcnow())


def _source(session: Session) -> str:
    peer: Any = session.peer
    return str(peer[0])[:64] if isinstance(peer, tuple) and peer else ""


class MailPings:
    """Takes mails as pings. `open` begins to store them, `close` stores the last."""

    def __init__(self, url: str, hostname: str) -> None:
        self.hostname = hostname
        self._limits = Limits()
        self._journal = Journal(url, self._limits.take_strangers, role=sight.MAIL)
        self._connections: set[Connection] = set()
        self._sources: Counter[str] = Counter()
        self._all_left = asyncio.Event()
        self.draining = False

    def open(self) -> None:
        """Begin to store."""
        self._journal.open()

    def beat(self) -> None:
        """The loop moves, on which mails are taken."""
        self._journal.beat()

    async def drain(self) -> None:
        """Take no more mails; what is being sent has some seconds to end."""
        self.draining = True
        self._journal.drain()
        for connection in list(self._connections):
            connection.leave_when_idle()
        if self._connections:
            with suppress(TimeoutError):
                await asyncio.wait_for(self._all_left.wait(), DRAIN)

    def close(self) -> None:
        """Store what was received, then stop."""
        self._journal.close()

    def admit(self, connection: Connection, source: str) -> bool:
        """Whether one more connection may be had."""
        if self.draining or len(self._connections) >= MOST_CONNECTIONS or self._sources[source] >= MOST_OF_ONE:
            return False
        self._connections.add(connection)
        self._sources[source] += 1
        return True

    def left(self, connection: Connection, source: str) -> None:
        """A connection that was admitted ended."""
        self._connections.discard(connection)
        self._sources[source] -= 1
        if not self._sources[source]:
            del self._sources[source]
        if self.draining and not self._connections:
            self._all_left.set()

    async def handle_RCPT(  # noqa: N802 - aiosmtpd's name
        self, _server: SMTP, session: Session, envelope: Envelope, address: str, _options: Sequence[str]
    ) -> str:
        """The answer to a recipient."""
        if len(envelope.rcpt_tos) >= MOST_RECIPIENTS:
            return f"452 4.5.3 a mail has at most {MOST_RECIPIENTS} recipients; send the others another one"
        try:
            request = _request(address)
        except Refused as refused:
            return f"550 5.1.1 {refused}" if refused.status == 400 else _NOBODY
        wait = self._limits.wait(request.address, _source(session))
        if wait:
            return f"452 4.7.1 too many pings; send it again in {wait} s"
        envelope.rcpt_tos.append(address)
        return "250 2.1.5 OK"

    async def handle_exception(self, error: Exception) -> str:
        """The answer where we made a mistake: it is sent again."""
        logger.error("a mail could not be taken", exc_info=error, extra={"action": "mail_failed"})
        return "451 4.3.0 a mistake of ours; send it again"

    async def take(self, session: Session, envelope: Envelope, mail: bytes) -> str:
        """The answer to a mail: each of its recipients is a ping of its own, and one answer stands for all."""
        letter = await asyncio.to_thread(read_letter, mail)
        now, body = clock.utcnow(), letter.text[:BODY_KEPT]
        requests = [_request(address) for address in dict.fromkeys(envelope.rcpt_tos)]
        pings = [
            Ping(
                address=request.address,
                action=request.action,
                received_at=now,
                exit_code=request.exit_code,
                method="MAIL",
                source=_source(session),
                user_agent=f"mail from {envelope.mail_from}".replace("\0", "")[:200],
                body=body,
                body_size=len(mail),
                subject=letter.subject,
                numbers=numbers_of(body),
            )
            for request in requests
        ]
        try:
            verdicts = await asyncio.gather(*(self._journal.store(ping) for ping in pings))
        except NotStored:
            return "451 4.3.0 the ping could not be stored; send it again"
        return self._answer(pings, verdicts)

    def _answer(self, pings: Sequence[Ping], verdicts: Sequence[Verdict]) -> str:
        refused = []
        for ping, verdict in zip(pings, verdicts, strict=True):
            if verdict is Verdict.STORED:
                self._limits.heard(ping.address)
                continue
            if verdict is not Verdict.OTHER_KIND:
                self._limits.unknown(ping.address, ping.source, ping.user_agent)
            refused.append(_REFUSED.get(verdict, "it can't be pinged by mail"))
        if not refused:
            return "250 2.0.0 the ping is stored"
        stored = len(pings) - len(refused)
        return f"550 5.1.1 {refused[0]}" + (f"; {stored} of {len(pings)} pings are stored" if stored else "")


class Connection(SMTP):
    """One client, within limits of time, commands and bytes."""

    line_length_limit = _LINE

    def __init__(self, mail: MailPings) -> None:
        super().__init__(
            mail,
            data_size_limit=LARGEST,
            hostname=mail.hostname,
            ident="Stillup takes pings",
            timeout=STEP_WITHIN,
            command_call_limit=MOST_COMMANDS,
            loop=asyncio.get_running_loop(),
        )
        self.command_size_limits = defaultdict(lambda: SMTP.command_size_limit)  # else shared by all, and growing
        self._mail = mail
        self._admitted_from: str | None = None
        self._end: asyncio.TimerHandle | None = None
        self._taking = False

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        """Begin to talk, or refuse to."""
        peer = transport.get_extra_info("peername")
        source = str(peer[0]) if isinstance(peer, tuple) else ""
        if not self._mail.admit(self, source):
            if isinstance(transport, asyncio.WriteTransport):
                transport.write(b"421 4.7.0 too many connections; come again\r\n")
            transport.close()
            return
        self._admitted_from = source
        self._end = self.loop.call_later(CONNECTED_FOR, self.leave)
        super().connection_made(transport)

    def connection_lost(self, error: Exception | None) -> None:
        """Forget the client."""
        if self._admitted_from is None or self._end is None:
            return
        self._end.cancel()
        self._mail.left(self, self._admitted_from)
        super().connection_lost(error)

    def eof_received(self) -> bool | None:
        """Whether the transport stays open: it does not."""
        return False if self._admitted_from is None else super().eof_received()

    def leave_when_idle(self) -> None:
        """End the connection, once the mail that is being sent has its answer."""
        if not self._taking:
            self.leave()

    def leave(self, answer: str = "421 4.3.2 good-bye; come again") -> None:
        """End the connection."""
        if self.transport is None:
            return
        if isinstance(self.transport, asyncio.WriteTransport):
            self.transport.write(f"{answer}\r\n".encode("ascii", "replace"))
        if self._handler_coroutine is not None:
            self._handler_coroutine.cancel()
        self.transport.close()

    @syntax("DATA")
    async def smtp_DATA(self, arg: str | None) -> None:  # noqa: N802 - aiosmtpd's name
        """Read a mail and answer it. aiosmtpd's own holds an endless line whole, and refuses one of 1,000 bytes."""
        if await self.check_helo_needed():
            return
        if self.session is None or self.envelope is None or not self.envelope.rcpt_tos:
            await self.push("503 5.5.1 send RCPT first")
            return
        if arg:
            await self.push("501 5.5.4 DATA takes no argument")
            return
        self._taking = True
        try:
            await self.push("354 end the mail with a dot on a line of its own")
            content = await self._read_mail()
            if content is None:
                answer = f"552 5.3.4 a mail has at most {LARGEST} bytes"
            else:
                answer = await self._mail.take(self.session, self.envelope, content)
        finally:
            self._taking = False
            self.envelope = Envelope()
        await self.push(answer)
        if self._mail.draining:
            self.leave()

    async def _read_mail(self) -> bytes | None:
        """The mail, its leading dots taken off; None where it is too large."""
        kept, size, begins = bytearray(), 0, True
        while True:
            try:
                piece = await self._reader.readuntil(b"\r\n")
            except asyncio.LimitOverrunError as longer:
                piece = await self._reader.readexactly(longer.consumed)
            if begins and piece == b".\r\n":
                return bytes(kept) if size <= LARGEST else None
            size += len(piece)
            if size > MOST_READ:
                self.leave(f"552 5.3.4 a mail has at most {LARGEST} bytes")
                await asyncio.sleep(0)  # ends here
            if size <= LARGEST:
                kept += piece[1:] if begins and piece.startswith(b".") else piece
            begins = piece.endswith(b"\r\n")


async def serve(mail: MailPings, host: str, port: int, stop: asyncio.Event | None = None) -> None:
    """Take mails until `stop`, or SIGTERM or SIGINT. Raises OSError where it can't listen."""
    loop = asyncio.get_running_loop()
    stop = stop or _stop_on_signals(loop)
    server = await loop.create_server(
        lambda: Connection(mail), host, port, backlog=MOST_CONNECTIONS, start_serving=False
    )
    await asyncio.to_thread(mail.open)
    await server.start_serving()  # not before: a mail would be told to come again
    beating = asyncio.create_task(_beat(mail), name="beat")
    logger.info("taking mails on %s port %d", host, port, extra={"action": "listening", "host": host, "port": port})
    await stop.wait()
    beating.cancel()
    server.close()
    await mail.drain()
    await asyncio.to_thread(mail.close)
    logger.info("stopped", extra={"action": "stopped"})


def _stop_on_signals(loop: asyncio.AbstractEventLoop) -> asyncio.Event:
    stop = asyncio.Event()
    for number in (signal.SIGTERM, signal.SIGINT):
        loop.add_signal_handler(number, stop.set)
    return stop


async def _beat(mail: MailPings) -> None:
    while True:
        mail.beat()
        await asyncio.sleep(BEAT_EVERY)
