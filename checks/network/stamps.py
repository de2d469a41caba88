"""When a packet arrived by the kernel, which stamps it before anybody of ours is awake (Linux; elsewhere nobody does)."""

from __future__ import annotations

import socket
import struct
import sys
from functools import cache

ROOM = 64  # bytes of what `recvmsg` is to bring beside the data
_SO_TIMESTAMPNS = 35  # Linux's; Python has no name for it
_STAMP = struct.Struct("@ll")
_LINUX = sys.platform == "linux"


def ask_for_stamps(sock: socket.SocketType) -> None:
    """Have the kernel stamp what a socket receives, where it can."""
    if _LINUX:
        sock.setsockopt(socket.SOL_SOCKET, _SO_TIMESTAMPNS, 1)


@cache
def keep_stamping() -> int:
    """A socket that wants stamps for as long as this process lives.

    The kernel changes its own code for the first one that wants them, and back after the last, which a worker with one
    probe under way at a time would pay for each.
    """
    sock = socket.socket(socket.AF_INET, socket.SOCK_DGRAM)
    ask_for_stamps(sock)
    return sock.detach()


def stamp_of(ancillary: list[tuple[int, int, bytes]]) -> int:
    """When data arrived by the wall's clock, in nanoseconds since 1970; 0 where the kernel does not say."""
    for level, kind, data in ancillary:
        if level == socket.SOL_SOCKET and kind == _SO_TIMESTAMPNS and len(data) >= _STAMP.size:
            seconds, nanoseconds = _STAMP.unpack_from(data)
            return int(seconds * 1_000_000_000 + nanoseconds)
    return 0
