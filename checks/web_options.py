"""What the options of kinds that ask over HTTP may say."""

from __future__ import annotations

import json
from typing import Annotated

from pydantic import AfterValidator, BeforeValidator, Field

from checks.address import parse_url
from checks.jsonpath import NotJson, parse_json
from checks.request import OURS, TOKEN
from checks.spec import Line, Payload, SecretMark


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


def _is_method(method: str) -> str:
    if not TOKEN.fullmatch(method):
        raise ValueError(f"{method!r} is no method; allowed: letters, digits and !#$%&'*+.^_`|~-, as in GET")
    if method.upper() in ("CONNECT", "TRACE"):
        raise ValueError(f"{method} is none that a web address is asked with")
    return method.upper() if method.upper() in _METHODS else method


def _as_json(value: object) -> object:
    """JSON as text; what a document writes as a mapping or a list becomes that."""
    if isinstance(value, str) or value is None:
        return value
    try:
        return json.dumps(value, ensure_ascii=False, allow_nan=False)
    except (TypeError, ValueError, RecursionError) as exc:
        raise ValueError(
            "can't be written as JSON; allowed: texts, numbers, true, false, null, lists, mappings"
        ) from exc


def _is_json(text: str) -> str:
    if text:
        try:
            parse_json(text)
        except NotJson as exc:
            raise ValueError(f"is no JSON: {exc}") from exc
    return text


_METHODS = ("GET", "HEAD", "POST", "PUT", "PATCH", "DELETE", "OPTIONS")

Method = Annotated[Line, Field(min_length=1, max_length=40), AfterValidator(_is_method)]
JsonText = Annotated[Payload, Field(max_length=65536), BeforeValidator(_as_json), AfterValidator(_is_json)]
WebUrl = Annotated[Line, Field(min_length=1, max_length=2000), AfterValidator(_is_url)]
HeaderName = Annotated[str, Field(max_length=200), AfterValidator(_is_header_name)]
Headers = Annotated[dict[HeaderName, Annotated[Line, Field(max_length=4096)]], Field(max_length=50), SecretMark()]
Form = Annotated[
    dict[Annotated[Line, Field(min_length=1, max_length=200)], Annotated[Payload, Field(max_length=4096)]],
    Field(max_length=50),
    SecretMark(),
]
