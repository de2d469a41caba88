"""Proxies: what they are asked, and that their faults are told as theirs."""

from __future__ import annotations

import asyncio
import time

import pytest

from checks.network import Resources, Route, Tls, dial
from checks.network.connection import Connection
from checks.network.guard import Guard
from checks.network.resolver import Resolver
from checks.network.route import parse_proxy
from checks.probe import ProbeContext, ProbeFailure
from checks.result import Reason
from tests.probing import on_loop
from tests.proxies import connects, socks
from tests.servers import Target, answer, answers, authority_pem, closed_port, greets, hangs, resets, silent, trusted

HELLO = b"GET / HTTP/1.0\r\n\r\n"
TABLE = {"proxy.example": ("127.0.0.1",), "shop.example": ("127.0.0.1",), "half.example": ("127.0.0.9", "127.0.0.1")}


class Listener(Connection):
    """Collects what comes until it ends."""

    def __init__(self):
        super().__init__()
        self.heard = b""
        self.done = asyncio.get_running_loop().create_future()

    def received(self, data, at_ns):
        self.heard += data
        if b"ok" in self.heard and not self.done.done():
            self.done.set_result(self.heard)

    def ended(self, exc):
        if not self.done.done():
            self.done.set_result(self.heard)


def resources():
    return Resources(guard=Guard(), resolver=Resolver(lookup=TABLE.__getitem__, servers=()))


def through(proxy, host, port, tls=None, asks=HELLO):
    """What the target says through a proxy, and the context of the probe."""
    shared = resources()
    context = ProbeContext(resources=shared)

    async def ask():
        async with asyncio.timeout(5):
            connection = await dial(context, host, port, Listener, tls, route=Route(proxy=parse_proxy(proxy)))
            try:
                connection.send(asks)
                connection.start()
                return await connection.done
            finally:
                connection.abort()

    return on_loop(ask(), shared), context


def refusal(proxy, host="127.0.0.1", port=9):
    with pytest.raises(ProbeFailure) as caught:
        through(proxy, host, port)
    return caught.value.failure


@pytest.mark.parametrize(
    ("scheme", "behaviour"), [("http", connects()), ("socks5", socks()), ("socks5h", socks())], ids=["http", "5", "5h"]
)
def test_a_proxy_leads_to_the_target_in_clear_and_over_tls(scheme, behaviour):
    with Target(behaviour) as proxy, Target(answers()) as plain, Target(answers(), tls=trusted()) as secure:
        heard, context = through(f"{scheme}://{proxy.address}", "127.0.0.1", plain.port)
        safe, _ = through(f"{scheme}://{proxy.address}", "127.0.0.1", secure.port, Tls(ca=authority_pem()))
    assert heard.endswith(b"ok")
    assert safe.endswith(b"ok")
    assert context.seen.evidence == {"proxy": proxy.address, "address": plain.address}
    assert 0 < context.stopwatch.phases.connect < 1_000_000_000


def test_the_password_of_a_proxy_is_told_to_it():
    with Target(connects(password="eve:s3:cret")) as web, Target(socks(password="eve:s3:cret")) as other:
        with Target(answers()) as target:
            for address in (f"http://eve:s3%3Acret@{web.address}", f"socks5://eve:s3%3Acret@{other.address}"):
                assert through(address, "127.0.0.1", target.port)[0].endswith(b"ok")
        wrong = refusal(f"http://eve:wrong@{web.address}")
        assert wrong.message == (
            f"the proxy {web.address} answered 407 Proxy Authentication Required when asked to connect to 127.0.0.1:9"
        )
        assert refusal(f"socks5://eve:wrong@{other.address}").message.endswith("refused the user name or the password")
        assert refusal(f"socks5://{other.address}").message.endswith(
            "lets us not in: it wants a user name and a password"
        )


def test_socks5_is_given_an_address_and_socks5h_the_name():
    with Target(socks(names={"shop.example": "127.0.0.1"})) as proxy, Target(answers()) as target:
        for scheme in ("socks5", "socks5h"):
            assert through(f"{scheme}://proxy.example:{proxy.port}", "shop.example", target.port)[0].endswith(b"ok")
    assert proxy.requests == [b"127.0.0.1", b"shop.example"]


def test_a_name_whose_first_address_the_proxy_can_not_reach_is_asked_at_the_next():
    with Target(socks()) as proxy, Target(answers()) as target:
        heard, context = through(f"socks5://{proxy.address}", "half.example", target.port)
    assert heard.endswith(b"ok")
    assert context.seen.evidence["address"] == target.address


