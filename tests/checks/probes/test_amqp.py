"""The amqp kind against a real RabbitMQ, and against sockets that are none."""

from __future__ import annotations

import re
import socket
import struct
import time

import pytest
from pamqp import commands
from pamqp.body import ContentBody
from pamqp.frame import marshal, unmarshal
from pamqp.header import ContentHeader
from pydantic import ValidationError

from checks.result import Outcome, Reason
from tests import brokers
from tests.brokers import PASSWORD, USER
from tests.factories import make_spec
from tests.probing import probe_once
from tests.servers import Target, authority_pem, greets, hangs, resets

EVE = {"username": USER, "password": PASSWORD}
START = marshal(commands.Connection.Start(server_properties={"product": "Hare", "version": "1\x1b[2J"}), 0)
TUNE = marshal(commands.Connection.Tune(0, 0, 0), 0)
LOGGED_IN = {
    "Connection_StartOk": (TUNE,),
    "Connection_Open": (marshal(commands.Connection.OpenOk(), 0),),
    "Channel_Open": (marshal(commands.Channel.OpenOk(), 1),),
}
in_rabbitmq = pytest.mark.xdist_group("rabbitmq")


def probe_amqp(address=None, **options):
    address = address or f"127.0.0.1:{brokers.rabbitmq().port}"
    return probe_once(kind="amqp", address=address, explain=True, **options)


@in_rabbitmq
def test_a_broker_says_what_it_is_to_whoever_asks():
    result = probe_amqp()
    assert (result.outcome, result.failure) == (Outcome.UP, None)
    assert result.evidence["broker"]["product"] == "RabbitMQ"
    assert result.latency_ns == result.phases.total()


@in_rabbitmq
def test_a_login_alone_is_a_probe_and_takes_leave():
    before = partings()
    result = probe_amqp(**EVE)
    assert (result.outcome, result.failure) == (Outcome.UP, None)
    deadline = time.monotonic() + 5
    while partings() == before:  # the log is written a little later
        assert time.monotonic() < deadline, brokers.rabbitmq().daemon.log
        time.sleep(0.01)


@in_rabbitmq
def test_a_message_comes_back_through_a_queue_that_ends_with_us():
    result = probe_amqp(round_trip=True, expect=["round_trip > 0s", "round_trip < 10s"], **EVE)
    assert (result.outcome, result.failure) == (Outcome.UP, None)
    assert result.latency_ns == result.phases.total()


@in_rabbitmq
def test_an_unknown_queue_and_an_unknown_virtual_host_are_refused_by_name():
    queue = probe_amqp(queue="orders", **EVE)
    assert queue.failure.reason is Reason.REJECTED
    assert queue.failure.message.startswith("the broker refused with 404: NOT_FOUND - no queue 'orders'")
    vhost = probe_amqp(vhost="cellar", **EVE)
    assert (vhost.failure.reason, vhost.failure.message) == (
        Reason.REJECTED,
        "the broker refused with 530: NOT_ALLOWED - vhost cellar not found",
    )


@in_rabbitmq
@pytest.mark.parametrize("name", ["été à la mer", "q" * 255, "Lager/#1 (alt)"])
def test_names_are_the_brokers_business(name):
    assert "404: NOT_FOUND - no queue '" in probe_amqp(queue=name, **EVE).failure.message
    assert "530: NOT_ALLOWED - vhost " in probe_amqp(vhost=name, **EVE).failure.message


@in_rabbitmq
def test_a_wrong_password_is_told_as_such():
    result = probe_amqp(username=USER, password="wrong-password")
    assert (result.outcome, result.failure.reason) == (Outcome.DOWN, Reason.AUTHENTICATION)
    assert "ACCESS_REFUSED" in result.failure.message


