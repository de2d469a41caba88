"""Values that one answer gives and a later request takes: `json $.token` captures, `{{token}}` stands for it.

`${NAME}` is the configuration file's own, and of the environment; so what is known only at night is written otherwise.
"""

from __future__ import annotations

import json
import re
from collections.abc import Callable, Iterator, Mapping
from functools import lru_cache
from typing import Any, Literal
from urllib.parse import quote

from checks import expect
from checks.expect import Expectation, Subject
from checks.expect.cookies import cookie_values
from checks.expect.jsonpath import NotJson, compile_regex, parse_json, select
from checks.expect.markup import Document, NotMarkup
from checks.web import ANSWER, Answer

MAX_CAPTURED = 8192  # characters
_SOURCES = ("json", "xml", "html", "header", "cookie")
_SUBJECTS: Mapping[str, Subject] = {name: ANSWER[name] for name in _SOURCES}
_BODY = re.compile(r'body[ \t]+"((?:[^"\\]|\\.)*)"[ \t]*', re.DOTALL)
_PLACEHOLDER = re.compile(r"\{\{[ \t]*([A-Za-z_][A-Za-z0-9_]*)[ \t]*\}\}")

Place = Literal["address", "url", "json", "text"]
"""Where a value is put: as a whole address, into an address, into JSON, or as it stands."""

_PUT: Mapping[Place, Callable[[str], str]] = {
    "address": str,
    "url": lambda value: quote(value, safe=""),
    "json": lambda value: json.dumps(value, ensure_ascii=False)[1:-1],
    "text": str,
}


class NotCaptured(Exception):
    """The answer has no such value; says what it has instead."""


class Capture:
    """What is taken out of an answer, and where it is found there. Raises ValueError for what can't be read."""

    def __init__(self, line: str) -> None:
        self.line = line.strip()
        self._pattern: Any = None
        self._found: Expectation | None = None
        body = _BODY.fullmatch(self.line)
        if body is not None:
            self._pattern = compile_regex(body[1].replace('\\"', '"'))
            return
        if self.line.startswith("body"):
            raise ValueError('body needs a regular expression in double quotes, as in body "id=([0-9]+)"')
        word = self.line.partition(" ")[0]
        if word not in _SUBJECTS:
            raise ValueError(f"{word!r} is nothing that is captured; allowed: {', '.join(_SOURCES)}, body")
        try:
            self._found = expect.parse(f"{self.line} exists", _SUBJECTS)
        except expect.ExpectationError as exc:
            raise ValueError(exc.message) from exc

    def of(self, answer: Answer) -> str:
        """The value. Raises NotCaptured."""
        value = self._value(answer)
        if len(value) > MAX_CAPTURED:
            raise NotCaptured(f"a value of {len(value):,} characters; at most {MAX_CAPTURED:,} are captured")
        if not value:
            raise NotCaptured("an empty value")
        return value

    def _value(self, answer: Answer) -> str:
        if self._pattern is not None:
            match = self._pattern.search(answer.body or b"")
            if match is None:
                raise NotCaptured("a body in which it finds nothing")
            return bytes(match[1 if self._pattern.groups else 0] or b"").decode("utf-8", "replace")
        assert self._found is not None  # noqa: S101 - one of the two was read
        argument = self._found.argument or ""
        match self._found.subject.name:
            case "header":
                return self._only(answer.header(argument))
            case "cookie":
                return self._only(cookie_values(answer.headers).get(argument))
            case "json":
                return self._of_json(answer)
            case language:
                return self._of_markup(answer, language)

    def _of_json(self, answer: Answer) -> str:
        try:
            nodes = select(self._query, parse_json(answer.body or b""))
        except NotJson as exc:
            raise NotCaptured(f"a body that can't be searched: {exc}") from exc
        value = nodes[0].value if nodes else None
        if isinstance(value, dict | list):
            raise NotCaptured("a list or a mapping, and not one value")
        return value if isinstance(value, str) else self._only(None if value is None else json.dumps(value))

    def _of_markup(self, answer: Answer, language: str) -> str:
        try:
            texts = Document(answer.body or b"").select(self._query, language)
        except NotMarkup as exc:
            raise NotCaptured(f"a body that is no {language.upper()}: {exc}") from exc
        return self._only(texts[0].strip() if texts else None)

    @property
    def _query(self) -> Any:
        return self._found.query if self._found is not None else None

    @staticmethod
    def _only(value: str | None) -> str:
        if value is None:
            raise NotCaptured("nothing")
        return value


@lru_cache(maxsize=10_000)
def parse_capture(line: str) -> Capture:
    """The capture that a line says. Raises ValueError."""
    return Capture(line)


def placeholders(text: str) -> Iterator[str]:
    """The names that a text has in double braces."""
    return (match[1] for match in _PLACEHOLDER.finditer(text))


def check_placeholders(text: str) -> None:
    """Raise ValueError for double braces that are no placeholder: they would be asked for as they stand."""
    rest = _PLACEHOLDER.sub("", text)
    if "{{" in rest or "}}" in rest:
        raise ValueError("has double braces that are no placeholder; write {{name}}: letters, digits and _")


def filled(text: str, captured: Mapping[str, str], place: Place) -> str:
    """The text with every placeholder replaced, written as its place wants it."""
    return _PLACEHOLDER.sub(lambda match: _PUT[place](captured[match[1]]), text)


def forms(value: str) -> tuple[str, str]:
    """A captured value in the forms in which a later request has it, for whoever hides it."""
    return value, quote(value, safe="")
