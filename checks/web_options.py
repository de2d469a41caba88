"""What the options of kinds that ask over HTTP may say."""

from __future__ import annotations

from typing import Annotated

from pydantic import AfterValidator, Field

from checks.address import parse_url
from checks.request import OURS, TOKEN
from checks.spec import Line


def _is_url(text: str) -> str:
    parse_url(text)
    return text


def _is_header_name(name: str) -> str:
    bad = next((i for i, char in enumerate(name) if not TOKEN.fullmatch(char)), None)
    if bad is not None or not name:
        where = f"has {name[bad]!r} at position {bad + 1}" if bad is not None else "is empty"
        raise ValueError(f"is no header name: it {where}; allowed: letters, digits and !#$%&'*+.^_`|~-")
    if name.lower() in OURS:
        raise ValueError(f"{name} is set by the probe itself")
    return name


WebUrl = Annotated[Line, Field(min_length=1, max_length=2000), AfterValidator(_is_url)]
HeaderName = Annotated[str, Field(max_length=200), AfterValidator(_is_header_name)]
