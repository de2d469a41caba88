"""What a request for an export asks for, checked: what it can't be raises Refused with what is allowed."""

from __future__ import annotations

from collections.abc import Mapping
from datetime import datetime
from uuid import UUID

from checks.result import PHASES, Outcome
from checks.store.availability import Span
from checks.store.periods import LENGTH
from checks.store.tally import TOTAL
from monitoring import windows
from monitoring.api.door import Refused
from monitoring.exports.rows import Wanted
from monitoring.objectives.windows import month_of, month_span, parse_month, zone_of


def window(query: Mapping[str, str], now: datetime) -> Span:
    """What `month` and `zone`, `start` and `end`, or `window` ask for; the last day by default."""
    if query.get("month"):
        return month(query, now)
    try:
        found = windows.asked(query, now)
    except windows.NoWindow as exc:
        raise Refused(400, str(exc)) from exc
    return found.start, found.end


def names_window(query: Mapping[str, str]) -> bool:
    """Whether a query, which may be for a month, says `start`, `end` or `window`."""
    return any(query.get(name, "").strip() for name in ("start", "end", "window"))


def month(query: Mapping[str, str], now: datetime) -> Span:
    """What `month` and `zone` ask for; the running month of UTC by default."""
    try:
        zone = zone_of(query.get("zone") or "UTC")
        first = parse_month(query["month"]) if query.get("month") else month_of(now, zone)
        return month_span(first, zone)
    except (ValueError, OverflowError) as exc:
        raise Refused(400, str(exc)) from exc


def wanted(monitor: UUID, query: Mapping[str, str], now: datetime) -> Wanted:
    """What of a monitor is exported."""
    start, end = window(query, now)
    return Wanted(
        monitor=monitor,
        start=start,
        end=end,
        location=query.get("location", "")[:50],
        outcome=_one_of("outcome", query, tuple(Outcome)),
        resolution=_one_of("resolution", query, tuple(LENGTH)),
        phase=_one_of("phase", query, (TOTAL, *PHASES)),
    )


def _one_of(name: str, query: Mapping[str, str], allowed: tuple[str, ...]) -> str:
    found = query.get(name, "")
    if found and found not in allowed:
        raise Refused(400, f"unknown {name} {found[:40]!r}; one of {', '.join(allowed)}")
    return found
