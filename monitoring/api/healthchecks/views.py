"""The addresses that healthchecks has, each in its form. `monitoring.api.healthchecks.endpoint` asks for the key."""

from __future__ import annotations

import re
from collections.abc import Iterable
from datetime import UTC, datetime, timedelta
from uuid import UUID

import sqlalchemy as sa
from django.conf import settings
from django.db import connection
from django.http import HttpResponse, JsonResponse
from sqlalchemy.exc import SQLAlchemyError

from checks import clock
from checks.environment import EnvironmentProblem
from checks.heartbeats import listing
from checks.heartbeats.listing import Standing
from checks.store.engine import StoreProblem, reading
from monitoring import publish
from monitoring.api.healthchecks import heartbeats, shapes
from monitoring.api.healthchecks.asked import read, shown
from monitoring.api.healthchecks.endpoint import Call, Needs, Refused, endpoint
from monitoring.api.healthchecks.shapes import Where
from monitoring.api.healthchecks.told import Told
from monitoring.channels import service_of
from monitoring.models import Channel, Monitor

MOST_PINGS = 1000
MOST_TRANSITIONS = 10_000  # from which flips are told
_LATEST = 10_000_000_000  # seconds since 1970
_LONGEST = 31_536_000  # seconds


@endpoint(GET=Needs.READ, POST=Needs.WRITE)
def checks(call: Call) -> HttpResponse:
    """All heartbeats, or those of `?slug=` with every `?tag=`; a POST makes one, or changes the one it is unique with."""
    if call.method == "POST":
        monitor, is_new = heartbeats.make(read(call.document), version=call.version)
        return _changed(call, monitor, status=201 if is_new else 200)
    found = heartbeats.heartbeats()
    slug, tags = call.request.GET.get("slug"), set(call.request.GET.getlist("tag"))
    if slug:
        found = found.filter(slug=slug) if heartbeats.is_slug(slug) else found.none()
    chosen = [monitor for monitor in found if tags <= set(monitor.spec.get("tags") or ())]
    with reading(publish.store_engine()) as conn:
        known = listing.standings(conn, chosen[0].uuid if len(chosen) == 1 else None)
    return JsonResponse({"checks": _shown(call, chosen, known)})


@endpoint(GET=Needs.READ, POST=Needs.WRITE, DELETE=Needs.WRITE)
def check(call: Call, name: str) -> HttpResponse:
    """One heartbeat; a POST changes what it names, a DELETE answers with what it was."""
    if call.method == "GET":
        monitor = heartbeats.find(name)
        with reading(publish.store_engine()) as conn:
            known = listing.standings(conn, monitor.uuid)
        return _one(call, monitor, known)
    monitor = heartbeats.find_to_change(name)
    if call.method == "POST":
        return _changed(call, heartbeats.change(monitor, read(call.document), version=call.version))
    heartbeats.refuse_what_the_file_owns(monitor)
    answer = _changed(call, monitor)
    publish.delete(monitor)
    return answer


@endpoint(POST=Needs.WRITE)
def pause(call: Call, name: str) -> HttpResponse:
    """Not watched from now on. Pausing is no option: it is also for those that the file owns."""
    return _changed(call, publish.change(heartbeats.find_to_change(name), paused=True))


@endpoint(POST=Needs.WRITE)
def resume(call: Call, name: str) -> HttpResponse:
    """Watched again; 409 where it is."""
    monitor = heartbeats.find_to_change(name)
    if not monitor.paused:
        raise Refused(409, "check is not paused")
    return _changed(call, publish.change(monitor, paused=False))


@endpoint(GET=Needs.WRITE)
def pings(call: Call, name: str) -> HttpResponse:
    """The pings that are kept, the newest first."""
    monitor = heartbeats.find(name)
    with reading(publish.store_engine()) as conn:
        found = listing.pings(conn, monitor.uuid, MOST_PINGS)
    return JsonResponse({"pings": [shapes.ping(each, monitor.uuid, _where(call)) for each in found]})


