"""The expectation language: one line says what healthy means, `status in 200-299` or `json $.queue < 100`.

`parse` reads a line for the subjects that a kind offers, `evaluate` holds it against the facts of one probe. Data that
is not there fails an expectation, whatever it says (`not exists` alone wants it so); it is never zero and never empty,
and a list without entries is not there.
Where a JSONPath selects several values, each of them has to meet the line.
"""

from __future__ import annotations

import json
from collections.abc import Iterable, Mapping
from typing import Any

from checks.expect.cookies import cookie_values
from checks.expect.jsonpath import NotJson, parse_json, select
from checks.expect.markup import Document, NotMarkup
from checks.expect.reader import (
    OPERATORS,
    OPERATORS_OF,
    Baseline,
    Expectation,
    ExpectationError,
    Reader,
    Subject,
)
from checks.result import Failure, Reason
from checks.units import spoken_duration, spoken_size

__all__ = [
    "OPERATORS",
    "OPERATORS_OF",
    "Expectation",
    "ExpectationError",
    "ExpectationErrors",
    "Subject",
    "evaluate",
    "first_unmet",
    "parse",
    "parse_all",
]

SHOWN = 80  # characters of a value that a failure quotes
CACHED = 20_000  # lines

_cache: dict[tuple[str, int], tuple[Mapping[str, Subject], Expectation]] = {}


def parse(line: str, subjects: Mapping[str, Subject]) -> Expectation:
    """The expectation that a line says. Raises ExpectationError with the position and the nearest known word."""
    key = (line, id(subjects))
    hit = _cache.get(key)
    if hit is not None:
        return hit[1]
    expectation = Reader(line, subjects).read()
    if len(_cache) >= CACHED:
        _cache.clear()
    _cache[key] = (subjects, expectation)  # holding the subjects keeps their id theirs
    return expectation


class ExpectationErrors(ValueError):
    """Every line of a list that is no expectation, each with its place in the list."""

    def __init__(self, errors: Mapping[int, ExpectationError]) -> None:
        super().__init__("; ".join(str(error) for error in errors.values()))
        self.errors = errors


def parse_all(lines: Iterable[str], subjects: Mapping[str, Subject]) -> list[Expectation]:
    """The expectations of several lines. Raises ExpectationErrors that names all that are none."""
    parsed, errors = [], {}
    for index, line in enumerate(lines):
        try:
            parsed.append(parse(line, subjects))
        except ExpectationError as exc:
            errors[index] = exc
    if errors:
        raise ExpectationErrors(errors)
    return parsed


def first_unmet(lines: tuple[str, ...], subjects: Mapping[str, Subject], facts: Mapping[str, Any]) -> Failure | None:
    """The failure of the first line that the facts don't meet; None where they meet all."""
    document: _Document | None = None
    for line in lines:
        expectation = parse(line, subjects)
        subject = expectation.subject
        if subject.argument is None:
            # What nearly every line of every probe says, decided without a detour.
            value = facts.get(subject.name)
            if value is not None and expectation.baseline is None and expectation.holds(value):
                continue
        document = document or _Document(facts)
        failure = _evaluate(expectation, facts, document)
        if failure is not None:
            return failure
    return None


def evaluate(expectation: Expectation, facts: Mapping[str, Any]) -> Failure | None:
    """The failure of one expectation; None where the facts meet it."""
    return _evaluate(expectation, facts, _Document(facts))


class _Document:
    """The body as JSON and as markup, read once for all lines of a probe."""

    def __init__(self, facts: Mapping[str, Any]) -> None:
        self._facts = facts
        self._read = False
        self._value: Any = None
        self._problem: NotJson | None = None
        self._markup: Document | None = None

    def value(self) -> Any:
        """The document. Raises NotJson."""
        if not self._read:
            self._read = True
            try:
                self._value = parse_json(self._facts["body"])
            except NotJson as exc:
                self._problem = exc
        if self._problem is not None:
            raise self._problem
        return self._value

    def texts(self, query: Any, language: str) -> list[str]:
        """What an XPath selects in the body as this language, xml or html. Raises NotMarkup."""
        if self._markup is None:
            self._markup = Document(self._facts["body"])
        return self._markup.select(query, language)


