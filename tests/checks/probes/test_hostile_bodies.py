"""The http kind against what targets send to those who read on: floods around a body, resets, and documents as weapons."""

from __future__ import annotations

import gzip
import json
import socket
import threading
import time
import tracemalloc

import pytest

from checks.result import Outcome, Reason
from tests.factories import make_spec
from tests.probing import probe_once
from tests.servers import Target, answers, echoes, floods, greets, hangs, reset, resets, sends, trusted

OK = b"HTTP/1.1 200 OK\r\n"
CHUNKED = OK + b"Transfer-Encoding: chunked\r\n\r\n"

FLOODS = [
    ("headers for ever", floods(OK, b"X-Many: y\r\n" * 1000), Reason.TOO_LARGE, "more than 100 headers"),
    ("100,000 headers", sends(OK + b"X-Many: y\r\n" * 100_000 + b"\r\n"), Reason.TOO_LARGE, "more than 100 headers"),
    ("a name for ever", floods(OK, b"x" * 65536), Reason.TOO_LARGE, "headers are over 64 KiB"),
    ("a reason for ever", floods(b"HTTP/1.1 200 ", b"O" * 65536), Reason.TOO_LARGE, "headers are over 64 KiB"),
    ("chunks of a byte", floods(CHUNKED, b"1;" + b"e" * 500 + b"\r\nx\r\n"), Reason.TOO_LARGE, "wrapped in more than 1 MiB"),
    ("a chunk's extension for ever", floods(CHUNKED + b"1;", b"e" * 65536), Reason.TOO_LARGE, "wrapped in more than 1 MiB"),
    ("trailers for ever", floods(CHUNKED + b"1\r\nx\r\n0\r\n", b"X-T: y\r\n" * 99), Reason.TOO_LARGE, "headers"),
    ("a trailer for ever", floods(CHUNKED + b"1\r\nx\r\n0\r\nX-T: ", b"y" * 65536), Reason.TOO_LARGE, "wrapped in more"),
    ("lines for ever", floods(b"", b"\r\n" * 1000), Reason.TOO_LARGE, "headers are over 64 KiB"),
    ("zeros for ever", floods(b"", bytes(65536)), Reason.PROTOCOL, "not a valid HTTP answer"),
    ("zeros in a header", sends(OK + b"X: a\0b\r\n\r\n"), Reason.PROTOCOL, "not a valid HTTP answer"),
    ("an invalid status line", sends(b"HTTP/1.1 2OO OK\r\n\r\n"), Reason.PROTOCOL, "not a valid HTTP answer"),
    ("another version", sends(b"HTTP/7.3 200 OK\r\n\r\n"), Reason.PROTOCOL, "not a valid HTTP answer"),
    ("a length of words", sends(OK + b"Content-Length: many\r\n\r\nabc"), Reason.PROTOCOL, "Content-Length"),
    ("a length and chunks", sends(OK + b"Content-Length: 3\r\nTransfer-Encoding: chunked\r\n\r\n0\r\n\r\n"), Reason.PROTOCOL, ""),
]  # fmt: skip


@pytest.mark.parametrize(("behave", "reason", "words"), [row[1:] for row in FLOODS], ids=[row[0] for row in FLOODS])
def test_a_flood_is_stopped_and_named(behave, reason, words):
    tracemalloc.start()
    try:
        with Target(behave) as target:
            result = probe_once(url=target.url(), timeout="5s")
        peak = tracemalloc.get_traced_memory()[1]
    finally:
        tracemalloc.stop()
    assert (result.outcome, result.failure.reason) == (Outcome.DOWN, reason), result.failure
    assert words in result.failure.message
    assert peak < 16 * 1024 * 1024


def test_a_body_longer_than_announced_is_read_to_the_announced_end():
    with Target(sends(OK + b"Content-Length: 3\r\n\r\nabcdefgh")) as target:
        assert probe_once(url=target.url(), expect=['body == "abc"', "size == 3B"]).outcome is Outcome.UP


