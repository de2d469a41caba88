"""`websocket`: a real server, and real hostile ones."""

from __future__ import annotations

import base64
import contextlib
import errno
import hashlib
import json
import re
import threading
from http import HTTPStatus

import pytest
from pydantic import ValidationError
from websockets.exceptions import ConnectionClosed
from websockets.sync.server import serve

from checks.result import Outcome, Reason
from tests.factories import make_spec
from tests.probing import probe_once
from tests.servers import Target, answer, authority_pem, drips, echoes, reset, sends, trusted


def echo(socket):
    for message in socket:
        socket.send(message)


def greet(socket):
    socket.send("welcome")
    socket.send(f"you said {socket.recv()}")


def refuse(socket):
    socket.recv()
    socket.close(4001, "not you")


def ping(socket):
    for _ in range(5000):
        socket.ping()


BEHAVIOURS = {
    "/echo": echo,
    "/greet": greet,
    "/headers": lambda socket: socket.send(json.dumps(dict(socket.request.headers.raw_items()))),
    "/policy": lambda socket: socket.close(1008, "go away"),
    "/after": refuse,
    "/parts": lambda socket: socket.send(["one ", "two ", "three"]),
    "/large": lambda socket: socket.send("x" * (2 * 1024 * 1024)),
    "/many": ping,
}


def talk(socket):
    """What the server does, by the path that was asked."""
    with contextlib.suppress(ConnectionClosed):
        BEHAVIOURS[socket.request.path.partition("?")[0]](socket)
        socket.recv()


def admit(connection, request):
    return connection.respond(HTTPStatus.FORBIDDEN, "no way\n") if request.path == "/denied" else None


def choose(connection, offered):
    return offered[-1] if offered else None


def serving_websockets(**options):
    return serve(talk, "127.0.0.1", 0, process_request=admit, select_subprotocol=choose, **options)


@pytest.fixture(scope="module", params=["ws", "wss"])
def server(request):
    """The beginning of the addresses of a server."""
    with serving_websockets(ssl=trusted() if request.param == "wss" else None) as running:
        thread = threading.Thread(target=running.serve_forever)
        thread.start()
        yield f"{request.param}://127.0.0.1:{running.socket.getsockname()[1]}"
        running.shutdown()
        thread.join()


def opened(url, **options):
    ca = {"ca": authority_pem()} if url.startswith("wss") else {}
    return probe_once(kind="websocket", url=url, **ca, **options)


def test_one_that_opens_is_up(server):
    result = opened(f"{server}/echo")
    assert (result.outcome, result.failure) == (Outcome.UP, None)
    assert result.latency_ns == result.phases.total()
    phases = {"connect", "first_byte", "transfer"} | ({"tls"} if server.startswith("wss") else set())
    assert set(result.phases.as_dict()) == phases


@pytest.mark.parametrize(
    "options",
    [
        {"expect": ['reply == "hello"', "status == 101"]},
        {"expect": ['reply contains "ell"'], "binary": True},
        {"send": '{"queue": 7}', "expect": ["json $.queue < 10"]},
    ],
)
def test_its_reply_is_judged(server, options):
    result = opened(f"{server}/echo", **{"send": "hello", **options})
    assert (result.outcome, result.failure) == (Outcome.UP, None)
    assert result.latency_ns == result.phases.total()


def test_a_reply_that_is_not_healthy_is_shown(server):
    result = opened(f"{server}/echo", send="hello", expect=['reply == "bye"'])
    assert result.failure.message == 'expected reply == "bye", got "hello"'
    assert (result.evidence["reply"], result.evidence["messages"]) == ("hello", 1)
    assert result.evidence["url"] == f"{server}/echo"


def test_a_greeting_can_be_passed_over(server):
    assert opened(f"{server}/greet", send="x", expect=['reply == "welcome"']).outcome is Outcome.UP
    assert opened(f"{server}/greet", send="x", expect=['reply == "you said x"'], skip=1).outcome is Outcome.UP


def test_a_message_in_parts_is_one(server):
    assert opened(f"{server}/parts", expect=['reply == "one two three"']).outcome is Outcome.UP


def test_headers_origin_and_subprotocol_are_sent_and_hidden(server):
    result = opened(
        f"{server}/headers?a=b",
        headers={"X-Token": "s3cret-value", "User-Agent": "me"},
        origin="https://shop.example.org",
        subprotocols=["chat.v2"],
        expect=[
            'json $.Origin == "https://shop.example.org"',
            'json $["User-Agent"] == "me"',
            'reply contains "absent"',
        ],
    )
    assert result.failure.expectation == 'reply contains "absent"'
    assert '"X-Token": "••••••"' in result.evidence["reply"]
    assert "s3cret" not in repr(result)


