"""Targets that play a database badly: each costs a named failure within its timeout, and never an exception."""

from __future__ import annotations

import itertools
import random
import socket
import struct
import time

import bson
import pytest

from checks.result import Outcome, Reason
from tests import mariadb, mongo
from tests.probing import probe_once
from tests.servers import Target, greets

OPTIONS = {
    "postgres": {"username": "eve", "password": "secret-of-eve", "query": "SELECT 1", "tls": "none"},
    "mysql": {"username": "eve", "password": "secret-of-eve", "query": "SELECT 1", "tls": "none"},
    "redis": {"password": "secret-of-eve", "command": "LRANGE jobs 0 -1"},
    "mongodb": {"command": '{"find": "orders"}'},
}


def message(kind, content):
    return kind + struct.pack("!i", len(content) + 4) + content


AUTHENTICATED = message(b"R", struct.pack("!i", 0)) + message(b"Z", b"I")
ONE_COLUMN = message(b"T", struct.pack("!h", 1) + b"n\0" + struct.pack("!ihihih", 0, 0, 23, 4, -1, 0))
OK = mariadb.packet(2, b"\0\0\0\2\0\0\0")

# What each says first where all is well, so that what follows is heard.
WELL = {
    "postgres": AUTHENTICATED + message(b"Z", b"T"),
    "mysql": mariadb.greeting() + OK + mariadb.packet(1, b"\0\0\0\2\0\0\0") * 2,
    "redis": b"+OK\r\n",
    "mongodb": mongo.message_of({"isWritablePrimary": True, "ok": 1.0}, 1),
}
KINDS = sorted(WELL)


def asked(kind, behave, **options):
    with Target(behave) as target:
        given = {"kind": kind, "address": target.address, "timeout": "2s", **OPTIONS[kind], **options}
        began = time.monotonic()
        result = probe_once(**given, explain=True)
        assert time.monotonic() - began < 10
    assert result.outcome is Outcome.DOWN
    assert "secret-of-eve" not in repr(result)
    return result.failure


@pytest.mark.parametrize("kind", KINDS)
@pytest.mark.parametrize(
    "garbage",
    [
        b"HTTP/1.1 400 Bad Request\r\n\r\n",
        b"SSH-2.0-OpenSSH_9.2\r\n",
        b"\0" * 64,
        b"\xff" * 64,
        b"\x15\x03\x01\0\2\2\x46" * 9,
    ],
    ids=["http", "ssh", "zeros", "ones", "tls"],
)
def test_what_speaks_another_protocol_is_told_as_such(kind, garbage):
    assert asked(kind, greets(garbage, close=True)).reason in (Reason.PROTOCOL, Reason.CLOSED)


@pytest.mark.parametrize("kind", KINDS)
@pytest.mark.parametrize("share", [0.0, 0.5, 1.0])
def test_a_connection_that_is_closed_too_early_is_told_as_such(kind, share):
    words = WELL[kind]
    failure = asked(kind, greets(words[: int(len(words) * share)], close=True))
    assert (failure.reason, failure.message[:25]) == (Reason.CLOSED, "the connection was closed")


@pytest.mark.parametrize("kind", KINDS)
@pytest.mark.parametrize("share", [0.5, 1.0])
def test_a_connection_that_is_reset_is_told_as_such(kind, share):
    def resets(visit):
        visit.send(WELL[kind][: int(len(WELL[kind]) * share)])
        visit.sock.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
        visit.sock.close()

    assert asked(kind, resets).reason in (Reason.RESET, Reason.CLOSED)


@pytest.mark.parametrize("kind", KINDS)
@pytest.mark.parametrize("share", [0.0, 0.5, 1.0])
def test_a_server_that_falls_silent_costs_the_timeout(kind, share):
    words = WELL[kind]
    failure = asked(kind, greets(words[: int(len(words) * share)]), timeout="200ms")
    assert failure.reason is Reason.TIMEOUT


