"""Cookies go back to whoever set them, and to nobody else."""

from __future__ import annotations

import pytest

from checks.address import parse_url
from checks.expect.cookies import MAX_COOKIES, Cookies

SHOP = parse_url("https://www.shop.example/cart/view?x=1")


def kept(*lines, url=SHOP):
    cookies = Cookies()
    cookies.take(url, [(b"Set-Cookie", line.encode("latin-1")) for line in lines])
    return cookies


@pytest.mark.parametrize(
    ("line", "url", "sent"),
    [
        ("a=1", "https://www.shop.example/cart/pay", "a=1"),
        ("a=1", "https://www.shop.example/", ""),
        ("a=1", "https://www.shop.example/cartoons", ""),
        ("a=1; Path=/", "https://www.shop.example/", "a=1"),
        ("a=1; Path=/", "https://shop.example/", ""),
        ("a=1; Path=/", "https://evil.example/", ""),
        ("a=1; Path=/; Domain=shop.example", "https://api.shop.example/", "a=1"),
        ("a=1; Path=/; Domain=.shop.example", "https://shop.example/", "a=1"),
        ("a=1; Path=/; Domain=shop.example", "https://workshop.example/", ""),
        ("a=1; Path=/; Domain=example", "https://other.example/", ""),
        ("a=1; Path=/; Domain=other.example", "https://other.example/", ""),
        ("a=1; Path=/; Secure", "http://www.shop.example/", ""),
        ("a=1; Path=/", "http://www.shop.example/", "a=1"),
        ("a=1; Path=/; Max-Age=0", "https://www.shop.example/", ""),
        ("a=1; Path=/; Max-Age=-9", "https://www.shop.example/", ""),
        ("a=1; Path=/; Max-Age=60", "https://www.shop.example/", "a=1"),
        ("a=1; Path=/; Expires=Thu, 01 Jan 1970 00:00:00 GMT", "https://www.shop.example/", ""),
        ("a=1; Path=/; Expires=Thu, 01 Jan 2970 00:00:00 GMT", "https://www.shop.example/", "a=1"),
        ("a=1; Path=/; Expires=tomorrow", "https://www.shop.example/", "a=1"),
        ("a=1; Path=/; Expires=Thu, 01 Jan 1970 00:00:00 +99999999999999", "https://www.shop.example/", "a=1"),
        ('a="q=r"; Path=/', "https://www.shop.example/", 'a="q=r"'),
        ("nonsense", "https://www.shop.example/cart/", ""),
        ("=nameless; Path=/", "https://www.shop.example/", ""),
        ("a=\x01; Path=/", "https://www.shop.example/", ""),
        ("a=" + "x" * 5000 + "; Path=/", "https://www.shop.example/", ""),
    ],
)
def test_a_cookie_is_sent_where_it_belongs(line, url, sent):
    assert kept(line).header(parse_url(url)) == sent


def test_no_address_sets_cookies_for_its_network():
    cookies = kept("a=1; Path=/; Domain=0.0.1", url=parse_url("http://127.0.0.1/"))
    assert cookies.header(parse_url("http://10.0.0.1/")) == ""


def test_the_last_word_on_a_cookie_counts():
    assert kept("a=1; Path=/", "a=2; Path=/").header(SHOP) == "a=2"
    assert kept("a=1; Path=/", "a=; Path=/; Max-Age=0").header(SHOP) == ""


def test_the_longest_path_comes_first():
    assert kept("a=1; Path=/", "b=2; Path=/cart").header(SHOP) == "b=2; a=1"


def test_only_so_many_cookies_are_kept():
    cookies = kept(*(f"c{number}=1" for number in range(1000)))
    assert cookies.header(SHOP).count(";") == MAX_COOKIES - 1
