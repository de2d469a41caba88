"""Wrong lines of the expectation language: where the mistake is, and what was probably meant."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from checks import expect
from checks.expect import ExpectationError, evaluate, first_unmet, parse
from checks.probes import KINDS
from tests.checks.expect.test_expect import FACTS, SUBJECTS

WRONG = {
    "": "'', character 1: a subject is missing; "
    "known: status, redirects, body, json, header, latency, certificate, size, banner",
    "statsu == 200": "'statsu == 200', character 1: unknown subject 'statsu'; did you mean status?",
    "Latency < 1s": "'Latency < 1s', character 1: unknown subject 'Latency'; did you mean latency?",
    "status": "'status', character 7: an operator is missing; "
    "allowed for status: ==, !=, <, <=, >, >=, in, not in, exists, not exists",
    "status = 200": "'status = 200', character 8: unknown operator '='; did you mean ==?",
    "status => 200": "'status => 200', character 8: unknown operator '=>'; did you mean >=?",
    "status is 200": "'status is 200', character 8: unknown operator 'is'; did you mean ==?",
    "status not inn 5": "'status not inn 5', character 8: unknown operator 'not inn'; did you mean not in?",
    'body mtches "x"': "'body mtches \"x\"', character 6: unknown operator 'mtches'; did you mean matches?",
    'body =~ "x"': "'body =~ \"x\"', character 6: unknown operator '=~'; did you mean matches?",
    'status contains "2"': "'status contains \"2\"', character 8: contains does not apply to status; "
    "allowed: ==, !=, <, <=, >, >=, in, not in, exists, not exists",
    'body < "x"': "'body < \"x\"', character 6: < does not apply to body; allowed: ==, !=, in, not in, contains, "
    "not contains, matches, not matches, exists, not exists",
    "status ==": "'status ==', character 10: expected a number, found 'the end'",
    "status == 2xx": "'status == 2xx', character 11: expected a number, found '2xx'",
    "status == 1e999": "'status == 1e999', character 11: 1e999 is too large",
    "status in 299-200": "'status in 299-200', character 11: a range begins with its smaller end",
    "status in 200,": "'status in 200,', character 15: expected a number, found 'the end'",
    "status == 200 or 201": "'status == 200 or 201', character 15: nothing more is expected here, found 'or'",
    "status exists 5": "'status exists 5', character 15: nothing more is expected here, found '5'",
    "latency < 800": "'latency < 800', character 11: expected a duration, as in 800ms or 14d, found '800'",
    "latency < 5 parsecs": "'latency < 5 parsecs', character 11: expected a duration, as in 800ms or 14d, "
    "found '5 parsecs'",
    "size > 1MIB": "'size > 1MIB', character 8: expected a size, as in 512B or 1MiB, found '1MIB'",
    "banner == ok": "'banner == ok', character 11: expected a string in double quotes, as in \"ok\", found 'ok'",
    "banner == 'ok'": '"banner == \'ok\'", character 11: expected a string in double quotes, as in "ok", '
    "found \"'ok'\"",
    'banner == "ok': "'banner == \"ok', character 11: this string has no closing quote",
    'banner == "\\d"': "'banner == \"\\\\d\"', character 12: unknown escape '\\\\d'; allowed: \\\" \\\\ \\n \\r \\t",
    'banner in "a"-"b"': '\'banner in "a"-"b"\', character 11: a range has numbers at both ends, as in 200-299',
    "json queue < 1": "'json queue < 1', character 6: json needs a JSONPath that begins with $, as in json $.status",
    "json $.a[ == 1": "'json $.a[ == 1', character 11: unexpected token '=' in bracketed selection",
    "json $..a..b == 1": "'json $..a..b == 1', character 10: .. may stand in a path once",
    "json $[?@.a == $.b] exists": "'json $[?@.a == $.b] exists', character 16: "
    "$ may stand at the beginning of a path only",
    "json $.a < true": "'json $.a < true', character 12: < compares numbers",
    "json $.a == ok": "'json $.a == ok', character 13: expected a number, true, false, null or a string in double "
    "quotes, as in \"ok\", found 'ok'",
    'json $.a < "x"': "'json $.a < \"x\"', character 12: < compares numbers",
    'header == "x"': "'header == \"x\"', character 8: header needs a name, as in header Content-Type exists",
    "header exists": "'header exists', character 8: header needs a name, as in header Content-Type exists",
    'body matches "(?<=a)b"': "'body matches \"(?<=a)b\"', character 14: invalid perl operator: (?<=; regular "
    "expressions are RE2: no look-ahead, look-behind or back reference",
    'body matches "(a)\\1"': "'body matches \"(a)\\\\1\"', character 14: invalid escape sequence: \\1; regular "
    "expressions are RE2: no look-ahead, look-behind or back reference",
    'body matches "a("': "'body matches \"a(\"', character 14: missing ): a(",
    f'body matches "{"a" * 1001}"': f"'body matches \"{'a' * 1001}\"', character 14: "
    "a regular expression of 1001 characters; at most 1000 are allowed",
    f"json $.{'a' * 600} exists": f"'json $.{'a' * 600} exists', character 6: "
    "a JSONPath of 602 characters; at most 500 are allowed",
}


@pytest.mark.parametrize("line", WRONG, ids=range(len(WRONG)))
def test_a_wrong_line_is_told_where_and_what_is_near(line: str) -> None:
    with pytest.raises(ExpectationError) as caught:
        parse(line, SUBJECTS)
    assert str(caught.value) == WRONG[line]


def test_a_line_that_never_ends_is_refused() -> None:
    with pytest.raises(ExpectationError, match="longer than 2000 characters"):
        parse("status == " + "2" * 3000, SUBJECTS)


def test_every_wrong_line_of_a_list_is_named() -> None:
    with pytest.raises(expect.ExpectationErrors) as caught:
        expect.parse_all(("status == 200", "statsu == 1", "x"), SUBJECTS)
    assert list(caught.value.errors) == [1, 2]


def mistake_in(text: str) -> ExpectationError | None:
    try:
        parse(text, SUBJECTS)
    except ExpectationError as exc:
        return exc
    return None


@given(st.text(max_size=60))
def test_any_text_is_an_expectation_or_a_mistake_with_a_place_in_it(text: str) -> None:
    mistake = mistake_in(text)
    assert mistake is None or 0 <= mistake.position <= len(text)


_words = st.sampled_from(
    [
        "status",
        "json",
        "$.a",
        "$..b[*]",
        "header",
        "X-A",
        "==",
        "<",
        "in",
        "not",
        "not in",
        "contains",
        "matches",
        "exists",
        '"x"',
        '"',
        "\\",
        "200",
        "200-299",
        ",",
        "5ms",
        "1MiB",
        "true",
        "null",
        "-",
        "(",
        "latency",
        "size",
    ]
)


@given(st.lists(_words, max_size=6))
def test_any_row_of_words_is_an_expectation_or_a_mistake_with_a_place_in_it(words: list[str]) -> None:
    text = " ".join(words)
    mistake = mistake_in(text)
    if mistake is not None:
        assert 0 <= mistake.position <= len(text)
        return
    evaluate(parse(text, SUBJECTS), FACTS)
    evaluate(parse(text, SUBJECTS), {})


@given(st.integers(-(10**12), 10**12), st.integers(-(10**12), 10**12))
def test_comparisons_mean_what_they_mean_in_mathematics(value: int, operand: int) -> None:
    facts = {"status": value}
    meanings = {"==": value == operand, "!=": value != operand, "<": value < operand}
    meanings |= {"<=": value <= operand, ">": value > operand, ">=": value >= operand}
    for operator, holds in meanings.items():
        assert (first_unmet((f"status {operator} {operand}",), SUBJECTS, facts) is None) is holds


@given(st.text(st.characters(exclude_characters='"\\', exclude_categories=["Cs"]), max_size=40))
def test_a_quoted_string_means_itself(text: str) -> None:
    assert first_unmet((f'banner == "{text}"',), SUBJECTS, {"banner": text}) is None


@pytest.mark.parametrize("kind", KINDS)
def test_each_subject_of_each_kind_has_a_sentence_and_can_be_spoken_of(kind: str) -> None:
    for name, subject in KINDS[kind].spec.subjects.items():
        assert subject.name == name
        assert subject.help.endswith(".")
        argument = {"jsonpath": " $.a", "xpath": " //a", "name": " X-A", "cookie": " a", None: ""}[subject.argument]
        assert parse(f"{name}{argument} exists", KINDS[kind].spec.subjects).subject is subject
