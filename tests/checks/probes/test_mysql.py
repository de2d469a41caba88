"""`mysql` against a real MariaDB."""

from __future__ import annotations

import base64
import hashlib
import itertools

import pytest
from cryptography.hazmat.primitives import hashes
from cryptography.hazmat.primitives.asymmetric import padding, rsa
from cryptography.hazmat.primitives.serialization import Encoding, PublicFormat

from checks.result import Outcome, Reason
from tests import mariadb
from tests.mariadb import PASSWORD
from tests.probing import probe_once
from tests.servers import Target, authority_pem

pytestmark = pytest.mark.xdist_group("mariadb")


def asked(query="", **options):
    given = {"username": "maria", "password": PASSWORD, "database": "shop", "tls": "none"} | options
    return probe_once(kind="mysql", address=f"127.0.0.1:{mariadb.server().port}", query=query, explain=True, **given)


def answer_of(result):
    assert (result.outcome, result.failure) == (Outcome.UP, None)
    return result.evidence["json"]


def test_the_answer_of_a_query_meets_expectations():
    lines = ["rows == 1", "value == 1", "json $[0].stuck == 1", "latency < 5s"]
    result = asked("SELECT count(*) AS stuck FROM orders WHERE state = 'stuck'", expect=lines)
    assert answer_of(result) == '[{"stuck": 1}]'
    assert result.latency_ns == result.phases.total()
    assert result.evidence["server_version"].startswith("1")


def test_values_are_told_by_their_types():
    assert answer_of(asked("SELECT * FROM orders ORDER BY id")) == (
        '[{"id": 1, "state": "stuck", "price": 12.5, "placed": "2026-03-10T12:20:00", "picture": "0x00ff"},'
        ' {"id": 2, "state": "sent", "price": null, "placed": null, "picture": "plain"}]'
    )


def test_null_is_no_value():
    result = asked("SELECT NULL", expect=["value != 5"])
    assert result.failure.message == "expected value != 5, got nothing"


def test_rows_are_counted_up_to_a_thousand():
    result = asked("SELECT seq FROM seq_1_to_5000", expect=["rows == 1000", "value == 1"])
    assert (result.outcome, result.evidence["notes"]) == (Outcome.UP, ["cut at 1,000 rows or 20,000 values"])


@pytest.mark.parametrize(
    "statement",
    ["DELETE FROM orders", "CREATE TABLE x (a int)", "DROP TABLE orders", "TRUNCATE orders", "SELECT 1; SELECT 2"],
)
def test_nothing_can_be_changed(statement):
    result = asked(statement)
    assert (result.outcome, result.failure.reason) == (Outcome.DOWN, Reason.REJECTED)
    assert answer_of(asked("SELECT count(*) AS n FROM orders")) == '[{"n": 2}]'


def test_a_file_of_ours_is_never_sent():
    result = asked("LOAD DATA LOCAL INFILE '/etc/hostname' INTO TABLE orders")
    assert (result.outcome, result.failure.reason) == (Outcome.DOWN, Reason.REJECTED)


def test_a_mistake_in_the_query_is_told_in_the_servers_words():
    result = asked("SELECT nope")
    assert result.failure.reason is Reason.REJECTED
    assert result.failure.message == "the server answered: Unknown column 'nope' in 'SELECT' (1054)"


def test_the_server_ends_a_statement_that_we_no_longer_wait_for():
    result = asked("SELECT sleep(60), 'of ours'", timeout="300ms")
    assert result.failure.reason is Reason.TIMEOUT
    while "of ours" in mariadb.server().client("SHOW PROCESSLIST"):
        pass  # or the test times out


def test_a_value_that_is_too_large_is_not_taken():
    assert asked("SELECT repeat('x', 2000000)").failure.reason is Reason.TOO_LARGE


@pytest.mark.parametrize(
    ("options", "reason", "words"),
    [
        ({"password": "wrong"}, Reason.AUTHENTICATION, "Access denied for user 'maria'"),
        ({"password": ""}, Reason.AUTHENTICATION, "(using password: NO) (1045)"),
        ({"username": "nobody"}, Reason.AUTHENTICATION, "Access denied for user 'nobody'"),
        ({"username": "only_tls"}, Reason.AUTHENTICATION, "Access denied for user 'only_tls'"),
        ({"database": "nope"}, Reason.AUTHENTICATION, "to database 'nope' (1044)"),
    ],
)
def test_a_refused_login_has_its_name(options, reason, words):
    result = asked(**options)
    assert result.failure.reason is reason
    assert words in result.failure.message
    assert PASSWORD not in repr(result)


