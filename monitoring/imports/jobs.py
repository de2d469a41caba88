"""A job that somebody runs on a schedule, and the monitor that is proposed for it. Pure."""

from __future__ import annotations

import re
import shlex
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, replace
from datetime import timedelta
from itertools import pairwise
from pathlib import PurePosixPath
from typing import Any

from pydantic import ValidationError

from checks import clock
from checks.evidence import hidden
from checks.probes import parse_spec
from checks.schedule import Schedule
from checks.spec import REDACTED, MonitorSpec, slugify
from checks.units import format_duration

# What stands before the command proper: how many words of its own it takes besides options, and which of those have a
# value as the next word.
_WRAPPERS = {
    **dict.fromkeys(("chronic", "nohup", "run-one", "setsid", "command"), (0, "")),
    "env": (0, "-u -C"),
    "exec": (0, "-a"),
    "flock": (1, "-w -E"),
    "ionice": (0, "-c -n"),
    "nice": (0, "-n"),
    "setlock": (1, ""),
    "stdbuf": (0, "-i -o -e"),
    "sudo": (0, "-u -g -h -p -C -D -r -t"),
    "systemd-cat": (0, "-t -p"),
    "taskset": (1, ""),
    "time": (0, "-o -f"),
    "timeout": (1, "-k -s"),
}
_INTERPRETERS = re.compile(r"(?:python|perl|ruby|node|php|bash|dash|sh|zsh|Rscript)[0-9.]*")
_ASSIGNMENT = re.compile(r"[A-Za-z_][A-Za-z0-9_]*=")
_SKIPPED = frozenset({"cd", "test", "[", "true", ".", "source", "export", "umask", "set", "sleep"})
_PING_URL = re.compile(
    r"/ping/(?:[0-9a-fA-F]{8}-[0-9a-fA-F-]{27}|[A-Za-z0-9_-]{20,64}/[a-z0-9])|\bPING-URL-OF-[a-z0-9]"
)
# Of a command line: `--password x`, `curl -u name:x`, `mysqldump -px`, `NAME_OF_A_TOKEN="x"`; of a header to its quote.
_SECRET_WORD = re.compile(
    r"(--?[a-z0-9-]*(?:passw|passphrase|token|secret|api-?key|bearer)[a-z-]*(?:\s+|=)|--?(?:pass|pwd)(?:\s+|=)"
    r"|-passin\s+pass:|\s(?:-u|--user)[ =]?[^\s:]+:|\bsshpass\s+-p\s*|\bredis-cli\s(?:[^|;&]*\s)?-a\s+"
    r"|\b(?:mysql|mariadb)\S*\s(?:[^|;&]*\s)?-p|\b[a-z0-9_]*(?:passw|pwd|token|secret|api_?key|access_?key)[a-z0-9_]*=)"
    r"(?:\"[^\"]*\"|'[^']*'|[^\s'\"|;&]+)",
    re.IGNORECASE,
)
_SECRET_HEADER = re.compile(r"(\b(?:authorization|(?:[a-z-]*-)?(?:key|token))\s*:\s*)[^'\"|;&]+", re.IGNORECASE)
_LONGEST_DESCRIPTION = 500  # characters
_LOOKED_AT = 10  # next runs
_SHORTEST_GRACE, _LONGEST_GRACE = timedelta(minutes=1), timedelta(hours=1)


