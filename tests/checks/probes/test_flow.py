"""`flow`: a small shop with a door that wants to know who comes in."""

from __future__ import annotations

import json
import re
from urllib.parse import parse_qs

import pytest
from pydantic import ValidationError

from checks.result import Outcome, Reason
from checks.spec import REDACTED, dump
from checks.spec_secrets import redact, seal, unseal
from tests.factories import make_spec
from tests.probing import probe_once
from tests.servers import Target, answer, authority_pem, hangs, trusted

TOKEN = 'tök/en+ "7"&x=1'


def shop(visit):
    """Gives a token and a cookie to who signs in, and shows the cart to who has both."""
    head, _, body = visit.read_request().partition(b"\r\n\r\n")
    method, path, _ = head.decode().split("\r\n")[0].split(" ")
    headers = dict(line.lower().split(": ", 1) for line in head.decode().split("\r\n")[1:])
    match path.partition("?")[0].strip("/").split("/")[0]:
        case "session":
            known = body in (b'{"user": "eve", "password": "wonder"}', b"user=eve&password=wonder")
            token = json.dumps({"token": TOKEN, "id": 42, "next": "/cart/first", "cart": {}}).encode()
            cookie = "Set-Cookie: sid=session-of-eve; Path=/"
            given = answer(token, headers=(cookie, "X-Cart: c-7")) if known else answer(b"who?", "401 Unauthorized")
        case "cart" if "sid=session-of-eve" in headers.get("cookie", ""):
            given = answer(json.dumps({"path": path, "items": 3, **headers}).encode())
        case "echo":
            given = answer(f"{method} {path} {json.dumps(headers)}\n".encode() + body)
        case "page":
            given = answer(
                b'<form><input name="csrf" value="of-the-form"><a href="/echo?from=page">on</a></form> id=977'
            )
        case "moved":
            given = answer(b"", "302 Found", ("Location: /echo?moved", "Set-Cookie: step=second; Path=/"))
        case _:
            given = answer(b"no", "404 Not Found")
    visit.send(given)


@pytest.fixture(scope="module")
def target():
    with Target(shop) as running:
        yield running


def gone_through(*steps, **options):
    named = [{"name": f"s{number}", **step} for number, step in enumerate(steps, 1)]
    return probe_once(kind="flow", steps=named, **options)


def sign_in(target, **changes):
    return {
        "url": target.url("/session"),
        "method": "POST",
        "json_body": {"user": "eve", "password": "wonder"},
        "capture": {"token": "json $.token"},
        **changes,
    }


def test_what_one_step_captures_the_next_one_sends(target):
    cart = {
        "url": target.url("/cart/{{id}}?for={{token}}"),
        "headers": {"Authorization": "Bearer {{ id }}.{{cart}}"},
        "expect": [
            'json $.path == "/cart/42?for=t%C3%B6k%2Fen%2B%20%227%22%26x%3D1"',
            'json $.authorization == "bearer 42.c-7"',
            "json $.items == 3",
            "latency < 5s",
            "first_byte exists",
        ],
    }
    capture = {"token": "json $.token", "id": "json $.id", "cart": "header X-Cart"}
    result = gone_through(sign_in(target, capture=capture), cart, expect=["latency < 10s", "status == 200"])
    assert (result.outcome, result.failure) == (Outcome.UP, None)
    assert result.latency_ns == result.phases.total()
    assert {"connect", "first_byte"} <= set(result.phases.as_dict())


def test_a_form_a_body_and_json_take_what_was_captured_each_in_its_own_way(target):
    login = {"json_body": "", "form": {"user": "eve", "password": "wonder"}}
    ways = [
        {"form": {"a": "{{token}}"}},
        {"json_body": {"a": "{{token}}", "b": 1}},
        {"body": "<{{token}}>"},
    ]
    result = gone_through(
        sign_in(target, **login),
        *({"url": target.url("/echo"), "method": "POST", **way} for way in ways),
        expect=["status == 200"],
    )
    assert result.outcome is Outcome.UP
    form, text, plain = (request.partition(b"\r\n\r\n") for request in target.requests[-3:])
    assert parse_qs(form[2].decode()) == {"a": [TOKEN]}
    assert json.loads(text[2]) == {"a": TOKEN, "b": 1}
    assert b"content-type: application/json" in text[0]
    assert plain[2].decode() == f"<{TOKEN}>"


