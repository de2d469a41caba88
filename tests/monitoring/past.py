"""A past for monitors: transitions, results and incidents at instants of one's own."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import datetime, timedelta
from typing import Any
from uuid import uuid4

import sqlalchemy as sa

from checks.status import Status
from checks.store.schema import monitor_state, result, target, transition
from monitoring.models import Incident, MaintenanceWindow, Monitor


def put_transitions(engine: sa.Engine, monitor: Monitor, *steps: tuple[datetime, Status]) -> None:
    """Its transitions are these, from the first instant on."""
    before, values = Status.PENDING, []
    for seq, (since, status) in enumerate(steps, 1):
        values.append(
            {
                "uuid": uuid4(),
                "monitor": monitor.uuid,
                "seq": seq,
                "at": since,
                "since": since,
                "from_status": before.value,
                "to_status": status.value,
                "cause": "probe",
                "evidence": {},
            }
        )
        before = status
    with engine.begin() as conn:
        conn.execute(transition.insert(), values)
        conn.execute(
            monitor_state.update()
            .where(monitor_state.c.monitor == monitor.uuid)
            .values(status=before.value, since=steps[-1][0], seq=len(steps), consumed_seq=len(steps))
        )


def put_results(
    engine: sa.Engine,
    monitor: Monitor,
    start: datetime,
    latencies: Sequence[int | None],
    *,
    every: float,
    **fields: Any,
) -> None:
    """Results of these latencies in milliseconds, None for one without an answer, `every` so many seconds."""
    with engine.begin() as conn:
        place = conn.execute(sa.select(target.c.id).where(target.c.monitor == monitor.uuid)).scalars().first()
        rows = []
        for number, milliseconds in enumerate(latencies):
            begun = start + timedelta(seconds=number * every)
            nanoseconds = None if milliseconds is None else milliseconds * 1_000_000
            defaults = {
                "target_id": place,
                "due_at": begun,
                "started_at": begun,
                "outcome": "down" if nanoseconds is None else "up",
                "latency_ns": nanoseconds,
                "first_byte_ns": nanoseconds,
            }
            rows.append({**defaults, **fields})
        conn.execute(result.insert(), rows)


def put_incident(monitor: Monitor, opened: datetime, resolved: datetime | None, **fields: Any) -> Incident:
    """An outage of it."""
    defaults = {
        "monitor": monitor,
        "monitor_uuid": monitor.uuid,
        "monitor_name": monitor.name,
        "cause": "down",
        "summary": "the connection was refused",
        "opened_at": opened,
        "detected_at": opened,
        "resolved_at": resolved,
    }
    return Incident.objects.create(**{**defaults, **fields})


def announce(monitor: Monitor | None, start: datetime, end: datetime, **fields: Any) -> MaintenanceWindow:
    """Maintenance of a monitor, or of all, that was announced a day before."""
    defaults = {"title": "Moving house", "announced_at": start - timedelta(days=1), "everything": monitor is None}
    window = MaintenanceWindow.objects.create(starts_at=start, ends_at=end, **{**defaults, **fields})
    if monitor is not None:
        window.monitors.add(monitor)
    return window
