"""The http kind against well-behaved servers on loopback: answers, redirects, credentials, options."""

from __future__ import annotations

import base64
import json

import pytest
from pydantic import ValidationError

from checks.result import Outcome, Reason
from tests.factories import make_spec
from tests.probing import probe_once
from tests.servers import Target, answer, answers, by_path, closed_port, echoes, sends


def test_an_answer_in_the_two_hundreds_is_up():
    with Target(answers(b"fine")) as target:
        result = probe_once(url=target.url("/health?deep=1"), explain=True)
    assert result.outcome is Outcome.UP
    assert result.evidence["status"] == 200
    assert result.evidence["body"] == "fine"
    assert target.requests[0].startswith(b"GET /health?deep=1 HTTP/1.1\r\n")


def test_the_phases_add_up_to_the_latency_exactly():
    with Target(sends(answer(b"x" * 100)[:50], answer(b"x" * 100)[50:], pause=0.02)) as target:
        result = probe_once(url=target.url())
    assert result.latency_ns == result.phases.total()
    assert set(result.phases.as_dict()) == {"connect", "first_byte", "transfer"}
    assert result.phases.transfer >= 15_000_000


def test_the_time_to_the_first_byte_is_the_targets_and_not_the_transfers():
    def slow(visit):
        visit.read_request()
        visit.wait(0.1)
        visit.send(answer())

    with Target(slow) as target:
        result = probe_once(url=target.url())
    assert result.phases.first_byte >= 100_000_000
    assert result.phases.transfer < 50_000_000


def test_a_name_costs_a_dns_phase_and_an_address_none():
    with Target(answers()) as target:
        named = probe_once(url=f"http://localhost:{target.port}/")
        numbered = probe_once(url=target.url())
    assert named.outcome is Outcome.UP
    assert named.phases.dns is not None
    assert numbered.phases.dns is None


def test_an_ipv6_address_is_asked():
    with Target(answers(), host="::1") as target:
        result = probe_once(url=target.url())
    assert result.outcome is Outcome.UP
    assert f"host: [::1]:{target.port}".encode() in target.requests[0]


def test_another_status_is_down_with_headers_and_the_beginning_of_the_body():
    body = b"stack trace\x1b[31m " + b"x" * 10_000
    with Target(answers(body, "503 Service Unavailable", ("Retry-After: 30", "Set-Cookie: sid=s3cret"))) as target:
        result = probe_once(url=target.url())
    assert result.outcome is Outcome.DOWN
    assert result.failure.message == "expected status in 200-299, got 503"
    assert result.failure.reason is Reason.EXPECTATION
    assert result.evidence["status"] == 503
    assert ["Retry-After", "30"] in result.evidence["headers"]
    assert "s3cret" not in str(result.evidence)
    assert len(result.evidence["body"]) == 4096
    assert "\x1b" not in result.evidence["body"]
    assert result.evidence["address"] == target.address
    assert result.complete


def test_expectations_see_status_headers_json_size_and_redirects():
    body = json.dumps({"database": "ok", "queue": 3}).encode()
    with Target(answers(body, headers=("Content-Type: application/json", "X-Version: 7"))) as target:
        lines = [
            "status == 200",
            'json $.database == "ok"',
            "json $.queue < 100",
            "header X-Version == 7",
            f"size == {len(body)}B",
            "redirects == 0",
            "latency < 5s",
            "connect < 5s",
            "certificate not exists",
        ]
        assert probe_once(url=target.url(), expect=lines).outcome is Outcome.UP
        unmet = probe_once(url=target.url(), expect=["json $.queue < 2"])
    assert unmet.failure.message == "expected json $.queue < 2, got 3"


def test_a_missed_degraded_line_is_degraded():
    with Target(answers(b"slow")) as target:
        result = probe_once(url=target.url(), degraded=["latency < 1us"])
    assert result.outcome is Outcome.DEGRADED


def test_an_inverted_monitor_is_down_when_the_target_answers():
    with Target(answers()) as target:
        assert probe_once(url=target.url(), invert=True).failure.reason is Reason.INVERTED
    assert probe_once(url=f"http://127.0.0.1:{closed_port()}/", invert=True).outcome is Outcome.UP


def test_a_post_sends_its_body_and_headers():
    with Target(echoes) as target:
        options = {"method": "POST", "body": "name=ü", "headers": {"Content-Type": "text/plain", "User-Agent": "me"}}
        probe_once(url=target.url(), **options)
    head, _, body = target.requests[0].partition(b"\r\n\r\n")
    assert body == "name=ü".encode()
    assert b"content-length: 7" in head
    assert b"user-agent: me" in head
    assert head.count(b"user-agent") == 1
    assert b"accept-encoding: identity" in head


def test_head_ends_with_the_headers():
    def announces(visit):
        visit.read_request()
        visit.send(b"HTTP/1.1 200 OK\r\nContent-Length: 1000\r\n\r\n")
        visit.wait_for_end()

    with Target(announces) as target:
        assert probe_once(url=target.url(), method="HEAD", timeout="2s").outcome is Outcome.UP


