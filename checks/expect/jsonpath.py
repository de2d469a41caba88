"""JSON from a target, and RFC 9535 queries on it, within bounds: hostile bytes cost a message and nothing else."""

from __future__ import annotations

import itertools
import json
from collections.abc import Iterator
from typing import Any

import jsonpath_rfc9535
import re2
from jsonpath_rfc9535.function_extensions import ExpressionType, FilterFunction
from jsonpath_rfc9535.node import JSONPathNode

MAX_PATH = 500  # characters
MAX_PROGRAM = 1000  # steps of a regular expression: some nanoseconds each, for each byte of a text
MAX_DOCUMENT = 1024 * 1024  # bytes: some milliseconds, in which nothing else is probed
MAX_VALUES = 10_000  # of a document that a query may search: some microseconds each, in which nothing else is probed


class NotJson(ValueError):
    """The bytes are no JSON, or JSON beyond what is sensible."""


class BadPath(ValueError):
    """A query is not JSONPath, or one that a small document can make slow."""

    def __init__(self, message: str, index: int = 0) -> None:
        super().__init__(message)
        self.index = index


def compile_regex(pattern: str) -> Any:
    """RE2's form of a pattern, for bytes in UTF-8. Raises ValueError in RE2's words; its matching is linear in time.

    Linear in the text and in the pattern, so that a pattern has its bounds too: `(a{1,30}){1,30}` is a long one.
    """
    options = re2.Options()
    options.log_errors = False
    options.max_mem = 1 << 20
    try:
        regex = re2.compile(pattern.encode(), options)
    except re2.error as exc:
        detail = exc.args[0]
        text = detail.decode(errors="replace") if isinstance(detail, bytes) else str(detail)
        raise ValueError(text) from exc
    if regex.programsize > MAX_PROGRAM:
        raise ValueError("this regular expression can be slow; write it with fewer or smaller repetitions")
    return regex


class _Regex(FilterFunction):
    """`match` and `search` of RFC 9535 on RE2: the library's own backtrack, and a target could make them hang."""

    arg_types = [ExpressionType.VALUE, ExpressionType.VALUE]
    return_type = ExpressionType.LOGICAL

    def __init__(self, *, whole: bool) -> None:
        self._whole = whole

    def __call__(self, value: object, pattern: object) -> bool:
        """Whether a string matches; anything else does not."""
        if not isinstance(value, str) or not isinstance(pattern, str):
            return False
        try:
            regex = compile_regex(pattern)
        except ValueError:
            return False
        data = value.encode(errors="replace")
        return bool(regex.fullmatch(data) if self._whole else regex.search(data))


class _Environment(jsonpath_rfc9535.JSONPathEnvironment):
    def setup_function_extensions(self) -> None:
        super().setup_function_extensions()
        self.function_extensions["match"] = _Regex(whole=True)
        self.function_extensions["search"] = _Regex(whole=False)


_environment = _Environment()


def outside_strings(text: str, start: int) -> Iterator[tuple[int, str, int]]:
    """(index, character, depth of brackets) of each character of a path that is not inside a quoted name."""
    quote, escaped, depth = "", False, 0
    for index in range(start, len(text)):
        char = text[index]
        if quote:
            if escaped or char == "\\":
                escaped = not escaped
            elif char == quote:
                quote = ""
            continue
        if char in "'\"":
            quote = char
            continue
        depth -= char in "])"
        yield index, char, depth
        depth += char in "[("


def compile_path(path: str) -> jsonpath_rfc9535.JSONPathQuery:
    """The query. Raises BadPath with the index of the mistake."""
    if len(path) > MAX_PATH:
        raise BadPath(f"a JSONPath of {len(path)} characters; at most {MAX_PATH} are allowed")
    plain = list(outside_strings(path, 0))
    roots = [index for index, char, _ in plain if char == "$"]
    if len(roots) > 1:
        raise BadPath("$ may stand at the beginning of a path only", roots[1])
    descents = [a for (a, one, _), (b, two, _) in itertools.pairwise(plain) if one == two == "." and b == a + 1]
    if len(descents) > 1:
        raise BadPath(".. may stand in a path once", descents[1])
    try:
        return _environment.compile(path)
    except jsonpath_rfc9535.JSONPathError as exc:
        message = str(exc.args[0]) if exc.args else "not a JSONPath"
        raise BadPath(message, exc.token.index if exc.token else 0) from exc
    except (ValueError, RecursionError) as exc:
        raise BadPath("not a JSONPath that can be read") from exc


