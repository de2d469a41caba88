"""One conversation in AMQP 0-9-1 over a `Wire`; pamqp reads and writes the frames."""

from __future__ import annotations

import struct
from typing import NoReturn, TypeVar
from uuid import uuid4

from pamqp import commands, frame
from pamqp.base import Frame
from pamqp.body import ContentBody
from pamqp.common import FieldTable
from pamqp.header import ContentHeader, ProtocolHeader

from checks.probe import ProbeFailure
from checks.protocols.wire import Wire, printable
from checks.result import Reason

CHANNEL = 1
MAX_FRAME = 8192  # bytes; the least that RabbitMQ agrees to, and pamqp takes far too long for a large table
_KINDS = (1, 2, 3, 8)  # method, header, body, heartbeat
_FORBIDDEN = 403  # a reply code of AMQP: access refused

F = TypeVar("F", bound=frame.FrameTypes)


class _AsNamed:
    """A method that takes every name that fits its place, as brokers do; pamqp allows fewer."""

    def validate(self) -> None:
        """Pamqp's: nothing is wrong."""


class _Open(_AsNamed, commands.Connection.Open):
    """Enter a virtual host."""


class _Declare(_AsNamed, commands.Queue.Declare):
    """Make a queue, or look at one."""


class _Consume(_AsNamed, commands.Basic.Consume):
    """Take what a queue has."""


class _Publish(_AsNamed, commands.Basic.Publish):
    """Send a message."""


class AmqpSession:
    """A conversation with a broker. Every method raises ProbeFailure where the broker refuses or speaks nonsense."""

    def __init__(self, wire: Wire) -> None:
        self.wire = wire

    async def greet(self) -> commands.Connection.Start:
        """What the broker says of itself."""
        self._send(ProtocolHeader(0, 9, 1), 0)
        return await self._answer(commands.Connection.Start)

    async def log_in(self, mechanisms: str, username: str, password: str) -> None:
        """Prove who we are. `mechanisms` are those that the broker named."""
        if "PLAIN" not in mechanisms.split():
            offered = printable(mechanisms)
            raise self.wire.failure(Reason.AUTHENTICATION, f"the broker takes no password; it offers {offered}")
        # With this capability a broker says that it refused us before it hangs up.
        properties: FieldTable = {"product": "Stillup", "capabilities": {"authentication_failure_close": True}}
        response = f"\0{username}\0{password}"
        self._send(commands.Connection.StartOk(properties, "PLAIN", response, "en_US"), 0)
        tune = await self._answer(commands.Connection.Tune)
        frames = min(tune.frame_max or MAX_FRAME, MAX_FRAME)
        self._send(commands.Connection.TuneOk(tune.channel_max, frames, 0), 0)

    async def open(self, vhost: str) -> None:
        """Enter a virtual host."""
        self._send(_Open(vhost), 0)
        await self._answer(commands.Connection.OpenOk)

    async def open_channel(self) -> None:
        """Open the one channel over which queues are spoken about."""
        self._send(commands.Channel.Open(), CHANNEL)
        await self._answer(commands.Channel.OpenOk)

    async def count(self, queue: str) -> tuple[int, int]:
        """How many messages wait in a queue, and how many consumers it has. The queue stays as it is."""
        self._send(_Declare(queue=queue, passive=True), CHANNEL)
        declared = await self._answer(commands.Queue.DeclareOk)
        return declared.message_count or 0, declared.consumer_count or 0

    async def round_trip(self) -> float:
        """How many seconds a message took to a queue of our own and back; the queue ends with the connection."""
        self._send(_Declare(exclusive=True, auto_delete=True), CHANNEL)
        queue = (await self._answer(commands.Queue.DeclareOk)).queue
        if not queue or not isinstance(queue, str):
            raise self._nonsense("the broker made a queue and gave it no name")
        self._send(_Consume(queue=queue, no_ack=True, exclusive=True), CHANNEL)
        await self._answer(commands.Basic.ConsumeOk)
        message = f"stillup {uuid4()}".encode()
        sent_ns = self.wire.now_ns()
        self._send(_Publish(exchange="", routing_key=queue), CHANNEL)
        self._send(ContentHeader(body_size=len(message)), CHANNEL)
        self._send(ContentBody(message), CHANNEL)
        await self._answer(commands.Basic.Deliver)
        header = await self._answer(ContentHeader)
        body = (await self._answer(ContentBody)).value if header.body_size == len(message) else b""
        if body != message:
            raise self.wire.failure(Reason.PROTOCOL, "the broker delivered another message than the one we sent")
        return (self.wire.last_ns - sent_ns) / 1e9

    async def close(self, within: float) -> None:
        """Take leave."""
        bye = commands.Connection.Close(200, "bye", 0, 0)
        await self.wire.take_leave(frame.marshal(bye, 0), within)

    def _send(self, value: frame.FrameTypes, channel: int) -> None:
        self.wire.send(frame.marshal(value, channel))

    async def _answer(self, expected: type[F]) -> F:
        """The next frame that means something, which has to be of this sort."""
        while True:
            found = await self._frame()
            match found:
                case commands.Connection.Close() | commands.Channel.Close():
                    self._refused(found)
                case Frame() | ContentHeader() | ContentBody():
                    if isinstance(found, expected):
                        return found
                    message = f"the broker sent {found.name} where {expected.name} was due"
                    raise self.wire.failure(Reason.PROTOCOL, message)

    def _refused(self, close: commands.Connection.Close | commands.Channel.Close) -> NoReturn:
        reason = Reason.AUTHENTICATION if close.reply_code == _FORBIDDEN else Reason.REJECTED
        message = f"the broker refused with {close.reply_code}: {printable(close.reply_text)}"
        raise self.wire.failure(reason, message)

    async def _frame(self) -> frame.FrameTypes:
        head = await self.wire.read(7)
        if head.startswith(b"AMQP"):
            version = ".".join(str(number) for number in (head + await self.wire.read(1))[5:])
            raise self._nonsense(f"the other side speaks AMQP {version}, not 0-9-1")
        kind, _channel, size = struct.unpack(">BHI", head)
        if kind not in _KINDS:
            raise self._nonsense(f"the other side does not speak AMQP; it begins with {printable(head)!r}")
        if size > MAX_FRAME:
            message = f"the broker announced a frame of {size} bytes; {MAX_FRAME} are read"
            raise self.wire.failure(Reason.TOO_LARGE, message)
        try:
            return frame.unmarshal(head + await self.wire.read(size + 1))[2]
        except (ProbeFailure, OSError):
            raise
        except Exception as exc:
            raise self._nonsense(f"the broker sent a frame that can't be read: {type(exc).__name__}") from exc

    def _nonsense(self, message: str) -> ProbeFailure:
        return self.wire.failure(Reason.PROTOCOL, message)
