"""The words before a TLS handshake: what each protocol says, and what servers may say instead."""

from __future__ import annotations

import time

import pytest

from checks.result import Outcome, Reason
from tests.probing import probe_once
from tests.servers import Target, authority_pem, trusted

FEATURES = b"<stream:stream xmlns:stream='x'><stream:features><starttls xmlns='y'/></stream:features>"
LDAP_YES = bytes.fromhex("300c02010178070a010004000400")
# Active Directory writes the length of what it says in four octets.
ACTIVE_DIRECTORY_YES = bytes.fromhex("3084000000100201017884000000070a010004000400")
ACTIVE_DIRECTORY_NO = bytes.fromhex("3084000000100201017884000000070a013404000400")
MYSQL = (
    bytes.fromhex("0a")
    + b"8.0.36\0"
    + b"\1\0\0\0"
    + b"saltsalt"
    + b"\0"
    + b"\xff\xff"
    + b"\x2d\2\0\xff\xff"
    + bytes(31)
)


def packet(payload):
    return len(payload).to_bytes(3, "little") + b"\0" + payload


# What a server says, piece by piece: the first at once, each other after something was said to it.
WILLING = {
    "smtp": (b"220 mail\r\n", b"250-mail\r\n250 STARTTLS\r\n", b"220 go\r\n"),
    "imap": (b"* OK mail\r\n", b"* CAPABILITY IMAP4rev1 STARTTLS\r\ns1 OK\r\n", b"s2 OK go\r\n"),
    "pop3": (b"+OK mail\r\n", b"+OK\r\nSTLS\r\n.\r\n", b"+OK go\r\n"),
    "ftp": (b"220-welcome\r\n 220 to\r\n220 ftp\r\n", b"234 go\r\n"),
    "ldap": (b"", LDAP_YES),
    "postgres": (b"", b"S"),
    "mysql": (packet(MYSQL), b""),
    "xmpp": (b"", FEATURES, b"<proceed xmlns='urn:ietf:params:xml:ns:xmpp-tls'/>"),
}


def says(pieces, secured=None, *, bytewise=False):
    """Says its pieces in turn, then speaks TLS where it can."""

    def behave(visit):
        for number, piece in enumerate(pieces):
            if number:
                # After MySQL's request of 36 bytes the handshake begins unasked.
                visit.target.requests.append(visit.sock.recv(4096 if piece else 36))
            for part in [piece[i : i + 1] for i in range(len(piece))] if bytewise else [piece]:
                visit.send(part)
                if bytewise:
                    time.sleep(0.0005)
        if secured is not None:
            visit.start_tls(secured)
        visit.wait_for_end()

    return behave


def shake(protocol, pieces, secured=None, **options):
    with Target(says(pieces, secured, bytewise=options.pop("bytewise", False))) as target:
        address = f"localhost:{target.port}"
        result = probe_once(kind="tls", starttls=protocol, address=address, ca=authority_pem(), explain=True, **options)
    return result, target.requests


@pytest.mark.parametrize("protocol", WILLING)
@pytest.mark.parametrize("bytewise", [False, True])
def test_a_willing_server_is_asked_and_shakes_hands(protocol, bytewise):
    result, _ = shake(protocol, WILLING[protocol], trusted(), bytewise=bytewise)
    assert (result.outcome, result.failure) == (Outcome.UP, None)
    assert result.latency_ns == result.phases.total()


@pytest.mark.parametrize("bytewise", [False, True])
def test_active_directory_is_asked_and_shakes_hands(bytewise):
    result, _ = shake("ldap", (b"", ACTIVE_DIRECTORY_YES), trusted(), bytewise=bytewise)
    assert (result.outcome, result.failure) == (Outcome.UP, None)


@pytest.mark.parametrize("protocol", WILLING)
def test_what_comes_in_clear_after_the_agreement_is_refused(protocol):
    *before, last = WILLING[protocol]
    pieces = (*before, last + b"injected\r\n") if last else (before[0] + b"injected\r\n", b"")
    result, _ = shake(protocol, pieces, trusted(), timeout="5s")
    assert (result.outcome, result.failure.reason) == (Outcome.DOWN, Reason.TLS)
    assert "10 bytes came in clear after the other side agreed to TLS" in result.failure.message


def test_clear_text_instead_of_a_handshake_is_no_tls():
    pieces = (*WILLING["smtp"], b"250 I am not TLS at all, and go on as if nothing was\r\n")
    result, _ = shake("smtp", pieces)
    assert (result.failure.reason, result.failure.phase) == (Reason.TLS, "tls")


@pytest.mark.parametrize("protocol", WILLING)
def test_a_server_that_closes_is_down_at_every_turn(protocol):
    for count in range(1, len(WILLING[protocol]) + 1):
        pieces = WILLING[protocol][:count]

        def closes(visit, pieces=pieces):
            for number, piece in enumerate(pieces):
                if number:
                    visit.sock.recv(4096)
                visit.send(piece)

        with Target(closes) as target:
            result = probe_once(kind="tls", starttls=protocol, address=target.address, ca=authority_pem())
        assert result.outcome is Outcome.DOWN
        assert result.failure.reason in (Reason.CLOSED, Reason.TLS, Reason.RESET)