def test_every_part_of_an_answer_can_be_captured(target):
    page = {
        "url": target.url("/page"),
        "capture": {"csrf": 'html //input[@name = "csrf"]/@value', "id": 'body "id=([0-9]+)"', "whole": 'body "id=9"'},
    }
    cookie = sign_in(target, capture={"sid": "cookie sid"})
    last = {"url": target.url("/echo?{{csrf}}.{{id}}.{{whole}}.{{sid}}")}
    lines = ['body contains "GET /echo?of-the-form.977.id%3D9.session-of-eve "']
    result = gone_through(page, cookie, {**last, "expect": lines})
    assert (result.outcome, result.failure) == (Outcome.UP, None)


def test_an_address_can_be_what_was_captured(target):
    page = {"url": target.url("/page"), "capture": {"link": "html //a/@href"}}
    following = {"url": "{{link}}&x={{link}}", "expect": ['url contains "/echo?from=page&x=%2Fecho"']}
    assert gone_through(page, following).outcome is Outcome.UP
    whole = sign_in(target, capture={"next": "json $.next"})
    assert gone_through(whole, {"url": "{{next}}"}).outcome is Outcome.UP


def test_a_redirect_is_followed_or_is_what_the_step_is_about(target):
    followed = {"url": target.url("/moved"), "expect": ["redirects == 1", 'url contains "/echo?moved"']}
    kept = {
        "url": target.url("/moved"),
        "follow_redirects": False,
        "expect": ["status == 302"],
        "capture": {"where": "header Location"},
    }
    then = {"url": "{{where}}", "expect": ['body contains "step=second"']}
    assert gone_through(followed, kept, then).outcome is Outcome.UP
    assert gone_through(followed, follow_redirects=False).failure.message.startswith('step "s1": expected redirects')


# What goes wrong


def test_the_step_that_fails_is_named_and_ends_the_flow(target):
    wrong = sign_in(target, json_body={"user": "eve", "password": "guess"})
    before = len(target.requests)
    result = gone_through(wrong, {"url": target.url("/cart/{{token}}")})
    assert result.failure.message == 'step "s1": expected status in 200-299, got 401'
    assert result.failure.expectation == "status in 200-299"
    assert len(target.requests) == before + 1
    assert result.latency_ns == result.phases.total()
    assert result.evidence["body"] == "who?"


def test_evidence_has_a_line_for_each_step_that_was_taken(target):
    absent = {"url": target.url("/absent?{{token}}"), "method": "DELETE"}
    result = gone_through(sign_in(target), {"url": target.url("/moved")}, absent, {"url": target.url("/echo")})
    first, second, third = result.evidence["steps"]
    assert (first["name"], first["asked"], first["status"]) == ("s1", f"POST {target.url('/session')}", "200")
    assert (second["redirects"], third["status"]) == ("1", "404")
    assert third["asked"] == f"DELETE {target.url('/absent?{{token}}')}"
    assert re.fullmatch(r"[\d.]+ (ms|µs|us|s)", third["took"])
    assert result.evidence["status"] == 404
    assert "redirects" not in result.evidence