@pytest.mark.parametrize("options", [{"username": "eve", "password": "pässword"}, {"bearer": "t0ken-of-eve"}])
def test_credentials_are_sent_and_never_shown_even_when_the_target_sends_them_back(options, caplog):
    with Target(echoes) as target:
        result = probe_once(url=target.url(), expect=['body contains "absent"'], **options)
    sent = next(line for line in target.requests[0].split(b"\r\n") if line.startswith(b"authorization: "))
    scheme, _, credentials = sent.removeprefix(b"authorization: ").decode().partition(" ")
    if scheme == "Basic":
        assert base64.b64decode(credentials).decode() == "eve:pässword"
    else:
        assert credentials == "t0ken-of-eve"
    told = repr(result) + caplog.text
    assert "GET / HTTP/1.1" in result.evidence["body"]
    assert credentials not in told
    assert "pässword" not in told


# Redirects


def test_a_redirect_is_followed_and_its_hops_add_up():
    pages = by_path(root=answer(b"", "302 Found", ("Location: /next?a=b",)), next=answer(b"there"))
    with Target(pages) as target:
        result = probe_once(
            url=target.url(), expect=["status == 200", "redirects == 1", 'body == "there"'], explain=True
        )
    assert result.outcome is Outcome.UP
    assert result.evidence["redirects"] == [{"status": 302, "url": target.url()}]
    assert result.evidence["url"] == target.url("/next?a=b")
    assert result.latency_ns == result.phases.total()


@pytest.mark.parametrize("location", ["/Grüße".encode(), "/Grüße".encode("latin-1"), b"/Gr%C3%BC%C3%9Fe"])
def test_a_redirect_to_letters_of_any_encoding_goes_where_it_says(location):
    def behave(visit):
        asked = visit.read_request()
        redirect = b"HTTP/1.1 302 Found\r\nLocation: %s\r\nContent-Length: 0\r\n\r\n" % location
        visit.send(redirect if asked.startswith(b"GET / ") else answer(b"there"))

    with Target(behave) as target:
        result = probe_once(url=target.url(), expect=['body == "there"'], explain=True)
    assert result.outcome is Outcome.UP
    assert result.evidence["url"] == target.url("/Gr%C3%BC%C3%9Fe")


def test_a_redirect_is_an_answer_when_it_is_not_to_be_followed():
    with Target(answers(b"", "302 Found", ("Location: /next",))) as target:
        result = probe_once(url=target.url(), follow_redirects=False, expect=["status == 302"])
    assert result.outcome is Outcome.UP
    assert target.connections == 1


def test_redirects_in_a_circle_are_down_with_the_chain():
    pages = by_path(
        root=answer(b"", "302 Found", ("Location: /other",)), other=answer(b"", "302 Found", ("Location: /",))
    )
    with Target(pages) as target:
        result = probe_once(url=target.url())
    assert result.failure.reason is Reason.REDIRECT
    assert "in a circle" in result.failure.message
    assert [hop["url"] for hop in result.evidence["redirects"]] == [target.url(), target.url("/other")]


def test_more_redirects_than_allowed_are_down():
    def onward(visit):
        number = int(visit.read_request().split(b" ")[1].strip(b"/") or b"0")
        visit.send(answer(b"", "302 Found", (f"Location: /{number + 1}",)))

    with Target(onward) as target:
        result = probe_once(url=target.url())
        assert target.connections == 6
        assert probe_once(url=target.url(), max_redirects=2).failure.message.startswith("more than 2 redirects")
    assert result.failure.reason is Reason.REDIRECT
    assert len(result.evidence["redirects"]) == 6


@pytest.mark.parametrize(
    "location", ["file:///etc/passwd", "gopher://a/", "http://[::1", "http://u:p@h/", "//", "http://a b/", "\x01"]
)
def test_a_redirect_to_what_is_no_web_address_is_down(location):
    with Target(answers(b"", "302 Found", (f"Location: {location}",))) as target:
        result = probe_once(url=target.url())
    assert result.outcome is Outcome.DOWN
    assert result.failure.reason in (Reason.REDIRECT, Reason.PROTOCOL)
    assert target.connections == 1


def test_a_redirect_to_a_refused_address_is_denied():
    with Target(answers(b"", "302 Found", ("Location: http://169.254.169.254/latest/meta-data/",))) as target:
        result = probe_once(url=target.url())
    assert result.failure.reason is Reason.DENIED


def test_credentials_stay_with_the_host_they_are_for():
    with Target(echoes) as other:
        pages = by_path(
            root=answer(b"", "302 Found", ("Location: /same",)),
            same=answer(b"", "302 Found", (f"Location: {other.url('/')}",)),
        )
        with Target(pages) as target:
            options = {"username": "eve", "password": "s3cret", "headers": {"X-Api-Key": "k3y", "Accept": "text/html"}}
            probe_once(url=target.url(), **options)
    assert all(b"authorization: Basic" in request and b"k3y" in request for request in target.requests)
    assert b"authorization" not in other.requests[0]
    assert b"k3y" not in other.requests[0]
    assert b"accept: text/html" in other.requests[0]


