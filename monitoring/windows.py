"""Windows of time, as a page or a program asks for them: `?window=day`, or `?start=` and `?end=`."""

from __future__ import annotations

from collections.abc import Mapping
from contextlib import suppress
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta

NAMED = {
    "hour": timedelta(hours=1),
    "day": timedelta(days=1),
    "week": timedelta(days=7),
    "month": timedelta(days=30),
}
DEFAULT = "day"
CUSTOM = "custom"
_FIRST = datetime(1970, 1, 1, tzinfo=UTC)  # the store counts from here, and what lies before has no results
LONGEST = timedelta(days=3 * 366)


class NoWindow(ValueError):
    """What was asked is no window: the message says what is allowed."""


@dataclass(frozen=True, slots=True)
class Window:
    """A stretch of time that has begun, up to now at the latest."""

    name: str  # of NAMED, or CUSTOM
    start: datetime
    end: datetime

    @property
    def length(self) -> timedelta:
        """From its start to its end."""
        return self.end - self.start


def named(name: str, now: datetime) -> Window:
    """The last hour, day, week or month (30 days)."""
    return Window(name, now - NAMED[name], now)


def asked(query: Mapping[str, str], now: datetime) -> Window:
    """The window of a query; the last day where it names none. Raises NoWindow."""
    begin, end = query.get("start", "").strip(), query.get("end", "").strip()
    name = query.get("window", "").strip()
    if not begin and not end:
        if name and name not in NAMED:
            raise NoWindow(f"window is {name[:40]!r}; allowed: {', '.join(NAMED)}, or start and end")
        return named(name or DEFAULT, now)
    if not begin:
        raise NoWindow("there is an end and no start")
    start, until = _instant("start", begin), min(_instant("end", end), now) if end else now
    if start >= until:
        raise NoWindow("the start is not before the end, or lies in the future")
    if until - start > LONGEST:
        raise NoWindow(f"start and end lie {(until - start).days} days apart; allowed: at most {LONGEST.days}")
    return Window(CUSTOM, start, until)


def _instant(name: str, text: str) -> datetime:
    found = None
    with suppress(ValueError, OverflowError):
        # After a T, a space can only be a plus that was not quoted.
        found = datetime.fromisoformat(text.replace(" ", "+") if "T" in text else text)
        found = found.replace(tzinfo=UTC) if found.tzinfo is None else found.astimezone(UTC)
    if found is None or found < _FIRST:
        raise NoWindow(
            f"{name} is {text[:40]!r}; allowed: an instant since 1970 as in 2026-11-22T18:00Z; without a zone it is UTC"
        )
    return found