def test_headers_are_sent_in_utf8_as_http_sends_them():
    with Target(echoes) as target:
        result = opened(f"ws://{target.address}/", headers={"X-Name": "日本 é"}, origin="https://bücher.example")
    sent = target.requests[0].decode()
    assert ("X-Name: 日本 é\r\n" in sent, "Origin: https://bücher.example\r\n" in sent) == (True, True)
    assert result.failure.reason is Reason.EXPECTATION
    assert "日本" not in repr(result)


def test_the_subprotocol_is_what_the_server_chose(server):
    lines = ['subprotocol == "chat.v1"', 'header Sec-WebSocket-Protocol == "chat.v1"']
    assert opened(f"{server}/echo", subprotocols=["chat.v2", "chat.v1"], expect=lines).outcome is Outcome.UP


def test_a_refused_upgrade_is_named_and_shown(server):
    result = opened(f"{server}/denied", send="x", expect=["reply exists"])
    assert result.failure.message == "expected the upgrade to be answered with status 101, got 403 Forbidden"
    assert (result.evidence["status"], result.evidence["body"]) == (403, "no way\n")
    result = opened(f"{server}/denied")
    assert result.failure.message == "expected status == 101, got 403"
    assert opened(f"{server}/denied", expect=["status == 403"]).outcome is Outcome.UP


def test_a_close_instead_of_a_reply_is_named(server):
    result = opened(f"{server}/policy", expect=["reply exists"])
    assert result.failure.reason is Reason.CLOSED
    assert result.failure.message == "closed before a reply: 1008 (policy violation): go away"


def test_the_close_code_can_be_what_is_expected(server):
    assert opened(f"{server}/policy", expect=["close_code == 1008"]).outcome is Outcome.UP
    assert opened(f"{server}/after", send="x", expect=["close_code == 4001"]).outcome is Outcome.UP
    result = opened(f"{server}/after", send="x", expect=["close_code == 1000"])
    assert result.failure.message == "expected close_code == 1000, got 4001"
    assert result.evidence["closed"] == "4001: not you"


def test_no_reply_is_a_timeout(server):
    result = opened(f"{server}/echo", expect=["reply exists"], timeout="200ms")
    assert result.failure.reason is Reason.TIMEOUT
    assert result.failure.message == "timed out after 0.2 s while reading the answer (0 messages so far)"


@pytest.mark.parametrize("path", ["/large", "/many"])
def test_what_is_too_large_is_not_read(server, path):
    result = opened(f"{server}{path}", expect=["reply exists"])
    assert result.failure.reason is Reason.TOO_LARGE


# Hostile servers


def accepts(*frames: bytes, headers: str = "", close: bool = True):
    """Opens the WebSocket as it should be, and then sends these bytes."""

    def behave(visit):
        key = re.search(rb"Sec-WebSocket-Key: (\S+)", visit.read_request())[1]
        accept = base64.b64encode(hashlib.sha1(key + b"258EAFA5-E914-47DA-95CA-C5AB0DC85B11").digest()).decode()
        visit.send(
            f"HTTP/1.1 101 Switching Protocols\r\nUpgrade: websocket\r\nConnection: Upgrade\r\n"
            f"Sec-WebSocket-Accept: {accept}\r\n{headers}\r\n".encode()
        )
        for frame in frames:
            visit.send(frame)
        if close:
            return
        visit.wait_for_end()

    return behave


SWITCH = b"HTTP/1.1 101 Switching Protocols\r\nUpgrade: websocket\r\nConnection: Upgrade\r\n"

HOSTILE = [
    (sends(SWITCH + b"Sec-WebSocket-Accept: bm90IHlvdXJz\r\n\r\n"), "protocol", "not for our key"),
    (sends(SWITCH + b"\r\n"), "protocol", "status 101, but missing Sec-WebSocket-Accept header"),
    (sends(b"HTTP/1.1 101 Switching Protocols\r\n\r\n"), "protocol", "status 101, but missing Connection header"),
    (accepts(headers="Sec-WebSocket-Protocol: other\r\n"), "protocol", "what was not offered: no subprotocols"),
    (accepts(headers="Sec-WebSocket-Extensions: x\r\n"), "protocol", "what was not offered: no extensions"),
    (sends(b"220 mail.example.org ESMTP\r\n"), "protocol", "not a valid HTTP answer"),
    (sends(b"\x00\xff\r\n\r\n"), "protocol", "not a valid HTTP answer"),
    (sends(), "closed", "closed before the upgrade was answered"),
    (sends(b"HTTP/1.1 101 Swi"), "closed", "closed before the upgrade was answered"),
    (sends(b"HTTP/1.1 101 " + b"x" * 9000 + b"\r\n\r\n"), "too_large", "the answer to the upgrade is too large"),
    (sends(SWITCH + b"X-A: b\r\n" * 200 + b"\r\n"), "too_large", "the answer to the upgrade is too large"),
    (reset, "reset", "reset"),
    (accepts(), "closed", "without a close frame (1006)"),
    (accepts(b"\x81\x05hel"), "closed", "without a close frame (1006)"),
    (accepts(b"\xff\x05hello"), "protocol", "not valid WebSocket frames: "),
    (accepts(b"\x80\x05hello"), "protocol", "unexpected continuation frame"),
    (accepts(b"\x81\x85abcdhello"), "protocol", "incorrect masking"),
    (accepts(b"\x88\x01a"), "protocol", "close frame too short"),
    (accepts(b"\x81\x7f" + b"\x7f" + b"\xff" * 7), "too_large", "a message is over 1024 KiB"),
    (accepts(b"\x01\x01a" * 1 + b"\x00\x01a" * 3000), "too_large", "2000 frames"),
    (accepts(b"\x89\x00" * 3000), "too_large", "2000 frames"),
]