def test_what_a_target_says_in_one_piece_with_the_proxys_answer_is_not_lost():
    with Target(connects(early=answer(b"o"))) as proxy, Target(greets(b"k")) as target:
        assert through(f"http://{proxy.address}", "127.0.0.1", target.port)[0].endswith(b"ok")


@pytest.mark.parametrize(
    ("said", "expected"),
    [
        (b"HTTP/1.1 403 Forbidden\r\n\r\n", "answered 403 Forbidden when asked to connect to"),
        (b"HTTP/1.1 100 Continue\r\n\r\n" * 9, "answered 100 again and again"),
        (b"220 mail ESMTP\r\n", "does not speak HTTP; it begins with '220 mail ESMTP"),
        (b"HTTP/1.1 200 OK\r\n" + b"X: y\r\n" * 9000, "sent headers of over 16 KiB"),
        (b"A" * 20_000, "does not speak HTTP; it begins with 'AAAA"),
        (b"HTTP/1.1 200 OK\r\n", ": the connection was closed"),
    ],
)
def test_an_http_proxy_that_refuses_or_lies_is_named(said, expected):
    with Target(greets(said, close=True)) as proxy:
        failure = refusal(f"http://{proxy.address}")
    assert failure.reason is Reason.PROXY
    assert failure.message.startswith(f"the proxy {proxy.address}{' ' if expected[0] != ':' else ''}{expected}")


@pytest.mark.parametrize(
    ("said", "expected"),
    [
        (b"HTTP/1.1 400 Bad Request\r\n\r\n", " does not speak SOCKS 5; it begins with the byte 72"),
        (b"\x05\x07", " chose the way to sign in 7, which it was not offered"),
        (b"\x05\x00\x05\x02\x00\x01" + bytes(6), " can't connect to 127.0.0.1:9: its rules do not allow it"),
        (b"\x05\x00\x05\x63\x00\x01" + bytes(6), " can't connect to 127.0.0.1:9: error 99"),
        (b"\x05\x00\x05\x00\x00\x09" + bytes(6), " answered with an address of the unknown type 9"),
        (b"\x05\x00\x04\x5a\x00\x01" + bytes(6), " answered in version 4"),
        (b"\x05\x00\x05", ": the connection was closed"),
    ],
)
def test_a_socks_proxy_that_refuses_or_lies_is_named(said, expected):
    with Target(greets(said, close=True)) as proxy:
        failure = refusal(f"socks5://{proxy.address}")
    assert failure.reason is Reason.PROXY
    assert failure.message == f"the proxy {proxy.address}{expected}"


def test_a_proxy_that_is_not_there_is_named():
    port = closed_port()
    failure = refusal(f"http://127.0.0.1:{port}")
    assert (failure.reason, failure.message) == (
        Reason.PROXY,
        f"the proxy 127.0.0.1:{port}: the connection was refused",
    )
    with Target(resets()) as proxy:
        assert "was reset" in refusal(f"http://{proxy.address}").message


@pytest.mark.parametrize("proxy", ["http", "socks5", "socks5h"])
@pytest.mark.parametrize(
    "host", ["169.254.169.254", "2852039166", "0xa9fea9fe", "0251.0376.0251.0376", "fd00:ec2::254"]
)
def test_a_refused_address_is_refused_through_a_proxy_too(proxy, host):
    with Target(hangs) as target:
        failure = refusal(f"{proxy}://{target.address}", host, 80)
        assert failure.reason is Reason.DENIED
        assert target.connections == 0


def test_a_proxy_at_a_refused_address_is_not_asked():
    failure = refusal("http://169.254.169.254:3128")
    assert failure.reason is Reason.DENIED


def test_a_proxy_that_never_answers_leaves_no_socket_behind():
    for behaviour in (hangs, greets(b"HTTP/1.1 200")):
        with Target(behaviour) as proxy:
            shared = resources()
            context = ProbeContext(resources=shared)

            async def ask(address=proxy.address, context=context):
                async with asyncio.timeout(0.2):
                    await dial(context, "127.0.0.1", 9, Listener, route=Route(proxy=parse_proxy(f"http://{address}")))

            with pytest.raises(TimeoutError):
                on_loop(ask(), shared)
            assert context.seen.waiting_for == f"the proxy {proxy.address}"


def test_a_proxy_with_a_dead_first_address_costs_a_quarter_of_a_second():
    with Target(connects()) as proxy, Target(answers()) as target, silent("127.0.0.9", proxy.port):
        began = time.monotonic()
        assert through(f"http://half.example:{proxy.port}", "127.0.0.1", target.port)[0].endswith(b"ok")
    assert 0.2 < time.monotonic() - began < 5
