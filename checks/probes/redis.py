"""`redis`: connects to Redis, Valkey or what speaks like them, logs in, and gives one command.

The protocol is a dozen lines (`checks.protocols.resp`), so no library dials, retries, follows to another node of a cluster or
parses without bounds.
"""

from __future__ import annotations

import re
import shlex
from collections.abc import Mapping
from typing import Annotated, Any, ClassVar, Literal, Self

from pydantic import AfterValidator, Field, model_validator

from checks.expect import Subject
from checks.probe import Kind, ProbeContext, ProbeFailure
from checks.protocols.databases import DATABASE_SUBJECTS, explained, fill_value
from checks.protocols.resp import Refusal, answer, command
from checks.protocols.wire import Wire, WireSpec, open_wire
from checks.result import Observation, Reason
from checks.spec import Line, Secret

_WRONG_LOGIN = ("NOAUTH", "WRONGPASS", "NOPERM", "DENIED")
_LINE = re.compile(r"^([A-Za-z0-9_-]{1,100}):([^\r\n]*)", re.MULTILINE)  # of the answer to INFO
_NUMBER = re.compile(r"-?[0-9]{1,18}(\.[0-9]{1,18})?", re.ASCII)


def _words(text: str) -> list[str]:
    try:
        return shlex.split(text)
    except ValueError as exc:
        raise ValueError(f"can't be split into words: {exc}; quote as in a shell") from exc


def _is_command(text: str) -> str:
    words = _words(text)
    first = words[0].upper() if words else ""
    if first in ("MONITOR", "SUBSCRIBE", "PSUBSCRIBE", "SSUBSCRIBE", "SYNC", "PSYNC"):
        raise ValueError(f"{first} has no end; give a command that is answered once, as in LLEN jobs")
    if first == "HELLO" or [word.upper() for word in words[:2]] == ["CLIENT", "REPLY"]:
        raise ValueError(f"{first} changes how the server answers; give a command that asks something, as in LLEN jobs")
    if text.strip() and not first:
        raise ValueError("is an empty word; give a command, as in LLEN jobs")
    return text


class RedisSpec(WireSpec):
    """Options of a monitor that asks Redis."""

    subjects: ClassVar[Mapping[str, Subject]] = {
        **DATABASE_SUBJECTS,
        "rows": Subject("rows", "number", "How many elements the answer has: of a list, else 1; nothing has none."),
        "value": Subject("value", "header", "The answer, or the first element of a list, as text or number."),
        "json": Subject(
            "json", "json", "The answer as JSON; that of INFO as an object: json $.role.", argument="jsonpath"
        ),
    }
    example: ClassVar[str] = """\
address: cache.example.org:6379
password: ${REDIS_PASSWORD}
command: LLEN jobs
expect:
  - value < 1000
"""

    kind: Literal["redis"] = "redis"
    """Connects to Redis or Valkey, logs in, and gives one command."""
    username: Annotated[Line, Field(max_length=256)] = ""
    """Who logs in, where the server has users (ACL). By default the server's default user."""
    password: Secret = ""
    """The password. Without one nobody logs in: it is up once it answers a stranger, if only to refuse them."""
    database: Annotated[int, Field(strict=True, ge=0, le=65535)] = 0
    """The number of the database that is selected."""
    command: Annotated[Line, Field(max_length=10_000), AfterValidator(_is_command)] = ""
    """One command, its words as in a shell; by default PING. Give the user rights to read only: +@read +ping."""

    @model_validator(mode="after")
    def _has_a_password_for_its_user(self) -> Self:
        if self.username and not self.password:
            raise ValueError("username: needs a password")
        return self


async def probe(spec: RedisSpec, context: ProbeContext) -> Observation:
    """Connect, log in, select a database, and give the command."""
    seen = context.seen
    wire = await open_wire(spec, context)
    explained(wire, seen)
    words = _words(spec.command) or ["PING"]
    try:
        await _enter(spec, wire)
        try:
            found = await _asked(wire, *words)
        except ProbeFailure as exc:
            if spec.password or spec.command or exc.failure.reason is not Reason.AUTHENTICATION:
                raise
        else:
            _tell(seen, words, found)
        wire.finish()
    finally:
        wire.abort()
    seen.complete = True
    return seen


async def _enter(spec: RedisSpec, wire: Wire) -> None:
    if spec.password:
        who = [spec.username] if spec.username else []
        await _asked(wire, "AUTH", *who, spec.password)
    if spec.database:
        await _asked(wire, "SELECT", str(spec.database))


async def _asked(wire: Wire, *words: str) -> Any:
    wire.send(command(*words))
    try:
        return await answer(wire)
    except Refusal as exc:
        wrong = exc.sort in _WRONG_LOGIN or (words[0] == "AUTH" and exc.sort == "ERR")
        reason = Reason.AUTHENTICATION if wrong else Reason.REJECTED
        raise wire.failure(reason, f"the server answered: {exc}") from None


def _tell(seen: Observation, words: list[str], found: Any) -> None:
    if words[0].upper() == "INFO" and isinstance(found, bytes):
        lines = _LINE.findall(found.decode("utf-8", "replace"))
        fill_value(seen, found, document={name: _number(value) for name, value in lines})
    else:
        fill_value(seen, found)


def _number(text: str) -> str | int | float:
    match = _NUMBER.fullmatch(text)
    return text if match is None else float(text) if match[1] else int(text)


REDIS = Kind(spec=RedisSpec, probe=probe)
