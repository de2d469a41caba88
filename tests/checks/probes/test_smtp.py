"""The smtp kind against aiosmtpd, and against servers that misbehave."""

from __future__ import annotations

import time

import pytest
from aiosmtpd.controller import Controller
from aiosmtpd.smtp import AuthResult, LoginPassword
from pydantic import ValidationError

from checks.result import Outcome, Reason
from tests.daemons import free_port
from tests.dialogues import SMTP, talks
from tests.factories import make_spec
from tests.probing import probe_once
from tests.servers import Target, authority_pem, closed_port, dated, greets, reset, trusted

PASSWORD = "correct horse"
GREETING = b"220 mail.example.org ESMTP\r\n"


def admits(_server, _session, _envelope, mechanism, data):
    assert mechanism in ("PLAIN", "LOGIN")
    return AuthResult(success=data == LoginPassword(b"eve", PASSWORD.encode()), handled=False)


@pytest.fixture(scope="module")
def server():
    """A server of SMTP with STARTTLS that lets eve in, over TLS only."""
    controller = Controller(
        object(), "127.0.0.1", free_port(), tls_context=trusted(), authenticator=admits, ident="mail ready"
    )
    controller.start()
    yield f"localhost:{controller.port}"
    controller.stop()


def probe_smtp(address, **options):
    return probe_once(kind="smtp", address=address, explain=True, **{"ca": authority_pem(), **options})


def test_a_server_is_up_after_its_greeting_starttls_and_extensions(server):
    result = probe_smtp(server, expect=['banner contains "mail ready"', 'capabilities matches "^AUTH "'])
    assert (result.outcome, result.failure) == (Outcome.UP, None)
    assert result.phases.tls is not None
    assert result.latency_ns == result.phases.total()
    assert result.evidence["certificate"]["names"]
    assert "STARTTLS" not in result.evidence["capabilities"]  # which were asked for again, over TLS


def test_a_login_is_accepted_and_its_answer_can_be_expected(server):
    result = probe_smtp(server, username="eve", password=PASSWORD, noop=True, expect=['login matches "^235 "'])
    assert (result.outcome, result.failure) == (Outcome.UP, None)
    assert PASSWORD not in repr(result)


def test_a_refused_login_is_named(server):
    result = probe_smtp(server, username="eve", password="wrong horse")
    assert (result.outcome, result.failure.reason) == (Outcome.DOWN, Reason.AUTHENTICATION)
    assert result.failure.message.startswith("the server refused the login: 535 ")
    assert result.failure.phase == "transfer"


def test_what_is_said_in_clear_is_no_capability_over_tls(server):
    result = probe_smtp(server, tls="none", expect=['capabilities contains "STARTTLS"'])
    assert result.outcome is Outcome.UP
    assert result.phases.tls is None
    assert probe_smtp(server, expect=['capabilities contains "STARTTLS"']).outcome is Outcome.DOWN


def test_a_certificate_that_expired_is_down():
    with Target(talks(GREETING, SMTP, dated(begins_in_days=-10, ends_in_days=-1))) as target:
        result = probe_smtp(f"localhost:{target.port}", username="eve", password=PASSWORD)
    assert result.failure.reason is Reason.CERTIFICATE
    assert not [line for line in target.requests if b"AUTH" in line]


def test_tls_may_begin_with_the_first_byte():
    with Target(talks(GREETING, SMTP), tls=trusted()) as target:
        result = probe_smtp(f"localhost:{target.port}", tls="implicit", username="eve", password=PASSWORD)
    assert (result.outcome, result.failure) == (Outcome.UP, None)
    assert b"STARTTLS" not in target.requests


def test_a_server_that_speaks_only_login_gets_it_in_its_words():
    replies = SMTP | {
        b"EHLO": b"250-mail\r\n250 AUTH LOGIN CRAM-MD5\r\n",
        b"AUTH": b"334 VXNlcm5hbWU6\r\n",
        b"ZXZL": b"334 UGFzc3dvcmQ6\r\n",
    }
    with Target(talks(GREETING, replies)) as target:
        result = probe_smtp(target.address, tls="none", login_in_clear=True, username="eve", password=PASSWORD)
    assert result.outcome is Outcome.UP
    assert target.requests[1:] == [b"AUTH LOGIN", b"ZXZl", b"Y29ycmVjdCBob3JzZQ==", b"QUIT"]


@pytest.mark.parametrize(
    ("helo", "said"), [("", b"EHLO [127.0.0.1]"), ("monitor.example.org", b"EHLO monitor.example.org")]
)
def test_we_say_who_we_are(helo, said):
    with Target(talks(GREETING, SMTP)) as target:
        assert probe_smtp(target.address, tls="none", helo=helo).outcome is Outcome.UP
    assert target.requests == [said, b"QUIT"]


