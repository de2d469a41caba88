"""Reads crontabs: which jobs there are, and how a line says it once its job reports. Pure.

The rules are those of Debian's cron: assignments hold for the lines below them, an unescaped % begins what the command
reads, and a file below /etc has the user in a column of its own.
"""

from __future__ import annotations

import re
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

from checks.schedule import Schedule
from monitoring.imports.jobs import Job, Skipped, reports_already

_ASSIGNMENT = re.compile(r"""\s*(?P<name>[A-Za-z_][A-Za-z0-9_]*|"[^"]*"|'[^']*')\s*=\s*(?P<value>.*?)\s*""")
_NICKNAME = re.compile(r"\s*(?P<when>@[a-z]+)\s+(?P<rest>.+)")
_FIELDS = re.compile(r"\s*(?P<when>(?:[^\s]+\s+){4}[^\s]+)\s+(?P<rest>.+)")
_USER = re.compile(r"(?P<user>[a-z_][a-z0-9_-]*\$?)\s+(?P<rest>.+)")
_INPUT = re.compile(r"(?<!\\)%")


@dataclass(frozen=True, slots=True, kw_only=True)
class Line:
    """One line of a crontab that starts a job."""

    number: int
    before: str  # schedule, and user
    command: str  # as it stands, % and all
    user: str
    schedule: dict[str, Any]


def looks_like_system(text: str) -> bool:
    """Whether the user stands in a column of its own: where the sixth word of every line is the name of one."""
    sixth = [match["rest"].split()[0] for line in text.splitlines() if (match := _match(line)) is not None]
    return (
        bool(sixth)
        and all(word == "root" or re.fullmatch(r"[a-z_][a-z0-9_-]{0,31}", word) for word in sixth)
        and "root" in sixth
    )


def _match(line: str) -> re.Match[str] | None:
    if not line.strip() or line.lstrip().startswith("#") or _ASSIGNMENT.fullmatch(line):
        return None
    return _NICKNAME.fullmatch(line) or _FIELDS.fullmatch(line)


def read(text: str, *, system: bool, timezone: str) -> tuple[list[Line], list[Skipped]]:
    """The lines that start jobs, and those that can't be watched. `timezone` is that of the machine."""
    lines: list[Line] = []
    skipped: list[Skipped] = []
    for number, raw in enumerate(text.splitlines(), start=1):
        if not raw.strip() or raw.lstrip().startswith("#"):
            continue
        assignment = _ASSIGNMENT.fullmatch(raw)
        if assignment is not None:
            if assignment["name"].strip("\"'") == "CRON_TZ":
                timezone = assignment["value"].strip("\"'")
            continue
        found = _read_line(raw, number, system=system, timezone=timezone)
        if isinstance(found, Line):
            lines.append(found)
        else:
            skipped.append(Skipped(line=number, text=raw, why=found))
    return lines, skipped


def _read_line(raw: str, number: int, *, system: bool, timezone: str) -> Line | str:
    """The line, or why it can't be watched."""
    match = _match(raw)
    if match is None:
        return "this is neither a job nor an assignment"
    when, rest, user = match["when"], match["rest"], ""
    if system:
        owner = _USER.fullmatch(rest)
        if owner is None:
            return "there is no command behind the user"
        user, rest = owner["user"], owner["rest"]
    if when == "@reboot":
        return "a job that runs at boot has no schedule"
    if reports_already(rest):
        return "it reports already"
    schedule = {"cron": " ".join(when.split()), "timezone": timezone}
    try:
        Schedule.parse(schedule)
    except ValueError as exc:
        return str(exc)
    before = raw[: len(raw) - len(rest)] if raw.endswith(rest) else f"{when} {user} ".replace("  ", " ")
    return Line(number=number, before=before, command=rest, user=user, schedule=schedule)


def jobs(lines: Sequence[Line]) -> list[Job]:
    """The jobs of the lines."""
    return [
        Job(
            line=line.number,
            command=_INPUT.split(line.command, maxsplit=1)[0].replace("\\%", "%").strip(),
            schedule=line.schedule,
            where=line.user,
        )
        for line in lines
    ]


def patched(line: Line, url: str, beat: str) -> str:
    """The line as it is once its job reports by `beat`. What the command reads from the line stays behind it."""
    command, *given = _INPUT.split(line.command, maxsplit=1)
    quoted = "'" + command.rstrip().replace("'", "'\\''") + "'"
    behind = f"%{given[0]}" if given else ""
    return f"{line.before}{beat} {url} -- /bin/sh -c {quoted}{behind}"
