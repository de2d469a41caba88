"""XPath on what targets send: what may be asked, what it gives, and that no document makes it slow."""

from __future__ import annotations

import contextlib
import time

import pytest

from checks.expect import ExpectationError, first_unmet, parse
from checks.expect.jsonpath import BadPath
from checks.expect.markup import Document, NotMarkup, compile_xpath
from checks.web import ANSWER

PAGE = b"""<!DOCTYPE html><html><head><title> Shop </title><meta charset=utf-8></head><body>
<ul id=main><li class="a">one<li class="b">two &amp; three</ul><p>open<br>for business <b>now</b></body></html>"""
STATUS = b"""<?xml version="1.0" encoding="UTF-8"?><status xmlns="urn:example" xmlns:q="urn:q">
<q:queue size="7"><name>mail</name></q:queue><queue size="12"><name>web</name></queue></status>"""


def select(body, path, language="xml"):
    return Document(body).select(compile_xpath(path), language)


def unmet(line, body):
    failure = first_unmet((line,), ANSWER, {"body": body, "headers": []})
    return failure and failure.message


@pytest.mark.parametrize(
    ("path", "found"),
    [
        ("//queue/@size", ["7", "12"]),
        ('//queue[name = "web"]/@size', ["12"]),
        ("/status/queue[2]/name", ["web"]),
        ("count(//queue)", ["2"]),
        ("sum(//queue/@size) div 2", ["9.5"]),
        ("boolean(//queue[@size > 10])", ["true"]),
        ("string(//name)", ["mail"]),
        ("//nothing", []),
        ("//queue[not(name)]", []),
        ("descendant::name[last()]", ["web"]),
    ],
)
def test_xml_is_searched_by_names_without_their_namespaces(path, found):
    assert select(STATUS, path) == found


@pytest.mark.parametrize(
    ("path", "found"),
    [
        ("//title", ["Shop"]),
        ("//li", ["one", "two & three"]),
        ('//li[contains(@class, "b")]', ["two & three"]),
        ('//ul[@id = "main"]/li[1]', ["one"]),
        ("//p", ["openfor business now"]),
    ],
)
def test_a_page_is_searched_as_browsers_read_it(path, found):
    assert select(PAGE, path, "html") == found


def test_expectations_speak_of_xml_pages_and_cookies():
    assert unmet('html //title == "Shop"', PAGE) is None
    assert unmet("xml //queue/@size < 20", STATUS) is None
    assert unmet("xml //queue/@size < 10", STATUS) == 'expected xml //queue/@size < 10, got "12"'
    assert unmet('xml //queue[name = "web"]/@size in 10-15', STATUS) is None
    assert unmet("xml //error not exists", STATUS) is None
    assert unmet("xml //error exists", STATUS) == "expected xml //error exists, got nothing"
    assert unmet('html //title matches "^Sh"', PAGE) is None
    assert "got a body that is no XML: it can't be read" in unmet("xml //a exists", b'{"a": 1}')
    assert unmet("xml //a exists", None) == "expected xml //a exists, got no body"
    headers = [(b"Set-Cookie", b"Sid=12; Path=/; HttpOnly"), (b"set-cookie", b"lang = de")]
    facts = {"headers": headers}
    assert first_unmet(("cookie Sid == 12", 'cookie lang == "de"', "cookie sid not exists"), ANSWER, facts) is None


@pytest.mark.parametrize(
    ("path", "words"),
    [
        ("//a[", "not an XPath"),
        ("//x:a", "undefined namespace prefix"),
        ("nothing()", "unregistered function"),
        ("document('file:///etc/passwd')", "unregistered function"),
        ("$a", "$ can't be used"),
        ("//a//b", "// may stand in an XPath once"),
        ("//a[.//b]", "and in no predicate"),
        ("//a[descendant::b]", "and in no predicate"),
        ("//a/..", ".. can't be used"),
        ("//a|//b", "| can't be used"),
        ("//a/following-sibling::b", "the axis following-sibling can be slow"),
        ("//a[ancestor::b]", "the axis ancestor can be slow"),
        ("//a[/b]", "looks at what is below its own element"),
        ("//a[b and /c]", "looks at what is below its own element"),
        ("//a[b = c]", "compares with a text or a number"),
        ("//" + "a" * 500, "at most 500"),
    ],
)
def test_a_path_that_is_none_or_may_be_slow_is_refused(path, words):
    with pytest.raises(BadPath) as caught:
        compile_xpath(path)
    assert words in str(caught.value)


