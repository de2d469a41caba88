"""Reads systemd timers as `systemctl cat a.timer a.service` prints them: their jobs, and how a service reports. Pure."""

from __future__ import annotations

import math
import re
from dataclasses import dataclass, field
from datetime import timedelta
from typing import Any
from zoneinfo import available_timezones

from checks.spec import slugify
from checks.units import format_duration
from monitoring.imports.jobs import Job, Skipped, reports_already

_FILE = re.compile(r"#[ \t]+/(?:\S*/)?(?P<unit>[^/\s]+\.(?:timer|service))(?:\.d/[^/\s]+\.conf)?")
_ENTRY = re.compile(r"(?P<name>[A-Za-z]+)\s*=\s*(?P<value>.*)")
_SPAN = re.compile(r"(?P<number>[0-9]+(?:\.[0-9]+)?)\s*(?P<unit>[a-zA-Z]*)")
_UNITS = {
    **dict.fromkeys(("us", "usec"), 1e-6),
    **dict.fromkeys(("ms", "msec"), 1e-3),
    **dict.fromkeys(("", "s", "sec", "second", "seconds"), 1.0),
    **dict.fromkeys(("m", "min", "minute", "minutes"), 60.0),
    **dict.fromkeys(("h", "hr", "hour", "hours"), 3600.0),
    **dict.fromkeys(("d", "day", "days"), 86400.0),
    **dict.fromkeys(("w", "week", "weeks"), 604800.0),
    **dict.fromkeys(("M", "month", "months"), 2629800.0),
    **dict.fromkeys(("y", "year", "years"), 31557600.0),
}
_WORD = re.compile(r"""(?:\\.|"(?:\\.|[^"\\])*"|'(?:\\.|[^'\\])*'|\S)+""")
_PREFIX = re.compile(r"[-@:+!|]*")
_STAYS = ("forking", "notify", "notify-reload", "dbus")  # types of services that are no jobs with an end
_ACCURACY = 60.0  # seconds by which systemd starts a timer late, unless it says another AccuracySec


@dataclass(slots=True)
class Unit:
    """One unit, with its drop-ins: what each setting says, in the order of the text."""

    name: str
    line: int
    settings: dict[str, list[str]] = field(default_factory=dict)

    def last(self, name: str) -> str:
        """The last value of a setting; empty where it has none."""
        return (self.settings.get(name) or [""])[-1]


@dataclass(frozen=True, slots=True, kw_only=True)
class Timer:
    """One timer and the service that it starts."""

    job: Job
    service: str
    commands: tuple[str, ...]  # its ExecStart lines, each one command


def is_systemd(text: str) -> bool:
    """Whether this is what `systemctl cat` prints, and no crontab."""
    return re.search(r"^\s*\[(?:Timer|Unit|Service)\]\s*$", text, re.MULTILINE) is not None


def read(text: str, *, timezone: str) -> tuple[list[Timer], list[Skipped]]:
    """The timers that can be watched, and those that can't. `timezone` is that of the machine."""
    units = _units(text)
    timers: list[Timer] = []
    skipped: list[Skipped] = []
    for unit in units.values():
        if not unit.name.endswith(".timer"):
            continue
        found = _timer(unit, units, timezone)
        if isinstance(found, Timer):
            timers.append(found)
        else:
            skipped.append(Skipped(line=unit.line, text=unit.name, why=found))
    return timers, skipped


def _units(text: str) -> dict[str, Unit]:
    units: dict[str, Unit] = {}
    current: Unit | None = None
    begun = ""  # of a setting that goes on in the next line
    for number, raw in enumerate(text.split("\n"), start=1):
        line = raw.strip()
        header = _FILE.fullmatch(line)
        if header is not None:
            current, begun = units.setdefault(header["unit"], Unit(header["unit"], number)), ""
        elif not line or line[0] in "#;" or current is None:
            continue
        elif line.endswith("\\"):
            begun += line[:-1] + " "
        else:
            whole, begun = begun + line, ""
            entry = _ENTRY.fullmatch(whole)
            if entry is not None and entry["value"]:
                current.settings.setdefault(entry["name"], []).append(entry["value"])
            elif entry is not None:
                current.settings[entry["name"]] = []  # an empty value takes back what was said before
    return units


