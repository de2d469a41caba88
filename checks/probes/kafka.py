"""`kafka`: looks at a cluster and a topic, and writes a record and reads it back."""

from __future__ import annotations

from collections.abc import Mapping
from typing import TYPE_CHECKING, Annotated, ClassVar, Literal, Self

from pydantic import Field, model_validator

from checks.address import parse_host_port
from checks.expect import Subject
from checks.probe import Kind, ProbeContext
from checks.protocols.wire import OVER_TLS, WIRE_SUBJECTS, Wire, WireSpec, importing, open_wire, printable, time_left
from checks.result import Observation, Reason
from checks.spec import Line, Secret

if TYPE_CHECKING:
    from checks.protocols.kafka import Cluster, KafkaSession

_TOPIC = r"^[a-zA-Z0-9._-]+$"
_SHOWN = 20  # numbers of partitions in the evidence


class KafkaSpec(WireSpec):
    """Options of a monitor that asks a cluster of Kafka."""

    known_with: ClassVar[Mapping[str, str]] = {
        **OVER_TLS,
        **dict.fromkeys(("partitions", "leaderless", "under_replicated"), "topic"),
        "round_trip": "round_trip",
    }
    subjects: ClassVar[Mapping[str, Subject]] = {
        "brokers": Subject("brokers", "number", "How many brokers the cluster has."),
        "partitions": Subject("partitions", "number", "How many partitions the topic has (with topic)."),
        "leaderless": Subject("leaderless", "number", "How many partitions have no leader (with topic)."),
        "under_replicated": Subject(
            "under_replicated", "number", "How many partitions lack a replica in sync (with topic)."
        ),
        "round_trip": Subject(
            "round_trip", "duration", "The time of our record to the broker and back (with round_trip)."
        ),
        **WIRE_SUBJECTS,
    }
    example: ClassVar[str] = """\
address: kafka.example.org:9093
tls: true
username: stillup
password: ${KAFKA_PASSWORD}
mechanism: SCRAM-SHA-512
topic: stillup
round_trip: true
expect:
  - brokers >= 3
  - leaderless == 0
degraded:
  - under_replicated == 0
"""

    kind: Literal["kafka"] = "kafka"
    """Asks a cluster of Kafka, 0.11 or newer, by any of its brokers."""
    username: Annotated[Line, Field(max_length=200)] = ""
    """Who logs in, by SASL. Without, nobody does."""
    password: Secret = ""
    """The password of that user."""
    mechanism: Literal["PLAIN", "SCRAM-SHA-256", "SCRAM-SHA-512"] = "PLAIN"
    """How the login is made."""
    topic: Annotated[Line, Field(max_length=249, pattern=_TOPIC)] | Literal[""] = ""
    """A topic whose partitions are looked at. It is never created."""
    round_trip: bool = False
    """Write a record to the topic and read it back, without a consumer group. The record stays as long as the topic keeps it."""
    partition: Annotated[int, Field(strict=True, ge=0, le=100_000)] = 0
    """The partition of the topic that is written to: 0 to 100,000."""

    @model_validator(mode="after")
    def _can_do_what_it_is_to_do(self) -> Self:
        if self.password and not self.username:
            raise ValueError("password: needs a username")
        if self.round_trip and not self.topic:
            raise ValueError("round_trip: needs a topic")
        return self


async def probe(spec: KafkaSpec, context: ProbeContext) -> Observation:
    """Ask the broker for its cluster and, where a record is to be written, the leader of its partition."""
    with importing("kafka", context.stopwatch):
        from checks.protocols.kafka import KafkaSession  # noqa: PLC0415 - needs the extra

    seen = context.seen
    wire = await open_wire(spec, context)
    try:
        session = await _begin(spec, KafkaSession(wire))
        cluster = await session.look(spec.topic)
        _report(spec, context, cluster)
        if spec.round_trip:
            leader = _leader(spec, wire, cluster)
            if leader != spec.target:
                wire.finish()
                wire.abort()
                seen.evidence["leader"] = f"{leader[0]}:{leader[1]}"
                wire = await open_wire(spec, context, leader)
                session = await _begin(spec, KafkaSession(wire))
            within = time_left(spec, context)
            seen.facts["round_trip"] = await session.round_trip(spec.topic, spec.partition, within)
        wire.finish()
        seen.complete = True
    finally:
        wire.abort()
    return seen


async def _begin(spec: KafkaSpec, session: KafkaSession) -> KafkaSession:
    await session.greet()
    if spec.username:
        await session.log_in(spec.mechanism, spec.username, spec.password)
    return session


def _report(spec: KafkaSpec, context: ProbeContext, cluster: Cluster) -> None:
    facts, evidence = context.seen.facts, context.seen.evidence
    facts["brokers"] = evidence["brokers"] = len(cluster.brokers)
    if spec.topic:
        leaderless = [p.number for p in cluster.partitions if p.leader is None]
        lacking = [p.number for p in cluster.partitions if not p.whole]
        facts["partitions"] = evidence["partitions"] = len(cluster.partitions)
        facts["leaderless"], facts["under_replicated"] = len(leaderless), len(lacking)
        evidence["leaderless"], evidence["under_replicated"] = leaderless[:_SHOWN], lacking[:_SHOWN]


def _leader(spec: KafkaSpec, wire: Wire, cluster: Cluster) -> tuple[str, int]:
    """The host and port of the leader, as the cluster advertises it; whether it may be dialled is judged there."""
    found = next((p for p in cluster.partitions if p.number == spec.partition), None)
    if found is None:
        message = f"the topic {spec.topic} has no partition {spec.partition}"
        raise wire.failure(Reason.REJECTED, message)
    if found.leader is None:
        raise wire.failure(Reason.REJECTED, f"partition {spec.partition} of {spec.topic} has no leader")
    host, port = found.leader
    try:
        return parse_host_port(f"[{host}]:{port}" if ":" in str(host) else f"{host}:{port}")
    except ValueError as exc:
        message = f"the cluster advertises a leader whose address {printable(str(exc))}"
        raise wire.failure(Reason.PROTOCOL, message) from exc


KAFKA = Kind(spec=KafkaSpec, probe=probe, extra="kafka", modules=("aiokafka",))
