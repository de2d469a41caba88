"""`/healthz`: web can answer. `/readyz`: the installation does its work; one bare reason code, no details.

| code | status | meaning |
| --- | --- | --- |
| `ok` | 200 | everything is as it should be |
| `muted` | 200 | it works, and tells nobody: a copy that was restored, until `manage.py unmute` |
| `dead_letters` | 200 | it works, and a message was given up: look at the notifications |
| `trouble` | 200 | it works, and reports a trouble of its own: look at the dashboard |
| `configuration_unreachable` | 503 | Django's database does not answer |
| `configuration_schema` | 503 | Django's database is not migrated to this version |
| `measurements_unreachable` | 503 | the store does not answer |
| `measurements_schema` | 503 | the store is not of this version's revision |
| `no_worker` | 503 | no worker gave a sign of life for 30 s: nothing is probed |
| `no_notifier` | 503 | no notifier gave a sign of life for 30 s: nobody is told |

The codes with 200 need a person and not another machine: taking web out of a balancer would only hide the dashboard.
"""

from __future__ import annotations

import logging
import threading
from dataclasses import dataclass
from datetime import timedelta

import sqlalchemy as sa
from django.db import DatabaseError, connection
from django.db.migrations.recorder import MigrationRecorder
from django.http import HttpRequest, HttpResponse

from checks import clock
from checks.store.engine import SchemaMismatch, StoreProblem, our_trouble, reading
from checks.store.muting import MUTED
from checks.store.schema import sign_of_life, trouble
from checks.store.upgrade import check_schema
from monitoring import preparation
from monitoring.models import Notification
from monitoring.publish import store_engine

logger = logging.getLogger(__name__)

SIGN_OF_LIFE = timedelta(seconds=30)
REMEMBERED = 1.0  # seconds; a flood of questions must not become a flood of connections


@dataclass(frozen=True, slots=True)
class Readiness:
    """A reason code, and whether the installation does its work."""

    code: str
    working: bool


_lock = threading.Lock()
_last: tuple[float, Readiness] | None = None


def healthz(request: HttpRequest) -> HttpResponse:
    """200, always: that it arrives is the answer."""
    del request
    return _answer("ok", 200)


def readyz(request: HttpRequest) -> HttpResponse:
    """The reason code; 503 where the installation does not do its work. Asked again at most once a second."""
    global _last  # noqa: PLW0603 - one answer a process
    del request
    with _lock:
        now = clock.monotonic()
        if _last is None or now - _last[0] >= REMEMBERED:
            _last = (now, readiness())
        found = _last[1]
    return _answer(found.code, 200 if found.working else 503)


def forget() -> None:
    """Look again at the next question."""
    global _last  # noqa: PLW0603 - as above
    _last = None


def _answer(code: str, status: int) -> HttpResponse:
    headers = {"Cache-Control": "no-store"}
    answer = HttpResponse(f"{code}\n", status=status, content_type="text/plain; charset=utf-8", headers=headers)
    # Django would log each 503 as an error of its own, once a second for as long as somebody waits for readiness.
    answer._has_been_logged = True  # type: ignore[attr-defined]  # noqa: SLF001 - there is no other way
    return answer


def readiness() -> Readiness:
    """The first thing that is wrong, the worst first."""
    code = _configuration() or _measurements()
    if code:
        return Readiness(code, working=False)
    troubles = _troubles()
    if MUTED in troubles:
        return Readiness("muted", working=True)
    given_up = Notification.objects.filter(status=Notification.Status.DEAD)
    if given_up.exclude(event=Notification.Event.TEST).exists():  # whoever tests a channel sees what became of it
        return Readiness("dead_letters", working=True)
    return Readiness("trouble" if troubles else "ok", working=True)


def _configuration() -> str:
    """What is wrong with Django's database; empty where nothing is."""
    try:
        with connection.cursor() as cursor:
            cursor.execute("SELECT 1")
        return "" if _migrated() else "configuration_schema"
    except DatabaseError as exc:
        logger.warning("Django's database does not answer: %s", exc, extra={"action": "not_ready"})
        return "configuration_unreachable"


def _migrated() -> bool:
    """Whether the database has exactly the migrations of this version: a newer one may upgrade it at any time."""
    applied = MigrationRecorder(connection).applied_migrations()
    return {name for app, name in applied if app == "monitoring"} == preparation.on_disk()


def _measurements() -> str:
    """What is wrong with the store, or with those who work on it; empty where nothing is."""
    try:
        engine = store_engine()
        check_schema(engine)
        with reading(engine) as conn:
            latest = sa.select(sign_of_life.c.role, sa.func.max(sign_of_life.c.at)).group_by(sign_of_life.c.role)
            seen = {role: at for role, at in conn.execute(latest)}  # noqa: C416 - a Row is no pair to dict()'s type
    except SchemaMismatch:
        return "measurements_schema"
    except (StoreProblem, sa.exc.SQLAlchemyError) as exc:
        logger.warning("The store does not answer: %s", our_trouble(exc) or exc, extra={"action": "not_ready"})
        return "measurements_unreachable"
    oldest = clock.utcnow() - SIGN_OF_LIFE
    for role in ("worker", "notifier"):
        if role not in seen or seen[role] < oldest:
            return f"no_{role}"
    return ""


def _troubles() -> frozenset[str]:
    """What is wrong with us and goes on."""
    with reading(store_engine()) as conn:
        return frozenset(conn.execute(sa.select(trouble.c.what)).scalars())