def _timer(unit: Unit, units: dict[str, Unit], timezone: str) -> Timer | str:
    """The timer, or why it can't be watched."""
    service = unit.last("Unit") or unit.name.removesuffix(".timer") + ".service"
    known = units.get(service)
    commands = (
        tuple(command for line in known.settings.get("ExecStart", ()) for command in _split(line)) if known else ()
    )
    if known is None or not commands:
        return f"{service} is not here, or starts nothing; `systemctl cat {unit.name} {service}` prints both"
    if any(reports_already(command) for command in commands):
        return "it reports already"
    if known.last("Type") in _STAYS:
        return f"{service} is of the type {known.last('Type')}: it stays, a job ends"
    if any("|" in _prefix(command) for command in commands):
        return f"{service} has a shell start its command by the prefix |; write /bin/sh -c instead"
    try:
        schedule = _schedule(unit, timezone)
        extra = _seconds(unit, "RandomizedDelaySec", 0.0) + _seconds(unit, "AccuracySec", _ACCURACY)
    except ValueError as exc:
        return str(exc)
    job = Job(
        line=unit.line,
        command=_without_prefix(commands[0]),
        schedule=schedule,
        extra=timedelta(seconds=math.ceil(extra)),
        where=service,
        slug=slugify(unit.name.removesuffix(".timer")),
    )
    return job.problem() or Timer(job=job, service=service, commands=commands)


def _split(line: str) -> list[str]:
    """The commands of one ExecStart line: a semicolon that is a word stands between two, unless a backslash says not."""
    ends = [word.span() for word in _WORD.finditer(line) if word[0] == ";"]
    begins = [0, *(end for _, end in ends)]
    parts = (line[begin:end].strip() for begin, end in zip(begins, [*(start for start, _ in ends), None], strict=True))
    return [part for part in parts if part]


def _prefix(command: str) -> str:
    found = _PREFIX.match(command)
    return found[0] if found else ""


def _without_prefix(command: str) -> str:
    """The program and its arguments: behind an @ the second word is only what the program is called."""
    signs = _prefix(command)
    rest = command[len(signs) :].lstrip()
    if "@" not in signs:
        return rest
    program, _, others = rest.partition(" ")
    return f"{program} {others.lstrip().partition(' ')[2].lstrip()}".rstrip()


def _schedule(unit: Unit, timezone: str) -> dict[str, Any]:
    calendars = unit.settings.get("OnCalendar", [])
    if calendars:
        split = [_calendar_and_zone(calendar, timezone) for calendar in calendars]
        zones = sorted({zone for _, zone in split})
        if len(zones) > 1:
            raise ValueError(f"its calendars are in several time zones: {', '.join(zones)}")
        return {"oncalendar": [calendar for calendar, _ in split], "timezone": zones[0]}
    for name in ("OnUnitActiveSec", "OnUnitInactiveSec"):
        if unit.last(name):
            return {"every": format_duration(_span(unit.last(name)))}
    raise ValueError("it has no OnCalendar and no OnUnitActiveSec: it does not come again")


def _calendar_and_zone(calendar: str, timezone: str) -> tuple[str, str]:
    """A calendar expression without the time zone at its end, and that zone or the machine's."""
    rest, _, last = calendar.rpartition(" ")
    return (rest.strip(), last) if last in available_timezones() else (calendar, timezone)


def _seconds(unit: Unit, name: str, default: float) -> float:
    return _span(unit.last(name)) if unit.last(name) else default


def _span(text: str) -> float:
    """Seconds of a time span, as in `1h 30min`. Raises ValueError."""
    found = list(_SPAN.finditer(text))
    if not found or _SPAN.sub("", text).strip() or any(each["unit"] not in _UNITS for each in found):
        raise ValueError(f"{text!r} is no time span")
    return sum(float(each["number"]) * _UNITS[each["unit"]] for each in found)


def _forgiving(signs: str) -> str:
    """What lets a command whose failures systemd ignores report a success whatever it ends with."""
    if "-" not in signs:
        return ""
    dollar = "$" if ":" in signs else "$$"  # behind a colon systemd replaces none
    return f"/bin/sh -c '\"{dollar}@\" || :' sh "


def patched(timer: Timer, url: str, beat: str) -> str:
    """The drop-in by which the service reports, as `systemctl edit` takes it."""
    lines = [f"# systemctl edit {timer.service}", "[Service]", "ExecStart="]
    escaped = url.replace("%", "%%")  # systemd's own specifiers begin with it
    for command in timer.commands:
        signs = _prefix(command).replace("@", "")
        lines.append(f"ExecStart={signs}{beat} {escaped} -- {_forgiving(signs)}{_without_prefix(command)}")
    return "\n".join(lines)
