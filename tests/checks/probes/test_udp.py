"""The kind `udp`, against real sockets."""

from __future__ import annotations

import socket
import threading

import pytest
from pydantic import ValidationError

from checks.result import Outcome, Reason
from tests.datagrams import answering
from tests.factories import make_spec
from tests.probing import probe_once
from tests.servers import closed_port


def asked(address, **options):
    return probe_once(**{"kind": "udp", "address": address, "send": "ping", **options})


@pytest.mark.parametrize("host", ["127.0.0.1", "::1"])
def test_a_datagram_that_comes_back_is_up(host):
    with answering(lambda data: b"re: " + data, host) as address:
        result = asked(address, expect=['reply == "re: ping"', "latency < 5s", "size == 8B"])
    assert result.outcome is Outcome.UP, result.failure
    assert result.latency_ns == result.phases.total()
    assert result.phases.first_byte > 0


def test_bytes_are_sent_and_judged_in_hexadecimal():
    with answering(lambda data: data[::-1]) as address:
        result = asked(address, send="", send_hex="ff 00 0A1b", expect=['reply_hex == "1b0a00ff"'])
    assert result.outcome is Outcome.UP, result.failure


def test_another_answer_is_down_and_is_evidence():
    with answering(lambda _: b"no\0" + b"x" * 9000) as address:
        result = asked(address, expect=['reply contains "yes"'])
    assert result.failure.reason is Reason.EXPECTATION
    assert result.evidence["reply"].startswith("no\N{REPLACEMENT CHARACTER}xx")
    assert len(result.evidence["reply"]) == 4096
    assert result.evidence["received_bytes"] == 9003


def test_an_empty_datagram_is_an_answer():
    with answering(lambda _: b"") as address:
        assert asked(address, expect=["reply exists", "size == 0B"]).outcome is Outcome.UP


def test_a_line_end_is_sent_by_default():
    with answering(lambda data: data) as address:
        assert asked(address, send="", expect=['reply == "\\n"']).outcome is Outcome.UP


def test_silence_is_a_timeout():
    with answering(lambda _: None) as address:
        result = asked(address, timeout="200ms")
    assert (result.failure.reason, result.failure.phase) == (Reason.TIMEOUT, "first_byte")


def test_nobody_there_is_refused():
    result = asked(f"127.0.0.1:{closed_port()}")
    assert (result.outcome, result.failure.reason) == (Outcome.DOWN, Reason.REFUSED)


def test_what_a_stranger_sends_is_not_heard():
    with socket.socket(type=socket.SOCK_DGRAM) as server, socket.socket(type=socket.SOCK_DGRAM) as stranger:
        server.bind(("127.0.0.1", 0))

        def betray():
            _, asker = server.recvfrom(100)
            stranger.sendto(b"believe me", asker)

        thread = threading.Thread(target=betray)
        thread.start()
        result = asked(f"127.0.0.1:{server.getsockname()[1]}", timeout="300ms")
        thread.join()
    assert result.failure.reason is Reason.TIMEOUT


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"send_hex": "00"}, "keep one"),
        ({"send": "", "send_hex": "0"}, "'0' is not hexadecimal"),
        ({"address": "host"}, "has no port"),
    ],
)
def test_what_is_wrong_is_said(options, message):
    with pytest.raises(ValidationError) as caught:
        make_spec(**{"kind": "udp", "address": "127.0.0.1:9", "send": "x", **options})
    assert message in str(caught.value)
