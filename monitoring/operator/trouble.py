"""What an operator must know before any monitor: what is wrong with us, and which messages did not arrive."""

from __future__ import annotations

from collections.abc import Collection, Iterable
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Literal

import sqlalchemy as sa

from checks.store import outbox
from checks.store.schema import sign_of_life
from monitoring.models import Channel, ConfigurationFile, Incident, Notification

SILENT = timedelta(seconds=30)  # a process says that it lives every 2 s
FORGOTTEN = timedelta(days=30)  # a location that was given up long ago is no news
MOST_NAMED = 5
_NEEDED = ("worker", "notifier")
_DOES = {
    "worker": "nothing is probed there",
    "notifier": "nobody is told, and status pages stand still",
    "web": "pings are not received",
    "mail_pings": "pings by mail wait at their senders",
}


@dataclass(frozen=True, slots=True, kw_only=True)
class Banner:
    """One thing that is wrong, with where to look."""

    level: Literal["down", "degraded"]
    text: str
    lines: tuple[str, ...] = ()
    incident: str = ""  # the uuid of its own page
    look: str = ""  # the name of a page of the admin


def of_messages() -> list[Banner]:
    """Messages that were given up, and channels that don't work."""
    banners = []
    dead = Notification.objects.filter(status=Notification.Status.DEAD).order_by("-created_at")
    if count := dead.count():
        shown = dead.only("channel_name", "event", "note")[:MOST_NAMED]
        banners.append(
            Banner(
                level="down",
                text=f"{count} message{' was' if count == 1 else 's were'} given up and reached nobody.",
                lines=tuple(f"{row.channel_name}, {row.event}: {row.note or 'no reason was kept'}" for row in shown),
                look="admin:monitoring_notification_changelist",
            ),
        )
    broken = list(Channel.objects.exclude(broken_since=None))
    if broken:
        banners.append(
            Banner(
                level="down",
                text=f"{len(broken)} channel{' does' if len(broken) == 1 else 's do'} not work.",
                lines=tuple(f"{channel.name}: {channel.last_error or 'its last message failed'}" for channel in broken),
                look="admin:monitoring_channel_changelist",
            ),
        )
    return banners


def of_configuration() -> list[Banner]:
    """A newer version of the configuration file that was refused: what runs is not what the file says."""
    refused = ConfigurationFile.objects.exclude(refused_at=None)
    return [
        Banner(
            level="degraded",
            text=f"{row.path or 'The configuration file'} was changed and can't be applied; the version before it runs on.",
            lines=tuple(row.problems.splitlines()[:MOST_NAMED]),
        )
        for row in refused
    ]


def of_system(troubles: Iterable[outbox.Trouble]) -> list[Banner]:
    """Open incidents about us, and what the store reports that the notifier has not made an incident of."""
    rows = list(Incident.objects.filter(resolved_at=None, cause__startswith="system:"))
    known = {row.cause for row in rows}
    banners = [Banner(level="degraded", text=row.summary or row.cause, incident=str(row.uuid)) for row in rows]
    untold = [trouble for trouble in troubles if f"system:{trouble.what}" not in known]
    return banners + [Banner(level="degraded", text=trouble.message or trouble.what) for trouble in untold]


def silent_processes(conn: sa.Connection, now: datetime) -> list[Banner]:
    """Of which process nothing is heard: by role and location, since a fellow's sign of life is as good as its own."""
    c = sign_of_life.c
    latest = sa.select(c.role, c.location, sa.func.max(c.at)).group_by(c.role, c.location).order_by(c.role, c.location)
    return judge_signs([(role, location, at) for role, location, at in conn.execute(latest)], now)


def judge_signs(signs: Collection[tuple[str, str, datetime]], now: datetime) -> list[Banner]:
    """What the last signs of life say, as of `now`."""
    banners = []
    for role, location, at in signs:
        if not SILENT < now - at < FORGOTTEN:
            continue
        place = f" at {location}" if location and role == "worker" else ""
        minutes = round((now - at).total_seconds() / 60) or 1
        text = f"No {role}{place} has been heard from for {minutes} min: {_DOES.get(role, 'it does nothing')}."
        banners.append(Banner(level="down", text=text))
    heard = {role for role, _, _ in signs}
    never = (role for role in _NEEDED if role not in heard)
    return banners + [
        Banner(level="down", text=f"No {role} has ever been heard from: {_DOES[role]}.") for role in never
    ]