@endpoint(GET=Needs.WRITE)
def ping_body(call: Call, name: str, number: int) -> HttpResponse:  # noqa: ARG001 - a view
    """What came with a ping, as it came."""
    monitor = heartbeats.find(name)
    with reading(publish.store_engine()) as conn:
        body = listing.body_of(conn, monitor.uuid, number)
    if not body:
        raise Refused(404, "there is no such ping, or it had no body")
    return HttpResponse(body, content_type="text/plain")


@endpoint(GET=Needs.READ)
def flips(call: Call, name: str) -> HttpResponse:
    """When it went up and when down, the newest first, within `?start=`, `?end=` and the last `?seconds=`."""
    monitor = heartbeats.find(name)
    start, end = _moment(call, "start"), _moment(call, "end")
    seconds = _number(call, "seconds", _LONGEST)
    if seconds is not None:
        since = clock.utcnow() - timedelta(seconds=seconds)
        start = since if start is None else max(start, since)
    with reading(publish.store_engine()) as conn:
        turns = listing.turns(conn, monitor.uuid, MOST_TRANSITIONS, start=start, end=end)
    return JsonResponse({"flips": shapes.flips(turns)})


@endpoint(GET=Needs.WRITE)
def channels(call: Call) -> HttpResponse:  # noqa: ARG001 - a view
    """The channels that there are."""
    found = [shapes.channel(each.uuid, each.name, _service_of(each)) for each in Channel.objects.all()]
    return JsonResponse({"channels": found})


@endpoint(GET=Needs.NOTHING)
def status(call: Call) -> HttpResponse:  # noqa: ARG001 - a view
    """200 where both databases answer."""
    with connection.cursor() as cursor:
        cursor.execute("SELECT 1")
    with reading(publish.store_engine()) as conn:
        conn.execute(sa.select(1))
    return HttpResponse("OK", content_type="text/plain")


def _service_of(channel: Channel) -> str:
    try:
        return service_of(channel)
    except EnvironmentProblem:  # sealed with another key
        return "unknown"


def _changed(call: Call, monitor: Monitor, status: int = 200) -> HttpResponse:
    """A heartbeat after it was changed, which stands however it is with the store."""
    try:
        with reading(publish.store_engine()) as conn:
            known = listing.standings(conn, monitor.uuid)
    except (SQLAlchemyError, StoreProblem):
        known = {}
    return _one(call, monitor, known, status=status)


def _one(call: Call, monitor: Monitor, known: dict[UUID, Standing], status: int = 200) -> HttpResponse:
    found = _shown(call, [monitor], known)
    if not found:
        raise Refused(409, f"the stored options of {monitor.slug} can't be read; write them anew in the admin")
    return JsonResponse(found[0], status=status)


def _shown(call: Call, monitors: Iterable[Monitor], known: dict[UUID, Standing]) -> list[dict[str, object]]:
    """These heartbeats in their form. One whose options can't be read is left out: the others must be seen."""
    told = Told()
    found = []
    for monitor in monitors:
        spec = heartbeats.spec_of(monitor)
        if spec is None:
            continue
        check = shapes.Check(
            uuid=monitor.uuid,
            ping_code=monitor.ping_code,
            spec=spec,
            paused=monitor.paused,
            standing=known.get(monitor.uuid),
            channels=[] if call.reads_only else [channel.uuid for channel in told.about(spec)],
        )
        found.append(shapes.check(check, _where(call), reads_only=call.reads_only))
    return found


def _where(call: Call) -> Where:
    return Where(settings.BASE_URL, call.version)


def _moment(call: Call, name: str) -> datetime | None:
    seconds = _number(call, name, _LATEST)
    return None if seconds is None else datetime.fromtimestamp(seconds, UTC)


def _number(call: Call, name: str, highest: int) -> int | None:
    text = call.request.GET.get(name, "")
    if not text:
        return None
    if not re.fullmatch(r"[0-9]{1,11}", text) or int(text) > highest:
        raise Refused(400, f"{name} is {shown(text)}; allowed: whole seconds, 0 to {highest}")
    return int(text)
