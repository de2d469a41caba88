"""Evidence: printable, short, without secrets."""

from __future__ import annotations

import base64
import html
import json
import re
import time
from urllib.parse import quote

import pytest
from hypothesis import given
from hypothesis import strategies as st

from checks.evidence import as_utf8, excerpt, hidden, secrets_of, shown_headers, without
from checks.result import Reason
from checks.spec import REDACTED
from tests.factories import make_spec
from tests.probing import probe_once
from tests.servers import Target, answer, by_path, closed_port, echoes


def test_an_excerpt_is_printable_and_short():
    shown = excerpt(b"a\x00b\x1b[0m\r\nc\r\xff" + b"x" * 10_000)
    assert shown.startswith("a\ufffdb\ufffd[0m\nc\ufffd\ufffd")
    assert len(shown) <= 4096


def test_headers_that_carry_credentials_are_shown_without_them():
    names = [b"Set-Cookie", b"authorization", b"X-Api-Key", b"X-Auth-Token", b"Server"]
    shown = dict(shown_headers([(name, b"value") for name in names]))
    assert shown.pop("Server") == "value"
    assert "value" not in shown.values()


def test_a_long_header_is_cut():
    assert len(shown_headers([(b"X", b"y" * 5000)])[0][1]) == 1000


def test_every_form_in_which_a_secret_may_come_back_is_taken_out():
    secret = 'p"ä ss/&'
    spec = make_spec(username="eve", password=secret, headers={"X-Key": "k3y-of-eve"})
    basic = base64.b64encode(f"eve:{secret}".encode()).decode()
    told = [
        secret,
        json.dumps(secret),
        secret.encode("latin-1").decode("utf-8", "replace"),
        "p%22%C3%A4%20ss/%26",
        "p%22%C3%A4+ss%2F%26",
        basic,
        {"deep": ["k3y-of-eve"]},
    ]
    cleaned = json.dumps(without({"all": told}, secrets_of(spec)))
    assert all(part not in cleaned for part in ("ss/", "ss%2F", basic, "k3y", "%C3%A4"))


SECRET = """Zx9/Qw+7&t"k'\N{LATIN SMALL LETTER E WITH ACUTE}<=="""


@pytest.mark.parametrize(
    "written",
    [
        json.dumps(SECRET).replace("/", r"\/"),  # PHP
        json.dumps(SECRET).replace(r"\u00e9", r"\u00E9"),  # Java
        json.dumps(SECRET, ensure_ascii=False).replace("/", r"\/"),
        html.escape(SECRET),
        html.escape(SECRET, quote=False),
        html.escape(SECRET, quote=False).replace('"', "&quot;").replace("'", "&#39;"),
        html.escape(SECRET, quote=False).replace('"', "&#34;").replace("'", "&#39;"),  # Go
        html.escape(SECRET, quote=False).replace('"', "&quot;").replace("'", "&#039;"),  # PHP
        html.escape(SECRET).replace("/", "&#x2F;"),
        re.sub("%..", lambda found: found[0].lower(), quote(SECRET, safe="")),
        base64.b64encode(SECRET.encode()).decode(),
        base64.urlsafe_b64encode(SECRET.encode()).decode(),
        SECRET.encode().hex(),
    ],
)
def test_a_secret_is_found_in_whatever_a_service_writes_it_as(written):
    secrets = secrets_of(make_spec(headers={"X-Api-Key": SECRET}))
    assert without(f"you sent: {written} end", secrets) in (f"you sent: {REDACTED} end", f'you sent: "{REDACTED}" end')


def test_a_login_of_sasl_that_comes_back_is_taken_out():
    spec = make_spec(kind="imap", username="eve", password="pässword")
    sent = [base64.b64encode(text.encode()).decode() for text in ("\0eve\0pässword", "pässword")]
    assert without(sent, secrets_of(spec)) == ["••••••", "••••••"]


def test_a_secret_that_a_text_was_cut_in_is_taken_out():
    spec = make_spec(method="POST", body="name=eve\r\npin=4711-0815\r\n" * 200, bearer="hunter2-hunter3")
    echoed = excerpt(b"x" * 100 + spec.body.encode())
    long = "x" * 100
    told = [f"{long}hunter2-hun", 'got "hunter2-h…"', echoed, "a hunt"]
    assert without(told, secrets_of(spec)) == [f"{long}••••••", 'got "••••••…"', f"{long}••••••", "a hunt"]


def test_what_is_no_secret_stays():
    spec = make_spec(username="eve", password="pässword")
    assert without({"a": 1, "b": None, "c": "eve"}, secrets_of(spec)) == {"a": 1, "b": None, "c": "eve"}


def test_text_in_another_encoding_becomes_utf8():
    assert as_utf8("grün".encode("latin-1"), "text/html; charset=ISO-8859-1") == "grün".encode()
    assert as_utf8("grün".encode("utf-16"), "text/html") == "grün".encode()
    assert as_utf8("grün".encode("utf-8-sig"), "") == "grün".encode()
    assert as_utf8(b"\xff", "text/html; charset=idna") == b"\xff"


