"""What was promised and what was kept, for programs: as in a pipeline that deploys only where budget is left."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import datetime, timedelta

from django.http import HttpRequest

from checks import clock
from monitoring.api.door import Document, Refused, reading
from monitoring.models import Objective
from monitoring.objectives.standing import ObjectiveProblem, burn_window, stand
from monitoring.publish import store_engine


@reading
def of_all(request: HttpRequest) -> Document:
    """Every objective by name, or those of `?monitor=`; with `?over=2h` a burn rate over that, too."""
    rows, now = Objective.objects.select_related("monitor"), clock.utcnow()
    if request.GET.get("monitor"):
        rows = rows.filter(monitor__slug=request.GET["monitor"])
    try:
        over = [burn_window(request.GET["over"])] if request.GET.get("over") else []
    except ValueError as exc:
        raise Refused(400, f"over: {exc}") from None
    return {"as_of": _instant(now), "objectives": [_objective(row, now, over) for row in rows]}


def _objective(objective: Objective, now: datetime, over: Sequence[tuple[str, timedelta]]) -> Document:
    """How it stands, or what keeps it from being read."""
    known = {"uuid": str(objective.uuid), "name": objective.name, "monitor": objective.monitor.slug}
    try:
        found = stand(store_engine(), objective, now, over=over)
    except ObjectiveProblem as exc:
        return {**known, "problem": str(exc)}
    budget = found.budget
    return {
        **known,
        "minutes": objective.minutes or None,
        "target_percent": objective.target,
        "start": _instant(budget.start),
        "end": _instant(budget.end),
        "attained": budget.attained,
        "counted_seconds": budget.counted,
        "budget_seconds": budget.allowed,
        "spent_seconds": budget.bad,
        "broken": budget.broken,
        "burn_rates": dict(found.burns),
        "exhausted_at": None if found.exhausted_at is None else _instant(found.exhausted_at),
    }


def _instant(instant: datetime) -> str:
    return instant.isoformat().replace("+00:00", "Z")
