"""The expectation language: what meets a line, what a failure says, what a wrong line is told."""

from __future__ import annotations

import json
import re
import time

import pytest
from hypothesis import given
from hypothesis import strategies as st

from checks import expect
from checks.expect import Subject, first_unmet
from checks.result import Reason

SUBJECTS = {
    subject.name: subject
    for subject in (
        Subject("status", "number", "The status code."),
        Subject("redirects", "number", "How many redirects."),
        Subject("body", "bytes", "The body."),
        Subject("json", "json", "A value in the body.", argument="jsonpath"),
        Subject("header", "header", "A header.", argument="name"),
        Subject("latency", "duration", "How long it took."),
        Subject("certificate", "duration", "The time left."),
        Subject("size", "size", "The size."),
        Subject("banner", "text", "What it says first."),
    )
}
BODY = {
    "status": "ok",
    "queue": 143,
    "ratio": 0.5,
    "on": True,
    "nothing": None,
    "tags": ["a", 1, True, None],
    "items": [{"ok": True, "n": 1}, {"ok": False, "n": 2}],
    "1e3": "1000",
}
FACTS = {
    "status": 204,
    "redirects": 0,
    "body": json.dumps(BODY).encode(),
    "headers": [("Content-Type", "text/html"), ("X-Queue", "12"), ("Via", "a"), ("via", "b")],
    "latency": 0.8123,
    "certificate": 3 * 86400.0,
    "size": 14_213,
    "banner": "220 mail.example.org ESMTP é",
}


def unmet(line: str, **facts: object) -> expect.Failure | None:
    return first_unmet((line,), SUBJECTS, {**FACTS, **facts})


MET = """
status == 204
status != 200
status < 205
status <= 204
status > 203
status >= 204
status in 200-299
status in 200, 204
status in 100, 200-299, 500
status not in 500-599, 404
status in 204.0
status==204
  status   ==   204
redirects == 0
latency < 1s
latency > 800ms
latency in 1ms-1s
latency in 5s, 800ms-900ms
latency <= 1h 30m
certificate > 2d
certificate < 1w
size < 1MiB
size > 14kB
size in 1kB-20kB
size == 14213B
body contains "queue"
body contains "\\"queue\\""
body not contains "Traceback"
body matches "queue.: [0-9]+"
body matches "(?i)QUEUE"
body not matches "^x"
body matches "\\bqueue\\b"
body exists
banner contains "ESMTP"
banner contains "é"
banner matches "^220 .* é$"
banner in "x", "220 mail.example.org ESMTP é"
banner not in "x", "y"
banner != "x"
header content-type == "text/html"
header Content-Type contains "html"
header X-Queue < 13
header x-queue in 1-20
header X-QUEUE == "12"
header X-Queue not in 13-20
header Via == "a, b"
header X-Nothing not exists
header Content-Type exists
json $.queue == 143
json $.queue > 100
json $.queue < 143.5
json $.queue in 100-200
json $.ratio == 0.5
json $.on == true
json $.on != false
json $.nothing == null
json $.nothing exists
json $.status == "ok"
json $.status != "failed"
json $.status in "ok", "fine"
json $.status matches "^o"
json $.status contains "k"
json $["status"] == "ok"
json $['items'][0]["ok"] == true
json $.items[*].n in 1, 2
json $.items[?@.ok == true].n == 1
json $.items[?@.n > 1].ok == false
json $.items[-1].n == 2
json $..n exists
json $.tags contains "a"
json $.tags contains 1
json $.tags contains null
json $.tags not contains 2
json $['1e3'] == "1000"
json $.items[?search(@.ok, "x")] not exists
json $.missing not exists
json $.queue==143
""".strip().splitlines()


@pytest.mark.parametrize("line", MET)
def test_a_line_that_holds_is_met(line: str) -> None:
    assert unmet(line) is None


