"""Reads crontabs: which jobs there are, and how a line says it once its job reports. Pure.

The rules are those of Debian's cron: assignments hold for the lines below them, an unescaped % begins what the command
reads, and a file below /etc has the user in a column of its own. CRON_TZ is that of other crons.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from monitoring.imports.jobs import Job, Skipped, reports_already

_ASSIGNMENT = re.compile(r"""\s*(?P<name>[A-Za-z_][A-Za-z0-9_]*|"[^"]*"|'[^']*')\s*=\s*(?P<value>.*?)\s*""")
_NICKNAME = re.compile(r"[ \t]*(?P<when>@[A-Za-z_]+)[ \t]+(?P<rest>.+)")
_FIELDS = re.compile(r"[ \t]*(?P<when>(?:[^ \t]+[ \t]+){4}[^ \t]+)[ \t]+(?P<rest>.+)")
_USER = re.compile(r"(?P<user>[^ \t]+)[ \t]+(?P<rest>.+)")
_COMMAND = re.compile(r"(?P<command>(?:[^\\%]|\\.?)*)(?P<input>%.*)?")
_ESCAPED = re.compile(r"\\([%\\])")


@dataclass(frozen=True, slots=True, kw_only=True)
class Line:
    """One line of a crontab that starts a job."""

    number: int
    before: str  # schedule, and user
    command: str  # as it stands, with its escapes
    given: str  # from the % on that begins what it reads
    user: str
    shell: str
    schedule: dict[str, Any]

    @property
    def job(self) -> Job:
        """What it starts."""
        return Job(
            line=self.number,
            command=_ESCAPED.sub(r"\1", self.command).strip(),
            schedule=self.schedule,
            where=self.user,
        )


def lines_of(text: str) -> list[str]:
    """The lines of a text; where they end like those of DOS, without that."""
    return [line.removesuffix("\r") for line in text.split("\n")]


def looks_like_system(text: str) -> bool:
    """Whether the user stands in a column of its own: where the sixth word of every line is the name of one."""
    sixth = [match["rest"].partition(" ")[0].partition("\t")[0] for line in lines_of(text) if (match := _match(line))]
    return "root" in sixth and all(re.fullmatch(r"[a-z_][a-z0-9_-]{0,31}", word) for word in sixth)


def _match(line: str) -> re.Match[str] | None:
    if not line.strip() or line.lstrip().startswith("#") or _ASSIGNMENT.fullmatch(line):
        return None
    return _NICKNAME.fullmatch(line) or _FIELDS.fullmatch(line)


def read(text: str, *, system: bool, timezone: str) -> tuple[list[Line], list[Skipped]]:
    """The lines that start jobs, and those that can't be watched. `timezone` is that of the machine."""
    lines: list[Line] = []
    skipped: list[Skipped] = []
    assigned = {"CRON_TZ": timezone, "SHELL": "/bin/sh"}
    for number, raw in enumerate(lines_of(text), start=1):
        if not raw.strip() or raw.lstrip().startswith("#"):
            continue
        assignment = _ASSIGNMENT.fullmatch(raw)
        if assignment is not None:
            name, value = (assignment[part].strip("\"'") for part in ("name", "value"))
            assigned[name] = value or timezone if name == "CRON_TZ" else value
            continue
        found = _read_line(raw, number, system=system, assigned=assigned)
        if isinstance(found, Line):
            lines.append(found)
        else:
            skipped.append(Skipped(line=number, text=raw, why=found))
    return lines, skipped


def _read_line(raw: str, number: int, *, system: bool, assigned: Mapping[str, str]) -> Line | str:
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
    parts = _COMMAND.fullmatch(rest)
    if parts is None or not parts["command"].strip():
        return "there is no command"
    if when == "@reboot":
        return "a job that runs at boot has no schedule"
    if reports_already(rest):
        return "it reports already"
    line = Line(
        number=number,
        before=raw[: len(raw) - len(rest)],
        command=parts["command"],
        given=parts["input"] or "",
        user=user,
        shell=assigned["SHELL"],
        schedule={"cron": " ".join(when.split()), "timezone": assigned["CRON_TZ"]},
    )
    return line.job.problem() or line


def patched(line: Line, url: str, beat: str) -> str:
    """The line as it is once its job reports by `beat`. Its escapes, and what it reads, are cron's business as before."""
    quoted = "'" + line.command.replace("'", "'\\''") + "'"
    return f"{line.before}{beat} {url} -- {line.shell} -c {quoted}{line.given}"
