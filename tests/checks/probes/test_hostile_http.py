"""The http kind against hostile targets: bounded time, bytes and memory, and a reason that says what was seen."""

from __future__ import annotations

import gzip
import time

import pytest

from checks.result import Outcome, Reason
from tests.probing import probe_once
from tests.servers import Target, answer, answers, drips, floods, hangs, resets, sends

SHORT = "300ms"

OK = b"HTTP/1.1 200 OK\r\n"
HOSTILE = [
    ("a short body", OK + b"Content-Length: 100\r\n\r\nabc", Reason.CLOSED, "the body ended early (3 of 100 bytes)"),
    ("a negative length", OK + b"Content-Length: -5\r\n\r\nabc", Reason.PROTOCOL, "bad Content-Length"),
    ("two lengths", OK + b"Content-Length: 3\r\nContent-Length: 2\r\n\r\nabc", Reason.PROTOCOL, "Content-Length"),
    ("status 1000", b"HTTP/1.1 1000 Odd\r\nContent-Length: 0\r\n\r\n", Reason.PROTOCOL, "not a valid HTTP answer"),
    ("status 000", b"HTTP/1.1 000 Odd\r\nContent-Length: 0\r\n\r\n", Reason.PROTOCOL, "not a valid HTTP answer"),
    ("HTTP/0.9", b"<html>hello</html>", Reason.PROTOCOL, "not a valid HTTP answer"),
    ("noise", bytes(range(128, 256)) * 32, Reason.PROTOCOL, "not a valid HTTP answer"),
    ("another protocol", b"SSH-2.0-OpenSSH_9.7\r\n", Reason.PROTOCOL, "begins with 'SSH-2.0"),
    ("nothing at all", b"", Reason.CLOSED, "closed before any answer"),
    ("half a head", OK + b"Content-Le", Reason.CLOSED, "in the middle of the headers"),
    ("a bad chunk", OK + b"Transfer-Encoding: chunked\r\n\r\nxyz\r\n", Reason.PROTOCOL, "not well-formed"),
    ("half a chunk", OK + b"Transfer-Encoding: chunked\r\n\r\n5\r\nab", Reason.CLOSED, "chunked body ended early"),
    ("a huge chunk", OK + b"Transfer-Encoding: chunked\r\n\r\nffffffffffff\r\nab", Reason.CLOSED, "ended early"),
    ("broken gzip", answer(b"\x1f\x8bnot gzip", headers=("Content-Encoding: gzip",)), Reason.PROTOCOL, "gzip"),
    ("a huge header", OK + b"X-Big: " + b"x" * 10_000_000 + b"\r\n\r\n", Reason.TOO_LARGE, "headers are over 64 KiB"),
    ("many headers", OK + b"X-Many: y\r\n" * 20_000 + b"\r\n", Reason.TOO_LARGE, "more than 100 headers"),
    ("a header for ever", OK + b"X-Big: " + b"x" * 200_000, Reason.TOO_LARGE, "headers are over 64 KiB"),
    ("endless 1xx", b"HTTP/1.1 100 Continue\r\n\r\n" * 1000, Reason.PROTOCOL, "more than 8 informational answers"),
]


@pytest.mark.parametrize(("raw", "reason", "words"), [row[1:] for row in HOSTILE], ids=[row[0] for row in HOSTILE])
def test_an_answer_that_is_none_is_down_in_words(raw, reason, words):
    with Target(sends(raw)) as target:
        result = probe_once(url=target.url(), timeout="3s")
    assert (result.outcome, result.failure.reason) == (Outcome.DOWN, reason)
    assert words in result.failure.message
    assert not result.complete


SLOW = [
    ("a dripping body", drips(OK + b"Content-Length: 100000\r\n\r\n"), "transfer", "while reading the answer"),
    ("dripping headers", drips(OK + b"X-Slow: "), "transfer", "while reading the answer"),
    ("dripping 1xx", drips(b"", b"HTTP/1.1 100 Continue\r\n\r\n", 0.1), "transfer", "while reading the answer"),
    ("no answer", hangs, "first_byte", "while waiting for the first byte"),
]


@pytest.mark.parametrize(("behave", "phase", "words"), [row[1:] for row in SLOW], ids=[row[0] for row in SLOW])
def test_a_slow_target_costs_its_timeout_and_no_more(behave, phase, words):
    with Target(behave) as target:
        began = time.monotonic()
        result = probe_once(url=target.url(), timeout=SHORT)
    assert time.monotonic() - began < 5
    assert (result.outcome, result.failure.reason, result.failure.phase) == (Outcome.DOWN, Reason.TIMEOUT, phase)
    assert result.failure.message.startswith(f"timed out after 0.3 s {words}")


def test_a_timeout_in_the_body_says_how_much_came():
    with Target(sends(OK + b"Content-Length: 100000\r\n\r\nabcdef", close=False)) as target:
        result = probe_once(url=target.url(), timeout=SHORT)
    assert result.failure.message == "timed out after 0.3 s while reading the answer (6 bytes of the body so far)"
    assert result.evidence["body"] == "abcdef"
    assert result.evidence["status"] == 200


