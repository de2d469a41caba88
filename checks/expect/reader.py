"""Reads one line of the expectation language into a test of values; `checks.expect` says what the language means."""

from __future__ import annotations

import re
from collections.abc import Callable, Mapping
from dataclasses import dataclass, replace
from typing import Any, Literal

from checks.expect.comparisons import NUMBER, Range, as_bytes, compared_pair, comparison, is_number, number_of, same
from checks.expect.jsonpath import BadPath, compile_path, compile_regex, outside_strings
from checks.expect.markup import compile_xpath
from checks.nearest import did_you_mean
from checks.units import parse_duration, parse_size

MAX_LINE = 2000  # characters
MAX_PATTERN = 1000  # characters of a regular expression
SHOWN = 80  # characters of a text that a failure quotes
MIN_HISTORY, MAX_HISTORY = 2, 100  # values of a median

COMPARISONS = ("==", "!=", "<", "<=", ">", ">=")
OPERATORS = (*COMPARISONS, "in", "not in", "contains", "not contains", "matches", "not matches", "exists", "not exists")
_ORDER = ("<", "<=", ">", ">=")
_QUANTITY = (*COMPARISONS, "in", "not in", "exists", "not exists")
_TEXTUAL = ("==", "!=", "in", "not in", "contains", "not contains", "matches", "not matches", "exists", "not exists")

Type = Literal["number", "duration", "size", "text", "bytes", "json", "header", "list", "flag"]

OPERATORS_OF: Mapping[Type, tuple[str, ...]] = {
    "number": _QUANTITY,
    "duration": _QUANTITY,
    "size": _QUANTITY,
    "text": _TEXTUAL,
    "bytes": _TEXTUAL,
    "header": OPERATORS,
    "json": OPERATORS,
    "list": tuple(operator for operator in _TEXTUAL if operator != "!="),  # of all values, or of one?
    "flag": ("==", "!=", "exists", "not exists"),
}


@dataclass(frozen=True)
class Subject:
    """What an expectation can speak about. `help` is the sentence of the documentation."""

    name: str
    type: Type
    help: str
    argument: Literal["jsonpath", "xpath", "name", "cookie"] | None = None
    history: bool = False  # earlier values are known: `> 50% of median(7)` can be said


class ExpectationError(ValueError):
    """A line that is no expectation; says at which character and, where one is near, what was probably meant."""

    def __init__(self, line: str, position: int, message: str) -> None:
        super().__init__(f"{line!r}, character {position + 1}: {message}")
        self.position, self.message = position, message


@dataclass(frozen=True, slots=True, kw_only=True)
class Baseline:
    """`50% of median(7)`: a share of what the last values before this one were."""

    subject: str
    share: float
    count: int

    @property
    def fact(self) -> str:
        """The name under which the facts hold the median; they do once there were so many values."""
        return f"{self.subject}:median({self.count})"


@dataclass(frozen=True, slots=True, kw_only=True)
class Expectation:
    """One parsed line. `holds` says whether one value meets it; presence is `evaluate`'s.

    With a `baseline`, `holds` is given a pair: the value, and what it is compared with.
    """

    line: str
    subject: Subject
    argument: str | None
    operator: str
    holds: Callable[[Any], bool]
    query: Any = None  # of a JSONPath
    baseline: Baseline | None = None


