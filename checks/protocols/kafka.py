"""One conversation with one broker of Kafka over a `Wire`; aiokafka's codecs read and write the requests."""

from __future__ import annotations

import asyncio
import struct
from collections.abc import Sequence
from dataclasses import dataclass
from io import BytesIO
from typing import Any
from uuid import uuid4

from aiokafka.errors import for_code
from aiokafka.protocol.admin import ApiVersionRequest, SaslAuthenticateRequest, SaslHandShakeRequest
from aiokafka.protocol.fetch import FetchRequest
from aiokafka.protocol.metadata import MetadataRequest
from aiokafka.protocol.produce import ProduceRequest
from aiokafka.record.default_records import DefaultRecordBatchBuilder

from checks import clock
from checks.probe import ProbeFailure
from checks.protocols.scram import Digest, Scram, ScramProblem
from checks.protocols.wire import Wire, printable
from checks.result import Reason

# Bytes of an answer, of which 128 KiB take aiokafka some 30 ms. So much describes a topic of 2,500 partitions.
MAX_LARGE, MAX_SMALL = 131_072, 8192
MAX_FETCH = 65_536  # bytes asked for
PAUSE = 0.01  # seconds before asking again
FETCH_WAIT = 500  # milliseconds that a broker may wait for our record before it answers without
# What a broker must speak at the least: Kafka 0.11, of 2017, the first not to make a topic because somebody asked for it.
_NEEDED = {MetadataRequest.API_KEY: 4, ProduceRequest.API_KEY: 3, FetchRequest.API_KEY: 4}
_LARGE = (MetadataRequest.API_KEY, FetchRequest.API_KEY)
_CODEC = 0x07  # the bits of a batch's attributes that say how it is compressed
_NEEDED_TO_LOG_IN = {SaslHandShakeRequest.API_KEY: 1, SaslAuthenticateRequest.API_KEY: 0}
_DIGESTS: dict[str, Digest] = {"SCRAM-SHA-256": "sha256", "SCRAM-SHA-512": "sha512"}
_OF_CREDENTIALS = (29, 30, 31, 33, 34, 58)  # error codes: not authorized, or SASL failed


@dataclass(frozen=True, slots=True, kw_only=True)
class Partition:
    """One partition of a topic, as the broker that was asked sees it."""

    number: int
    leader: tuple[str, int] | None  # host and port; None where there is none
    whole: bool  # all replicas are in sync


@dataclass(frozen=True, slots=True, kw_only=True)
class Cluster:
    """What a broker says of its cluster."""

    brokers: tuple[tuple[str, int], ...]
    partitions: tuple[Partition, ...]  # of the topic that was asked about


