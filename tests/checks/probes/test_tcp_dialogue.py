"""The dialogue of the tcp kind: steps that send, read and go over to TLS."""

from __future__ import annotations

import pytest
from pydantic import ValidationError

from checks.result import Outcome, Reason
from tests import redis
from tests.dialogues import SMTP, talks
from tests.factories import make_spec
from tests.probing import probe_once
from tests.servers import Target, authority_pem, floods, greets, hangs, trusted

GREETING = b"220 mail.example.org ESMTP\r\n"
EHLO = {"send": "EHLO monitor\r\n", "expect": ['reply contains "STARTTLS"', 'reply matches "(?m)^250 "']}
STARTTLS = {"send": "STARTTLS\r\n", "expect": ['reply matches "^220 "'], "starttls": True}


def probe_tcp(address, *steps, **options):
    return probe_once(kind="tcp", address=address, dialogue=list(steps), explain=True, **options)


@pytest.mark.xdist_group("redis")
def test_a_real_redis_is_spoken_with():
    server = redis.server()
    result = probe_tcp(
        f"127.0.0.1:{server.port}",
        {"send": f"AUTH {redis.PASSWORD}\r\n", "expect": ['reply == "+OK\\r\\n"']},
        {"send": "SET seen yes\r\n", "expect": ['reply == "+OK\\r\\n"']},
        {"send": "GET seen\r\n", "expect": ['reply contains "yes"']},
        expect=['reply matches "yes"'],
    )
    assert (result.outcome, result.failure) == (Outcome.UP, None)
    assert len(result.evidence["replies"]) == 3
    assert result.latency_ns == result.phases.total()


def test_a_mail_server_is_spoken_with_in_clear_and_over_tls():
    replies = SMTP | {b"NOOP": b"250 done\r\n"}
    with Target(talks(GREETING, replies, trusted())) as target:
        result = probe_tcp(
            f"localhost:{target.port}",
            {"expect": ['reply matches "^220 "']},
            EHLO,
            STARTTLS,
            {"send": "NOOP\r\n", "expect": ['reply == "250 done\\r\\n"']},
            ca=authority_pem(),
            expect=["certificate > 1d", 'reply contains "done"'],
        )
    assert (result.outcome, result.failure) == (Outcome.UP, None)
    assert target.requests == [b"EHLO monitor", b"STARTTLS", b"NOOP"]
    assert result.phases.tls is not None
    assert result.latency_ns == result.phases.total()
    assert result.evidence["replies"][0].startswith("220 mail.example.org")
    assert result.evidence["certificate"]["names"]


def test_bytes_are_sent_and_compared_in_hexadecimal():
    with Target(talks(b"", {b"\x01\xff": b"\x00\xfe\x02\r\n"})) as target:
        result = probe_tcp(
            target.address,
            {"send_hex": "01 ff 0D0A", "expect": ['reply_hex matches "^00fe"']},
            expect=['reply_hex == "00fe020d0a"'],
        )
    assert (result.outcome, result.failure) == (Outcome.UP, None)
    assert target.requests == [b"\x01\xff"]


def test_another_reply_is_down_by_the_number_of_its_step_and_nothing_more_is_said():
    with Target(talks(GREETING, SMTP | {b"EHLO": b"550 go away\r\n"})) as target:
        result = probe_tcp(target.address, {"expect": ["reply exists"]}, EHLO, STARTTLS)
    assert (result.outcome, result.failure.reason) == (Outcome.DOWN, Reason.EXPECTATION)
    assert result.failure.message == 'step 2: expected reply contains "STARTTLS", got "550 go away\\r\\n"'
    assert result.latency_ns is None
    assert target.requests == [b"EHLO monitor"]


def test_a_reply_that_never_comes_times_out_in_its_step():
    with Target(talks(GREETING, {})) as target:
        result = probe_tcp(target.address, {"expect": ["reply exists"]}, EHLO, timeout="300ms")
    assert result.failure.reason is Reason.TIMEOUT
    assert result.failure.message == "step 2: timed out after 0.3 s while waiting for the first byte"


def test_a_step_without_expectations_reads_nothing():
    with Target(talks(b"", {b"B": b"b\r\n"})) as target:
        result = probe_tcp(target.address, {"send": "A\r\n"}, {"send": "B\r\n", "expect": ['reply == "b\\r\\n"']})
    assert result.outcome is Outcome.UP
    assert target.requests == [b"A", b"B"]


def test_what_comes_in_clear_after_the_agreement_is_refused():
    with Target(talks(GREETING, SMTP | {b"STARTTLS": b"220 go\r\n250 injected\r\n"}, trusted())) as target:
        result = probe_tcp(target.address, {"expect": ["reply exists"]}, EHLO, STARTTLS, verify=False)
    assert (result.outcome, result.failure.reason) == (Outcome.DOWN, Reason.TLS)
    assert result.failure.message.startswith("step 3: 14 bytes came in clear")


def test_a_connection_that_is_closed_in_the_middle_is_down():
    with Target(greets(b"220 hello\r\n", close=True)) as target:
        result = probe_tcp(target.address, {"expect": ["reply exists"]}, EHLO)
    assert result.outcome is Outcome.DOWN
    assert result.failure.message.startswith('step 2: expected reply contains "STARTTLS", got nothing')


def test_an_endless_reply_is_cut():
    with Target(floods(b"", b"x" * 65536)) as target:
        steps = ({"send": "\r\n\r\n", "expect": ['reply contains "y"']},)
        result = probe_tcp(target.address, *steps, timeout="5s")
    assert result.failure.reason is Reason.EXPECTATION
    assert len(result.evidence["replies"][0]) == 4096


def test_a_degraded_line_may_speak_about_the_last_reply():
    with Target(greets(b"220 old\r\n")) as target:
        result = probe_tcp(target.address, {"expect": ["reply exists"]}, degraded=['reply contains "new"'])
    assert result.outcome is Outcome.DEGRADED


def test_a_dialogue_may_only_send():
    with Target(hangs) as target:
        assert probe_tcp(target.address, {"send": "hello\r\n"}).outcome is Outcome.UP


@pytest.mark.parametrize(
    ("options", "words"),
    [
        ({"dialogue": [{}]}, "a step needs send, send_hex, expect or starttls"),
        ({"dialogue": [{"send": "a", "send_hex": "00"}]}, "two ways to write what is sent"),
        ({"dialogue": [{"send_hex": "0g"}]}, "'0g' is not hexadecimal; write two digits a byte"),
        ({"dialogue": [{"expect": ["banner exists"]}]}, "unknown subject 'banner'"),
        ({"dialogue": [{"expect": ["reply exists"], "then": 1}]}, "Extra inputs are not permitted"),
        ({"dialogue": [{"starttls": True}, {"starttls": True}]}, "TLS begins once"),
        ({"dialogue": [{"starttls": True}], "tls": True}, "TLS begins once"),
        ({"dialogue": [{"send": "a"}], "send": "b"}, "send: belongs into the first step"),
        ({"dialogue": [{"send": "a"}], "expect": ["banner exists"]}, "say what the banner must be in its first step"),
        ({"expect": ["reply exists"]}, "reply is of use with a dialogue only"),
        ({"dialogue": [{"send": "a"}], "server_name": "a.example"}, "server_name: is of use with tls only"),
        ({"dialogue": [{"send": "a"}] * 21}, "at most 20 items"),
    ],
)
def test_a_wrong_dialogue_is_refused_in_words(options, words):
    with pytest.raises(ValidationError) as caught:
        make_spec(kind="tcp", address="a:25", **options)
    assert words in str(caught.value)
