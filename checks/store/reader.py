"""What people see of the store: one connection, no locks (`checks.store.engine.reading`).

The figures are computed in `availability`, `percentiles` and `series`, and offered here.
"""

from __future__ import annotations

from collections.abc import Collection
from dataclasses import dataclass
from datetime import datetime
from typing import Any
from uuid import UUID

import sqlalchemy as sa

from checks.result import PHASES, Outcome
from checks.status import Status
from checks.store.availability import Availability, DayView, Interval, availability, daily_availability
from checks.store.outbox import StoredTransition, stored
from checks.store.percentiles import Figures, Summary, figures, figures_since, latency, summary
from checks.store.schema import monitor_state, result, target, transition
from checks.store.series import Series, series
from checks.store.spoiled import is_sound
from checks.store.states import CHUNK
from checks.store.tally import Latencies
from checks.store.watches import EVER, targets

__all__ = [
    "Availability",
    "DayView",
    "Figures",
    "Interval",
    "Latencies",
    "MonitorView",
    "ResultView",
    "Series",
    "StoredTransition",
    "Summary",
    "availability",
    "daily_availability",
    "figures",
    "figures_since",
    "latency",
    "overview",
    "recent_results",
    "series",
    "standing",
    "summary",
    "transitions",
]


@dataclass(frozen=True, slots=True, kw_only=True)
class MonitorView:
    """A monitor as it stands. With several locations, the latest result of any of them."""

    uuid: UUID
    slug: str
    name: str
    kind: str
    status: Status
    since: datetime
    last_result_at: datetime | None
    last_latency_ns: int | None
    last_failure: dict[str, Any] | None  # checks.result.Failure.as_dict; None where the last result was well
    last_ping_at: datetime | None
    deadline_at: datetime | None
    expected_at: datetime | None
    paused: bool
    removed: str | None
    locations: tuple[str, ...]


@dataclass(frozen=True, slots=True, kw_only=True)
class ResultView:
    """One result, as people see it."""

    location: str
    started_at: datetime
    outcome: Outcome
    latency_ns: int | None
    phases: dict[str, int]
    failure: dict[str, Any] | None
    evidence: dict[str, Any] | None


def overview(
    conn: sa.Connection,
    now: datetime,  # noqa: ARG001 - all readers of what changes take it
    *,
    include_removed: bool = False,
    monitor: UUID | None = None,
) -> list[MonitorView]:
    """All monitors by name, or one; those that were removed only where asked for."""
    query = (
        sa.select(
            monitor_state,
            *(
                target.c[name]
                for name in (
                    "location",
                    "last_result_at",
                    "last_latency_ns",
                    "last_failure",
                    "last_ping_at",
                    "deadline_at",
                    "expected_at",
                )
            ),
        )
        .outerjoin(target, target.c.monitor == monitor_state.c.monitor)
        .order_by(monitor_state.c.name, monitor_state.c.monitor, target.c.id)
    )
    if not include_removed:
        query = query.where(monitor_state.c.removed.is_(None))
    if monitor is not None:
        query = query.where(monitor_state.c.monitor == monitor)
    groups: dict[UUID, list[sa.Row[Any]]] = {}
    for row in conn.execute(query):
        groups.setdefault(row.monitor, []).append(row)
    return [_view(rows) for rows in groups.values()]


def standing(conn: sa.Connection, monitors: Collection[UUID]) -> dict[UUID, tuple[Status, datetime]]:
    """The status of each of these monitors that the store knows, and since when."""
    c, found = monitor_state.c, {}
    ordered = sorted(set(monitors))
    for begin in range(0, len(ordered), CHUNK):
        query = sa.select(c.monitor, c.status, c.since).where(c.monitor.in_(ordered[begin : begin + CHUNK]))
        found.update({row.monitor: (Status(row.status), row.since) for row in conn.execute(query)})
    return found


def _view(rows: list[sa.Row[Any]]) -> MonitorView:
    first = rows[0]
    heard = [row for row in rows if row.last_result_at is not None]
    latest = max(heard, key=lambda row: row.last_result_at) if heard else first
    failing = [row for row in rows if row.last_failure is not None]
    return MonitorView(
        uuid=first.monitor,
        slug=first.slug,
        name=first.name,
        kind=first.kind,
        status=Status(first.status),
        since=first.since,
        last_result_at=latest.last_result_at,
        last_latency_ns=latest.last_latency_ns,
        last_failure=(latest if latest.last_failure or not failing else failing[0]).last_failure,
        last_ping_at=max((row.last_ping_at for row in rows if row.last_ping_at is not None), default=None),
        deadline_at=min((row.deadline_at for row in rows if row.deadline_at is not None), default=None),
        expected_at=min((row.expected_at for row in rows if row.expected_at is not None), default=None),
        paused=first.paused,
        removed=first.removed,
        locations=tuple(row.location for row in rows if row.location is not None),
    )


def recent_results(conn: sa.Connection, monitor: UUID, limit: int) -> list[ResultView]:
    """The last results of a monitor at all its locations, the newest first; what was spoiled is left out."""
    views = []
    for target_id, location in targets(conn, monitor, EVER).items():
        query = sa.select(result).where(result.c.target_id == target_id).order_by(result.c.started_at.desc())
        views += [_result_view(row, location) for row in conn.execute(query.limit(limit)) if _is_sound(row)]
    return sorted(views, key=lambda view: view.started_at, reverse=True)[:limit]


def _is_sound(row: sa.Row[Any]) -> bool:
    return is_sound(row.outcome, (row.latency_ns, *(getattr(row, f"{phase}_ns") for phase in PHASES)))


def _result_view(row: sa.Row[Any], location: str) -> ResultView:
    times = {phase: getattr(row, f"{phase}_ns") for phase in PHASES}
    return ResultView(
        location=location,
        started_at=row.started_at,
        outcome=Outcome(row.outcome),
        latency_ns=row.latency_ns,
        phases={phase: nanoseconds for phase, nanoseconds in times.items() if nanoseconds is not None},
        failure=row.failure,
        evidence=row.evidence,
    )


def transitions(conn: sa.Connection, monitor: UUID, start: datetime, end: datetime) -> list[StoredTransition]:
    """The transitions of a monitor that took effect in a window, the earliest first."""
    query = (
        sa.select(transition, monitor_state.c.slug, monitor_state.c.name, monitor_state.c.kind)
        .join(monitor_state, monitor_state.c.monitor == transition.c.monitor)
        .where(transition.c.monitor == monitor, transition.c.since >= start, transition.c.since < end)
        .order_by(transition.c.seq)
    )
    return [stored(row) for row in conn.execute(query)]
