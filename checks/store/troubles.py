"""What is wrong with us, one row a trouble that goes on: the notifier opens a `system:<what>` incident for each."""

from __future__ import annotations

from datetime import datetime

import sqlalchemy as sa
from sqlalchemy.dialects import postgresql, sqlite

from checks.store.schema import trouble


def report_trouble(
    conn: sa.Connection, what: str, message: str, now: datetime, *, since: datetime | None = None
) -> None:
    """Say that something is wrong with us. One row a trouble: it keeps the instant at which it began."""
    make = sqlite.insert if conn.dialect.name == "sqlite" else postgresql.insert
    row = make(trouble).values(what=what, message=message[:500], since=since or now, seen_at=now)
    conn.execute(
        row.on_conflict_do_update(
            index_elements=[trouble.c.what],
            set_={"message": row.excluded.message, "seen_at": row.excluded.seen_at},
        ),
    )


def clear_trouble(conn: sa.Connection, what: str) -> None:
    """Say that it is well again."""
    conn.execute(trouble.delete().where(trouble.c.what == what))