@pytest.mark.parametrize(
    ("protocol", "pieces", "reason", "words"),
    [
        ("ftp", (b"421 busy\r\n",), Reason.REJECTED, "the server refused the connection: 421 busy"),
        ("ftp", (b"220 ftp\r\n", b"500 what\r\n"), Reason.REJECTED, "the server refused AUTH TLS: 500 what"),
        ("ftp", (b"hello\r\n",), Reason.PROTOCOL, "what is no answer of FTP: 'hello'"),
        ("ftp", (b"220-x\r\n" * 300,), Reason.TOO_LARGE, "an answer of more than 200 lines"),
        ("ldap", (b"", bytes.fromhex("300c02010178070a010204000400")), Reason.TLS, "LDAP server does not offer TLS"),
        ("ldap", (b"", bytes.fromhex("300c02010178070a013404000400")), Reason.REJECTED, "refused TLS: result code 52"),
        ("ldap", (b"", b"HTTP/1.1 400 Bad Request\r\n"), Reason.PROTOCOL, "what is no answer of LDAP"),
        ("ldap", (b"", bytes.fromhex("30847fffffff")), Reason.PROTOCOL, "what is no answer of LDAP"),
        ("ldap", (b"", bytes.fromhex("3082ffff00")), Reason.PROTOCOL, "what is no answer of LDAP"),
        ("ldap", (b"", bytes.fromhex("308500000000ff")), Reason.PROTOCOL, "what is no answer of LDAP"),
        ("ldap", (b"", ACTIVE_DIRECTORY_NO), Reason.REJECTED, "refused TLS: result code 52"),
        ("ldap", (b"", bytes.fromhex("3003020101")), Reason.PROTOCOL, "what is no answer of LDAP"),
        ("ldap", (b"", bytes.fromhex("30050201017800")), Reason.PROTOCOL, "what is no answer of LDAP"),
        ("ldap", (b"", bytes.fromhex("3000ffff")), Reason.PROTOCOL, "what is no answer of LDAP"),
        ("postgres", (b"", b"N"), Reason.TLS, "the PostgreSQL server does not offer TLS"),
        ("postgres", (b"", b"E\0\0\0\x08what"), Reason.REJECTED, "the server refused TLS: it answered with an error"),
        ("postgres", (b"", b"H"), Reason.PROTOCOL, "what is no answer of PostgreSQL: b'H'"),
        ("mysql", (packet(b"\xff\x10\x04Too many connections"),), Reason.REJECTED, "Too many connections"),
        ("mysql", (packet(MYSQL[:21] + b"\xff\xf7" + MYSQL[23:]),), Reason.TLS, "MySQL server does not offer TLS"),
        ("mysql", (packet(b"\x09old"),), Reason.PROTOCOL, "what is no greeting of MySQL"),
        ("mysql", (packet(b"\x0a8.0"),), Reason.PROTOCOL, "what is no greeting of MySQL"),
        ("mysql", (packet(b"\x0a8.0\0\1\0"),), Reason.PROTOCOL, "what is no greeting of MySQL"),
        ("mysql", (b"HTTP/1.1 400 Bad Request\r\n",), Reason.PROTOCOL, "what is no greeting of MySQL"),
        ("mysql", (b"\0\0\0\0",), Reason.PROTOCOL, "what is no greeting of MySQL"),
        ("xmpp", (b"", b"<stream:stream><stream:features/>"), Reason.TLS, "the XMPP server does not offer TLS"),
        ("xmpp", (b"", b"<stream:stream><stream:error><host-unknown/>"), Reason.REJECTED, "refused the stream"),
        ("xmpp", (b"", FEATURES, b"<failure xmlns='y'/>"), Reason.REJECTED, "the server refused STARTTLS: <failure"),
        ("xmpp", (b"", b"HTTP/1.1 400 Bad Request\r\n"), Reason.PROTOCOL, "what is no answer of XMPP: 'HTTP/1.1"),
        ("xmpp", (b"", b"<" + b"x" * 20_000), Reason.TOO_LARGE, "a stream of more than 16 KiB"),
    ],
)
def test_a_server_that_does_not_agree_is_named(protocol, pieces, reason, words):
    result, _ = shake(protocol, pieces, timeout="5s")
    assert (result.outcome, result.failure.reason) == (Outcome.DOWN, reason)
    assert words in result.failure.message


@pytest.mark.parametrize("protocol", WILLING)
def test_endless_nonsense_costs_little(protocol):
    def floods(visit):
        while not visit.target.stopping.is_set():
            visit.send(b"\x30" * 65536)

    with Target(floods) as target:
        began = time.monotonic()
        result = probe_once(kind="tls", starttls=protocol, address=target.address)
    assert time.monotonic() - began < 5
    assert result.failure.reason in (Reason.PROTOCOL, Reason.TOO_LARGE)


def test_an_xmpp_server_is_asked_for_the_name_that_the_certificate_must_bear():
    result, requests = shake("xmpp", WILLING["xmpp"], trusted("chat.example"), server_name="chat.example")
    assert result.outcome is Outcome.UP
    assert b"to='chat.example'" in requests[0]


def test_a_client_says_nothing_of_its_own_in_clear():
    result, requests = shake("smtp", WILLING["smtp"], trusted())
    assert result.outcome is Outcome.UP
    assert [line.split()[0] for line in requests] == [b"EHLO", b"STARTTLS"]
