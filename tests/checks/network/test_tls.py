"""Certificates: what is wrong with one, in words."""

from __future__ import annotations

import ssl
from datetime import UTC, datetime, timedelta

import pytest
import trustme
from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.x509.oid import ExtendedKeyUsageOID, ExtensionOID, NameOID

from checks.network.tls import CertificateJudge, covers, read_bundle
from tests.servers import authority, authority_pem

NOW = datetime(2026, 3, 10, 12, tzinfo=UTC)


def chain_of(certificate: trustme.LeafCert) -> tuple[bytes, ...]:
    return tuple(ssl.PEM_cert_to_DER_cert(pem.bytes().decode()) for pem in certificate.cert_chain_pems)


def problem(chain, host="a.example", ca=None, now=NOW):
    return CertificateJudge().judge(chain, host, authority_pem() if ca is None else ca, now).problem(now)


def made(*extensions, name="a.example", ca=None, begins=-1, ends=10):
    """A certificate made by hand, signed by itself or by `ca` (a certificate and its key)."""
    key = ec.generate_private_key(ec.SECP256R1())
    subject = x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, name)])
    builder = (
        x509.CertificateBuilder()
        .subject_name(subject)
        .issuer_name(ca[0].subject if ca else subject)
        .public_key(key.public_key())
        .serial_number(x509.random_serial_number())
        .not_valid_before(NOW + timedelta(days=begins))
        .not_valid_after(NOW + timedelta(days=ends))
    )
    for extension in extensions:
        builder = builder.add_extension(extension, critical=False)
    return builder.sign(ca[1] if ca else key, hashes.SHA256()), key


def der(certificate):
    return certificate.public_bytes(serialization.Encoding.DER)


def pem(certificate):
    return certificate.public_bytes(serialization.Encoding.PEM).decode()


def another_version(certificate):
    """The same, of a version of X.509 that nobody has written."""
    return der(certificate).replace(b"\xa0\x03\x02\x01\x02", b"\xa0\x03\x02\x01\x63", 1)


def titled(certificate):
    """The same, its name a string of bits."""
    return der(certificate).replace(b"\x0c\x09a.example", b"\x03\x09a.example")


def written(oid, content):
    """The same, with an extension written by hand."""
    return lambda _: der(made(x509.UnrecognizedExtension(oid, content))[0])


ODD = {
    "another version": another_version,
    "a name that is no text": titled,
    "names of a sort that nobody uses": written(ExtensionOID.SUBJECT_ALTERNATIVE_NAME, b"\x30\x04\xa5\x02\x30\x00"),
    "names that are cut off": written(ExtensionOID.SUBJECT_ALTERNATIVE_NAME, b"\x30\x7f"),
    "a feature that nobody knows": written(ExtensionOID.TLS_FEATURE, b"\x30\x03\x02\x01\x63"),
}

AUTHORITY = x509.BasicConstraints(ca=True, path_length=None)
FOR_A = x509.SubjectAlternativeName([x509.DNSName("a.example")])


def test_a_certificate_of_a_trusted_authority_has_no_problem():
    assert problem(chain_of(authority().issue_cert("a.example"))) is None


def test_a_chain_with_an_intermediate_has_no_problem():
    leaf = authority().create_child_ca().create_child_ca().issue_cert("a.example")
    assert problem(chain_of(leaf)) is None


@pytest.mark.parametrize(
    ("pattern", "host", "covered"),
    [
        ("a.example", "A.example", True),
        ("a.example", "a.example.", True),
        ("*.example.org", "www.example.org", True),
        ("*.example.org", "a.b.example.org", False),
        ("*.example.org", "example.org", False),
        ("*.org", "example.org", False),
        ("w*.example.org", "www.example.org", False),
        ("*.0.0.1", "127.0.0.1", False),
        ("127.0.0.1", "127.0.0.1", True),
        ("a.example", "b.example", False),
    ],
)
def test_a_name_covers_its_host_and_a_wildcard_one_label(pattern, host, covered):
    assert covers(pattern, host) is covered


def test_a_self_signed_certificate_is_told_as_such():
    certificate, _ = made(FOR_A)
    assert problem((der(certificate),)) == "the certificate is self-signed"


def test_a_self_signed_certificate_is_fine_once_it_is_trusted_itself():
    for extensions in ((FOR_A,), (FOR_A, AUTHORITY)):
        certificate, _ = made(*extensions)
        assert problem((der(certificate),), ca=pem(certificate)) is None


def test_an_unknown_authority_is_named():
    root, key = made(AUTHORITY, name="Somebody's Root")
    leaf, _ = made(FOR_A, ca=(root, key))
    assert problem((der(leaf), der(root))) == "the certificate's authority \"Somebody's Root\" is not trusted"
    missing = problem((der(leaf),))
    assert missing.startswith("the certificate's issuer \"Somebody's Root\" is not trusted; the server may not send")


def test_an_authority_of_a_user_needs_no_more_than_being_one():
    root, key = made(AUTHORITY, name="Home")
    leaf, _ = made(FOR_A, ca=(root, key))
    assert problem((der(leaf),), ca=pem(root)) is None


def test_what_is_no_authority_signs_nothing():
    root, key = made(AUTHORITY, name="Root")
    fake, fake_key = made(FOR_A, ca=(root, key), name="b.example")
    leaf, _ = made(FOR_A, ca=(fake, fake_key))
    assert problem((der(leaf), der(fake)), ca=pem(root)) is not None