def test_a_body_is_not_sent_to_another_host():
    with Target(echoes) as other, Target(answers(b"", "307 No", (f"Location: {other.url()}",))) as target:
        result = probe_once(url=target.url(), method="POST", body="payload")
    assert result.failure.reason is Reason.REDIRECT
    assert other.requests == []


@pytest.mark.parametrize(("status", "method"), [(301, "GET"), (302, "GET"), (303, "GET"), (307, "POST"), (308, "POST")])
def test_a_redirected_post_becomes_a_get_where_the_status_says_so(status, method):
    pages = by_path(root=answer(b"", f"{status} Moved", ("Location: /next",)), next=answer())
    with Target(pages) as target:
        probe_once(url=target.url(), method="POST", body="payload")
    assert target.requests[1].startswith(f"{method} /next".encode())
    assert target.requests[1].endswith(b"payload") is (method == "POST")


# Options


@pytest.mark.parametrize(
    ("url", "words"),
    [
        ("shop.example.org", "did you mean https://shop.example.org?"),
        ("ftp://shop.example.org/", "allowed: http:// and https://"),
        ("http://eve:pw@shop.example.org/", "use the options username and password"),
        ("http://@shop.example.org/", "use the options username and password"),
        ("http://shop.example.org/a b", "has a space at position 26; write it as %20"),
        ("http://shop.example.org:0/", "has the port 0; allowed: 1 to 65535"),
        ("http://shop.example.org:65536/", "has the port 65536; allowed: 1 to 65535"),
        ("http://shop.example.org:x/", "is no address"),
        ("http://", "has no host"),
        ("http://[::1/", "stands in brackets, as in http://[::1]:8080/"),
        ("http://::1/", "stands in brackets, as in http://[::1]:8080/"),
        ("http://a..b/", "a part of it is empty"),
        ("http://a\\b/", "is no host name"),
        ("http://shop.example.org/\u202ex", "has the character U+202E at position 25"),
        ("http://" + "a" * 64 + ".org/", "is no host name"),
    ],
)
def test_a_wrong_url_is_refused_with_what_to_write_instead(url, words):
    with pytest.raises(ValidationError) as caught:
        make_spec(url=url)
    assert words in str(caught.value)


@pytest.mark.parametrize(
    ("options", "words"),
    [
        ({"headers": {"X-A": "b\r\nEvil: 1"}}, "U+000D at position 2"),
        ({"headers": {"X A": "b"}}, "has ' ' at position 2"),
        ({"headers": {"X\r\nEvil": "b"}}, "has '\\r' at position 2"),
        ({"headers": {"": "b"}}, "is empty"),
        ({"headers": {"Content-Length": "1"}}, "is set by the probe itself"),
        ({"headers": {"X-A": "1", "x-a": "2"}}, "each header may stand once"),
        ({"username": "e\nve"}, "U+000A at position 2"),
        ({"username": "a:b"}, "allows no colon"),
        ({"password": "p"}, "needs a username"),
        ({"username": "u", "bearer": "t"}, "username and bearer are ways to authenticate; keep one"),
        ({"bearer": "t", "headers": {"authorization": "x"}}, "keep one"),
        ({"body": "x"}, "GET sends none"),
        ({"json_body": {"a": 1}}, "json_body: GET sends none"),
        ({"method": "POST", "body": "x", "form": {"a": "1"}}, "body and form are ways to write the body; keep one"),
        ({"method": "POST", "json_body": "{"}, "is no JSON"),
        ({"method": "POST", "json_body": {1: {2}}}, "can't be written as JSON"),
        ({"method": "GET X"}, "'GET X' is no method"),
        ({"method": "trace"}, "trace is none that a web address is asked with"),
        ({"digest": True}, "digest: needs a username and a password"),
        ({"http_version": 3}, "Input should be '1.1', '2' or 'any'"),
        ({"accept_encoding": ["lzma"]}, "Input should be 'gzip', 'deflate', 'br' or 'zstd'"),
        ({"token_url": "https://a.example/"}, "token_url, client_id and client_secret belong together"),
        (
            {"token_url": "https://a/", "client_id": "a", "client_secret": "b", "bearer": "c"},
            "bearer and token_url are",
        ),
        ({"ca": "nonsense"}, "holds no certificate"),
        ({"max_redirects": 0}, "greater than or equal to 1"),
        ({"expect": ["banner exists"]}, "unknown subject 'banner'"),
    ],
)
def test_a_wrong_option_is_refused_in_words(options, words):
    with pytest.raises(ValidationError) as caught:
        make_spec(**options)
    assert words in str(caught.value)


def test_a_url_in_other_scripts_is_asked_in_ascii():
    url = make_spec(url="https://bücher.example/straße?q=ü").first_request.url
    assert (url.host, url.port, url.target) == ("xn--bcher-kva.example", 443, "/stra%C3%9Fe?q=%C3%BC")
