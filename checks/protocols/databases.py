"""What the kinds that ask a database share: rows as expectations read them, and the options of the two that speak SQL.

The connection is ours (`checks.protocols.wire`). A database's own driver dials by itself, believes lengths and counts that the
server announces, asks the environment for passwords, and opens a second connection to cancel the first.
"""

from __future__ import annotations

import json
import math
from collections.abc import Mapping, Sequence
from dataclasses import replace
from datetime import date, time
from decimal import Decimal
from functools import cached_property
from itertools import islice
from typing import Annotated, Any, ClassVar, Literal, Self

from pydantic import Field, model_validator

from checks.address import parse_host_port
from checks.evidence import excerpt
from checks.expect import Subject
from checks.network import Tls, dial, spec_tls
from checks.network.route import HostPort, ProxiedSpec, SecuredSpec
from checks.probe import TIMINGS, ProbeContext
from checks.protocols.wire import OVER_TLS, Wire
from checks.result import Observation
from checks.spec import Line, Secret, Text

MAX_ROWS = 1000  # that are asked for
MAX_VALUES = 20_000  # of an answer that are read
MAX_DEPTH = 50  # of values in values
STRANGER = "stillup"  # the name that we give where a monitor has none: whoever answers it, answers

DATABASE_SUBJECTS: Mapping[str, Subject] = {
    "rows": Subject("rows", "number", f"How many rows the answer has, counted up to {MAX_ROWS:,}."),
    "value": Subject("value", "header", "The first column of the first row, as text or number; NULL is nothing."),
    "json": Subject("json", "json", "The rows as JSON, a list of objects: json $[0].state.", argument="jsonpath"),
    **TIMINGS,
    "certificate": Subject("certificate", "duration", "The time left until the certificate expires (with tls)."),
}
"""What an expectation of every kind that asks a database can be about."""


class SqlSpec(ProxiedSpec, SecuredSpec):
    """Options of the kinds that may ask a database in SQL."""

    target_option: ClassVar[str] = "address"
    subjects: ClassVar[Mapping[str, Subject]] = DATABASE_SUBJECTS
    known_with: ClassVar[Mapping[str, str]] = {**OVER_TLS, **dict.fromkeys(("rows", "value", "json"), "query")}

    address: HostPort
    """The host and port that is connected to, as in db.example.org:5432 or [::1]:5432."""
    username: Annotated[Line, Field(max_length=256)] = ""
    """Who logs in. Without it nobody does: it is up once it answers a stranger, if only to refuse them."""
    password: Secret = ""
    """The password of that user."""
    database: Annotated[Line, Field(max_length=256)] = ""
    """The database that is opened. By default the user's own, where the server has such a thing."""
    query: Annotated[Text, Field(max_length=10_000)] = ""
    """One statement that is run once logged in, in a transaction that can only read; its rows are the answer."""
    tls: Literal["none", "prefer", "require"] = "prefer"
    """With prefer TLS is spoken where the server offers it, whatever its certificate; with require it is down without."""

    @cached_property
    def target(self) -> tuple[str, int]:
        """The host and the port."""
        return parse_host_port(self.address)

    @cached_property
    def securing(self) -> Tls:
        """How its connections are secured."""
        return replace(spec_tls(self), verify=self.verify and self.tls == "require")

    @model_validator(mode="after")
    def _can_do_what_it_says(self) -> Self:
        for name in ("password", "database", "query"):
            if getattr(self, name) and not self.username:
                raise ValueError(f"{name}: needs a username")
        given = [name for name in ("ca", "server_name", "client_certificate") if getattr(self, name)]
        if given and self.tls == "none":
            raise ValueError(f"{given[0]}: is of no use with tls: none")
        return self


async def open_database(spec: SqlSpec, context: ProbeContext) -> Wire:
    """A wire to the monitor's target, in clear. Raises like `dial`; whoever gets the wire aborts it."""
    host, port = spec.target
    wire = await dial(context, host, port, lambda: Wire(context.stopwatch), route=spec.route)
    wire.start()
    explained(wire, context.seen)
    return wire


