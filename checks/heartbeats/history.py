"""What a job did, for people: its runs, the numbers that they brought, and what is usual of them. Takes no locks."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from enum import StrEnum
from typing import Any
from uuid import UUID

import sqlalchemy as sa

from checks.clock import from_micros, to_micros
from checks.heartbeats import habits
from checks.heartbeats.runs import UNNAMED, Action
from checks.probes.heartbeat import HeartbeatSpec
from checks.store.schema import Instant, open_run, ping, unknown_ping

ENOUGH = 200  # runs from which habits are learned
LONGEST_TEXT = 200  # characters that are looked for
_ENDS = (Action.SUCCESS.value, Action.FAIL.value)
_MOST_DIGITS = 3  # of an exit code


class Which(StrEnum):
    """Which pings a list shows."""

    RUNS = "runs"  # the ends of runs, what was logged, and the starts that no end followed
    FAILED = "failed"
    ALL = "all"


@dataclass(frozen=True, slots=True, kw_only=True)
class Run:
    """One run that ended; or a line of a log, or a start. `body` is what was kept of `body_size` bytes."""

    id: int
    action: Action
    received_at: datetime
    sent_at: datetime | None  # when it was so, where its client said that it was earlier
    exit_code: int | None
    run: UUID | None
    duration_ns: int | None
    is_open: bool  # a start whose end is waited for
    numbers: Mapping[str, float]
    body: bytes
    body_size: int
    method: str
    source: str
    user_agent: str
    count: int  # pings that this row stands for
    last_at: datetime | None  # when the last of them came, where there are several

    @property
    def at(self) -> datetime:
        """When it was so."""
        return self.sent_at or self.received_at

    @property
    def started_at(self) -> datetime | None:
        """When the run began; None where its start was not reported."""
        if self.action is Action.START:
            return self.at
        return None if self.duration_ns is None else self.at - timedelta(microseconds=self.duration_ns / 1000)

    @property
    def ended_at(self) -> datetime | None:
        """When the run ended; None for a start."""
        return None if self.action is Action.START else self.at


@dataclass(frozen=True, slots=True)
class Cursor:
    """A place in a list: what is older follows."""

    received_at: datetime
    id: int

    def __str__(self) -> str:
        return f"{to_micros(self.received_at)}-{self.id}"

    @classmethod
    def parse(cls, text: str) -> Cursor | None:
        """The place that a text names; None where it names none."""
        micros, _, number = text.partition("-")
        if not (micros.isascii() and micros.isdigit() and number.isascii() and number.isdigit()):
            return None
        if len(micros) > 16 or len(number) > 18:
            return None
        return cls(from_micros(int(micros)), int(number))


@dataclass(frozen=True, slots=True)
class Runs:
    """A piece of the list, the newest first, and where it goes on."""

    runs: Sequence[Run]
    older: Cursor | None


def runs(
    conn: sa.Connection,
    monitor: UUID,
    limit: int,
    *,
    which: Which = Which.RUNS,
    text: str = "",
    before: Cursor | None = None,
) -> Runs:
    """The last `limit` of a monitor, before a place where one is given, those that hold a text where one is given."""
    c = ping.c
    query = sa.select(ping).where(c.monitor == monitor, *_chosen(which))
    if text:
        query = query.where(_holds(conn, text[:LONGEST_TEXT]))
    if before is not None:
        place = sa.tuple_(sa.literal(before.received_at, Instant), sa.literal(before.id, sa.BigInteger))
        query = query.where(c.received_at <= before.received_at, sa.tuple_(c.received_at, c.id) < place)
    rows = conn.execute(query.order_by(c.received_at.desc(), c.id.desc()).limit(limit + 1)).mappings().all()
    is_open = _open_runs(conn, monitor)
    found = [_run(row, is_open) for row in rows[:limit]]
    return Runs(found, Cursor(found[-1].received_at, found[-1].id) if len(rows) > limit else None)


def first_at(conn: sa.Connection, monitor: UUID) -> datetime | None:
    """When the earliest ping came that is still known; None where nothing was ever heard."""
    query = sa.select(ping.c.received_at).where(ping.c.monitor == monitor).order_by(ping.c.received_at).limit(1)
    found: datetime | None = conn.execute(query).scalar()
    return found


def open_since(conn: sa.Connection, monitor: UUID) -> list[datetime]:
    """When the runs began that did not end yet, the longest first."""
    return sorted(start for _, start in _open_runs(conn, monitor))


def _open_runs(conn: sa.Connection, monitor: UUID) -> set[tuple[UUID, datetime]]:
    query = sa.select(open_run.c.run, open_run.c.started_at).where(open_run.c.monitor == monitor)
    return {(row.run, row.started_at) for row in conn.execute(query)}


def _run(row: sa.RowMapping, is_open: set[tuple[UUID, datetime]]) -> Run:
    begun = row["sent_at"] or row["received_at"]
    return Run(
        id=row["id"],
        action=Action(row["action"]),
        received_at=row["received_at"],
        sent_at=row["sent_at"],
        exit_code=row["exit_code"],
        run=row["run"],
        duration_ns=row["duration_ns"],
        is_open=row["action"] == Action.START and (row["run"] or UNNAMED, begun) in is_open,
        numbers=row["numbers"] or {},
        body=row["body"],
        body_size=row["body_size"],
        method=row["method"],
        source=row["source"],
        user_agent=row["user_agent"],
        count=row["count"],
        last_at=row["last_at"],
    )


def _chosen(which: Which) -> list[sa.ColumnElement[bool]]:
    if which is Which.FAILED:
        return [ping.c.action == Action.FAIL.value]
    if which is Which.RUNS:
        return [sa.or_(ping.c.action != Action.START.value, ~_ended())]
    return []


def _ended() -> sa.ColumnElement[bool]:
    """Whether a start is told of by the end of its run already, which says how long it took."""
    c, end = ping.c, ping.alias("ending").c
    began, ended = (_micros(sa.func.coalesce(each.sent_at, each.received_at)) for each in (c, end))
    return sa.exists().where(
        end.monitor == c.monitor,
        end.received_at >= c.received_at,
        end.run.is_not_distinct_from(c.run),
        end.duration_ns.is_not(None),
        sa.func.abs((ended - began) * 1000 - end.duration_ns) < 1000,  # instants are whole microseconds
    )


def _micros(instant: sa.ColumnElement[Any]) -> sa.ColumnElement[int]:
    return sa.type_coerce(instant, sa.BigInteger)


def _holds(conn: sa.Connection, text: str) -> sa.ColumnElement[bool]:
    """Whether a ping's body, action, exit code, numbers, source or client holds a text; A is a, of ASCII's letters."""
    c, text = ping.c, "".join(each.lower() if each.isascii() else each for each in text.replace("\0", ""))
    texts = (c.action, sa.cast(c.numbers, sa.Text), c.source, c.user_agent)
    if conn.dialect.name == "sqlite":
        # Its lower() knows the letters of ASCII only, and takes any bytes for a text.
        found = [sa.func.instr(sa.func.lower(each), text) > 0 for each in (*texts, sa.cast(c.body, sa.Text))]
    else:
        found = [sa.func.strpos(sa.func.lower(sa.collate(each, "C")), text) > 0 for each in texts]
        # No text of PostgreSQL has any bytes in it: those beyond ASCII are compared as it writes them.
        body = sa.func.encode(c.body, "escape", type_=sa.Text)
        found.append(sa.func.strpos(sa.func.lower(sa.collate(body, "C")), _escaped(text)) > 0)
    if text.isascii() and text.isdigit() and len(text) <= _MOST_DIGITS:
        found.append(c.exit_code == int(text))
    named = _uuid(text)
    if named is not None:
        found.append(c.run == named)
    return sa.or_(*found)


def _escaped(text: str) -> str:
    """A text as PostgreSQL's encode(..., 'escape') writes its UTF-8."""
    ascii_only = "".join(chr(byte) if byte < 128 else f"\0{byte:03o}" for byte in text.encode("utf-8", "replace"))
    return ascii_only.replace("\\", "\\\\").replace("\0", "\\")


