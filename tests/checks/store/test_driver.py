"""Statements of the driver's own: their errors are SQLAlchemy's, and a lost connection is not used again."""

from __future__ import annotations

import pytest
import sqlalchemy as sa

from checks.store import driver
from checks.store.engine import our_trouble

SECRET = "a-code-that-is-a-secret"


def test_what_is_written_is_read(store: sa.Engine) -> None:
    with store.begin() as conn:
        driver.execute(conn, "CREATE TEMPORARY TABLE pair (a INTEGER, b TEXT)")
        mark = "?" if store.dialect.name == "sqlite" else "%s"
        driver.execute_many(conn, f"INSERT INTO pair VALUES ({mark}, {mark})", [(1, "one"), (2, "two")])
        assert driver.select(conn, f"SELECT b FROM pair WHERE a > {mark}", (1,)) == [("two",)]
        driver.execute(conn, "DROP TABLE pair")


def test_an_error_is_that_of_every_other_statement_and_shows_no_values(store: sa.Engine) -> None:
    mark = "?" if store.dialect.name == "sqlite" else "%s"
    with (
        pytest.raises(sa.exc.ProgrammingError if mark == "%s" else sa.exc.OperationalError) as raised,
        store.begin() as conn,
    ):
        driver.select(conn, f"SELECT {mark} FROM nowhere", (SECRET,))
    assert our_trouble(raised.value)
    assert SECRET not in str(raised.value)


def test_a_connection_that_was_ended_is_not_used_again(postgresql_store: sa.Engine) -> None:
    with postgresql_store.connect() as conn:
        ((number,),) = driver.select(conn, "SELECT pg_backend_pid()")
        with postgresql_store.begin() as other:
            driver.select(other, "SELECT pg_terminate_backend(%s)", (number,))
        with pytest.raises(sa.exc.OperationalError) as raised:
            driver.select(conn, "SELECT 1")
    assert raised.value.connection_invalidated
    with postgresql_store.begin() as conn:
        assert driver.select(conn, "SELECT 1") == [(1,)]