def test_a_target_that_closes_its_half_before_it_answers_is_down():
    def behave(visit):
        visit.read_request()
        visit.sock.shutdown(socket.SHUT_WR)
        visit.wait_for_end()

    with Target(behave) as target:
        result = probe_once(url=target.url())
    assert (result.failure.reason, result.failure.message) == (
        Reason.CLOSED,
        "the connection was closed before any answer",
    )


@pytest.mark.parametrize("secured", [False, True], ids=["clear", "tls"])
def test_a_target_that_reads_nothing_of_us_costs_the_timeout(secured):
    def behave(visit):
        visit.wait(0.5)

    with Target(behave, tls=trusted() if secured else None) as target:
        result = probe_once(url=target.url(), method="POST", body="x" * 65_536, timeout="300ms", verify=False)
    assert result.failure.reason is Reason.TIMEOUT


# A reset in every phase


def after_accept(visit):
    reset(visit)


@pytest.mark.parametrize(
    ("behave", "secured", "phase"),
    [
        (after_accept, False, "first_byte"),
        (resets(), False, "first_byte"),
        (resets(OK + b"X-Half"), False, "transfer"),
        (resets(OK + b"Content-Length: 9\r\n\r\nab"), False, "transfer"),
        (resets(CHUNKED + b"5\r\nab"), False, "transfer"),
        (resets(), True, "first_byte"),
        (resets(OK + b"Content-Length: 9\r\n\r\nab"), True, "transfer"),
    ],
    ids=["after accepting", "before the answer", "headers", "body", "chunk", "tls: before the answer", "tls: body"],
)
def test_a_reset_is_named_in_its_phase(behave, secured, phase):
    with Target(behave, tls=trusted() if secured else None) as target:
        result = probe_once(url=target.url(), verify=False)
    assert (result.outcome, result.failure.reason) == (Outcome.DOWN, Reason.RESET)
    # Right after accepting, the reset may overtake the news that the connection stands.
    assert result.failure.phase == phase or (behave is after_accept and result.failure.phase == "connect")


def test_a_reset_in_the_handshake_is_named_in_its_phase():
    def behave(visit):
        visit.sock.recv(10)
        reset(visit)

    with Target(behave) as target:
        result = probe_once(url=f"https://{target.address}/")
    assert (result.outcome, result.failure.phase) == (Outcome.DOWN, "tls")
    assert result.failure.reason in (Reason.RESET, Reason.TLS)


@pytest.mark.parametrize(
    "behave",
    [
        greets(*[b"\x16", b"\x03", b"\x01"] * 20, pause=0.05),
        greets(b"\x16\x03\x01\x40\x00" + b"x" * 20_000),
        hangs,
    ],
    ids=["a byte at a time", "a record of noise", "nothing"],
)
def test_a_handshake_that_comes_to_nothing_is_down_in_its_phase(behave):
    with Target(behave) as target:
        result = probe_once(url=f"https://{target.address}/", timeout="400ms")
    assert (result.outcome, result.failure.phase) == (Outcome.DOWN, "tls")
    assert result.failure.reason in (Reason.TIMEOUT, Reason.TLS)


# Documents


