"""The tcp kind against real servers on loopback."""

from __future__ import annotations

import errno
import time

import pytest
from pydantic import ValidationError

from checks.result import Outcome, Reason
from tests.factories import make_spec
from tests.probing import probe_once
from tests.servers import (
    Target,
    authority_pem,
    closed_port,
    dated,
    drips,
    floods,
    greets,
    hangs,
    reset,
    silent,
    trusted,
)


def probe_tcp(address, **options):
    return probe_once(kind="tcp", address=address, **options)


def test_a_port_that_accepts_is_up_without_a_word():
    with Target(hangs) as target:
        result = probe_tcp(target.address)
    assert result.outcome is Outcome.UP
    assert set(result.phases.as_dict()) == {"connect"}
    assert result.latency_ns == result.phases.connect


def test_a_refused_port_is_down():
    result = probe_tcp(f"127.0.0.1:{closed_port()}")
    assert (result.outcome, result.failure.reason) == (Outcome.DOWN, Reason.REFUSED)


def test_a_filtered_port_times_out_while_connecting():
    with silent() as port:
        result = probe_tcp(f"127.0.0.1:{port}", timeout="300ms")
    assert (result.outcome, result.failure.message) == (Outcome.DOWN, "timed out after 0.3 s while connecting")


def test_a_banner_is_read_and_timed():
    with Target(greets(b"220 mail.example.org ESMTP\r\n")) as target:
        result = probe_tcp(target.address, expect=['banner contains "ESMTP"'], explain=True)
    assert result.outcome is Outcome.UP
    assert result.latency_ns == result.phases.total()
    assert result.phases.first_byte is not None
    assert result.evidence["banner"] == "220 mail.example.org ESMTP\n"


def test_a_banner_in_several_lines_is_read_until_it_says_what_is_expected():
    with Target(greets(b"220-welcome\r\n", b"220 ESMTP ready\r\n", pause=0.05)) as target:
        assert probe_tcp(target.address, expect=['banner contains "ready"']).outcome is Outcome.UP


def test_another_banner_is_down_soon_and_the_silence_after_it_is_not_latency():
    with Target(greets(b"SSH-2.0-OpenSSH\r\n")) as target:
        began = time.monotonic()
        result = probe_tcp(target.address, expect=['banner contains "ESMTP"'])
    assert time.monotonic() - began < 5
    assert result.failure.message == 'expected banner contains "ESMTP", got "SSH-2.0-OpenSSH\\r\\n"'
    assert result.latency_ns < 1_000_000_000


def test_a_banner_that_never_comes_times_out():
    with Target(hangs) as target:
        result = probe_tcp(target.address, expect=["banner exists"], timeout="200ms")
    assert (result.failure.reason, result.failure.phase) == (Reason.TIMEOUT, "first_byte")


def test_a_connection_that_is_closed_without_a_banner_is_down():
    with Target(greets(close=True)) as target:
        result = probe_tcp(target.address, expect=["banner exists"])
    assert result.failure.message == "expected banner exists, got nothing"


def test_a_reset_before_the_banner_is_down_as_such():
    def accepts_and_resets(visit):
        visit.wait(0.05)
        reset(visit)

    with Target(accepts_and_resets) as target:
        assert probe_tcp(target.address, expect=["banner exists"]).failure.reason is Reason.RESET


def test_what_is_sent_is_answered():
    def redis(visit):
        if visit.sock.recv(100) == b"PING\r\n":
            visit.send(b"+PONG\r\n")
        visit.wait_for_end()

    with Target(redis) as target:
        assert probe_tcp(target.address, send="PING\r\n", expect=['banner contains "PONG"']).outcome is Outcome.UP


def test_an_endless_banner_is_cut():
    with Target(floods(b"", b"x" * 65536)) as target:
        result = probe_tcp(target.address, send="\r\n\r\n", expect=['banner contains "y"'], timeout="5s")
    assert result.failure.reason is Reason.EXPECTATION
    assert len(result.evidence["banner"]) == 4096


def test_a_dripping_banner_costs_the_timeout_and_no_more():
    with Target(drips(b"", b"x", 0.02)) as target:
        result = probe_tcp(target.address, send="\r\n\r\n", expect=['banner contains "y"'], timeout="300ms")
    assert (result.failure.reason, result.failure.phase) == (Reason.TIMEOUT, "transfer")
    assert "bytes so far" in result.failure.message


def test_a_banner_is_read_over_tls():
    with Target(greets(b"* OK IMAP4\r\n"), tls=trusted()) as target:
        lines = ['banner contains "IMAP4"', "certificate > 1d"]
        result = probe_tcp(target.address, tls=True, ca=authority_pem(), expect=lines)
    assert result.outcome is Outcome.UP, result
    assert result.phases.tls is not None


def test_a_certificate_is_judged_without_a_banner():
    with Target(hangs, tls=dated(begins_in_days=-10, ends_in_days=-1)) as target:
        result = probe_tcp(target.address, tls=True, ca=authority_pem())
    assert result.failure.reason is Reason.CERTIFICATE


@pytest.mark.parametrize(
    ("options", "words"),
    [
        ({"address": "mail.example.org"}, "has no port; write host:port"),
        ({"address": "mail.example.org:"}, "has the port ''"),
        ({"address": "mail.example.org:70000"}, "allowed: 1 to 65535"),
        ({"address": ":25"}, "has no port; write host:port"),
        ({"address": "tcp://mail.example.org:25"}, "begins with a scheme"),
        ({"address": "::1:25"}, "an IPv6 address stands in brackets"),
        ({"address": "[::1:25"}, "stands in brackets"),
        ({"address": "[nonsense]:25"}, "which are for IPv6 addresses"),
        ({"address": "mail example.org:25"}, "has a space at position 5"),
        ({"address": "a:25", "ca": authority_pem()}, "of use with tls only"),
        ({"address": "a:25", "expect": ["status == 200"]}, "unknown subject 'status'"),
    ],
)
def test_a_wrong_option_is_refused_in_words(options, words):
    with pytest.raises(ValidationError) as caught:
        make_spec(kind="tcp", **options)
    assert words in str(caught.value)


@pytest.mark.parametrize(
    ("said", "options", "outcome"),
    [
        (b"HELLO v1", {"expect": ['banner contains "HELLO"'], "degraded": ['banner contains "v2"']}, Outcome.DEGRADED),
        (
            b"HELLO v1\r\n",
            {"expect": ['banner contains "HELLO"'], "degraded": ['banner contains "v2"']},
            Outcome.DEGRADED,
        ),
        (b"", {"degraded": ["banner exists"]}, Outcome.DEGRADED),
        (b"", {"expect": ["banner not exists"]}, Outcome.UP),
        (b"HELLO v2", {"degraded": ['banner contains "v2"']}, Outcome.UP),
        (b"HELLO", {"expect": ['banner contains "BYE"'], "degraded": ["banner exists"]}, Outcome.DOWN),
    ],
)
def test_who_does_not_say_what_only_degraded_asks_for_is_not_down(said, options, outcome):
    with Target(greets(said)) as target:
        assert probe_tcp(target.address, timeout="1s", **options).outcome is outcome


def test_a_connection_that_times_out_is_no_silence(monkeypatch):
    async def listen(*_):
        raise TimeoutError(errno.ETIMEDOUT, "Connection timed out")

    monkeypatch.setattr("checks.protocols.dialogue.Dialogue.listen", listen)
    with Target(hangs) as target:
        result = probe_tcp(target.address, degraded=["banner exists"])
    assert (result.outcome, result.failure.message) == (Outcome.DOWN, "the connection timed out")
