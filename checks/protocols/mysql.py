"""One connection of `mysql`: aiomysql speaks the protocol over a wire of ours. What it raises becomes a named failure.

Left to itself it dials by name, tells the password in clear to whoever asks for it, and takes several statements at once.
"""

from __future__ import annotations

import struct
from collections.abc import Iterator, Sequence
from contextlib import contextmanager, suppress
from typing import Any

import aiomysql
from cryptography.exceptions import UnsupportedAlgorithm
from pymysql.constants import CLIENT, FIELD_TYPE
from pymysql.err import MySQLError
from pymysql.protocol import MysqlPacket

from checks.expect.jsonpath import NotJson, parse_json
from checks.network import start_tls
from checks.probe import ProbeContext, ProbeFailure
from checks.protocols.databases import MAX_ROWS, STRANGER, SqlSpec, fill
from checks.protocols.wire import Wire, printable
from checks.result import Reason

MAX_PACKETS = 10_000  # of one connection: a packet a row, a column, a step of the login
_MAX_PACKET = 1 << 24
_UTF8MB4 = 45  # utf8mb4_general_ci
_MARIADB = "MariaDB"
_IN_CLEAR = b"mysql_clear_password"
_PLUGINS = (b"mysql_native_password", b"caching_sha2_password", b"sha256_password", _IN_CLEAR)
_SPOKEN = b", ".join(_PLUGINS).decode()
_WRONG_LOGIN = (1044, 1045, 1698, 2059, 3118, 4151)  # no right to the database, wrong password, plugin, locked
_OF_THE_LIBRARY, _OF_NEW_SERVERS = 2000, 3000  # numbers of errors between these are the library's own
_NONSENSE = (
    *(ValueError, LookupError, ArithmeticError, AssertionError, AttributeError, TypeError, struct.error),
    NameError,  # of a greeting that ends in the middle, aiomysql uses what it never read
    UnsupportedAlgorithm,  # of the public key that a password would be told by
)


class _Pen:
    """A wire as aiomysql writes to it."""

    def __init__(self, wire: Wire) -> None:
        self.write = wire.send


