"""Addresses as users and targets write them."""

from __future__ import annotations

import pytest

from checks.address import host_name, join_url, parse_host_port, parse_url


@pytest.mark.parametrize(
    ("text", "host", "port", "authority", "target"),
    [
        ("http://a.example", "a.example", 80, "a.example", "/"),
        ("https://A.Example:443/x", "a.example", 443, "a.example", "/x"),
        ("https://a.example:8443?q=1#part", "a.example", 8443, "a.example:8443", "/?q=1"),
        ("https://a.example/x#", "a.example", 443, "a.example", "/x"),
        ("HTTP://[::1]:8080/", "::1", 8080, "[::1]:8080", "/"),
        ("http://10.0.0.1/%2e%2e/ä", "10.0.0.1", 80, "10.0.0.1", "/%2e%2e/%C3%A4"),
        ("http://under_score.example./", "under_score.example.", 80, "under_score.example.", "/"),
    ],
)
def test_an_address_is_taken_apart(text, host, port, authority, target):
    url = parse_url(text)
    assert (url.host, url.port, url.authority, url.target) == (host, port, authority, target)


@pytest.mark.parametrize(
    ("location", "result"),
    [
        ("/next", "http://a.example/next"),
        ("next?x=1", "http://a.example/dir/next?x=1"),
        ("../up", "http://a.example/up"),
        ("//b.example/x", "http://b.example/x"),
        ("https://b.example:444/", "https://b.example:444/"),
        ("?q", "http://a.example/dir/page?q"),
        ("#part", "http://a.example/dir/page?old=1"),
        ("", "http://a.example/dir/page?old=1"),
    ],
)
def test_a_location_is_joined_to_where_it_came_from(location, result):
    assert join_url(parse_url("http://a.example/dir/page?old=1"), location).text == result


@pytest.mark.parametrize(
    "location", ["javascript:alert(1)", "data:,x", "file:///etc/passwd", "http:next", "http://u@h/"]
)
def test_a_location_that_is_no_web_address_is_refused(location):
    with pytest.raises(ValueError, match=r"begin|holds"):
        join_url(parse_url("http://a.example/"), location)


def test_a_host_and_port_are_taken_apart():
    assert parse_host_port("Mail.Example.org:25") == ("mail.example.org", 25)
    assert parse_host_port("[::1]:6379") == ("::1", 6379)
    assert parse_host_port("bücher.example:443") == ("xn--bcher-kva.example", 443)


@pytest.mark.parametrize(
    "text", ["a..b", "-a", "a-", "a b", "a" * 64, ".".join(["a" * 60] * 5), "1:2", "%41", "xn--zz\u00e4"]
)
def test_what_can_be_no_host_is_refused(text):
    with pytest.raises(ValueError, match=r"host name|IPv6"):
        host_name(text)
