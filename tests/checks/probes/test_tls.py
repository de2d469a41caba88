"""The tls kind against real servers, at once and after STARTTLS."""

from __future__ import annotations

import ssl
from hashlib import sha256

import pytest
import trustme
from pydantic import ValidationError

from checks.network import Resources
from checks.result import Outcome, Reason
from tests import dovecot, mariadb, postgres, secured
from tests.dialogues import SMTP, talks
from tests.factories import make_spec
from tests.probing import on_loop, probe_once, probed
from tests.servers import (
    Target,
    authority,
    authority_pem,
    closed_port,
    dated,
    drips,
    greets,
    hangs,
    serving,
    trusted,
)

pytestmark = pytest.mark.xdist_group("dovecot")
SERVERS = {
    "imap": lambda: dovecot.server().imap,
    "pop3": lambda: dovecot.server().pop3,
    "ldap": secured.slapd,
    "mysql": lambda: mariadb.server().port,
    "ftp": secured.vsftpd,
    "xmpp": secured.prosody,
}


def probe_tls(address, **options):
    return probe_once(kind="tls", address=address, explain=True, **{"ca": authority_pem(), **options})


@pytest.mark.parametrize("protocol", [p for p in SERVERS if p != "mysql"])
def test_a_real_server_is_up_after_starttls(protocol):
    lines = ["certificate > 14d", 'version == "TLS 1.3"', "host_matches == true"]
    result = probe_tls(f"localhost:{SERVERS[protocol]()}", starttls=protocol, expect=lines)
    assert (result.outcome, result.failure) == (Outcome.UP, None)
    assert result.latency_ns == result.phases.total()
    assert result.phases.tls is not None


@pytest.mark.xdist_group("mariadb")
def test_mariadb_is_up_after_starttls():
    result = probe_tls(f"localhost:{SERVERS['mysql']()}", starttls="mysql", expect=['version == "TLS 1.3"'])
    assert (result.outcome, result.failure) == (Outcome.UP, None)


def test_a_certificate_that_was_replaced_is_told_for_as_long_as_is_asked():
    resources = Resources.open()

    async def three_times(target):
        lines = {"expect": ["certificate > 1d"], "degraded": ["unchanged > 1d"]}
        spec = make_spec(kind="tls", address=f"localhost:{target.port}", ca=authority_pem(), **lines)
        before = await probed(spec, resources)
        target.tls = serving(authority().issue_cert("localhost"))
        return before, await probed(spec, resources), await probed(spec, resources)

    with Target(hangs, tls=trusted()) as target:
        before, after, later = on_loop(three_times(target), resources)
    assert (before.outcome, after.outcome, later.outcome) == (Outcome.UP, Outcome.DEGRADED, Outcome.DEGRADED)
    assert after.failure.expectation == "unchanged > 1d"


def test_a_certificate_that_is_seen_first_has_been_there_since_it_became_valid():
    with Target(hangs, tls=dated(begins_in_days=-3, ends_in_days=90)) as target:
        result = probe_tls(f"localhost:{target.port}", expect=["unchanged in 2.9d-3.1d"])
    assert (result.outcome, result.failure) == (Outcome.UP, None)


def test_a_postgresql_without_tls_is_named():
    result = probe_tls(f"localhost:{postgres.server().port}", starttls="postgres")
    assert (result.outcome, result.failure.reason) == (Outcome.DOWN, Reason.TLS)
    assert result.failure.message == "the PostgreSQL server does not offer TLS"


def test_a_handshake_tells_all_about_the_certificate():
    issued = authority().issue_cert("localhost", "www.example.org", "127.0.0.1")
    lines = [
        "certificate > 14d",
        "chain > 14d",
        'issuer contains "trustme"',
        'subject contains "Testing cert"',
        'names contains "www.example.org"',
        'names contains "127.0.0.1"',
        "host_matches == true",
        'fingerprint matches "^[0-9a-f]{64}$"',
        'cipher matches "^TLS_"',
        "problem not exists",
        "latency < 10s",
    ]
    with Target(hangs, tls=serving(issued)) as target:
        result = probe_tls(target.address, expect=lines)
    assert (result.outcome, result.failure) == (Outcome.UP, None)
    assert result.latency_ns == result.phases.total()
    der = ssl.PEM_cert_to_DER_cert(issued.cert_chain_pems[0].bytes().decode())
    assert result.evidence["certificate"]["fingerprint"] == sha256(der).hexdigest()


