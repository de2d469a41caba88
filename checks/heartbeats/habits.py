"""What a job usually does, learned from its runs. Advice only: nobody is paged by it. Pure."""

from __future__ import annotations

import itertools
import math
import zoneinfo
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from statistics import median

from checks.probes.heartbeat import HeartbeatSpec
from checks.units import spoken_duration

ENOUGH = 30  # runs
_DAY = 86400.0
_WEEK = timedelta(days=7)
_OTHERWISE = 2.0  # times that a schedule and a habit may differ before it is remarked on
_USUAL = 1.4826  # turns the median of deviations into what a standard deviation would be


@dataclass(frozen=True, slots=True, kw_only=True)
class Run:
    """One run that ended: when it began, or ended where no start was reported, and for how many seconds it ran."""

    at: datetime
    seconds: float | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class Band:
    """A median, and how far off the middle half of what is usual lies, in seconds."""

    median: float
    spread: float

    def words(self) -> str:
        """`4 min 10 s ± 20 s`."""
        middle = spoken_duration(self.median)
        return middle if self.spread < 0.05 * max(self.median, 1e-3) else f"{middle} ± {spoken_duration(self.spread)}"


@dataclass(frozen=True, slots=True, kw_only=True)
class Habits:
    """What is usual of a job."""

    runs: int
    gap: Band  # between the beginnings of two runs
    time_of_day: Band | None  # seconds after midnight in the job's zone; None where it comes more than once a day
    duration: Band | None  # None where starts are not reported
    advice: tuple[str, ...]


def band(values: Sequence[float]) -> Band:
    """The median and the scaled median deviation of values."""
    middle = median(values)
    return Band(median=middle, spread=_USUAL * median(abs(value - middle) for value in values))


def learn(runs: Sequence[Run], spec: HeartbeatSpec) -> Habits | None:
    """The habits of a job by its runs, in any order; None before there are enough of them."""
    if len(runs) < ENOUGH:
        return None
    ordered = sorted(runs, key=lambda run: run.at)
    gaps = [(after.at - before.at).total_seconds() for before, after in itertools.pairwise(ordered)]
    gap = band(gaps)
    durations = [run.seconds for run in ordered if run.seconds is not None]
    duration = band(durations) if len(durations) >= ENOUGH else None
    daily = 0.9 * _DAY <= gap.median <= 1.1 * _DAY
    time_of_day = _time_of_day([run.at for run in ordered], spec.schedule.timezone) if daily else None
    span = ordered[-1].at - ordered[0].at
    advice = [*_on_schedule(gap, span, ordered[-1].at, spec), *_on_duration(duration, spec), *_on_overlaps(ordered)]
    return Habits(runs=len(ordered), gap=gap, time_of_day=time_of_day, duration=duration, advice=tuple(advice))


def _time_of_day(instants: Sequence[datetime], timezone: str) -> Band:
    """The usual time of day. Times are hours on a clock: around midnight their mean is not at noon."""
    zone = zoneinfo.ZoneInfo(timezone)
    local = [instant.astimezone(zone) for instant in instants]
    seconds = [at.hour * 3600 + at.minute * 60 + at.second for at in local]
    angles = [2 * math.pi * second / _DAY for second in seconds]
    centre = math.atan2(sum(map(math.sin, angles)), sum(map(math.cos, angles))) / (2 * math.pi) * _DAY
    # Offsets from the centre, half a day to either side, in which a median means something.
    found = band([(second - centre + _DAY / 2) % _DAY - _DAY / 2 for second in seconds])
    return Band(median=(centre + found.median) % _DAY, spread=found.spread)


def _on_schedule(gap: Band, span: timedelta, last: datetime, spec: HeartbeatSpec) -> list[str]:
    """What is to be said of a schedule that is not what the job does."""
    every = spec.schedule.every
    if every is None:
        following = spec.expected.following(last, ENOUGH)
        expected = band([(b - a).total_seconds() for a, b in itertools.pairwise(following)]).median
    else:
        expected = every
    if span < min(_WEEK, timedelta(seconds=ENOUGH * expected)) or not gap.median:
        return []
    since = "for a week" if span >= _WEEK else f"in its last {ENOUGH} runs"
    if expected / gap.median >= _OTHERWISE:
        return [
            (
                f"it is expected every {spoken_duration(expected)}, but it has come every {spoken_duration(gap.median)}"
                f" {since}: a shorter period would notice sooner that it stopped"
            )
        ]
    return []


def _on_duration(duration: Band | None, spec: HeartbeatSpec) -> list[str]:
    """What is to be said of the limits of a run."""
    if duration is None:
        return []
    longest = duration.median + 6 * duration.spread
    if spec.max_run is None:
        wanted = spoken_duration(max(60.0, 2 * longest))
        return [f"it runs for {duration.words()}; a max_run of about {wanted} would tell when it hangs"]
    if spec.max_run < longest:
        return [f"it runs for {duration.words()}, which is close to its max_run of {spoken_duration(spec.max_run)}"]
    if spec.max_run > 20 * max(longest, 60.0):
        return [
            f"it runs for {duration.words()}; its max_run of {spoken_duration(spec.max_run)} notices late that it hangs"
        ]
    return []


def _on_overlaps(ordered: Sequence[Run]) -> list[str]:
    """What is to be said of a job that is started again before it ended."""
    overlapping, latest_end = 0, ordered[0].at
    for run in ordered:
        overlapping += run.at < latest_end
        latest_end = max(latest_end, run.at + timedelta(seconds=run.seconds or 0.0))
    if not overlapping:
        return []
    advice = "a lock, such as flock, or a longer period would keep them apart"
    return [f"{overlapping} of its last {len(ordered)} runs began before the one before had ended: {advice}"]