def test_a_handshake_that_is_never_answered_times_out_as_such():
    with Target(hangs) as target:
        result = probe_once(url=f"https://{target.address}/", timeout=SHORT)
    assert result.failure.message == "timed out after 0.3 s during the TLS handshake"


@pytest.mark.parametrize(
    "start", [OK + b"\r\n", OK + b"Content-Length: 99999999999\r\n\r\n"], ids=["no length", "a long length"]
)
def test_an_endless_body_is_cut_and_judged_by_what_came(start):
    with Target(floods(start, b"x" * 65536)) as target:
        result = probe_once(url=target.url(), timeout="5s", explain=True)
        unmet = probe_once(url=target.url(), timeout="5s", expect=['body contains "keyword"'])
    assert result.outcome is Outcome.UP
    assert result.evidence["notes"] == ["body cut at 1 MiB"]
    assert unmet.failure.reason is Reason.EXPECTATION
    assert unmet.evidence["notes"] == ["body cut at 1 MiB"]


def test_an_endless_chunked_body_is_cut():
    with Target(floods(OK + b"Transfer-Encoding: chunked\r\n\r\n", b"10000\r\n" + b"x" * 65536 + b"\r\n")) as target:
        result = probe_once(url=target.url(), timeout="5s", expect=["status == 200", "size not exists"])
    assert result.outcome is Outcome.UP


def test_bytes_after_the_answer_are_nobodys_business():
    with Target(sends(answer(b"ok") + b"garbage beyond")) as target:
        assert probe_once(url=target.url(), expect=['body == "ok"']).outcome is Outcome.UP


@pytest.mark.parametrize("start", [b"", OK + b"Content-Length: 9\r\n\r\nab"], ids=["before the answer", "in the body"])
def test_a_reset_is_down_as_such(start):
    with Target(resets(start)) as target:
        result = probe_once(url=target.url())
    assert (result.outcome, result.failure.reason) == (Outcome.DOWN, Reason.RESET)


def test_a_body_without_a_length_ends_with_the_connection():
    with Target(sends(OK + b"\r\nall of it")) as target:
        assert probe_once(url=target.url(), expect=['body == "all of it"']).outcome is Outcome.UP


def test_lines_may_end_as_old_servers_end_them():
    with Target(sends(b"HTTP/1.1 200 OK\nContent-Length: 2\n\nok")) as target:
        assert probe_once(url=target.url()).outcome is Outcome.UP


def test_a_status_that_no_standard_knows_is_for_the_expectation_to_judge():
    with Target(sends(b"HTTP/1.1 999 Request denied\r\nContent-Length: 0\r\n\r\n")) as target:
        assert probe_once(url=target.url()).failure.message == "expected status in 200-299, got 999"
        assert probe_once(url=target.url(), expect=["status in 200, 999"]).outcome is Outcome.UP


def test_an_early_hint_is_not_the_answer():
    with Target(sends(b"HTTP/1.1 103 Early Hints\r\nLink: </a>\r\n\r\n" + answer(b"real"))) as target:
        assert probe_once(url=target.url(), expect=["status == 200", "header Link not exists"]).outcome is Outcome.UP


def test_gzip_that_was_not_asked_for_is_read_all_the_same():
    body = gzip.compress(b'{"a": 1}')
    with Target(answers(body, headers=("Content-Encoding: gzip",))) as target:
        assert probe_once(url=target.url(), expect=["json $.a == 1", f"size == {len(body)}B"]).outcome is Outcome.UP


def test_a_body_in_an_unknown_encoding_fails_what_is_expected_of_it():
    with Target(answers(b"\x0b\x02\x80", headers=("Content-Encoding: sdch",))) as target:
        result = probe_once(url=target.url(), expect=['body contains "x"'])
    assert result.outcome is Outcome.DOWN
    assert result.evidence["notes"] == ["unknown content-encoding sdch: the body was not read"]


@pytest.mark.parametrize(
    ("content_type", "body"),
    [
        ("text/plain; charset=utf-16", "keyword".encode("utf-16")),
        ("text/plain", "keyword".encode("utf-16")),
        ("text/plain; charset=rot13", b"keyword"),
        ("text/plain; charset=punycode", b"keyword"),
        ("text/plain; charset=no-such-thing", b"keyword"),
        ("text/plain; charset=utf\x00-8", b"keyword"),
        ('text/plain; charset="', b"keyword"),
        ("text/plain", b"\xff\xfe\xc3\x28"[2:] + b"keyword"),
    ],
)
def test_a_keyword_is_found_whatever_the_charset_says(content_type, body):
    with Target(answers(body, headers=(f"Content-Type: {content_type}",))) as target:
        result = probe_once(url=target.url(), expect=['body contains "keyword"'])
    if "\x00" in content_type:
        assert result.failure.reason is Reason.PROTOCOL
    else:
        assert result.outcome is Outcome.UP, result


@pytest.mark.parametrize("body", [b"[" * 200_000, b"9" * 200_000, b"<html>", b"", b"\xff\xfe"])
def test_a_body_that_is_no_usable_json_is_down(body):
    with Target(answers(body)) as target:
        result = probe_once(url=target.url(), expect=["json $.a == 1"])
    assert (result.outcome, result.failure.reason) == (Outcome.DOWN, Reason.EXPECTATION)
