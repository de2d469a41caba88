"""`amqp`: logs in to a broker of AMQP 0-9-1, such as RabbitMQ, counts a queue, and sends itself a message."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Annotated, Any, ClassVar, Literal, Self

from pydantic import AfterValidator, Field, model_validator

from checks.expect import Subject
from checks.probe import Kind, ProbeContext
from checks.protocols.wire import OVER_TLS, WIRE_SUBJECTS, WireSpec, importing, open_wire, printable, time_left
from checks.result import Observation
from checks.spec import Line, Secret

MAX_NAME = 255  # bytes
_SHOWN = ("product", "version", "cluster_name")  # of what a broker says of itself


def _fits(name: str) -> str:
    size = len(name.encode())
    if size > MAX_NAME:
        raise ValueError(f"has {size} bytes in UTF-8; AMQP allows {MAX_NAME}")
    return name


class AmqpSpec(WireSpec):
    """Options of a monitor that asks a broker of AMQP."""

    known_with: ClassVar[Mapping[str, str]] = {
        **OVER_TLS,
        "messages": "queue",
        "consumers": "queue",
        "round_trip": "round_trip",
    }
    subjects: ClassVar[Mapping[str, Subject]] = {
        "round_trip": Subject(
            "round_trip", "duration", "The time of our message to the broker and back (with round_trip)."
        ),
        "messages": Subject("messages", "number", "How many messages wait in the queue (with queue)."),
        "consumers": Subject("consumers", "number", "How many consumers the queue has (with queue)."),
        **WIRE_SUBJECTS,
    }
    example: ClassVar[str] = """\
address: rabbit.example.org:5671
tls: true
username: stillup
password: ${RABBIT_PASSWORD}
queue: orders
round_trip: true
expect:
  - consumers >= 1
degraded:
  - messages < 10000
  - round_trip < 100ms
"""

    kind: Literal["amqp"] = "amqp"
    """Asks a broker of AMQP 0-9-1, such as RabbitMQ."""
    username: Annotated[Line, Field(max_length=200)] = ""
    """Who logs in. Without, the probe ends once the broker has said what it is."""
    password: Secret = ""
    """The password of that user."""
    vhost: Annotated[Line, Field(min_length=1, max_length=MAX_NAME), AfterValidator(_fits)] = "/"
    """The virtual host that is entered after the login."""
    queue: Annotated[Line, Field(max_length=MAX_NAME), AfterValidator(_fits)] = ""
    """A queue whose messages and consumers are counted. Nothing is taken from it."""
    round_trip: bool = False
    """Send a message through a queue of our own, which ends with the connection, and wait for it to come back."""

    @model_validator(mode="after")
    def _can_do_what_it_is_to_do(self) -> Self:
        for name in ("password", "queue", "round_trip"):
            if getattr(self, name) and not self.username:
                raise ValueError(f"{name}: needs a username")
        return self


async def probe(spec: AmqpSpec, context: ProbeContext) -> Observation:
    """Hear the broker out, log in, and do what the monitor asks for."""
    with importing("amqp", context.stopwatch):
        from checks.protocols.amqp import AmqpSession  # noqa: PLC0415 - needs the extra

    seen = context.seen
    wire = await open_wire(spec, context)
    try:
        session = AmqpSession(wire)
        start = await session.greet()
        seen.evidence["broker"] = _shown(start.server_properties)
        if spec.username:
            await session.log_in(start.mechanisms, spec.username, spec.password)
            await session.open(spec.vhost)
        if spec.queue or spec.round_trip:
            await session.open_channel()
        if spec.queue:
            seen.facts["messages"], seen.facts["consumers"] = await session.count(spec.queue)
            seen.evidence["queue"] = {name: seen.facts[name] for name in ("messages", "consumers")}
        if spec.round_trip:
            seen.facts["round_trip"] = await session.round_trip()
        wire.finish()
        seen.complete = True
        if spec.username:
            await session.close(time_left(spec, context))
    finally:
        wire.abort()
    return seen


def _shown(properties: Mapping[str, Any]) -> dict[str, str]:
    return {name: printable(str(properties[name])) for name in _SHOWN if name in properties}


AMQP = Kind(spec=AmqpSpec, probe=probe, extra="amqp", modules=("pamqp",))
