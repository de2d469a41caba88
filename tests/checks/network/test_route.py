"""The options by which monitors reach their targets."""

from __future__ import annotations

import pytest
from pydantic import ValidationError

from checks.network.route import NameServer, Proxy, parse_proxy, parse_resolver
from tests.factories import make_spec
from tests.servers import authority

LEAF = authority().issue_cert("client.example")
CERTIFICATE = LEAF.cert_chain_pems[0].bytes().decode()
KEY = LEAF.private_key_pem.bytes().decode()
OTHER_KEY = authority().issue_cert("other.example").private_key_pem.bytes().decode()


@pytest.mark.parametrize(
    ("text", "proxy"),
    [
        ("http://10.0.0.1", Proxy(scheme="http", host="10.0.0.1", port=8080)),
        ("socks5://proxy.example:1", Proxy(scheme="socks5", host="proxy.example", port=1)),
        (
            "socks5h://e%3Ave:p%40ss@[::1]/",
            Proxy(scheme="socks5h", host="::1", port=1080, username="e:ve", password="p@ss"),
        ),
    ],
)
def test_a_proxy_is_read(text, proxy):
    assert parse_proxy(text) == proxy


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("10.0.0.1:3128", "has no scheme; allowed: http://, socks5://"),
        ("https://10.0.0.1", "begins with https://; allowed"),
        ("http://10.0.0.1/path", "is no address of a proxy"),
        ("http://10.0.0.1:99999", "is no address of a proxy"),
        ("http://:secret@10.0.0.1", "has a password without a user name"),
        (f"socks5://eve:{'x' * 256}@10.0.0.1", "that SOCKS can't carry"),
        ("socks5://eve@10.0.0.1", "that SOCKS can't carry"),
    ],
)
def test_what_is_no_proxy_is_refused_without_its_password(text, message):
    with pytest.raises(ValueError) as caught:
        parse_proxy(text)
    assert message in str(caught.value)
    assert "secret" not in str(caught.value)


@pytest.mark.parametrize(
    ("text", "server"),
    [
        ("10.0.0.53", NameServer(scheme="udp", host="10.0.0.53", port=53)),
        ("10.0.0.53:5353", NameServer(scheme="udp", host="10.0.0.53", port=5353)),
        ("::1", NameServer(scheme="udp", host="::1", port=53)),
        ("tcp://[::1]:54", NameServer(scheme="tcp", host="::1", port=54)),
        ("tls://dns.example", NameServer(scheme="tls", host="dns.example", port=853)),
        ("https://dns.example/dns-query", NameServer(scheme="https", host="dns.example", port=443, path="/dns-query")),
    ],
)
def test_a_resolver_is_read(text, server):
    assert parse_resolver(text) == server


def test_options_make_a_route():
    spec = make_spec(url="http://a.example/", ip="6", resolver="10.0.0.53", proxy="socks5://10.0.0.1")
    assert spec.route.family == 6
    assert spec.route.resolver == parse_resolver("10.0.0.53")
    assert spec.route.proxy == parse_proxy("socks5://10.0.0.1")
    plain = make_spec(url="http://a.example/").route
    assert (plain.family, plain.resolver, plain.proxy) == (0, None, None)


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"ip": "4", "proxy": "http://10.0.0.1"}, "this proxy resolves names itself"),
        ({"ip": "5"}, "Input should be 'any', '4' or '6'"),
        ({"resolver": "ftp://10.0.0.1"}, "begins with ftp://"),
        ({"server_name": "a b"}, "is no host name"),
        ({"client_certificate": CERTIFICATE}, "client_key: client_certificate and client_key belong together"),
        ({"client_key": KEY}, "client_certificate: client_certificate and client_key belong together"),
        ({"client_certificate": CERTIFICATE, "client_key": OTHER_KEY}, "is not the key of client_certificate"),
        ({"client_certificate": "x", "client_key": KEY}, "holds no certificate in PEM"),
        ({"client_certificate": CERTIFICATE, "client_key": "x"}, "holds no private key in PEM"),
    ],
)
def test_options_that_make_none_are_refused(options, message):
    with pytest.raises(ValidationError) as caught:
        make_spec(url="https://a.example/", **options)
    assert message in str(caught.value)
    assert "PRIVATE" not in str(caught.value)