@pytest.mark.parametrize(
    ("capture", "message"),
    [
        ("json $.absent", "expected json $.absent to capture as it, got nothing"),
        ("json $.cart", "got a list or a mapping, and not one value"),
        ("header X-Absent", "got nothing"),
        ("cookie absent", "got nothing"),
        ('body "absent"', "got a body in which it finds nothing"),
        ('body "(x*)"', "got an empty value"),
        ("html //absent", "got nothing"),
    ],
)
def test_what_is_not_there_to_be_captured_is_down(target, capture, message):
    result = gone_through(sign_in(target, capture={"it": capture}))
    assert (result.outcome, result.failure.reason) == (Outcome.DOWN, Reason.EXPECTATION)
    assert result.failure.message.startswith('step "s1": ')
    assert result.failure.message.endswith(message)


def test_what_is_captured_is_bounded():
    with Target(lambda visit: (visit.read_request(), visit.send(answer(b"x" * 9000)))) as target:
        result = gone_through({"url": target.url(), "capture": {"it": 'body ".*"'}})
    assert result.failure.message.endswith("got a value of 9,000 characters; at most 8,192 are captured")


def test_a_captured_address_that_is_none_is_named(target):
    with Target(lambda visit: (visit.read_request(), visit.send(answer(b'"file:///etc/passwd"')))) as other:
        result = gone_through({"url": other.url(), "capture": {"it": "json $"}}, {"url": "{{it}}"})
    assert (result.outcome, result.failure.reason) == (Outcome.DOWN, Reason.EXPECTATION)
    assert result.failure.message.startswith('step "s2": its address is none: begins with file://')


def test_half_a_character_that_was_captured_is_sent_as_none(target):
    with Target(lambda visit: (visit.read_request(), visit.send(answer(b'"a\\ud800b"')))) as other:
        result = gone_through(
            {"url": other.url(), "capture": {"it": "json $"}},
            {"url": target.url("/echo?{{it}}"), "expect": ['body contains "/echo?a%3Fb"']},
        )
    assert (result.outcome, result.failure) == (Outcome.UP, None)


def test_what_was_captured_can_not_forge_a_header(target):
    with Target(lambda visit: (visit.read_request(), visit.send(answer(b'"a\\r\\nX-Forged: yes"')))) as other:
        result = gone_through(
            {"url": other.url(), "capture": {"it": "json $"}},
            {"url": target.url("/echo"), "headers": {"X-A": "{{it}}"}},
        )
    assert (result.outcome, result.failure.reason) == (Outcome.DOWN, Reason.PROTOCOL)
    assert result.failure.message.startswith("step \"s2\": the header 'x-a' can't be sent")


def test_the_deadline_is_one_over_all_steps_and_says_which_was_on(target):
    with Target(hangs) as silent:
        result = gone_through(sign_in(target), {"url": silent.url()}, timeout="300ms")
    assert result.failure.reason is Reason.TIMEOUT
    assert result.failure.message == 'step "s2": timed out after 0.3 s while waiting for the first byte'


def test_a_connection_that_is_refused_says_in_which_step(target):
    result = gone_through(sign_in(target), {"url": "http://127.0.0.1:9/"})
    assert (result.failure.reason, result.failure.message) == (Reason.REFUSED, 'step "s2": the connection was refused')


# Secrets


def test_what_was_captured_is_hidden_like_a_password(target):
    echo = {
        "url": target.url("/echo?{{token}}"),
        "headers": {"X-Own": "own-s3cret", "X-Token": "{{token}}"},
        "expect": ['body contains "absent"'],
    }
    result = gone_through(sign_in(target), echo)
    assert result.failure.expectation == 'body contains "absent"'
    assert REDACTED in result.evidence["body"]
    for secret in (TOKEN, "%C3%B6k%2Fen", "own-s3cret", "session-of-eve", "wonder"):
        assert secret not in json.dumps(result.evidence, ensure_ascii=False)
        assert secret not in repr(result)


def test_who_we_are_is_said_to_the_first_host_only(target):
    with Target(shop) as other:
        result = gone_through(
            {"url": target.url("/echo"), "expect": ['body contains "basic "']},
            {"url": other.url("/echo"), "expect": ['body not contains "authorization"']},
            {"url": target.url("/echo"), "expect": ['body contains "basic "']},
            username="eve",
            password="wonder",
        )
    assert (result.outcome, result.failure) == (Outcome.UP, None)


