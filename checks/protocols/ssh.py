"""A login by SSH through asyncssh, over a connection that we dialled. Needs the extra `ssh`.

Nothing of the machine's own takes part: no configuration, no keys, no agent, no known hosts. The host's key is judged
by its fingerprint before any credential is sent.
"""

from __future__ import annotations

import asyncio
import signal as signals
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from typing import Any

import asyncssh

from checks.network.connection import Connection
from checks.probe import ProbeFailure, Stopwatch
from checks.protocols.dialogue import spoken
from checks.result import Failure, Reason

MAX_OUTPUT = 65536  # bytes of output, and as many of errors
MAX_HEARD = 1024 * 1024  # bytes of a whole visit
WINDOW = 32768  # bytes that the server may send unasked
_HOST = "host"  # who that is decides its key, and asyncssh is told no more
_KEYS = "-*cert*"  # of hosts: all but certificates, for a fingerprint is that of a key
_THEIRS = (asyncssh.Error, ValueError)  # the latter for packets, names and keys that asyncssh can't decode


class Flooded(asyncssh.ConnectionLost):
    """More came than is heard of one visit."""


class Passage(Connection):
    """A connection as asyncssh sees it: the tunnel that it asks for a transport, and that transport.

    Asyncssh can be given a socket, but event loops close one that they were given and could not use up, and so would
    we: the number might be another's by then.
    """

    def __init__(self) -> None:
        super().__init__()
        self.last_ns = 0  # when the last byte came
        self.is_flooded = False  # more came than is heard
        self._heard = 0  # bytes
        self._ssh: asyncssh.SSHClientConnection | None = None

    async def create_connection(
        self, make: Callable[[], asyncssh.SSHClientConnection], _host: str, _port: int
    ) -> tuple[None, asyncssh.SSHClientConnection]:
        """Asyncssh's: lead its protocol to the target."""
        self._ssh = make()
        self._ssh.connection_made(self)  # type: ignore[arg-type]  # as much of a transport as it uses
        self.start()
        return None, self._ssh

    def write(self, data: bytes) -> None:
        """Asyncssh's: send these bytes."""
        self.send(data)

    def get_extra_info(self, _name: str, default: Any = None) -> Any:
        """Asyncssh's: nothing that it could reach around us by."""
        return default

    def received(self, data: bytes, at_ns: int) -> None:
        """Bytes for asyncssh."""
        self.last_ns = at_ns
        self._heard += len(data)
        if self._ssh is None or self.is_flooded:
            return
        if self._heard > MAX_HEARD:
            self.is_flooded = True
            self._ssh.connection_lost(Flooded("too much"))
            self.abort()
            return
        self._ssh.data_received(data)

    def ended(self, exc: Exception | None) -> None:
        """Nothing more comes."""
        if self._ssh is not None:
            self._ssh.connection_lost(exc)


class Visitor(asyncssh.SSHClient):
    """Our side of a connection: goes on only where the host's key is the pinned one."""

    def __init__(self, passage: Passage, pinned: str, watch: Stopwatch) -> None:
        self.passage, self._pinned, self._watch = passage, pinned, watch
        self._connection: asyncssh.SSHClientConnection | None = None
        self.host_key = ""  # the fingerprint of the key that the host showed

    @property
    def banner(self) -> str:
        """What the server calls itself, as in SSH-2.0-OpenSSH_9.2p1; empty before it did."""
        version = self._connection.get_extra_info("server_version") if self._connection is not None else ""
        return spoken((version or "").encode())

    def connection_made(self, conn: asyncssh.SSHClientConnection) -> None:
        """Asyncssh's: the dialogue begins."""
        self._connection = conn

    def validate_host_public_key(self, host: str, addr: str, port: int, key: asyncssh.SSHKey) -> bool:  # noqa: ARG002
        """Asyncssh's: whether to go on with this host."""
        self.see(key)
        return self.host_key == self._pinned

    def see(self, key: asyncssh.SSHKey | None) -> None:
        """Note the host's key; the first byte that counts is its last one."""
        if self._watch.phase == "first_byte":
            self._watch.mark("first_byte", "transfer", self.passage.last_ns)
        self.host_key = key.get_fingerprint() if key is not None else ""

    def problem(self) -> ProbeFailure | None:
        """What is wrong with the host's key; None before there is one, and where nothing is."""
        if not self.host_key or self.host_key == self._pinned:
            return None
        message = f"the host's key is {self.host_key}, not the pinned {self._pinned}"
        return _failure(Reason.HOST_KEY, message)


