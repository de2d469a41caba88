"""The pop3 kind against Dovecot, and against servers that misbehave."""

from __future__ import annotations

import pytest
from pydantic import ValidationError

from checks.result import Outcome, Reason
from tests import dovecot
from tests.dialogues import POP3, talks
from tests.factories import make_spec
from tests.probing import probe_once
from tests.servers import Target, authority_pem, greets, trusted

pytestmark = pytest.mark.xdist_group("dovecot")
GREETING = b"+OK ready\r\n"
LOGIN = {"username": "eve", "password": dovecot.PASSWORD}


def probe_pop3(address, **options):
    return probe_once(
        kind="pop3", address=address, explain=True, **{"ca": authority_pem(), "timeout": "60s", **options}
    )


def test_dovecot_is_up_after_stls_and_a_login():
    lines = ['banner contains "Dovecot"', 'capabilities contains "UIDL"', 'login contains "+OK"']
    result = probe_pop3(f"localhost:{dovecot.server().pop3}", **LOGIN, noop=True, expect=lines)
    assert result.failure is None, result.failure
    assert result.outcome is Outcome.UP
    assert result.phases.tls is not None
    assert result.latency_ns == result.phases.total()
    assert dovecot.PASSWORD not in repr(result)


def test_dovecot_is_up_over_tls_from_the_first_byte_on():
    result = probe_pop3(f"localhost:{dovecot.server().pop3s}", tls="implicit", **LOGIN, expect=["certificate > 1d"])
    assert result.failure is None, result.failure
    assert result.outcome is Outcome.UP


def test_dovecot_refuses_a_wrong_password():
    result = probe_pop3(f"localhost:{dovecot.server().pop3}", username="eve", password="wrong")
    assert result.failure.reason is Reason.AUTHENTICATION
    assert result.failure.message == "the server refused the login: -ERR [AUTH] Authentication failed."


def test_a_server_without_sasl_gets_user_and_pass():
    with Target(talks(GREETING, POP3)) as target:
        result = probe_pop3(target.address, tls="none", login_in_clear=True, **LOGIN)
    assert result.outcome is Outcome.UP
    assert target.requests == [b"CAPA", b"USER eve", b"PASS correct horse", b"QUIT"]


def test_a_server_that_does_not_know_capa_can_be_asked_all_the_same():
    with Target(talks(GREETING, POP3 | {b"CAPA": b"-ERR unknown\r\n"})) as target:
        result = probe_pop3(target.address, tls="none", login_in_clear=True, **LOGIN, noop=True)
    assert result.failure is None, result.failure
    assert result.outcome is Outcome.UP


@pytest.mark.parametrize(
    ("changed", "reason", "words"),
    [
        ({b"CAPA": b"+OK\r\nUSER\r\n.\r\n"}, Reason.TLS, "the server does not offer STARTTLS"),
        ({b"CAPA": b"+OK\r\n" + b"X\r\n" * 300}, Reason.TOO_LARGE, "an answer of more than 200 lines"),
        ({b"CAPA": b"+OK\r\n" + b"X" * 5000}, Reason.TOO_LARGE, "a line of more than 4,096 bytes"),
        ({b"STLS": b"-ERR no key\r\n"}, Reason.REJECTED, "the server refused STLS: -ERR no key"),
        ({b"STLS": b"what\r\n"}, Reason.PROTOCOL, "what is no answer of POP3: 'what'"),
        ({b"STLS": b"+OK go\r\n+OK injected\r\n"}, Reason.TLS, "14 bytes came in clear"),
    ],
)
def test_a_server_that_does_not_get_as_far_as_tls_is_named(changed, reason, words):
    with Target(talks(GREETING, POP3 | changed, trusted())) as target:
        result = probe_pop3(f"localhost:{target.port}", **LOGIN)
    assert (result.outcome, result.failure.reason) == (Outcome.DOWN, reason)
    assert words in result.failure.message
    assert not [line for line in target.requests if b"PASS" in line]


@pytest.mark.parametrize(
    ("answer", "reason"),
    [
        (b"-ERR no\r\n", Reason.AUTHENTICATION),
        (b"-ERR [AUTH] no\r\n", Reason.AUTHENTICATION),
        (b"-ERR [IN-USE] another session\r\n", Reason.REJECTED),
        (b"-ERR [SYS/TEMP] no directory\r\n", Reason.REJECTED),
    ],
)
def test_only_what_is_about_our_credentials_is_a_refused_login(answer, reason):
    with Target(talks(GREETING, POP3 | {b"PASS": answer})) as target:
        result = probe_pop3(target.address, tls="none", login_in_clear=True, **LOGIN)
    assert result.failure.reason is reason


def test_a_server_that_allows_no_password_is_named():
    with Target(talks(GREETING, POP3 | {b"CAPA": b"+OK\r\nSASL GSSAPI\r\n.\r\n"})) as target:
        result = probe_pop3(target.address, tls="none", login_in_clear=True, **LOGIN)
    assert result.failure.message == "the server offers no login by a password in clear, only GSSAPI"


@pytest.mark.parametrize(
    ("greeting", "reason", "words"),
    [
        (b"-ERR [SYS/TEMP] busy\r\n", Reason.REJECTED, "refused the connection: -ERR [SYS/TEMP] busy"),
        (b"* OK IMAP4rev1\r\n", Reason.PROTOCOL, "what is no answer of POP3: '* OK IMAP4rev1'"),
    ],
)
def test_another_greeting_is_down_as_such(greeting, reason, words):
    with Target(greets(greeting)) as target:
        result = probe_pop3(target.address)
    assert (result.outcome, result.failure.reason) == (Outcome.DOWN, reason)
    assert words in result.failure.message


def test_noop_needs_a_login():
    with pytest.raises(ValidationError, match="noop: POP3 knows it only after a login"):
        make_spec(kind="pop3", address="mail.example.org:110", noop=True)
