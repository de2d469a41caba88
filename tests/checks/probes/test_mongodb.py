"""`mongodb` against a server of the tests' own that speaks its protocol: no real one can be installed here."""

from __future__ import annotations

import json
from datetime import UTC, datetime

import pytest
from bson import Decimal128, ObjectId

from checks.probes import parse_spec
from checks.result import Outcome, Reason
from checks.spec import dump
from tests.factories import make_spec
from tests.mongo import COMMANDS, PASSWORD, USER, Mongo
from tests.probing import probe_once
from tests.servers import Target, authority_pem, trusted

STUCK = '{"count": "orders", "query": {"state": "stuck"}}'


def asked(command="", *, server=None, tls=None, **options):
    with Target(server or Mongo(), tls=tls) as target:
        return probe_once(kind="mongodb", address=target.address, command=command, explain=True, **options)


@pytest.mark.parametrize(
    ("command", "lines"),
    [
        (STUCK, ["value == 200", "rows == 1", "json $.n == 200"]),
        ('{"find": "orders", "filter": {"state": "stuck"}}', ["rows == 200", "value == 10", "json $[0]._id == 10"]),
        ('{"find": "orders"}', ["rows == 1000", "json $[999]._id == 1000"]),
        ('{"find": "orders", "filter": {"state": "lost"}}', ["rows == 0", "value not exists"]),
        ('{"distinct": "orders", "key": "state"}', ["rows == 2", 'value == "sent"', 'json $[1] == "stuck"']),
        ('{"ping": 1}', ["rows == 1", "json $.ok == 1"]),
    ],
)
def test_the_answer_of_a_command_meets_expectations(command, lines):
    result = asked(command, expect=[*lines, "latency < 5s"])
    assert (result.outcome, result.failure) == (Outcome.UP, None)
    assert result.latency_ns == result.phases.total()


def test_what_is_left_of_an_answer_does_not_wait_on_the_server():
    server = Mongo()
    result = asked('{"aggregate": "orders", "pipeline": []}', server=server, expect=["rows == 1000"])
    assert result.evidence["notes"] == ["cut at 1,000 rows or 20,000 values"]
    assert (server.heard[-1]["killCursors"], server.heard[-1]["cursors"]) == ("orders", [77])


def test_values_are_told_by_their_types():
    document = {
        "id": ObjectId("65f0c0ffee65f0c0ffee65f0"),
        "price": Decimal128("12.50"),
        "placed": datetime(2026, 3, 10, 12, 20, tzinfo=UTC),
        "picture": b"\0\xff",
        "lost": None,
        "ratio": float("inf"),
    }
    result = asked('{"ping": 1}', server=Mongo(commands={"ping": lambda _: {"document": document, "ok": 1.0}}))
    assert json.loads(result.evidence["json"])["document"] == {
        "id": "65f0c0ffee65f0c0ffee65f0",
        "price": "12.50",
        "placed": "2026-03-10T12:20:00+00:00",
        "picture": "0x00ff",
        "lost": None,
        "ratio": "inf",
    }


def test_a_command_says_where_it_goes_and_how_long_it_may_take():
    server = Mongo()
    asked(STUCK, server=server, database="shop", timeout="3s")
    heard = server.heard[-1]
    assert (heard["$db"], heard["maxTimeMS"], heard["$readPreference"]) == ("shop", 3000, {"mode": "primaryPreferred"})


@pytest.mark.parametrize("mechanism", ["SCRAM-SHA-256", "SCRAM-SHA-1"])
def test_a_password_opens_the_door(mechanism):
    server = Mongo(login=True, mechanism=mechanism)
    result = asked(STUCK, server=server, username=USER, password=PASSWORD, expect=["value == 200"])
    assert (result.outcome, result.failure) == (Outcome.UP, None)
    assert [command["$db"] for command in server.heard[1:3]] == ["admin", "admin"]


@pytest.mark.parametrize(
    ("options", "server", "words"),
    [
        ({}, {}, "Command count requires authentication (Unauthorized)"),
        ({"username": USER, "password": "wrong"}, {}, "Authentication failed. (AuthenticationFailed)"),
        ({"username": "nobody", "password": PASSWORD}, {}, "Authentication failed. (AuthenticationFailed)"),
        ({"username": USER, "password": PASSWORD}, {"rounds": 2_000_000_000}, "asks for 2000000000 iterations"),
        ({"username": USER, "password": PASSWORD}, {"rounds": 100}, "asks for 100 iterations"),
        ({"username": USER, "password": PASSWORD}, {"mechanism": "PLAIN"}, "offers ['PLAIN'] only"),
    ],
)
def test_a_refused_login_has_its_name(options, server, words):
    result = asked(STUCK, server=Mongo(login=True, **server), **options)
    assert result.failure.reason is Reason.AUTHENTICATION
    assert words in result.failure.message
    assert PASSWORD not in repr(result)


