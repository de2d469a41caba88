"""What an objective allows, what was spent of it, how fast, and until when it lasts. Pure.

The error budget is `1 - target` of the time that counts: what was not observed, or was announced as maintenance, makes it
smaller and spends nothing. In a calendar month the days to come count already.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta

from checks.status import Status
from checks.store.availability import Interval, Span


@dataclass(frozen=True, slots=True)
class Slice:
    """A stretch of time: how many of its seconds count, and how many of these broke the promise, spread evenly."""

    start: datetime
    end: datetime
    counted: float
    bad: float

    @property
    def seconds(self) -> float:
        """Its length."""
        return (self.end - self.start).total_seconds()


@dataclass(frozen=True, slots=True, kw_only=True)
class Budget:
    """How an objective stands. Times in seconds."""

    target: float  # a share
    start: datetime
    end: datetime  # of a calendar month in the future
    counted: float  # so far
    bad: float
    allowed: float
    density: float = 1.0  # how much of a second to come counts: of minutes, those in which it is probed

    @property
    def left(self) -> float:
        """What may still go wrong; below zero where the promise is broken."""
        return self.allowed - self.bad

    @property
    def attained(self) -> float | None:
        """The share of the time that counts in which the promise was kept; None where nothing counts."""
        return 1 - self.bad / self.counted if self.counted else None

    @property
    def spent(self) -> float | None:
        """The share of the budget that is gone, above 1 where the promise is broken."""
        return self.bad / self.allowed if self.allowed else None

    @property
    def broken(self) -> bool:
        """Whether more went wrong than was allowed."""
        return self.bad > self.allowed


def of_intervals(intervals: Iterable[Interval]) -> list[Slice]:
    """Slices of a promise about availability: down is bad, what was unobserved or announced does not count."""
    slices = []
    for each in intervals:
        counted = each.length.total_seconds() if each.counted else 0.0
        slices.append(Slice(each.start, each.end, counted, counted if each.status is Status.DOWN else 0.0))
    return slices


def clipped(slices: Iterable[Slice], start: datetime, end: datetime) -> list[Slice]:
    """What of the slices lies in a window."""
    found = []
    for each in slices:
        begun, ended = max(each.start, start), min(each.end, end)
        if begun < ended:
            share = (ended - begun) / (each.end - each.start)
            found.append(Slice(begun, ended, each.counted * share, each.bad * share))
    return found


def budget(slices: Sequence[Slice], target: float, window: Span, now: datetime, density: float = 1.0) -> Budget:
    """How the objective stands now, where so much of each second to come will count."""
    start, end = window
    inside = clipped(slices, start, min(end, now))
    counted = sum(each.counted for each in inside)
    to_come = max(0.0, (end - now).total_seconds())
    return Budget(
        target=target,
        start=start,
        end=end,
        counted=counted,
        bad=sum(each.bad for each in inside),
        allowed=(1 - target) * (counted + to_come * density),
        density=density,
    )


def burn_rate(slices: Sequence[Slice], target: float, now: datetime, length: timedelta) -> float | None:
    """How many times faster than allowed the budget was spent in the time before now; None where nothing counts."""
    share = _bad_share(clipped(slices, now - length, now))
    return None if share is None else share / (1 - target)


def _bad_share(slices: Sequence[Slice]) -> float | None:
    counted = sum(each.counted for each in slices)
    return sum(each.bad for each in slices) / counted if counted else None


def exhausted_at(slices: Sequence[Slice], found: Budget, now: datetime, pace: timedelta) -> datetime | None:
    """When the budget is gone if it goes on as in the time `pace` before now; None where it lasts.

    It lasts where it is not gone at the end of the month, or within one more rolling window: from that old trouble
    drops out as new trouble comes.
    """
    share = _bad_share(clipped(slices, now - pace, now))
    if found.broken:
        return now
    if not share:
        return None
    if found.end > now:  # a calendar month: what is allowed is known
        seconds = found.left / (share * found.density)
        at = now + timedelta(seconds=min(seconds, 1e9))
        return at if at < found.end else None
    return _rolling_end(clipped(slices, found.start, now), found, now, share)


def _rolling_end(slices: Sequence[Slice], found: Budget, now: datetime, share: float) -> datetime | None:
    """The first instant at which more is spent than allowed, following what leaves the window piece by piece."""
    lacking, at = -found.left, now  # the budget is gone where what lacks is no longer below zero
    for seconds, leaving in _leaving(slices, found.start, now, found.target):
        slope = (share - (1 - found.target)) * found.density - leaving
        if slope > 0 and lacking + slope * seconds >= 0:
            return at + timedelta(seconds=max(0.0, -lacking / slope))
        lacking += slope * seconds
        at += timedelta(seconds=seconds)
    return None


def _leaving(slices: Sequence[Slice], start: datetime, end: datetime, target: float) -> Iterator[tuple[float, float]]:
    """The time from start to end in pieces: their seconds, and how much lack of budget leaves with each second."""
    edge = start
    for each in slices:
        if edge < each.start:  # of which nothing is known
            yield (each.start - edge).total_seconds(), 0.0
        yield each.seconds, (each.bad - (1 - target) * each.counted) / each.seconds
        edge = each.end
    if edge < end:
        yield (end - edge).total_seconds(), 0.0
