"""What healthchecks calls our things, and the form in which it answers. Pure."""

from __future__ import annotations

import hashlib
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Any
from urllib.parse import urlsplit
from uuid import UUID

from checks.heartbeats.listing import Listed, Standing, Turn
from checks.heartbeats.runs import Action
from checks.probes.heartbeat import HeartbeatSpec
from checks.status import Status

_STATUSES = {
    Status.PENDING: "new",
    Status.UP: "up",
    Status.DEGRADED: "up",  # it serves; one that is late is told apart
    Status.DOWN: "down",
    Status.UNKNOWN: "new",
    Status.PAUSED: "paused",
}
_KINDS = {"mailto": "email", "mailtos": "email", "json": "webhook", "jsons": "webhook"}  # other services as they are
_METHODS = ("GET", "HEAD", "POST")


@dataclass(frozen=True, slots=True, kw_only=True)
class Check:
    """A heartbeat with all that an answer needs."""

    uuid: UUID
    ping_code: UUID
    spec: HeartbeatSpec
    paused: bool
    standing: Standing | None  # None where the store does not know it yet
    channels: Sequence[UUID]  # that alert rules tell about it


@dataclass(frozen=True, slots=True)
class Where:
    """Under which address, and in which version, somebody asked."""

    base: str
    version: int

    def of(self, uuid: UUID) -> str:
        """Where a check is read and changed."""
        return f"{self.base}/api/v{self.version}/checks/{uuid}"


def unique_key(uuid: UUID) -> str:
    """What stands for a check where its UUID is not shown: 40 hexadecimal digits that never change."""
    return hashlib.blake2b(uuid.bytes, digest_size=20).hexdigest()


def check(check: Check, where: Where, *, reads_only: bool) -> dict[str, Any]:
    """One check; without what would allow to ping or change it where the key only reads."""
    spec, standing = check.spec, check.standing
    status, started = _status(check), standing is not None and standing.started_at is not None
    keywords = bool(spec.start_keywords or spec.success_keywords or spec.failure_keywords)
    success, failure = ",".join(spec.success_keywords), ",".join(spec.failure_keywords)
    answer: dict[str, Any] = {
        "name": spec.name,
        "slug": spec.slug,
        "tags": " ".join(spec.tags),
        "desc": spec.description,
        "grace": round(spec.grace),
        "n_pings": 0 if standing is None else standing.pings,
        "status": "started" if where.version == 1 and started and status != "paused" else status,
        "started": started,
        "last_ping": None if standing is None else instant(standing.last_ping_at),
        "next_ping": instant(standing.expected_at) if standing and status in ("up", "grace") else None,
        "manual_resume": True,
        "methods": "POST" if spec.post_only else "",
        "subject": success,
        "subject_fail": failure,
        "start_kw": ",".join(spec.start_keywords),
        "success_kw": success,
        "failure_kw": failure,
        "filter_subject": keywords,
        "filter_body": keywords,
        "filter_http_body": keywords,
        "filter_default_fail": False,
        **_schedule(spec),
    }
    if standing is not None and standing.last_duration_ns is not None:
        answer["last_duration"] = standing.last_duration_ns // 1_000_000_000
    if reads_only:
        return {**answer, "unique_key": unique_key(check.uuid)}
    address = where.of(check.uuid)
    return {
        **answer,
        "uuid": str(check.ping_code),  # clients make the ping URL of it
        "ping_url": f"{where.base}/ping/{check.ping_code}",
        "update_url": address,
        "pause_url": f"{address}/pause",
        "resume_url": f"{address}/resume",
        "channels": ",".join(sorted(map(str, check.channels))),
    }


def _status(check: Check) -> str:
    if check.paused:
        return "paused"
    if check.standing is None or check.standing.status is Status.PAUSED:
        return "new"  # resumed, and the store was not told yet
    return "grace" if check.standing.is_late else _STATUSES[check.standing.status]


def _schedule(spec: HeartbeatSpec) -> dict[str, Any]:
    schedule = spec.schedule
    if schedule.every is not None:
        return {"timeout": round(schedule.every)}
    return {"schedule": "\n".join(schedule.cron or schedule.oncalendar or ()), "tz": schedule.timezone}


def instant(at: datetime | None) -> str | None:
    """An instant to the second, `2026-11-22T03:00:00+00:00`."""
    return None if at is None else at.replace(microsecond=0).isoformat()


def ping(ping: Listed, uuid: UUID, where: Where) -> dict[str, Any]:
    """One ping of a list. `n` names it among all pings here, so that its body can be asked for."""
    answer: dict[str, Any] = {
        "type": ping.action.value,
        "date": ping.received_at.isoformat(timespec="microseconds"),
        "n": ping.id,
        "scheme": urlsplit(where.base).scheme if ping.method in _METHODS else "email",
        "remote_addr": ping.source,
        "method": ping.method,
        "ua": ping.user_agent,
        "rid": None if ping.run is None else str(ping.run),
        "body_url": f"{where.of(uuid)}/pings/{ping.id}/body" if ping.has_body else None,
    }
    if ping.duration_ns is not None and ping.action in (Action.SUCCESS, Action.FAIL):
        answer["duration"] = round(ping.duration_ns / 1e9, 6)
    return answer


def flips(turns: Iterable[Turn]) -> list[dict[str, Any]]:
    """When the check went up, and when down."""
    return [{"timestamp": instant(turn.since), "up": int(turn.is_serving)} for turn in turns]


def channel(uuid: UUID, name: str, service: str) -> dict[str, Any]:
    """One channel, without its address."""
    return {"id": str(uuid), "name": name, "kind": _KINDS.get(service, service)}
