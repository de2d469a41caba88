"""The mqtt kind against a real mosquitto, and against sockets that are none."""

from __future__ import annotations

import pytest
from pydantic import ValidationError

from checks.result import Outcome, Reason
from tests import brokers
from tests.brokers import PASSWORD, USER
from tests.factories import make_spec
from tests.probing import probe_once
from tests.servers import Target, authority_pem, greets, hangs

pytestmark = pytest.mark.xdist_group("brokers")
ACCEPTED = b"\x20\x02\x00\x00"
SUBSCRIBED = b"\x90\x03\x00\x01\x01"
EVE = {"username": USER, "password": PASSWORD}


def probe_mqtt(address=None, **options):
    address = address or f"127.0.0.1:{brokers.mosquitto().port}"
    return probe_once(kind="mqtt", address=address, explain=True, **options)


@pytest.mark.parametrize("version", ["3.1.1", "5"])
def test_a_login_alone_is_a_probe(version):
    result = probe_mqtt(version=version, **EVE)
    assert (result.outcome, result.failure) == (Outcome.UP, None)
    assert result.latency_ns == result.phases.total()
    assert set(result.phases.as_dict()) == {"connect", "first_byte", "transfer"}


@pytest.mark.parametrize("version", ["3.1.1", "5"])
def test_a_message_comes_back_and_nothing_of_it_stays(version):
    result = probe_mqtt(version=version, topic="shop/probe", expect=["round_trip > 0s", "round_trip < 5s"], **EVE)
    assert (result.outcome, result.failure) == (Outcome.UP, None)
    assert result.latency_ns == result.phases.total()
    again = probe_mqtt(version=version, topic="shop/probe", **EVE)  # a retained message of the first would be another
    assert again.outcome is Outcome.UP
    assert "disconnected" in brokers.mosquitto().daemon.log.splitlines()[-1]  # and not: closed its connection


@pytest.mark.parametrize("version", ["3.1.1", "5"])
@pytest.mark.parametrize("who", [{}, {"username": USER, "password": "wrong-password"}])
def test_a_refused_login_is_told_as_such(version, who):
    result = probe_mqtt(version=version, **who)
    assert (result.outcome, result.failure.reason) == (Outcome.DOWN, Reason.AUTHENTICATION)
    assert result.failure.message == "the broker refused our login: not authorized"


def test_a_topic_that_is_not_ours_is_refused_by_name_where_the_version_has_words_for_it():
    result = probe_mqtt(version="5", topic="cellar/probe", **EVE)
    assert (result.failure.reason, result.failure.message) == (
        Reason.AUTHENTICATION,
        "the broker refused our message: not authorized",
    )
    result = probe_mqtt(version="3.1.1", topic="cellar/probe", timeout="400ms", **EVE)
    assert result.failure.reason is Reason.TIMEOUT
    assert result.failure.message.endswith("(our message did not come back)")


def test_tls_is_spoken_and_the_certificate_is_judged():
    address = f"127.0.0.1:{brokers.mosquitto().tls_port}"
    good = probe_mqtt(address, tls=True, ca=authority_pem(), expect=["certificate > 1d"], **EVE)
    assert (good.outcome, good.failure) == (Outcome.UP, None)
    assert good.phases.tls is not None
    bad = probe_mqtt(address, tls=True, **EVE)
    assert bad.failure.reason is Reason.CERTIFICATE
    assert "password" not in repr(bad)


def test_messages_of_others_are_not_taken_for_ours():
    other = b"\x30\x0c\x00\x05a/b/cother"
    with Target(speaks(ACCEPTED, SUBSCRIBED + other * 3)) as target:
        result = probe_mqtt(target.address, topic="a/b/c", timeout="400ms")
    assert result.failure.reason is Reason.TIMEOUT
    assert "round_trip" not in repr(result.evidence)


