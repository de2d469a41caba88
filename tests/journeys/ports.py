"""Ports of this machine that nobody listens on."""

from __future__ import annotations

import random
import socket
from pathlib import Path


def free_port() -> int:
    """A free port of 127.0.0.1, outside the range from which the kernel takes ports for outgoing connections.

    A port of that range may be taken by any probe between the moment it was found free and the moment it is used.
    """
    low = _first_ephemeral()
    chance = random.SystemRandom()
    while True:
        port = chance.randrange(10_000, low) if low > 12_000 else 0
        with socket.socket() as probe:
            try:
                probe.bind(("127.0.0.1", port))
            except OSError:
                continue
            found: int = probe.getsockname()[1]
            return found


def _first_ephemeral() -> int:
    try:
        return int(Path("/proc/sys/net/ipv4/ip_local_port_range").read_text(encoding="ascii").split()[0])
    except OSError:
        return 32_768


def accepts(port: int) -> bool:
    """Whether somebody listens on the port of 127.0.0.1."""
    try:
        socket.create_connection(("127.0.0.1", port), timeout=1).close()
    except OSError:
        return False
    return True
