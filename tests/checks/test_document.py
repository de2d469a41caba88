"""YAML as it is read: places, variables, and every way in which a file is no file of ours."""

from __future__ import annotations

import time
import tracemalloc
from pathlib import Path

import pytest
import yaml
from hypothesis import given
from hypothesis import strategies as st

from checks import document
from checks.document import DocumentProblems, load, read, resolve, substitute


def problems_of(text: bytes | str, **env: str) -> list[str]:
    return [str(problem) for problem in sorted(read(text, env=env)[1])]


def test_every_value_knows_its_place() -> None:
    root = load(b"a: 1\nb:\n  - c: x\n    d: [true, ~]\n", env={})
    assert root.plain() == {"a": 1, "b": [{"c": "x", "d": [True, None]}]}
    places = {node.path: (node.line, node.column) for node in root.walk()}
    assert places == {
        "": (1, 1),
        "a": (1, 4),
        "b": (3, 3),
        "b[0]": (3, 5),
        "b[0].c": (3, 8),
        "b[0].d": (4, 8),
        "b[0].d[0]": (4, 9),
        "b[0].d[1]": (4, 15),
    }
    assert root.value["b"].key_place == (2, 1)


@pytest.mark.parametrize(
    ("text", "value"),
    [
        ("1", 1), ("-5", -5), ("0", 0), ("1.5", 1.5), ("1e3", 1000.0), ("true", True), ("FALSE", False), ("~", None),
        ("null", None), ("no", "no"), ("on", "on"), ("1:30", "1:30"), ("0777", "0777"), ("007", "007"), ("0x1f", "0x1f"),
        ("1_000", "1_000"), (".inf", ".inf"), ("2026-13-45", "2026-13-45"), ("1.2.3", "1.2.3"), ('"1"', "1"),
        ("'true'", "true"), ('""', ""), ("9" * 5000, "9" * 5000), ("0 3 * * *", "0 3 * * *"), ("é", "é"),
        ("https://a.example/?b=c", "https://a.example/?b=c"), ('"a\\u00e9\\n"', "aé\n"), ("|\n  x\n  y\n", "x\ny\n"),
    ],
)  # fmt: skip
def test_a_plain_value_is_what_yaml_1_2_says(text: str, value: object) -> None:
    assert load(f"a: {text}", env={}).plain() == {"a": value}


@pytest.mark.parametrize(
    ("text", "note"),
    [
        ("no", "false"),
        ("On", "true"),
        ("0777", "an octal number"),
        ("1:30", "a number of base 60"),
        ("2026-01-01", "a date"),
        ("0x1f", "a hexadecimal number"),
        ("1_000", "a number"),
        ("hello", ""),
        ("'no'", ""),
    ],
)
def test_a_value_that_yaml_1_1_takes_for_something_else_says_so(text: str, note: str) -> None:
    node = load(f"a: {text}", env={}).value["a"]
    assert node.note() == (f"some YAML readers make {note} of it" if note else "")


