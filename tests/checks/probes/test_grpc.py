"""The grpc kind against a real gRPC server, and against servers of HTTP/2 that are none."""

from __future__ import annotations

from pathlib import Path

import h2.config
import h2.connection
import pytest
import trustme
from pydantic import ValidationError

from checks.result import Outcome, Reason
from tests import brokers
from tests.factories import make_spec
from tests.probing import probe_once
from tests.servers import Target, authority, authority_pem, closed_port, greets, hangs, sends, trusted

pytestmark = pytest.mark.xdist_group("brokers")
SERVING = b"\0\0\0\0\x02\x08\x01"
GRPC = (b"content-type", b"application/grpc")
OK = [(b"grpc-status", b"0")]
TLS = {"tls": True, "ca": authority_pem()}


def probe_grpc(address=None, **options):
    address = address or f"127.0.0.1:{brokers.health_server().port}"
    return probe_once(kind="grpc", address=address, explain=True, **options)


@pytest.mark.parametrize("service", ["", "shop"])
def test_a_service_that_serves_is_up(service):
    result = probe_grpc(service=service)
    assert (result.outcome, result.failure) == (Outcome.UP, None)
    assert result.evidence["status"] == "SERVING"
    assert result.latency_ns == result.phases.total()


@pytest.mark.parametrize(("service", "status"), [("cellar", "NOT_SERVING"), ("attic", "SERVICE_UNKNOWN")])
def test_a_service_that_does_not_serve_is_down_by_default(service, status):
    result = probe_grpc(service=service)
    assert (result.outcome, result.failure.reason) == (Outcome.DOWN, Reason.EXPECTATION)
    assert result.failure.message == f'expected status == "SERVING", got "{status}"'
    assert probe_grpc(service=service, expect=[f'status == "{status}"']).outcome is Outcome.UP


def test_a_server_without_a_health_service_is_told_as_such():
    result = probe_grpc(f"127.0.0.1:{brokers.health_server().bare_port}")
    assert (result.failure.reason, result.failure.message) == (
        Reason.REJECTED,
        "the server has no health service: UNIMPLEMENTED: Method not found!",
    )


def test_metadata_is_sent_and_stays_secret():
    good = probe_grpc(service="shop", metadata={"authorization": "Bearer the-right-token"})
    assert (good.outcome, good.failure) == (Outcome.UP, None)
    bad = probe_grpc(service="shop", metadata={"authorization": "Bearer wrong-token"})
    assert (bad.failure.reason, bad.failure.message) == (
        Reason.AUTHENTICATION,
        "the call failed: UNAUTHENTICATED: the token % is wrong",
    )
    assert "wrong-token" not in repr(bad)


def test_tls_is_spoken_and_the_certificate_is_judged():
    address = f"127.0.0.1:{brokers.health_server().tls_port}"
    good = probe_grpc(address, expect=['status == "SERVING"', "certificate > 1d"], **TLS)
    assert (good.outcome, good.failure) == (Outcome.UP, None)
    assert good.phases.tls is not None
    assert probe_grpc(address, tls=True).failure.reason is Reason.CERTIFICATE
    assert probe_grpc(address, server_name="shop.example", **TLS).failure.reason is Reason.CERTIFICATE


def test_we_prove_who_we_are_where_the_server_wants_it():
    address = f"127.0.0.1:{brokers.health_server().mutual_port}"
    ours = authority().issue_cert("probe.example")
    own = {
        "client_certificate": ours.cert_chain_pems[0].bytes().decode(),
        "client_key": ours.private_key_pem.bytes().decode(),
    }
    good = probe_grpc(address, **own, **TLS)
    assert (good.outcome, good.failure) == (Outcome.UP, None)
    bad = probe_grpc(address, **TLS)
    assert bad.outcome is Outcome.DOWN
    stranger = trustme.CA().issue_cert("probe.example")
    theirs = {
        "client_certificate": stranger.cert_chain_pems[0].bytes().decode(),
        "client_key": stranger.private_key_pem.bytes().decode(),
    }
    assert probe_grpc(address, **theirs, **TLS).outcome is Outcome.DOWN


def test_the_environment_sends_nothing_through_a_proxy(monkeypatch):
    for name in ("http_proxy", "https_proxy", "grpc_proxy", "all_proxy"):
        monkeypatch.setenv(name, f"http://127.0.0.1:{closed_port()}")
    assert probe_grpc(service="shop").outcome is Outcome.UP


def test_a_probe_starts_no_threads():
    tasks = Path("/proc/self/task")
    before = len(list(tasks.iterdir()))
    for _ in range(5):
        assert probe_grpc(service="shop").outcome is Outcome.UP
    assert len(list(tasks.iterdir())) <= before