def _evaluate(expectation: Expectation, facts: Mapping[str, Any], document: _Document) -> Failure | None:
    match expectation.subject.argument:
        case "jsonpath":
            found = _json_mismatch(expectation, facts, document)
        case "xpath":
            found = _markup_mismatch(expectation, facts, document)
        case "name":
            found = _header_mismatch(expectation, facts)
        case "cookie":
            value = cookie_values(facts.get("headers", ())).get(expectation.argument or "")
            found = _mismatch(expectation, value, missing=value is None)
        case None if expectation.baseline is not None:
            found = _baseline_mismatch(expectation, expectation.baseline, facts)
        case None:
            value = facts.get(expectation.subject.name)
            found = _mismatch(expectation, value, missing=value is None or value == [])
    if found is None:
        return None
    message = f"expected {expectation.line}, got {found}"
    return Failure(
        reason=Reason.EXPECTATION,
        message=message,
        expectation=expectation.line,
        expected=expectation.line,
        found=found,
    )


def _mismatch(expectation: Expectation, value: Any, *, missing: bool) -> str | None:
    """What was found instead, in words; None where the value meets the line."""
    if missing:
        return None if expectation.operator == "not exists" else "nothing"
    return None if expectation.holds(value) else _shown(value, expectation.subject)


def _baseline_mismatch(expectation: Expectation, baseline: Baseline, facts: Mapping[str, Any]) -> str | None:
    """As `_mismatch`; without enough of a history there is nothing to compare with, which is no failure."""
    value, usual = facts.get(expectation.subject.name), facts.get(baseline.fact)
    if value is None:
        return "nothing"
    if usual is None or expectation.holds((value, usual)):
        return None
    shown, median = _shown(value, expectation.subject), _shown(usual, expectation.subject)
    return f"{shown} where the median of the last {baseline.count} is {median}"


def _header_mismatch(expectation: Expectation, facts: Mapping[str, Any]) -> str | None:
    headers = facts.get("headers", ())
    values = [_text(value) for name, value in headers if _text(name).lower() == expectation.argument]
    # Several fields of one name are one list (RFC 9110, 5.3).
    return _mismatch(expectation, ", ".join(values), missing=not values)


def _json_mismatch(expectation: Expectation, facts: Mapping[str, Any], document: _Document) -> str | None:
    if facts.get("body") is None:
        return "no body"
    try:
        value = document.value()
    except NotJson as exc:
        return f"a body that is not JSON: {exc}"
    try:
        nodes = select(expectation.query, value)
    except NotJson as exc:
        return f"a body that can't be searched: {exc}"
    if not nodes:
        return _mismatch(expectation, None, missing=True)
    for node in nodes:
        found = _mismatch(expectation, node.value, missing=False)
        if found is not None:
            return found if len(nodes) == 1 else f"{found} at {_clipped(node.path())}"
    return None


def _markup_mismatch(expectation: Expectation, facts: Mapping[str, Any], document: _Document) -> str | None:
    if facts.get("body") is None:
        return "no body"
    try:
        texts = document.texts(expectation.query, expectation.subject.name)
    except NotMarkup as exc:
        return f"a body that is no {expectation.subject.name.upper()}: {exc}"
    if not texts:
        return _mismatch(expectation, None, missing=True)
    found = (_mismatch(expectation, text, missing=False) for text in texts)
    return next((mismatch for mismatch in found if mismatch is not None), None)


def _text(value: str | bytes) -> str:
    return value if isinstance(value, str) else value.decode("latin-1")


def _shown(value: Any, subject: Subject) -> str:
    """A value as a failure quotes it: short, on one line, free of what no database keeps."""
    match value:
        case bool() | None:
            return json.dumps(value)
        case int() | float() if subject.type == "duration":
            return f"expired {spoken_duration(-value)} ago" if value < 0 else spoken_duration(value, digits=4)
        case int() if subject.type == "size":
            return spoken_size(value)
        case float() if value.is_integer() and abs(value) < 1e15:
            return str(int(value))  # a number of a job is a float, however it was written
        case int() | float():
            return _clipped(repr(value) if isinstance(value, float) or abs(value) < 10**SHOWN else "a huge number")
        case bytes():
            return _quoted(value[: 4 * SHOWN].decode(errors="replace"), whole=len(value) <= 4 * SHOWN)
        case str():
            return _quoted(value[: SHOWN + 1], whole=len(value) <= SHOWN)
        case list() if subject.type == "list":
            return _clipped(", ".join(_quoted(item[: SHOWN + 1], whole=len(item) <= SHOWN) for item in value[:20]))
        case list():
            return f"a list of {len(value)}"
        case _:
            return f"an object of {len(value)}"


def _quoted(text: str, *, whole: bool) -> str:
    clipped = text[:SHOWN]
    plain = "".join(c if c.isprintable() else json.dumps(c)[1:-1] for c in clipped)
    more = "" if whole and len(text) <= SHOWN else "…"
    return f'"{plain}{more}"'


def _clipped(text: str) -> str:
    plain = "".join(c if c.isprintable() else "?" for c in text[:SHOWN])
    return plain if len(text) <= SHOWN else plain + "…"