DEEP = b'{"a":' * 10_000 + b"1" + b"}" * 10_000
LINE = json.dumps({"status": "ok", "filler": "x" * 5_000_000}).encode()
DOCUMENTS = [
    ("10,000 levels", DEEP, (), "json $.a exists", "a body that is not JSON: it is nested too deep"),
    ("900 levels and ..", b"[" * 900 + b"]" * 900, (), "json $..a exists", "can't be searched"),
    ("a line of 5 MB", LINE, (), 'json $.status == "ok"', "it is over 1 MiB"),
    ("a line of 2 MB in Cyrillic", ('{"state": "' + "я" * 1_000_000).encode(), (), "json $.a exists", "it is over 1 MiB"),
    ("an encoded line of 5 MB", gzip.compress(LINE), ("Content-Encoding: gzip",), 'json $.status == "ok"', "it is over 1 MiB"),
    ("many values and ..", json.dumps(list(range(100_000))).encode(), (), "json $..a exists", "more than 10,000 values"),
    ("no UTF-8", b'{"a": "\xff\xfe"}', (), 'json $.a == "x"', "is not utf-8"),
    ("zeros", bytes(1000), (), "json $.a exists", "a body that is not JSON"),
    ("a number for ever", b'{"a": ' + b"9" * 500_000 + b"}", (), "json $.a == 1", "too many digits"),
    ("10,000 levels of XML", b"<a>" * 10_000 + b"</a>" * 10_000, (), "xml //a exists", "excessive depth"),
    ("entities", b'<!DOCTYPE a [<!ENTITY x SYSTEM "file:///etc/passwd">]><a>&x;</a>', (), 'xml //a contains "root:"', "&x;"),
]  # fmt: skip


@pytest.mark.parametrize(
    ("body", "headers", "line", "words"), [row[1:] for row in DOCUMENTS], ids=[row[0] for row in DOCUMENTS]
)
def test_a_document_as_a_weapon_is_down_in_words(body, headers, line, words):
    with Target(answers(body, headers=headers)) as target:
        began = time.process_time()
        result = probe_once(url=target.url(), expect=[line], timeout="5s")
    assert (result.outcome, result.failure.reason) == (Outcome.DOWN, Reason.EXPECTATION)
    assert words in result.failure.found, result.failure.found
    assert time.process_time() - began < 1


@pytest.mark.parametrize("pattern", [r"^(a+)+$", r"(a|a)*b", r"(.*)*x$", r"(a{1,20}){1,12}b"])
def test_no_pattern_explodes(pattern):
    with Target(answers(b"a" * 100_000 + b"!")) as target:
        began = time.process_time()
        result = probe_once(url=target.url(), expect=[f'body matches "{pattern}"'])
    assert result.failure.reason is Reason.EXPECTATION
    assert time.process_time() - began < 2


def test_a_pattern_of_too_many_steps_is_refused():
    with pytest.raises(
        ValueError, match="this regular expression can be slow; write it with fewer or smaller repetitions"
    ):
        make_spec(expect=['body matches "(a{1,30}){1,30}b"'])


def test_no_thread_and_no_file_is_left_behind_by_all_that():
    before = threading.active_count()
    with Target(echoes) as target:
        probe_once(url=target.url())
    assert threading.active_count() <= before
    with Target(answers(gzip.compress(bytes(20_000_000)), headers=("Content-Encoding: gzip",))) as target:
        assert probe_once(url=target.url()).failure.reason is Reason.TOO_LARGE
    assert threading.active_count() <= before


def test_an_answer_that_is_a_redirect_has_no_body_that_counts():
    with Target(floods(b"HTTP/1.1 302 Found\r\nLocation: /\r\n\r\n", b"x" * 65536)) as target:
        result = probe_once(url=target.url())
    assert result.failure.reason is Reason.REDIRECT
    assert target.connections == 1


def test_a_body_that_was_encoded_twice_and_has_a_trailer_is_read():
    twice = gzip.compress(gzip.compress(b"hello"))
    head = b"HTTP/1.1 200 OK\r\nContent-Encoding: gzip\r\nContent-Encoding: gzip\r\nTransfer-Encoding: chunked\r\n\r\n"
    whole = head + b"%x\r\n" % len(twice) + twice + b"\r\n0\r\nContent-Encoding: br\r\nX-Late: 1\r\n\r\n"
    with Target(sends(whole)) as target:
        result = probe_once(url=target.url(), expect=['body == "hello"', "header X-Late not exists"])
    assert (result.outcome, result.failure) == (Outcome.UP, None)
