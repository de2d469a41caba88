"""What `monitors`, `incidents` and `notifications` print: a table for people, or one JSON array for scripts."""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from datetime import datetime
from typing import Any

from django.core.management.base import OutputWrapper


def add_json_argument(parser: Any) -> None:
    """`--json`, the same for each."""
    parser.add_argument("--json", action="store_true", help="print one JSON array, for scripts")


def instant(at: datetime | None) -> str | None:
    """RFC 3339 in UTC; None stays None."""
    return None if at is None else at.isoformat(timespec="milliseconds").replace("+00:00", "Z")


def print_rows(rows: Sequence[Mapping[str, Any]], columns: Sequence[str], out: OutputWrapper, *, as_json: bool) -> None:
    """All rows: every field as JSON, or these columns as a table."""
    if as_json:
        out.write(json.dumps(list(rows), indent=2, ensure_ascii=False) + "\n")
        return
    lines = [[name.replace("_", " ").upper() for name in columns]]
    lines += [[_cell(row[name]) for name in columns] for row in rows]
    widths = [max(len(line[i]) for line in lines) for i in range(len(columns))]
    for line in lines:
        cells = (cell.ljust(width) for cell, width in zip(line, widths, strict=True))
        out.write("  ".join(cells).rstrip() + "\n")


def _cell(value: Any) -> str:
    if value is None:
        return "-"
    if isinstance(value, float):
        return f"{value:.3f}"
    # A name may hold anything; a terminal obeys control characters.
    return "".join(character if character.isprintable() else " " for character in str(value))
