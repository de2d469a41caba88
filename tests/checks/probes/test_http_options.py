"""What the options of the http kind send: bodies, methods, encodings, proxies, names and redirects to http."""

from __future__ import annotations

import gzip
import json

import brotli
import pytest
from backports import zstd
from pydantic import ValidationError

from checks.address import parse_url
from checks.network.request import Request
from checks.probe import ProbeFailure
from checks.probes import parse_spec
from checks.result import Outcome, Reason
from checks.spec import dump
from tests.factories import make_spec
from tests.probing import probe_once
from tests.proxies import connects, socks
from tests.servers import Target, answer, answers, authority_pem, by_path, closed_port, echoes, trusted


def sent(**options):
    """The head and the body that arrive."""
    with Target(echoes) as target:
        result = probe_once(url=target.url(), **options)
    assert result.outcome is Outcome.UP, result
    head, _, body = target.requests[0].partition(b"\r\n\r\n")
    return head.decode(), body.decode()


@pytest.mark.parametrize("value", [{"a": [1, 2.5, None, True], "ü": "ö"}, [1, 2], '{"a":   1}', '"text"'])
def test_json_is_sent_as_json(value):
    head, body = sent(method="POST", json_body=value)
    assert json.loads(body) == (json.loads(value) if isinstance(value, str) else value)
    assert "content-type: application/json\r\n" in head
    spec = make_spec(method="POST", json_body=value)
    assert parse_spec(dump(spec)) == spec


def test_a_form_is_sent_as_browsers_do():
    head, body = sent(method="POST", form={"name": "Eve & Co", "ü": "a=b"})
    assert body == "name=Eve+%26+Co&%C3%BC=a%3Db"
    assert "content-type: application/x-www-form-urlencoded\r\n" in head
    assert f"content-length: {len(body)}\r\n" in head


def test_the_users_own_content_type_stands():
    head, _ = sent(method="PUT", json_body={}, headers={"Content-Type": "application/vnd.api+json"})
    assert head.count("content-type") == 1
    assert "content-type: application/vnd.api+json\r\n" in head


def test_what_a_header_asks_for_is_no_secret_in_the_evidence():
    headers = {"Accept": "application/json", "X-Key": "s3cret-key"}
    with Target(answers(b'"s3cret-key"', headers=("Content-Type: application/json",))) as target:
        result = probe_once(url=target.url(), headers=headers, explain=True)
    assert ["Content-Type", "application/json"] in result.evidence["headers"]
    assert "s3cret-key" not in repr(result)


@pytest.mark.parametrize(("written", "arrives"), [("get", "GET"), ("PROPFIND", "PROPFIND"), ("M-Search", "M-Search")])
def test_any_method_is_sent(written, arrives):
    head, _ = sent(method=written)
    assert head.startswith(f"{arrives} / HTTP/1.1\r\n")


def test_the_host_header_is_the_users_own_where_given():
    head, _ = sent(headers={"Host": "shop.example"})
    assert head.count("host: ") == 1
    assert "host: shop.example\r\n" in head


def test_encodings_are_asked_for_in_their_order():
    head, _ = sent(accept_encoding=["zstd", "br"])
    assert "accept-encoding: zstd, br\r\n" in head
    head, _ = sent(accept_encoding=["zstd"], headers={"Accept-Encoding": "gzip;q=1"})
    assert head.count("accept-encoding") == 1
    assert "accept-encoding: gzip;q=1\r\n" in head


@pytest.mark.parametrize(
    ("encoding", "encode"), [("gzip", gzip.compress), ("br", brotli.compress), ("zstd", zstd.compress)]
)
def test_an_encoded_body_is_read_by_every_subject(encoding, encode):
    body = encode(json.dumps({"queue": 7, "filler": "x" * 5000}).encode())
    lines = ["json $.queue == 7", 'body contains "xxxx"', f"size == {len(body)}B"]
    with Target(answers(body, headers=(f"Content-Encoding: {encoding}",))) as target:
        result = probe_once(url=target.url(), accept_encoding=[encoding], expect=lines, explain=True)
    assert result.outcome is Outcome.UP, result
    assert result.evidence["body"].startswith('{"queue": 7')


# Redirects


def test_a_redirect_to_http_is_followed_only_where_that_is_allowed():
    with (
        Target(answers(b"plain")) as plain,
        Target(answers(b"", "302 Found", (f"Location: {plain.url()}",)), tls=trusted()) as target,
    ):
        options = {"url": target.url(), "ca": authority_pem()}
        refused = probe_once(**options)
        followed = probe_once(**options, follow_to_http=True, bearer="t0ken", expect=['body == "plain"'])
    assert refused.failure.message == f"redirected from https to http: {plain.url()}"
    assert followed.outcome is Outcome.UP
    assert b"t0ken" in target.requests[1]
    assert b"t0ken" not in plain.requests[0]