@pytest.mark.parametrize(
    ("kind", "announced"),
    [
        ("postgres", b"D\x7f\xff\xff\xff"),
        ("postgres", b"T\x7f\xff\xff\xff"),
        ("mysql", b"\xff\xff\xff\1"),
        ("redis", b"$4294967296\r\n"),
        ("mongodb", struct.pack("<iiii", 0x7FFFFFFF, 1, 2, 2013)),
    ],
)
def test_a_length_that_nobody_would_read_is_not_believed(kind, announced):
    assert asked(kind, greets(WELL[kind], announced)).reason is Reason.TOO_LARGE


def row(number):
    return mariadb.packet(number % 256, b"\1x")


@pytest.mark.parametrize(
    ("kind", "piece"),
    [
        ("postgres", message(b"D", struct.pack("!hi", 1, 1) + b"1")),
        ("postgres", message(b"N", b"SNOTICE\0\0")),
        ("redis", b"*1000000000\r\n" + b":1\r\n" * 100),
        ("redis", b"*1\r\n"),
        ("redis", b"+" + b"x" * 5000),
        ("mysql", b"".join(row(number) for number in range(1, 257))),
        ("mongodb", mongo.message_of({"ok": 1.0, "list": [None] * 1000}, 2)),
    ],
)
def test_an_answer_without_end_is_bounded(kind, piece):
    def endless(visit):
        visit.send(WELL[kind])
        if kind == "postgres":
            visit.send(ONE_COLUMN)
        while not visit.target.stopping.is_set():
            visit.send(piece * 100)

    if kind == "mongodb":
        assert asked(kind, endless, expect=["rows == 0"]).reason is Reason.EXPECTATION
    else:
        assert asked(kind, endless).reason in (Reason.TOO_LARGE, Reason.PROTOCOL)


def test_a_number_of_iterations_that_takes_an_hour_is_refused_at_once():
    def asks_too_much(visit):
        visit.sock.recv(65536)
        visit.send(message(b"R", struct.pack("!i", 10) + b"SCRAM-SHA-256\0\0"))
        nonce = visit.sock.recv(65536).rpartition(b"r=")[2]
        visit.send(message(b"R", struct.pack("!i", 11) + b"r=" + nonce + b"more,s=c2FsdA==,i=2147483647"))
        visit.wait_for_end()

    failure = asked("postgres", asks_too_much)
    assert failure.reason is Reason.AUTHENTICATION
    assert "2147483647 iterations; 1 to 100000 are allowed" in failure.message


def test_a_server_that_does_not_know_the_password_is_found_out():
    def pretends(visit):
        visit.sock.recv(65536)
        visit.send(message(b"R", struct.pack("!i", 10) + b"SCRAM-SHA-256\0\0"))
        nonce = visit.sock.recv(65536).rpartition(b"r=")[2]
        visit.send(message(b"R", struct.pack("!i", 11) + b"r=" + nonce + b"more,s=c2FsdA==,i=4096"))
        visit.sock.recv(65536)
        visit.send(message(b"R", struct.pack("!i", 12) + b"v=bm90aGluZw==") + AUTHENTICATED)
        visit.wait_for_end()

    failure = asked("postgres", pretends)
    assert (failure.reason, failure.message) == (
        Reason.AUTHENTICATION,
        "the server does not prove that it knows our password",
    )


IN_CLEAR = "asks for the password in clear over a connection without TLS"