def _uuid(text: str) -> UUID | None:
    try:
        return UUID(text)
    except ValueError:
        return None


@dataclass(frozen=True, slots=True)
class Sample:
    """One number of one run."""

    at: datetime
    value: float
    failed: bool


def numbers(conn: sa.Connection, monitor: UUID, limit: int) -> dict[str, list[Sample]]:
    """The numbers of the last `limit` pings that brought some, by name, each from the earliest on."""
    c = ping.c
    query = sa.select(c.received_at, c.sent_at, c.action, c.numbers).where(c.monitor == monitor, c.numbers.is_not(None))
    series: dict[str, list[Sample]] = {}
    for row in conn.execute(query.order_by(c.received_at.desc(), c.id.desc()).limit(limit)):
        for name, value in row.numbers.items():
            sample = Sample(row.sent_at or row.received_at, float(value), row.action == Action.FAIL)
            series.setdefault(name, []).insert(0, sample)
    return dict(sorted(series.items()))


def durations(conn: sa.Connection, monitor: UUID, limit: int) -> list[Sample]:
    """How many seconds each of the last `limit` runs took whose start was reported, from the earliest on."""
    c = ping.c
    query = sa.select(c.received_at, c.sent_at, c.action, c.duration_ns)
    query = query.where(c.monitor == monitor, c.duration_ns.is_not(None))
    rows = conn.execute(query.order_by(c.received_at.desc(), c.id.desc()).limit(limit)).all()
    return [
        Sample(row.sent_at or row.received_at, row.duration_ns / 1e9, row.action == Action.FAIL)
        for row in reversed(rows)
    ]


def usual(conn: sa.Connection, monitor: UUID, spec: HeartbeatSpec) -> habits.Habits | None:
    """What is usual of a job by its last runs; None before there are enough of them."""
    c = ping.c
    query = sa.select(c.received_at, c.sent_at, c.duration_ns).where(c.monitor == monitor, c.action.in_(_ENDS))
    ended = []
    for row in conn.execute(query.order_by(c.received_at.desc(), c.id.desc()).limit(ENOUGH)):
        at = row.sent_at or row.received_at
        seconds = None if row.duration_ns is None else row.duration_ns / 1e9
        ended.append(habits.Run(at=at if seconds is None else at - timedelta(seconds=seconds), seconds=seconds))
    return habits.learn(ended, spec)


@dataclass(frozen=True, slots=True, kw_only=True)
class UnknownPings:
    """Pings of one source that no monitor has."""

    source: str
    count: int
    first_at: datetime
    last_at: datetime
    user_agent: str


def unknown_pings(conn: sa.Connection, limit: int, since: datetime | None = None) -> list[UnknownPings]:
    """Who sends pings that no monitor has, the latest first; those only that did so since then, where that is given."""
    c = unknown_ping.c
    query = sa.select(unknown_ping).order_by(c.last_at.desc(), c.source).limit(limit)
    if since is not None:
        query = query.where(c.last_at >= since)
    return [UnknownPings(**row) for row in conn.execute(query).mappings()]