@in_rabbitmq
def test_tls_is_spoken_and_the_certificate_is_judged():
    address = f"localhost:{brokers.rabbitmq().tls_port}"
    good = probe_amqp(address, tls=True, ca=authority_pem(), ip="4", expect=["certificate > 1d"], **EVE)
    assert (good.outcome, good.failure) == (Outcome.UP, None)
    assert good.phases.tls is not None
    assert probe_amqp(address, tls=True, ip="4", **EVE).failure.reason is Reason.CERTIFICATE


@pytest.mark.parametrize("polite", [False, True])
def test_what_waits_in_a_queue_is_counted_whether_the_broker_takes_leave_of_us_or_not(polite):
    counted = marshal(commands.Queue.DeclareOk(queue="orders", message_count=7, consumer_count=2), 1)
    bye = (marshal(commands.Connection.CloseOk(), 0),) if polite else ()
    with Target(answers(Queue_Declare=(counted,), Connection_Close=bye)) as target:
        expected = ["messages == 7", "consumers == 2"]
        result = probe_amqp(target.address, queue="orders", expect=expected, timeout="2s", **EVE)
    assert (result.outcome, result.failure) == (Outcome.UP, None)
    assert result.evidence["queue"] == {"messages": 7, "consumers": 2}
    assert result.latency_ns < 1_000_000_000


def test_what_a_broker_says_of_itself_is_shown_without_tricks():
    with Target(greets(START)) as target:
        result = probe_amqp(target.address)
    assert result.evidence["broker"] == {"product": "Hare", "version": "1\ufffd[2J"}


@pytest.mark.parametrize(
    ("said", "reason", "words"),
    [
        (b"HTTP/1.1 400 Bad Request\r\n\r\n", Reason.PROTOCOL, "does not speak AMQP; it begins with 'HTTP/1.'"),
        (b"AMQP\x00\x01\x00\x00", Reason.PROTOCOL, "speaks AMQP 1.0.0, not 0-9-1"),
        (struct.pack(">BHI", 1, 0, 1 << 30), Reason.TOO_LARGE, "announced a frame of 1073741824 bytes"),
        (struct.pack(">BHI", 1, 0, 4) + b"\xff" * 4 + b"\xce", Reason.PROTOCOL, "can't be read"),
        (struct.pack(">BHI", 1, 0, 4) + b"\xff" * 5, Reason.PROTOCOL, "can't be read"),
        (struct.pack(">BHI", 2, 0, 1) + b"\xff\xce", Reason.PROTOCOL, "can't be read"),
        (marshal(commands.Connection.OpenOk(), 0), Reason.PROTOCOL, "Connection.OpenOk where Connection.Start was due"),
        (marshal(commands.Connection.Close(320, "shut\ndown", 0, 0), 0), Reason.REJECTED, "with 320: shut\ufffddown"),
        (START, Reason.TIMEOUT, "timed out"),
        (
            marshal(commands.Connection.Start(mechanisms="EXTERNAL"), 0),
            Reason.AUTHENTICATION,
            "takes no password; it offers EXTERNAL",
        ),
    ],
)
def test_what_is_no_amqp_is_a_named_failure(said, reason, words):
    with Target(greets(said)) as target:
        result = probe_amqp(target.address, timeout="500ms" if reason is Reason.TIMEOUT else "10s", **EVE)
    assert (result.outcome, result.failure.reason) == (Outcome.DOWN, reason)
    assert words in result.failure.message
    assert result.latency_ns is None


def test_a_frame_of_tables_in_tables_is_refused():
    table = b""
    for _ in range(1100):
        table = b"\x01aF" + struct.pack(">I", len(table)) + table
    arguments = b"\x00\x09" + struct.pack(">I", len(table)) + table
    payload = struct.pack(">HH", 10, 10) + arguments
    with Target(greets(struct.pack(">BHI", 1, 0, len(payload)) + payload + b"\xce")) as target:
        result = probe_amqp(target.address)
    assert result.failure.reason is Reason.PROTOCOL
    assert "can't be read" in result.failure.message


