"""What the options of kinds that ask over HTTP may say, and the body that they make."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Annotated, Literal, Protocol
from urllib.parse import urlencode

from pydantic import AfterValidator, BeforeValidator, Field

from checks.address import parse_url
from checks.expect.jsonpath import NotJson, json_text, parse_json
from checks.network.request import OURS, TOKEN
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


def _is_json(text: str) -> str:
    if text:
        try:
            parse_json(text)
        except NotJson as exc:
            raise ValueError(f"is no JSON: {exc}") from exc
    return text


class Written(Protocol):
    """The options that say what a request is beside its address."""

    @property
    def method(self) -> str:
        """The method."""

    @property
    def headers(self) -> Mapping[str, str]:
        """The user's own headers."""

    @property
    def body(self) -> str:
        """The body as it stands."""

    @property
    def json_body(self) -> str:
        """The body in JSON."""

    @property
    def form(self) -> Mapping[str, str]:
        """The body as a form."""


Fill = Callable[[str, Literal["text", "json"]], str]
"""Completes a text of the user's, which stands as it is or inside JSON."""


def check_written(options: Written) -> None:
    """Raise ValueError where no request can be made of them."""
    if len({name.lower() for name in options.headers}) < len(options.headers):
        raise ValueError("headers: each header may stand once, whatever its case")
    given = [name for name in ("body", "json_body", "form") if getattr(options, name)]
    if len(given) > 1:
        raise ValueError(f"{' and '.join(given)} are ways to write the body; keep one")
    if given and options.method in ("GET", "HEAD"):
        raise ValueError(f"{given[0]}: {options.method} sends none; use another method, such as POST")


def written(options: Written, fill: Fill = lambda text, _: text) -> tuple[dict[str, str], bytes]:
    """The headers that they say, their names in lower case, and the body."""
    body, content_type = fill(options.body, "text"), ""
    if options.json_body:
        body, content_type = fill(options.json_body, "json"), "application/json"
    elif options.form:
        pairs = {fill(name, "text"): fill(value, "text") for name, value in options.form.items()}
        body, content_type = urlencode(pairs), "application/x-www-form-urlencoded"
    headers = {"content-type": content_type} if content_type else {}
    headers |= {name.lower(): fill(value, "text") for name, value in options.headers.items()}
    return headers, body.encode()


_METHODS = ("GET", "HEAD", "POST", "PUT", "PATCH", "DELETE", "OPTIONS")

Method = Annotated[Line, Field(min_length=1, max_length=40), AfterValidator(_is_method)]
JsonText = Annotated[Payload, Field(max_length=65536), BeforeValidator(json_text), AfterValidator(_is_json)]
Body = Annotated[Payload, Field(max_length=65536), SecretMark()]  # who signs in sends a password in it
JsonBody = Annotated[JsonText, SecretMark()]
WebUrl = Annotated[Line, Field(min_length=1, max_length=2000), AfterValidator(_is_url)]
HeaderName = Annotated[str, Field(max_length=200), AfterValidator(_is_header_name)]
Headers = Annotated[dict[HeaderName, Annotated[Line, Field(max_length=4096)]], Field(max_length=50), SecretMark()]
Form = Annotated[
    dict[Annotated[Line, Field(min_length=1, max_length=200)], Annotated[Payload, Field(max_length=4096)]],
    Field(max_length=50),
    SecretMark(),
]
