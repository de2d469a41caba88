"""One connection of `mongodb`: messages of BSON over a wire of ours, the login, and one command.

https://github.com/mongodb/specifications (OP_MSG, SCRAM). The driver's own client would open three connections and a
task that goes on asking, follow the members that a replica set names, and take sixteen million bytes at a time; here
its codec is used, and nobody is asked but the address of the monitor.
"""

from __future__ import annotations

import hashlib
import struct
from collections.abc import Mapping
from typing import Any

import bson
from bson import json_util
from bson.binary import Binary
from bson.codec_options import CodecOptions, DatetimeConversion
from bson.errors import BSONError

from checks.probe import ProbeFailure
from checks.protocols.databases import MAX_ROWS
from checks.protocols.scram import Scram, ScramProblem, prepared
from checks.protocols.wire import MAX_HEARD, Wire, printable
from checks.result import Reason

_OP_MSG = 2013
_HEADER = struct.Struct("<iiii")
_MORE_TO_COME = 2
_WRONG_LOGIN = (11, 13, 18, 8000)  # no such user, no right to it, wrong password, and what MongoDB's own cloud says
_GOSSIP = ("$clusterTime", "operationTime")  # for drivers that stay
_CODEC: CodecOptions[dict[str, Any]] = CodecOptions(
    tz_aware=True, unicode_decode_error_handler="replace", datetime_conversion=DatetimeConversion.DATETIME_AUTO
)

Document = dict[str, Any]


def command_of(text: str) -> Document:
    """The command that (extended) JSON writes. Raises ValueError where BSON has no form for it."""
    try:
        document: Document = json_util.loads(text)
        bson.encode(document, codec_options=_CODEC)
    except Exception as exc:  # whatever its libraries raise: ten kinds of errors of values that are none
        raise ValueError(f"is no extended JSON: {printable(str(exc))}") from exc
    return document


class MongoSession:
    """A conversation of commands and answers."""

    def __init__(self, wire: Wire) -> None:
        self.wire = wire
        self._number = 0

    async def greet(self, username: str, source: str) -> Document:
        """Who the server says it is, and how that user may log in. Raises ProbeFailure."""
        client = {"driver": {"name": "stillup", "version": "1"}, "os": {"type": "Linux"}}
        greeting: Document = {"hello": 1, "client": client}
        if username:
            greeting["saslSupportedMechs"] = f"{source}.{username}"
        return await self.command("admin", greeting)

    async def log_in(self, greeting: Document, username: str, password: str, source: str) -> None:
        """Prove that we are that user. Raises ProbeFailure."""
        offered = greeting.get("saslSupportedMechs") or ["SCRAM-SHA-256"]
        mechanisms = offered if isinstance(offered, list) else []
        if "SCRAM-SHA-256" in mechanisms:
            mechanism, scram = "SCRAM-SHA-256", Scram("sha256", username, prepared(password), least=4096)
        elif "SCRAM-SHA-1" in mechanisms:
            digest = hashlib.md5(f"{username}:mongo:{password}".encode()).hexdigest()  # noqa: S324 - the protocol's
            mechanism, scram = "SCRAM-SHA-1", Scram("sha1", username, digest, least=4096)
        else:
            raise self.wire.failure(
                Reason.AUTHENTICATION, f"the server offers {printable(str(offered))} only; we speak SCRAM"
            )
        start = {"saslStart": 1, "mechanism": mechanism, "options": {"skipEmptyExchange": True}}
        try:
            answer = await self._sasl(source, start, scram.first())
            go_on = {"saslContinue": 1, "conversationId": answer.get("conversationId")}
            answer = await self._sasl(source, go_on, scram.proof(_payload(answer)))
            scram.check(_payload(answer))
            if not answer.get("done"):
                answer = await self._sasl(source, go_on, b"")
        except ScramProblem as exc:
            raise self.wire.failure(Reason.AUTHENTICATION, str(exc)) from None
        if not answer.get("done"):
            raise self.wire.failure(Reason.PROTOCOL, "the server does not end the login")

    async def ask(self, database: str, text: str, seconds: float) -> Document:
        """The answer to a command written as (extended) JSON, at most so many documents of it. Raises ProbeFailure."""
        try:
            document = command_of(text)
        except ValueError as exc:
            raise self.wire.failure(Reason.REJECTED, f"the command {exc}") from None
        name = next(iter(document))
        if name == "find":
            document |= {"batchSize": MAX_ROWS + 1, "singleBatch": True}
        elif name == "aggregate":
            document["cursor"] = {"batchSize": MAX_ROWS + 1}
        document.setdefault("maxTimeMS", max(1, int(seconds * 1000)))
        document["$readPreference"] = {"mode": "primaryPreferred"}  # whoever it is, it is this one that is asked
        answer = await self.command(database, document)
        cursor = answer.get("cursor")
        if isinstance(cursor, Mapping) and cursor.get("id"):  # it would wait there for ten minutes
            collection = str(cursor.get("ns")).partition(".")[2]
            self._send(database, {"killCursors": collection, "cursors": [cursor["id"]]})
        return {name: value for name, value in answer.items() if name not in _GOSSIP}

    async def command(self, database: str, document: Document) -> Document:
        """The answer to a command. Raises ProbeFailure, also where the server answers that it failed."""
        self._send(database, document)
        answer = await self._receive()
        if answer.get("ok") == 1:
            return answer
        code, sort = answer.get("code"), answer.get("codeName") or answer.get("code")
        reason = Reason.AUTHENTICATION if code in _WRONG_LOGIN else Reason.REJECTED
        said = printable(str(answer.get("errmsg") or "an error without words"))
        raise self.wire.failure(reason, f"the server answered: {said}" + (f" ({printable(str(sort))})" if sort else ""))

    async def _sasl(self, source: str, document: Mapping[str, Any], payload: bytes) -> Document:
        return await self.command(source, {**document, "payload": Binary(payload)})

    def _send(self, database: str, document: Document) -> None:
        body = b"\0\0\0\0\0" + bson.encode({**document, "$db": database}, codec_options=_CODEC)
        self._number += 1
        self.wire.send(_HEADER.pack(len(body) + 16, self._number, 0, _OP_MSG) + body)

    async def _receive(self) -> Document:
        length, _, response_to, code = _HEADER.unpack(await self.wire.read(16))
        if code != _OP_MSG or response_to != self._number or length < 26:
            raise self._nonsense()
        if length > MAX_HEARD:
            message = f"the server announced an answer of {length} bytes; {MAX_HEARD} are read at most"
            raise self.wire.failure(Reason.TOO_LARGE, message)
        content = await self.wire.read(length - 16)
        (flags,) = struct.unpack_from("<I", content)
        (size,) = struct.unpack_from("<i", content, 5)
        if content[4] != 0 or flags & _MORE_TO_COME:
            raise self._nonsense()
        try:
            return bson.decode(content[5 : 5 + size], codec_options=_CODEC)
        except (BSONError, ValueError, ArithmeticError, RecursionError):
            raise self._nonsense() from None

    def _nonsense(self) -> ProbeFailure:
        return self.wire.failure(Reason.PROTOCOL, "the answer is not of MongoDB's protocol")


def _payload(answer: Document) -> bytes:
    payload = answer.get("payload")
    return bytes(payload) if isinstance(payload, bytes) else b""
