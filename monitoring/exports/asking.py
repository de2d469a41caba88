"""What a request for an export asks for, checked."""

from __future__ import annotations

from collections.abc import Mapping
from datetime import UTC, date, datetime, timedelta
from uuid import UUID

from checks.result import PHASES, Outcome
from checks.store.availability import Span, midnight
from checks.store.periods import LENGTH
from checks.store.rollup import TOTAL
from monitoring.exports.rows import Wanted
from monitoring.objectives.windows import month_of, month_span, parse_month, zone_of

LONGEST = timedelta(days=10 * 366)
DEFAULT = timedelta(days=7)


class Refused(ValueError):
    """A request that can't be answered as asked; its text says what is allowed."""


def instant(text: str) -> datetime:
    """The instant of `2026-10-01`, the midnight of UTC, or `2026-10-01T12:00:00+02:00`; without an offset it is UTC's."""
    try:
        if len(text) == 10:
            return midnight(date.fromisoformat(text))
        found = datetime.fromisoformat(text.replace(" ", "+"))  # a + that was not quoted came as a space
        return (found if found.tzinfo else found.replace(tzinfo=UTC)).astimezone(UTC)
    except (ValueError, OverflowError) as exc:
        example = "2026-10-01 or 2026-10-01T12:00:00Z"
        raise Refused(f"not an instant: {text[:40]!r}; write a date or ISO 8601, as in {example}") from exc


def window(asked: Mapping[str, str], now: datetime) -> Span:
    """What `start` and `end`, or `month` and `zone` ask for; the last 7 days by default."""
    if asked.get("month"):
        return month(asked, now)
    try:
        end = instant(asked["end"]) if asked.get("end") else now
        start = instant(asked["start"]) if asked.get("start") else end - DEFAULT
    except OverflowError as exc:
        raise Refused("the window begins before the calendar does") from exc
    if start >= end:
        raise Refused("the window is empty: its start is not before its end")
    if end - start > LONGEST:
        raise Refused(f"the window is longer than {LONGEST.days} days")
    return start, end


def month(asked: Mapping[str, str], now: datetime) -> Span:
    """What `month` and `zone` ask for; the running month of UTC by default."""
    try:
        zone = zone_of(asked.get("zone") or "UTC")
        first = parse_month(asked["month"]) if asked.get("month") else month_of(now, zone)
        return month_span(first, zone)
    except (ValueError, OverflowError) as exc:
        raise Refused(str(exc)) from exc


def wanted(monitor: UUID, asked: Mapping[str, str], now: datetime) -> Wanted:
    """What of a monitor is exported."""
    start, end = window(asked, now)
    return Wanted(
        monitor=monitor,
        start=start,
        end=end,
        location=asked.get("location", "")[:50],
        outcome=_one_of("outcome", asked, tuple(Outcome)),
        resolution=_one_of("resolution", asked, tuple(LENGTH)),
        phase=_one_of("phase", asked, (TOTAL, *PHASES)),
    )


def _one_of(name: str, asked: Mapping[str, str], allowed: tuple[str, ...]) -> str:
    found = asked.get(name, "")
    if found and found not in allowed:
        raise Refused(f"unknown {name} {found[:40]!r}; one of {', '.join(allowed)}")
    return found
