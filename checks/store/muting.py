"""An installation that tells nobody anything: a copy restored from a backup, while the original may still run.

It is a trouble of ours like others, so the dashboard shows it; only `unmute` ends it.
"""

from __future__ import annotations

from datetime import datetime

import sqlalchemy as sa

from checks.store.schema import trouble

MUTED = "muted"
_OURS = trouble.c.what == MUTED


def mute(conn: sa.Connection, message: str, now: datetime) -> None:
    """From now on nothing is sent; `message` says why."""
    for statement in muted(message, now):
        conn.execute(statement)


def muted(message: str, now: datetime) -> tuple[sa.UpdateBase, ...]:
    """The statements that mute, for whoever has another connection."""
    row = {"what": MUTED, "message": message[:500], "since": now, "seen_at": now}
    return trouble.delete().where(_OURS), trouble.insert().values(row)


def unmute(conn: sa.Connection) -> bool:
    """Send again; False where nothing was muted."""
    return conn.execute(trouble.delete().where(_OURS)).rowcount > 0


def is_muted(conn: sa.Connection) -> bool:
    """Whether nothing may be sent."""
    return conn.execute(sa.select(trouble.c.what).where(_OURS)).first() is not None