class MysqlSession(aiomysql.Connection):  # type: ignore[misc]  # it ships no types
    """Secures the connection where both sides want it, and tells its password in clear only then."""

    def __init__(self, spec: SqlSpec, context: ProbeContext, wire: Wire) -> None:
        super().__init__(
            user=spec.username or STRANGER,
            password=spec.password.encode().decode("latin-1"),  # the library's encoding; servers want UTF-8
            db=spec.database or None,
            charset="utf8mb4",
        )
        self.client_flag &= ~CLIENT.MULTI_STATEMENTS
        self._spec, self._context, self._wire = spec, context, wire
        self._packets = 0
        self._entered = False

    async def log_in(self) -> bool:
        """Whether we are in; a stranger may be refused. Raises ProbeFailure for anybody else."""
        try:
            with self._spoken():
                await self._connect()
        except ProbeFailure as exc:
            if not self._spec.username and exc.failure.reason is Reason.AUTHENTICATION:
                return False
            raise
        return True

    async def ask(self) -> None:
        """Tell what the query answers. Raises ProbeFailure."""
        timeout = self._spec.timeout
        limit = f"max_execution_time = {int(timeout * 1000)}"
        if _MARIADB in self.server_version:
            limit = f"max_statement_time = {timeout:.3f}"
        with self._spoken():
            await self.query(f"SET SESSION sql_select_limit = {MAX_ROWS + 1}, {limit}")
            await self.query("SET SESSION TRANSACTION READ ONLY")  # holds for CREATE and DROP too, as BEGIN does not
            cursor = await self.cursor(aiomysql.SSCursor)
            await cursor.execute(self._spec.query)
            columns = cursor.description or ()
            rows = await cursor.fetchmany(MAX_ROWS + 1) if columns else []
        documents = [index for index, column in enumerate(columns) if column[1] == FIELD_TYPE.JSON]
        fill(self._context.seen, [column[0] for column in columns], [_read(row, documents) for row in rows])

    def close(self) -> None:
        """Let go of the wire, which whoever opened it aborts."""
        self._writer = None

    async def _read_packet(self, packet_type: type = MysqlPacket) -> Any:
        self._packets += 1
        if self._packets > MAX_PACKETS:
            raise self._wire.failure(Reason.TOO_LARGE, f"the answer has more than {MAX_PACKETS:,} packets")
        packet = await super()._read_packet(packet_type)
        if not self._entered and packet.is_auth_switch_request() and not self._names_a_plugin(packet):
            message = "the server asks for a login as before MySQL 4.1, which gives the password away"
            raise self._wire.failure(Reason.AUTHENTICATION, message)
        return packet

    async def _read_bytes(self, num_bytes: int) -> bytes:
        return await self._wire.read(num_bytes)

    def _names_a_plugin(self, packet: MysqlPacket) -> bool:
        able = getattr(self, "server_capabilities", 0)  # unknown before the greeting
        return bool(able & CLIENT.PLUGIN_AUTH) and b"\0" in packet.get_all_data()

    async def _connect(self) -> None:
        self._writer = _Pen(self._wire)  # type: ignore[assignment]  # it begins as None there
        self._next_seq_id = 0
        await self._get_server_information()
        self._context.seen.evidence["server_version"] = printable(
            self.server_version.removeprefix("5.5.5-")
        )  # for clients older than MariaDB
        await self._request_authentication()

    async def _request_authentication(self) -> None:
        spec, wire = self._spec, self._wire
        if spec.tls != "none" and self.server_capabilities & CLIENT.SSL:
            self.client_flag |= CLIENT.SSL
            if wire.unread:  # what came before TLS would pass for what came over it
                raise wire.failure(Reason.PROTOCOL, "the server spoke when it was not its turn")
            self.write_packet(struct.pack("<iIB23s", self.client_flag, _MAX_PACKET, _UTF8MB4, b""))
            await start_tls(self._context, wire, spec.target[0], spec.securing)
            self._secure = True
        elif spec.tls == "require":
            raise wire.failure(Reason.TLS, "the server offers no TLS")
        if self._server_auth_plugin != "caching_sha2_password":  # type: ignore[has-type]  # it is text
            # Whatever else it wants, it has to ask for it: then the wish is judged.
            self._server_auth_plugin = "mysql_native_password"
        await super()._request_authentication()
        self._entered = True

    async def _process_auth(self, plugin_name: bytes, auth_packet: Any) -> Any:
        if plugin_name not in _PLUGINS:
            message = f"the server asks for a login by {printable(plugin_name)}; we speak {_SPOKEN}"
            raise self._wire.failure(Reason.AUTHENTICATION, message)
        if plugin_name == _IN_CLEAR and not self._secure:
            message = "the server asks for the password in clear over a connection without TLS"
            raise self._wire.failure(Reason.AUTHENTICATION, message)
        return await super()._process_auth(plugin_name, auth_packet)

    @contextmanager
    def _spoken(self) -> Iterator[None]:
        try:
            yield
        except MySQLError as exc:
            raise self._refused(exc) from None
        except RuntimeError:  # LOAD DATA LOCAL, which it refuses
            message = "the server asked for a file of this machine, and got none"
            raise self._wire.failure(Reason.PROTOCOL, message) from None
        except _NONSENSE:
            raise self._wire.failure(Reason.PROTOCOL, "the answer is not of MySQL's protocol") from None

    def _refused(self, exc: MySQLError) -> ProbeFailure:
        code, *words = exc.args if exc.args and isinstance(exc.args[0], int) else (0, *exc.args)
        said = printable(" ".join(str(word) for word in words))
        if code in _WRONG_LOGIN:
            return self._wire.failure(Reason.AUTHENTICATION, f"the server answered: {said} ({code})")
        if code and not _OF_THE_LIBRARY <= code < _OF_NEW_SERVERS:
            return self._wire.failure(Reason.REJECTED, f"the server answered: {said} ({code})")
        return self._wire.failure(Reason.PROTOCOL, f"the answer is not of MySQL's protocol: {said}")


def _read(row: Sequence[Any], documents: Sequence[int]) -> Sequence[Any]:
    """A row whose JSON is read; what is none stays text."""
    if not documents:
        return row
    read = list(row)
    for index in documents:
        with suppress(NotJson, TypeError):
            read[index] = parse_json(read[index])
    return read
