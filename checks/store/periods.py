"""The periods of the roll-ups: whole hours and whole days of UTC, and when they are worth rolling up."""

from __future__ import annotations

from datetime import datetime, timedelta
from typing import Final

HOUR: Final = "hour"
DAY: Final = "day"
LENGTH: Final = {HOUR: timedelta(hours=1), DAY: timedelta(days=1)}

# No transaction that writes a result stays open so long; after it nothing is missing from a period that is over.
SETTLED = timedelta(minutes=2)
SOON = timedelta(minutes=1)


def start_of(resolution: str, instant: datetime) -> datetime:
    """The beginning of the period in which an instant lies."""
    hour = instant.replace(minute=0, second=0, microsecond=0)
    return hour if resolution == HOUR else hour.replace(hour=0)


def is_over(resolution: str, start: datetime, now: datetime) -> bool:
    """Whether all results of a period have been written."""
    return start + LENGTH[resolution] + SETTLED <= now


def first_ready(resolution: str, start: datetime, now: datetime) -> datetime:
    """When a period that was just begun is first rolled up: soon for an hour, after its end for a day."""
    end = start + LENGTH[resolution] + SETTLED
    return min(now + SOON, end) if resolution == HOUR and now < end else max(now, end)


def next_ready(resolution: str, start: datetime, now: datetime) -> datetime:
    """When a period that goes on is rolled up again: after as long again as it has gone on, and at its end."""
    return min(now + max(SOON, now - start), start + LENGTH[resolution] + SETTLED)
