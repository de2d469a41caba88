"""Whether we could see: signs of life, blind intervals, and the targets of which nothing is heard.

Every process writes a sign of life every 2 s by the very path that writes pings or results. Sight for heartbeats is the
union over all web processes, for a location the union over its workers: a gap above 10 s in that union is a blind
interval. Nothing is judged late for an instant at which we were blind.
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Any

import sqlalchemy as sa
from sqlalchemy.dialects import postgresql, sqlite

from checks import clock
from checks.store import rollup
from checks.store.schema import blind_interval, sign_of_life

WEB, WORKER = "web", "worker"
MAIL = "mail_pings"  # says nothing about pings over HTTP, by which jobs are judged
EVERYWHERE = ""  # the location of web processes
SIGN_EVERY = 2.0  # seconds
LONGEST_GAP = timedelta(seconds=10)
LARGEST_JUMP = 5.0  # seconds by which the wall clock may differ from the monotonic one between two signs
LONG_AWAY = timedelta(days=1)
_KEEP_SIGNS = timedelta(days=1)


@dataclass(frozen=True, slots=True)
class Blind:
    """A stretch of time in which we saw nothing."""

    start: datetime
    end: datetime


class JumpDetector:
    """Tells when the wall clock moved otherwise than the monotonic one: a suspend, or a step of the clock."""

    def __init__(self) -> None:
        self._wall: datetime | None = None
        self._monotonic = 0.0

    def look(self, wall: datetime, monotonic: float) -> Blind | None:
        """The interval that was jumped over since the last look; None where time went on as it should."""
        before, passed = self._wall, monotonic - self._monotonic
        self._wall, self._monotonic = wall, monotonic
        if before is None or abs((wall - before).total_seconds() - passed) <= LARGEST_JUMP:
            return None
        return Blind(min(before, wall), max(before, wall))


class Signs:
    """The signs of life of one process. `write` belongs into the transactions of the path whose life it shows."""

    def __init__(self, *, process: str, role: str, location: str) -> None:
        self._key = {"process": process, "role": role, "location": location}
        self._started_at = clock.utcnow()
        self._jumps = JumpDetector()

    def write(self, conn: sa.Connection, now: datetime) -> list[Blind]:
        """Say that this process lives; the intervals, now written down, in which nobody of its role did."""
        role, location = self._key["role"], self._key["location"]
        last = last_sign(conn, role, location, now=now)
        jumped = self._jumps.look(now, clock.monotonic())
        if jumped is not None and jumped.end > now:  # back: the clock was ahead, and so is what it wrote down
            ours = sa.and_(blind_interval.c.role == role, blind_interval.c.location == location)
            conn.execute(blind_interval.delete().where(ours, blind_interval.c.end > now))
            rollup.reopen(conn, now)
            jumped = None
        missed = [jumped]
        if last is not None and now - last > LONGEST_GAP:
            missed.append(Blind(last, now))
        blind = list(dict.fromkeys(interval for interval in missed if interval is not None))
        for interval in blind:
            add_blind(conn, role, location, interval)
        changed = conn.execute(
            sign_of_life.update().where(sign_of_life.c.process == self._key["process"]).values(at=now)
        )
        if changed.rowcount == 0:
            conn.execute(sign_of_life.insert().values(**self._key, started_at=self._started_at, at=now))
        return blind


def add_blind(conn: sa.Connection, role: str, location: str, interval: Blind) -> None:
    """Write a blind interval down, once however many processes found it."""
    insert = postgresql.insert if conn.dialect.name == "postgresql" else sqlite.insert
    row = {"role": role, "location": location, "start": interval.start, "end": interval.end}
    conn.execute(insert(blind_interval).values(row).on_conflict_do_nothing())


def last_sign(conn: sa.Connection, role: str, location: str = EVERYWHERE, *, now: datetime) -> datetime | None:
    """When a process of this role last said that it lives; None: never.

    What lies further ahead than clocks may differ says nothing: it is of a process that ended while its clock was ahead.
    """
    c = sign_of_life.c
    believable = c.at <= now + timedelta(seconds=LARGEST_JUMP)
    statement = sa.select(sa.func.max(c.at)).where(c.role == role, c.location == location, believable)
    at: datetime | None = conn.execute(statement).scalar_one()
    return at


def was_away(conn: sa.Connection, now: datetime) -> bool:
    """Whether this comes out of more than `LONG_AWAY` in which nothing looked, and no more than that ago.

    Either all was stopped for so long, or a clock is wrong: what is deleted by such a clock would be lost for ever.
    """
    last: datetime | None = conn.execute(sa.select(sa.func.max(sign_of_life.c.at))).scalar_one()
    if last is not None and now - last > LONG_AWAY:
        return True
    c = blind_interval.c
    recent = conn.execute(sa.select(c.start, c.end).where(c.end > now - LONG_AWAY, c.end <= now))
    return any(row.end - row.start > LONG_AWAY for row in recent)


def blindness(conn: sa.Connection, role: str, location: str, ended_after: datetime, now: datetime) -> list[Blind]:
    """The blind intervals that ended after an instant, the earliest first.

    One is written down with the sign of life that ends it, and is believed like that: whoever asks may have taken `now`
    a moment before the sign was given. What ends further ahead is of a clock that was ahead.
    """
    c = blind_interval.c
    believable = c.end <= now + timedelta(seconds=LARGEST_JUMP)
    ours = sa.and_(c.role == role, c.location == location, c.end > ended_after, believable)
    rows = conn.execute(sa.select(c.start, c.end).where(ours).order_by(c.start))
    return [Blind(row.start, row.end) for row in rows]


def fair_deadline(deadline: datetime, heard_at: datetime | None, grace: timedelta, blind: Iterable[Blind]) -> datetime:
    """The deadline, moved to the end of each blindness plus the grace where a ping may have been lost in it.

    What ended before the job was last heard can't have hidden anything; what began after the deadline, neither.
    """
    for interval in sorted(blind, key=lambda each: each.start):
        if interval.start <= deadline and (heard_at is None or interval.end > heard_at):
            deadline = max(deadline, interval.end + grace)
    return deadline


def tidy(conn: sa.Connection, now: datetime) -> None:
    """Drop the signs of processes long gone, save the last of each place. Blind intervals stay: who was blind saw no one up."""
    later: Any = sign_of_life.alias("later")
    c = sign_of_life.c
    is_not_last = sa.exists().where(later.c.role == c.role, later.c.location == c.location, later.c.at > c.at)
    conn.execute(sign_of_life.delete().where(c.at < now - _KEEP_SIGNS, is_not_last))
