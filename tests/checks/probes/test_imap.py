"""The imap kind against Dovecot, and against servers that misbehave."""

from __future__ import annotations

import pytest

from checks.result import Outcome, Reason
from tests import dovecot
from tests.dialogues import IMAP, talks
from tests.probing import probe_once
from tests.servers import Target, authority_pem, greets, trusted

pytestmark = pytest.mark.xdist_group("dovecot")
GREETING = b"* OK [CAPABILITY IMAP4rev1 STARTTLS] ready\r\n"
LOGIN = {"username": "eve", "password": dovecot.PASSWORD}


def probe_imap(address, **options):
    return probe_once(
        kind="imap", address=address, explain=True, **{"ca": authority_pem(), "timeout": "60s", **options}
    )


def test_dovecot_is_up_after_starttls_and_a_login():
    lines = ['banner contains "Dovecot"', 'capabilities contains "IMAP4rev1"', 'login matches "^OK "']
    result = probe_imap(f"localhost:{dovecot.server().imap}", **LOGIN, noop=True, expect=lines)
    assert result.failure is None, result.failure
    assert result.outcome is Outcome.UP
    assert result.phases.tls is not None
    assert result.latency_ns == result.phases.total()
    assert dovecot.PASSWORD not in repr(result)


def test_dovecot_is_up_over_tls_from_the_first_byte_on():
    result = probe_imap(f"localhost:{dovecot.server().imaps}", tls="implicit", **LOGIN, expect=["certificate > 1d"])
    assert result.failure is None, result.failure
    assert result.outcome is Outcome.UP


def test_dovecot_refuses_a_wrong_password():
    result = probe_imap(f"localhost:{dovecot.server().imap}", username="eve", password="wrong")
    assert result.failure.reason is Reason.AUTHENTICATION
    assert result.failure.message == "the server refused the login: NO [AUTHENTICATIONFAILED] Authentication failed."


def test_a_password_that_imap_can_not_quote_as_it_stands_arrives_whole():
    with Target(talks(GREETING, IMAP | {b"CAPABILITY": b"* CAPABILITY IMAP4rev1\r\n%s OK done\r\n"})) as target:
        result = probe_imap(
            target.address, tls="none", login_in_clear=True, username="eve@example.org", password='quo"te\\d'
        )
    assert result.outcome is Outcome.UP
    assert target.requests[1] == rb's2 LOGIN "eve@example.org" "quo\"te\\d"'


def test_a_password_that_imap_can_not_say_is_named():
    with Target(talks(GREETING, IMAP | {b"CAPABILITY": b"* CAPABILITY IMAP4rev1\r\n%s OK done\r\n"})) as target:
        result = probe_imap(target.address, tls="none", login_in_clear=True, username="eve", password="pässword")
    assert result.failure.reason is Reason.AUTHENTICATION
    assert result.failure.message == "the server offers only LOGIN, and that takes nothing but ASCII"


def test_a_session_that_begins_with_a_login_is_greeted_too():
    with Target(talks(b"* PREAUTH welcome back\r\n", IMAP)) as target:
        assert probe_imap(target.address, tls="none", noop=True).outcome is Outcome.UP


@pytest.mark.parametrize(
    ("changed", "reason", "words"),
    [
        ({b"CAPABILITY": b"* CAPABILITY IMAP4rev1\r\n%s OK done\r\n"}, Reason.TLS, "does not offer STARTTLS"),
        ({b"CAPABILITY": b"%s BAD what\r\n"}, Reason.REJECTED, "the server refused CAPABILITY: BAD what"),
        ({b"CAPABILITY": b"500 what\r\n"}, Reason.PROTOCOL, "what is no answer of IMAP: '500 what'"),
        ({b"CAPABILITY": b"* x\r\n" * 300}, Reason.TOO_LARGE, "an answer of more than 200 lines"),
        ({b"CAPABILITY": b"* " + b"x" * 5000}, Reason.TOO_LARGE, "a line of more than 4,096 bytes"),
        ({b"STARTTLS": b"%s NO no key\r\n"}, Reason.REJECTED, "the server refused STARTTLS: NO no key"),
        ({b"STARTTLS": b"%s OK go\r\n* CAPABILITY AUTH=PLAIN\r\n"}, Reason.TLS, "25 bytes came in clear"),
    ],
)
def test_a_server_that_does_not_get_as_far_as_tls_is_named(changed, reason, words):
    with Target(talks(GREETING, IMAP | changed, trusted())) as target:
        result = probe_imap(f"localhost:{target.port}", **LOGIN)
    assert (result.outcome, result.failure.reason) == (Outcome.DOWN, reason)
    assert words in result.failure.message
    assert not [line for line in target.requests if b"LOGIN" in line or b"AUTH" in line]


@pytest.mark.parametrize(
    ("answer", "reason"),
    [
        (b"%s NO [AUTHENTICATIONFAILED] no\r\n", Reason.AUTHENTICATION),
        (b"%s NO no\r\n", Reason.AUTHENTICATION),
        (b"%s NO [UNAVAILABLE] no directory\r\n", Reason.REJECTED),
        (b"%s BAD what\r\n", Reason.REJECTED),
        (b"* BYE too many\r\n", Reason.REJECTED),
    ],
)
def test_only_what_is_about_our_credentials_is_a_refused_login(answer, reason):
    plain = {b"CAPABILITY": b"* CAPABILITY IMAP4rev1\r\n%s OK done\r\n", b"LOGIN": answer}
    with Target(talks(GREETING, IMAP | plain)) as target:
        result = probe_imap(target.address, tls="none", login_in_clear=True, **LOGIN)
    assert result.failure.reason is reason


def test_a_server_that_allows_no_login_is_named():
    offered = {b"CAPABILITY": b"* CAPABILITY IMAP4rev1 LOGINDISABLED AUTH=GSSAPI\r\n%s OK done\r\n"}
    with Target(talks(GREETING, IMAP | offered)) as target:
        result = probe_imap(target.address, tls="none", login_in_clear=True, **LOGIN)
    assert result.failure.message == "the server offers no login by a password in clear, only GSSAPI"


@pytest.mark.parametrize(
    ("greeting", "reason", "words"),
    [
        (b"* BYE too many connections\r\n", Reason.REJECTED, "refused the connection: * BYE too many connections"),
        (b"220 mail ESMTP\r\n", Reason.PROTOCOL, "what is no greeting of IMAP: '220 mail ESMTP'"),
        (b"*\r\n", Reason.PROTOCOL, "what is no greeting of IMAP: '*'"),
        (b"\r\n", Reason.PROTOCOL, "what is no greeting of IMAP: ''"),
    ],
)
def test_another_greeting_is_down_as_such(greeting, reason, words):
    with Target(greets(greeting)) as target:
        result = probe_imap(target.address)
    assert (result.outcome, result.failure.reason) == (Outcome.DOWN, reason)
    assert words in result.failure.message
