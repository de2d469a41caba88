"""Echoes of ICMP (RFC 792, 4443) on a socket that does not block, stamped by the kernel where it can.

The kernel lets processes of the groups in `net.ipv4.ping_group_range` send echoes on datagram sockets; others need raw
ones, which only root and CAP_NET_RAW get. A reply is known by its number and by a secret of this probe.
"""

from __future__ import annotations

import asyncio
import errno
import os
import socket
import struct
import sys

from checks import clock
from checks.network.stamps import ROOM, ask_for_stamps, stamp_of

_REQUEST: dict[int, int] = {socket.AF_INET: 8, socket.AF_INET6: 128}
_REPLY: dict[int, int] = {socket.AF_INET: 0, socket.AF_INET6: 129}
_HEAD = struct.Struct("!BBHHH")  # type, code, checksum, identifier, sequence
_SECRET = 16  # bytes
_PADDING = bytes(40)  # 56 bytes of data in all, as ping sends
_OF_ERRORS: dict[int, tuple[int, int]] = {
    socket.AF_INET: (socket.SOL_IP, 11),
    socket.AF_INET6: (socket.IPPROTO_IPV6, 25),
}  # IP_RECVERR, IPV6_...
_ERRORS = 0x2000  # MSG_ERRQUEUE
_ROOM = 2048  # bytes of a reply that are read
_AT_ONCE = 50  # packets that are read before others get their turn
_LINUX = sys.platform == "linux"

HOW_TO_ALLOW = (
    "this machine lets us send no ICMP echoes; allow them to all groups with "
    "sysctl -w net.ipv4.ping_group_range='0 2147483647', or give the worker the capability CAP_NET_RAW"
)


class NotAllowed(Exception):
    """We may not send echoes."""


def open_socket(family: int) -> socket.socket:
    """A socket that sends echoes. Raises NotAllowed where we may have neither sort, and OSError."""
    protocol = socket.IPPROTO_ICMP if family == socket.AF_INET else socket.IPPROTO_ICMPV6
    try:
        return socket.socket(family, socket.SOCK_DGRAM, protocol)
    except PermissionError:
        pass
    try:
        return socket.socket(family, socket.SOCK_RAW, protocol)
    except PermissionError as exc:
        raise NotAllowed(HOW_TO_ALLOW) from exc


def lacks() -> str:
    """What this machine lacks so that we may send echoes; empty where nothing."""
    try:
        open_socket(socket.AF_INET).close()
    except NotAllowed as exc:
        return str(exc)
    except OSError:
        pass  # out of descriptors, no IPv4: the probe will tell
    return ""


class Echoes:
    """A few echoes to one address. Belongs to one event loop; `close` it."""

    def __init__(self, address: str) -> None:
        self.family = socket.AF_INET6 if ":" in address else socket.AF_INET
        self.times: dict[int, int] = {}  # nanoseconds to and fro, by number
        self.trouble: OSError | None = None  # what the way there said last: nobody is there, no way leads there
        self._secret = os.urandom(_SECRET)
        self._sent: dict[int, tuple[int, int]] = {}  # by number: by `clock.monotonic_ns` and by the wall's clock
        self._all_back = asyncio.Event()
        self._loop = asyncio.get_running_loop()
        self._sock = open_socket(self.family)
        try:
            self._sock.setblocking(False)
            ask_for_stamps(self._sock)
            if _LINUX:
                self._sock.setsockopt(*_OF_ERRORS[self.family], 1)
            row = socket.getaddrinfo(address, 0, type=socket.SOCK_DGRAM, flags=socket.AI_NUMERICHOST)[0]
            self._sock.connect(row[4])
            self._loop.add_reader(self._sock.fileno(), self._read)
        except BaseException:
            self._sock.close()
            raise

    def close(self) -> None:
        """Listen no more."""
        if self._sock.fileno() >= 0:
            self._loop.remove_reader(self._sock.fileno())
            self._sock.close()

    async def send(self, count: int, gap: float, patience: float) -> None:
        """Send `count` echoes, `gap` seconds apart, and wait `patience` seconds after the last one, or until all are back."""
        for number in range(count):
            self._send(number)
            if number < count - 1:
                await asyncio.sleep(gap)
        self._all_back.clear()
        if len(self.times) < count:
            try:
                await asyncio.wait_for(self._all_back.wait(), patience)
            except TimeoutError:
                return

    def _send(self, number: int) -> None:
        body = self._secret + _PADDING
        head = _HEAD.pack(_REQUEST[self.family], 0, 0, int.from_bytes(self._secret[:2], "big"), number)
        total = checksum(head + body)  # of ICMPv6 it is the kernel's work
        packet = head[:2] + total.to_bytes(2, "big") + head[4:] + body
        self._sent[number] = clock.monotonic_ns(), clock.wall_ns()
        try:
            self._sock.send(packet)
        except OSError as exc:
            if exc.errno not in (errno.EHOSTUNREACH, errno.ECONNREFUSED, errno.ENOPROTOOPT):  # said by an earlier echo
                raise
            self.trouble = exc
            self._sock.send(packet)

    def _read(self) -> None:
        """Take what came; called by the loop, again where there is more."""
        for _ in range(_AT_ONCE):
            try:
                data, ancillary, _, _ = self._sock.recvmsg(_ROOM, ROOM)
            except (BlockingIOError, InterruptedError):
                return
            except OSError as exc:
                self.trouble = exc
                self._forget_errors()
                continue
            self._take(data, stamp_of(ancillary))

    def _forget_errors(self) -> None:
        """Empty the queue of errors, which would wake us for ever."""
        try:
            while True:
                self._sock.recvmsg(_ROOM, 512, _ERRORS)
        except OSError:
            return

    def _take(self, data: bytes, stamp: int) -> None:
        """Judge one packet, stamped by the kernel (0 where it does not)."""
        heard_ns = clock.monotonic_ns()
        number = number_of(data, self.family, self._secret)
        if number not in self._sent or number in self.times:
            return
        sent_ns, sent_wall = self._sent[number]
        longest = heard_ns - sent_ns  # with the time that it lay here until we looked
        exact = stamp - sent_wall
        self.times[number] = exact if 0 < exact <= longest else longest  # the wall's clock may be set meanwhile
        if len(self.times) == len(self._sent):
            self._all_back.set()


def number_of(data: bytes, family: int, secret: bytes) -> int:
    """The number of the echo that a packet is the reply to; -1 for what is none of ours."""
    if family == socket.AF_INET and data[:1] and data[0] >> 4 == 4:  # a raw socket shows the header of IP
        data = data[(data[0] & 15) * 4 :]
    if len(data) < _HEAD.size + len(secret):
        return -1
    kind, _, _, _, number = _HEAD.unpack_from(data)
    ours = kind == _REPLY[family] and data[_HEAD.size : _HEAD.size + len(secret)] == secret
    return int(number) if ours else -1


def checksum(data: bytes) -> int:
    """The Internet checksum (RFC 1071) of an even number of bytes."""
    total = sum(struct.unpack(f"!{len(data) // 2}H", data))
    total = (total >> 16) + (total & 0xFFFF)
    total += total >> 16
    return int(~total & 0xFFFF)
