"""The http kind against real servers on loopback, well-behaved and hostile."""

from __future__ import annotations

import base64
import gzip
import json
import time
import zlib

import pytest
from pydantic import ValidationError

from checks.result import Outcome, Reason
from tests.factories import make_spec
from tests.probing import probe_once
from tests.servers import (
    Target,
    answer,
    answers,
    by_path,
    closed_port,
    drips,
    echoes,
    floods,
    hangs,
    resets,
    sends,
)

SHORT = "300ms"


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


# Hostile targets: bounded time, bytes and memory, and a reason that says what was seen.

OK = b"HTTP/1.1 200 OK\r\n"
HOSTILE = [
    ("a short body", OK + b"Content-Length: 100\r\n\r\nabc", Reason.CLOSED, "the body ended early (3 of 100 bytes)"),
    ("a negative length", OK + b"Content-Length: -5\r\n\r\nabc", Reason.PROTOCOL, "bad Content-Length"),
    ("two lengths", OK + b"Content-Length: 3\r\nContent-Length: 2\r\n\r\nabc", Reason.PROTOCOL, "Content-Length"),
    ("status 999", b"HTTP/1.1 999 Odd\r\nContent-Length: 0\r\n\r\n", Reason.PROTOCOL, "not a valid HTTP answer"),
    ("status 000", b"HTTP/1.1 000 Odd\r\nContent-Length: 0\r\n\r\n", Reason.PROTOCOL, "not a valid HTTP answer"),
    ("HTTP/0.9", b"<html>hello</html>", Reason.PROTOCOL, "not a valid HTTP answer"),
    ("noise", bytes(range(128, 256)) * 32, Reason.PROTOCOL, "not a valid HTTP answer"),
    ("another protocol", b"SSH-2.0-OpenSSH_9.7\r\n", Reason.PROTOCOL, "begins with 'SSH-2.0"),
    ("nothing at all", b"", Reason.CLOSED, "closed before any answer"),
    ("half a head", OK + b"Content-Le", Reason.CLOSED, "in the middle of the headers"),
    ("a bad chunk", OK + b"Transfer-Encoding: chunked\r\n\r\nxyz\r\n", Reason.PROTOCOL, "not well-formed"),
    ("half a chunk", OK + b"Transfer-Encoding: chunked\r\n\r\n5\r\nab", Reason.CLOSED, "chunked body ended early"),
    ("a huge chunk", OK + b"Transfer-Encoding: chunked\r\n\r\nffffffffffff\r\nab", Reason.CLOSED, "ended early"),
    ("broken gzip", answer(b"\x1f\x8bnot gzip", headers=("Content-Encoding: gzip",)), Reason.PROTOCOL, "gzip"),
    ("a huge header", OK + b"X-Big: " + b"x" * 10_000_000 + b"\r\n\r\n", Reason.TOO_LARGE, "headers are over 64 KiB"),
    ("many headers", OK + b"X-Many: y\r\n" * 20_000 + b"\r\n", Reason.TOO_LARGE, "more than 100 headers"),
    ("a header for ever", OK + b"X-Big: " + b"x" * 200_000, Reason.TOO_LARGE, "headers are over 64 KiB"),
    ("endless 1xx", b"HTTP/1.1 100 Continue\r\n\r\n" * 1000, Reason.PROTOCOL, "more than 8 informational answers"),
]


@pytest.mark.parametrize(("raw", "reason", "words"), [row[1:] for row in HOSTILE], ids=[row[0] for row in HOSTILE])
def test_an_answer_that_is_none_is_down_in_words(raw, reason, words):
    with Target(sends(raw)) as target:
        result = probe_once(url=target.url(), timeout="3s")
    assert (result.outcome, result.failure.reason) == (Outcome.DOWN, reason)
    assert words in result.failure.message
    assert not result.complete


SLOW = [
    ("a dripping body", drips(OK + b"Content-Length: 100000\r\n\r\n"), "transfer", "while reading the answer"),
    ("dripping headers", drips(OK + b"X-Slow: "), "transfer", "while reading the answer"),
    ("dripping 1xx", drips(b"", b"HTTP/1.1 100 Continue\r\n\r\n", 0.1), "transfer", "while reading the answer"),
    ("no answer", hangs, "first_byte", "while waiting for the first byte"),
]


@pytest.mark.parametrize(("behave", "phase", "words"), [row[1:] for row in SLOW], ids=[row[0] for row in SLOW])
def test_a_slow_target_costs_its_timeout_and_no_more(behave, phase, words):
    with Target(behave) as target:
        began = time.monotonic()
        result = probe_once(url=target.url(), timeout=SHORT)
    assert time.monotonic() - began < 1.5
    assert (result.outcome, result.failure.reason, result.failure.phase) == (Outcome.DOWN, Reason.TIMEOUT, phase)
    assert result.failure.message.startswith(f"timed out after 0.3 s {words}")


def test_a_timeout_in_the_body_says_how_much_came():
    with Target(sends(OK + b"Content-Length: 100000\r\n\r\nabcdef", close=False)) as target:
        result = probe_once(url=target.url(), timeout=SHORT)
    assert result.failure.message == "timed out after 0.3 s while reading the answer (6 bytes of the body so far)"
    assert result.evidence["body"] == "abcdef"
    assert result.evidence["status"] == 200


def test_a_handshake_that_is_never_answered_times_out_as_such():
    with Target(hangs) as target:
        result = probe_once(url=f"https://{target.address}/", timeout=SHORT)
    assert result.failure.message == "timed out after 0.3 s during the TLS handshake"