@pytest.mark.parametrize(("username", "tls"), [("maria", "prefer"), ("only_tls", "prefer"), ("only_tls", "require")])
def test_passwords_open_the_door(username, tls):
    ca = {"ca": authority_pem()} if tls == "require" else {}
    result = asked("SELECT substring_index(user(), '@', 1) AS me", username=username, tls=tls, **ca)
    assert answer_of(result) == f'[{{"me": "{username}"}}]'


def test_a_certificate_is_judged_where_tls_is_required():
    result = asked(tls="require")
    assert (result.failure.reason, result.failure.phase) == (Reason.CERTIFICATE, "tls")
    result = asked(tls="require", ca=authority_pem(), expect=["certificate > 1d", "tls < 5s"])
    assert (result.outcome, result.failure) == (Outcome.UP, None)


def test_a_stranger_is_answered_and_no_host_is_blocked_for_it():
    result = asked(username="", password="", database="")
    assert (result.outcome, result.latency_ns) == (Outcome.UP, result.phases.total())
    errors = "SELECT coalesce(sum(sum_connect_errors), 0) AS n FROM performance_schema.host_cache"
    assert mariadb.server().client(errors).split() == ["n", "0"]


@pytest.mark.parametrize("length", range(1, 40))
def test_a_greeting_that_ends_in_the_middle_is_down_as_such(length):
    def behave(visit):
        visit.send(mariadb.packet(0, mariadb.greeting()[4 : 4 + length]))
        visit.wait_for_end()

    with Target(behave) as target:
        result = probe_once(kind="mysql", address=target.address, timeout="2s")
    assert result.outcome is Outcome.DOWN
    assert result.failure.reason is not Reason.BUG


def new_login(*, known):
    """A server of MySQL 8: `caching_sha2_password`, which knows the password or has to be told it, by its public key."""
    key = rsa.generate_private_key(public_exponent=65537, key_size=2048)
    salt = b"saltsaltsaltsaltsalt"

    def behave(visit):
        visit.send(mariadb.greeting(plugin=b"caching_sha2_password"))
        secret = PASSWORD.encode()
        once = hashlib.sha256(secret).digest()
        mask = hashlib.sha256(hashlib.sha256(once).digest() + salt).digest()
        assert bytes(a ^ b for a, b in zip(once, mask, strict=True)) in visit.sock.recv(4096)
        if known:
            visit.send(mariadb.packet(2, b"\1\3") + mariadb.packet(3, b"\0\0\0\2\0\0\0"))
        else:
            visit.send(mariadb.packet(2, b"\1\4"))
            assert visit.sock.recv(4096) == mariadb.packet(3, b"\2")
            pem = key.public_key().public_bytes(Encoding.PEM, PublicFormat.SubjectPublicKeyInfo)
            visit.send(mariadb.packet(4, b"\1" + pem))
            sha1 = padding.OAEP(mgf=padding.MGF1(hashes.SHA1()), algorithm=hashes.SHA1(), label=None)
            told = key.decrypt(visit.sock.recv(4096)[4:], sha1)
            assert bytes(a ^ b for a, b in zip(told, itertools.cycle(salt))) == secret + b"\0"
            visit.send(mariadb.packet(6, b"\0\0\0\2\0\0\0"))
        visit.wait_for_end()

    return behave


def test_a_public_key_of_an_unknown_sort_is_no_exception():
    der = bytearray(
        rsa.generate_private_key(public_exponent=65537, key_size=2048)
        .public_key()
        .public_bytes(Encoding.DER, PublicFormat.SubjectPublicKeyInfo)
    )
    der[der.index(bytes.fromhex("2a864886f70d010101")) + 8] = 99  # of PKCS #1, in which nothing has this number
    pem = b"-----BEGIN PUBLIC KEY-----\n" + base64.encodebytes(der) + b"-----END PUBLIC KEY-----\n"

    def behave(visit):
        visit.send(mariadb.greeting(plugin=b"caching_sha2_password"))
        visit.sock.recv(4096)
        visit.send(mariadb.packet(2, b"\1\4"))
        visit.sock.recv(4096)
        visit.send(mariadb.packet(4, b"\1" + pem))
        visit.wait_for_end()

    with Target(behave) as target:
        result = probe_once(kind="mysql", address=target.address, username="mona", password=PASSWORD, tls="none")
    assert (result.outcome, result.failure.reason) == (Outcome.DOWN, Reason.PROTOCOL)


@pytest.mark.parametrize("known", [True, False])
def test_the_login_of_mysql_8_is_spoken(known):
    with Target(new_login(known=known)) as target:
        result = probe_once(kind="mysql", address=target.address, username="mona", password=PASSWORD, tls="none")
    assert (result.outcome, result.failure) == (Outcome.UP, None)
