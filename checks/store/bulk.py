"""The batch writes of `checks.store.writer`, one statement a table: unnested arrays on PostgreSQL, executemany on SQLite.

SQLAlchemy would spend more time on each row's parameters than the database on the row. So the values are brought into
the form of `checks.store.schema` here: instants in microseconds, JSON as text.
"""

from __future__ import annotations

import json
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime
from operator import attrgetter
from typing import Any

import sqlalchemy as sa

from checks.clock import to_micros
from checks.result import PHASES, Outcome
from checks.status import TargetState
from checks.store import driver
from checks.store.claims import Finished
from checks.store.periods import HOUR, LENGTH, first_ready, start_of

# Column, and the type of its array on PostgreSQL.
_TARGET = (
    ("id", "bigint"),
    ("next_due_at", "bigint"),
    ("skipped_slots", "integer"),
    ("vote", "text"),
    ("vote_since", "bigint"),
    ("last_outcome", "text"),
    ("last_result_at", "bigint"),
    ("serving_run", "integer"),
    ("serving_since", "bigint"),
    ("healthy_run", "integer"),
    ("healthy_since", "bigint"),
    ("last_latency_ns", "bigint"),
    ("last_failure", "jsonb"),
)
_RESULT = (
    ("target_id", "bigint"),
    ("due_at", "bigint"),
    ("started_at", "bigint"),
    ("outcome", "text"),
    ("latency_ns", "bigint"),
    *((f"{phase}_ns", "bigint") for phase in PHASES),
    ("failure", "jsonb"),
    ("evidence", "jsonb"),
)
_DIRTY = (("target_id", "bigint"), ("resolution", "text"), ("start", "bigint"), ("ready_at", "bigint"))

_phases = attrgetter(*PHASES)

Row = tuple[Any, ...]
Columns = Sequence[tuple[str, str]]


@dataclass(frozen=True, slots=True, kw_only=True)
class Observed:
    """A result beside the state of its target before and after it."""

    finished: Finished
    before: TargetState
    after: TargetState

    @property
    def moved(self) -> bool:
        """Whether the location votes otherwise than before."""
        return self.after.vote is not self.before.vote

    @property
    def telling(self) -> bool:
        """Whether its evidence is kept: a change of vote, or the first result of a run that is not up."""
        outcome, after = self.finished.result.outcome, self.after
        first = after is not self.before and (after.serving_run == 1 or after.healthy_run == 1)
        return self.moved or (first and outcome is not Outcome.UP)


def write(conn: sa.Connection, seen: Sequence[Observed], now: datetime) -> None:
    """Write the new states of the targets, their results, and which hours must be rolled up again."""
    _update_targets(conn, [_target_row(item) for item in seen])
    insert(conn, "result", _RESULT, [_result_row(item) for item in seen])
    present = start_of(HOUR, now)
    dirty = {row[:3]: row for item in seen if not _is_marked(item, present) and (row := _dirty_row(item, now))}
    mark_dirty(conn, [dirty[key] for key in sorted(dirty)])


def mark_dirty(conn: sa.Connection, rows: Sequence[Row]) -> None:
    """Mark periods (target_id, resolution, start, ready_at) as changed; those that are marked keep their `ready_at`.

    The update that changes nothing locks the row, so that a roll-up which is about to delete it waits for our commit.
    """
    if rows:
        insert(
            conn,
            "dirty_period",
            _DIRTY,
            rows,
            "ON CONFLICT (target_id, resolution, start) DO UPDATE SET ready_at = dirty_period.ready_at",
        )


def _micros(instant: datetime | None) -> int | None:
    return None if instant is None else to_micros(instant)


def _json(value: object) -> str | None:
    return None if value is None else json.dumps(value)


def _target_row(item: Observed) -> Row:
    after, result = item.after, item.finished.result
    return (
        item.finished.claimed.target_id,
        to_micros(item.finished.next_due_at),
        item.finished.skipped,
        after.vote._value_,
        _micros(after.vote_since),
        None if after.last_outcome is None else after.last_outcome._value_,
        _micros(after.last_result_at),
        after.serving_run,
        _micros(after.serving_since),
        after.healthy_run,
        _micros(after.healthy_since),
        result.latency_ns,
        None if result.failure is None else _json(result.failure.as_dict()),
    )


