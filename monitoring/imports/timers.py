"""Reads systemd timers as `systemctl cat a.timer a.service` prints them: their jobs, and how a service reports. Pure."""

from __future__ import annotations

import re
from dataclasses import dataclass, field
from datetime import timedelta
from typing import Any
from zoneinfo import available_timezones

from checks.schedule import Schedule
from monitoring.imports.jobs import Job, Skipped, reports_already

_FILE = re.compile(r"#\s+(?P<path>/\S+)")
_SECTION = re.compile(r"\[(?P<name>[A-Za-z-]+)\]")
_ENTRY = re.compile(r"(?P<name>[A-Za-z]+)\s*=\s*(?P<value>.*)")
_SPAN = re.compile(r"(?P<number>[0-9.]+)\s*(?P<unit>[a-zA-Z]*)")
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
_PREFIX = re.compile(r"[-@:+!|]*")


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
    commands: tuple[str, ...]  # its ExecStart lines


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
    for number, raw in enumerate(re.sub(r"\\\n\s*", " ", text).splitlines(), start=1):
        line = raw.strip()
        header = _FILE.fullmatch(line)
        if header is not None:
            name = _unit_of(header["path"])
            current = units.setdefault(name, Unit(name, number))
        elif not line or line[0] in "#;" or _SECTION.fullmatch(line) or current is None:
            continue
        elif (entry := _ENTRY.fullmatch(line)) is not None:
            values = current.settings.setdefault(entry["name"], [])
            if entry["value"]:
                values.append(entry["value"])
            else:
                values.clear()  # an empty value takes back what was said before
    return units


def _unit_of(path: str) -> str:
    """The unit of a file: of a drop-in, the one whose directory it lies in."""
    *_, directory, name = ("", *path.split("/"))
    return directory.removesuffix(".d") if directory.endswith(".d") else name


def _timer(unit: Unit, units: dict[str, Unit], timezone: str) -> Timer | str:
    """The timer, or why it can't be watched."""
    service = unit.last("Unit") or unit.name.removesuffix(".timer") + ".service"
    known = units.get(service)
    commands = tuple(known.settings.get("ExecStart", ())) if known is not None else ()
    if any(reports_already(command) for command in commands):
        return "it reports already"
    try:
        schedule = _schedule(unit, timezone)
        extra = sum((_span(unit.last(name)) for name in ("RandomizedDelaySec", "AccuracySec") if unit.last(name)), 0.0)
        Schedule.parse(schedule)
    except ValueError as exc:
        return str(exc)
    command = _PREFIX.sub("", commands[0], count=1) if commands else service
    job = Job(
        line=unit.line,
        command=command,
        schedule=schedule,
        extra=timedelta(seconds=extra),
        where=service,
        slug=re.sub(r"[^a-z0-9]+", "-", unit.name.removesuffix(".timer").lower()).strip("-"),
    )
    return Timer(job=job, service=service, commands=commands)


def _schedule(unit: Unit, timezone: str) -> dict[str, Any]:
    calendars = unit.settings.get("OnCalendar", [])
    if calendars:
        zones = {zone for calendar in calendars if (zone := calendar.split()[-1]) in available_timezones()}
        if len(zones) > 1:
            raise ValueError(f"its calendars are in several time zones: {', '.join(sorted(zones))}")
        plain = [re.sub(rf"\s+{re.escape(next(iter(zones)))}$", "", text) if zones else text for text in calendars]
        return {"oncalendar": plain if len(plain) > 1 else plain[0], "timezone": next(iter(zones), timezone)}
    for name in ("OnUnitActiveSec", "OnUnitInactiveSec"):
        if unit.last(name):
            return {"every": f"{_span(unit.last(name)):g}s"}
    raise ValueError("it has no OnCalendar and no OnUnitActiveSec: it does not come again")


def _span(text: str) -> float:
    """Seconds of a time span, as in `1h 30min`. Raises ValueError."""
    found = list(_SPAN.finditer(text))
    if not found or _SPAN.sub("", text).strip() or any(each["unit"] not in _UNITS for each in found):
        raise ValueError(f"{text!r} is no time span")
    return sum(float(each["number"]) * _UNITS[each["unit"]] for each in found)


def patched(timer: Timer, url: str, beat: str) -> str:
    """The drop-in by which the service reports, as `systemctl edit` takes it."""
    lines = [f"# systemctl edit {timer.service}", "[Service]", "ExecStart="]
    escaped = url.replace("%", "%%")  # systemd's own specifiers begin with it
    for command in timer.commands:
        prefix = _PREFIX.match(command)
        signs = prefix[0] if prefix else ""
        lines.append(f"ExecStart={signs}{beat} {escaped} -- {command[len(signs) :]}")
    return "\n".join(lines)