def test_a_pinned_fingerprint_that_is_another_is_down():
    with Target(hangs, tls=trusted()) as target:
        result = probe_tls(target.address, expect=[f'fingerprint == "{"ab" * 32}"'])
    assert (result.outcome, result.failure.reason) == (Outcome.DOWN, Reason.EXPECTATION)
    assert result.evidence["certificate"]["fingerprint"] in result.failure.message


def test_less_than_two_weeks_left_is_down_where_nothing_else_is_said():
    with Target(hangs, tls=dated(begins_in_days=-80, ends_in_days=10.01)) as target:
        result = probe_tls(target.address)
        assert probe_tls(target.address, expect=["certificate > 7d"]).outcome is Outcome.UP
    assert result.failure.message.startswith("expected certificate > 14d, got 10 d")


def test_an_authority_that_expires_first_is_seen_in_the_chain():
    root = trustme.CA()
    middle = root.create_child_ca()
    with Target(hangs, tls=serving(middle.issue_cert("127.0.0.1"))) as target:
        result = probe_tls(target.address, ca=root.cert_pem.bytes().decode(), expect=["chain > 14d"])
    assert (result.outcome, result.failure) == (Outcome.UP, None)
    assert [link["subject"] for link in result.evidence["chain"]]


@pytest.mark.parametrize(
    ("options", "words"),
    [
        ({"begins_in_days": -10, "ends_in_days": -1}, "the certificate expired 1 d ago"),
        ({"begins_in_days": 1, "ends_in_days": 10}, "the certificate is valid only from"),
    ],
)
def test_a_certificate_out_of_its_time_is_down_or_where_verify_is_off_evidence(options, words):
    with Target(hangs, tls=dated(**options)) as target:
        result = probe_tls(target.address)
        seen = probe_tls(target.address, verify=False, expect=["version exists", "host_matches == true"])
        told = probe_tls(target.address, verify=False, expect=["problem not exists"])
    assert result.failure.reason is Reason.CERTIFICATE
    assert words in result.failure.message
    assert result.evidence["certificate"]["fingerprint"]
    assert (seen.outcome, words in seen.evidence["problem"]) == (Outcome.UP, True)
    assert words in told.failure.message


def test_a_certificate_for_another_name_or_by_nobody_is_evidence_where_verify_is_off():
    with Target(hangs, tls=trusted("elsewhere.example")) as target:
        result = probe_tls(target.address, verify=False)
        assert probe_tls(target.address).failure.reason is Reason.CERTIFICATE
        assert probe_tls(target.address, server_name="elsewhere.example").outcome is Outcome.UP
        assert probe_tls(target.address, ca="", verify=False, expect=["host_matches == false"]).outcome is Outcome.UP
        untrusted = probe_tls(target.address, ca="", server_name="elsewhere.example")
    assert result.outcome is Outcome.UP
    assert result.evidence["problem"] == "the certificate is for elsewhere.example, not for 127.0.0.1"
    assert "is not trusted" in untrusted.failure.message


def test_what_speaks_no_tls_is_down_as_such():
    with Target(greets(b"220 mail ESMTP\r\n")) as target:
        result = probe_tls(target.address)
    assert (result.outcome, result.failure.reason) == (Outcome.DOWN, Reason.TLS)
    with Target(drips(b"")) as target:
        assert probe_tls(target.address, timeout="300ms").failure.reason is Reason.TIMEOUT
    assert probe_tls(f"127.0.0.1:{closed_port()}").failure.reason is Reason.REFUSED


def test_the_handshake_after_starttls_is_judged_too():
    with Target(talks(b"220 mail ESMTP\r\n", SMTP, trusted("elsewhere.example"))) as target:
        result = probe_tls(target.address, starttls="smtp")
        assert probe_tls(target.address, starttls="smtp", server_name="elsewhere.example").outcome is Outcome.UP
    assert result.failure.reason is Reason.CERTIFICATE


@pytest.mark.parametrize(
    ("options", "words"),
    [
        ({"address": "www.example.org"}, "has no port"),
        ({"starttls": "nntp"}, "Input should be 'smtp', 'imap', 'pop3'"),
        ({"expect": ["status == 200"]}, "unknown subject 'status'"),
    ],
)
def test_a_wrong_option_is_refused_in_words(options, words):
    with pytest.raises(ValidationError) as caught:
        make_spec(**{"kind": "tls", "address": "www.example.org:443", **options})
    assert words in str(caught.value)
