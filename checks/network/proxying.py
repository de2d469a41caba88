"""What is said to a proxy before it is out of the way: HTTP's CONNECT (RFC 9110) and SOCKS 5 (RFC 1928, 1929).

Spoken on the very connection that the probe goes on with, so that each phase ends where its bytes arrive. What a proxy
says is bounded; whatever it refuses or gets wrong is told as the proxy's doing and never as the target's.
"""

from __future__ import annotations

import base64
import ipaddress
import re
from collections.abc import Iterator
from contextlib import contextmanager

from checks.network.attempts import shown
from checks.network.connection import Connection
from checks.network.route import Proxy
from checks.probe import ProbeFailure, from_os_error
from checks.result import OURS, Failure, Reason

MAX_HEAD = 16 * 1024  # bytes of an answer to CONNECT
MAX_ANSWERS = 4  # to one CONNECT, informational ones included
_STATUS = re.compile(rb"HTTP/1\.[01] ([1-5][0-9]{2})(?: ([^\r\n]{0,100}))?[^\r\n]*\r?\n")
_VERSION, _CONNECT, _IPV4, _NAME, _IPV6 = 5, 1, 1, 3, 4
_OPEN, _BY_PASSWORD, _NONE_OF_THESE = 0, 2, 0xFF
_REPLIES = {
    1: "it failed",
    2: "its rules do not allow it",
    3: "the network can't be reached",
    4: "the host can't be reached",
    5: "the connection was refused",
    6: "the way was too long",
    7: "it can't connect",
    8: "it knows no such addresses",
}


class Link:
    """Speaks on a connection that was not started yet; what is not read is left to it."""

    def __init__(self, connection: Connection) -> None:
        self.at_ns = connection.made_ns
        self._connection = connection
        self._read = bytearray()

    async def send(self, data: bytes) -> None:
        """Send all of it."""
        self._connection.send(data)

    async def read(self, size: int) -> bytes:
        """Exactly so many bytes."""
        while len(self._read) < size:
            await self._hear()
        return self._take(size)

    async def read_line(self, limit: int) -> bytes:
        """Everything up to a line end."""
        while (end := self._read.find(b"\n")) < 0 and len(self._read) < limit:
            await self._hear()
        return self._take(end + 1 if 0 <= end < limit else limit)

    def leave(self) -> None:
        """Give back what was not read."""
        if self._read:
            self._connection.unhear(bytes(self._read), self.at_ns)

    async def _hear(self) -> None:
        data, self.at_ns = await self._connection.overhear()
        self._read += data

    def _take(self, size: int) -> bytes:
        taken = bytes(self._read[:size])
        del self._read[:size]
        return taken


async def open_tunnel(link: Link, proxy: Proxy, host: str, port: int) -> None:
    """Have the proxy connect to `host`, a name or an address; what is read next comes from there. Raises ProbeFailure."""
    with blamed_on(proxy):
        await (_by_http if proxy.scheme == "http" else _by_socks)(link, proxy, host, port)


@contextmanager
def blamed_on(proxy: Proxy) -> Iterator[None]:
    """A time in which what fails is the proxy's doing, unless it is ours."""
    try:
        yield
    except (OSError, ProbeFailure) as exc:
        failure = exc.failure if isinstance(exc, ProbeFailure) else from_os_error(exc, "connect")
        if failure.reason in OURS or failure.reason is Reason.DENIED:
            raise
        verb = " " if failure.reason is Reason.PROXY else ": "
        message = f"the proxy {shown(proxy.host, proxy.port)}{verb}{failure.message}"
        raise ProbeFailure(Failure(reason=Reason.PROXY, message=message, phase=failure.phase)) from exc


def _failure(message: str) -> ProbeFailure:
    return ProbeFailure(Failure(reason=Reason.PROXY, message=message, phase="connect"))


async def _by_http(link: Link, proxy: Proxy, host: str, port: int) -> None:
    where = shown(host, port)
    lines = [f"CONNECT {where} HTTP/1.1", f"Host: {where}", "User-Agent: Stillup"]
    if proxy.username:
        pair = f"{proxy.username}:{proxy.password}".encode()
        lines.append(f"Proxy-Authorization: Basic {base64.b64encode(pair).decode()}")
    await link.send("".join(f"{line}\r\n" for line in (*lines, "")).encode())
    for _ in range(MAX_ANSWERS):
        status, words = await _answer(link)
        if 200 <= status < 300:
            return
        if status >= 200:
            raise _failure(f"answered {status} {words}".rstrip() + f" when asked to connect to {where}")
    raise _failure(f"answered {status} again and again")


async def _answer(link: Link) -> tuple[int, str]:
    """The status of one answer to CONNECT, which has no body where it is good, and its words."""
    first = await link.read_line(MAX_HEAD)
    match = _STATUS.fullmatch(first)
    if match is None:
        raise _failure(f"does not speak HTTP; it begins with {first[:24].decode('ascii', 'backslashreplace')!r}")
    left = MAX_HEAD - len(first)
    while left > 0 and (line := await link.read_line(left)) not in (b"\r\n", b"\n"):
        left -= len(line)
    if left <= 0:
        raise _failure(f"sent headers of over {MAX_HEAD // 1024} KiB")
    return int(match[1]), (match[2] or b"").decode("ascii", "replace").strip()


async def _by_socks(link: Link, proxy: Proxy, host: str, port: int) -> None:
    methods = bytes([_OPEN, _BY_PASSWORD]) if proxy.username else bytes([_OPEN])
    await link.send(bytes([_VERSION, len(methods)]) + methods)
    version, method = await link.read(2)
    if version != _VERSION:
        raise _failure(f"does not speak SOCKS 5; it begins with the byte {version}")
    if method == _NONE_OF_THESE:
        wants = "it took neither our password nor none" if proxy.username else "it wants a user name and a password"
        raise _failure(f"lets us not in: {wants}")
    if method not in methods:
        raise _failure(f"chose the way to sign in {method}, which it was not offered")
    if method == _BY_PASSWORD:
        username, password = proxy.username.encode(), proxy.password.encode()
        await link.send(bytes([1, len(username)]) + username + bytes([len(password)]) + password)
        _, status = await link.read(2)
        if status != 0:
            raise _failure("refused the user name or the password")
    await link.send(bytes([_VERSION, _CONNECT, 0]) + _destination(host) + port.to_bytes(2, "big"))
    version, reply, _, kind = await link.read(4)
    if version != _VERSION:
        raise _failure(f"answered in version {version}")
    if reply != 0:
        raise _failure(f"can't connect to {shown(host, port)}: {_REPLIES.get(reply, f'error {reply}')}")
    size = {_IPV4: 4, _IPV6: 16}.get(kind)
    if kind == _NAME:
        size = (await link.read(1))[0]
    if size is None:
        raise _failure(f"answered with an address of the unknown type {kind}")
    await link.read(size + 2)  # where it connects from, which says nothing to us


def _destination(host: str) -> bytes:
    try:
        packed = ipaddress.ip_address(host.partition("%")[0]).packed
    except ValueError:
        name = host.encode("ascii")
        return bytes([_NAME, len(name)]) + name
    return bytes([_IPV4 if len(packed) == 4 else _IPV6]) + packed
