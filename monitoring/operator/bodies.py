"""What a job said, for people: as the text that it is, or byte by byte where it is none."""

from __future__ import annotations

import unicodedata
from codecs import getincrementaldecoder
from dataclasses import dataclass

SHORT = 80  # characters that stand in the list itself
MOST_HEX = 4096  # bytes that are written one by one
_ROW = 16


@dataclass(frozen=True, slots=True, kw_only=True)
class Said:
    """The body of a ping."""

    first: str  # what of it stands in the list
    whole: str  # empty where the first line is all
    is_hex: bool
    kept: int
    size: int  # of all that was sent


def said(body: bytes, size: int) -> Said | None:
    """What a body says; None for an empty one."""
    if not body:
        return None
    text = _text(body, is_whole=len(body) == size)
    if text is None:
        dump = _hex(body[:MOST_HEX])
        return Said(first=f"{size:,} bytes that are no text", whole=dump, is_hex=True, kept=len(body), size=size)
    lines = text.strip().splitlines() or [""]
    first = lines[0] if len(lines[0]) <= SHORT else f"{lines[0][: SHORT - 1]}…"
    is_all = len(lines) == 1 and first == lines[0] and len(body) == size
    return Said(first=first, whole="" if is_all else text, is_hex=False, kept=len(body), size=size)


def _text(body: bytes, *, is_whole: bool) -> str | None:
    """The text that the bytes are, if they are one. Where more was sent, the last character may be cut in two."""
    try:
        text = getincrementaldecoder("utf-8")().decode(body, is_whole)
    except UnicodeDecodeError:
        return None
    is_text = all(each in "\t\n\r\x1b" or unicodedata.category(each) != "Cc" for each in text)
    return text if is_text else None


def _hex(body: bytes) -> str:
    """Offset, sixteen bytes and their letters, a line each."""
    lines = []
    for begin in range(0, len(body), _ROW):
        row = body[begin : begin + _ROW]
        letters = "".join(chr(byte) if 32 <= byte < 127 else "." for byte in row)
        lines.append(f"{begin:08x}  {row.hex(' '):<{3 * _ROW - 1}}  {letters}")
    return "\n".join(lines)