@pytest.mark.parametrize(
    ("answer", "reason", "words"),
    [
        (([(b":status", b"200"), GRPC], SERVING, OK), None, ""),
        (([(b":status", b"200"), GRPC], b"\0\0\0\0\x00", OK), Reason.EXPECTATION, 'got "UNKNOWN"'),
        (([(b":status", b"200"), GRPC], b"\0\0\0\0\x02\x08\x63", OK), Reason.EXPECTATION, 'got "99"'),
        (
            ([(b":status", b"200"), GRPC], b"\0\0\0\0\x02\xff\xff", OK),
            Reason.PROTOCOL,
            "no message of the health service",
        ),
        (([(b":status", b"200"), GRPC], b"\1\0\0\0\x02\x08\x01", OK), Reason.PROTOCOL, "not one message, uncompressed"),
        (([(b":status", b"200"), GRPC], b"\0\x40\0\0\0\x08\x01", OK), Reason.PROTOCOL, "not one message, uncompressed"),
        (([(b":status", b"200"), GRPC], SERVING * 2, OK), Reason.PROTOCOL, "not one message, uncompressed"),
        (([(b":status", b"200"), GRPC], b"", OK), Reason.PROTOCOL, "not one message, uncompressed"),
        (([(b":status", b"200"), GRPC], SERVING, None), Reason.PROTOCOL, "it has no grpc-status"),
        (([(b":status", b"200"), GRPC], SERVING, [(b"grpc-status", b"-1")]), Reason.PROTOCOL, "it has no grpc-status"),
        (([(b":status", b"200"), GRPC, (b"grpc-status", b"14")], None, None), Reason.REJECTED, "failed: UNAVAILABLE"),
        (([(b":status", b"200"), GRPC, (b"grpc-status", b"77")], None, None), Reason.REJECTED, "failed: code 77"),
        (([(b":status", b"200"), (b"content-type", b"text/html")], b"hi", None), Reason.PROTOCOL, "'text/html'"),
        (([(b":status", b"200")], b"hi", None), Reason.PROTOCOL, "its content type is ''"),
        (([(b":status", b"502")], b"bad gateway", None), Reason.PROTOCOL, "HTTP status 502"),
        (([(b":status", b"403")], b"", None), Reason.AUTHENTICATION, "HTTP status 403"),
        (
            ([(b":status", b"200"), GRPC, (b"grpc-status", b"13"), (b"grpc-message", b"a%0Ab%1b[2J%FF")], None, None),
            Reason.REJECTED,
            "failed: INTERNAL: a\ufffdb\ufffd[2J\ufffd",
        ),
    ],
)
def test_what_was_answered_is_read_strictly(answer, reason, words):
    with Target(answers(*answer)) as target:
        result = probe_grpc(target.address)
    assert (result.failure and result.failure.reason) == reason
    assert words in (result.failure.message if result.failure else "")


@pytest.mark.parametrize(
    ("behave", "reason"),
    [
        (hangs, Reason.TIMEOUT),
        (sends(b"HTTP/1.1 400 Bad Request\r\n\r\n"), Reason.PROTOCOL),
        (greets(b"\0" * 9, close=True), Reason.PROTOCOL),
        (greets(b"\xff\xff\xff\x00\x00\x00\x00\x00\x01" + b"x" * 20000), Reason.PROTOCOL),
        (greets(close=True), Reason.CLOSED),
    ],
)
def test_what_is_no_http_2_is_a_named_failure(behave, reason):
    with Target(behave) as target:
        result = probe_grpc(target.address, timeout="400ms" if reason is Reason.TIMEOUT else "10s")
    assert (result.outcome, result.failure.reason) == (Outcome.DOWN, reason)


def test_a_server_that_offers_no_http_2_is_told_as_such():
    with Target(hangs, tls=trusted()) as target:
        result = probe_grpc(target.address, timeout="2s", **TLS)
    assert result.failure.reason is Reason.PROTOCOL
    assert "no h2 by ALPN" in result.failure.message


@pytest.mark.parametrize(
    ("options", "words"),
    [
        ({"metadata": {"grpc-timeout": "1S"}}, "grpc-timeout is set by the probe itself"),
        ({"metadata": {"te": "x"}}, "te is set by the probe itself"),
        ({"metadata": {"token-bin": "x"}}, "token-bin would be binary"),
        ({"metadata": {"X-Token": "x"}}, "pattern"),
        ({"metadata": {"token": "ü"}}, "pattern"),
        ({"server_name": "shop.example"}, "server_name: is of use with tls only"),
    ],
)
def test_options_that_make_no_sense_are_refused(options, words):
    with pytest.raises(ValidationError, match=words):
        make_spec(kind="grpc", address="127.0.0.1:50051", **options)


def answers(headers, body, trailers):
    """Answers the first request in HTTP/2; what is None is left out."""

    def behave(visit):
        server = h2.connection.H2Connection(h2.config.H2Configuration(client_side=False, header_encoding=None))
        server.initiate_connection()
        while True:
            data = visit.sock.recv(65536)
            if not data:
                return
            if any(type(event).__name__ == "StreamEnded" for event in server.receive_data(data)):
                break
            visit.send(server.data_to_send())
        server.send_headers(1, headers, end_stream=body is None)
        if body is not None:
            server.send_data(1, body, end_stream=trailers is None)
        if trailers is not None:
            server.send_headers(1, trailers, end_stream=True)
        visit.send(server.data_to_send())
        visit.wait_for_end()

    return behave
