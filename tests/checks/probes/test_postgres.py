"""`postgres` against the tests' own PostgreSQL, with passwords, and with a pooler's TLS before it."""

from __future__ import annotations

import select
import socket
from functools import cache

import psycopg
import pytest

from checks.result import Outcome, Reason
from tests import postgres
from tests.probing import probe_once
from tests.proxies import connects
from tests.servers import Target, authority_pem, trusted

pytestmark = pytest.mark.xdist_group("postgres")

PASSWORD = "pässword-of-mona"
MD5_PASSWORD = "password-of-emdi"


@cache
def server():
    """The tests' own server, with users who have passwords and a table to ask about."""
    own = postgres.server()
    hba = own.directory / "data" / "pg_hba.conf"
    rules = ["host all mona all scram-sha-256", "host all emdi all md5", "host all clear all password"]
    hba.write_text("\n".join([*rules, "host all out all reject", hba.read_text()]))
    with psycopg.connect(own.url("postgres"), autocommit=True) as conn:
        for user in ("mona", "clear", "out"):
            conn.execute(f"CREATE ROLE {user} LOGIN PASSWORD '{PASSWORD}'")
        conn.execute("SET password_encryption = md5")
        conn.execute(f"CREATE ROLE emdi LOGIN PASSWORD '{MD5_PASSWORD}'")
        conn.execute("CREATE ROLE few LOGIN CONNECTION LIMIT 0")
        conn.execute("SELECT pg_reload_conf()")
    with psycopg.connect(own.url(own.create_database()), autocommit=True) as conn:
        conn.execute("CREATE TABLE orders (id int, state text)")
        conn.execute(
            "INSERT INTO orders SELECT n, CASE WHEN n % 10 = 0 THEN 'stuck' END FROM generate_series(1, 2000) n"
        )
        return own.port, conn.info.dbname


def secured(visit):
    """A pooler that speaks TLS to us and in clear to the server, whose own build speaks none."""
    assert len(visit.sock.recv(8)) == 8
    visit.send(b"S")
    with (
        trusted().wrap_socket(visit.sock, server_side=True) as ours,
        socket.create_connection(("127.0.0.1", server()[0])) as theirs,
    ):
        onward = {ours: theirs, theirs: ours}
        while ready := select.select(list(onward), [], [])[0]:
            for side in ready:
                data = side.recv(65536)
                if not data:
                    return
                onward[side].sendall(data)


def asked(query="", *, port=0, **options):
    own, database = server()
    given = {"username": postgres.SUPERUSER, "database": database} | options
    return probe_once(kind="postgres", address=f"127.0.0.1:{port or own}", query=query, explain=True, **given)


def answer_of(result):
    assert (result.outcome, result.failure) == (Outcome.UP, None)
    return result.evidence["json"]


def test_the_answer_of_a_query_meets_expectations():
    lines = ["rows == 1", "value == 200", "json $[0].count == 200", "latency < 5s"]
    result = asked("SELECT count(*) FROM orders WHERE state = 'stuck'", expect=lines)
    assert answer_of(result) == '[{"count": 200}]'
    assert result.latency_ns == result.phases.total()
    assert result.evidence["server_version"].startswith("18")


def test_values_are_told_by_their_types():
    query = """SELECT 7::int8 a, 2.50::numeric b, 'NaN'::float8 c, true d, NULL e, '{"x": [1]}'::jsonb f,
        date '2026-03-10' g, '\\x00ff'::bytea h, 'ä€' i, '{1,2}'::int[] j"""
    expected = (
        '[{"a": 7, "b": 2.5, "c": "NaN", "d": true, "e": null, "f": {"x": [1]}, "g": "2026-03-10",'
        ' "h": "\\\\x00ff", "i": "ä€", "j": "{1,2}"}]'
    )
    assert answer_of(asked(query, expect=["json $[0].f.x[0] == 1", "json $[0].e == null"])) == expected


def test_null_is_no_value():
    result = asked("SELECT NULL", expect=["value != 5"])
    assert result.failure.message == "expected value != 5, got nothing"


def test_no_row_is_no_value():
    result = asked("SELECT 1 WHERE false", expect=["rows == 0", "value exists"])
    assert result.failure.message == "expected value exists, got nothing"


def test_rows_are_counted_up_to_a_thousand():
    result = asked("SELECT * FROM orders", expect=["rows == 1000", "json $[999].id == 1000"])
    assert (result.outcome, result.evidence["notes"]) == (Outcome.UP, ["cut at 1,000 rows or 20,000 values"])


