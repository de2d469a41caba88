"""The operator's screens. `monitoring.access` lets in those who are signed in."""

from __future__ import annotations

import sys
from uuid import UUID

from django.core.exceptions import PermissionDenied
from django.http import Http404, HttpRequest, HttpResponse
from django.shortcuts import get_object_or_404, redirect, render
from django.views.decorators.http import require_POST, require_safe
from sqlalchemy.exc import SQLAlchemyError

from checks import clock
from checks.heartbeats import history as job_history
from checks.heartbeats.history import UnknownPings
from checks.store.engine import StoreProblem, our_trouble, reading
from checks.store.setting import NotSettable
from monitoring import manual, publish
from monitoring.models import Incident, Monitor
from monitoring.operator import dashboard as dashboards
from monitoring.operator import history
from monitoring.operator import incidents as incident_pages

MOST_TEXT = 200  # characters of a filter
MOST_UNKNOWN = 200  # sources of unknown pings


@require_safe
def dashboard(request: HttpRequest) -> HttpResponse:
    """All monitors, the worst first, filtered by `?q=` and `?status=`; with `?all` however many."""
    text, status = request.GET.get("q", "").strip()[:MOST_TEXT], request.GET.get("status", "")
    status = status if status in dashboards.WORST_FIRST else ""
    most = sys.maxsize if "all" in request.GET else dashboards.MOST_ROWS
    page = dashboards.assemble(clock.utcnow(), text=text, status=status, most=most)
    asked = {"q": text, "status": status, "statuses": dashboards.WORST_FIRST}
    return render(request, "operator/dashboard.html", {"page": page, **asked})


@require_safe
def monitor(request: HttpRequest, slug: str) -> HttpResponse:
    """One monitor. A retired one keeps its page: its history is kept."""
    found = get_object_or_404(Monitor, slug=slug)
    page = history.assemble(found, clock.utcnow(), request.GET)
    return render(request, "operator/monitor.html", {"page": page})


@require_POST
def rotate_ping_url(request: HttpRequest, slug: str) -> HttpResponse:
    """Give a heartbeat another ping URL, and go back to its page. `force` ends an earlier one that is still heard."""
    found = get_object_or_404(Monitor, slug=slug, retired_at=None)
    if not request.user.has_perm("monitoring.change_monitor"):
        raise PermissionDenied("your account may not change monitors")
    if history.heartbeat_spec(found) is None:
        raise Http404("only a heartbeat has a ping URL")
    try:
        publish.rotate(found, force="force" in request.POST)
    except publish.StillHeard as exc:
        return _refused(request, found, "Its address was not replaced", exc, status=409)
    return redirect("monitor", slug=slug)


@require_safe
def unknown_pings(request: HttpRequest) -> HttpResponse:
    """Who sends pings that no monitor has."""
    now, problem, found = clock.utcnow(), "", list[UnknownPings]()
    try:
        with reading(publish.store_engine()) as conn:
            found = job_history.unknown_pings(conn, MOST_UNKNOWN)
    except (SQLAlchemyError, StoreProblem) as exc:
        problem = our_trouble(exc) or str(exc)
    return render(request, "operator/unknown_pings.html", {"found": found, "problem": problem, "now": now})


@require_POST
def set_status(request: HttpRequest, slug: str) -> HttpResponse:
    """Say what a manual monitor is, and go back to its page."""
    found = get_object_or_404(Monitor, slug=slug, retired_at=None)
    if not request.user.has_perm("monitoring.change_monitor"):
        raise PermissionDenied("your account may not change monitors")
    status, message = request.POST.get("status", ""), request.POST.get("message", "")
    try:
        manual.set_status(found, status, message=message, by=request.user.get_username())
    except NotSettable as exc:
        return _refused(request, found, "Its status was not set", exc, status=400)
    return redirect("monitor", slug=slug)


def _refused(request: HttpRequest, found: Monitor, what: str, problem: Exception, *, status: int) -> HttpResponse:
    context = {"monitor": found, "what": what, "problem": str(problem)}
    return render(request, "operator/refused.html", context, status=status)


@require_safe
def incident(request: HttpRequest, uuid: UUID) -> HttpResponse:
    """One incident: evidence, timeline, and every message about it."""
    found = get_object_or_404(Incident.objects.select_related("monitor", "post_mortem"), pk=uuid)
    return render(request, "operator/incident.html", {"page": incident_pages.assemble(found, clock.utcnow())})
