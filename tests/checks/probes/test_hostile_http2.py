"""The http kind against hostile HTTP/2: bounded time, bytes and frames, and a reason that says what was seen."""

from __future__ import annotations

import socket
import time

import h2.config
import h2.connection
import h2.events
import hpack
import pytest
from hyperframe import frame

from checks.result import Outcome, Reason
from tests.probing import probe_once
from tests.servers import Target, authority, reset, serving

PREFACE = b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n"
SETTINGS = frame.SettingsFrame(0).serialize()


def headers(*pairs, status="200", end=False, flags=("END_HEADERS",)):
    block = hpack.Encoder().encode([(":status", status), *pairs])
    made = frame.HeadersFrame(1, data=block, flags=[*flags, *(["END_STREAM"] if end else [])])
    return made.serialize()


def data(payload=b"", *, end=False, **options):
    return frame.DataFrame(1, data=payload, flags=["END_STREAM"] if end else [], **options).serialize()


def says(*pieces, again=b"", pause=0.0, close=False, first=SETTINGS):
    """Reads the request, sends these frames and then `again` for ever, or waits."""

    def behave(visit):
        seen = b""
        while not seen.startswith(PREFACE) or len(seen) < 60:
            piece = visit.sock.recv(65536)
            if not piece:
                return
            seen += piece
        visit.target.requests.append(seen)
        visit.send(first)
        for piece in pieces:
            visit.send(piece)
        while again and not visit.wait(pause):
            visit.send(again)
        if close:
            visit.sock.shutdown(socket.SHUT_WR)
        visit.wait_for_end()

    return behave


def asked(behave, **options):
    with Target(behave) as target:
        return probe_once(url=target.url(), http_version=2, **{"timeout": "3s", **options})


def continuation(payload=b"", flags=()):
    return frame.ContinuationFrame(1, data=payload, flags=list(flags)).serialize()