def _result_row(item: Observed) -> Row:
    result, phases = item.finished.result, item.finished.result.phases
    return (
        item.finished.claimed.target_id,
        to_micros(item.finished.claimed.due_at),
        to_micros(result.started_at),
        result.outcome._value_,
        result.latency_ns,
        *_phases(phases),
        None if result.failure is None else _json(result.failure.as_dict()),
        _json(result.evidence) if result.evidence and item.telling else None,
    )


def _is_marked(item: Observed, present: datetime) -> bool:
    """Whether the target's last result has marked the result's hour, and no roll-up has removed the mark yet.

    A roll-up removes the mark of an hour that is over, and not of the present one.
    """
    last, started, end = item.before.last_result_at, item.finished.result.started_at, present + LENGTH[HOUR]
    return last is not None and present <= last < end and present <= started < end


def _dirty_row(item: Observed, now: datetime) -> Row:
    start = start_of(HOUR, item.finished.result.started_at)
    return (item.finished.claimed.target_id, HOUR, to_micros(start), to_micros(first_ready(HOUR, start, now)))


def _update_targets(conn: sa.Connection, rows: Sequence[Row]) -> None:
    if conn.dialect.name == "sqlite":
        changes = ", ".join(
            f"{name} = {'skipped_slots + ' if name == 'skipped_slots' else ''}?" for name, _ in _TARGET[1:]
        )
        driver.execute_many(
            conn,
            f"UPDATE target SET {changes}, leased_until = NULL, leased_by = NULL WHERE id = ?",  # noqa: S608 - our names
            [(*row[1:], row[0]) for row in rows],
        )
        return
    changes = ", ".join(
        f"{name} = {'target.skipped_slots + ' if name == 'skipped_slots' else ''}new.{name}" for name, _ in _TARGET[1:]
    )
    driver.execute(
        conn,
        f"UPDATE target SET {changes}, leased_until = NULL, leased_by = NULL"  # noqa: S608 - our names
        f" FROM {_unnested(_TARGET)} AS new ({_names(_TARGET)}) WHERE target.id = new.id",
        _arrays(rows),
    )


def update(conn: sa.Connection, table: str, columns: Columns, rows: Sequence[Row]) -> None:
    """Write all columns but the first of the rows that the first one chooses; values are in the form of the schema."""
    if conn.dialect.name == "sqlite":
        changes = ", ".join(f"{name} = ?" for name, _ in columns[1:])
        statement = f"UPDATE {table} SET {changes} WHERE {columns[0][0]} = ?"  # noqa: S608 - our names
        driver.execute_many(conn, statement, [(*row[1:], row[0]) for row in rows])
        return
    changes = ", ".join(f"{name} = new.{name}" for name, _ in columns[1:])
    key = columns[0][0]
    driver.execute(
        conn,
        f"UPDATE {table} SET {changes} FROM {_unnested(columns)} AS new ({_names(columns)})"  # noqa: S608 - our names
        f" WHERE {table}.{key} = new.{key}",
        _arrays(rows),
    )


def insert(conn: sa.Connection, table: str, columns: Columns, rows: Sequence[Row], conflict: str = "") -> None:
    """Insert rows whose values are in the form of the schema; `conflict` says what to do with those that are there."""
    names = _names(columns)
    if conn.dialect.name == "sqlite":
        marks = ", ".join("?" for _ in columns)
        statement = f"INSERT INTO {table} ({names}) VALUES ({marks}) {conflict}"  # noqa: S608 - our names
        driver.execute_many(conn, statement, rows)
        return
    driver.execute(
        conn,
        f"INSERT INTO {table} ({names}) SELECT * FROM {_unnested(columns)} {conflict}",  # noqa: S608 - our names
        _arrays(rows),
    )


def _names(columns: Columns) -> str:
    return ", ".join(name for name, _ in columns)


def _unnested(columns: Columns) -> str:
    return f"unnest({', '.join(f'%s::{kind}[]' for _, kind in columns)})"


def _arrays(rows: Sequence[Row]) -> tuple[str, ...]:
    """Every column of the rows as PostgreSQL writes an array: the driver would spend five times as long on lists."""
    return tuple(
        "{" + ",".join(["NULL" if value is None else _element(value) for value in values]) + "}"
        for values in zip(*rows, strict=True)
    )


def _element(value: float | str | bytes) -> str:
    if isinstance(value, int | float):
        return repr(value)
    if isinstance(value, bytes):
        return f'"\\\\x{value.hex()}"'
    return '"' + value.replace("\\", "\\\\").replace('"', '\\"') + '"'