WRONG = {
    b"": ["1:1: the file is empty"],
    b"# nothing but a remark\n": ["1:1: the file is empty"],
    b"---\n...\n": ["1:1: the file is empty"],
    b"a: 1\n\tb: 2\n": ["2:1: a tab stands here; indent with spaces"],
    b"a:\n\t- b\n": ["2:1: a tab stands here; indent with spaces"],
    b"a:\n  b: 1\n c: 2\n": ["3:2: the indentation does not fit the lines above"],
    b"a:\n  - name: x\n   kind: y\n": ["3:4: the indentation does not fit the lines above"],
    b'a: "x\nb: 1\n': ["1:4: this quote is never closed"],
    b"a: 'x\n": ["1:4: this quote is never closed"],
    b'a: "\\d"\n': [
        "1:5: an unknown escape in double quotes; write \\\\ for a backslash, or use single quotes",
    ],
    b"url: http://a: b\n": [
        "1:14: a second ': ' in one value, or an indentation that does not fit; quote a value that has ': ' in it"
    ],
    b"name: {{ name }}\n": ["1:8: name: a mapping can't be a key; if it is text, quote it"],
    b"? [a]\n: b\n": ["1:3: a list can't be a key; if it is text, quote it"],
    b": x\n": ["1:1: a key is missing before the colon"],
    b'"": x\n': ["1:1: a key is missing before the colon"],
    b"a: 1\nb\n": ["3:1: a key without ': ' after it; expected key: value"],
    b"a: %foo\n": ["1:4: a value can't begin with %; quote it"],
    b"a: @foo\n": ["1:4: a value can't begin with @; quote it"],
    b"a: `foo`\n": ["1:4: a value can't begin with `; quote it"],
    b"a: *foo\n": ["1:4: a: aliases are not allowed; if *foo is text, quote it: '*foo'"],
    b"a: &foo 1\n": ["1:4: a: anchors are not allowed, found &foo; if it is text, quote it"],
    b"&k a: 1\n": ["1:1: a: a key takes no anchor and no tag"],
    b"a: !env X\n": ["1:4: a: tags are not allowed, found !env; if it is text, quote it"],
    b"a: !!python/object/apply:os.system [id]\n": [
        "1:4: a: tags are not allowed, found !!python/object/apply:os.system; if it is text, quote it"
    ],
    b"<<: {a: 1}\n": ["1:1: <<: merge keys are not allowed"],
    b"a: 1\nb: 2\na: 3\n": ["3:1: a: the key stands twice, first in line 1"],
    b"a: 1\n---\nb: 2\n": ["2:1: a second document begins here; a configuration is one document"],
    b"a: [1, 2\nb: 3\n": ["2:2: a list that was opened with [ is not closed here; expected , or ]"],
    b"a: {x: 1\nb: 3\n": ["2:2: a mapping that was opened with { is not closed here; expected , or }"],
    b"a: ]\n": ["1:4: a value is missing here, or begins with a sign that YAML uses; quote it"],
    b"a: - b\n": ["1:4: a list can't begin on the line of its key; begin it on the next line, or use [ ]"],
    b"a: ? b\n": ["1:4: a value can't begin with '? '; quote it"],
    b"a: |x\n  b\n": ["1:5: nothing may follow | or > on its line"],
    b"a: \x00\n": ["1:4: the control character U+0000 stands here; only text is allowed"],
    b"a: \x1b[31m\n": ["1:4: the control character U+001B stands here; only text is allowed"],
    b"a: 1\nb: \xff\n": ["2:4: the file is not UTF-8 text: the byte 0xff stands here"],
    b"\x89PNG\r\n\x1a\n": ["1:1: the file is not UTF-8 text: the byte 0x89 stands here"],
    "a: b".encode("utf-16"): ["1:1: the file is UTF-16; save it as UTF-8"],
    b"x" * 2_000_000: ["1:1: the file has 2,000,000 bytes; at most 1,048,576 are allowed"],
    b"a: " + b"[" * 3000: ["1:36: nested too deep: more than 32 levels"],
    b"a: ${X}\nb: ${MISSING}\nc: ${\nd: *e\nf: 1\nf: 2\n": [
        "2:4: b: the environment variable MISSING is not set; set it, or MISSING_FILE to a file that holds it",
        "3:4: c: a variable is written ${NAME}; write $${ for a plain ${",
        "4:4: d: aliases are not allowed; if *e is text, quote it: '*e'",
        "6:1: f: the key stands twice, first in line 5",
    ],
}


@pytest.mark.parametrize("text", WRONG, ids=range(len(WRONG)))
@pytest.mark.parametrize("parser", ["libyaml", "pyyaml"])
def test_what_is_no_document_is_told_where_and_how_to_mend_it(parser: str, text: bytes, monkeypatch) -> None:
    if parser == "pyyaml":
        monkeypatch.setattr(document, "Parser", yaml.SafeLoader)
    found, expected = problems_of(text, X="1"), WRONG[text]
    if parser == "pyyaml" and text == b'a: "\\d"\n':
        expected = [expected[0].replace("1:5", "1:6")]  # it marks the letter, libyaml the backslash
    assert found == expected


