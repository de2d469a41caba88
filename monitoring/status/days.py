"""How ninety days of a component are drawn and put into words."""

from __future__ import annotations

import math

from checks.units import spoken_duration
from monitoring.status.public import PublicComponent, PublicDay
from monitoring.words import percent, share

PITCH, GAP, HEIGHT = 4, 1, 34  # units of the drawing
SMALL = 0.99  # a day at least this available has a small outage


def level(day: PublicDay) -> str:
    """`none` (nothing was seen), `up`, `some` (a small outage) or `down`."""
    if day.ratio is None:
        return "none"
    if day.ratio >= 1:
        return "up"
    return "some" if day.ratio >= SMALL else "down"


def bite(day: PublicDay) -> int:
    """How much of the bar an outage takes: by the square root, so that a few minutes can be seen at all."""
    missing = 1 - (day.ratio or 0.0)
    return min(HEIGHT, max(10, round(HEIGHT * math.sqrt(missing))))


def sentence(day: PublicDay) -> str:
    """One day in words: `12 Nov 2026: 99.31 % available, 9 min 56 s of outage`."""
    name = f"{day.day.day} {day.day:%b %Y}"
    if day.ratio is None:
        return f"{name}: not observed"
    said = f"{name}: {percent(day.ratio)} available"
    if day.down_seconds > 0:
        said += f", {spoken_duration(max(1.0, day.down_seconds))} of outage"
    return said if day.observed >= 0.9995 else f"{said}, {share(day.observed)} observed"


def with_outages(component: PublicComponent) -> list[PublicDay]:
    """The days on which it did not always serve, newest first."""
    return [day for day in reversed(component.days) if day.ratio is not None and day.ratio < 1]


def summary(component: PublicComponent) -> str:
    """What the drawing shows, for those who don't see it."""
    if component.ratio is None:
        return f"{component.name}, {len(component.days)} days: nothing was observed"
    bad = len(with_outages(component))
    outages = "no outage" if not bad else f"outages on {bad} day{'s' if bad > 1 else ''}"
    seen = f"{share(component.observed)} of the time observed"
    return f"{component.name}, {len(component.days)} days: {percent(component.ratio)} available, {outages}, {seen}"