def test_a_line_says_where_its_path_goes_wrong():
    with pytest.raises(ExpectationError) as caught:
        parse("xml //a/.. exists", ANSWER)
    assert caught.value.position == 8
    with pytest.raises(ExpectationError, match=r"needs an XPath, as in html //title"):
        parse("html exists", ANSWER)
    with pytest.raises(ExpectationError, match="needs a name, as in cookie session exists"):
        parse("cookie exists", ANSWER)


def test_no_file_and_no_address_is_read_for_a_document(tmp_path):
    secret = tmp_path / "secret"
    secret.write_text("s3cret")
    body = f'<!DOCTYPE a [<!ENTITY x SYSTEM "{secret.as_uri()}">]><a>&x;</a>'.encode()
    assert "s3cret" not in str(select(body, "//a"))
    body = f'<!DOCTYPE a SYSTEM "{secret.as_uri()}"><a>fine</a>'.encode()
    assert select(body, "//a") == ["fine"]


LAUGHS = b"<!DOCTYPE a [<!ENTITY a0 'ha'>%s]><a>&a29;</a>" % b"".join(
    b"<!ENTITY a%d '&a%d;&a%d;'>" % (n, n - 1, n - 1) for n in range(1, 30)
)
HOSTILE = {
    "entities in entities": LAUGHS,
    "deep": b"<a>" * 300_000,
    "deep and closed": b"<a>" * 200 + b"x" * 900_000 + b"</a>" * 200,
    "many tags": b"<r>" + b"<a/>" * 250_000 + b"</r>",
    "as many tags as may be": b"<r>" + b"<a/>" * 39_000 + b"</r>",
    "many attributes": b"<a " + b" ".join(b'a%d="1"' % n for n in range(80_000)) + b"/>",
    "many prefixes": b"".join(b"<a xmlns:p%d='u%d'>" % (n, n) for n in range(250)) + b"</a>" * 250,
    "half of UTF-16": "<a>x</a>".encode("utf-16")[:-1],
    "zeros": bytes(100_000),
    "ampersands": b"<a>" + b"&amp" * 200_000,
    "five megabytes": b"<a>" + b"x" * 5_000_000 + b"</a>",
    "nothing": b"",
}
PATHS = ["//a", "//*[contains(., 'y')]", "//a[a[a[a]]]", "count(//@*)", "//*/*/*[last()]", "//a[string-length(.) > 9]"]


@pytest.mark.parametrize("language", ["xml", "html"])
@pytest.mark.parametrize("name", HOSTILE)
def test_no_document_takes_long_or_raises(name, language):
    queries = [compile_xpath(path) for path in PATHS]
    began = time.process_time()
    document = Document(HOSTILE[name])
    for query in queries:
        with contextlib.suppress(NotMarkup):
            assert all(isinstance(text, str) for text in document.select(query, language))
    assert time.process_time() - began < 2


@pytest.mark.parametrize(
    ("path", "found"),
    [
        ("sum(//size)", ["7"]),
        ("sum(//absent)", []),
        ("sum(/queue/size) + count(//absent)", ["7"]),
        ("count(/queue/size) + sum(//absent)", []),
        ("string(//absent)", []),
        ("normalize-space(//absent)", []),
        ("normalize-space(string(//absent))", []),
        ("string-length(//absent)", []),
        ("string-length(//empty)", ["0"]),
        ("string(//empty)", [""]),
        ("count(//absent)", ["0"]),
        ("not(//absent)", ["true"]),
        ("//size[string-length(@unit) = 0]", ["3", "4"]),
    ],
)
def test_nothing_is_neither_zero_nor_an_empty_text(path, found):
    assert select(b"<queue><size>3</size><size>4</size><empty/></queue>", path) == found