@pytest.mark.parametrize(
    ("said", "reason", "words"),
    [
        (b"HTTP/1.1 400 Bad Request\r\n\r\n", Reason.PROTOCOL, "does not speak MQTT; it begins with 'HT'"),
        (b"\x20\xff\xff\xff\x7f", Reason.TOO_LARGE, "announced a packet of 268435455 bytes"),
        (ACCEPTED + b"\x90\x81\x08", Reason.TOO_LARGE, "announced a packet of 1025 bytes; 1024 are read"),
        (ACCEPTED + SUBSCRIBED + b"\x30\x81\x20", Reason.TOO_LARGE, "announced a packet of 4097 bytes; 4096 are read"),
        (b"\x20\xff\xff\xff\xff\xff", Reason.PROTOCOL, "length can't be read"),
        (b"\x20\x02\x00\x03", Reason.REJECTED, "refused our login: server unavailable"),
        (b"\x20\x02\x00\x01", Reason.PROTOCOL, "against the protocol"),
        (b"\x20\x01\x00", Reason.PROTOCOL, "against the protocol"),
        (ACCEPTED + b"\x00\x00", Reason.PROTOCOL, "against the protocol"),
        (ACCEPTED + b"\x90\x02\x00\x01", Reason.PROTOCOL, "can't be read"),
        (ACCEPTED + b"\x90\x03\x00\x01\x80", Reason.REJECTED, "refused our subscription: unspecified error"),
        (ACCEPTED + SUBSCRIBED + b"\x36\x04\x00\x01\xff\xff", Reason.PROTOCOL, "against the protocol"),
    ],
)
def test_what_is_no_mqtt_is_a_named_failure(said, reason, words):
    with Target(speaks(said)) as target:
        result = probe_mqtt(target.address, topic="a/b", timeout="3s")
    assert (result.outcome, result.failure.reason) == (Outcome.DOWN, reason)
    assert words in result.failure.message
    assert result.latency_ns is None


def test_a_dismissal_says_why():
    with Target(speaks(b"\x20\x03\x00\x00\x00\xe0\x02\x8e\x00")) as target:
        result = probe_mqtt(target.address, version="5", topic="a/b")
    assert (result.failure.reason, result.failure.message) == (
        Reason.REJECTED,
        "the broker hung up: session taken over",
    )


@pytest.mark.parametrize(
    ("said", "when"), [(b"", "before any answer"), (ACCEPTED, "in the middle of the conversation")]
)
def test_a_broker_that_hangs_up_is_told_as_such(said, when):
    with Target(greets(said, close=True)) as target:
        result = probe_mqtt(target.address, topic="a/b")
    assert (result.failure.reason, result.failure.message) == (
        Reason.CLOSED,
        f"the connection was closed {when}",
    )


def test_a_flood_of_packets_ends_at_the_cap():
    with Target(floods_at_once(ACCEPTED, b"\xd0\x00" * 4096)) as target:
        result = probe_mqtt(target.address, topic="a/b", timeout="20s")
    assert result.failure.reason is Reason.TOO_LARGE
    # Whichever cap it meets first: that depends on how much was read at once.
    assert result.failure.message in (
        "the broker sent more than 1000 packets",
        "the other side sent more than 1024 KiB",
    )


def test_a_thousand_packets_are_enough():
    with Target(greets(ACCEPTED + b"\xd0\x00" * 1000)) as target:
        result = probe_mqtt(target.address, topic="a/b", timeout="5s")
    assert (result.failure.reason, result.failure.message) == (
        Reason.TOO_LARGE,
        "the broker sent more than 1000 packets",
    )


def test_a_broker_that_says_nothing_costs_the_timeout_and_no_more():
    with Target(hangs) as target:
        result = probe_mqtt(target.address, timeout="200ms")
    assert result.failure.message == "timed out after 0.2 s while waiting for the first byte"


@pytest.mark.parametrize(
    ("options", "words"),
    [
        ({"topic": "a/+/b"}, r"has a \+, which stands for several topics"),
        ({"topic": "a/#"}, "has a #, which stands for several topics"),
        ({"topic": "$share/g/a"}, "is a shared subscription"),
        ({"password": "secret"}, "password: needs a username"),
        ({"ca": authority_pem()}, "ca: is of use with tls only"),
        ({"address": "127.0.0.1"}, "has no port"),
        ({"version": "4"}, "3.1.1"),
    ],
)
def test_options_that_make_no_sense_are_refused(options, words):
    with pytest.raises(ValidationError, match=words):
        make_spec(kind="mqtt", **{"address": "127.0.0.1:1883", **options})


def speaks(*answers):
    """Answers each packet with the next of these, and then waits."""

    def behave(visit):
        for answer in answers:
            visit.sock.recv(65536)
            visit.send(answer)
        visit.wait_for_end()

    return behave


def floods_at_once(start, piece):
    def behave(visit):
        visit.sock.recv(65536)
        visit.send(start)
        while not visit.target.stopping.is_set():
            visit.send(piece)

    return behave
