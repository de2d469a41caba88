"""Whom a ping is for: by its code, or by a key and a slug. And who pings nobody."""

from __future__ import annotations

from collections.abc import Collection, Iterable
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Any
from uuid import UUID

import sqlalchemy as sa
from sqlalchemy.dialects import postgresql, sqlite

from checks.heartbeats.runs import Address, Named, Verdict
from checks.store.schema import monitor_state, ping_code, ping_key, unknown_ping
from checks.store.states import CHUNK

_USED_EVERY = timedelta(minutes=1)
MOST_SOURCES = 1000  # of unknown pings that are told apart
OTHERS = "others"


@dataclass(frozen=True, slots=True, kw_only=True)
class Stranger:
    """A source of pings that nobody expects."""

    source: str
    count: int
    at: datetime
    user_agent: str


def find(conn: sa.Connection, addresses: Collection[Address], now: datetime) -> dict[Address, UUID | Verdict]:
    """The monitor of each address, or why there is none. What was not used for a minute is marked as used."""
    codes = sorted(address for address in addresses if isinstance(address, UUID))
    named = [address for address in addresses if isinstance(address, Named)]
    found: dict[Address, UUID | Verdict] = dict.fromkeys(addresses, Verdict.UNKNOWN)
    found.update(_by_code(conn, codes, now))
    if named:
        found.update(_by_slug(conn, named, now))
    return found


def _by_code(conn: sa.Connection, codes: list[UUID], now: datetime) -> dict[Address, UUID]:
    found, used, c = dict[Address, UUID](), list[UUID](), ping_code.c
    for begin in range(0, len(codes), CHUNK):
        known = (
            sa.select(c.code, c.monitor, c.last_used_at)
            .join(monitor_state, monitor_state.c.monitor == c.monitor)
            .where(c.code.in_(codes[begin : begin + CHUNK]), monitor_state.c.removed.is_(None))
            .where(sa.or_(c.expires_at.is_(None), c.expires_at > now))
        )
        for row in conn.execute(known):
            found[row.code] = row.monitor
            if _is_due(row.last_used_at, now):
                used.append(row.code)
    if used:
        mark = ping_code.update().where(c.code == sa.bindparam("of")).values(last_used_at=now)
        conn.execute(mark, [{"of": code} for code in used])
    return found


def _is_due(last_used_at: datetime | None, now: datetime) -> bool:
    return last_used_at is None or now - last_used_at > _USED_EVERY


def _by_slug(conn: sa.Connection, named: list[Named], now: datetime) -> dict[Address, UUID | Verdict]:
    digests = sorted({address.digest for address in named})
    keys = {row.digest: row for row in conn.execute(sa.select(ping_key).where(ping_key.c.digest.in_(digests)))}
    used = [{"of": digest} for digest, key in sorted(keys.items()) if _is_due(key.last_used_at, now)]
    if used:
        conn.execute(ping_key.update().where(ping_key.c.digest == sa.bindparam("of")).values(last_used_at=now), used)
    slugs = sorted({address.slug for address in named if address.digest in keys})
    monitors = dict[str, UUID]()
    c = monitor_state.c
    for begin in range(0, len(slugs), CHUNK):
        known = sa.select(c.slug, c.monitor).where(c.slug.in_(slugs[begin : begin + CHUNK]), c.removed.is_(None))
        monitors.update((row.slug, row.monitor) for row in conn.execute(known))

    def of(address: Named) -> UUID | Verdict:
        key = keys.get(address.digest)
        if key is None:
            return Verdict.UNKNOWN
        return monitors.get(address.slug) or (Verdict.MAY_BE_MADE if key.creates else Verdict.NO_SUCH_SLUG)

    return {address: of(address) for address in named}


def count_strangers(conn: sa.Connection, strangers: Iterable[Stranger]) -> None:
    """Add to what is known of those who ping nobody. Beyond a number of sources they are counted together."""
    strangers = list(strangers)
    if not strangers:
        return
    known: set[str] = set(conn.execute(sa.select(unknown_ping.c.source)).scalars())
    rows = dict[str, dict[str, Any]]()
    for each in strangers:
        full = len(known) >= MOST_SOURCES and each.source not in known
        source = OTHERS if full else each.source
        known.add(source)
        row = rows.setdefault(source, {"source": source, "count": 0, "first_at": each.at, "last_at": each.at})
        row.update(count=row["count"] + each.count, last_at=each.at, user_agent=each.user_agent)
    make = sqlite.insert if conn.dialect.name == "sqlite" else postgresql.insert
    query = make(unknown_ping)
    changed = {
        "count": unknown_ping.c.count + query.excluded.count,
        "last_at": query.excluded.last_at,
        "user_agent": query.excluded.user_agent,
    }
    ordered = [rows[source] for source in sorted(rows)]  # else two processes would wait for each other
    conn.execute(query.on_conflict_do_update(index_elements=[unknown_ping.c.source], set_=changed), ordered)