@pytest.mark.parametrize(
    ("behave", "reason", "message"), HOSTILE, ids=[f"{row[1]}-{i}" for i, row in enumerate(HOSTILE)]
)
def test_what_is_no_websocket_is_named(behave, reason, message):
    with Target(behave) as target:
        result = opened(f"ws://{target.address}/", expect=["reply exists"], timeout="5s")
    assert (result.outcome, result.failure.reason.value) == (Outcome.DOWN, reason)
    assert message in result.failure.message


def test_a_redirect_is_not_followed_and_says_where_it_leads():
    with Target(sends(answer(b"", "302 Found", ("Location: https://login.example.org/",)))) as target:
        result = opened(f"ws://{target.address}/", expect=["reply exists"])
    assert result.failure.message.endswith("got 302 Found to https://login.example.org/")


def test_a_server_that_drips_is_left_at_the_deadline():
    with Target(drips(SWITCH, b"X-A: b\r\n")) as target:
        result = opened(f"ws://{target.address}/", timeout="300ms")
    assert result.failure.reason is Reason.TIMEOUT


# Options


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"url": "http://a.example/"}, "does not begin with ws:// or wss://"),
        ({"url": "ws://eve:pw@a.example/"}, "holds a user name or a password"),
        ({"url": "ws:///x"}, "has no host"),
        ({"headers": {"Sec-WebSocket-Key": "x"}}, "sec-websocket-key is set by the probe itself"),
        ({"headers": {"origin": "x"}}, "origin is set by the probe itself"),
        ({"headers": {"Upgrade": "x"}}, "Upgrade is set by the probe itself"),
        ({"headers": {"X-A": "1", "x-a": "2"}}, "each header may stand once"),
        ({"subprotocols": ["a b"]}, "'a b' is no name of a subprotocol"),
    ],
)
def test_a_wrong_option_is_named(options, message):
    with pytest.raises(ValidationError, match=re.escape(message)):
        make_spec(**{"kind": "websocket", "url": "ws://a.example/", **options})


def test_an_address_is_read_with_its_port_and_its_query():
    target = make_spec(kind="websocket", url="WSS://Ä.example/a?b=c#d").target
    assert (target.host, target.port, target.target) == ("xn--4ca.example", 443, "/a?b=c")
    target = make_spec(kind="websocket", url="ws://[::1]:8080").target
    assert (target.host, target.port, target.target) == ("::1", 8080, "/")


@pytest.mark.parametrize(
    ("path", "options", "outcome"),
    [
        ("/echo", {"degraded": ["close_code == 1000"]}, Outcome.DEGRADED),
        ("/echo", {"degraded": ["reply exists"]}, Outcome.DEGRADED),
        ("/policy", {"degraded": ["reply exists"]}, Outcome.DEGRADED),
        ("/policy", {"expect": ["reply exists"]}, Outcome.DOWN),
        ("/policy", {"degraded": ["close_code == 1008"]}, Outcome.UP),
        ("/echo", {"send": "x", "expect": ['reply == "x"'], "degraded": ["close_code == 1000"]}, Outcome.DEGRADED),
        ("/echo", {"send": "x", "degraded": ['reply == "x"']}, Outcome.UP),
    ],
)
def test_what_only_degraded_asks_for_makes_nobody_down(server, path, options, outcome):
    assert opened(f"{server}{path}", timeout="1s", **options).outcome is outcome


def test_a_connection_that_times_out_is_no_silence(server, monkeypatch):
    async def message(*_):
        raise TimeoutError(errno.ETIMEDOUT, "Connection timed out")

    monkeypatch.setattr("checks.protocols.websocket.Visit.message", message)
    result = opened(f"{server}/echo", degraded=["reply exists"])
    assert (result.outcome, result.failure.message) == (Outcome.DOWN, "the connection timed out")