@pytest.mark.parametrize(
    "start", [OK + b"\r\n", OK + b"Content-Length: 99999999999\r\n\r\n"], ids=["no length", "a long length"]
)
def test_an_endless_body_is_cut_and_judged_by_what_came(start):
    with Target(floods(start, b"x" * 65536)) as target:
        result = probe_once(url=target.url(), timeout="5s", explain=True)
        unmet = probe_once(url=target.url(), timeout="5s", expect=['body contains "keyword"'])
    assert result.outcome is Outcome.UP
    assert result.evidence["notes"] == ["body cut at 1 MiB"]
    assert unmet.failure.reason is Reason.EXPECTATION
    assert unmet.evidence["notes"] == ["body cut at 1 MiB"]


def test_an_endless_chunked_body_is_cut():
    with Target(floods(OK + b"Transfer-Encoding: chunked\r\n\r\n", b"10000\r\n" + b"x" * 65536 + b"\r\n")) as target:
        result = probe_once(url=target.url(), timeout="5s", expect=["status == 200", "size not exists"])
    assert result.outcome is Outcome.UP


def test_bytes_after_the_answer_are_nobodys_business():
    with Target(sends(answer(b"ok") + b"garbage beyond")) as target:
        assert probe_once(url=target.url(), expect=['body == "ok"']).outcome is Outcome.UP


@pytest.mark.parametrize("start", [b"", OK + b"Content-Length: 9\r\n\r\nab"], ids=["before the answer", "in the body"])
def test_a_reset_is_down_as_such(start):
    with Target(resets(start)) as target:
        result = probe_once(url=target.url())
    assert (result.outcome, result.failure.reason) == (Outcome.DOWN, Reason.RESET)


def test_a_body_without_a_length_ends_with_the_connection():
    with Target(sends(OK + b"\r\nall of it")) as target:
        assert probe_once(url=target.url(), expect=['body == "all of it"']).outcome is Outcome.UP


def test_lines_may_end_as_old_servers_end_them():
    with Target(sends(b"HTTP/1.1 200 OK\nContent-Length: 2\n\nok")) as target:
        assert probe_once(url=target.url()).outcome is Outcome.UP


def test_an_early_hint_is_not_the_answer():
    with Target(sends(b"HTTP/1.1 103 Early Hints\r\nLink: </a>\r\n\r\n" + answer(b"real"))) as target:
        assert probe_once(url=target.url(), expect=["status == 200", "header Link not exists"]).outcome is Outcome.UP


def test_gzip_that_was_not_asked_for_is_read_all_the_same():
    body = gzip.compress(b'{"a": 1}')
    with Target(answers(body, headers=("Content-Encoding: gzip",))) as target:
        assert probe_once(url=target.url(), expect=["json $.a == 1", f"size == {len(body)}B"]).outcome is Outcome.UP


@pytest.mark.parametrize("layers", [1, 2])
def test_a_bomb_of_gzip_is_not_blown_up(layers):
    bomb = zlib.compress(b"\0" * 200_000_000, 9)
    if layers == 2:
        bomb = zlib.compress(bomb, 9)
    encoding = ", ".join(["deflate"] * layers)
    with Target(answers(bomb, headers=(f"Content-Encoding: {encoding}",))) as target:
        began = time.monotonic()
        result = probe_once(url=target.url(), explain=True)
    assert time.monotonic() - began < 1
    assert result.outcome is Outcome.UP
    words = (
        "body cut at 1 MiB" if layers == 1 else "unrequested content-encoding deflate, deflate: the body was not read"
    )
    assert result.evidence["notes"] == [words]


def test_a_body_in_an_unknown_encoding_fails_what_is_expected_of_it():
    with Target(answers(b"\x0b\x02\x80", headers=("Content-Encoding: br",))) as target:
        result = probe_once(url=target.url(), expect=['body contains "x"'])
    assert result.outcome is Outcome.DOWN
    assert result.evidence["notes"] == ["unrequested content-encoding br: the body was not read"]


@pytest.mark.parametrize(
    ("content_type", "body"),
    [
        ("text/plain; charset=utf-16", "keyword".encode("utf-16")),
        ("text/plain", "keyword".encode("utf-16")),
        ("text/plain; charset=rot13", b"keyword"),
        ("text/plain; charset=punycode", b"keyword"),
        ("text/plain; charset=no-such-thing", b"keyword"),
        ("text/plain; charset=utf\x00-8", b"keyword"),
        ('text/plain; charset="', b"keyword"),
        ("text/plain", b"\xff\xfe\xc3\x28"[2:] + b"keyword"),
    ],
)
def test_a_keyword_is_found_whatever_the_charset_says(content_type, body):
    with Target(answers(body, headers=(f"Content-Type: {content_type}",))) as target:
        result = probe_once(url=target.url(), expect=['body contains "keyword"'])
    if "\x00" in content_type:
        assert result.failure.reason is Reason.PROTOCOL
    else:
        assert result.outcome is Outcome.UP, result


@pytest.mark.parametrize("body", [b"[" * 200_000, b"9" * 200_000, b"<html>", b"", b"\xff\xfe"])
def test_a_body_that_is_no_usable_json_is_down(body):
    with Target(answers(body)) as target:
        result = probe_once(url=target.url(), expect=["json $.a == 1"])
    assert (result.outcome, result.failure.reason) == (Outcome.DOWN, Reason.EXPECTATION)


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
        ("http://[::1/", "is no address"),
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
        ({"method": "GET\r\n"}, "Input should be"),
        ({"method": "TRACE"}, "Input should be"),
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
