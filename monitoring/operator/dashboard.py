"""All monitors at one look, the worst first, in a handful of queries however many there are."""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from datetime import datetime
from uuid import UUID

from sqlalchemy.exc import SQLAlchemyError

from checks.status import Status
from checks.store import outbox, reader
from checks.store.engine import StoreProblem, our_trouble, reading
from monitoring import words
from monitoring.models import AlertRule, Component, Incident, Monitor
from monitoring.notifier import rules
from monitoring.operator import trouble
from monitoring.publish import store_engine

WORST_FIRST = (Status.DOWN, Status.UNKNOWN, Status.DEGRADED, Status.PENDING, Status.UP, Status.PAUSED)


@dataclass(frozen=True, slots=True, kw_only=True)
class Row:
    """One monitor on the dashboard. Latencies in seconds."""

    slug: str
    name: str
    kind: str
    tags: tuple[str, ...]
    status: Status
    since: datetime | None
    last_result_at: datetime | None
    last_latency: float | None
    failure: str  # what the last probe found wrong
    p50: float | None
    p95: float | None
    availability: float | None
    incident: UUID | None  # the open one
    unheard: bool  # no rule and no page mentions it


@dataclass(frozen=True, slots=True, kw_only=True)
class Dashboard:
    """All that the dashboard shows."""

    rows: tuple[Row, ...]  # those that were asked for
    tally: tuple[tuple[Status, int], ...]  # over all monitors
    total: int
    banners: tuple[trouble.Banner, ...]
    now: datetime


@dataclass(frozen=True, slots=True, kw_only=True)
class _Measured:
    """What the store said; empty where it could not."""

    views: Mapping[UUID, reader.MonitorView]
    figures: Mapping[UUID, reader.Figures]
    banners: tuple[trouble.Banner, ...]


def assemble(now: datetime, *, text: str = "", status: str = "") -> Dashboard:
    """The dashboard, with the rows that hold `text` in name, slug, kind or tags and have `status`."""
    measured = _measure(now)
    mentioned = _mentioned()
    open_ones = dict(Incident.objects.filter(resolved_at=None).values_list("monitor_uuid", "uuid"))
    rows = [
        _row(monitor, measured, incident=open_ones.get(monitor.uuid), unheard=not mentioned(monitor))
        for monitor in Monitor.objects.filter(retired_at=None)
    ]
    counted = Counter(row.status for row in rows)
    return Dashboard(
        rows=tuple(sorted((row for row in rows if _asked_for(row, text, status)), key=_rank)),
        tally=tuple((each, counted[each]) for each in WORST_FIRST if counted[each]),
        total=len(rows),
        banners=(*measured.banners, *trouble.of_messages()),
        now=now,
    )


def _measure(now: datetime) -> _Measured:
    """What the store knows. Where it can't be read the dashboard still says what it can."""
    try:
        with reading(store_engine()) as conn:
            views = {view.uuid: view for view in reader.overview(conn, now)}
            figures = reader.figures(conn, now)
            silent = trouble.silent_processes(conn, now)
            troubles = outbox.troubles(conn)
    except (SQLAlchemyError, StoreProblem) as exc:
        text = f"The measurements can't be read: {our_trouble(exc) or exc}"
        return _Measured(
            views={}, figures={}, banners=(trouble.Banner(level="down", text=text), *trouble.of_system([]))
        )
    return _Measured(views=views, figures=figures, banners=(*silent, *trouble.of_system(troubles)))


def _mentioned() -> Callable[[Monitor], bool]:
    """Whether a rule that tells somebody, or a page, mentions a monitor; the configuration is read once."""
    shown = set(Component.objects.values_list("monitor_id", flat=True).distinct())
    told = list(AlertRule.objects.filter(channels__isnull=False).distinct().values_list("match", flat=True))

    def mentioned(monitor: Monitor) -> bool:
        matched = rules.Matched(slug=monitor.slug, kind=monitor.kind, tags=_tags(monitor))
        return monitor.uuid in shown or any(_matches(match, matched) for match in told)

    return mentioned


def _matches(match: Mapping[str, object], monitor: rules.Matched) -> bool:
    try:
        return rules.matches(match, monitor)
    except rules.RuleProblem:
        return False


def _tags(monitor: Monitor) -> tuple[str, ...]:
    return tuple(str(tag) for tag in monitor.spec.get("tags") or ())


def _row(monitor: Monitor, measured: _Measured, *, incident: UUID | None, unheard: bool) -> Row:
    view, figures = measured.views.get(monitor.uuid), measured.figures.get(monitor.uuid)
    latency = view.last_latency_ns if view else None
    return Row(
        slug=monitor.slug,
        name=monitor.name,
        kind=monitor.kind,
        tags=_tags(monitor),
        status=Status(view.status) if view else Status.PENDING,
        since=view.since if view else None,
        last_result_at=(view.last_result_at or view.last_ping_at) if view else None,
        last_latency=None if latency is None else latency / 1e9,
        failure=words.failure(view.last_failure) if view else "",
        p50=figures.p50 if figures else None,
        p95=figures.p95 if figures else None,
        availability=figures.availability if figures else None,
        incident=incident,
        unheard=unheard,
    )


def _asked_for(row: Row, text: str, status: str) -> bool:
    if status and row.status != status:
        return False
    held = " ".join((row.name, row.slug, row.kind, *row.tags)).casefold()
    return all(word in held for word in text.casefold().split())


def _rank(row: Row) -> tuple[int, float, str]:
    """The worst first; of the same status what changed last, where that is news, else by name."""
    news = row.status in (Status.DOWN, Status.UNKNOWN, Status.DEGRADED) and row.since is not None
    changed = -row.since.timestamp() if news and row.since else 0.0
    return (WORST_FIRST.index(row.status), changed, row.name.casefold())
