"""The kind `icmp`, on loopback; where this machine lets us send no echoes, that it says so."""

from __future__ import annotations

import os
import socket
import struct
import subprocess
import sys
from pathlib import Path

import pytest
from pydantic import ValidationError

from checks.network.echoes import HOW_TO_ALLOW, Echoes, checksum, lacks, number_of
from checks.result import Outcome, Reason
from tests.factories import make_spec
from tests.probing import probe_once

SECRET = bytes(range(16))


def asked(host, **options):
    return probe_once(**{"kind": "icmp", "host": host, "gap": "10ms", "explain": True, **options})


def is_as_expected(result, outcome, reason=None):
    """Whether it ended so, on a machine that lets us send echoes; on others, that it says why it can't know."""
    if lacks():
        return result.outcome is Outcome.UNKNOWN and result.failure.message == HOW_TO_ALLOW
    return (result.outcome, result.failure and result.failure.reason) == (outcome, reason)


@pytest.mark.parametrize("host", ["127.0.0.1", "::1", "[::1]", "localhost"])
def test_echoes_that_come_back_are_up(host):
    result = asked(host, count=5, expect=["loss == 0", "min < 1s", "avg < 1s", "max < 1s", "jitter < 1s"])
    assert is_as_expected(result, Outcome.UP), result
    if result.latency_ns is not None:
        assert len(result.evidence["echoes"]["times_ms"]) == 5
        assert result.latency_ns == result.phases.total()
        assert result.phases.first_byte < 40_000_000, "the pauses between echoes are no latency"


def test_one_echo_has_no_jitter():
    assert is_as_expected(asked("127.0.0.1", count=1, expect=["jitter not exists", "loss == 0"]), Outcome.UP)


class Lossy(Echoes):
    """Echoes on a way that loses some of them."""

    lost = (1, 3)

    def _take(self, data, stamp):
        if number_of(data, self.family, self._secret) not in self.lost:
            super()._take(data, stamp)


def test_some_that_are_lost_are_counted(monkeypatch):
    monkeypatch.setattr("checks.probes.icmp.Echoes", Lossy)
    result = asked("127.0.0.1", count=4, patience="100ms", expect=["loss == 50", "avg < 1s"])
    assert is_as_expected(result, Outcome.UP), result
    assert is_as_expected(
        asked("127.0.0.1", count=4, patience="100ms", expect=["loss == 0"]), Outcome.DOWN, Reason.EXPECTATION
    )


def test_none_that_comes_back_is_down(monkeypatch):
    monkeypatch.setattr("checks.probes.icmp.Echoes", type("Deaf", (Lossy,), {"lost": range(9)}))
    result = asked("127.0.0.1", count=2, patience="100ms")
    assert is_as_expected(result, Outcome.DOWN, Reason.TIMEOUT), result
    if result.failure.reason is Reason.TIMEOUT:
        assert result.failure.message == "none of 2 echoes was answered within 100ms"


def test_a_machine_that_lets_us_send_none_says_what_to_do():
    command = [sys.executable, "-c", "from checks.network.echoes import lacks; print(lacks())"]
    if os.geteuid() == 0:
        command = ["setpriv", "--inh-caps=-net_raw", "--bounding-set=-net_raw", *command]
    ran = subprocess.run(command, capture_output=True, text=True, check=True)
    lowest, highest = Path("/proc/sys/net/ipv4/ping_group_range").read_text().split()
    by_group = any(int(lowest) <= group <= int(highest) for group in (os.getegid(), *os.getgroups()))
    assert ran.stdout.strip() == ("" if by_group else HOW_TO_ALLOW)


@pytest.mark.parametrize(
    ("family", "packet", "number"),
    [
        (socket.AF_INET, struct.pack("!BBHHH", 0, 0, 0, 7, 3) + SECRET, 3),
        (socket.AF_INET, b"\x45" + bytes(19) + struct.pack("!BBHHH", 0, 0, 0, 7, 4) + SECRET, 4),
        (socket.AF_INET, b"\x46" + bytes(23) + struct.pack("!BBHHH", 0, 0, 0, 7, 5) + SECRET, 5),
        (socket.AF_INET6, struct.pack("!BBHHH", 129, 0, 0, 7, 6) + SECRET, 6),
        (socket.AF_INET, struct.pack("!BBHHH", 8, 0, 0, 7, 3) + SECRET, -1),
        (socket.AF_INET6, struct.pack("!BBHHH", 128, 0, 0, 7, 3) + SECRET, -1),
        (socket.AF_INET, struct.pack("!BBHHH", 0, 0, 0, 7, 3) + bytes(16), -1),
        (socket.AF_INET, struct.pack("!BBHHH", 0, 0, 0, 7, 3) + SECRET[:-1], -1),
        (socket.AF_INET, b"\x4f", -1),
        (socket.AF_INET, b"", -1),
    ],
)
def test_a_reply_is_known_by_its_type_and_by_the_secret_of_the_probe(family, packet, number):
    assert number_of(packet, family, SECRET) == number


def test_the_checksum_is_that_of_the_internet():
    packet = bytes([8, 0, 0, 0, 0, 1, 0, 9]) + b"abcdefghijklmnop"
    checked = packet[:2] + checksum(packet).to_bytes(2, "big") + packet[4:]
    assert checksum(checked) == 0


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"timeout": "2s"}, "timeout: 2s is not more than the 2400ms that 3 echoes and their patience take"),
        ({"host": "a b"}, "is no host name"),
        ({"count": 21}, "less than or equal to 20"),
    ],
)
def test_what_is_wrong_is_said(options, message):
    with pytest.raises(ValidationError) as caught:
        make_spec(**{"kind": "icmp", "host": "127.0.0.1", **options})
    assert message in str(caught.value)