HELLO = headers(("content-type", "text/plain"))
HOSTILE = [
    ("HTTP/1.1", says(first=b"HTTP/1.1 400 Bad Request\r\n\r\n"), Reason.PROTOCOL, "it begins with 'HTTP/1.1 400"),
    ("endless continuation", says(headers(flags=()), again=continuation(b"\x00\x01a\x01b")), Reason.PROTOCOL, "HTTP/2"),
    ("empty continuation", says(headers(flags=()), again=continuation()), Reason.PROTOCOL, "HTTP/2"),
    ("continuation of nothing", says(continuation(b"x")), Reason.PROTOCOL, "not valid HTTP/2"),
    ("a flood of settings", says(again=SETTINGS * 100), Reason.PROTOCOL, "more than 200 frames that carry nothing"),
    ("a flood of pings", says(again=frame.PingFrame(0, b"12345678").serialize() * 100), Reason.PROTOCOL, "carry nothing"),
    ("a flood of empty data", says(HELLO, again=data() * 100), Reason.PROTOCOL, "carry nothing"),
    ("a flood of bytes", says(HELLO, again=data(b"x") * 100), Reason.PROTOCOL, "more than 4,000 frames"),
    ("a flood of windows", says(again=frame.WindowUpdateFrame(0, window_increment=1).serialize() * 100), Reason.PROTOCOL, "nothing"),
    ("a window too large", says(frame.WindowUpdateFrame(0, window_increment=2**31 - 1).serialize()), Reason.PROTOCOL, "HTTP/2"),
    ("padding", says(HELLO, again=frame.DataFrame(1, data=b"", pad_length=255, flags=["PADDED"]).serialize()), Reason.PROTOCOL, "nothing"),
    ("a flood of unknown frames", says(again=b"\x00\x00\x00\xfa\x00\x00\x00\x00\x00" * 100), Reason.PROTOCOL, "nothing"),
    ("a push", says(frame.PushPromiseFrame(1, promised_stream_id=2, data=b"", flags=["END_HEADERS"]).serialize()), Reason.PROTOCOL, "HTTP/2"),
    ("a huge frame", says(b"\xff\xff\xff\x00\x00\x00\x00\x00\x01", again=b"x" * 65536), Reason.TOO_LARGE, "carry nothing"),
    ("data before headers", says(data(b"x")), Reason.PROTOCOL, "not valid HTTP/2"),
    ("no status", says(frame.HeadersFrame(1, data=hpack.Encoder().encode([("a", "b")]), flags=["END_HEADERS"]).serialize()), Reason.PROTOCOL, "HTTP/2"),
    ("status 2000", says(headers(status="2000")), Reason.PROTOCOL, "its status is 2000"),
    ("status of words", says(headers(status="fine")), Reason.PROTOCOL, "HTTP/2"),
    ("broken compression", says(frame.HeadersFrame(1, data=b"\xff" * 40, flags=["END_HEADERS"]).serialize()), Reason.PROTOCOL, "HTTP/2"),
    ("a bomb of headers", says(headers(("a", "b" * 4000), *[("a", "b" * 4000)] * 5000)), Reason.TOO_LARGE, "headers are over 64 KiB"),
    ("many headers", says(headers(*[(f"x{n}", "y") for n in range(200)])), Reason.TOO_LARGE, "more than 100 headers"),
    ("endless 1xx", says(headers(status="103") * 20), Reason.PROTOCOL, "more than 8 informational answers"),
    ("a reset stream", says(frame.RstStreamFrame(1, error_code=7).serialize()), Reason.RESET, "the stream was reset (REFUSED_STREAM)"),
    ("a reset in the body", says(HELLO + data(b"abc") + frame.RstStreamFrame(1, error_code=99).serialize()), Reason.RESET, "reset (error 99)"),
    ("going away", says(frame.GoAwayFrame(0, error_code=11).serialize()), Reason.CLOSED, "GOAWAY, ENHANCE_YOUR_CALM"),
    ("going away before us", says(frame.GoAwayFrame(0, last_stream_id=0).serialize()), Reason.CLOSED, "GOAWAY, NO_ERROR"),
    ("a short goodbye", says(b"\x00\x00\x04\x07\x00\x00\x00\x00\x00\x00\x00\x00\x01"), Reason.PROTOCOL, "a GOAWAY of 4 bytes"),
    ("a huge goodbye", says(b"\xff\xff\xff\x07\x00\x00\x00\x00\x00"), Reason.PROTOCOL, "a GOAWAY of 16777215 bytes"),
    ("closed after a goodbye", says(frame.GoAwayFrame(0, last_stream_id=1).serialize(), close=True), Reason.CLOSED, "closed"),
    ("closed", says(close=True), Reason.CLOSED, "closed"),
    ("closed in the body", says(HELLO + data(b"abc"), close=True), Reason.CLOSED, "the body ended early (after 3 bytes)"),
    ("a short body", says(headers(("content-length", "9")) + data(b"abc", end=True)), Reason.PROTOCOL, "HTTP/2"),
    ("a long body", says(headers(("content-length", "2")) + data(b"abc", end=True)), Reason.PROTOCOL, "HTTP/2"),
]  # fmt: skip


@pytest.mark.parametrize(("behave", "reason", "words"), [row[1:] for row in HOSTILE], ids=[row[0] for row in HOSTILE])
def test_an_answer_that_is_none_is_down_in_words(behave, reason, words):
    began = time.process_time()
    result = asked(behave)
    assert (result.outcome, result.failure.reason) == (Outcome.DOWN, reason), result.failure
    assert words in result.failure.message
    assert time.process_time() - began < 2


@pytest.mark.parametrize(
    ("behave", "phase"),
    [
        (says(), "first_byte"),
        (says(HELLO), "transfer"),
        (says(HELLO, again=data(b"x"), pause=0.05), "transfer"),
        (says(again=frame.PingFrame(0, b"12345678").serialize(), pause=0.05), "first_byte"),
    ],
    ids=["no answer", "no body", "a dripping body", "nothing but pings"],
)
def test_a_slow_target_costs_its_timeout_and_no_more(behave, phase):
    result = asked(behave, timeout="300ms")
    assert (result.failure.reason, result.failure.phase) == (Reason.TIMEOUT, phase)


def test_an_endless_body_is_cut():
    result = asked(says(HELLO, again=data(b"x" * 16384)), explain=True)
    assert result.outcome is Outcome.UP, result
    assert result.evidence["notes"] == ["body cut at 1 MiB"]


def test_a_window_that_never_opens_holds_no_more_than_the_request():
    """The target takes nothing of our body; it is given up when the time is over."""
    closed = frame.SettingsFrame(0, settings={4: 0}).serialize()
    result = asked(says(closed), method="POST", body="x" * 60_000, timeout="300ms")
    assert (result.failure.reason, result.failure.phase) == (Reason.TIMEOUT, "first_byte")


