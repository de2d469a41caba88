"""The partitions of `result` on PostgreSQL: one a day of UTC, made ahead and dropped behind, so that nothing is deleted.

Two are no day's and lose rows in batches (`checks.store.retention`): `result_other`, the default one, takes what no day
takes (a result that comes a week late, a clock that is wrong), and `result_before` is the whole table of a store that
was made before there were days.

Whoever makes or drops a partition waits 100 ms for its lock and no longer, since all others wait behind: there are days
to try again.
"""

from __future__ import annotations

import logging
import re
from collections.abc import Callable, Iterable
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from functools import partial

import sqlalchemy as sa
from sqlalchemy import exc

from checks.clock import to_micros
from checks.store.engine import reading
from checks.store.schema import result

logger = logging.getLogger(__name__)

AHEAD = 3  # days beside the present one: for so long nobody need keep house
OTHER, BEFORE = "result_other", "result_before"
_DAY = timedelta(days=1)
_LOCK = 0x52657375  # PostgreSQL's advisory lock of whoever makes or drops one
_PATIENCE = "SET LOCAL lock_timeout = '100ms'"
_BOUND = re.compile(r"FROM \((?:'?(-?\d+)'?|MINVALUE)\) TO \((?:'?(-?\d+)'?|MAXVALUE)\)")
_LISTED = sa.text(
    "SELECT child.relname, pg_get_expr(child.relpartbound, child.oid) AS bound FROM pg_inherits"
    " JOIN pg_class child ON child.oid = inhrelid WHERE inhparent = CAST('result' AS regclass) ORDER BY child.relname"
)


@dataclass(frozen=True, slots=True)
class Partition:
    """A partition, from and until which microsecond; None where it has no such end. The default one has neither."""

    name: str
    start: int | None
    end: int | None

    @property
    def is_a_day(self) -> bool:
        """Whether it is one of those that are dropped whole."""
        return self.start is not None and self.end is not None

    def overlaps(self, start: int, end: int) -> bool:
        """Whether it takes results of that time, unless it takes what no other takes."""
        if self.start is None and self.end is None:
            return False
        return (self.start is None or self.start < end) and (self.end is None or start < self.end)


def listed(conn: sa.Connection) -> list[Partition]:
    """All partitions, by name."""
    return [Partition(row.relname, *_bounds(row.bound)) for row in conn.execute(_LISTED)]


def _bounds(text: str) -> tuple[int | None, int | None]:
    found = _BOUND.search(text)
    if found is None:
        return None, None
    start, end = (None if part is None else int(part) for part in found.groups())
    return start, end


def make_ahead(conn: sa.Connection, now: datetime) -> list[str]:
    """Make the partitions of today and of the next days that are missing; their names.

    A day of which the default partition has results stays there: they would have to be moved.
    """
    there, made = listed(conn), []
    today = now.astimezone(UTC).replace(hour=0, minute=0, second=0, microsecond=0)
    for number in range(AHEAD + 1):
        day = today + number * _DAY
        start, end = to_micros(day), to_micros(day + _DAY)
        if any(one.overlaps(start, end) for one in there) or _any_stray(conn, start, end):
            continue
        name = f"result_{day:%Y%m%d}"
        # Made beside and attached: to make it as a partition would lock the whole table.
        conn.exec_driver_sql(f"CREATE TABLE {name} (LIKE result INCLUDING DEFAULTS INCLUDING INDEXES)")
        conn.exec_driver_sql(f"ALTER TABLE result ATTACH PARTITION {name} FOR VALUES FROM ({start}) TO ({end})")
        made.append(name)
    return made


def _any_stray(conn: sa.Connection, start: int, end: int) -> bool:
    query = sa.text(f"SELECT 1 FROM {OTHER} WHERE started_at >= :start AND started_at < :end LIMIT 1")  # noqa: S608
    return conn.execute(query, {"start": start, "end": end}).first() is not None


def behind(there: Iterable[Partition], until: datetime) -> list[str]:
    """The names of those whose results are all from before `until`."""
    return [one.name for one in there if one.end is not None and one.end <= to_micros(until)]


def make(engine: sa.Engine, now: datetime) -> None:
    """Make the partitions that are needed."""
    _do(engine, "made", partial(make_ahead, now=now))


def drop(engine: sa.Engine, until: datetime) -> None:
    """Drop those whose results are all from before `until`, each in a transaction of its own."""
    with reading(engine) as conn:
        old = behind(listed(conn), until)
    for name in old:
        _do(engine, "dropped", partial(_drop, name=name, until=until))


def _drop(conn: sa.Connection, name: str, until: datetime) -> list[str]:
    if name not in behind(listed(conn), until):
        return []  # another process was first
    conn.exec_driver_sql(f"DROP TABLE {name}")
    return [name]


def _do(engine: sa.Engine, what: str, work: Callable[[sa.Connection], list[str]]) -> None:
    """Do it in a transaction of its own, unless another process is at it or the lock is not to be had."""
    try:
        with engine.begin() as conn:
            conn.exec_driver_sql(_PATIENCE)
            if not conn.execute(sa.select(sa.func.pg_try_advisory_xact_lock(_LOCK))).scalar_one():
                return
            names = work(conn)
    except (exc.OperationalError, exc.IntegrityError) as problem:
        # Somebody reads all of it, or wrote a result of that day into the default partition this instant.
        logger.info("not now: %s", problem.orig, extra={"action": "partition_waits"})
        return
    if names:
        logger.info("%s %s", what, ", ".join(names), extra={"action": f"partitions_{what}", "names": names})


def count_behind(conn: sa.Connection, until: datetime) -> int:
    """How many results `drop` and `delete_strays` would delete by and by: of days only those that are over."""
    dropped, count = set(behind(listed(conn), until)), 0
    for one in listed(conn):
        table = sa.table(one.name, sa.column("started_at", result.c.started_at.type))
        query = sa.select(sa.func.count()).select_from(table)
        if not one.is_a_day:
            count += conn.execute(query.where(table.c.started_at < until)).scalar_one()
        elif one.name in dropped:
            count += conn.execute(query).scalar_one()
    return count


def delete_strays(conn: sa.Connection, until: datetime, most: int) -> int:
    """Delete at most so many results from before `until` from the partitions that are no day's; how many."""
    deleted = 0
    for one in listed(conn):
        if not one.is_a_day and deleted < most:
            table = sa.table(one.name, sa.column("ctid"), sa.column("started_at", result.c.started_at.type))
            some = sa.select(table.c.ctid).where(table.c.started_at < until).order_by(table.c.started_at)
            deleted += conn.execute(
                table.delete().where(
                    table.c.ctid == sa.any_(sa.func.array(some.limit(most - deleted).scalar_subquery()))
                )
            ).rowcount
    return deleted