class Reader:
    """Reads one line from left to right."""

    def __init__(self, line: str, subjects: Mapping[str, Subject]) -> None:
        self.line, self.subjects, self.position = line, subjects, 0

    def _fail(self, message: str, position: int | None = None) -> ExpectationError:
        return ExpectationError(self.line, self.position if position is None else position, message)

    def _take(self, pattern: re.Pattern[str]) -> re.Match[str] | None:
        match = pattern.match(self.line, self.position)
        if match is not None:
            self.position = match.end()
        return match

    def _skip_space(self) -> None:
        self._take(_SPACE)

    def _rest(self) -> str:
        """The next few characters, for a message."""
        word = _WORD_OR_SIGN.match(self.line, self.position)
        return word[0][:SHOWN] if word else ""

    def read(self) -> Expectation:
        """The expectation of the whole line. Raises ExpectationError."""
        if len(self.line) > MAX_LINE:
            raise ExpectationError(self.line[:SHOWN] + "…", 0, f"longer than {MAX_LINE} characters")
        self._skip_space()
        subject = self._read_subject()
        argument, query = self._read_argument(subject)
        operator = self._read_operator(subject)
        self._skip_space()
        baseline = self._read_baseline(subject) if subject.history and operator in _ORDER else None
        holds = self._read_operand(subject, operator) if baseline is None else compared_pair(operator, baseline.share)
        self._skip_space()
        if self.position < len(self.line):
            raise self._fail(f"nothing more is expected here, found {self._rest()!r}")
        line = self.line.strip()
        return Expectation(
            line=line,
            subject=subject,
            argument=argument,
            operator=operator,
            holds=holds,
            query=query,
            baseline=baseline,
        )

    def _read_baseline(self, subject: Subject) -> Baseline | None:
        start = self.position
        match = self._take(_BASELINE)
        if match is None:
            return None
        share, count = float(match["share"]) / 100, int(match["count"])
        if not MIN_HISTORY <= count <= MAX_HISTORY:
            raise self._fail(f"median({count}) is not possible; allowed: {MIN_HISTORY} to {MAX_HISTORY} values", start)
        return Baseline(subject=subject.name, share=share, count=count)

    def _read_subject(self) -> Subject:
        start = self.position
        word = self._take(_NAME)
        if word is None:
            known = ", ".join(self.subjects) or "none, this kind has no expectations"
            raise self._fail(f"a subject is missing; known: {known}")
        subject = self.subjects.get(word[0])
        if subject is None:
            hint = did_you_mean(word[0], self.subjects) or f"; known: {', '.join(self.subjects) or 'none'}"
            raise self._fail(f"unknown subject {word[0]!r}{hint}", start)
        return subject

    def _read_argument(self, subject: Subject) -> tuple[str | None, Any]:
        if subject.argument is None:
            return None, None
        self._skip_space()
        start = self.position
        if subject.argument in ("name", "cookie"):
            name = self._take(_HEADER_NAME)
            if name is None or name[0] in ("in", "not", "contains", "matches", "exists"):
                example = "session" if subject.argument == "cookie" else "Content-Type"
                raise self._fail(f"{subject.name} needs a name, as in {subject.name} {example} exists", start)
            return (name[0] if subject.argument == "cookie" else name[0].lower()), None
        is_json = subject.argument == "jsonpath"
        if is_json and not self.line.startswith("$", start):
            raise self._fail(f"{subject.name} needs a JSONPath that begins with $, as in {subject.name} $.status")
        ends = (i for i, char, depth in outside_strings(self.line, start) if depth <= 0 and char in " \t<>=!")
        self.position = next(ends, len(self.line))
        path = self.line[start : self.position]
        if not path or path in ("in", "not", "contains", "matches", "exists"):
            raise self._fail(f'{subject.name} needs an XPath, as in {subject.name} //title == "Shop"', start)
        try:
            return path, compile_path(path) if is_json else compile_xpath(path)
        except BadPath as exc:
            raise self._fail(str(exc), start + min(exc.index, len(path))) from exc

    def _read_operator(self, subject: Subject) -> str:
        self._skip_space()
        start = self.position
        allowed = OPERATORS_OF[subject.type]
        match = self._take(_OPERATOR)
        operator = " ".join(match[0].split()) if match else ""
        if operator in allowed:
            return operator
        shown = ", ".join(allowed)
        if not operator:
            raise self._fail(f"an operator is missing; allowed for {subject.name}: {shown}")
        if operator in OPERATORS:
            raise self._fail(f"{operator} does not apply to {subject.name}; allowed: {shown}", start)
        hint = _MISTYPED.get(operator) or did_you_mean(operator, allowed) or f"; allowed: {shown}"
        raise self._fail(f"unknown operator {operator!r}{hint}", start)

    def _read_operand(self, subject: Subject, operator: str) -> Callable[[Any], bool]:
        if subject.type == "list":
            holds = self._read_operand_of_list(subject, operator)
            return lambda values: bool(values) and holds(values)  # nothing is said of a list without entries
        return self._read_operand_of_one(subject, operator)

    def _read_operand_of_list(self, subject: Subject, operator: str) -> Callable[[Any], bool]:
        if operator.removeprefix("not ") in ("contains", "exists"):
            return self._read_operand_of_one(subject, operator)
        test = self._read_operand_of_one(replace(subject, type="text"), operator)
        combine = any if operator == "matches" else all
        return lambda values: combine(test(value) for value in values)

    def _read_operand_of_one(self, subject: Subject, operator: str) -> Callable[[Any], bool]:
        word = operator.removeprefix("not ")
        negated = operator.startswith("not ")
        if word == "exists":
            return lambda _: not negated
        if word == "matches":
            return self._read_pattern(negated=negated)
        if word == "contains":
            return self._read_contained(subject, negated=negated)
        if word == "in":
            return self._read_choices(subject, negated=negated)
        start = self.position
        operand = self._read_value(subject)
        if operator in _ORDER and not is_number(operand):
            raise self._fail(f"{operator} compares numbers", start)
        return comparison(subject.type, operator, operand)

    def _read_pattern(self, *, negated: bool) -> Callable[[Any], bool]:
        start = self.position
        pattern = self._read_string(raw=True)
        if len(pattern) > MAX_PATTERN:
            raise self._fail(
                f"a regular expression of {len(pattern)} characters; at most {MAX_PATTERN} are allowed", start
            )
        try:
            regex = compile_regex(pattern)
        except ValueError as exc:
            note = "; regular expressions are RE2: no look-ahead, look-behind or back reference"
            text = str(exc)
            raise self._fail(f"{text}{note if 'perl operator' in text or 'escape' in text else ''}", start) from exc
        search = regex.search

        def holds(value: Any) -> bool:
            data = as_bytes(value)
            return data is not None and (search(data) is not None) is not negated

        return holds

    def _read_contained(self, subject: Subject, *, negated: bool) -> Callable[[Any], bool]:
        operand = self._read_value(subject) if subject.type == "json" else self._read_string()
        needle = operand.encode(errors="replace") if isinstance(operand, str) else None

        def holds(value: Any) -> bool:
            if isinstance(value, list):
                return any(same(item, operand) for item in value) is not negated
            data = as_bytes(value)
            return data is not None and needle is not None and (needle in data) is not negated

        return holds

    def _read_choices(self, subject: Subject, *, negated: bool) -> Callable[[Any], bool]:
        choices = [self._read_choice(subject)]
        while self._take(_COMMA):
            choices.append(self._read_choice(subject))
        tests = [comparison(subject.type, "in", choice) for choice in choices]
        if len(tests) == 1 and not negated:
            return tests[0]
        # Choosing among numbers says nothing about a value that is none.
        numeric = subject.type == "header" and all(isinstance(c, Range) or is_number(c) for c in choices)

        def holds(value: Any) -> bool:
            if numeric and number_of(value) is None:
                return False
            return any(test(value) for test in tests) is not negated

        return holds

    def _read_choice(self, subject: Subject) -> Any:
        start = self.position
        low = self._read_value(subject)
        if not self._take(_DASH):
            return low
        high = self._read_value(subject)
        if not is_number(low) or not is_number(high):
            raise self._fail("a range has numbers at both ends, as in 200-299", start)
        if low > high:
            raise self._fail("a range begins with its smaller end", start)
        return Range(low=low, high=high)

    def _read_value(self, subject: Subject) -> Any:
        match subject.type:
            case "number":
                return self._read_number()
            case "duration":
                return self._read_quantity(parse_duration, "a duration, as in 800ms or 14d")
            case "size":
                return self._read_quantity(parse_size, "a size, as in 512B or 1MiB")
            case "text" | "bytes" | "list":
                return self._read_string()
            case "flag":
                return self._read_flag()
            case "header":
                return self._read_string() if self.line.startswith('"', self.position) else self._read_number()
            case "json":
                return self._read_json()

    def _read_json(self) -> Any:
        if self.line.startswith('"', self.position):
            return self._read_string()
        literal = self._take(_LITERAL)
        if literal is not None:
            return {"true": True, "false": False, "null": None}[literal[0]]
        return self._read_number('a number, true, false, null or a string in double quotes, as in "ok"')

    def _read_flag(self) -> bool:
        found = self._rest()
        if found not in ("true", "false"):
            raise self._fail(f"expected true or false, found {found or 'the end'!r}")
        self.position += len(found)
        return found == "true"

    def _read_number(self, wanted: str = "a number") -> int | float:
        match = self._take(NUMBER)
        if match is None:
            raise self._fail(f"expected {wanted}, found {self._rest() or 'the end'!r}")
        text = match[0]
        value = float(text) if re.search("[.eE]", text) else int(text)
        if value in (float("inf"), float("-inf")):
            raise self._fail(f"{text} is too large", match.start())
        return value

    def _read_quantity(self, read: Callable[[object], float], wanted: str) -> float:
        start = self.position
        match = self._take(_QUANTITY_TEXT)
        if match is None:
            raise self._fail(f"expected {wanted}, found {self._rest() or 'the end'!r}")
        text = match[0].strip()
        try:
            return read(text)
        except ValueError as exc:
            raise self._fail(f"expected {wanted}, found {text!r}", start) from exc

    def _read_string(self, *, raw: bool = False) -> str:
        """A string in double quotes. In a regular expression only the quote itself is escaped, the rest is RE2's."""
        start = self.position
        match = self._take(_STRING)
        if match is None:
            if self.line.startswith('"', start):
                raise self._fail("this string has no closing quote")
            found = self._rest() or "the end"
            raise self._fail(f'expected a string in double quotes, as in "ok", found {found!r}')
        inner = match[0][1:-1]
        if raw:
            return inner.replace('\\"', '"')

        def unescape(escape: re.Match[str]) -> str:
            plain = {'"': '"', "\\": "\\", "n": "\n", "r": "\r", "t": "\t"}.get(escape[1])
            if plain is None:
                at = start + 1 + escape.start()
                raise self._fail(f'unknown escape {escape[0]!r}; allowed: \\" \\\\ \\n \\r \\t', at)
            return plain

        return _ESCAPE.sub(unescape, inner)