def test_an_answer_before_our_whole_body_is_an_answer():
    pieces = (
        frame.SettingsFrame(0, settings={4: 0}).serialize(),
        headers(status="413") + data(b"too much"),
        frame.RstStreamFrame(1, error_code=0).serialize(),
    )
    result = asked(says(*pieces), method="POST", body="x" * 60_000, expect=["status == 413", 'body == "too much"'])
    assert result.outcome is Outcome.UP, result


@pytest.mark.parametrize("after", [b"", HELLO, HELLO + data(b"abc")], ids=["at once", "after headers", "in the body"])
def test_a_reset_is_down_as_such(after):
    def behave(visit):
        visit.sock.recv(65536)
        visit.send(SETTINGS + after)
        time.sleep(0.05)
        reset(visit)

    result = asked(behave)
    assert (result.outcome, result.failure.reason) == (Outcome.DOWN, Reason.RESET)


def test_trailers_and_hints_are_not_the_answer():
    pieces = headers(("link", "</a>"), status="103") + HELLO + data(b"real") + headers_after_the_body()
    lines = ["status == 200", 'body == "real"', "header link not exists", "header grpc-status not exists"]
    result = asked(says(pieces), expect=lines)
    assert result.outcome is Outcome.UP, result


def test_a_status_that_no_standard_knows_is_for_the_expectation_to_judge():
    result = asked(says(headers(status="999", end=True, flags=("END_HEADERS", "END_STREAM"))), expect=["status == 999"])
    assert result.outcome is Outcome.UP, result


def headers_after_the_body():
    block = hpack.Encoder().encode([("grpc-status", "0")])
    return frame.HeadersFrame(1, data=block, flags=["END_HEADERS", "END_STREAM"]).serialize()


def test_a_target_that_agrees_to_http2_and_speaks_http1_is_down():
    tls = serving(authority().issue_cert("127.0.0.1"))
    tls.set_alpn_protocols(["h2"])
    with Target(says(first=b"HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nok"), tls=tls) as target:
        result = probe_once(url=target.url(), http_version="any", verify=False, timeout="2s")
    assert result.failure.reason is Reason.PROTOCOL


def test_what_is_sent_is_a_sound_request():
    """A server of h2's own reads it."""
    seen = {}

    def behave(visit):
        server = h2.connection.H2Connection(h2.config.H2Configuration(client_side=False))
        server.initiate_connection()
        visit.send(server.data_to_send())
        body = b""
        while came := visit.sock.recv(65536):
            for event in server.receive_data(came):
                match event:
                    case h2.events.RequestReceived():
                        seen.update(event.headers)
                    case h2.events.DataReceived():
                        body += event.data
                        server.acknowledge_received_data(event.flow_controlled_length, event.stream_id)
                    case h2.events.StreamEnded():
                        seen["body"] = body
                        server.send_headers(event.stream_id, [(":status", "204")], end_stream=True)
            visit.send(server.data_to_send())

    options = {"method": "PUT", "body": "b" * 65_536, "headers": {"X-Own": "1", "Host": "shop.test"}, "bearer": "t0ken"}
    result = asked(behave, **options)
    assert result.outcome is Outcome.UP, result
    assert seen[b":method"] == b"PUT"
    assert seen[b":authority"] == b"shop.test"
    assert (seen[b"x-own"], seen[b"authorization"], seen[b"content-length"]) == (b"1", b"Bearer t0ken", b"65536")
    assert seen["body"] == b"b" * 65_536
    assert not {b"host", b"connection"} & set(seen)


GOODBYE = frame.GoAwayFrame(0, last_stream_id=1, additional_data=b"max_age").serialize()


@pytest.mark.parametrize(
    "pieces",
    [
        (GOODBYE + HELLO + data(b"hello", end=True),),
        (HELLO + data(b"hel") + GOODBYE, data(b"lo", end=True)),
        tuple(bytes([byte]) for byte in GOODBYE + HELLO + data(b"hello", end=True)),
        (GOODBYE * 2, HELLO, GOODBYE, data(b"hello", end=True)),
    ],
    ids=["before the answer", "in the body", "byte by byte", "several times"],
)
def test_who_takes_no_more_requests_may_still_answer_this_one(pieces):
    result = asked(says(*pieces), expect=['body == "hello"'])
    assert (result.outcome, result.failure) == (Outcome.UP, None)