def explained(wire: Wire, seen: Observation) -> None:
    """Let a result show what was answered, as far as it came."""

    def explain() -> dict[str, Any]:
        answer = seen.facts.get("body")
        evidence: dict[str, Any] = {} if answer is None else {"json": excerpt(answer)}
        return evidence if wire.certificate is None else {**evidence, "certificate": wire.certificate.as_dict()}

    seen.explain = explain
    seen.progress = lambda: f"({wire.heard} bytes so far)"


def fill(seen: Observation, columns: Sequence[str], rows: Sequence[Sequence[Any]]) -> None:
    """Tell what a query answered. What is NULL is in the JSON and nowhere else: it is no value."""
    plain = _Plain()
    kept = [[plain.of(value) for value in row] for row in rows[:MAX_ROWS] if plain.left > 0]
    first = kept[0][0] if kept and kept[0] else None
    document = [dict(zip(columns, row, strict=False)) for row in kept]
    _tell(seen, min(len(rows), MAX_ROWS), first, document, cut=len(rows) > MAX_ROWS or plain.left <= 0)


def fill_value(seen: Observation, answer: Any, *, document: Any = None) -> None:
    """Tell what a command answered, that is no table: one value or a list of them. `document` is its JSON, if another."""
    plain = _Plain()
    found = plain.of(answer)
    several = found if isinstance(found, list) else [] if found is None else [found]
    shown = found if document is None else document
    _tell(seen, len(several), several[0] if several else None, shown, cut=plain.left <= 0)


def fill_documents(seen: Observation, answer: Mapping[str, Any]) -> None:
    """Tell what a command of MongoDB answered: its documents or values where it has a list of them, else itself."""
    cursor, plain = answer.get("cursor"), _Plain()
    found = cursor.get("firstBatch") if isinstance(cursor, Mapping) else answer.get("values")
    if isinstance(found, list):
        shown: Any = plain.of(found[:MAX_ROWS])
        rows, first, cut = min(len(found), MAX_ROWS), shown[0] if shown else None, len(found) > MAX_ROWS
    else:
        shown = first = plain.of(answer)
        rows, cut = 1, False
    value = next(iter(first.values()), None) if isinstance(first, dict) else first
    _tell(seen, rows, value, shown, cut=cut or plain.left <= 0)


def _tell(seen: Observation, rows: int, value: Any, document: Any, *, cut: bool) -> None:
    seen.facts["rows"] = seen.evidence["rows"] = rows
    if value is not None:
        seen.facts["value"] = value if isinstance(value, str) else json.dumps(value, ensure_ascii=False)
    seen.facts["body"] = json.dumps(document, ensure_ascii=False).encode(errors="replace")
    if cut:
        seen.evidence["notes"] = [f"cut at {MAX_ROWS:,} rows or {MAX_VALUES:,} values"]


class _Plain:
    """Values of a database as JSON has them: what it has no form for becomes text, what is too deep or too much dots.

    Whoever answers decides how many values there are, and nothing else is probed while they are read.
    """

    def __init__(self) -> None:
        self.left = MAX_VALUES

    def of(self, value: Any, depth: int = 0) -> Any:
        """The value as JSON has it."""
        self.left -= 1
        match value:
            case None | bool() | int() | str():
                return value
            case float():
                return value if math.isfinite(value) else str(value)
            case Decimal():
                return _number(value)
            case bytes():
                return _text(value)
            case date() | time():
                return value.isoformat()
            case Mapping() | list() | tuple() if depth >= MAX_DEPTH or self.left <= 0:
                return "…"
            case Mapping():
                return {str(key): self.of(inner, depth + 1) for key, inner in islice(value.items(), self.left)}
            case list() | tuple():
                return [self.of(inner, depth + 1) for inner in islice(value, self.left)]
            case _:
                return str(value)


def _number(value: Decimal) -> int | float | str:
    if not value.is_finite():
        return str(value)
    _, digits, exponent = value.as_tuple()
    if isinstance(exponent, int) and exponent >= 0 and len(digits) + exponent <= 40:
        return int(value)
    inexact = float(value)
    return inexact if math.isfinite(inexact) else str(value)


def _text(data: bytes) -> str:
    try:
        return data.decode()
    except UnicodeDecodeError:
        return "0x" + data.hex()
