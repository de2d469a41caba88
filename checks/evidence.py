"""Evidence for people: short, printable, without secrets."""

from __future__ import annotations

import base64
import html
import json
import re
from collections.abc import Iterable, Iterator, Mapping
from contextlib import suppress
from functools import lru_cache
from typing import Any
from urllib.parse import quote, quote_plus, unquote, unquote_plus

from checks.spec import REDACTED, MonitorSpec
from checks.spec_secrets import secrets_in

EXCERPT = 4096  # bytes of a body that are kept with a failure
MAX_VALUE = 1000  # characters of a header that are kept
CUT_FROM = 80  # characters; no shorter text was cut
MIN_SECRET = 4  # characters; a shorter one would take the rest of the evidence with it
_SECRET_HEADER = re.compile(
    r"cookie|authori[sz]ation|token|secret|passw|api-?key|session|signature|credential", re.IGNORECASE
)
_CHARSET = re.compile(r"charset\s*=\s*[\"']?([A-Za-z0-9_.:-]{1,40})", re.IGNORECASE)
_TEXT_CODEC = re.compile(
    r"(?:utf|iso|windows|cp|koi8|latin|shift|sjis|euc|gb|big5|us-ascii|ascii|mac|tis|ks)[\w.:-]*", re.IGNORECASE
)
_CUT = "\N{HORIZONTAL ELLIPSIS}"  # where a text was cut
_UNKEPT = re.compile("[\0\ud800-\udfff]")
# What is called like a secret, whoever's it is: in the query of an address, in a form, in JSON; and whoever logs in by
# an address.
_SECRET_NAME = re.compile(
    r"token|secret|passw|passphrase|signature|credential|session|authori[sz]ation|api-?_?key|access-?_?key"
    r"|(?:^|[^a-z])(?:key|sig|sid|auth|jwt|otp|pwd|pass)(?:$|[^a-z])",
    re.IGNORECASE,
)
_USERINFO = re.compile(r"(?<=://)[^\s/?#\"'<>\\]{1,500}@")
_LOGIN = re.compile(r"://([^\s/?#:@]{1,500}):([^\s/?#@]{1,500})@")
_PARAMETER = re.compile(r"((?:^|(?<=[?&;#\s\"']))[^\s=&?#;\"'<>]{1,100}=)([^\s&#;\"'<>]+)")
# What a server of IMAP lists among its capabilities is the name of a login and no secret.
_MECHANISM = re.compile(
    r"AUTH=(?:[A-Z]+-)*(?:PLAIN|LOGIN|EXTERNAL|GSSAPI|NTLM|MD5|XOAUTH2|OAUTHBEARER|SHA-\d+(?:-PLUS)?)\]?"
)
_MEMBER = re.compile(r"(\"[^\"\\]{1,100}\"\s{0,3}:\s{0,3}\")((?:[^\"\\]|\\.)+)", re.DOTALL)
_ESCAPED = re.compile(r"(\\u)([0-9a-f]{4})")
_PERCENT = re.compile(r"%[0-9A-F]{2}")
_CREDENTIALS = re.compile(r"(?:bearer|basic|token|apikey|key) +(\S+)", re.IGNORECASE)  # of a header
_MARKS = ((b"\xef\xbb\xbf", "utf-8-sig"), (b"\xff\xfe", "utf-16"), (b"\xfe\xff", "utf-16"))

_MARKED = (b"\xef", b"\xff", b"\xfe")


def as_utf8(data: bytes, content_type: str) -> bytes:
    """Text in UTF-8, whatever the target encoded it in; the bytes as they are where no encoding of text is named."""
    codec = next((codec for mark, codec in _MARKS if data.startswith(mark)), "") if data[:1] in _MARKED else ""
    codec = codec or _charset(content_type)
    if not codec:
        return data
    try:
        return data.decode(codec, "replace").encode("utf-8", "replace")
    except (LookupError, ValueError):
        return data


@lru_cache(maxsize=1000)
def _charset(content_type: str) -> str:
    """The encoding of text that is named, where it is not UTF-8 already; else empty."""
    named = _CHARSET.search(content_type)
    codec = "" if named is None else named[1].lower()
    # Only encodings of text: others that Python knows are no charsets, and some are slow beyond measure.
    return codec if codec not in ("utf-8", "utf8", "us-ascii", "ascii") and _TEXT_CODEC.fullmatch(codec) else ""


def excerpt(data: bytes) -> str:
    """The beginning of a body as printable text; its lines may end as those of mail and of Windows do."""
    text = data[:EXCERPT].decode("utf-8", "replace").replace("\r\n", "\n")
    return "".join(char if char.isprintable() or char in "\n\t" else "\N{REPLACEMENT CHARACTER}" for char in text)


def shown_headers(headers: Iterable[tuple[bytes, bytes]]) -> list[list[str]]:
    """Headers as [name, value], those that carry credentials without them."""
    shown = []
    for raw_name, raw_value in headers:
        name, value = raw_name.decode("latin-1"), raw_value.decode("latin-1")[:MAX_VALUE]
        shown.append([name, REDACTED if _SECRET_HEADER.search(name) else _printable(value)])
    return shown


