"""`mongodb`: connects to one server of MongoDB, whatever set it belongs to, logs in, and gives one command that reads."""

from __future__ import annotations

import json
from collections.abc import Mapping
from contextlib import suppress
from typing import Annotated, Any, ClassVar, Literal, Self

from pydantic import AfterValidator, BeforeValidator, Field, model_validator

from checks.expect import Subject
from checks.expect.jsonpath import NotJson, json_text, parse_json
from checks.probe import Kind, ProbeContext
from checks.protocols.databases import DATABASE_SUBJECTS, explained, fill_documents
from checks.protocols.wire import OVER_TLS, WireSpec, importing, open_wire
from checks.result import Observation
from checks.spec import Line, Secret, Text

# The protocol has no way to only read, so the commands that do are named.
READING = (
    "aggregate", "buildInfo", "collStats", "connectionStatus", "count", "dbStats", "distinct", "find", "getParameter",
    "hello", "hostInfo", "listCollections", "listDatabases", "listIndexes", "ping", "replSetGetStatus", "serverStatus",
    "top",
)  # fmt: skip
_WRITING_STAGES = ("$out", "$merge")


def _is_command(text: str) -> str:
    if not text:
        return text
    try:
        document = parse_json(text)
    except NotJson as exc:
        raise ValueError(f'is no JSON: {exc}; write it as in {{"count": "orders"}}') from None
    name = next(iter(document), "") if isinstance(document, dict) else ""
    if name not in READING:
        raise ValueError(f"is no command that only reads; allowed as its first name: {', '.join(READING)}")
    plain = json.dumps(document)  # however the text spells a letter
    if name == "aggregate" and any(stage in plain for stage in _WRITING_STAGES):
        raise ValueError(f"has a stage that writes: {' or '.join(_WRITING_STAGES)}")
    with suppress(ModuleNotFoundError):  # without the extra nobody can tell, nor probe
        from checks.protocols.mongodb import command_of  # noqa: PLC0415

        command_of(text)
    return text


class MongodbSpec(WireSpec):
    """Options of a monitor that asks MongoDB."""

    known_with: ClassVar[Mapping[str, str]] = {**OVER_TLS, **dict.fromkeys(("rows", "value", "json"), "command")}
    subjects: ClassVar[Mapping[str, Subject]] = {
        **DATABASE_SUBJECTS,
        "rows": Subject("rows", "number", "How many documents the answer has, counted up to 1,000."),
        "value": Subject("value", "header", "The first field of the first document, as text or number."),
        "json": Subject(
            "json",
            "json",
            "The answer as JSON; of find, aggregate and what lists, its documents: json $[0].state.",
            argument="jsonpath",
        ),
    }
    example: ClassVar[str] = """\
address: db.example.org:27017
username: stillup
password: ${MONGODB_PASSWORD}
database: shop
command: {count: orders, query: {state: stuck}}
expect:
  - value < 10
"""

    kind: Literal["mongodb"] = "mongodb"
    """Connects to one server of MongoDB, logs in, and gives one command that reads."""
    username: Annotated[Line, Field(max_length=256)] = ""
    """Who logs in (SCRAM). Without it nobody does: it is up once it says who it is."""
    password: Secret = ""
    """The password of that user."""
    auth_source: Annotated[Line, Field(min_length=1, max_length=64)] = "admin"
    """The database that knows the user."""
    database: Annotated[Line, Field(min_length=1, max_length=64)] = "admin"
    """The database that the command is for."""
    command: Annotated[Text, Field(max_length=10_000), BeforeValidator(json_text), AfterValidator(_is_command)] = ""
    """One command in (extended) JSON, a mapping or text, as of db.runCommand(), of those that only read."""

    @model_validator(mode="after")
    def _has_both_user_and_password(self) -> Self:
        if bool(self.username) != bool(self.password):
            missing = "password" if self.username else "username"
            raise ValueError(f"{missing}: username and password belong together")
        return self


async def probe(spec: MongodbSpec, context: ProbeContext) -> Observation:
    """Connect, hear who the server is, log in, and give the command."""
    with importing("mongodb", context.stopwatch):
        from checks.protocols.mongodb import MongoSession  # noqa: PLC0415 - needs the extra

    seen = context.seen
    wire = await open_wire(spec, context)
    explained(wire, seen)
    try:
        session = MongoSession(wire)
        greeting = await session.greet(spec.username, spec.auth_source)
        seen.evidence["role"] = _role(greeting)
        if spec.username:
            await session.log_in(greeting, spec.username, spec.password, spec.auth_source)
        if spec.command:
            fill_documents(seen, await session.ask(spec.database, spec.command, spec.timeout))
        wire.finish()
    finally:
        wire.abort()
    seen.complete = True
    return seen


def _role(greeting: Mapping[str, Any]) -> str:
    """What the server is to its set."""
    if greeting.get("msg") == "isdbgrid":
        return "router"
    if not greeting.get("setName"):
        return "standalone" if greeting.get("isWritablePrimary") else "not ready"
    if greeting.get("isWritablePrimary"):
        return "primary"
    return "secondary" if greeting.get("secondary") else "other member"


MONGODB = Kind(spec=MongodbSpec, probe=probe, extra="mongodb", modules=("pymongo",))
