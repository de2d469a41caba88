"""Months and rolling windows, as instants. Pure.

A month is one of a time zone: where clocks change within it, it is an hour longer or shorter.
"""

from __future__ import annotations

import re
from datetime import UTC, date, datetime, timedelta, tzinfo
from zoneinfo import ZoneInfo

from checks.schedule import time_zone
from checks.store.availability import Span, midnight

_MONTH = re.compile(r"((?:19|[2-8][0-9])[0-9]{2})-(0[1-9]|1[0-2])", re.ASCII)


def zone_of(name: str) -> tzinfo:
    """The time zone of this name. Raises ValueError that says what to write."""
    return UTC if name == "UTC" else time_zone(name)


def parse_month(text: str) -> date:
    """The first day of `2026-10`. Raises ValueError that says what to write."""
    match = _MONTH.fullmatch(text)
    if match is None:
        raise ValueError(f"not a month: {text[:40]!r}; write year and month, as in 2026-10")
    return date(int(match[1]), int(match[2]), 1)


def month_of(instant: datetime, zone: tzinfo) -> date:
    """The first day of the month in which an instant lies."""
    return instant.astimezone(zone).date().replace(day=1)


def next_month(first: date) -> date:
    """The first day of the month after."""
    return (first + timedelta(days=31)).replace(day=1)


def last_month(first: date) -> date:
    """The first day of the month before."""
    return (first - timedelta(days=1)).replace(day=1)


def month_span(first: date, zone: tzinfo) -> Span:
    """From the first midnight of a month to that of the next one."""
    return midnight(first, zone), midnight(next_month(first), zone)


def window_at(now: datetime, seconds: float | None, zone: tzinfo) -> Span:
    """The rolling window of so many seconds that ends now; the calendar month in which now lies, where None."""
    if seconds is None:
        return month_span(month_of(now, zone), zone)
    return now - timedelta(seconds=seconds), now


def zone_name(zone: tzinfo) -> str:
    """`UTC`, `Europe/Riga`."""
    return zone.key if isinstance(zone, ZoneInfo) else "UTC"
