"""Evidence: printable, short, without secrets."""

from __future__ import annotations

import base64
import json

from checks.evidence import as_utf8, excerpt, secrets_of, shown_headers, without
from tests.factories import make_spec


def test_an_excerpt_is_printable_and_short():
    shown = excerpt(b"a\x00b\x1b[0m\r\nc\xff" + b"x" * 10_000)
    assert shown.startswith("a\ufffdb\ufffd[0m\ufffd\nc\ufffd")
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
    told = [secret, json.dumps(secret), "p%22%C3%A4%20ss/%26", "p%22%C3%A4+ss%2F%26", basic, {"deep": ["k3y-of-eve"]}]
    cleaned = json.dumps(without({"all": told}, secrets_of(spec)))
    assert all(part not in cleaned for part in ("ss/", "ss%2F", basic, "k3y", "%C3%A4"))


def test_what_is_no_secret_stays():
    spec = make_spec(username="eve", password="pässword")
    assert without({"a": 1, "b": None, "c": "eve"}, secrets_of(spec)) == {"a": 1, "b": None, "c": "eve"}


def test_text_in_another_encoding_becomes_utf8():
    assert as_utf8("grün".encode("latin-1"), "text/html; charset=ISO-8859-1") == "grün".encode()
    assert as_utf8("grün".encode("utf-16"), "text/html") == "grün".encode()
    assert as_utf8("grün".encode("utf-8-sig"), "") == "grün".encode()
    assert as_utf8(b"\xff", "text/html; charset=idna") == b"\xff"
