"""What a request to `/ping/...` says: its address, what it reports, and the numbers that it brings. Pure."""

from __future__ import annotations

import hashlib
import json
import math
import re
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from functools import lru_cache
from typing import Any
from urllib.parse import parse_qsl
from uuid import UUID

from checks.heartbeats.runs import Action, Address, Named

METHODS = "GET, HEAD, POST"
LONGEST_AGO = timedelta(days=1)  # a client's own time may be so far back
_AHEAD = timedelta(minutes=5)  # by which a client's clock may run ahead of ours; such a ping is dated to its arrival
MOST_NUMBERS = 20
_RESERVED = frozenset({"rid", "create", "at"})

_HEX = "[0-9a-fA-F]"
_UUID = f"{_HEX}{{8}}-{_HEX}{{4}}-{_HEX}{{4}}-{_HEX}{{4}}-{_HEX}{{12}}"
_WHAT = r"(?:/(?P<what>start|fail|log|[0-9]{1,10}))?/?"
_BY_CODE = re.compile(rf"/ping/(?P<code>{_UUID}){_WHAT}")
_BY_SLUG = re.compile(rf"/ping/(?P<key>[A-Za-z0-9_-]{{20,64}})/(?P<slug>[a-z0-9]+(?:-[a-z0-9]+)*){_WHAT}")
_RUN = re.compile(_UUID)
_NUMBER_NAME = re.compile(r"[A-Za-z_][A-Za-z0-9_-]{0,49}")
_NUMBER = re.compile(r"[+-]?(?:[0-9]{1,40}(?:\.[0-9]{0,40})?|\.[0-9]{1,40})(?:[eE][+-]?[0-9]{1,3})?")
_SLUG_LENGTH = 100
_BOM = b"\xef\xbb\xbf"
_REMEMBERED = 20_000  # paths: jobs say the same again and again

Headers = Iterable[tuple[bytes, bytes]]


class Refused(Exception):
    """A request that is no ping, or one that can't be taken."""

    def __init__(self, status: int, sentence: str, headers: Headers = ()) -> None:
        super().__init__(sentence)
        self.status = status
        self.headers = tuple(headers)


@dataclass(slots=True, kw_only=True)
class Request:
    """A request that is a ping."""

    address: Address
    action: Action
    exit_code: int | None = None
    run: UUID | None = None
    create: bool = False
    sent_at: datetime | None = None
    numbers: Mapping[str, float] = field(default_factory=dict)


def digest_of(key: str) -> bytes:
    """What of a ping key is stored: 32 bytes."""
    return hashlib.sha256(key.encode()).digest()


def read(path: str, query: bytes, now: datetime) -> Request:
    """What a path and its query say. Raises Refused."""
    address, action, exit_code = _read_path(path)
    if not query:
        return Request(address=address, action=action, exit_code=exit_code)
    given = dict(parse_qsl(query.decode("latin-1"), keep_blank_values=True))
    return Request(
        address=address,
        action=action,
        exit_code=exit_code,
        run=_run(given.get("rid")),
        create=given.get("create") == "1",
        sent_at=_sent_at(given["at"], now) if "at" in given else None,
        numbers=_numbers((name, value) for name, value in given.items() if name not in _RESERVED),
    )


@lru_cache(maxsize=_REMEMBERED)
def _read_path(path: str) -> tuple[Address, Action, int | None]:
    """The address, action and exit code that a path says. Raises Refused."""
    if match := _BY_CODE.fullmatch(path):
        return UUID(match["code"]), *_said(match["what"] or "")
    match = _BY_SLUG.fullmatch(path)
    if match is None:
        raise Refused(
            404, "no ping; write /ping/<code> or /ping/<key>/<slug>, then /start, /fail, /log or an exit code"
        )
    if len(match["slug"]) > _SLUG_LENGTH:
        raise Refused(404, f"a slug has at most {_SLUG_LENGTH} characters")
    return Named(digest_of(match["key"]), match["slug"]), *_said(match["what"] or "")


def _said(what: str) -> tuple[Action, int | None]:
    """Action and exit code of what stands behind the address."""
    if not what.isdigit():
        return Action(what) if what else Action.SUCCESS, None
    exit_code = int(what)
    if exit_code > 255:
        raise Refused(400, f"exit code {exit_code} is not possible; allowed: 0 to 255")
    return Action.FAIL if exit_code else Action.SUCCESS, exit_code


def _run(given: str | None) -> UUID | None:
    if given is None:
        return None
    if not _RUN.fullmatch(given):
        raise Refused(400, "rid is no UUID; write it as in 8c0f6cb2-6f1e-4b0a-9d50-2f3c1f0f8a11")
    return UUID(given)


def _sent_at(given: str, now: datetime) -> datetime | None:
    """When the client says that it was so; None where that is now."""
    try:
        if _NUMBER.fullmatch(given):
            at = datetime.fromtimestamp(float(given), UTC)
        else:
            at = datetime.fromisoformat(given.replace(" ", "+"))  # a plus that was not percent-encoded
            if at.tzinfo is None:
                raise Refused(400, "at has no time zone; write it as in 2026-11-22T03:00:00Z, or in seconds since 1970")
            at = at.astimezone(UTC)
    except (ValueError, OverflowError, OSError):
        raise Refused(400, "at is no instant; write it as in 2026-11-22T03:00:00Z, or in seconds since 1970") from None
    if at > now + _AHEAD:
        raise Refused(400, f"at is in the future; here it is {now:%Y-%m-%dT%H:%M:%SZ}")
    if at < now - LONGEST_AGO:
        raise Refused(400, "at is more than 24 h ago; what is older can't be reported any more")
    return at if at < now else None


def _numbers(pairs: Iterable[tuple[str, Any]]) -> dict[str, float]:
    """Those of the pairs that are a name and a number, the first few."""
    found: dict[str, float] = {}
    for name, value in pairs:
        number = _number(value)
        if number is not None and _NUMBER_NAME.fullmatch(name) and len(found) < MOST_NUMBERS:
            found[name] = number
    return found


def _number(value: Any) -> float | None:
    if isinstance(value, str):
        value = float(value) if _NUMBER.fullmatch(value) else None
    if isinstance(value, bool) or not isinstance(value, int | float):
        return None
    try:
        number = float(value)
    except OverflowError:
        return None
    return number if math.isfinite(number) else None


def numbers_of(body: bytes) -> dict[str, float]:
    """The numbers among the fields of a body that is a JSON object; none where it is something else."""
    if body.removeprefix(_BOM).lstrip()[:1] != b"{":
        return {}
    try:
        # As old software sends it: names and numbers are the same in all encodings that it has.
        document = json.loads(body.decode("utf-8-sig", "replace"), parse_int=float)
    except (ValueError, RecursionError):
        return {}
    return _numbers((str(name), value) for name, value in document.items() if not isinstance(value, str))