@pytest.mark.parametrize(
    "statement",
    ["DELETE FROM orders", "CREATE TABLE x ()", "DROP TABLE orders", "SELECT setval('s', 1)", "SELECT 1; SELECT 2"],
)
def test_nothing_can_be_changed(statement):
    result = asked(statement)
    assert (result.outcome, result.failure.reason) == (Outcome.DOWN, Reason.REJECTED)
    assert answer_of(asked("SELECT count(*) FROM orders")) == '[{"count": 2000}]'


def test_a_mistake_in_the_query_is_told_in_the_servers_words():
    result = asked("SELECT nope")
    assert result.failure.reason is Reason.REJECTED
    assert result.failure.message == 'the server answered: column "nope" does not exist (42703)'


def test_the_server_ends_a_statement_that_we_no_longer_wait_for():
    result = asked("SELECT pg_sleep(60), 'of ours'", timeout="300ms")
    assert result.failure.reason is Reason.TIMEOUT
    alive = "SELECT count(*) FROM pg_stat_activity WHERE query LIKE '%of ours%' AND state = 'active' AND pid <> pg_backend_pid()"
    while asked(alive, expect=["value == 0"]).outcome is not Outcome.UP:
        pass  # or the test times out


def test_a_value_that_is_too_large_is_not_taken():
    result = asked("SELECT repeat('x', 2000000)")
    assert result.failure.reason is Reason.TOO_LARGE


@pytest.mark.parametrize(
    ("options", "reason", "words"),
    [
        ({"database": "nope"}, Reason.REJECTED, 'database "nope" does not exist (3D000)'),
        ({"username": "nobody"}, Reason.AUTHENTICATION, 'role "nobody" does not exist (28000)'),
        ({"username": "few"}, Reason.REJECTED, 'too many connections for role "few" (53300)'),
        ({"username": "mona"}, Reason.AUTHENTICATION, "asks for a password, and the monitor has none"),
        ({"username": "mona", "password": "wrong"}, Reason.AUTHENTICATION, "password authentication failed"),
        ({"username": "emdi", "password": "wrong"}, Reason.AUTHENTICATION, "password authentication failed"),
        ({"username": "out", "password": PASSWORD}, Reason.AUTHENTICATION, "rejects connection"),
        ({"username": "clear", "password": PASSWORD}, Reason.AUTHENTICATION, "password in clear"),
    ],
)
def test_a_refused_login_has_its_name(options, reason, words):
    result = asked(**options)
    assert result.failure.reason is reason
    assert words in result.failure.message
    assert PASSWORD not in repr(result)


@pytest.mark.parametrize(("username", "password"), [("mona", PASSWORD), ("emdi", MD5_PASSWORD)])
def test_a_password_opens_the_door(username, password):
    result = asked("SELECT current_user", username=username, password=password)
    assert answer_of(result) == f'[{{"current_user": "{username}"}}]'


@pytest.mark.parametrize("username", ["mona", "clear"])
def test_a_password_opens_the_door_over_tls(username):
    with Target(secured) as target:
        options = {"username": username, "password": PASSWORD, "port": target.port}
        result = asked("SELECT current_user", **options, expect=["tls exists", "certificate > 1d"])
    assert answer_of(result) == f'[{{"current_user": "{username}"}}]'
    assert result.latency_ns == result.phases.total()


def test_a_certificate_is_judged_where_tls_is_required():
    with Target(secured) as target:
        result = asked(tls="require", port=target.port)
        assert (result.failure.reason, result.failure.phase) == (Reason.CERTIFICATE, "tls")
        result = asked("SELECT 1 AS n", tls="require", ca=authority_pem(), port=target.port)
        assert answer_of(result) == '[{"n": 1}]'


def test_a_server_without_tls_is_down_where_it_is_required():
    result = asked(tls="require")
    assert (result.failure.reason, result.failure.message) == (Reason.TLS, "the server offers no TLS")


def test_a_stranger_is_answered():
    result = asked(username="", database="")
    assert (result.outcome, result.latency_ns) == (Outcome.UP, result.phases.total())


def test_it_asks_through_a_proxy():
    with Target(connects()) as proxy:
        result = asked("SELECT 1", proxy=f"http://{proxy.address}")
        assert proxy.connections == 1
    assert answer_of(result) == '[{"?column?": 1}]'
