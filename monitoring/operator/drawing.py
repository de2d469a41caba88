"""Geometry of the operator's drawings: numbers for SVG attributes, since no page may carry a style."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from checks.result import PHASES

WIDTH = 1000  # units of every drawing
STRIP = 60  # the height of a strip
PHASE_WORDS = {
    "dns": "Resolve the name",
    "connect": "Connect",
    "tls": "TLS handshake",
    "first_byte": "Wait for the first byte",
    "transfer": "Read the answer",
    "other": "Other",
}


@dataclass(frozen=True, slots=True, kw_only=True)
class Fall:
    """One phase in the waterfall of a probe."""

    word: str
    nanoseconds: int
    x: float
    width: float


def waterfall(phases: Mapping[str, int | None]) -> list[Fall]:
    """The phases that happened, one after the other, on a common scale."""
    happened = [(name, value) for name in PHASES if (value := phases.get(name)) is not None]
    total = sum(value for _, value in happened) or 1
    falls, begun = [], 0
    for name, value in happened:
        x = WIDTH * begun / total
        # The shortest phase stays visible, inside the drawing.
        width = max(WIDTH * value / total, 3.0)
        falls.append(
            Fall(word=PHASE_WORDS[name], nanoseconds=value, x=round(min(x, WIDTH - width), 1), width=round(width, 1))
        )
        begun += value
    return falls


@dataclass(frozen=True, slots=True, kw_only=True)
class Stroke:
    """One result in a strip."""

    outcome: str
    x: float
    y: float
    width: float
    height: float


def strip(results: Sequence[tuple[str, int | None]]) -> list[Stroke]:
    """Results (outcome, latency in ns), oldest first, as strokes whose height is the latency.

    One without a latency takes the whole height: it is what one looks for. The highest latency fills three quarters.
    """
    if not results:
        return []
    highest = max((latency for _, latency in results if latency is not None), default=0) or 1
    pitch = WIDTH / max(len(results), 30)
    strokes = []
    for index, (outcome, latency) in enumerate(results):
        height = float(STRIP) if latency is None else max(2.0, 0.75 * STRIP * latency / highest)
        strokes.append(
            Stroke(
                outcome=outcome,
                x=round(WIDTH - pitch * (len(results) - index), 1),
                y=round(STRIP - height, 1),
                width=round(pitch * 0.8, 1),
                height=round(height, 1),
            ),
        )
    return strokes


@dataclass(frozen=True, slots=True, kw_only=True)
class Line:
    """A number over the last runs."""

    points: str  # of a polyline in a drawing of WIDTH by STRIP
    marks: Sequence[float]  # where on the way a run failed


def line(values: Sequence[tuple[float, bool]]) -> Line:
    """Values, oldest first, each with whether its run failed, evenly spaced. The lowest and the highest touch the edges."""
    lowest, highest = min(value for value, _ in values), max(value for value, _ in values)
    middle = lowest / 2 + highest / 2
    half = highest / 2 - lowest / 2  # halves: the difference of two floats may be none
    pitch = WIDTH / max(len(values) - 1, 1)
    margin = 4.0  # so that the stroke is not cut
    places = []
    for index, (value, _) in enumerate(values):
        up = (value - middle) / half if half else 0.0
        places.append((round(pitch * index, 1), round(STRIP / 2 - up * (STRIP / 2 - margin), 1)))
    if len(places) == 1:
        places.append((float(WIDTH), places[0][1]))  # a line, where a dot would be lost
    return Line(
        points=" ".join(f"{x:g},{y:g}" for x, y in places),
        marks=[x for (x, _), (_, failed) in zip(places, values, strict=False) if failed],
    )


CHART = 240  # the height of a chart
CURVES = ("p50", "p95", "p99")
_ROOM = 0.92  # of the height, for the highest value


@dataclass(frozen=True, slots=True, kw_only=True)
class Step:
    """What a chart shows of one step of time."""

    start: float
    end: float
    values: Sequence[float | None]  # of CURVES
    failed: float  # share of the results
    word: str


@dataclass(frozen=True, slots=True, kw_only=True)
class Spot:
    """One step of a chart, for whoever points at it, and the share of failures in it."""

    word: str
    x: float
    width: float
    bad: float  # the height of the bar of what failed


@dataclass(frozen=True, slots=True, kw_only=True)
class Chart:
    """Percentiles over a window as stairs, with a gap where nothing was measured."""

    curves: Sequence[tuple[str, Sequence[str]]]  # each by name, as the points of polylines
    spots: Sequence[Spot]
    top: float  # seconds at the upper edge
    height: int = CHART


def chart(steps: Sequence[Step], start: float, end: float) -> Chart:
    """Draw steps of one length between two instants (seconds), the earliest first."""
    highest = max((value for step in steps for value in step.values if value is not None), default=0.0)
    top, scale = highest / _ROOM or 1.0, WIDTH / ((end - start) or 1.0)

    def x(at: float) -> float:
        return round(min(max((at - start) * scale, 0.0), float(WIDTH)), 1)

    spots = [
        Spot(
            word=step.word,
            x=x(step.start),
            width=round(x(step.end) - x(step.start), 1),
            bad=round(CHART * step.failed, 1),
        )
        for step in steps
    ]
    curves = []
    for number, name in enumerate(CURVES):
        lines: list[list[str]] = []
        before: float | None = None  # where the last stair ended
        for step in steps:
            value = step.values[number]
            if value is None:
                continue
            if step.start != before:
                lines.append([])
            y = round(CHART * (1 - value / top), 1)
            lines[-1] += [f"{x(step.start):g},{y:g}", f"{x(step.end):g},{y:g}"]
            before = step.end
        curves.append((name, [" ".join(line) for line in lines]))
    return Chart(curves=curves, spots=spots, top=top)