def test_a_site_that_sets_a_cookie_and_redirects_to_itself_is_followed():
    def gate(visit):
        if b"cookie: own=1; seen=yes\r\n" in visit.read_request():
            visit.send(answer(b"inside"))
        else:
            visit.send(answer(b"", "302 Found", ("Location: /", "Set-Cookie: seen=yes")))

    with Target(gate) as target:
        result = probe_once(
            url=target.url(), headers={"Cookie": "own=1"}, expect=['body == "inside"', "redirects == 1"]
        )
    assert result.outcome is Outcome.UP, result


def test_no_cookie_goes_to_another_host():
    with Target(echoes) as other:
        headers = (f"Location: http://localhost:{other.port}/", "Set-Cookie: sid=1; Path=/")
        with Target(answers(b"", "302 Found", headers)) as target:
            probe_once(url=target.url(), headers={"Cookie": "own=1"})
    assert b"cookie" not in other.requests[0].lower()


# Proxies


@pytest.mark.parametrize("proxy", ["socks5", "socks5h"])
def test_a_proxy_of_socks_is_gone_through(proxy):
    with Target(answers(b"there")) as target, Target(socks(password="eve:s3cret")) as way:
        options = {"proxy": f"{proxy}://eve:s3cret@{way.address}", "expect": ['body == "there"']}
        result = probe_once(url=f"http://localhost:{target.port}/", **options)
    assert result.outcome is Outcome.UP, result
    assert way.requests[-1] == (b"localhost" if proxy == "socks5h" else b"127.0.0.1")


def test_what_is_secured_is_led_through_a_proxy_in_a_tunnel():
    with Target(answers(b"there"), tls=trusted()) as target, Target(connects(password="eve:s3cret")) as way:
        options = {"proxy": f"http://eve:s3cret@{way.address}", "ca": authority_pem()}
        result = probe_once(url=target.url(), expect=['body == "there"'], **options)
    assert result.outcome is Outcome.UP, result
    assert way.requests[0].startswith(f"CONNECT {target.address} ".encode())
    assert b"proxy-authorization" not in target.requests[0].lower()


def passes_on(visit):
    """An HTTP proxy that answers by itself, with what it was asked."""
    visit.send(answer(visit.read_request()))


def test_what_is_in_clear_is_asked_of_an_http_proxy_as_a_whole_address():
    with Target(passes_on) as way:
        options = {
            "proxy": f"http://eve:s3cret@{way.address}",
            "expect": ['body contains "GET http://shop.example/a?b"'],
        }
        result = probe_once(url="http://shop.example/a?b", **options)
    assert result.outcome is Outcome.UP, result
    assert result.evidence["proxy"] == way.address
    assert b"\r\nproxy-authorization: Basic ZXZlOnMzY3JldA==\r\n" in way.requests[0]
    assert b"\r\nhost: shop.example\r\n" in way.requests[0]


def test_a_redirect_through_a_proxy_is_asked_of_the_proxy_again():
    pages = by_path(**{"http:": answer(b"", "302 Found", ("Location: http://b.example/next",))})
    with Target(pages) as way:
        result = probe_once(url="http://a.example/", proxy=f"http://{way.address}", max_redirects=1)
    assert [request.split(b" ")[1] for request in way.requests] == [b"http://a.example/", b"http://b.example/next"]
    assert result.failure.reason is Reason.REDIRECT


@pytest.mark.parametrize(
    ("said", "words"),
    [
        (answer(b"", "407 Proxy Authentication Required"), "the proxy does not accept our credentials (status 407)"),
        (None, "the connection was refused"),
    ],
)
def test_what_fails_at_a_proxy_is_told_as_the_proxys(said, words):
    if said is None:
        result = probe_once(url="http://shop.example/", proxy=f"http://127.0.0.1:{closed_port()}")
    else:
        with Target(lambda visit: (visit.read_request(), visit.send(said))) as way:
            result = probe_once(url="http://shop.example/", proxy=f"http://{way.address}")
    assert (result.outcome, result.failure.reason) == (Outcome.DOWN, Reason.PROXY)
    assert words in result.failure.message


def test_no_proxy_is_asked_for_an_address_that_is_denied():
    with Target(passes_on) as way:
        result = probe_once(url="http://169.254.169.254/latest/", proxy=f"http://{way.address}")
    assert result.failure.reason is Reason.DENIED
    assert not way.requests


# Requests


@pytest.mark.parametrize("name", ["x-a", "x\r\ny", "", "x y"])
def test_no_request_is_written_with_a_line_break_in_a_header(name):
    value = "b\r\nEvil: 1" if name == "x-a" else "b"
    request = Request(url=parse_url("http://a.example/"), headers={name: value})
    with pytest.raises(ProbeFailure, match="can't be sent"):
        assert request.wire


def test_a_form_needs_names():
    with pytest.raises(ValidationError, match="at least 1 item"):
        make_spec(method="POST", form={"": "x"})
