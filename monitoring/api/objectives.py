"""What was promised and what was kept, for programs: as in a pipeline that deploys only where budget is left."""

from __future__ import annotations

from datetime import datetime

from django.http import HttpRequest

from checks import clock
from monitoring.api.door import Document, Refused, reading
from monitoring.models import Objective
from monitoring.objectives.standing import Standing, burn_window, stand
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
    found = [stand(store_engine(), row, now, over=over) for row in rows]
    return {"as_of": _instant(now), "objectives": [_objective(each) for each in found]}


def _objective(found: Standing) -> Document:
    objective, budget = found.objective, found.budget
    return {
        "uuid": str(objective.uuid),
        "name": objective.name,
        "monitor": objective.monitor.slug,
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
