"""`mqtt`: logs in to a broker of MQTT and sends itself a message."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Annotated, ClassVar, Literal, Self

from pydantic import AfterValidator, Field, model_validator

from checks.expect import Subject
from checks.probe import Kind, ProbeContext
from checks.protocols.wire import OVER_TLS, WIRE_SUBJECTS, WireSpec, importing, open_wire, time_left
from checks.result import Observation
from checks.spec import AsWritten, Line, Secret


def _is_topic(text: str) -> str:
    bad = next((char for char in text if char in "+#"), None)
    if bad is not None:
        raise ValueError(f"has a {bad}, which stands for several topics; name one topic")
    if text.startswith("$share/"):
        raise ValueError("is a shared subscription, to which nothing can be published; name one topic")
    return text


class MqttSpec(WireSpec):
    """Options of a monitor that asks a broker of MQTT."""

    known_with: ClassVar[Mapping[str, str]] = {**OVER_TLS, "round_trip": "topic"}
    subjects: ClassVar[Mapping[str, Subject]] = {
        "round_trip": Subject("round_trip", "duration", "The time of our message to the broker and back (with topic)."),
        **WIRE_SUBJECTS,
    }
    example: ClassVar[str] = """\
address: mqtt.example.org:8883
tls: true
username: stillup
password: ${MQTT_PASSWORD}
topic: monitoring/stillup
degraded:
  - round_trip < 200ms
"""

    kind: Literal["mqtt"] = "mqtt"
    """Asks a broker of MQTT."""
    version: Annotated[Literal["3.1.1", "5"], AsWritten] = "3.1.1"
    """The version of MQTT that is spoken."""
    client_id: Annotated[Line, Field(max_length=200)] = ""
    """The identity towards the broker, which ends another connection of the same one. By default a new one each time."""
    username: Annotated[Line, Field(max_length=200)] = ""
    """Who logs in. Without, nobody does."""
    password: Secret = ""
    """The password of that user."""
    topic: Annotated[Line, Field(max_length=1000), AfterValidator(_is_topic)] = ""
    """A topic to which a message is sent and from which it must come back. It is not retained."""

    @model_validator(mode="after")
    def _has_somebody_for_the_password(self) -> Self:
        if self.password and not self.username:
            raise ValueError("password: needs a username")
        return self


async def probe(spec: MqttSpec, context: ProbeContext) -> Observation:
    """Log in and, where there is a topic, send a message and wait for it."""
    with importing("mqtt", context.stopwatch):
        from checks.protocols.mqtt import MqttSession  # noqa: PLC0415 - needs the extra

    seen = context.seen
    wire = await open_wire(spec, context)
    try:
        session = MqttSession(wire, spec.client_id, spec.version)
        await session.log_in(spec.username, spec.password)
        if spec.topic:
            seen.progress = lambda: "(our message did not come back)"
            seen.facts["round_trip"] = await session.round_trip(spec.topic)
        wire.finish()
        seen.complete = True
        await session.close(time_left(spec, context))
    finally:
        wire.abort()
    return seen


MQTT = Kind(spec=MqttSpec, probe=probe, extra="mqtt", modules=("paho",))
