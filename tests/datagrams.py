"""Servers on loopback that answer datagrams: of any protocol, and of NTP."""

from __future__ import annotations

import contextlib
import socket
import struct
import threading
import time

EPOCH = 2_208_988_800  # seconds from 1900, where NTP begins to count, to 1970


@contextlib.contextmanager
def answering(reply, host="127.0.0.1"):
    """The address of a socket that answers each datagram with what `reply` makes of it; None is silence."""
    with socket.socket(socket.AF_INET6 if ":" in host else socket.AF_INET, socket.SOCK_DGRAM) as sock:
        sock.bind((host, 0))
        sock.settimeout(0.05)
        stopping = threading.Event()

        def serve():
            while not stopping.is_set():
                with contextlib.suppress(TimeoutError):
                    data, sender = sock.recvfrom(65535)
                    answer = reply(data)
                    if answer is not None:
                        sock.sendto(answer, sender)

        thread = threading.Thread(target=serve)
        thread.start()
        try:
            port = sock.getsockname()[1]
            yield f"[{host}]:{port}" if ":" in host else f"{host}:{port}"
        finally:
            stopping.set()
            thread.join()


def time_stamp(seconds):
    """Seconds since 1970 as NTP writes them."""
    return int((seconds + EPOCH) * 2**32).to_bytes(9, "big")[-8:]


def serving_time(*, ahead=0.0, leap=0, mode=4, stratum=2, reference=b"\x7f\0\0\1", originate=None, takes=0.0):
    """A time server whose clock is `ahead` seconds ahead of ours."""

    def reply(data):
        received = time.time() + ahead
        time.sleep(takes)
        head = struct.pack("!BBbbiI4s", leap << 6 | 4 << 3 | mode, stratum, 6, -20, 1 << 14, 1 << 12, reference)
        sent = time.time() + ahead
        return head + time_stamp(received - 10) + (originate or data[40:48]) + time_stamp(received) + time_stamp(sent)

    return answering(reply)
