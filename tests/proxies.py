"""Real proxies on loopback, honest and lying: HTTP's CONNECT and SOCKS 5."""

from __future__ import annotations

import base64
import ipaddress
import socket
import threading

from tests.servers import Behaviour, Visit


def _exactly(sock: socket.socket, size: int) -> bytes:
    found = b""
    while len(found) < size:
        piece = sock.recv(size - len(found))
        if not piece:
            raise OSError("closed")
        found += piece
    return found


def _pump(source: socket.socket, sink: socket.socket) -> None:
    try:
        while piece := source.recv(65536):
            sink.sendall(piece)
        sink.shutdown(socket.SHUT_WR)
    except OSError:
        pass


def _splice(visit: Visit, onward: socket.socket) -> None:
    """Carry bytes both ways until both sides are done."""
    back = threading.Thread(target=_pump, args=(onward, visit.sock))
    back.start()
    _pump(visit.sock, onward)
    back.join()
    onward.close()


def connects(*, password: str = "", names: dict[str, str] | None = None, early: bytes = b"") -> Behaviour:
    """An HTTP proxy that connects; `names` are those it resolves, `early` bytes come in one piece with its answer."""

    def behave(visit: Visit) -> None:
        head = visit.read_request()
        if password and base64.b64encode(password.encode()) not in head:
            visit.send(b"HTTP/1.1 407 Proxy Authentication Required\r\nProxy-Authenticate: Basic\r\n\r\n")
            return
        host, _, port = head.split(b" ")[1].decode().rpartition(":")
        host = host.strip("[]")
        try:
            onward = socket.create_connection(((names or {}).get(host, host), int(port)), timeout=5)
        except OSError:
            visit.send(b"HTTP/1.1 502 Bad Gateway\r\nContent-Length: 0\r\n\r\n")
            return
        visit.send(b"HTTP/1.1 200 Connection established\r\n\r\n" + early)
        _splice(visit, onward)

    return behave


def socks(*, password: str = "", names: dict[str, str] | None = None) -> Behaviour:
    """A SOCKS 5 proxy that connects; what it was asked for is remembered in the target's requests."""

    def behave(visit: Visit) -> None:
        sock = visit.sock
        _, count = _exactly(sock, 2)
        methods = _exactly(sock, count)
        wanted = 2 if password else 0
        if wanted not in methods:
            visit.send(b"\x05\xff")
            return
        visit.send(bytes([5, wanted]))
        if password:
            _, size = _exactly(sock, 2)
            username = _exactly(sock, size)
            given = username + b":" + _exactly(sock, _exactly(sock, 1)[0])
            good = given == password.encode()
            visit.send(b"\x01\x00" if good else b"\x01\x01")
            if not good:
                return
        _, _, _, kind = _exactly(sock, 4)
        if kind == 3:
            asked = _exactly(sock, _exactly(sock, 1)[0]).decode()
        else:
            asked = str(ipaddress.ip_address(_exactly(sock, 4 if kind == 1 else 16)))
        port = int.from_bytes(_exactly(sock, 2), "big")
        visit.target.requests.append(asked.encode())
        try:
            onward = socket.create_connection(((names or {}).get(asked, asked), port), timeout=5)
        except OSError:
            visit.send(b"\x05\x05\x00\x01" + bytes(6))
            return
        visit.send(b"\x05\x00\x00\x01" + bytes(6))
        _splice(visit, onward)

    return behave