@pytest.mark.parametrize("offered", [7, "SCRAM-SHA-256", b"PLAIN", {"SCRAM-SHA-256": 1}])
def test_mechanisms_that_are_no_list_are_no_offer(offered):
    server = Mongo(login=True, role={"saslSupportedMechs": offered})
    result = asked(server=server, username=USER, password=PASSWORD)
    assert result.failure.reason is Reason.AUTHENTICATION
    assert "only; we speak SCRAM" in result.failure.message


def test_a_refused_command_is_told_in_the_servers_words():
    result = asked('{"top": 1}')
    assert result.failure.reason is Reason.REJECTED
    assert result.failure.message == "the server answered: no such command: 'top' (CommandNotFound)"


@pytest.mark.parametrize(
    ("role", "shown"),
    [
        ({"isWritablePrimary": True}, "standalone"),
        ({"isWritablePrimary": True, "setName": "rs0", "hosts": ["169.254.169.254:80"]}, "primary"),
        ({"isWritablePrimary": False, "secondary": True, "setName": "rs0", "primary": "10.0.0.1:1"}, "secondary"),
        ({"isWritablePrimary": True, "msg": "isdbgrid"}, "router"),
        ({"isWritablePrimary": False}, "not ready"),
    ],
)
def test_the_role_of_a_member_is_told_and_no_other_member_is_asked(role, shown):
    result = asked(server=Mongo(role=role))
    assert (result.outcome, result.evidence["role"]) == (Outcome.UP, shown)


def test_a_stranger_is_answered():
    assert asked(server=Mongo(login=True)).outcome is Outcome.UP


def test_a_certificate_is_judged():
    with Target(Mongo(), tls=trusted()) as target:
        options = {"kind": "mongodb", "address": target.address}
        assert probe_once(**options, tls=True).failure.reason is Reason.CERTIFICATE
        assert probe_once(**options, tls=True, ca=authority_pem(), expect=["certificate > 1d"]).outcome is Outcome.UP


def test_a_command_may_be_a_mapping():
    spec = make_spec(kind="mongodb", command={"count": "orders", "query": {"state": "stuck"}})
    assert spec.command == STUCK
    assert parse_spec(dump(spec)) == spec


def test_a_long_answer_is_refused_by_its_announced_length():
    def long(_):
        return {"text": "x" * 2_000_000, "ok": 1.0}

    result = asked('{"ping": 1}', server=Mongo(commands={**COMMANDS, "ping": long}))
    assert result.failure.reason is Reason.TOO_LARGE


@pytest.mark.parametrize(
    ("options", "words"),
    [
        ({"command": "ping"}, "is no JSON"),
        ({"command": "[]"}, "no command that only reads"),
        ({"command": '{"drop": "orders"}'}, "no command that only reads; allowed"),
        ({"command": '{"aggregate": "a", "pipeline": [{"$out": "b"}]}'}, r"has a stage that writes: \$out"),
        ({"command": r'{"aggregate": "a", "pipeline": [{"\u0024out": "b"}]}'}, r"has a stage that writes: \$out"),
        ({"command": '{"count": "x", "query": {"a": 99999999999999999999}}'}, "is no extended JSON"),
        ({"command": r'{"count": "x", "query": {"b\u0000b": 1}}'}, "is no extended JSON"),
        ({"command": '{"count": "x", "query": {"$numberLong": "99999999999999999999"}}'}, "is no extended JSON"),
        ({"command": '{"count": "x", "query": {"d": {"$date": 1e400}}}'}, "is no "),
        ({"command": '{"count": "x", "query": {"d": {"$numberDecimal": "abc"}}}'}, "is no extended JSON"),
        ({"command": '{"count": "x", "query": {"d": {"$oid": "zz"}}}'}, "is no extended JSON"),
        ({"command": '{"ping": 1, "$undefined": true}'}, "is no extended JSON"),
        ({"username": "eve"}, "password: username and password belong together"),
        ({"password": "secret"}, "username: username and password belong together"),
    ],
)
def test_options_that_make_no_sense_are_refused(options, words):
    with pytest.raises(ValueError, match=words):
        make_spec(kind="mongodb", **options)
