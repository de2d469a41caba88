"""The http kind against a real web server: HTTP/2, client certificates, encodings, old and weak TLS."""

from __future__ import annotations

import pytest

from checks.result import Outcome, Reason
from tests.nginx import Nginx
from tests.probing import probe_once
from tests.servers import authority, authority_pem

pytestmark = pytest.mark.xdist_group("nginx")


@pytest.fixture(scope="module")
def nginx():
    server = Nginx()
    yield server
    server.stop()


def asked(port, path="/", **options):
    return probe_once(url=f"https://127.0.0.1:{port}{path}", ca=authority_pem(), explain=True, **options)


@pytest.mark.parametrize(
    ("wanted", "version", "protocol"), [(2, "2", "HTTP/2.0"), ("any", "2", "HTTP/2.0"), (1.1, "1.1", "HTTP/1.1")]
)
def test_the_version_of_http_is_the_one_that_is_wanted(nginx, wanted, version, protocol):
    lines = [f'version == "{version}"', f'body contains "{protocol}"', 'ip == "127.0.0.1"', "certificate > 1d"]
    result = asked(nginx.h2, http_version=wanted, expect=lines)
    assert result.outcome is Outcome.UP, result
    assert result.evidence["version"] == version
    assert result.latency_ns == result.phases.total()
    assert set(result.phases.as_dict()) == {"connect", "tls", "first_byte", "transfer"}


def test_any_version_is_the_old_one_where_the_server_has_no_other(nginx):
    assert asked(nginx.tls, http_version="any", expect=['version == "1.1"']).outcome is Outcome.UP
    result = probe_once(url=f"http://127.0.0.1:{nginx.h1}/", http_version="any", expect=['version == "1.1"'])
    assert result.outcome is Outcome.UP


def test_a_server_without_http2_is_down_where_it_is_wanted(nginx):
    result = asked(nginx.tls, http_version=2)
    assert (result.outcome, result.failure.reason) == (Outcome.DOWN, Reason.TLS)
    assert result.failure.message.endswith("the other side speaks none of the protocols that were offered, as HTTP/2")


@pytest.mark.parametrize("version", ["1.1", "2"])
def test_the_host_is_asked_for_by_its_own_name_at_another_address(nginx, version):
    options = {"server_name": "shop.test", "headers": {"Host": "shop.test"}, "http_version": version}
    result = asked(nginx.h2, expect=['body contains " shop.test shop.test GET"'], **options)
    assert result.outcome is Outcome.UP, result
    assert asked(nginx.h2, server_name="other.test").failure.reason is Reason.CERTIFICATE


@pytest.mark.parametrize("version", ["1.1", "2"])
def test_redirects_are_followed_with_the_cookies_of_the_way(nginx, version):
    lines = ['body == "seen=1"', "redirects == 1", f'url == "https://127.0.0.1:{nginx.h2}/see"']
    assert asked(nginx.h2, "/cookie", http_version=version, expect=lines).outcome is Outcome.UP
    assert asked(nginx.h2, "/moved", http_version=version, expect=["redirects == 1"]).outcome is Outcome.UP
    lines = ["status == 302", 'cookie seen == "1"', 'header Location contains "/see"']
    result = asked(nginx.h2, "/cookie", http_version=version, follow_redirects=False, expect=lines)
    assert result.outcome is Outcome.UP, result


@pytest.mark.parametrize("version", ["1.1", "2"])
def test_bodies_and_methods_arrive(nginx, version):
    options = {"http_version": version, "expect": ['body == "POST 60000 application/json"']}
    body = '"' + "x" * 59_998 + '"'
    assert asked(nginx.h2, "/post", method="POST", json_body=body, **options).outcome is Outcome.UP
    options["expect"] = ['body == "PURGE  "']
    assert asked(nginx.h2, "/post", method="PURGE", **options).outcome is Outcome.UP
    assert asked(nginx.h2, method="HEAD", http_version=version, expect=["size == 0B"]).outcome is Outcome.UP


@pytest.mark.parametrize("version", ["1.1", "2"])
def test_an_encoding_is_read_where_it_is_asked_for(nginx, version):
    lines = ['body contains "no play all work"', 'header Content-Encoding == "gzip"', "size < 2KiB"]
    encoded = asked(nginx.h2, "/long", accept_encoding=["gzip"], http_version=version, expect=lines)
    assert encoded.outcome is Outcome.UP, encoded
    plain = asked(nginx.h2, "/long", http_version=version, expect=["size > 90KiB"])
    assert plain.outcome is Outcome.UP, plain


@pytest.mark.parametrize("version", ["1.1", "2"])
def test_a_page_behind_a_password_is_read_with_it(nginx, version):
    options = {"username": "eve", "password": "s3cret", "http_version": version}
    assert asked(nginx.h2, "/login", expect=['body == "inside"'], **options).outcome is Outcome.UP
    assert asked(nginx.h2, "/login", http_version=version).failure.found == "401"


@pytest.mark.parametrize("version", ["1.1", "2"])
def test_we_prove_who_we_are_by_a_certificate(nginx, version):
    leaf = authority().issue_cert("eve@stillup.test", common_name="eve")
    certificate = "".join(pem.bytes().decode() for pem in leaf.cert_chain_pems)
    key = leaf.private_key_pem.bytes().decode()
    options = {"client_certificate": certificate, "client_key": key, "http_version": version}
    result = asked(nginx.mtls, expect=['body contains "CN=eve"'], **options)
    assert result.outcome is Outcome.UP, result
    without = asked(nginx.mtls, http_version=version)
    assert without.outcome is Outcome.DOWN


def test_old_versions_of_tls_are_down_in_words(nginx):
    result = asked(nginx.old)
    assert (result.outcome, result.failure.reason, result.failure.phase) == (Outcome.DOWN, Reason.TLS, "tls")
    assert "TLS 1.2" in result.failure.message


def test_weak_ciphers_are_down_in_words(nginx):
    result = asked(nginx.weak)
    assert (result.failure.reason, result.failure.phase) == (Reason.TLS, "tls")
    assert "share no cipher" in result.failure.message
