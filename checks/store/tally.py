"""What results add up to: histograms by phase, counts by outcome, and from when to when they were counted."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field
from datetime import datetime
from typing import Any, Final

from checks.histogram import Histogram
from checks.result import PHASES, Outcome
from checks.store.spoiled import LONGEST, is_readable, is_sound

TOTAL: Final = "total"  # the latency, beside the phases that it is made of
COUNTS = ("complete", "incomplete", *(outcome.value for outcome in Outcome))
APDEX = 0.5  # seconds: an answer within this satisfies, one within four times as long is tolerated

_ALL = (TOTAL, *PHASES)
_SHARES = (0.5, 0.75, 0.9, 0.95, 0.99, 0.999)
_TOLERATED = 4


@dataclass(frozen=True, slots=True, kw_only=True)
class Latencies:
    """Percentiles in seconds, within 1 %; the lowest and highest are exact. None without a complete result.

    Beside them how many results they are made of, and how many had no latency to speak of. Of a phase, `complete` are
    the results in which it happened.
    """

    p50: float | None = None
    p75: float | None = None
    p90: float | None = None
    p95: float | None = None
    p99: float | None = None
    p999: float | None = None
    min: float | None = None
    max: float | None = None
    complete: int = 0
    incomplete: int = 0  # timed out, refused

    @classmethod
    def of(cls, histogram: Histogram, complete: int, incomplete: int = 0) -> Latencies:
        """What a histogram tells."""
        found = (*histogram.quantiles(_SHARES), histogram.min_ns, histogram.max_ns)
        seconds = [None if ns is None else ns / 1e9 for ns in found]
        names = ("p50", "p75", "p90", "p95", "p99", "p999", "min", "max")
        return cls(**dict(zip(names, seconds, strict=True)), complete=complete, incomplete=incomplete)


@dataclass(slots=True)
class Tally:
    """A sum over results and roll-ups, in any order.

    A spoiled one raises one of `spoiled.SPOILED`, and the sum is worth nothing any more; where each is looked at
    (`careful`), it is left out and counted.
    """

    histograms: dict[str, Histogram] = field(default_factory=lambda: {TOTAL: Histogram()})
    counts: dict[str, int] = field(default_factory=lambda: dict.fromkeys(COUNTS, 0))
    start: datetime | None = None  # what was counted begins and ends here, which may not be what was asked
    end: datetime | None = None
    careful: bool = False
    left_out: int = 0

    def add_rolled(self, phase: str, histogram: bytes, counts: Sequence[int]) -> None:
        """Count a roll-up of one phase; `counts` are those of COUNTS."""
        if self.careful and not is_readable(histogram, counts):
            self.left_out += 1
            return
        self.of(phase).merge_bytes(histogram)
        if phase == TOTAL:
            for name, number in zip(COUNTS, counts, strict=True):
                self.counts[name] += number

    def add_results(self, rows: Iterable[Sequence[Any]]) -> None:
        """Count results: of each the outcome, the latency, and its phases or none."""
        outcomes, times = [], []
        if self.careful:
            every = list(rows)
            rows = [row for row in every if is_sound(row[0], row[1:])]
            self.left_out += len(every) - len(rows)
        for row in rows:
            outcomes.append(row[0])
            if row[1] is not None:  # the answer was complete; else there is no latency to speak of
                times.append(row[1:])
        for outcome, number in Counter(outcomes).items():
            self.counts[outcome] += number
        self.counts["complete"] += len(times)
        self.counts["incomplete"] += len(outcomes) - len(times)
        for phase, column in zip(_ALL, zip(*times, strict=True), strict=False):
            found = column if phase == TOTAL else [nanoseconds for nanoseconds in column if nanoseconds is not None]
            if found:
                self.of(phase).add_all(found)

    def add(self, other: Tally) -> None:
        """Count all that another one counted."""
        for phase, histogram in other.histograms.items():
            self.of(phase).merge(histogram)
        for name, number in other.counts.items():
            self.counts[name] += number
        self.left_out += other.left_out
        if other.start is not None and other.end is not None:
            self.cover(other.start, other.end)

    def check(self) -> None:
        """Raise ValueError where a sum is one that can't be: what was added could be read and is wrong all the same."""
        slowest = max((each.max_ns or 0 for each in self.histograms.values()), default=0)
        if slowest > LONGEST or min(self.counts.values()) < 0:
            raise ValueError("a latency or a count that can't be")

    def cover(self, start: datetime, end: datetime) -> None:
        """Say that what lies in this stretch has been counted."""
        self.start = start if self.start is None else min(self.start, start)
        self.end = end if self.end is None else max(self.end, end)

    def of(self, phase: str) -> Histogram:
        """The histogram of a phase, or of the total."""
        found = self.histograms.get(phase)
        return self.histograms.setdefault(phase, Histogram()) if found is None else found

    @property
    def latency(self) -> Latencies:
        """The percentiles of the total."""
        return Latencies.of(self.histograms[TOTAL], self.counts["complete"], self.counts["incomplete"])

    @property
    def phases(self) -> dict[str, Latencies]:
        """The percentiles of each phase that happened, in their order."""
        found = ((phase, self.histograms.get(phase)) for phase in PHASES)
        return {phase: Latencies.of(each, each.count) for phase, each in found if each is not None and each.count}

    @property
    def judged(self) -> int:
        """The results that say something of the target: all but those which were our own fault."""
        return self.counts["up"] + self.counts["degraded"] + self.counts["down"]

    @property
    def success_rate(self) -> float | None:
        """The share of the judged results that succeeded; None without one."""
        return (self.counts["up"] + self.counts["degraded"]) / self.judged if self.judged else None

    def apdex(self, seconds: float = APDEX) -> float | None:
        """The share of the judged results that satisfied, those that were tolerated by half; None without one.

        Failures satisfy nobody. Those among them that were answered stand in the histogram with the others; they are
        taken from the fastest, so that the figure may be too low and is never too high.
        """
        if not self.judged:
            return None
        histogram, limit = self.histograms[TOTAL], round(seconds * 1e9)
        satisfied = histogram.count_within(limit)
        tolerated = histogram.count_within(_TOLERATED * limit) - satisfied
        failed = max(0, self.counts["complete"] - self.counts["up"] - self.counts["degraded"])
        tolerated -= min(tolerated, max(0, failed - satisfied))
        return (max(0, satisfied - failed) + tolerated / 2) / self.judged