@pytest.mark.parametrize(
    ("kind", "greeting", "wish", "words"),
    [
        ("postgres", b"", message(b"R", struct.pack("!i", 3)), IN_CLEAR),
        ("mysql", mariadb.greeting(), mariadb.packet(2, b"\xfemysql_clear_password\0"), IN_CLEAR),
        ("mysql", mariadb.greeting(plugin=b"mysql_clear_password"), mariadb.packet(2, b"\xfemysql_clear_password\0"), IN_CLEAR),
        ("mysql", mariadb.greeting(), mariadb.packet(2, b"\xfe"), "asks for a login as before MySQL 4.1"),
        ("mysql", mariadb.greeting(), mariadb.packet(2, b"\xfemysql_old_password\0salt"), "login by mysql_old_password"),
        ("mysql", mariadb.greeting(), mariadb.packet(2, b"\xfedialog\0"), "asks for a login by dialog"),
    ],
)  # fmt: skip
def test_a_password_is_not_told_to_whoever_asks_for_it(kind, greeting, wish, words):
    heard = []

    def behave(visit):
        visit.send(greeting)
        heard.append(visit.sock.recv(65536))
        visit.send(wish)
        heard.append(visit.sock.recv(65536))

    failure = asked(kind, behave)
    assert failure.reason is Reason.AUTHENTICATION
    assert words in failure.message
    assert len(heard) == 2
    assert heard[1] == b""
    assert b"secret-of-eve" not in heard[0]


def test_a_file_that_a_server_asks_for_is_not_sent():
    wishes = WELL["mysql"] + mariadb.packet(1, b"\xfb/etc/passwd")
    failure = asked("mysql", greets(wishes))
    assert (failure.reason, failure.message) == (
        Reason.PROTOCOL,
        "the server asked for a file of this machine, and got none",
    )


@pytest.mark.parametrize(
    ("kind", "early"), [("postgres", b"SR\0\0\0\x08\0\0\0\0"), ("mysql", mariadb.greeting(tls=True) + OK)]
)
def test_what_is_said_in_clear_does_not_pass_for_what_is_said_over_tls(kind, early):
    assert asked(kind, greets(early), tls="require").reason is Reason.PROTOCOL


def test_a_document_that_is_nested_without_end_is_cut():
    deep = {}
    for _ in range(150):
        deep = {"a": deep}
    behave = mongo.Mongo(commands={"ping": lambda _: {"deep": deep, "ok": 1.0}})
    with Target(behave) as target:
        result = probe_once(kind="mongodb", address=target.address, command='{"ping": 1}', expect=["json $.ok == 1"])
    assert (result.outcome, result.failure) == (Outcome.UP, None)


STREAMS = {
    "postgres": AUTHENTICATED
    + message(b"Z", b"T")
    + ONE_COLUMN
    + message(b"D", struct.pack("!hi", 1, 1) + b"1")
    + message(b"Z", b"T"),
    "mysql": WELL["mysql"]
    + mariadb.packet(1, b"\1")
    + mariadb.packet(2, b"\3def\0\0\0\1n\0\x0c\x3f\0\1\0\0\0\3\0\0\0\0\0"),
    "redis": b"+OK\r\n*3\r\n$5\r\nfirst\r\n:42\r\n*1\r\n-ERR no\r\n",
    "mongodb": WELL["mongodb"] + mongo.message_of({"cursor": {"firstBatch": [{"a": bson.Int64(1)}]}, "ok": 1.0}, 2),
}


@pytest.mark.parametrize("kind", KINDS)
def test_no_damaged_answer_is_an_exception(kind):
    chance = random.Random(20261122)
    damaged = itertools.cycle(spoilt(STREAMS[kind], chance) for _ in range(40))

    def behave(visit):
        greets(next(damaged), close=True)(visit)

    with Target(behave) as target:
        for _ in range(40):
            result = probe_once(kind=kind, address=target.address, timeout="1s", **OPTIONS[kind])
            assert result.outcome is not Outcome.UNKNOWN, result


def spoilt(stream, chance):
    """A stream of which some bytes are changed, gone or new."""
    data = bytearray(stream)
    for _ in range(chance.choice([1, 1, 2, 5])):
        at = chance.randrange(len(data))
        match chance.randrange(4):
            case 0:
                data[at] = chance.randrange(256)
            case 1:
                del data[at : at + chance.randrange(1, 9)]
            case 2:
                data[at:at] = chance.randbytes(chance.randrange(1, 9))
            case _:
                data[at : at + 4] = b"\xff\xff\xff\x7f"
        data = data or bytearray(b"\0")
    return bytes(data)
