"""Rows as CSV or JSON, a page at a time: however much is exported, one page of it is in memory. Pure."""

from __future__ import annotations

import csv
import io
import json
from collections.abc import Iterable, Iterator, Mapping, Sequence
from datetime import UTC, date, datetime
from enum import Enum
from typing import Any, Final
from uuid import UUID

CSV: Final = "csv"
JSON: Final = "json"
TYPES: Final = {CSV: "text/csv; charset=utf-8", JSON: "application/json"}

# What a spreadsheet takes for the beginning of a formula, their full-width forms with them.
_FORMULA = frozenset(
    "=+-@\t\r\n\N{FULLWIDTH EQUALS SIGN}\N{FULLWIDTH PLUS SIGN}\N{FULLWIDTH HYPHEN-MINUS}\N{FULLWIDTH COMMERCIAL AT}"
)

Row = Sequence[Any]


def written(
    form: str, columns: Sequence[str], pages: Iterable[Sequence[Row]], head: Mapping[str, Any]
) -> Iterator[bytes]:
    """The document in pieces. `head` says what it is about; in CSV, where there is no place for it, it is left out."""
    return _csv(columns, pages) if form == CSV else _json(columns, pages, head)


def _csv(columns: Sequence[str], pages: Iterable[Sequence[Row]]) -> Iterator[bytes]:
    yield _lines([columns])
    for page in filter(None, pages):
        yield _lines([[_cell(value) for value in row] for row in page])


def _lines(rows: Iterable[Sequence[str]]) -> bytes:
    text = io.StringIO()
    csv.writer(text).writerows(rows)
    return text.getvalue().encode("utf-8", "replace")


def _cell(value: Any) -> str:
    """A value as a cell. A text that a spreadsheet would run as a formula begins with an apostrophe."""
    plain = _plain(value)
    if plain is None:
        return ""
    if isinstance(plain, str):
        return f"'{plain}" if plain[:1] in _FORMULA else plain
    return json.dumps(plain)


def _json(columns: Sequence[str], pages: Iterable[Sequence[Row]], head: Mapping[str, Any]) -> Iterator[bytes]:
    opening = json.dumps({name: _plain(value) for name, value in head.items()}, ensure_ascii=False)
    yield (opening[:-1] + (", " if head else "") + '"rows": [').encode("utf-8", "replace")
    separator = "\n"
    for page in filter(None, pages):
        lines = []
        for row in page:
            named = {name: _plain(value) for name, value in zip(columns, row, strict=True)}
            lines.append(separator + json.dumps(named, ensure_ascii=False))
            separator = ",\n"
        yield "".join(lines).encode("utf-8", "replace")
    yield b"\n]}\n"


def _plain(value: Any) -> str | int | float | bool | None:
    """A value as JSON has it: instants in UTC with their last microsecond, other things as text."""
    match value:
        case None | bool() | int() | float():
            return value
        case datetime():
            return value.astimezone(UTC).isoformat().replace("+00:00", "Z")
        case date():
            return value.isoformat()
        case Enum():
            return str(value.value)
        case UUID() | str():
            return str(value)
    raise TypeError(f"a {type(value).__name__} is no value of an export")
