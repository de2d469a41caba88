"""Document nodes -> models: what pydantic finds wrong, in words, with line, column, path, what was found and is allowed."""

from __future__ import annotations

import re
from collections.abc import Mapping
from typing import Any, TypeVar

from pydantic import BaseModel, ValidationError

from checks.document import SHOWN, Node, Problem
from checks.expect import ExpectationErrors
from checks.nearest import did_you_mean, nearest
from checks.options import PATTERNS, Value, find, options
from checks.spec import REDACTED

M = TypeVar("M", bound=BaseModel)


def validate(node: Node, model: type[M]) -> tuple[M | None, list[Problem]]:
    """The model that a node says, or everything that is wrong with it. Nodes that are broken already are passed over."""
    if not isinstance(node.value, dict):
        known = ", ".join(options(model))
        return None, [] if node.broken else [node.problem(f"expected a mapping with {known}; found {node.shown()}")]
    try:
        return model.model_validate(node.plain()), []
    except ValidationError as exc:
        problems: dict[str, Problem] = {}
        for error in exc.errors(include_url=False):
            for problem in _Error(node, model, error).problems():
                # The arms of a union each complain of the same place; the first is the one that was meant.
                problems.setdefault(problem.path, problem)
        return None, sorted(problems.values())


class _Error:
    """One of pydantic's errors and the node it is about."""

    def __init__(self, root: Node, model: type[BaseModel], error: Mapping[str, Any]) -> None:
        self.kind, self.context = str(error["type"]), error.get("ctx", {})
        self.message, self.input = str(error["msg"]), error["input"]
        self.model, self.node, self.path = model, root, tuple[str | int, ...]()
        self.key: str | None = None  # that is missing in `node`
        self.of_key = error["loc"][-1:] == ("[key]",)  # the key is wrong, not the value
        for part in error["loc"]:
            below = self.node.value
            if isinstance(below, dict) and str(part) in below:
                self.node, self.path = below[str(part)], (*self.path, str(part))
            elif isinstance(below, list) and isinstance(part, int) and part < len(below):
                self.node, self.path = below[part], (*self.path, part)
            elif self.kind == "missing":
                self.key = str(part)
            # What is left names an arm of a union.
        self.allowed = find(model, self.path)

    def problems(self) -> list[Problem]:
        """What to tell."""
        if self.node.broken or self._counts_what_is_wrong():
            return []
        if self.key is not None:
            return [self.node.missing(self.key, "is required")]
        if self.kind == "extra_forbidden":
            return [self._unknown_key()]
        if self.kind == "value_error":
            return self._own_errors()
        if self.of_key:
            return [self.node.key_problem(self._expected())]
        return [self.node.problem(f"{self._expected()}; found {self._found()}")]

    def _counts_what_is_wrong(self) -> bool:
        """Whether a list is said to be too short only because some of its items are wrong, which is told of them."""
        shortest = self.allowed.shortest if self.allowed is not None else None
        return self.kind == "too_short" and shortest is not None and len(self.input) >= shortest

    def _unknown_key(self) -> Problem:
        parent = find(self.model, self.path[:-1])
        known = _names(parent)
        key = str(self.path[-1])
        hint = did_you_mean(key, known) or f"; known: {', '.join(known)}"
        return self.node.key_problem(f"unknown key {key[:SHOWN]!r}{hint}")

    def _own_errors(self) -> list[Problem]:
        """Those that our validators raised."""
        exc = self.context.get("error")
        if isinstance(exc, ExpectationErrors) and isinstance(self.node.value, list):
            return [_in_line(self.node.value[i], e.position, e.message) for i, e in sorted(exc.errors.items())]
        message = self._masked(str(exc))
        if self.of_key:
            return [self.node.key_problem(message)]
        named = re.match(r"([a-z_]+): (.*)", message, re.DOTALL)
        if named and isinstance(self.node.value, dict) and named[1] in _names(self.allowed):
            child = self.node.value.get(named[1])
            if child is None:
                return [self.node.missing(named[1], named[2])]
            return [] if child.broken else [child.problem(named[2])]
        note = self.node.note()
        return [self.node.problem(f"{message} ({note})" if note else message)]

    def _found(self) -> str:
        return "a secret" if self.allowed is not None and self.allowed.secret else self.node.shown()

    def _masked(self, message: str) -> str:
        """The message without what a variable stood for, and without secrets."""
        for node in self.node.walk():
            if not isinstance(node.value, str) or not node.value:
                continue
            if node.value != node.raw and "${" in node.raw and (node is self.node or len(node.value) >= 4):
                message = message.replace(repr(node.value), repr(node.raw)).replace(node.value, node.raw)
            elif self.allowed is not None and self.allowed.secret:
                message = message.replace(node.value, REDACTED)
        return message

    def _expected(self) -> str:
        """What is allowed here, for the mistakes that pydantic finds by itself."""
        allowed, ctx = self.allowed, self.context
        match self.kind:
            case "greater_than_equal" | "less_than_equal" if allowed:
                return f"expected {allowed.range()}"
            case "string_too_long" | "string_too_short" | "too_long" | "too_short" if allowed:
                size = len(self.input)
                return f"expected {allowed.range() or 'more'}, and this has {size:,}"
            case "string_pattern_mismatch":
                return f"expected {PATTERNS.get(ctx['pattern'], ctx['pattern'])}"
            case "literal_error" if allowed and allowed.choices:
                guess = nearest(str(self.node.value), allowed.choices)
                return f"expected {allowed.words()}" + (f", probably {guess}" if guess else "")
            case "string_type":
                return self._expected_text()
            case _ if self.kind in _TYPES:
                return f"expected {_TYPES[self.kind]}"
            case _:
                return self.message

    def _expected_text(self) -> str:
        if not isinstance(self.node.value, bool | int | float):
            return "expected text"
        secret = self.allowed is not None and self.allowed.secret
        return "expected text, so quote it" if secret else f'expected text, so quote it: "{self.node.raw}"'


_TYPES = {
    "int_type": "a whole number",
    "int_parsing": "a whole number",
    "int_from_float": "a whole number",
    "float_type": "a number",
    "float_parsing": "a number",
    "bool_type": "true or false",
    "bool_parsing": "true or false",
    "tuple_type": "a list, as in [a, b] or one item a line after a hyphen",
    "list_type": "a list, as in [a, b] or one item a line after a hyphen",
    "dict_type": "a mapping, as in {key: value} or one key a line",
    "model_type": "a mapping, as in {key: value} or one key a line",
    "model_attributes_type": "a mapping, as in {key: value} or one key a line",
}


def _names(value: Value | None) -> list[str]:
    """The names of the options of a place."""
    return list(options(value.model)) if value is not None and value.model is not None else []


def _in_line(node: Node, position: int, message: str) -> Problem:
    """A problem inside a one-line text, at its own column where the text stands in the file as it is."""
    exact = "${" not in node.raw and "\\" not in node.raw
    column = node.column + position + (1 if node.quoted else 0) if exact else node.column
    return Problem(node.line, column, node.path, f"{message}; in {node.shown()}")