def test_a_signature_of_another_key_is_not_trusted():
    root, _ = made(AUTHORITY, name="Root")
    _, other_key = made(AUTHORITY, name="Root")
    leaf, _ = made(FOR_A, ca=(root, other_key))
    assert problem((der(leaf),), ca=pem(root)) is not None


def test_a_certificate_that_is_not_for_servers_is_told():
    root, key = made(AUTHORITY, name="Root")
    leaf, _ = made(FOR_A, x509.ExtendedKeyUsage([ExtendedKeyUsageOID.CLIENT_AUTH]), ca=(root, key))
    assert "not made for servers" in problem((der(leaf),), ca=pem(root))


def test_an_expired_intermediate_is_told_as_such():
    root, root_key = made(AUTHORITY, name="Root")
    middle, middle_key = made(AUTHORITY, name="Middle", ca=(root, root_key), begins=-10, ends=-5)
    leaf, _ = made(FOR_A, ca=(middle, middle_key))
    told = problem((der(leaf), der(middle)), ca=pem(root))
    assert told == "the intermediate certificate 'Middle' expired"


def test_a_certificate_without_a_name_covers_nothing():
    root, key = made(AUTHORITY, name="Root")
    leaf, _ = made(ca=(root, key))
    told = problem((der(leaf),), ca=pem(root))
    assert told == "the certificate is for no name at all, not for a.example"


def test_the_dates_are_judged_anew_for_a_chain_that_is_known():
    leaf, _ = made(FOR_A, begins=-1, ends=2)
    judge, chain = CertificateJudge(), (der(leaf),)
    assert judge.judge(chain, "a.example", pem(leaf), NOW).problem(NOW) is None
    later = NOW + timedelta(days=3)
    assert judge.judge(chain, "a.example", pem(leaf), later).problem(later) == (
        "the certificate expired 1 d ago, on 2026-03-12 12:00 UTC"
    )
    early = NOW - timedelta(days=2)
    assert "is valid only from 2026-03-09 12:00 UTC on" in judge.judge(chain, "a.example", pem(leaf), early).problem(
        early
    )


def test_a_verdict_is_kept_for_the_same_chain_host_and_authorities():
    judge, chain = CertificateJudge(), chain_of(authority().issue_cert("a.example"))
    first = judge.judge(chain, "a.example", authority_pem(), NOW)
    assert judge.judge(chain, "a.example", authority_pem(), NOW + timedelta(minutes=30)) is first
    assert judge.judge(chain, "b.example", authority_pem(), NOW).trouble
    assert judge.judge(chain, "a.example", "", NOW).trouble
    assert judge.judge(chain, "a.example", authority_pem(), NOW + timedelta(hours=2)) is not first


@pytest.mark.parametrize("chain", [(), (b"nonsense",)])
def test_a_chain_that_can_not_be_read_is_a_problem(chain):
    assert problem(chain) == "the certificate can't be read"


def test_a_bundle_is_read_and_what_is_broken_left_out():
    certificate, _ = made(FOR_A)
    broken = "-----BEGIN CERTIFICATE-----\nAAAA\n-----END CERTIFICATE-----\n"
    assert read_bundle(f"text\n{pem(certificate)}{broken}{pem(certificate)}") == [certificate, certificate]
    assert read_bundle("") == []


@pytest.mark.parametrize("spoil", ODD.values(), ids=ODD)
def test_a_certificate_that_is_odd_is_no_exception(spoil):
    own, _ = made(FOR_A)
    odd = spoil(own)
    assert odd != der(own)
    for chain in ((odd,), (der(own), odd)):
        verdict = CertificateJudge().judge(chain, "a.example", pem(own), NOW)
        assert (verdict.certificate, verdict.problem(NOW)) == (None, "the certificate can't be read")


@pytest.mark.parametrize(
    ("host", "usage", "told"),
    [
        ("my_host.example", ExtendedKeyUsageOID.SERVER_AUTH, None),
        ("my_host.example", ExtendedKeyUsageOID.CLIENT_AUTH, "not made for servers"),
        ("a_b.wild.example", ExtendedKeyUsageOID.SERVER_AUTH, None),
        ("other_host.example", ExtendedKeyUsageOID.SERVER_AUTH, "not for other_host.example"),
    ],
)
def test_a_host_with_an_underscore_is_judged_like_another(host, usage, told):
    root, key = made(AUTHORITY, name="Root")
    names = x509.SubjectAlternativeName([x509.DNSName("my_host.example"), x509.DNSName("*.wild.example")])
    leaf, _ = made(names, x509.ExtendedKeyUsage([usage]), ca=(root, key))
    found = problem((der(leaf),), host, ca=pem(root))
    assert (found is None) if told is None else (told in found)
    stranger, stranger_key = made(AUTHORITY, name="Root")
    foreign, _ = made(names, ca=(stranger, stranger_key))
    assert problem((der(foreign),), host, ca=pem(root)) is not None


def test_names_of_a_certificate_are_shown_printable_and_short():
    root, key = made(AUTHORITY, name="Root")
    names = [x509.DNSName("x\x1b[31m"), *(x509.DNSName("y" * 10_000) for _ in range(30))]
    leaf, _ = made(x509.SubjectAlternativeName(names), ca=(root, key))
    verdict = CertificateJudge().judge((der(leaf),), "a.example", pem(root), NOW)
    assert verdict.trouble.startswith("the certificate is for x\N{REPLACEMENT CHARACTER}[31m, yyy")
    assert len(verdict.trouble) < 600
    assert max(len(name) for name in verdict.certificate.as_dict()["names"]) == 100
