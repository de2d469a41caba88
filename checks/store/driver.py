"""Statements that are handed to the database's driver as they are.

For the few that run thousands of times a second: SQLAlchemy would spend longer on one than the database does. Values are
in the form of `checks.store.schema`, marks are the driver's, and what goes wrong is SQLAlchemy's error as everywhere.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from typing import Any

import sqlalchemy as sa
from sqlalchemy import exc
from sqlalchemy.engine.interfaces import DBAPICursor

Parameters = Sequence[Any]


def execute(conn: sa.Connection, statement: str, parameters: Parameters = ()) -> None:
    """Run a statement."""
    with _cursor(conn, statement) as cursor:
        cursor.execute(statement, parameters)


def execute_many(conn: sa.Connection, statement: str, rows: Sequence[Parameters]) -> None:
    """Run a statement once for each row of values."""
    with _cursor(conn, statement) as cursor:
        cursor.executemany(statement, rows)


def select(conn: sa.Connection, statement: str, parameters: Parameters = ()) -> list[tuple[Any, ...]]:
    """The rows that a query finds, their values as they lie in the store."""
    with _cursor(conn, statement) as cursor:
        cursor.execute(statement, parameters)
        return list(cursor.fetchall())


@contextmanager
def _cursor(conn: sa.Connection, statement: str) -> Iterator[DBAPICursor]:
    """A cursor of the driver's, for as long as the statement runs; its errors are SQLAlchemy's."""
    cursor = conn.connection.cursor()
    try:
        yield cursor
    except conn.dialect.loaded_dbapi.Error as problem:
        raise _told(conn, statement, problem) from problem
    finally:
        cursor.close()


def _told(conn: sa.Connection, statement: str, problem: Exception) -> BaseException:
    """The error that SQLAlchemy makes of the driver's. A connection that is lost is not used again."""
    dialect = conn.dialect
    lost = isinstance(problem, dialect.loaded_dbapi.Error) and dialect.is_disconnect(problem, conn.connection, None)
    if lost:
        conn.invalidate(problem)
    return exc.DBAPIError.instance(
        statement,
        None,
        problem,
        dialect.loaded_dbapi.Error,
        hide_parameters=True,
        connection_invalidated=lost,
        dialect=dialect,
    )
