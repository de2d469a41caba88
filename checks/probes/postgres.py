"""`postgres`: connects to PostgreSQL or what speaks like it, logs in, and runs a query that can only read.

The protocol is version 3.0 (https://www.postgresql.org/docs/current/protocol.html). A query travels in one volley: a
transaction that can only read and that the server itself ends after the monitor's timeout, the statement with at most
so many rows, and the end of the transaction, so that a pooler's connection is given back clean.
"""

from __future__ import annotations

import hashlib
import struct
from collections.abc import Callable, Mapping
from decimal import Decimal
from typing import Any, ClassVar, Literal

from checks.expect.jsonpath import parse_json
from checks.network import start_tls
from checks.probe import Kind, ProbeContext, ProbeFailure
from checks.protocols.databases import MAX_ROWS, STRANGER, SqlSpec, fill, open_database
from checks.protocols.scram import Scram, ScramProblem, prepared
from checks.protocols.wire import MAX_HEARD, Wire, printable, time_left
from checks.result import Observation, Reason

MAX_MESSAGES = 2 * MAX_ROWS  # of one connection that are heard
MAX_COLUMNS = 1700  # PostgreSQL itself has at most 1,664
_PROTOCOL = 196608  # 3.0
_SSL_REQUEST = struct.pack("!ii", 8, 80877103)
_TERMINATE = b"X\0\0\0\4"
_KNOWN = frozenset(b"123ACDEGHIKNRSTVWZcdnstv")  # the first bytes of a server's messages
_MECHANISM = "SCRAM-SHA-256"
_UNSUPPORTED = {2: "Kerberos", 7: "GSSAPI", 8: "GSSAPI", 9: "SSPI"}
_WRONG_LOGIN = ("28000", "28P01")  # SQLSTATE of class 28: invalid authorization
_REFUSALS = (*_WRONG_LOGIN, "3D000", "42501")  # and: no such database, not allowed to connect to it

# How the types that are no text in JSON are read, by their number (pg_type.oid).
_READERS: Mapping[int, Callable[[str], Any]] = {
    16: lambda text: text == "t",
    **dict.fromkeys((20, 21, 23, 26), int),  # int8, int2, int4, oid
    **dict.fromkeys((700, 701, 1700), Decimal),  # float4, float8, numeric
    **dict.fromkeys((114, 3802), lambda text: parse_json(text.encode())),  # json, jsonb
}


class PostgresSpec(SqlSpec):
    """Options of a monitor that asks PostgreSQL."""

    example: ClassVar[str] = """\
address: db.example.org:5432
username: stillup
password: ${DB_PASSWORD}
database: shop
query: SELECT count(*) FROM orders WHERE state = 'stuck'
expect:
  - value < 10
"""

    kind: Literal["postgres"] = "postgres"
    """Connects to PostgreSQL, logs in, and runs a query."""


class _Conversation:
    """The messages of one connection."""

    def __init__(self, wire: Wire, seen: Observation) -> None:
        self.wire, self.seen = wire, seen
        self._heard = 0

    def say(self, kind: bytes, *parts: bytes) -> None:
        """Send one message."""
        self.wire.send(_message(kind, *parts))

    async def hear(self) -> tuple[bytes, bytes]:
        """The next message that is for us: its kind and what it says. Raises ProbeFailure."""
        while True:
            kind = await self.wire.read(1)
            if kind[0] not in _KNOWN:
                raise self._nonsense()
            (length,) = struct.unpack("!i", await self.wire.read(4))
            if length < 4 or (length > MAX_HEARD and kind not in b"DT"):
                raise self._nonsense()
            self._heard += 1
            if self._heard > MAX_MESSAGES:
                raise self.wire.failure(Reason.TOO_LARGE, f"the answer has more than {MAX_MESSAGES:,} messages")
            content = await self.wire.read(length - 4)
            if kind == b"S":
                self._note(content)
            elif kind not in (b"N", b"A", b"K", b"v"):  # notices, notifications, the key to cancel by
                return kind, content

    def _note(self, content: bytes) -> None:
        name, _, value = content.rstrip(b"\0").partition(b"\0")
        if name == b"server_version":
            self.seen.evidence["server_version"] = printable(value[:100])

    def _nonsense(self) -> ProbeFailure:
        return self.wire.failure(Reason.PROTOCOL, "the answer is not of PostgreSQL's protocol")


