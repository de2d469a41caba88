"""By what monitors are pinged: codes of their own, and keys that go with a slug."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Any
from uuid import UUID

import sqlalchemy as sa
from sqlalchemy.dialects import postgresql, sqlite

from checks.store.schema import ping_code, ping_key
from checks.store.states import CHUNK


@dataclass(frozen=True, slots=True, kw_only=True)
class PublishedKey:
    """A key by which monitors are pinged by their slugs; `digest` is its SHA-256."""

    digest: bytes
    name: str
    creates: bool


@dataclass(frozen=True, slots=True, kw_only=True)
class CodeUse:
    """When a code was used last, to about a minute, and until when it is heard; None: for ever."""

    code: UUID
    last_used_at: datetime | None
    expires_at: datetime | None


def write_codes(conn: sa.Connection, codes: Mapping[UUID, Mapping[UUID, datetime | None]], now: datetime) -> None:
    """Have these monitors be pinged by exactly these codes, each until its instant."""
    monitors = sorted(codes)
    for begin in range(0, len(monitors), CHUNK):
        some = monitors[begin : begin + CHUNK]
        kept = [code for monitor in some for code in codes[monitor]]
        conn.execute(ping_code.delete().where(ping_code.c.monitor.in_(some), ping_code.c.code.not_in(kept)))
    rows = [
        {"code": code, "monitor": monitor, "created_at": now, "expires_at": expires_at}
        for monitor in monitors
        for code, expires_at in codes[monitor].items()
    ]
    _upsert(conn, ping_code, rows, ("monitor", "expires_at"))


def publish_keys(conn: sa.Connection, keys: Sequence[PublishedKey]) -> None:
    """Have exactly these keys; when each was used last stays known."""
    conn.execute(ping_key.delete().where(ping_key.c.digest.not_in([key.digest for key in keys])))
    rows = [{"digest": key.digest, "name": key.name, "creates": key.creates} for key in keys]
    _upsert(conn, ping_key, rows, ("name", "creates"))


def _upsert(conn: sa.Connection, table: sa.Table, rows: Sequence[dict[str, Any]], changing: Sequence[str]) -> None:
    if rows:
        query = (sqlite.insert if conn.dialect.name == "sqlite" else postgresql.insert)(table)
        changed = {name: query.excluded[name] for name in changing}
        conn.execute(query.on_conflict_do_update(index_elements=list(table.primary_key), set_=changed), rows)


def uses(conn: sa.Connection, monitor: UUID) -> list[CodeUse]:
    """The codes of a monitor, the newest first."""
    c = ping_code.c
    query = sa.select(c.code, c.last_used_at, c.expires_at).where(c.monitor == monitor)
    rows = conn.execute(query.order_by(c.expires_at.is_(None).desc(), c.created_at.desc()))
    return [CodeUse(code=row.code, last_used_at=row.last_used_at, expires_at=row.expires_at) for row in rows]


def key_uses(conn: sa.Connection) -> dict[bytes, datetime | None]:
    """When each key was used last, by its digest."""
    return {row.digest: row.last_used_at for row in conn.execute(sa.select(ping_key.c.digest, ping_key.c.last_used_at))}
