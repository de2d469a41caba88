"""One conversation in MQTT over a `Wire`; paho reads and writes the packets, without a socket or a thread of its own."""

from __future__ import annotations

from typing import Any
from uuid import uuid4

from paho.mqtt.client import Client
from paho.mqtt.enums import CallbackAPIVersion, MQTTErrorCode, MQTTProtocolVersion
from paho.mqtt.reasoncodes import ReasonCode

from checks.protocols.wire import Wire, printable
from checks.result import Reason

_VERSIONS = {"3.1.1": MQTTProtocolVersion.MQTTv311, "5": MQTTProtocolVersion.MQTTv5}
_OF_CREDENTIALS = (0x86, 0x87, 0x8C)  # bad user name or password, not authorized, bad method (MQTT 5, 2.4)
_CONNACK, _PUBLISH = 0x20, 0x30
MAX_PACKETS = 1000  # of one conversation, those of others included
# Bytes of a packet. What is in it may be some thousand properties or reasons, for which paho takes far too long.
MAX_MESSAGE, MAX_ACKNOWLEDGEMENT = 4096, 1024
_AT_LEAST_ONCE = 1


class _Pipe:
    """What paho takes for its socket: holds the packet that is to be read, and sends into the wire."""

    def __init__(self, wire: Wire) -> None:
        self._wire = wire
        self.packet = b""

    def recv(self, count: int) -> bytes:
        """The next bytes of the packet."""
        if not self.packet:
            raise BlockingIOError
        taken, self.packet = self.packet[:count], self.packet[count:]
        return taken

    def send(self, data: bytes) -> int:
        """All of it is sent."""
        self._wire.send(bytes(data))
        return len(data)

    def setblocking(self, _flag: Any) -> None:
        """It never blocks."""

    def fileno(self) -> int:
        """It is no file."""
        return -1

    def close(self) -> None:
        """The wire is closed by whoever opened it."""


class _Paho(Client):
    """Paho's client on a pipe."""

    def __init__(self, pipe: _Pipe, client_id: str, version: str) -> None:
        protocol = _VERSIONS[version]
        super().__init__(CallbackAPIVersion.VERSION2, client_id, protocol=protocol, reconnect_on_failure=False)
        self._pipe = pipe

    def _create_socket(self) -> Any:
        return self._pipe


class MqttSession:
    """A conversation with a broker. Every method raises ProbeFailure where the broker refuses or speaks nonsense."""

    def __init__(self, wire: Wire, client_id: str, version: str) -> None:
        self.wire = wire
        self._pipe = _Pipe(wire)
        self._heard: dict[str, ReasonCode | None] = {}  # by what it is about
        self._awaited = b""  # the message that we sent
        self._packets = 0
        self._client = _Paho(self._pipe, client_id or f"stillup-{uuid4().hex[:15]}", version)
        self._client.on_connect = lambda _client, _data, _flags, reason, _: self._hear("login", reason)
        self._client.on_subscribe = lambda _client, _data, _mid, reasons, _: self._hear("subscription", reasons[0])
        self._client.on_publish = lambda _client, _data, _mid, reason, _: self._hear("message", reason)
        self._client.on_unsubscribe = lambda _client, _data, _mid, _reasons, _: self._hear("end")
        self._client.on_message = lambda _client, _data, message: self._hear_message(bytes(message.payload))
        self._client.on_disconnect = self._hear_dismissal

    async def log_in(self, username: str, password: str) -> None:
        """Connect, as somebody or as nobody."""
        if username:
            self._client.username_pw_set(username, password or None)
        self._client.connect(self.wire.peer, 1)
        await self._until("login")

    async def round_trip(self, topic: str) -> float:
        """How many seconds a message took to a topic and back. We are subscribed only so long, and nothing is retained."""
        self._client.subscribe(topic, _AT_LEAST_ONCE)
        await self._until("subscription")
        self._awaited = f"stillup {uuid4()}".encode()
        sent_ns = self.wire.now_ns()
        self._client.publish(topic, self._awaited, _AT_LEAST_ONCE)
        await self._until("echo")
        took = (self.wire.last_ns - sent_ns) / 1e9
        self._client.unsubscribe(topic)
        await self._until("end")
        return took

    async def close(self, within: float) -> None:
        """Take leave."""
        self._client.disconnect()
        await self.wire.take_leave(b"", within)

    def _hear(self, what: str, reason: ReasonCode | None = None) -> None:
        self._heard[what] = reason

    def _hear_message(self, payload: bytes) -> None:
        if self._awaited and payload == self._awaited:
            self._hear("echo")

    def _hear_dismissal(self, _client: Any, _data: Any, flags: Any, reason: ReasonCode, _properties: Any) -> None:
        if flags.is_disconnect_packet_from_server:
            self._hear("dismissal", reason)

    async def _until(self, what: str) -> None:
        while what not in self._heard:
            await self._read_packet()

    def _refuse(self) -> None:
        """Raise ProbeFailure where the broker said no to anything."""
        for about, reason in self._heard.items():
            if reason is not None and (reason.is_failure or about == "dismissal"):
                why = Reason.AUTHENTICATION if reason.value in _OF_CREDENTIALS else Reason.REJECTED
                what = "hung up" if about == "dismissal" else f"refused our {about}"
                raise self.wire.failure(why, f"the broker {what}: {str(reason).lower()}")

    async def _read_packet(self) -> None:
        """Give paho the next packet, whole."""
        self._packets += 1
        if self._packets > MAX_PACKETS:
            raise self.wire.failure(Reason.TOO_LARGE, f"the broker sent more than {MAX_PACKETS} packets")
        head = await self.wire.read(2)
        if not self._heard and head[0] != _CONNACK:
            found = printable(head)
            raise self.wire.failure(Reason.PROTOCOL, f"the other side does not speak MQTT; it begins with {found!r}")
        length, shift = head[1] & 0x7F, 7
        while head[-1] & 0x80:
            if len(head) > 4:
                raise self.wire.failure(Reason.PROTOCOL, "the broker sent a packet whose length can't be read")
            head += await self.wire.read(1)
            length |= (head[-1] & 0x7F) << shift
            shift += 7
        most = MAX_MESSAGE if head[0] & 0xF0 in (_CONNACK, _PUBLISH) else MAX_ACKNOWLEDGEMENT
        if length > most:
            message = f"the broker announced a packet of {length} bytes; {most} are read"
            raise self.wire.failure(Reason.TOO_LARGE, message)
        self._pipe.packet = head + await self.wire.read(length)
        try:
            done = self._client.loop_read()
        except Exception as exc:
            raise self.wire.failure(
                Reason.PROTOCOL, f"the broker sent a packet that can't be read: {exc!r:.100}"
            ) from exc
        self._refuse()
        if done is not MQTTErrorCode.MQTT_ERR_SUCCESS:
            raise self.wire.failure(Reason.PROTOCOL, "the broker sent a packet that is against the protocol")
