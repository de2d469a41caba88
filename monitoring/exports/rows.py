"""Where the rows of an export come from: the store, a page at a time, each in a snapshot of its own.

No transaction lasts longer than a page: neither a writer nor house-keeping waits for whoever downloads slowly.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Any
from uuid import UUID

import sqlalchemy as sa

from checks.histogram import Histogram
from checks.result import PHASES
from checks.store.availability import Availability
from checks.store.engine import reading
from checks.store.schema import result, rollup
from checks.store.spoiled import is_readable
from checks.store.watches import targets

PAGE = 1000  # rows

Page = list[tuple[Any, ...]]

RESULTS = (
    "location",
    "started_at",
    "outcome",
    "latency_seconds",
    *(f"{phase}_seconds" for phase in PHASES),
    "reason",
    "message",
)
INTERVALS = ("start", "end", "seconds", "status", "cause", "incident", "announced", "observed", "counted")
SHARES = {"p50": 0.5, "p75": 0.75, "p90": 0.9, "p95": 0.95, "p99": 0.99, "p99_9": 0.999}
COUNTS = ("complete", "incomplete", "up", "degraded", "down", "unknown")
ROLLUPS = (
    "location",
    "resolution",
    "start",
    "phase",
    *COUNTS,
    "min_seconds",
    *(f"{name}_seconds" for name in SHARES),
    "max_seconds",
)


@dataclass(frozen=True, slots=True, kw_only=True)
class Wanted:
    """What of a monitor is exported; an empty text asks for all."""

    monitor: UUID
    start: datetime
    end: datetime
    location: str = ""
    outcome: str = ""
    resolution: str = ""
    phase: str = ""


def results(engine: sa.Engine, wanted: Wanted) -> Iterator[Page]:
    """The results that started in the window: location by location, the earliest first."""
    c = result.c
    columns = (c.id, c.started_at, c.outcome, c.latency_ns, *(c[f"{phase}_ns"] for phase in PHASES), c.failure)
    for target_id, location in _targets(engine, wanted):
        query = sa.select(*columns).where(c.target_id == target_id, c.started_at < wanted.end)
        if wanted.outcome:
            query = query.where(c.outcome == wanted.outcome)
        query = query.order_by(c.started_at, c.id).limit(PAGE)
        after: tuple[datetime, int] | None = None
        while True:
            with reading(engine) as conn:
                if after is None:
                    rows = conn.execute(query.where(c.started_at >= wanted.start)).all()
                else:
                    # The first condition is what the index is asked for.
                    later = sa.or_(c.started_at > after[0], c.id > after[1])
                    rows = conn.execute(query.where(c.started_at >= after[0], later)).all()
            if rows:
                yield [_result(location, row) for row in rows]
            if len(rows) < PAGE:
                break
            after = (rows[-1].started_at, rows[-1].id)


def _result(location: str, row: sa.Row[Any]) -> tuple[Any, ...]:
    failure = row.failure or {}
    return (
        location,
        row.started_at,
        row.outcome,
        _seconds(row.latency_ns),
        *(_seconds(getattr(row, f"{phase}_ns")) for phase in PHASES),
        failure.get("reason"),
        failure.get("message"),
    )


def rollups(engine: sa.Engine, wanted: Wanted) -> Iterator[Page]:
    """The roll-ups of periods that begin in the window."""
    c = rollup.c
    query = sa.select(c.resolution, c.start, c.phase, c.histogram, *(c[name] for name in COUNTS))
    query = query.where(c.start < wanted.end).order_by(c.resolution, c.start, c.phase).limit(PAGE)
    for name in ("resolution", "phase"):
        if getattr(wanted, name):
            query = query.where(c[name] == getattr(wanted, name))
    for target_id, location in _targets(engine, wanted):
        of_it = query.where(c.target_id == target_id, c.start >= wanted.start)
        while True:
            with reading(engine) as conn:
                rows = conn.execute(of_it).all()
            if rows:
                yield [_rollup(location, row) for row in rows]
            if len(rows) < PAGE:
                break
            last = rows[-1]
            of_it = query.where(
                c.target_id == target_id,
                c.start >= wanted.start,
                sa.tuple_(c.resolution, c.start, c.phase) > (last.resolution, last.start, last.phase),
            )


def _rollup(location: str, row: sa.Row[Any]) -> tuple[Any, ...]:
    """A row. One that somebody spoiled has its counts and no percentiles: it is no reason to lose those after it."""
    histogram = Histogram.from_bytes(row.histogram) if is_readable(row.histogram) else Histogram()
    return (
        location,
        row.resolution,
        row.start,
        row.phase,
        *(getattr(row, name) for name in COUNTS),
        _seconds(histogram.min_ns),
        *(_seconds(each) for each in histogram.quantiles(SHARES.values())),
        _seconds(histogram.max_ns),
    )


def intervals(found: Availability, incidents: Sequence[UUID | None]) -> Page:
    """The intervals of a window, each with the incident that it belongs to."""
    return [
        (
            each.start,
            each.end,
            each.length.total_seconds(),
            each.status,
            each.cause,
            incident,
            each.announced,
            each.observed,
            each.counted,
        )
        for each, incident in zip(found.intervals, incidents, strict=True)
    ]


def _targets(engine: sa.Engine, wanted: Wanted) -> list[tuple[int, str]]:
    with reading(engine) as conn:
        found = targets(conn, wanted.monitor, wanted.start)
    return [each for each in found.items() if wanted.location in ("", each[1])]


def _seconds(nanoseconds: object) -> float | None:
    return nanoseconds / 1e9 if isinstance(nanoseconds, int) else None  # SQLite takes a text for a number, too
