"""How fast one monitor was over a window that a person chose: figures, phases, locations, and a drawing of them."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from uuid import UUID

import sqlalchemy as sa

from checks.store import reader
from checks.store.tally import APDEX, Tally
from monitoring import windows
from monitoring.operator.drawing import PHASE_WORDS, Chart, Step, chart
from monitoring.windows import NoWindow, Window
from monitoring.words import share, spoken

POINTS = 168  # of a chart at most: a week by hours


@dataclass(frozen=True, slots=True, kw_only=True)
class Asked:
    """The window that a page is asked for, and why it is another one."""

    window: Window
    problem: str = ""


@dataclass(frozen=True, slots=True, kw_only=True)
class Line:
    """One line of the table."""

    word: str
    kind: str  # total, phase or location
    latency: reader.Latencies


@dataclass(frozen=True, slots=True, kw_only=True)
class Latency:
    """All that the page shows of a window."""

    asked: Asked
    summary: reader.Summary
    availability: reader.Availability
    observed: float  # share of the window
    lines: Sequence[Line]
    chart: Chart
    start: datetime  # of the drawing: the window in whole steps
    end: datetime
    step: timedelta
    apdex_seconds: float = APDEX

    @property
    def narrower(self) -> bool:
        """Whether other time was counted than was asked for, since results are deleted."""
        window = self.asked.window
        return self.summary.counted is not None and self.summary.counted != (window.start, window.end)


def asked(query: Mapping[str, str], now: datetime) -> Asked:
    """The window of a query; the usual one where it is none that can be."""
    try:
        return Asked(window=windows.asked(query, now))
    except NoWindow as exc:
        return Asked(window=windows.named(windows.DEFAULT, now), problem=str(exc))


def read(conn: sa.Connection, monitor: UUID, asked: Asked, now: datetime) -> Latency:
    """The figures of one snapshot."""
    window = asked.window
    summary = reader.summary(conn, monitor, (window.start, window.end), now)
    line = reader.series(conn, monitor, (window.start, window.end), POINTS)
    found = reader.availability(conn, monitor, window.start, window.end, now)
    steps = [_step(point.start, line.step, point.tally) for point in line.points]
    return Latency(
        asked=asked,
        summary=summary,
        availability=found,
        observed=found.observed_seconds / window.length.total_seconds(),
        lines=_lines(summary),
        chart=chart(steps, line.start.timestamp(), line.end.timestamp()),
        start=line.start,
        end=line.end,
        step=line.step,
    )


def _lines(summary: reader.Summary) -> list[Line]:
    lines = [Line(word="Latency", kind="total", latency=summary.latency)]
    lines += [Line(word=PHASE_WORDS[name], kind="phase", latency=each) for name, each in summary.phases.items()]
    if len(summary.locations) > 1:
        lines += [Line(word=name, kind="location", latency=each.latency) for name, each in summary.locations.items()]
    return lines


def _step(start: datetime, length: timedelta, tally: Tally) -> Step:
    found = tally.latency
    failed = tally.counts["down"] / tally.judged if tally.judged else 0.0
    results = sum(tally.counts[outcome] for outcome in ("up", "degraded", "down", "unknown"))
    form = "%d %b %Y" if length >= timedelta(days=1) else "%d %b, %H:%M"
    word = f"{start.astimezone(UTC):{form}} UTC, {spoken(length.total_seconds())}: {results} results"
    if failed:
        word += f", {share(failed)} failed"
    if found.complete:
        word += f", p50 {spoken(found.p50)}, p95 {spoken(found.p95)}, p99 {spoken(found.p99)}"
    begun = start.timestamp()
    return Step(
        start=begun,
        end=begun + length.total_seconds(),
        values=(found.p50, found.p95, found.p99),
        failed=failed,
        word=word,
    )