def _message(kind: bytes, *parts: bytes) -> bytes:
    content = b"".join(parts)
    return kind + struct.pack("!i", len(content) + 4) + content


def _text(value: str) -> bytes:
    return value.encode() + b"\0"


async def probe(spec: PostgresSpec, context: ProbeContext) -> Observation:
    """Connect, secure the connection where both sides want it, log in, and ask."""
    seen = context.seen
    wire = await open_database(spec, context)
    try:
        if spec.tls != "none":
            await _secure(spec, context, wire)
        talk = _Conversation(wire, seen)
        if await _log_in(spec, talk):
            if spec.query:
                await _ask(spec, talk)
            wire.finish()
            await wire.take_leave(_TERMINATE, time_left(spec, context))
        else:
            wire.finish()
    finally:
        wire.abort()
    seen.complete = True
    return seen


async def _secure(spec: PostgresSpec, context: ProbeContext, wire: Wire) -> None:
    wire.send(_SSL_REQUEST)
    answer = await wire.read(1)
    if answer == b"S":
        if wire.heard > 1:  # what came before TLS would pass for what came over it (CVE-2021-23222)
            raise wire.failure(Reason.PROTOCOL, "the server spoke in clear after it had agreed to TLS")
        await start_tls(context, wire, spec.target[0], spec.securing)
    elif answer != b"N":
        raise wire.failure(Reason.PROTOCOL, "the answer is not of PostgreSQL's protocol")
    elif spec.tls == "require":
        raise wire.failure(Reason.TLS, "the server offers no TLS")


async def _log_in(spec: PostgresSpec, talk: _Conversation) -> bool:
    """Whether we are in; a stranger may be refused. Raises ProbeFailure for anybody else."""
    user = spec.username or STRANGER
    options = {"user": user, "database": spec.database or user, "application_name": "stillup"}
    pairs = b"".join(_text(name) + _text(value) for name, value in options.items())
    talk.wire.send(struct.pack("!ii", len(pairs) + 9, _PROTOCOL) + pairs + b"\0")
    while True:
        kind, content = await talk.hear()
        if kind == b"R" and len(content) >= 4:
            (method,) = struct.unpack_from("!i", content)
            if method != 0 and not spec.username:
                return False
            await _prove(spec, talk, method, content[4:])
        elif kind == b"E":
            error = _fields(content)
            if not spec.username and error.get("C") in _REFUSALS:
                return False
            raise _refused(talk, error)
        elif kind == b"Z":
            return True
        else:
            raise talk.wire.failure(Reason.PROTOCOL, "the server's answer to our login is not of PostgreSQL's protocol")


async def _prove(spec: PostgresSpec, talk: _Conversation, method: int, content: bytes) -> None:
    """Answer the server's wish for a password."""
    if method == 0:
        return
    if not spec.password:
        raise talk.wire.failure(Reason.AUTHENTICATION, "the server asks for a password, and the monitor has none")
    match method:
        case 3 if talk.wire.tls is None:
            message = "the server asks for the password in clear over a connection without TLS"
            raise talk.wire.failure(Reason.AUTHENTICATION, message)
        case 3:
            talk.say(b"p", _text(spec.password))
        case 5:
            inner = hashlib.md5((spec.password + spec.username).encode()).hexdigest()  # noqa: S324 - the protocol's
            outer = hashlib.md5(inner.encode() + content[:4]).hexdigest()  # noqa: S324 - the protocol's
            talk.say(b"p", _text("md5" + outer))
        case 10:
            await _prove_by_scram(spec, talk, content)
        case _:
            wanted = _UNSUPPORTED.get(method, f"number {method}")
            raise talk.wire.failure(
                Reason.AUTHENTICATION, f"the server asks for a login by {wanted}; a password is all we have"
            )