NOT_MET = {
    "status in 200-203": "204",
    "status == 200": "204",
    "status not in 200-299": "204",
    "latency < 800ms": "812.3 ms",
    "latency in 1ms-2ms": "812.3 ms",
    "certificate > 14d": "3 d",
    "size < 1kB": "14.21 kB",
    "redirects > 0": "0",
    "banner == 'x'".replace("'", '"'): '"220 mail.example.org ESMTP é"',
    'banner not contains "ESMTP"': '"220 mail.example.org ESMTP é"',
    'header Content-Type == "text/plain"': '"text/html"',
    "header Content-Type < 5": '"text/html"',
    "header Content-Type not in 5-6": '"text/html"',
    "header Content-Type not exists": '"text/html"',
    'header X-Nothing == "x"': "nothing",
    'header X-Nothing != "x"': "nothing",
    "header X-Nothing exists": "nothing",
    "json $.queue < 100": "143",
    'json $.queue == "143"': "143",
    "json $.on == 1": "true",
    "json $.ratio == 1": "0.5",
    'json $.nothing == ""': "null",
    'json $.status == "failed"': '"ok"',
    "json $.status < 5": '"ok"',
    "json $.items[*].ok == true": "false at $['items'][1]['ok']",
    "json $.items == 1": "a list of 2",
    "json $.items[0] == 1": "an object of 2",
    'json $.tags contains "b"': "a list of 4",
    "json $.tags contains 0": "a list of 4",
    "json $.tags not contains true": "a list of 4",
    'json $.queue contains "1"': "143",
    'json $.queue not contains "x"': "143",
    'json $.missing == "x"': "nothing",
    'json $.missing != "x"': "nothing",
    "json $.missing not in 1, 2": "nothing",
    'json $.missing not contains "x"': "nothing",
    'json $.missing not matches "x"': "nothing",
    "json $.missing < 5": "nothing",
    "json $.status not exists": '"ok"',
}


@pytest.mark.parametrize("line", NOT_MET)
def test_a_failure_says_what_was_expected_and_what_was_found(line: str) -> None:
    failure = unmet(line)
    assert failure is not None
    assert failure.reason is Reason.EXPECTATION
    assert (failure.expectation, failure.expected, failure.found) == (line, line, NOT_MET[line])
    assert failure.message == f"expected {line}, got {NOT_MET[line]}"


@pytest.mark.parametrize("subject", ["status", "latency", "certificate", "size", "banner", "body", "redirects"])
@pytest.mark.parametrize("operator", ["==", "!=", "in", "not in", "exists"])
def test_missing_data_fails_whatever_the_line_says(subject: str, operator: str) -> None:
    operand = {"number": "0", "duration": "0s", "size": "0B"}.get(SUBJECTS[subject].type, '""')
    line = f"{subject} {operator}" + ("" if operator == "exists" else f" {operand}")
    failure = first_unmet((line,), SUBJECTS, {})
    assert failure is not None
    assert failure.found == "nothing"


def test_only_not_exists_wants_data_to_be_missing() -> None:
    assert first_unmet(("banner not exists", "header X not exists"), SUBJECTS, {}) is None


def test_the_first_line_that_is_not_met_is_told() -> None:
    failure = first_unmet(("status == 204", "size < 1B", "latency < 1ms"), SUBJECTS, FACTS)
    assert failure is not None
    assert failure.expectation == "size < 1B"


def test_an_expired_certificate_is_told_as_such() -> None:
    failure = unmet("certificate > 14d", certificate=-3 * 86400.0)
    assert failure is not None
    assert failure.found == "expired 3 d ago"


HOSTILE_JSON = {
    b"": "a body that is not JSON: expecting value at line 1 column 1",
    b"<html>": "a body that is not JSON: expecting value at line 1 column 1",
    b'{"a": 1,\n "b": }': "a body that is not JSON: expecting value at line 2 column 7",
    b"\xff\xfe\xfd": "a body that is not JSON: byte 3 is not utf-16-le",
    b'{"a": \xff}': "a body that is not JSON: byte 7 is not utf-8",
    b'{"a": NaN}': "a body that is not JSON: NaN is not JSON",
    b'{"a": -Infinity}': "a body that is not JSON: -Infinity is not JSON",
    b'{"a": ' + b"9" * 5000 + b"}": "a body that is not JSON: it has a number of too many digits",
    b"[" * 100_000: "a body that is not JSON: it is nested too deep",
    b"[" * 100_000 + b"]" * 100_000: "a body that is not JSON: it is nested too deep",
    b'{"a":' * 900 + b"1" + b"}" * 900: "an object of 1",
}


@pytest.mark.parametrize("body", HOSTILE_JSON, ids=range(len(HOSTILE_JSON)))
def test_a_hostile_body_is_a_failure_with_a_sentence(body: bytes) -> None:
    failure = unmet("json $.a == 1", body=body)
    assert failure is not None
    assert failure.found == HOSTILE_JSON[body]


