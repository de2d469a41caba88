"""The periods of the roll-ups: whole minutes, hours and days of UTC, and when they are worth rolling up."""

from __future__ import annotations

from datetime import datetime, timedelta
from typing import Final

MINUTE: Final = "minute"
HOUR: Final = "hour"
DAY: Final = "day"
LENGTH: Final = {MINUTE: timedelta(minutes=1), HOUR: timedelta(hours=1), DAY: timedelta(days=1)}

# A target that is probed this often has roll-ups of minutes too; where it is more seldom, results are as few.
DENSE = 15.0  # seconds

# No transaction that writes a result stays open so long; after it nothing is missing from a period that is over.
SETTLED = timedelta(minutes=2)
SOON = timedelta(minutes=1)
A_MINUTES_WORTH = 1000  # hours that are kept current every minute; of twice as many each is every other minute


def start_of(resolution: str, instant: datetime) -> datetime:
    """The beginning of the period in which an instant lies."""
    minute = instant.replace(second=0, microsecond=0)
    if resolution == MINUTE:
        return minute
    return minute.replace(minute=0) if resolution == HOUR else minute.replace(hour=0, minute=0)


def is_over(resolution: str, start: datetime, now: datetime) -> bool:
    """Whether all results of a period have been written."""
    return start + LENGTH[resolution] + SETTLED <= now


def first_ready(resolution: str, start: datetime, now: datetime) -> datetime:
    """When a period that was just begun is first rolled up: soon for an hour, after its end for a day."""
    end = start + LENGTH[resolution] + SETTLED
    return min(now + SOON, end) if resolution == HOUR and now < end else max(now, end)


def next_ready(resolution: str, start: datetime, now: datetime, work: int = 0) -> datetime:
    """When a period that goes on is rolled up again: in a minute, in more where there is much work, and at its end.

    The work is how many hours go on, and how many results this one has.
    """
    return min(now + SOON * (1 + work // A_MINUTES_WORTH), start + LENGTH[resolution] + SETTLED)
