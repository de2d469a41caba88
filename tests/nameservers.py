"""Name servers on loopback: a small one whose answers a test writes, and Debian's unbound with TLS and HTTPS."""

from __future__ import annotations

import contextlib
import socket
import subprocess
import tempfile
import threading
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import Self

import dns.flags
import dns.message
import dns.rcode
import dns.rdatatype
import dns.rrset

from tests.debian import program
from tests.servers import authority, closed_port

# What is answered: each item is sent, a number is waited for, nothing is silence.
Answering = Callable[[dns.message.Message, str], "list[bytes | float]"]


@dataclass
class Namer:
    """A name server over UDP and TCP for a `with` block; `asked` remembers (name, type, transport)."""

    behave: Answering
    asked: list[tuple[str, str, str]] = field(default_factory=list)

    def __enter__(self) -> Self:
        while True:
            self._udp = socket.socket(type=socket.SOCK_DGRAM)
            self._udp.bind(("127.0.0.1", 0))
            self.port = self._udp.getsockname()[1]
            try:
                self._tcp = socket.create_server(("127.0.0.1", self.port))
                break
            except OSError:
                self._udp.close()
        self._udp.settimeout(0.05)
        self._stopping = threading.Event()
        self._threads = [threading.Thread(target=work) for work in (self._hear_udp, self._hear_tcp)]
        for thread in self._threads:
            thread.start()
        return self

    def __exit__(self, *_: object) -> None:
        self._stopping.set()
        with contextlib.suppress(OSError):
            self._tcp.shutdown(socket.SHUT_RDWR)
        for thread in self._threads:
            thread.join(10)
        self._udp.close()
        self._tcp.close()

    @property
    def address(self) -> str:
        return f"127.0.0.1:{self.port}"

    def _answers(self, wire: bytes, transport: str, send: Callable[[bytes], object]) -> None:
        query = dns.message.from_wire(wire)
        question = query.question[0]
        self.asked.append((question.name.to_text(), dns.rdatatype.to_text(question.rdtype), transport))
        for item in self.behave(query, transport):
            if isinstance(item, float):
                self._stopping.wait(item)
            else:
                send(item)

    def _hear_udp(self) -> None:
        while not self._stopping.is_set():
            try:
                wire, sender = self._udp.recvfrom(65535)
            except TimeoutError:
                continue
            thread = threading.Thread(
                target=self._answers, args=(wire, "udp", lambda data, to=sender: self._udp.sendto(data, to))
            )
            thread.start()
            self._threads.append(thread)

    def _hear_tcp(self) -> None:
        while not self._stopping.is_set():
            try:
                sock, _ = self._tcp.accept()
            except OSError:
                return
            with sock, contextlib.suppress(OSError):
                sock.settimeout(5)
                size = int.from_bytes(sock.recv(2), "big")
                self._answers(
                    sock.recv(size), "tcp", lambda data, to=sock: to.sendall(len(data).to_bytes(2, "big") + data)
                )


def knows(*records: str, rcode: str = "NOERROR", flags: str = "QR RD RA") -> Answering:
    """Answers each question with those of these records (`a.example. 60 IN A 10.0.0.1`) that stand under its name."""
    rrsets = [dns.rrset.from_text(*record.split(None, 4)) for record in records]

    def behave(query: dns.message.Message, _: str) -> list[bytes | float]:
        question = query.question[0]
        reply = dns.message.make_response(query)
        reply.flags = dns.flags.from_text(flags)
        reply.set_rcode(dns.rcode.from_text(rcode))
        name = question.name
        for _ in range(10):
            alias = next((r for r in rrsets if r.name == name and r.rdtype == dns.rdatatype.CNAME), None)
            if alias is None or question.rdtype == dns.rdatatype.CNAME:
                break
            reply.answer.append(alias)
            name = alias[0].target
        reply.answer += [r for r in rrsets if r.name == name and r.rdtype == question.rdtype]
        return [reply.to_wire()]

    return behave


def by_type(**behaviours: Answering) -> Answering:
    """Answers by the type of the question: `by_type(A=..., AAAA=...)`."""

    def behave(query: dns.message.Message, transport: str) -> list[bytes | float]:
        return behaviours[dns.rdatatype.to_text(query.question[0].rdtype)](query, transport)

    return behave


def after(seconds: float, behave: Answering) -> Answering:
    """The same answers, later."""
    return lambda query, transport: [seconds, *behave(query, transport)]


def never(_query: dns.message.Message, _transport: str) -> list[bytes | float]:
    """Answers nothing."""
    return []


@dataclass(frozen=True)
class Unbound:
    """The ports of a running unbound, whose zone is `shop.example` and `*.signed`."""

    plain: int
    tls: int
    https: int


ZONE = """
    local-zone: "shop.example." static
    local-data: "shop.example. 300 IN SOA ns.shop.example. root.shop.example. 7 3600 600 86400 60"
    local-data: "shop.example. 300 IN A 127.0.0.1"
    local-data: "shop.example. 300 IN A 127.0.0.2"
    local-data: "shop.example. 300 IN AAAA ::1"
    local-data: "shop.example. 120 IN MX 10 mail.shop.example."
    local-data: 'shop.example. 60 IN TXT "v=spf1 -all"'
    local-data: 'shop.example. 60 IN CAA 0 issue "letsencrypt.org"'
    local-data: "www.shop.example. 30 IN CNAME shop.example."
    local-data: "empty.shop.example. 30 IN TXT x"
    local-data-ptr: "192.0.2.7 shop.example"
"""


@contextlib.contextmanager
def unbound() -> Iterator[Unbound]:
    """A running unbound with a small zone of its own; it asks nobody else."""
    with tempfile.TemporaryDirectory() as directory:
        home = Path(directory)
        leaf = authority().issue_cert("localhost", "127.0.0.1", "dns.example")
        leaf.private_key_pem.write_to_path(str(home / "key.pem"))
        for pem in leaf.cert_chain_pems:
            pem.write_to_path(str(home / "cert.pem"), append=True)
        ports = Unbound(closed_port(), closed_port(), closed_port())
        listening = "".join(f"    interface: 127.0.0.1@{port}\n" for port in (ports.plain, ports.tls, ports.https))
        big = "".join(f"    local-data: 'big.shop.example. 60 IN TXT \"{n:0200}\"'\n" for n in range(40))
        (home / "unbound.conf").write_text(
            f"""server:
    verbosity: 0
    use-syslog: no
    username: ""
    chroot: ""
    directory: "{home}"
    pidfile: "{home}/pid"
    num-threads: 1
    do-not-query-localhost: yes
    module-config: "iterator"
    tls-port: {ports.tls}
    https-port: {ports.https}
    tls-service-key: "{home}/key.pem"
    tls-service-pem: "{home}/cert.pem"
    local-zone: "refused.example." refuse
    local-zone: "." static
{listening}{ZONE}{big}"""
        )
        process = subprocess.Popen([program("unbound"), "-d", "-c", str(home / "unbound.conf")])
        try:
            until = time.monotonic() + 10
            while True:
                with contextlib.suppress(OSError), socket.create_connection(("127.0.0.1", ports.https), 1):
                    break
                assert process.poll() is None, "unbound does not start"
                assert time.monotonic() < until, "unbound does not answer"
                time.sleep(0.02)
            yield ports
        finally:
            process.terminate()
            process.wait(10)