@pytest.mark.parametrize("body", [b"<html>", b"[" * 100_000, None])
def test_a_body_that_is_not_json_does_not_even_meet_not_exists(body: bytes | None) -> None:
    assert unmet("json $.a not exists", body=body) is not None


SEARCHES = ["$..x exists", "$[*][*] == 1", "$[?@.a == 1] exists", "$[0:9999999] exists", "$[*,*][*,*][*,*] exists"]


@pytest.mark.parametrize("body", [b"[" + b"0," * 500_000 + b"0]", json.dumps([[1] * 500] * 500).encode()])
@pytest.mark.parametrize("line", SEARCHES)
def test_a_search_of_a_huge_document_fails_soon(line: str, body: bytes) -> None:
    began = time.perf_counter()
    failure = unmet(f"json {line}", body=body)
    assert failure is not None
    assert failure.found == (
        "a body that can't be searched: it has more than 10,000 values, too many to be searched by a path with .. * : or ?"
    )
    assert time.perf_counter() - began < 10


def test_a_plain_path_finds_its_value_in_a_document_of_any_size() -> None:
    assert unmet("json $[499][499] == 1", body=json.dumps([[1] * 500] * 500).encode()) is None


def test_a_path_that_selects_the_same_values_again_and_again_is_cut_off() -> None:
    failure = unmet(f"json $[{','.join('*' * 50)}] == 1", body=json.dumps([1] * 900).encode())
    assert failure is not None
    assert failure.found == "a body that can't be searched: the path selects more than 10,000 values"


def test_a_deep_document_does_not_overflow_a_descending_path() -> None:
    failure = unmet("json $..x == 1", body=b"[" * 500 + b"]" * 500)
    assert failure is not None
    assert failure.found == "a body that can't be searched: it is nested too deep for this path"


def test_a_pattern_that_backtracks_elsewhere_takes_no_time() -> None:
    began = time.perf_counter()
    assert unmet('body matches "^(a+)+$"', body=b"a" * 100_000 + b"!") is not None
    assert unmet('json $[?match(@, "(a+)+b")] exists', body=json.dumps(["a" * 10_000]).encode()) is not None
    assert time.perf_counter() - began < 2


@pytest.mark.parametrize("text", ["a\x00b", "\ud800", "line\nbreak", "\u202e", "\x1b[31m"])
def test_what_a_failure_quotes_can_be_stored_and_shown(text: str) -> None:
    failure = unmet('json $ == "x"', body=json.dumps(text).encode())
    assert failure is not None
    assert failure.found is not None
    assert failure.found.isprintable()
    failure.found.encode()


@given(st.binary(max_size=400))
def test_any_body_meets_a_line_or_fails_it_with_a_short_printable_text(body: bytes) -> None:
    for line in ('body contains "x"', 'body matches "[a-z]+$"', "json $..a == 1", 'body == "x"', "json $ exists"):
        failure = unmet(line, body=body)
        assert failure is None or (failure.found is not None and failure.found.isprintable())
        assert failure is None or len(failure.message) < 1000


ROWS = {"rows": Subject("rows", "number", "What a job counted.", history=True)}


@pytest.mark.parametrize(
    ("value", "median", "met"), [(6, 10, True), (5, 10, False), (5, None, True), (None, 10, False), (0, 0, False)]
)
def test_a_value_can_be_held_against_its_own_history(value, median, met):
    facts = {name: fact for name, fact in {"rows": value, "rows:median(7)": median}.items() if fact is not None}
    failure = first_unmet(("rows > 50% of median(7)",), ROWS, facts)
    assert (failure is None) is met
    if value == 5 and not met:
        assert failure.message == "expected rows > 50% of median(7), got 5 where the median of the last 7 is 10"


@pytest.mark.parametrize(
    ("line", "problem"),
    [
        ("rows > 50% of median(1)", "median(1) is not possible; allowed: 2 to 100 values"),
        ("rows > 50% of median(101)", "median(101) is not possible; allowed: 2 to 100 values"),
        ("rows == 50% of median(7)", "nothing more is expected here, found '%'"),
        ("rows > 50% of mean(7)", "nothing more is expected here, found '%'"),
    ],
)
def test_a_history_that_can_not_be_meant_is_refused(line, problem):
    with pytest.raises(expect.ExpectationError, match=re.escape(problem)):
        expect.parse(line, ROWS)
