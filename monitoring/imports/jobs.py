"""A job that somebody runs on a schedule, and the monitor that is proposed for it. Pure."""

from __future__ import annotations

import re
import shlex
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, replace
from datetime import timedelta
from pathlib import PurePosixPath
from typing import Any

from checks import clock
from checks.probes import parse_spec
from checks.schedule import Schedule
from checks.spec import MonitorSpec, slugify
from checks.units import format_duration

# Words before the command proper, with how many words of their own each takes besides options.
_WRAPPERS = {"sudo": 0, "nice": 0, "ionice": 0, "env": 0, "nohup": 0, "chronic": 0, "exec": 0, "time": 0, "timeout": 1}
_WRAPPERS |= {"flock": 1, "setlock": 1, "run-one": 0, "stdbuf": 0, "setsid": 0, "command": 0, "taskset": 1}
_WITH_VALUE = {"-u", "-g", "-n", "-c", "-w", "-E", "-k", "-s", "-o", "-e", "-i", "-p"}  # options of theirs
_INTERPRETERS = re.compile(r"(?:python|perl|ruby|node|php|bash|dash|sh|zsh|Rscript)[0-9.]*")
_ASSIGNMENT = re.compile(r"[A-Za-z_][A-Za-z0-9_]*=")
_SKIPPED = frozenset({"cd", "test", "[", "true", ".", "source", "export", "umask", "set", "sleep"})
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

    def spec(self) -> MonitorSpec:
        """The monitor that is proposed. Raises ValueError where the schedule can't be read."""
        grace = grace_of(Schedule.parse(self.schedule)) + self.extra
        options = {"kind": "heartbeat", "name": self.slug, "schedule": self.schedule, "description": self.command[:500]}
        return parse_spec({**options, "grace": format_duration(grace.total_seconds())})


@dataclass(frozen=True, slots=True, kw_only=True)
class Skipped:
    """A line that makes no monitor, and why."""

    line: int
    text: str
    why: str


def grace_of(schedule: Schedule) -> timedelta:
    """A quarter of the time between two runs, at least a minute and at most an hour."""
    first, second = schedule.following(clock.utcnow(), 2)
    quarter = timedelta(seconds=round((second - first).total_seconds() / 4))
    return min(_LONGEST_GRACE, max(_SHORTEST_GRACE, quarter))


def reports_already(command: str) -> bool:
    """Whether a command tells a monitor how it went."""
    return "/ping/" in command or re.search(r"(?:^|[\s/])beat\s", command) is not None


def named(jobs: Iterable[Job], taken: Iterable[str] = ()) -> list[Job]:
    """The jobs, each with a slug of its own, made from what its command runs."""
    used, found = set(taken), []
    for job in jobs:
        base = slug = job.slug or slugify(title(job.command)) or f"job-{job.line}"
        number = 2
        while slug in used:
            slug, number = f"{base[:90]}-{number}", number + 1
        used.add(slug)
        found.append(replace(job, slug=slug))
    return found


def title(command: str) -> str:
    """What a command runs: `backup` of `cd /srv && sudo -u app /srv/bin/backup.sh --all`."""
    for part in re.split(r"&&|\|\||[;|&\n]", command):
        words = _words(part)
        name = _program(words)
        if name and name not in _SKIPPED:
            return name
    return ""


def _words(text: str) -> list[str]:
    try:
        return shlex.split(text)
    except ValueError:  # a quote that the shell closes beyond this part
        return text.split()


def _program(words: Sequence[str]) -> str:
    rest = list(words)
    while rest:
        word = rest.pop(0)
        if _ASSIGNMENT.match(word) or word in ("(", "{", "!"):
            continue
        base = PurePosixPath(word).name
        if base in _WRAPPERS:
            rest = _past_options(rest)[_WRAPPERS[base] :]
        elif _INTERPRETERS.fullmatch(base):
            return _script(rest) or base
        else:
            return PurePosixPath(base).stem or base
    return ""


def _past_options(words: list[str]) -> list[str]:
    while words and words[0].startswith("-"):
        words = words[2:] if words[0] in _WITH_VALUE else words[1:]
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