class Run(asyncssh.SSHClientSession[bytes]):
    """One command and what it wrote, both bounded."""

    def __init__(self) -> None:
        self.output, self.errors = bytearray(), bytearray()
        self.exit_status: int | None = None
        # With what went wrong as its result: where there is no session, nobody would ask it for an exception.
        self.ended: asyncio.Future[Exception | None] = asyncio.get_running_loop().create_future()

    def data_received(self, data: bytes, datatype: int | None) -> None:
        """Asyncssh's: a piece of the output, or of the errors."""
        into = self.output if datatype is None else self.errors
        into += data[: MAX_OUTPUT - len(into)]
        if len(into) >= MAX_OUTPUT and not self.ended.done():
            message = f"the command wrote more than {MAX_OUTPUT // 1024} KiB"
            self.ended.set_result(_failure(Reason.TOO_LARGE, message))

    def exit_status_received(self, status: int) -> None:
        """Asyncssh's: the command ended by itself."""
        self.exit_status = status

    def exit_signal_received(self, signal: str, core_dumped: bool, msg: str, lang: str) -> None:  # noqa: ARG002, FBT001
        """Asyncssh's: a signal ended the command; its number and 128 is the status that a shell would give it."""
        number = getattr(signals, f"SIG{signal}", None)
        self.exit_status = 128 + number if isinstance(number, signals.Signals) else None

    def connection_lost(self, exc: Exception | None) -> None:
        """Asyncssh's: all was said."""
        if self.ended.done():
            return
        self.ended.set_result(_failure_of(exc) if isinstance(exc, _THEIRS) else exc)


async def show_key(visitor: Visitor) -> None:
    """Have the host prove which key it has, and nothing more."""
    tunnel: Any = visitor.passage  # as much of one as asyncssh uses
    options = _options(visitor)
    try:
        key = await asyncssh.get_server_host_key(
            _HOST, tunnel=tunnel, config=None, options=options, server_host_key_algs=_KEYS
        )
    except _THEIRS as exc:
        raise _failure_of(exc) from exc
    visitor.see(key)
    if (problem := visitor.problem()) is not None:
        raise problem


@asynccontextmanager
async def login(
    visitor: Visitor, *, username: str, password: str, key: str
) -> AsyncIterator[asyncssh.SSHClientConnection]:
    """A connection with a user logged in. Raises ProbeFailure for whatever the server does not let us do."""
    options = _options(visitor, username, password, key)
    try:
        connection = await asyncssh.connect(_HOST, tunnel=visitor.passage, config=None, options=options)
        try:
            yield connection
        finally:
            connection.close()
    except _THEIRS as exc:
        raise visitor.problem() or _failure_of(exc) from exc


async def run(connection: asyncssh.SSHClientConnection, command: str) -> Run:
    """What a command did. Raises ProbeFailure where it was not run to its end."""
    session = Run()
    await connection.create_session(lambda: session, command, encoding=None)
    if (trouble := await session.ended) is not None:
        raise trouble
    return session


def _options(
    visitor: Visitor, username: str = "", password: str = "", key: str = ""
) -> asyncssh.SSHClientConnectionOptions:
    try:
        return asyncssh.SSHClientConnectionOptions(
            client_factory=lambda: visitor,
            config=None,
            known_hosts=b"",  # none is known: each is shown to the visitor
            server_host_key_algs=_KEYS,
            username=username,
            password=password or None,
            client_keys=[asyncssh.import_private_key(key)] if key else None,
            agent_path=None,
            gss_kex=False,
            gss_auth=False,
            x509_trusted_certs=None,
            window=WINDOW,
            compression_algs=None,  # asyncssh inflates without bound
        )
    except ValueError as exc:  # it can't use the key, or finds no name of the user that this process runs as
        raise _failure(Reason.NO_DRIVER, f"asyncssh can't connect from here: {exc}") from exc


def _failure(reason: Reason, message: str) -> ProbeFailure:
    return ProbeFailure(Failure(reason=reason, message=message))


def _failure_of(exc: asyncssh.Error | ValueError) -> ProbeFailure:
    """The failure that asyncssh's error names."""
    said = exc.reason if isinstance(exc, asyncssh.Error) else str(exc)
    words = spoken(said.encode("utf-8", "replace"))[:200]
    match exc:
        case Flooded():
            return _failure(Reason.TOO_LARGE, f"the server sent more than {MAX_HEARD // 1024} KiB")
        case asyncssh.PermissionDenied():
            return _failure(Reason.AUTHENTICATION, "the server refused the login")
        case asyncssh.ConnectionLost():
            return _failure(Reason.CLOSED, "the server closed the connection")
        case asyncssh.ChannelOpenError():
            return _failure(Reason.REJECTED, f"the server refused to run the command: {words}")
        case asyncssh.ServiceNotAvailable() | asyncssh.IllegalUserName():
            return _failure(Reason.REJECTED, f"the server refused the connection: {words}")
        case asyncssh.DisconnectError(code=asyncssh.DISC_BY_APPLICATION | asyncssh.DISC_TOO_MANY_CONNECTIONS):
            return _failure(Reason.REJECTED, f"the server ended the connection: {words}")
        case _:
            return _failure(Reason.PROTOCOL, f"the two sides do not understand each other: {words}")