async def _prove_by_scram(spec: PostgresSpec, talk: _Conversation, mechanisms: bytes) -> None:
    if _MECHANISM.encode() not in mechanisms.split(b"\0"):
        offered = ", ".join(mechanisms.rstrip(b"\0")[:200].decode("ascii", "replace").split("\0"))
        raise talk.wire.failure(Reason.AUTHENTICATION, f"the server offers {offered} only; we speak {_MECHANISM}")
    scram = Scram("sha256", "", prepared(spec.password))  # the user stands in the startup message
    first = scram.first()
    talk.say(b"p", _text(_MECHANISM), struct.pack("!i", len(first)), first)
    try:
        talk.say(b"p", scram.proof(await _challenge(talk, 11)))
        scram.check(await _challenge(talk, 12))
    except ScramProblem as exc:
        raise talk.wire.failure(Reason.AUTHENTICATION, str(exc)) from None


async def _challenge(talk: _Conversation, method: int) -> bytes:
    kind, content = await talk.hear()
    if kind == b"E":
        raise _refused(talk, _fields(content))
    if kind != b"R" or content[:4] != struct.pack("!i", method):
        raise talk.wire.failure(Reason.PROTOCOL, "the server does not go on with the login that it began")
    return content[4:]


async def _ask(spec: PostgresSpec, talk: _Conversation) -> None:
    begin = f"BEGIN READ ONLY; SET LOCAL statement_timeout = {max(1, int(spec.timeout * 1000))}"
    volley = (
        _message(b"Q", _text(begin)),
        _message(b"P", b"\0", _text(spec.query), b"\0\0"),
        _message(b"B", b"\0\0", b"\0\0\0\0\0\0"),  # no parameters, all columns as text
        _message(b"D", b"P\0"),
        _message(b"E", b"\0", struct.pack("!i", MAX_ROWS + 1)),
        _message(b"S"),
        _message(b"Q", _text("ROLLBACK")),
    )
    talk.wire.send(b"".join(volley))
    columns: list[tuple[str, int]] = []
    rows: list[list[Any]] = []
    ready = 0
    while ready < 2:  # after BEGIN, and after the statement; the end of the transaction is not waited for
        kind, content = await talk.hear()
        try:
            match kind:
                case b"T":
                    columns = _columns(content) if ready else []
                case b"D":
                    rows.append(_row(content, columns))
                case b"E":
                    raise _refused(talk, _fields(content))
                case b"Z":
                    ready += 1
        except (struct.error, IndexError, ValueError):
            raise talk.wire.failure(Reason.PROTOCOL, "the server's rows can't be read") from None
    fill(talk.seen, [name for name, _ in columns], rows)


def _columns(content: bytes) -> list[tuple[str, int]]:
    """The names of the columns and the numbers of their types."""
    (count,) = struct.unpack_from("!h", content)
    if count > MAX_COLUMNS:
        raise ValueError("more columns than there can be")
    columns, at = [], 2
    for _ in range(count):
        end = content.index(b"\0", at)
        columns.append((content[at:end].decode("utf-8", "replace"), struct.unpack_from("!i", content, end + 7)[0]))
        at = end + 19
    return columns


def _row(content: bytes, columns: list[tuple[str, int]]) -> list[Any]:
    (count,) = struct.unpack_from("!h", content)
    if count != len(columns):
        raise ValueError("a row of another width")
    row: list[Any] = []
    at = 2
    for _, kind in columns:
        (length,) = struct.unpack_from("!i", content, at)
        at += 4
        if length < 0:
            row.append(None)
            continue
        row.append(_value(content[at : at + length].decode("utf-8", "replace"), kind))
        at += length
    return row


def _value(text: str, kind: int) -> Any:
    """A value by its type; what is not of its type stays text."""
    read = _READERS.get(kind)
    if read is None:
        return text
    try:
        return read(text)
    except (ValueError, ArithmeticError):
        return text


def _fields(content: bytes) -> dict[str, str]:
    """The fields of an error, by their letters: C is the SQLSTATE, M the message."""
    parts = content.split(b"\0")
    return {part[:1].decode("latin-1"): part[1:].decode("utf-8", "replace") for part in parts if part}


def _refused(talk: _Conversation, error: Mapping[str, str]) -> ProbeFailure:
    """The failure that an error of the server names."""
    state = error.get("C", "")[:5]
    reason = Reason.AUTHENTICATION if state in _WRONG_LOGIN else Reason.REJECTED
    message = f"the server answered: {error.get('M', 'an error without words')[:500]}"
    return talk.wire.failure(reason, f"{message} ({state})" if state else message)


POSTGRES = Kind(spec=PostgresSpec, probe=probe)