def test_another_message_is_not_taken_for_ours():
    delivered = (
        marshal(commands.Basic.Deliver("c", 1, False, "", "ours"), 1),
        marshal(ContentHeader(body_size=44), 1),
        marshal(ContentBody(b"x" * 44), 1),
    )
    steps = {
        "Queue_Declare": (marshal(commands.Queue.DeclareOk(queue="ours", message_count=0, consumer_count=0), 1),),
        "Basic_Consume": (marshal(commands.Basic.ConsumeOk("c"), 1),),
        "Basic_Publish": delivered,
    }
    with Target(answers(**steps)) as target:
        result = probe_amqp(target.address, round_trip=True, timeout="2s", **EVE)
    assert (result.failure.reason, result.failure.message) == (
        Reason.PROTOCOL,
        "the broker delivered another message than the one we sent",
    )


def test_a_flood_of_heartbeats_ends_at_the_cap():
    with Target(floods(START + TUNE, b"\x08\x00\x00\x00\x00\x00\x00\xce" * 4096)) as target:
        result = probe_amqp(target.address, timeout="20s", **EVE)
    assert result.failure.reason is Reason.TOO_LARGE


@pytest.mark.parametrize(
    ("behave", "reason"),
    [(hangs, Reason.TIMEOUT), (greets(START, close=True), Reason.CLOSED), (resets(), Reason.TIMEOUT)],
)
def test_a_broker_that_hangs_or_hangs_up_is_told_as_such(behave, reason):
    with Target(behave) as target:
        result = probe_amqp(target.address, timeout="300ms" if reason is Reason.TIMEOUT else "10s", **EVE)
    assert (result.outcome, result.failure.reason) == (Outcome.DOWN, reason)


@pytest.mark.parametrize("option", [{"password": "secret"}, {"queue": "orders"}, {"round_trip": True}])
def test_what_needs_a_login_needs_a_user(option):
    with pytest.raises(ValidationError, match="needs a username"):
        make_spec(kind="amqp", address="127.0.0.1:5672", **option)


@pytest.mark.parametrize("name", [b"\x00", b"\x02\xff\xfe"], ids=["none", "no text"])
def test_a_queue_without_a_name_is_a_fault_of_the_brokers(name):
    content = struct.pack(">HH", 50, 11) + name + bytes(8)  # Queue.DeclareOk
    made = struct.pack(">BHI", 1, 1, len(content)) + content + b"\xce"
    with Target(answers(Queue_Declare=(made,))) as target:
        result = probe_amqp(target.address, round_trip=True, timeout="2s", **EVE)
    assert (result.outcome, result.failure.reason) == (Outcome.DOWN, Reason.PROTOCOL)


def test_a_name_that_no_frame_can_carry_is_refused():
    with pytest.raises(ValidationError, match="has 256 bytes in UTF-8; AMQP allows 255"):
        make_spec(kind="amqp", queue="ö" * 128, **EVE)


def partings():
    """How many connections of our user ended well: the broker says no more of them than that they did."""
    return len(re.findall(rf"closing AMQP connection [^\n]*user: '{USER}'\)(?!:)", brokers.rabbitmq().daemon.log))


def answers(**said):
    """Logs everybody in, and then answers each method, named as in `Queue_Declare`, with the frames that are given."""

    def behave(visit):
        visit.sock.recv(8, socket.MSG_WAITALL)
        visit.send(START)
        while head := visit.sock.recv(7, socket.MSG_WAITALL):
            rest = visit.sock.recv(struct.unpack(">I", head[3:])[0] + 1, socket.MSG_WAITALL)
            method = unmarshal(head + rest)[2].name.replace(".", "_")
            for answer in {**LOGGED_IN, **said}.get(method, ()):
                visit.send(answer)

    return behave


def floods(start, piece):
    def behave(visit):
        visit.send(start)
        while not visit.target.stopping.is_set():
            visit.send(piece)

    return behave