@dataclass(frozen=True, slots=True, kw_only=True)
class Job:
    """One scheduled command. `schedule` is what a heartbeat's option `schedule` says."""

    line: int
    command: str
    schedule: dict[str, Any]
    extra: timedelta = timedelta(0)  # by which the scheduler itself may start it late
    where: str = ""  # what it is called there: a unit, a user
    slug: str = ""

    @property
    def description(self) -> str:
        """What the monitor says of the job, passwords left out; by it the job is known again."""
        text = _SECRET_HEADER.sub(rf"\1{REDACTED}", _SECRET_WORD.sub(rf"\1{REDACTED}", hidden(self.command)))
        return "".join(char if char.isprintable() else " " for char in text)[:_LONGEST_DESCRIPTION].strip()

    def spec(self) -> MonitorSpec:
        """The monitor that is proposed. Raises ValueError where there can be none."""
        grace = grace_of(Schedule.parse(self.schedule)) + self.extra
        options = {"kind": "heartbeat", "name": self.slug, "schedule": self.schedule, "description": self.description}
        return parse_spec({**options, "grace": format_duration(grace.total_seconds())})

    def problem(self) -> str:
        """Why there can be no monitor for this job; empty where there can."""
        try:
            replace(self, slug=self.slug or "job").spec()
        except ValidationError as exc:
            first = exc.errors(include_url=False)[0]
            return f"{'.'.join(str(part) for part in first['loc'])}: {first['msg']}"
        except ValueError as exc:
            return str(exc)
        return ""


@dataclass(frozen=True, slots=True, kw_only=True)
class Skipped:
    """A line that makes no monitor, and why."""

    line: int
    text: str
    why: str


def grace_of(schedule: Schedule) -> timedelta:
    """A quarter of the shortest time between two runs soon, at least a minute and at most an hour."""
    expected = schedule.following(clock.utcnow(), _LOOKED_AT)
    shortest = min(second - first for first, second in pairwise(expected))
    quarter = timedelta(seconds=round(shortest.total_seconds() / 4))
    return min(_LONGEST_GRACE, max(_SHORTEST_GRACE, quarter))


def reports_already(command: str) -> bool:
    """Whether a command tells one of our monitors how it went."""
    return _PING_URL.search(command) is not None


def named(jobs: Iterable[Job], taken: Iterable[str] = (), prefix: str = "") -> list[Job]:
    """The jobs, each with a slug of its own: made from its unit or from what its command runs."""
    used, found = set(taken), []
    for job in jobs:
        base = slug = slugify(f"{prefix}-{job.slug or slugify(title(job.command)) or f'job-{job.line}'}")
        number = 2
        while slug in used:
            slug, number = f"{base[:90]}-{number}", number + 1
        used.add(slug)
        found.append(replace(job, slug=slug))
    return found


def title(command: str) -> str:
    """What a command runs: `backup` of `cd /srv && sudo -u app /srv/bin/backup.sh --all`."""
    for words in _simple_commands(command):
        name = _program(words)
        if name and name not in _SKIPPED:
            return name
    return ""


def _simple_commands(command: str) -> list[list[str]]:
    """The words of each command that a shell finds in a text, as far as quotes go."""
    reader = shlex.shlex(command, posix=True, punctuation_chars="();|&")
    reader.whitespace_split, reader.commenters = True, ""
    try:
        words = list(reader)
    except ValueError:  # a quote that is not closed
        words = command.split()
    found: list[list[str]] = [[]]
    for word in words:
        if word.strip("();|&"):
            found[-1].append(word)
        else:
            found.append([])
    return found


def _program(words: Sequence[str]) -> str:
    rest = list(words)
    while rest:
        word = rest.pop(0)
        if _ASSIGNMENT.match(word) or word in ("{", "!"):
            continue
        base = PurePosixPath(word).name
        if base == "run-parts":
            return next((PurePosixPath(part).name for part in rest if not part.startswith("-")), base)
        if base in _WRAPPERS:
            taken, with_value = _WRAPPERS[base]
            rest = _past_options(rest, with_value.split())[taken:]
        elif _INTERPRETERS.fullmatch(base):
            return _script(rest) or base
        else:
            return PurePosixPath(base).stem or base
    return ""


def _past_options(words: list[str], with_value: Sequence[str]) -> list[str]:
    while words and words[0].startswith("-"):
        words = words[2:] if words[0] in with_value else words[1:]
    return words


def _script(words: list[str]) -> str:
    """What an interpreter is given: a file, a module, a command."""
    for index, word in enumerate(words):
        if word == "-m" and index + 1 < len(words):
            return words[index + 1]
        if re.fullmatch(r"-[a-z]*c", word) and index + 1 < len(words):
            return title(words[index + 1])
        if not word.startswith("-"):
            return PurePosixPath(word).stem
    return ""
