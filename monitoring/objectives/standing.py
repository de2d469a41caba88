"""How an objective stands: its budget, how fast it burns, how long it lasts, and what spent it.

ObjectiveProblem        what is promised can't be read: not written by us
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta

import sqlalchemy as sa

from checks.store.availability import Interval, Span, availability
from checks.store.engine import reading
from checks.units import format_duration, parse_duration
from monitoring import maintenance
from monitoring.models import Objective
from monitoring.objectives import minutes
from monitoring.objectives.budget import Budget, Slice, budget, burn_rate, exhausted_at, of_intervals
from monitoring.objectives.windows import window_at, zone_of

BURN_WINDOWS = (
    ("1h", timedelta(hours=1)),
    ("6h", timedelta(hours=6)),
    ("1d", timedelta(days=1)),
    ("3d", timedelta(days=3)),
)
SHORTEST_BURN, LONGEST_BURN = 60.0, 90 * 86400.0  # seconds
PACE = timedelta(days=1)  # of which the projection says: if it goes on so


class ObjectiveProblem(Exception):
    """What an objective promises can't be read."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Standing:
    """An objective with its figures."""

    objective: Objective
    budget: Budget
    burns: Sequence[tuple[str, float | None]]
    exhausted_at: datetime | None
    slices: Sequence[Slice]  # what the figures are made of
    intervals: Sequence[Interval]  # the same where the promise is about availability
    now: datetime


def burn_window(text: str) -> tuple[str, timedelta]:
    """A window for a burn rate of one's own: `2h`. Raises ValueError that says what to write."""
    seconds = parse_duration(text)
    if not SHORTEST_BURN <= seconds <= LONGEST_BURN:
        low, high = format_duration(SHORTEST_BURN), format_duration(LONGEST_BURN)
        raise ValueError(f"a burn rate is one of {low} to {high}; found {text[:40]}")
    return format_duration(seconds), timedelta(seconds=seconds)


def stand(
    engine: sa.Engine,
    objective: Objective,
    now: datetime,
    *,
    over: Sequence[tuple[str, timedelta]] = (),
) -> Standing:
    """How it stands now, announced maintenance left out. `over` are burn rates beside the usual ones.

    Raises ObjectiveProblem where its row says what neither a form nor a file could have.
    """
    share, window, promise = _read(objective, now)
    windows = dict((*BURN_WINDOWS, *over))
    start = min(window[0], now - max(windows.values()))
    intervals: Sequence[Interval] = ()
    density = 1.0
    if promise:
        slices, density = _of_minutes(engine, objective, promise, start, now)
    else:
        announced = maintenance.of_monitor(objective.monitor_id, start, now)
        with reading(engine) as conn:
            found = availability(conn, objective.monitor_id, start, now, now, announced=announced)
        intervals = found.intervals
        slices = of_intervals(intervals)
    stands = budget(slices, share, window, now, density)
    return Standing(
        objective=objective,
        budget=stands,
        burns=[(word, burn_rate(slices, share, now, length)) for word, length in windows.items()],
        exhausted_at=exhausted_at(slices, stands, now, PACE),
        slices=slices,
        intervals=intervals,
        now=now,
    )


def _read(objective: Objective, now: datetime) -> tuple[float, Span, minutes.Promise | None]:
    """The share that is promised, the window, and what is promised of its minutes, if it is of those."""
    try:
        window = window_at(now, objective.window_seconds, zone_of(objective.timezone))
        promise = minutes.parse_promise(objective.minutes) if objective.minutes else None
        return _share(objective.target), window, promise
    except (TypeError, ValueError, OverflowError) as exc:
        raise ObjectiveProblem(
            f"The objective {objective.name!r} can't be read: {exc}. Change it or delete it."
        ) from exc


def _share(percent: float) -> float:
    if not 0 < percent < 100:
        raise ValueError(f"a target of {percent} %")
    return percent / 100


def _of_minutes(
    engine: sa.Engine, objective: Objective, promise: minutes.Promise, start: datetime, now: datetime
) -> tuple[list[Slice], float]:
    """Its slices, and what share of the minutes to come will count."""
    hours = minutes.kept_hours(objective.monitor_id, objective.minutes, start, now)
    with reading(engine) as conn:
        hours |= minutes.count(conn, objective.monitor_id, promise, minutes.running(hours, now), now)
        density = minutes.density(conn, objective.monitor_id)
    return minutes.of_hours(hours, now), density
