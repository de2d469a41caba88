"""The kind `ntp`, against time servers of every sort."""

from __future__ import annotations

import pytest
from pydantic import ValidationError

from checks.probes.ntp import Packet
from checks.result import Outcome, Reason
from tests.datagrams import answering, serving_time, time_stamp
from tests.factories import make_spec
from tests.probing import probe_once


def asked(address, **options):
    return probe_once(**{"kind": "ntp", "address": address, "explain": True, **options})


def test_a_good_server_is_up():
    expect = ["offset < 500ms", "stratum == 2", "delay < 500ms", "root_delay == 250ms", 'reference == "127.0.0.1"']
    with serving_time() as address:
        result = asked(address, expect=expect)
    assert result.outcome is Outcome.UP, result.failure
    assert result.latency_ns == result.phases.total()
    assert abs(result.evidence["offset_seconds"]) < 0.5


@pytest.mark.parametrize("ahead", [3.0, -3.0])
def test_a_clock_that_is_ahead_or_behind_is_down(ahead):
    with serving_time(ahead=ahead) as address:
        result = asked(address)
    assert result.failure.message.startswith("expected offset < 1s, got ")
    assert abs(result.evidence["offset_seconds"] - ahead) < 0.5


def test_what_the_server_took_is_no_delay():
    with serving_time(takes=0.2) as address:
        result = asked(address, expect=["delay < 150ms", "offset < 500ms", "latency >= 200ms"])
    assert result.outcome is Outcome.UP, result.failure


def test_a_source_is_named():
    with serving_time(stratum=1, reference=b"GPS\0") as address:
        assert asked(address, expect=['reference == "GPS"']).outcome is Outcome.UP


@pytest.mark.parametrize(
    ("kiss", "message"),
    [
        (b"RATE", "the server sent a kiss of death, RATE: it is asked too often"),
        (b"DENY", "the server sent a kiss of death, DENY: it does not serve us"),
        (b"XOXO", "the server sent a kiss of death, XOXO: it does not serve us"),
    ],
)
def test_a_kiss_of_death_is_named(kiss, message):
    with serving_time(stratum=0, leap=3, reference=kiss) as address:
        result = asked(address)
    assert (result.outcome, result.failure.reason, result.failure.message) == (Outcome.DOWN, Reason.REJECTED, message)


@pytest.mark.parametrize("options", [{"leap": 3}, {"stratum": 16}])
def test_a_clock_that_is_not_set_is_named(options):
    with serving_time(**options) as address:
        assert asked(address).failure.message == "the server's own clock is not set (unsynchronised)"


@pytest.mark.parametrize("options", [{"originate": b"whatever"}, {"mode": 3}, {"mode": 5}])
def test_what_does_not_answer_our_question_is_not_believed(options):
    with serving_time(**options) as address:
        result = asked(address, timeout="300ms")
    assert result.failure.message == (
        "timed out after 0.3 s while waiting for an answer; what came (1) does not fit the question"
    )


def test_a_flood_of_what_does_not_fit_ends_the_probe(monkeypatch):
    monkeypatch.setattr("checks.network.datagrams.MOST_OTHERS", 1)
    with serving_time(mode=5) as address:
        result = asked(address)
    assert (result.failure.reason, result.failure.message) == (
        Reason.PROTOCOL,
        "what came (1 datagrams) does not fit the question",
    )


def test_what_is_too_short_is_not_believed():
    with answering(lambda data: data[:20]) as address:
        assert asked(address, timeout="200ms").failure.reason is Reason.TIMEOUT


def test_times_are_of_the_era_that_is_nearest():
    for near in (0.0, 1_800_000_000.0, 2_085_978_496.0 + 5, 6_000_000_000.0):
        data = bytes(32) + time_stamp(near + 1.5) + time_stamp(near + 2.5)
        packet = Packet.read(data, near)
        assert (packet.received, packet.sent) == (near + 1.5, near + 2.5)


@pytest.mark.parametrize(
    ("address", "target"),
    [
        ("time.example", ("time.example", 123)),
        ("time.example:1123", ("time.example", 1123)),
        ("::1", ("::1", 123)),
        ("[::1]", ("::1", 123)),
        ("[::1]:99", ("::1", 99)),
    ],
)
def test_the_port_may_be_left_out(address, target):
    assert make_spec(kind="ntp", address=address).target == target


def test_what_is_no_host_is_refused():
    with pytest.raises(ValidationError):
        make_spec(kind="ntp", address="time example")
