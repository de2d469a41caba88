"""How long what was measured is kept: settings of the environment, the same for every process of an installation.

Transitions and incidents are kept for ever.
"""

from __future__ import annotations

from dataclasses import dataclass
from datetime import timedelta
from functools import cache

from checks.environment import EnvironmentProblem, read_env
from checks.units import parse_duration

_PREFIX = "STILLUP_KEEP_"
_DAY, _LONGEST = timedelta(days=1), timedelta(days=36500)
_MOST_PINGS = 1_000_000


@dataclass(frozen=True, kw_only=True)  # no slots: its defaults are read from the class
class Ages:
    """The age at which each kind of measurement goes, and how many pings of one monitor stay."""

    results: timedelta = timedelta(days=7)
    minutes: timedelta = timedelta(days=2)
    hours: timedelta = timedelta(days=180)
    days: timedelta = timedelta(days=3 * 365)
    pings: timedelta = timedelta(days=90)
    pings_of_a_monitor: int = 1000


@cache
def ages() -> Ages:
    """What the environment says. Raises EnvironmentProblem where that can't be."""
    found = Ages(
        results=_age("RESULTS", Ages.results),
        minutes=_age("MINUTES", Ages.minutes),
        hours=_age("HOURS", Ages.hours),
        days=_age("DAYS", Ages.days),
        pings=_age("PINGS", Ages.pings),
        pings_of_a_monitor=_number("PINGS_OF_A_MONITOR", Ages.pings_of_a_monitor),
    )
    if not found.results <= found.hours <= found.days:
        raise EnvironmentProblem(
            "STILLUP_KEEP_RESULTS, _HOURS and _DAYS must not fall: a day is made from its hours, an hour from its results"
        )
    return found


def _number(name: str, default: int) -> int:
    text = read_env(f"{_PREFIX}{name}").strip()
    if text and not (text.isdecimal() and 1 <= int(text) <= _MOST_PINGS):
        raise EnvironmentProblem(f"{_PREFIX}{name} is {text!r}; allowed: 1 to {_MOST_PINGS}")
    return int(text or default)


def _age(name: str, default: timedelta) -> timedelta:
    text = read_env(f"{_PREFIX}{name}").strip()
    if not text:
        return default
    try:
        seconds = parse_duration(text)
    except ValueError as exc:
        raise EnvironmentProblem(f"{_PREFIX}{name}: {exc}") from exc
    if not _DAY.total_seconds() <= seconds <= _LONGEST.total_seconds():
        raise EnvironmentProblem(f"{_PREFIX}{name} is {text!r}; allowed: 1d to {_LONGEST.days}d")
    return timedelta(seconds=seconds)