class KafkaSession:
    """A conversation with a broker. Every method raises ProbeFailure where the broker refuses or speaks nonsense."""

    def __init__(self, wire: Wire) -> None:
        self.wire = wire
        self._versions: dict[int, tuple[int, int]] = {}  # lowest and highest, by request
        self._number = 0

    async def greet(self) -> None:
        """Learn which requests the broker understands."""
        answer = await self._ask(ApiVersionRequest())
        self._judge(answer.error_code, "the greeting")
        self._versions = {key: (low, high) for key, low, high in answer.api_versions or ()}
        if any(self._versions.get(key, (0, -1))[1] < version for key, version in _NEEDED.items()):
            raise self._nonsense("the broker is older than Kafka 0.11")

    async def log_in(self, mechanism: str, username: str, password: str) -> None:
        """Prove who we are, by SASL."""
        if any(self._versions.get(key, (0, -1))[1] < version for key, version in _NEEDED_TO_LOG_IN.items()):
            raise self.wire.failure(Reason.AUTHENTICATION, "the broker takes no login (SASL)")
        answer = await self._ask(SaslHandShakeRequest(mechanism))
        if answer.error_code:
            offered = printable(", ".join(map(str, answer.enabled_mechanisms or ()))) or "none"
            message = f"the broker does not take {mechanism}; it offers {offered}"
            raise self.wire.failure(Reason.AUTHENTICATION, message)
        if mechanism == "PLAIN":
            await self._authenticate(f"\0{username}\0{password}".encode())
            return
        scram = Scram(_DIGESTS[mechanism], username, password)
        try:
            proof = scram.proof(await self._authenticate(scram.first()))
            scram.check(await self._authenticate(proof))
        except ScramProblem as exc:
            raise self._nonsense(str(exc)) from exc

    async def _authenticate(self, token: bytes) -> bytes:
        """What the broker says to one step of a login."""
        answer = await self._ask(SaslAuthenticateRequest(token))
        self._judge(answer.error_code, "our login", answer.error_message or "")
        return answer.sasl_auth_bytes or b""

    async def look(self, topic: str) -> Cluster:
        """What the broker knows of its cluster and of a topic, where one is named."""
        answer = await self._ask(MetadataRequest([topic] if topic else [], allow_auto_topic_creation=False))
        hosts = {node: (host or "", port) for node, host, port, *_ in answer.brokers or ()}
        found = next((row for row in answer.topics or () if row[1] == topic), None) if topic else None
        if topic and found is None:
            raise self._nonsense(f"the broker says nothing of the topic {topic}")
        if found is not None:
            self._judge(found[0], f"the topic {topic}")
        rows = (found[-1] or ()) if found is not None else ()
        partitions = (
            Partition(number=number, leader=hosts.get(leader), whole=len(in_sync or ()) >= len(replicas or ()))
            for _, number, leader, replicas, in_sync, *_ in rows
        )
        return Cluster(brokers=tuple(hosts.values()), partitions=tuple(sorted(partitions, key=lambda p: p.number)))

    async def round_trip(self, topic: str, partition: int, within: float) -> float:
        """How many seconds a record took into a partition that this broker leads, and back. No consumer group is used."""
        record = f"stillup {uuid4()}".encode()
        sent_ns = self.wire.now_ns()
        offset = await self._produce(topic, partition, record, int(within * 1000))
        found = b""
        while not found:
            found = await self._fetch(topic, partition, offset)
        if not _holds(found, record, offset):
            raise self._nonsense("the broker gave another record back than ours")
        return (self.wire.last_ns - sent_ns) / 1e9

    async def _produce(self, topic: str, partition: int, record: bytes, milliseconds: int) -> int:
        """The offset at which all replicas in sync have the record."""
        batch = DefaultRecordBatchBuilder(
            magic=2,
            compression_type=0,
            is_transactional=0,
            producer_id=-1,
            producer_epoch=-1,
            base_sequence=-1,
            batch_size=MAX_FETCH,
        )
        now = int(clock.utcnow().timestamp() * 1000)
        batch.append(0, timestamp=now, key=b"stillup", value=record, headers=[])  # compacted topics want a key
        records = [(topic, [(partition, bytes(batch.build()))])]
        answer = await self._ask(ProduceRequest(None, -1, milliseconds, records))
        code, offset = self._of_partition(answer, partition)[1:3]
        self._judge(code, "our record")
        return int(offset)

    async def _fetch(self, topic: str, partition: int, offset: int) -> bytes:
        """The records at that offset; none where the broker shows none yet."""
        wanted = [(topic, [(partition, offset, MAX_FETCH)])]
        answer = await self._ask(FetchRequest(FETCH_WAIT, 1, MAX_FETCH, 0, wanted))
        self._judge(getattr(answer, "error_code", 0), "to give our record back")
        row = self._of_partition(answer, partition)
        self._judge(row[1], "to give our record back")
        if not row[-1]:
            await asyncio.sleep(PAUSE)
        return bytes(row[-1] or b"")

    async def _ask(self, request: Any) -> Any:
        """The answer to a request, in the newest version that both sides know."""
        try:
            wanted = request.prepare(self._versions)
        except Exception as exc:
            raise self._nonsense(f"the broker knows no {type(request).__name__} that we know") from exc
        self._number += 1
        data = wanted.build_request_header(self._number, "stillup").encode() + wanted.encode()
        self.wire.send(struct.pack(">i", len(data)) + data)
        head = await self.wire.read(4)
        (size,) = struct.unpack(">i", head)
        most = MAX_LARGE if request.API_KEY in _LARGE else MAX_SMALL
        if not 4 <= size <= most:
            if self._number == 1:
                raise self._nonsense(
                    f"the other side does not speak Kafka in clear; it begins with {printable(head)!r}"
                )
            message = f"the broker announced an answer of {size} bytes; {most} are read"
            raise self.wire.failure(Reason.TOO_LARGE, message)
        answer = BytesIO(await self.wire.read(size))
        try:
            number = wanted.parse_response_header(answer).correlation_id
            found = wanted.RESPONSE_TYPE.decode(answer)
        except Exception as exc:
            raise self._nonsense(f"the broker sent an answer that can't be read: {type(exc).__name__}") from exc
        if number != self._number:
            raise self._nonsense("the broker answered another request than ours")
        return found

    def _of_partition(self, answer: Any, partition: int) -> Sequence[Any]:
        """What an answer says of the one partition that it was asked about."""
        rows = (row for _topic, rows in answer.topics or () for row in rows or () if row[0] == partition)
        found: Sequence[Any] | None = next(rows, None)
        if found is None:
            raise self._nonsense("the broker says nothing of the partition that it was asked about")
        return found

    def _judge(self, code: int, what: str, said: str = "") -> None:
        """Raise ProbeFailure for an error code of Kafka's."""
        if code:
            reason = Reason.AUTHENTICATION if code in _OF_CREDENTIALS else Reason.REJECTED
            error = for_code(code)
            words = printable(said) or error.description or "no explanation"
            raise self.wire.failure(reason, f"the broker refused {what}: {error.message}: {words}".removesuffix("."))

    def _nonsense(self, message: str) -> ProbeFailure:
        return self.wire.failure(Reason.PROTOCOL, message)


def _holds(batch: bytes, record: bytes, offset: int) -> bool:
    """Whether the records that came back are ours. What a topic compresses is not unpacked: its place has to do."""
    if record in batch:
        return True
    if len(batch) < 23:
        return False
    (first,), (attributes,) = struct.unpack_from(">q", batch), struct.unpack_from(">h", batch, 21)
    return bool(attributes & _CODEC) and first == offset