@pytest.mark.parametrize(
    ("changed", "reason", "words"),
    [
        ({b"EHLO": b"502 no\r\n"}, Reason.REJECTED, "the server refused EHLO: 502 no"),
        ({b"EHLO": b"250 mail\r\n"}, Reason.TLS, "the server does not offer STARTTLS"),
        ({b"STARTTLS": b"454 4.7.0 no key\r\n"}, Reason.REJECTED, "the server refused STARTTLS: 454 4.7.0 no key"),
        (
            {b"STARTTLS": b"220 go\r\n250 injected\r\n"},
            Reason.TLS,
            "14 bytes came in clear after the other side agreed",
        ),
        ({b"STARTTLS": b"220 go\r\nnonsense"}, Reason.TLS, "8 bytes came in clear after the other side agreed"),
        ({b"EHLO": b"HTTP/1.1 400 Bad Request\r\n"}, Reason.PROTOCOL, "no answer of SMTP: 'HTTP/1.1 400"),
        ({b"EHLO": b"250-" + b"x" * 5000}, Reason.TOO_LARGE, "a line of more than 4,096 bytes"),
        ({b"EHLO": b"250-x\r\n" * 300}, Reason.TOO_LARGE, "an answer of more than 200 lines"),
    ],
)
def test_a_server_that_does_not_get_as_far_as_tls_is_named(changed, reason, words):
    with Target(talks(GREETING, SMTP | changed, trusted())) as target:
        result = probe_smtp(f"localhost:{target.port}", username="eve", password=PASSWORD, timeout="5s")
    assert (result.outcome, result.failure.reason) == (Outcome.DOWN, reason)
    assert words in result.failure.message
    assert not [line for line in target.requests if b"AUTH" in line]


@pytest.mark.parametrize(
    ("answer", "reason"),
    [
        (b"535 5.7.8 no\r\n", Reason.AUTHENTICATION),
        (b"534 5.7.9 another mechanism\r\n", Reason.AUTHENTICATION),
        (b"454 4.7.0 try again later\r\n", Reason.REJECTED),
        (b"421 4.3.2 shutting down\r\n", Reason.REJECTED),
        (b"250 what\r\n", Reason.REJECTED),
    ],
)
def test_only_what_is_about_our_credentials_is_a_refused_login(answer, reason):
    with Target(talks(GREETING, SMTP | {b"": answer})) as target:
        result = probe_smtp(target.address, tls="none", login_in_clear=True, username="eve", password=PASSWORD)
    assert result.failure.reason is reason
    assert result.failure.message == f"the server refused the login: {answer.decode().strip()}"


def test_a_server_without_a_login_that_we_speak_is_named():
    with Target(talks(GREETING, SMTP | {b"EHLO": b"250-mail\r\n250 AUTH CRAM-MD5 SCRAM-SHA-1\r\n"})) as target:
        result = probe_smtp(target.address, tls="none", login_in_clear=True, username="eve", password=PASSWORD)
    assert result.failure.message == "the server offers no login by a password in clear, only CRAM-MD5, SCRAM-SHA-1"


@pytest.mark.parametrize(
    ("greeting", "reason", "words"),
    [
        (b"554 5.7.1 go away\r\n", Reason.REJECTED, "the server refused the connection: 554 5.7.1 go away"),
        (b"421-busy\r\n421 later\r\n", Reason.REJECTED, "the server refused the connection: 421 busy later"),
        (b"* OK IMAP4rev1\r\n", Reason.PROTOCOL, "no answer of SMTP: '* OK IMAP4rev1'"),
        (b"\x00\xff\x16\x03\r\n", Reason.PROTOCOL, "no answer of SMTP"),
    ],
)
def test_another_greeting_is_down_as_such(greeting, reason, words):
    with Target(greets(greeting)) as target:
        result = probe_smtp(target.address)
    assert (result.outcome, result.failure.reason) == (Outcome.DOWN, reason)
    assert words in result.failure.message


@pytest.mark.parametrize("piece", [b"x" * 65536, b"220-x\r\n" * 5000, b"\0" * 65536, b"\n" * 65536])
def test_an_endless_greeting_is_cut(piece):
    def floods(visit):
        while not visit.target.stopping.is_set():
            visit.send(piece)

    with Target(floods) as target:
        began = time.monotonic()
        result = probe_smtp(target.address)
    assert time.monotonic() - began < 5
    assert result.failure.reason in (Reason.TOO_LARGE, Reason.PROTOCOL)


def test_a_server_that_goes_away_in_the_middle_is_down_as_such():
    with Target(greets(b"220-welcome\r\n", close=True)) as target:
        result = probe_smtp(target.address)
    assert (result.failure.reason, result.failure.message) == (
        Reason.CLOSED,
        "the connection was closed in the middle of an answer",
    )
    with Target(reset) as target:
        assert probe_smtp(target.address).failure.reason is Reason.RESET
    assert probe_smtp(f"127.0.0.1:{closed_port()}").failure.reason is Reason.REFUSED


@pytest.mark.parametrize(
    ("options", "words"),
    [
        ({"address": "mail.example.org"}, "has no port"),
        ({"username": "eve"}, "password: a login needs username and password"),
        ({"password": "x"}, "username: a login needs username and password"),
        ({"tls": "none", "username": "eve", "password": "x"}, "would be sent without TLS"),
        ({"tls": "yes"}, "Input should be 'auto', 'none', 'starttls' or 'implicit'"),
        ({"helo": "a b"}, "String should match pattern"),
        ({"expect": ["status == 220"]}, "unknown subject 'status'"),
    ],
)
def test_a_wrong_option_is_refused_in_words(options, words):
    with pytest.raises(ValidationError) as caught:
        make_spec(**{"kind": "smtp", "address": "mail.example.org:25", **options})
    assert words in str(caught.value)


def test_the_port_says_how_the_connection_is_secured_unless_an_option_does():
    def security(**options):
        return make_spec(kind="smtp", **options).security

    assert security(address="mail.example.org:465") == "implicit"
    assert security(address="mail.example.org:25") == "starttls"
    assert security(address="mail.example.org:465", tls="starttls") == "starttls"
    assert security(address="mail.example.org:25", tls="none") == "none"
