"""All monitors at one look, the worst first, in a handful of queries however many there are."""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Mapping, Sequence
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

MOST_ROWS = 250  # unless all are asked for
WORST_FIRST = (Status.DOWN, Status.UNKNOWN, Status.DEGRADED, Status.PENDING, Status.UP, Status.PAUSED)


@dataclass(frozen=True, slots=True, kw_only=True)
class Row:
    """One monitor on the dashboard. Latencies in seconds."""

    slug: str
    name: str
    kind: str
    status: Status
    since: datetime | None
    last_result_at: datetime | None
    last_latency: float | None
    failure: str  # what the last probe found wrong
    p50: float | None
    p95: float | None
    p99: float | None
    left_out: int  # hours whose figures somebody spoiled
    availability: float | None
    incident: UUID | None  # the open one
    unheard: bool  # no rule and no page mentions it


@dataclass(frozen=True, slots=True, kw_only=True)
class Dashboard:
    """All that the dashboard shows."""

    rows: tuple[Row, ...]  # of those that were asked for, the worst
    more: int  # asked for, and not shown
    tally: tuple[tuple[Status, int], ...]  # over all monitors
    total: int
    banners: tuple[trouble.Banner, ...]
    now: datetime


@dataclass(frozen=True, slots=True)
class _Known:
    """A monitor with what the store knows of it; nothing where it does not, or can't be read."""

    monitor: Monitor
    view: reader.MonitorView | None

    @property
    def status(self) -> Status:
        """Its status; `pending` until the store knows it."""
        return self.view.status if self.view else Status.PENDING


def assemble(now: datetime, *, text: str = "", status: str = "", most: int = MOST_ROWS) -> Dashboard:
    """The dashboard, with the `most` worst of those that hold `text` in name, slug, kind or tags and have `status`."""
    views, banners = _overview(now)
    known = [_Known(monitor, views.get(monitor.uuid)) for monitor in Monitor.objects.filter(retired_at=None)]
    asked = sorted((each for each in known if _asked_for(each, text, status)), key=_rank)
    shown = asked[:most]
    figures = _figures([each.monitor.uuid for each in shown], now)
    incidents = dict(Incident.objects.filter(resolved_at=None).values_list("monitor_uuid", "uuid"))
    mentioned = _mentioned()
    counted = Counter(each.status for each in known)
    return Dashboard(
        rows=tuple(
            _row(
                each,
                figures.get(each.monitor.uuid),
                incident=incidents.get(each.monitor.uuid),
                unheard=not mentioned(each.monitor),
            )
            for each in shown
        ),
        more=len(asked) - len(shown),
        tally=tuple((each, counted[each]) for each in WORST_FIRST if counted[each]),
        total=len(known),
        banners=(*banners, *trouble.of_configuration(), *trouble.of_messages()),
        now=now,
    )


def _overview(now: datetime) -> tuple[Mapping[UUID, reader.MonitorView], tuple[trouble.Banner, ...]]:
    """What the store knows of all monitors and of us. Where it can't be read the dashboard still says what it can."""
    try:
        with reading(store_engine()) as conn:
            views = {view.uuid: view for view in reader.overview(conn, now)}
            silent = trouble.silent_processes(conn, now)
            troubles = outbox.troubles(conn)
    except (SQLAlchemyError, StoreProblem) as exc:
        text = f"The measurements can't be read: {our_trouble(exc) or exc}"
        return {}, (trouble.Banner(level="down", text=text), *trouble.of_system([]))
    return views, (*silent, *trouble.of_system(troubles))


def _figures(monitors: Sequence[UUID], now: datetime) -> Mapping[UUID, reader.Figures]:
    """The figures of those that are shown; what the store can't say now, `_overview` has told of."""
    try:
        with reading(store_engine()) as conn:
            return reader.figures(conn, now, monitors)
    except (SQLAlchemyError, StoreProblem):
        return {}


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


def _row(known: _Known, figures: reader.Figures | None, *, incident: UUID | None, unheard: bool) -> Row:
    monitor, view = known.monitor, known.view
    latency = view.last_latency_ns if view else None
    return Row(
        slug=monitor.slug,
        name=monitor.name,
        kind=monitor.kind,
        status=known.status,
        since=view.since if view else None,
        last_result_at=(view.last_ping_at or view.last_result_at) if view else None,  # silence is no result
        last_latency=None if latency is None else latency / 1e9,
        failure=words.failure(view.last_failure) if view else "",
        p50=figures.p50 if figures else None,
        p95=figures.p95 if figures else None,
        p99=figures.p99 if figures else None,
        left_out=figures.left_out if figures else 0,
        availability=figures.availability if figures else None,
        incident=incident,
        unheard=unheard,
    )


def _asked_for(known: _Known, text: str, status: str) -> bool:
    if status and known.status != status:
        return False
    if not text:
        return True
    monitor = known.monitor
    held = " ".join((monitor.name, monitor.slug, monitor.kind, *_tags(monitor))).casefold()
    return all(word in held for word in text.casefold().split())


def _rank(known: _Known) -> tuple[int, float, str]:
    """The worst first; of the same status what changed last, where that is news, else by name."""
    news = known.status in (Status.DOWN, Status.UNKNOWN, Status.DEGRADED) and known.view is not None
    changed = -known.view.since.timestamp() if news and known.view else 0.0
    return (WORST_FIRST.index(known.status), changed, known.monitor.name.casefold())