@pytest.mark.parametrize(
    ("text", "shown"),
    [
        ("https://eve:p@ss@h.example/x?a=1", "https://••••••@h.example/x?a=1"),
        ("/x?a=1&token=t0p&b=2#access_token=t0p", "/x?a=1&token=••••••&b=2#access_token=••••••"),
        ("https://s3.example/o?X-Amz-Signature=t0p&X-Amz-Date=1", None),
        ("/x?subscription-key=t0p&api_key=t0p&apikey=t0p&%74oken=t0p", None),
        ('<a href="/login?next=/&amp;sig=t0p">', '<a href="/login?next=/&amp;sig=••••••">'),
        ("password=t0p&user=eve", "password=••••••&user=eve"),
        ('{"access_token": "t0p\\"more", "kind": "bearer"}', '{"access_token": "••••••", "kind": "bearer"}'),
        ("/x?monkey=1&author=2&design=3&keyboard=4", "/x?monkey=1&author=2&design=3&keyboard=4"),
        (
            "* OK [IMAP4rev1 AUTH=PLAIN AUTH=SCRAM-SHA-256] x AUTH=t0p",
            "* OK [IMAP4rev1 AUTH=PLAIN AUTH=SCRAM-SHA-256] x AUTH=••••••",
        ),
    ],
)
def test_what_is_called_like_a_secret_is_hidden_whosever_it_is(text, shown):
    found = hidden(text)
    assert "t0p" not in found
    assert shown in (None, found)


NAMES = ("token", "access_token", "X-Amz-Signature", "api_key", "password", "client_secret", "sig", "sessionid", "key")
SECRETS = st.text(st.characters(categories=["L", "N"], max_codepoint=0x7F), min_size=6, max_size=40).map(
    "s3cr3t".__add__
)


@given(name=st.sampled_from(NAMES), upper=st.booleans(), secret=SECRETS, others=st.text("abc=&?/", max_size=20))
def test_no_secret_of_an_address_is_left_in_evidence(name, upper, secret, others):
    name = name.upper() if upper else name
    url = f"https://eve:{secret}@h.example/p?x=1&{name}={secret}&y={others}"
    evidence = {"url": url, "redirects": [{"url": url}], "headers": [["Location", url]], "notes": [f"to {url}"]}
    assert secret not in json.dumps(without(evidence, ()))


def test_who_we_are_to_a_proxy_is_hidden_even_when_it_sends_that_back():
    with Target(echoes) as proxy:
        result = probe_once(
            url="http://shop.test/", proxy=f"http://eve:s3cret%2Fpw@{proxy.address}", expect=["status == 201"]
        )
    sent = base64.b64encode(b"eve:s3cret/pw")
    assert b"proxy-authorization: Basic " + sent in proxy.requests[0]
    assert "proxy-authorization: Basic ••••••" in result.evidence["body"]
    assert sent.decode() not in repr(result)


@pytest.mark.parametrize(
    "options",
    [
        {"json_body": {"user": "eve", "password": "s3cr3t/ü"}},
        {"body": "user=eve&password=s3cr3t%2F%C3%BC"},
        {"headers": {"Cookie": "theme=dark; sid=s3cr3t/ü"}},
        {"headers": {"Authorization": "Token s3cr3t/ü"}},
        {"url": "/?a=b&token=s3cr3t%2F%C3%BC"},
    ],
    ids=["JSON", "a form", "a cookie", "credentials", "an address"],
)
def test_a_secret_that_a_target_takes_out_of_what_we_sent_is_hidden(options):
    said = answer("s3cr3t/ü is no password of eve".encode(), "401 Unauthorized", ("X-Seen: s3cr3t%2F%C3%BC",))
    with Target(by_path(root=said)) as target:
        result = probe_once(**{"method": "POST", **options, "url": target.url(options.get("url", "/"))})
    assert result.evidence["body"] == "•••••• is no password of eve"
    assert "s3cr3t" not in repr(result)


def test_no_address_that_a_target_redirects_to_gives_its_secrets_away():
    there = "/next?token=s3cr3t-1&X-Amz-Signature=s3cr3t-2"
    headers = ("Set-Cookie: sid=s3cr3t-3", f"Location: {there}")
    with Target(by_path(root=answer(b"", "302 Found", headers), next=answer(b"", "302 Found", headers))) as target:
        result = probe_once(url=target.url("/?key=s3cr3t-4"))
    assert result.failure.reason is Reason.REDIRECT
    assert target.requests[1].startswith(f"GET {there} ".encode())
    assert "s3cr3t" not in repr(result)
    assert "/next?token=••••••&X-Amz-Signature=••••••" in repr(result)


@pytest.mark.parametrize(
    "text", ['"' * 4096, "://" + "a" * 4096, "a=" * 2048, '"a":"' * 800, "&token" * 700, '\\"' * 2048]
)
def test_no_text_makes_the_search_for_secrets_slow(text):
    began = time.process_time()
    hidden(text)
    assert time.process_time() - began < 0.3


def test_a_refused_connection_says_which_addresses_were_tried():
    result = probe_once(url=f"http://localhost:{closed_port()}/")
    assert result.failure.reason is Reason.REFUSED
    assert "127.0.0.1" in result.evidence["addresses"]