def test_the_secrets_of_steps_are_sealed_and_hidden():
    steps = [
        {"name": "a", "url": "http://a.example/", "headers": {"X": "s3cret-1"}},
        {"name": "b", "url": "http://a.example/", "method": "POST", "form": {"p": "s3cret-2"}},
        {"name": "c", "url": "http://a.example/", "method": "POST", "json_body": {"p": "s3cret-3"}},
    ]
    spec = make_spec(kind="flow", steps=steps, password="s3cret-4", username="eve")
    sealed = seal(type(spec), dump(spec), lambda text: text[::-1])
    assert "s3cret" not in json.dumps([sealed, redact(type(spec), dump(spec))])
    assert unseal(type(spec), sealed, lambda text: text[::-1]) == dump(spec)


def test_the_certificate_is_the_one_that_expires_first(target):
    with Target(shop, tls=trusted()) as secure:
        lines = {"expect": ["certificate > 1d", "tls exists"]}
        steps = (
            {"url": secure.url("/echo"), **lines},
            {"url": target.url("/echo"), "expect": ["certificate not exists"]},
        )
        assert gone_through(*steps, ca=authority_pem(), expect=["certificate > 1d"]).outcome is Outcome.UP


# Options

STEP = {"name": "a", "url": "http://a.example/"}


@pytest.mark.parametrize(
    ("steps", "message"),
    [
        ([], "at least 1 item"),
        ([STEP, STEP], "two of them are called 'a'"),
        (
            [{**STEP, "url": "http://a.example/{{id}}"}],
            "step 1, url: nothing is captured as 'id'; a step before it has to",
        ),
        (
            [{**STEP, "capture": {"token": "json $.a"}}, {**STEP, "name": "b", "headers": {"X": "{{tokn}}"}}],
            "step 2, headers: nothing is captured as 'tokn'; did you mean token?",
        ),
        ([{**STEP, "capture": {"id": "json $.a"}, "url": "http://a.example/{{id}}"}], "nothing is captured as 'id'"),
        ([{**STEP, "url": "{{foo"}], "double braces that are no placeholder; write {{name}}"),
        ([{**STEP, "url": "{{bad-name}}/x"}], "double braces that are no placeholder"),
        ([{**STEP, "url": "http://a.example/{{1}}"}], "double braces that are no placeholder"),
        ([{**STEP, "url": "ftp://a.example"}], "begins with ftp://"),
        ([{**STEP, "body": "x"}], "body: GET sends none"),
        ([{**STEP, "method": "POST", "body": "x", "form": {"a": "b"}}], "body and form are ways to write the body"),
        ([{**STEP, "headers": {"A": "1", "a": "2"}}], "each header may stand once"),
        ([{**STEP, "expect": ["statu == 200"]}], "unknown subject 'statu'; did you mean status?"),
        ([{**STEP, "capture": {"a": "jsn $.a"}}], "'jsn' is nothing that is captured"),
        ([{**STEP, "capture": {"a": "json a"}}], "json needs a JSONPath"),
        ([{**STEP, "capture": {"a": "body id"}}], "body needs a regular expression in double quotes"),
        ([{**STEP, "capture": {"a": 'body "("'}}], "missing ): ("),
        ([{**STEP, "capture": {"a b": "json $"}}], "String should match pattern"),
    ],
)
def test_a_wrong_step_is_named(steps, message):
    with pytest.raises(ValidationError, match=re.escape(message)):
        make_spec(kind="flow", steps=steps)


def test_the_evidence_of_a_good_result_has_no_secret_either(target):
    """It is written with the change that tells that the monitor is up again."""
    result = gone_through({"url": target.url("/echo?api_key=c0nfigs3cret")})
    assert result.outcome is Outcome.UP
    assert "c0nfigs3cret" not in repr(result.evidence)