def _printable(text: str) -> str:
    return "".join(char if char.isprintable() else "\N{REPLACEMENT CHARACTER}" for char in text)


def secrets_of(spec: MonitorSpec, more: Iterable[str] = ()) -> tuple[str, ...]:
    """Every secret of a specification, and `more`, in the forms in which a target may send it, the longest first."""
    forms: set[str] = set()
    plain = list(more)
    for model in (spec, *getattr(spec, "steps", ())):
        plain += _named_like_secrets(getattr(model, "url", ""))
    for model, value in secrets_in(spec):
        plain += (value, *_named_like_secrets(value))
        if username := getattr(model, "username", ""):
            plain += _as_sent(username, value)
        if login := _LOGIN.search(value):  # of a proxy
            password = unquote(login[2])
            plain += (password, *_as_sent(unquote(login[1]), password))
    for value in plain:
        forms |= set(_written(value))
    return tuple(sorted((form for form in forms if len(form) >= MIN_SECRET), key=len, reverse=True))


def _written(value: str) -> Iterator[str]:
    """A text as it is, and as what people build services with writes it into JSON, addresses, pages and dumps."""
    yield value
    yield value.replace("\r\n", "\n")  # as an excerpt has it
    yield value.encode("latin-1", "replace").decode("utf-8", "replace")  # as old software sends it
    for as_json in (json.dumps(value)[1:-1], json.dumps(value, ensure_ascii=False)[1:-1]):
        for text in (as_json, _ESCAPED.sub(lambda found: found[1] + found[2].upper(), as_json)):
            yield from (text, text.replace("/", r"\/"))
    for in_address in (quote(value), quote(value, safe=""), quote_plus(value)):
        yield from (in_address, _PERCENT.sub(lambda found: found[0].lower(), in_address))
    for apostrophe in ("&#x27;", "&#39;", "&#039;", "'"):
        in_page = html.escape(value, quote=False).replace("'", apostrophe)
        for quoted in (in_page, in_page.replace('"', "&quot;"), in_page.replace('"', "&#34;")):
            yield from (quoted, quoted.replace("/", "&#x2F;"))
    data = value.encode("utf-8", "replace")
    yield from (
        base64.b64encode(data).decode(),
        base64.urlsafe_b64encode(data).decode(),
        data.hex(),
        data.hex().upper(),
    )


def _named_like_secrets(text: str) -> Iterator[str]:
    """The secrets inside a body, a header or an address of ours: a target may send them back without the rest."""
    if credentials := _CREDENTIALS.fullmatch(text):
        yield credentials[1]
    for found in _PARAMETER.finditer(text):
        if _is_named(found):
            yield from (found[2], unquote_plus(found[2]))
    for found in _MEMBER.finditer(text):
        if _is_named(found):
            yield found[2]
            with suppress(ValueError):
                yield json.loads(f'"{found[2]}"', strict=False)


def _as_sent(username: str, password: str) -> Iterator[str]:
    """The password as basic authentication and the logins of SASL, PLAIN and LOGIN, send it."""
    sent = (f"{username}:{password}", f"\0{username}\0{password}", password)
    return (base64.b64encode(text.encode()).decode() for text in sent)


def hidden(text: str) -> str:
    """The text without what is called like a secret: `?token=••••••`, `"password": "••••••"`, `https://••••••@host`."""
    text = _USERINFO.sub(f"{REDACTED}@", text)
    return _MEMBER.sub(_without_value, _PARAMETER.sub(_without_value, text))


def _without_value(found: re.Match[str]) -> str:
    return found[1] + REDACTED if _is_named(found) else found[0]


def _is_named(found: re.Match[str]) -> bool:
    return _SECRET_NAME.search(unquote_plus(found[1])) is not None and not _MECHANISM.fullmatch(found[0])


def _without_begun(text: str, secret: str) -> str:
    """The text without the beginning of a secret at its end: texts are cut where it suits us, and not it."""
    start = max(0, len(text) - len(secret))
    while (at := text.find(secret[:MIN_SECRET], start)) >= 0:
        if secret.startswith(text[at:]):
            return text[:at] + REDACTED
        start = at + 1
    return text


def without(value: Any, secrets: tuple[str, ...]) -> Any:
    """A JSON value without secrets: these, and what is called like one. What PostgreSQL keeps in no text is a mark."""
    match value:
        case str():
            value = _UNKEPT.sub("\N{REPLACEMENT CHARACTER}", value)
            may_be_cut = _CUT in value or len(value) >= CUT_FROM
            for secret in secrets:
                value = value.replace(secret, REDACTED)
                if may_be_cut:
                    value = _CUT.join(_without_begun(part, secret) for part in value.split(_CUT))
            return hidden(value)
        case Mapping():
            return {key: without(inner, secrets) for key, inner in value.items()}
        case list() | tuple():
            return [without(inner, secrets) for inner in value]
        case _:
            return value