_SPACE = re.compile(r"[ \t]*")
_NAME = re.compile(r"[A-Za-z_][A-Za-z0-9_-]*")
_HEADER_NAME = re.compile(r"[A-Za-z0-9#$%&'*+.^_`|~-]+")
_OPERATOR = re.compile(r"not[ \t]+[a-z]+|[A-Za-z_]+|[=<>!~≤≥≠&|]+")  # with what people type for them
_QUANTITY_TEXT = re.compile(r"[0-9][0-9A-Za-z. \t]*")
_STRING = re.compile(r'"(?:[^"\\]|\\.)*"', re.DOTALL)
_ESCAPE = re.compile(r"\\(.)", re.DOTALL)
_BASELINE = re.compile(r"(?P<share>[0-9]{1,6}(?:\.[0-9]{1,6})?)[ \t]*%[ \t]*of[ \t]+median\((?P<count>[0-9]{1,6})\)")
_LITERAL = re.compile(r"(?:true|false|null)(?![A-Za-z0-9_])")
_COMMA = re.compile(r"[ \t]*,[ \t]*")
_DASH = re.compile(r"[ \t]*-[ \t]*")
_WORD_OR_SIGN = re.compile(r"[^\s,]+|,")
_MISTYPED = {
    "=": "; did you mean ==?",
    "===": "; did you mean ==?",
    "=>": "; did you mean >=?",
    "=<": "; did you mean <=?",
    "<>": "; did you mean !=?",
    "~": "; did you mean matches?",
    "=~": "; did you mean matches?",
    "is": "; did you mean ==?",
}
