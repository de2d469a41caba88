"""TLS on connections: client certificates, upgrades of connections in clear, settings for libraries."""

from __future__ import annotations

import asyncio
import ssl

import pytest

from checks.network import Resources, Tls, dial, start_tls
from checks.network.connection import Connection
from checks.network.guard import Guard
from checks.network.resolver import Resolver
from checks.network.securing import TlsContexts
from checks.probe import ProbeContext, ProbeFailure
from checks.result import Reason
from tests.probing import on_loop
from tests.servers import Target, authority, authority_pem, dated, greets, serving, trusted

LEAF = authority().issue_cert("client.example")
OWN = {
    "certificate": "".join(pem.bytes().decode() for pem in LEAF.cert_chain_pems),
    "key": LEAF.private_key_pem.bytes().decode(),
}


class Listener(Connection):
    """Collects lines."""

    def __init__(self):
        super().__init__()
        self.lines = asyncio.Queue()

    def received(self, data, at_ns):
        self.lines.put_nowait(data)

    def ended(self, exc):
        self.lines.put_nowait(b"")


def run(work):
    resources = Resources(guard=Guard(), resolver=Resolver(servers=()))
    context = ProbeContext(resources=resources)

    async def bounded():
        async with asyncio.timeout(5):
            return await work(context)

    return on_loop(bounded(), resources), context


def upgrades(context):
    """A server that speaks in clear until it is asked for TLS."""

    def behave(visit):
        visit.send(b"220 hello\r\n")
        visit.sock.recv(100)
        visit.send(b"220 go ahead\r\n")
        visit.target._open.discard(visit.sock)
        visit.sock = context.wrap_socket(visit.sock, server_side=True)
        visit.target._open.add(visit.sock)
        visit.send(b"250 in secret\r\n")
        visit.wait_for_end()

    return behave


def upgraded(port, tls):
    async def work(context):
        connection = await dial(context, "127.0.0.1", port, Listener)
        try:
            connection.start()
            heard = [await connection.lines.get()]
            connection.send(b"STARTTLS\r\n")
            heard.append(await connection.lines.get())
            await start_tls(context, connection, "127.0.0.1", tls)
            heard.append(await connection.lines.get())
            return heard, connection.tls_version(), connection.tls_cipher()
        finally:
            connection.abort()

    return run(work)


def test_a_connection_in_clear_goes_on_in_tls():
    with Target(upgrades(trusted())) as target:
        (heard, version, cipher), context = upgraded(target.port, Tls(ca=authority_pem()))
    assert heard == [b"220 hello\r\n", b"220 go ahead\r\n", b"250 in secret\r\n"]
    assert version == "TLS 1.3"
    assert cipher.startswith("TLS_")
    assert context.stopwatch.phases.tls > 0
    assert context.seen.facts["certificate"] > 0


def test_a_certificate_is_judged_after_an_upgrade_too():
    with Target(upgrades(dated(begins_in_days=-9, ends_in_days=-1))) as target, pytest.raises(ProbeFailure) as caught:
        upgraded(target.port, Tls(ca=authority_pem()))
    assert caught.value.failure.reason is Reason.CERTIFICATE


def wanting_a_certificate():
    context = serving(authority().issue_cert("127.0.0.1"))
    context.verify_mode = ssl.CERT_REQUIRED
    authority().configure_trust(context)
    return context


def test_we_prove_who_we_are_with_a_client_certificate():
    async def work(context, port):
        connection = await dial(context, "127.0.0.1", port, Listener, Tls(ca=authority_pem(), **OWN))
        try:
            connection.start()
            return await connection.lines.get()
        finally:
            connection.abort()

    with Target(greets(b"220 welcome\r\n"), tls=wanting_a_certificate()) as target:
        heard, _ = run(lambda context: work(context, target.port))
    assert heard == b"220 welcome\r\n"


def test_another_name_can_be_asked_for_and_is_judged():
    asked = []
    server = trusted("inner.example")
    server.sni_callback = lambda _socket, name, _context: asked.append(name)

    async def work(context, port, name):
        connection = await dial(context, "127.0.0.1", port, Listener, Tls(ca=authority_pem(), server_name=name))
        connection.abort()
        return connection

    try:
        with Target(greets(b"x"), tls=server) as target:
            connection, _ = run(lambda context: work(context, target.port, "inner.example"))
            with pytest.raises(ProbeFailure) as caught:
                run(lambda context: work(context, target.port, "outer.example"))
    finally:
        server.sni_callback = None
    assert asked == ["inner.example", "outer.example"]
    assert caught.value.failure.message == "the certificate is for inner.example, not for outer.example"
    assert len(connection.certificate.fingerprint) == 64
    assert connection.verdict.chain[0].subject == connection.certificate.subject
    assert connection.verdict.chain_ends <= connection.certificate.not_after


def test_settings_are_made_once_and_forgotten_beyond_a_thousand(monkeypatch):
    contexts = TlsContexts()
    assert contexts.get(Tls(verify=False)) is contexts.get(Tls(ca=authority_pem()))
    assert contexts.get(Tls(alpn=("h2",))) is not contexts.get(Tls())
    monkeypatch.setattr("checks.network.securing.MAX_CONTEXTS", 3)
    first = contexts.get(Tls(alpn=("a",)))
    for name in "bcd":
        contexts.get(Tls(alpn=(name,)))
    assert contexts.get(Tls(alpn=("a",))) is not first