def test_a_document_of_too_many_values_is_refused(monkeypatch) -> None:
    monkeypatch.setattr(document, "MAX_NODES", 5)
    assert problems_of("[1, 2, 3, 4, 5]") == ["1:14: more than 5 values"]


def test_all_problems_of_a_document_are_raised_in_their_order() -> None:
    with pytest.raises(DocumentProblems) as caught:
        load("a: ${B}\na: &x 1\n", env={})
    assert str(caught.value) == (
        "1:4: a: the environment variable B is not set; set it, or B_FILE to a file that holds it\n"
        "2:1: a: the key stands twice, first in line 1\n"
        "2:4: a: anchors are not allowed, found &x; if it is text, quote it"
    )


def test_a_tag_runs_nothing(tmp_path: Path) -> None:
    canary = tmp_path / "canary"
    assert problems_of(f"a: !!python/object/apply:os.system ['touch {canary}']\n")
    assert not canary.exists()


BOMB = "\n".join(
    ["a: &a [x, x]", *(f"{c}: &{c} [*{p}, *{p}, *{p}]" for p, c in zip("abcdefgh", "bcdefghi", strict=True))]
)


@pytest.mark.parametrize("text", [BOMB, "[" * 500_000, "{a: " * 100_000, "x" * 50_000_000, "a: " + "1" * 1_000_000])
def test_a_bomb_takes_neither_time_nor_memory(text: str) -> None:
    tracemalloc.start()
    began = time.perf_counter()
    read(text, env={})
    assert time.perf_counter() - began < 1
    assert tracemalloc.get_traced_memory()[1] < 100_000_000
    tracemalloc.stop()


# Variables.


def test_variables_are_replaced_and_are_always_text() -> None:
    root = load("a: ${N}\nb: x${N}y$${N}\nc: '${N}'\nd: $N $ {N}\n", env={"N": "5"})
    assert root.plain() == {"a": "5", "b": "x5y${N}", "c": "5", "d": "$N $ {N}"}


def test_what_a_variable_stands_for_is_never_shown() -> None:
    node = load("a: ${TOKEN}", env={"TOKEN": "hunter2"}).value["a"]
    assert node.value == "hunter2"
    assert node.shown() == "'${TOKEN}'"


def test_what_a_variable_holds_is_not_read_again() -> None:
    assert substitute("${A}", {"A": "${B}: [x]", "B": "y"}) == "${B}: [x]"


def test_a_variable_may_lie_in_a_file(tmp_path: Path) -> None:
    secret, empty = tmp_path / "secret", tmp_path / "empty"
    secret.write_text("hunter2\n")
    empty.write_text("\n")
    assert substitute("${A}", {"A_FILE": str(secret)}) == "hunter2"
    assert problems_of("a: ${A}", A_FILE=str(empty)) == [f"1:4: a: A_FILE names {empty}, which is empty"]
    missing = tmp_path / "missing"
    told = [f"1:4: a: A_FILE names {missing}, which can't be read: No such file or directory"]
    assert problems_of("a: ${A}", A_FILE=str(missing)) == told
    secret.write_bytes(b"\xff")
    assert problems_of("a: ${A}", A_FILE=str(secret)) == [
        f"1:4: a: A_FILE names {secret}, which can't be read: not UTF-8 text"
    ]


# Anything at all.


@given(st.binary(max_size=200))
def test_any_bytes_are_a_document_or_problems_with_a_place(data: bytes) -> None:
    root, problems = read(data, env={})
    assert root is not None or problems
    assert all(problem.line >= 1 and problem.column >= 1 and problem.message for problem in problems)


@given(st.text("ab:-[]{}#&*!|>'\"%@`,? \n\t${}0", max_size=60))
def test_any_row_of_yamls_signs_is_a_document_or_problems_with_a_place(text: str) -> None:
    root, problems = read(text, env={})
    assert root is not None or problems
    assert all(problem.line >= 1 and problem.column >= 1 and problem.message for problem in problems)


@given(st.text(max_size=30))
def test_what_resolves_to_a_value_resolves_as_a_usual_reader_would(text: str) -> None:
    value = resolve(text)
    assert value is text or value is None or isinstance(value, bool | int | float)
