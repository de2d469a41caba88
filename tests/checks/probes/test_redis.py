"""`redis` against a real Redis."""

from __future__ import annotations

import json

import pytest

from checks.result import Outcome, Reason
from tests import redis
from tests.factories import make_spec
from tests.probing import probe_once
from tests.redis import PASSWORD, READER, READERS_PASSWORD
from tests.servers import Target, authority_pem, greets

pytestmark = pytest.mark.xdist_group("redis")


def asked(command="", *, port=0, **options):
    given = {"password": PASSWORD} | options
    address = f"127.0.0.1:{port or redis.server().port}"
    return probe_once(kind="redis", address=address, command=command, explain=True, **given)


def answer_of(result):
    assert (result.outcome, result.failure) == (Outcome.UP, None)
    return json.loads(result.evidence["json"])


@pytest.mark.parametrize(
    ("command", "answer", "lines"),
    [
        ("", "PONG", ['value == "PONG"', "rows == 1"]),
        ("GET queued", "42", ["value == 42", "value < 43", 'value == "42"']),
        ("LLEN jobs", 3, ["value == 3", "json $ == 3"]),
        ("LRANGE jobs 0 -1", ["first", "second", "third"], ["rows == 3", 'value == "first"', 'json $[2] == "third"']),
        ("GET absent", None, ["rows == 0", "value not exists"]),
        ("""EVAL 'return {1, {2}, false, redis.error_reply("MOVED 1 h:1")}' 0""", [1, [2], None, "MOVED 1 h:1"], []),
    ],
)
def test_an_answer_meets_expectations(command, answer, lines):
    result = asked(command, expect=[*lines, "latency < 5s"])
    assert answer_of(result) == answer
    assert result.latency_ns == result.phases.total()


def test_what_info_says_is_an_object():
    lines = ['json $.role == "master"', "json $.connected_clients < 1000", "json $.uptime_in_seconds >= 0"]
    assert asked("INFO", expect=lines).outcome is Outcome.UP


def test_what_is_absent_fails_an_expectation():
    assert asked("GET absent", expect=["value < 5"]).failure.message == "expected value < 5, got nothing"


@pytest.mark.parametrize(
    ("options", "reason", "words"),
    [
        ({"password": "wrong-password"}, Reason.AUTHENTICATION, "WRONGPASS"),
        ({"password": "", "command": "GET queued"}, Reason.AUTHENTICATION, "NOAUTH"),
        ({"username": READER, "password": READERS_PASSWORD, "command": "DEL queued"}, Reason.AUTHENTICATION, "NOPERM"),
        ({"database": 99}, Reason.REJECTED, "ERR DB index is out of range"),
        ({"command": "NOPE"}, Reason.REJECTED, "ERR unknown command"),
        ({"command": "LLEN queued"}, Reason.REJECTED, "WRONGTYPE"),
    ],
)
def test_a_refusal_has_its_name(options, reason, words):
    result = asked(**options)
    assert result.failure.reason is reason
    assert words in result.failure.message
    assert options.get("password") or PASSWORD not in repr(result)


def test_a_user_who_may_only_read_reads():
    assert answer_of(asked("GET queued", username=READER, password=READERS_PASSWORD)) == "42"


def test_a_database_is_selected():
    assert answer_of(asked("GET queued", database=1)) is None


def test_a_stranger_is_answered():
    assert asked(password="").outcome is Outcome.UP


def test_a_certificate_is_judged():
    port = redis.server().tls_port
    assert asked(tls=True, port=port).failure.reason is Reason.CERTIFICATE
    result = asked(tls=True, port=port, ca=authority_pem(), expect=["certificate > 1d"])
    assert answer_of(result) == "PONG"


@pytest.mark.parametrize(
    ("said", "words"),
    [
        (b"-LOADING Redis is loading the dataset in memory\r\n", "LOADING Redis is loading"),
        (b"-MOVED 3999 127.0.0.1:1\r\n", "MOVED 3999 127.0.0.1:1"),
        (b"-ERR max number of clients reached\r\n", "max number of clients reached"),
    ],
)
def test_what_a_server_says_instead_is_told_and_not_followed(said, words):
    with Target(greets(said)) as target:
        result = probe_once(kind="redis", address=target.address, command="GET x")
    assert result.failure.reason is Reason.REJECTED
    assert words in result.failure.message


@pytest.mark.parametrize(
    ("options", "words"),
    [
        ({"command": "MONITOR"}, "MONITOR has no end"),
        ({"command": "hello 3"}, "HELLO changes how the server answers"),
        ({"command": "CLIENT reply OFF"}, "CLIENT changes how the server answers"),
        ({"command": '""'}, "is an empty word"),
        ({"command": "GET 'x"}, "No closing quotation"),
        ({"username": "eve"}, "username: needs a password"),
        ({"database": -1}, "greater than or equal to 0"),
    ],
)
def test_options_that_make_no_sense_are_refused(options, words):
    with pytest.raises(ValueError, match=words):
        make_spec(kind="redis", **options)
