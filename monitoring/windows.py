"""Windows of time, as a page or a program asks for them: `?window=day`, or `?from=` and `?to=`."""

from __future__ import annotations

from collections.abc import Mapping
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
    begin, end = query.get("from", "").strip(), query.get("to", "").strip()
    name = query.get("window", "").strip()
    if not begin and not end:
        if name and name not in NAMED:
            raise NoWindow(f"window is {name[:40]!r}; allowed: {', '.join(NAMED)}, or from and to")
        return named(name or DEFAULT, now)
    if not begin:
        raise NoWindow("there is a `to` and no `from`")
    start, until = _instant("from", begin), min(_instant("to", end), now) if end else now
    if start >= until:
        raise NoWindow("`from` is not before `to`, or lies in the future")
    if until - start > LONGEST:
        raise NoWindow(f"from and to lie {(until - start).days} days apart; allowed: at most {LONGEST.days}")
    return Window(CUSTOM, start, until)


def _instant(name: str, text: str) -> datetime:
    try:
        found = datetime.fromisoformat(text)
        return found.replace(tzinfo=UTC) if found.tzinfo is None else found.astimezone(UTC)
    except (ValueError, OverflowError):
        raise NoWindow(
            f"{name} is {text[:40]!r}; allowed: an instant as in 2026-11-22T18:00Z; without a zone it is UTC"
        ) from None
