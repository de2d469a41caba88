"""The screens of what was promised and what was kept: reports, intervals, objectives."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import date, datetime, timedelta, tzinfo
from urllib.parse import urlencode
from uuid import UUID

from django.http import HttpRequest, HttpResponse
from django.shortcuts import get_object_or_404, render
from django.views.decorators.http import require_safe
from sqlalchemy.exc import SQLAlchemyError

from checks import clock
from checks.store.availability import Span
from checks.store.engine import StoreProblem, our_trouble
from monitoring import reports
from monitoring.api.door import Refused, refuse_nul
from monitoring.exports.asking import names_window, window
from monitoring.models import Monitor, Objective
from monitoring.objectives import standing
from monitoring.objectives.standing import ObjectiveProblem, Standing
from monitoring.objectives.windows import last_month, month_of, month_span, next_month, parse_month, zone_name, zone_of
from monitoring.publish import store_engine

MOST_INTERVALS = 2000  # on a page; an export has all
MOST_SPENT = 100  # outages or hours that an objective's page lists, the latest


@require_safe
def report(request: HttpRequest) -> HttpResponse:
    """A month of every monitor, or of those with `?monitor=` or `?tag=`. Prints well."""
    now = clock.utcnow()
    slugs, tags = request.GET.getlist("monitor"), request.GET.getlist("tag")
    context: dict[str, object] = {"slugs": slugs, "tags": tags}
    try:
        refuse_nul(request)
        context["named"] = _named(slugs)
        chosen = _Month(request, now)
        found = reports.report(*chosen.span, now, slugs=slugs, tags=tags)
        context |= {"report": found, "month": chosen, "exported": chosen.query(monitor=slugs, tag=tags)}
    except (Refused, SQLAlchemyError, StoreProblem) as exc:
        return _problem(request, "operator/report.html", exc, context)
    return render(request, "operator/report.html", context)


def _named(slugs: Sequence[str]) -> list[str]:
    return list(Monitor.objects.filter(slug__in=slugs).values_list("name", flat=True)) if slugs else []


@require_safe
def intervals(request: HttpRequest, slug: str) -> HttpResponse:
    """Every interval that a monitor's availability is made of, in a month or any window."""
    monitor, now = get_object_or_404(Monitor, slug=slug), clock.utcnow()
    context: dict[str, object] = {"monitor": monitor}
    try:
        chosen = _Month(request, now)
        asked = request.GET.dict()
        start, end = window(asked, now) if names_window(asked) else chosen.span
        found, stretches = reports.of_monitor(monitor.uuid, start, end, now)
    except (Refused, SQLAlchemyError, StoreProblem) as exc:
        return _problem(request, "operator/intervals.html", exc, context)
    return render(
        request,
        "operator/intervals.html",
        {
            **context,
            "month": chosen,
            "start": start,
            "end": min(end, now),
            "found": found,
            "stretches": stretches[:MOST_INTERVALS],
            "more": max(0, len(stretches) - MOST_INTERVALS),
            "exported": urlencode({"start": start.isoformat(), "end": end.isoformat()}),
            "now": now,
        },
    )


@require_safe
def objectives(request: HttpRequest) -> HttpResponse:
    """Every objective with what is left of its budget."""
    now = clock.utcnow()
    found: list[Standing] = []
    unreadable: list[tuple[Objective, str]] = []
    try:
        for row in Objective.objects.select_related("monitor"):
            try:
                found.append(standing.stand(store_engine(), row, now))
            except ObjectiveProblem as exc:
                unreadable.append((row, str(exc)))
    except (SQLAlchemyError, StoreProblem) as exc:
        return _problem(request, "operator/objectives.html", exc, {})
    found.sort(key=lambda each: (-(each.budget.spent or 0.0), each.objective.name))
    return render(request, "operator/objectives.html", {"found": found, "unreadable": unreadable, "now": now})


@require_safe
def objective(request: HttpRequest, uuid: UUID) -> HttpResponse:
    """One objective: its budget, how fast it burns, and what spent it."""
    row, now = get_object_or_404(Objective.objects.select_related("monitor"), pk=uuid), clock.utcnow()
    try:
        found = standing.stand(store_engine(), row, now, over=_over(request))
    except (Refused, ObjectiveProblem, SQLAlchemyError, StoreProblem) as exc:
        unreadable = isinstance(exc, ObjectiveProblem)
        return _problem(request, "operator/objective.html", exc, {"objective": row, "unreadable": unreadable})
    return render(
        request,
        "operator/objective.html",
        {"objective": row, "found": found, "spent": _spent(found), "now": now, "window": _window(found)},
    )


def _over(request: HttpRequest) -> list[tuple[str, timedelta]]:
    """The window of a burn rate that was asked for beside the usual ones."""
    text = request.GET.get("over", "").strip()
    try:
        return [standing.burn_window(text)] if text else []
    except ValueError as exc:
        raise Refused(400, str(exc)) from exc


def _window(found: Standing) -> str:
    budget = found.budget
    return urlencode({"start": budget.start.isoformat(), "end": min(budget.end, found.now).isoformat()})


def _spent(found: Standing) -> list[tuple[datetime, float, reports.Stretch | None]]:
    """What broke the promise in the window, the latest first: since when, for how many seconds, and what it was."""
    start, end = found.budget.start, min(found.budget.end, found.now)
    bad = [
        (each, max(each.start, start)) for each in found.slices if each.bad and each.end > start and each.start < end
    ]
    bad = bad[-MOST_SPENT:][::-1]
    if found.objective.minutes:
        return [(begun, each.bad, None) for each, begun in bad]
    stretches = {
        each.interval.start: each for each in reports.of_intervals(found.objective.monitor_id, found.intervals)
    }
    return [(begun, (min(each.end, end) - begun).total_seconds(), stretches.get(each.start)) for each, begun in bad]


class _Month:
    """The month that is shown, and the way to its neighbours."""

    def __init__(self, request: HttpRequest, now: datetime) -> None:
        try:
            self.zone: tzinfo = zone_of(request.GET.get("zone") or "UTC")
            running = month_of(now, self.zone)
            self.first: date = parse_month(request.GET["month"]) if request.GET.get("month") else running
            self.span: Span = month_span(self.first, self.zone)
            self.before, self.after = last_month(self.first), next_month(self.first)
        except (ValueError, OverflowError) as exc:
            raise Refused(400, str(exc)) from exc
        self.has_after = self.after <= running
        self.zone_name = zone_name(self.zone)
        self.text = f"{self.first:%Y-%m}"

    def query(self, **more: Sequence[str]) -> str:
        """The same month as a query."""
        return urlencode({"month": self.text, "zone": self.zone_name, **more}, doseq=True)


def _problem(request: HttpRequest, template: str, exc: Exception, context: dict[str, object]) -> HttpResponse:
    """The page with a sentence in the place of its figures."""
    ours = isinstance(exc, Refused | ObjectiveProblem)
    sentence = str(exc) if ours else f"The measurements can't be read: {our_trouble(exc) or exc}"
    status = 400 if isinstance(exc, Refused) else 503
    return render(request, template, {**context, "problem": sentence}, status=status)