def parse_json(body: bytes | str) -> Any:
    """The document. Raises NotJson with where it stops being JSON; NaN, endless numbers and deep nesting are none.

    Half a character, which JSON can spell and no encoding can, is a question mark.
    """
    if len(body) > MAX_DOCUMENT:
        raise _too_long()
    try:
        text = body if isinstance(body, str) else body.decode(json.detect_encoding(body))
        found = _decoder.decode(text)
        return _of_whole_characters(found) if "\\ud" in text or "\\uD" in text else found
    except (json.JSONDecodeError, UnicodeDecodeError) as exc:
        if len(body) == MAX_DOCUMENT:  # where answers are cut
            raise _too_long() from exc
        if isinstance(exc, UnicodeDecodeError):
            raise NotJson(f"byte {exc.start + 1} is not {exc.encoding}") from exc
        raise NotJson(f"{exc.msg.lower()} at line {exc.lineno} column {exc.colno}") from exc
    except RecursionError as exc:
        raise NotJson("it is nested too deep") from exc
    except ValueError as exc:
        raise NotJson(str(exc) if isinstance(exc, NotJson) else "it has a number of too many digits") from exc


def _too_long() -> NotJson:
    return NotJson(f"it is over {MAX_DOCUMENT // 1024 // 1024} MiB")


def _of_whole_characters(document: Any) -> Any:
    text = json.dumps(document, ensure_ascii=False)
    try:
        text.encode()
    except UnicodeEncodeError:
        return json.loads(text.encode(errors="replace"))
    return document


def json_text(value: object) -> object:
    """A value of a document as JSON; text, which is JSON already, as it is. Raises ValueError for what has no form there."""
    if isinstance(value, str) or value is None:
        return value
    try:
        return json.dumps(value, ensure_ascii=False, allow_nan=False)
    except (TypeError, ValueError, RecursionError) as exc:
        raise ValueError(
            "can't be written as JSON; allowed: texts, numbers, true, false, null, lists, mappings"
        ) from exc


def _refuse_constant(name: str) -> Any:
    raise NotJson(f"{name} is not JSON")


_decoder = json.JSONDecoder(parse_constant=_refuse_constant)  # made once: making one costs more than a small document


def select(query: jsonpath_rfc9535.JSONPathQuery, document: Any) -> list[JSONPathNode]:
    """The nodes that a query selects. Raises NotJson where it would search too many values, or too deep.

    A path of plain names and indexes is found at once in a document of any size; one with `..`, `*`, a slice or a
    filter looks at many values, and a hostile target decides at how many.
    """
    if not query.singular_query() and _has_more_values(document, MAX_VALUES):
        raise NotJson(f"it has more than {MAX_VALUES:,} values, too many to be searched by a path with .. * : or ?")
    try:
        nodes = list(itertools.islice(query.finditer(document), MAX_VALUES + 1))
    except (jsonpath_rfc9535.JSONPathError, RecursionError) as exc:
        raise NotJson("it is nested too deep for this path") from exc
    if len(nodes) > MAX_VALUES:
        raise NotJson(f"the path selects more than {MAX_VALUES:,} values")
    return nodes


def _has_more_values(document: Any, limit: int) -> bool:
    waiting, count = [document], 1
    while waiting:
        value = waiting.pop()
        children = value.values() if isinstance(value, dict) else value if isinstance(value, list) else ()
        count += len(children)
        if count > limit:
            return True
        waiting.extend(child for child in children if isinstance(child, dict | list))
    return False
