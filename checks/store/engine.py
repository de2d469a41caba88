"""Opens the store: one engine a process, with the settings under which either database keeps its promises.

StoreProblem            the store can't be used; the message says what to do
└── SchemaMismatch      its tables are older or newer than this code
"""

from __future__ import annotations

import errno
import sqlite3
import time
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from datetime import UTC, datetime
from pathlib import Path
from statistics import median
from typing import Any
from uuid import UUID

import sqlalchemy as sa
from sqlalchemy import event, exc

from checks import clock
from checks.store import driver, schema

SCHEMA = "measurements"  # on PostgreSQL everything of the store lives there, beside Django's tables
BUSY_TIMEOUT = 20.0  # seconds that a writer waits for the other writers of a SQLite file
_ROUND_TRIPS = 3
_LOOKS, _BETWEEN_LOOKS = 50, 0.001  # seconds: for the lock of a SQLite file
_PATIENCE = "PRAGMA busy_timeout"  # milliseconds

# Everything goes over the wire as a bound parameter of `checks.clock`; only here does SQL read the time.
_SERVER_CLOCK = sa.text("SELECT clock_timestamp()")

_PRAGMAS = (
    "PRAGMA journal_mode=WAL",
    "PRAGMA synchronous=FULL",  # an answered ping survives a power cut
    "PRAGMA foreign_keys=ON",
    "PRAGMA journal_size_limit=67108864",
    "PRAGMA wal_autocheckpoint=4000",  # pages: one that several commits wrote is copied into the file once
    "PRAGMA cache_size=-8192",  # KiB: what a thousand probes a second touch between their claim and their record
)
# A peer that is gone must not hold a thread for ever, nor a lock of ours the other workers.
_SESSION = (
    f"-c search_path={SCHEMA} -c statement_timeout=15000 -c lock_timeout=5000"
    " -c idle_in_transaction_session_timeout=30000"
)
_CONNECT: dict[str, Any] = {
    "connect_timeout": 5,
    "tcp_user_timeout": 10000,
    "keepalives_idle": 10,
    "keepalives_interval": 5,
    "keepalives_count": 3,
    "target_session_attrs": "read-write",
    "application_name": "stillup",
}


class StoreProblem(Exception):
    """The store can't be used."""


class SchemaMismatch(StoreProblem):
    """The store's tables are not those of this version."""


def open_engine(url: str) -> sa.Engine:
    """The engine of a store's URL, `sqlite:///path` or `postgresql://...`. Connects on first use."""
    try:
        parsed = sa.make_url(url)
    except (exc.ArgumentError, ValueError):
        # Without its cause, which may repeat a part of the URL, and with it the password.
        raise StoreProblem("the store's URL can't be read; expected postgresql://... or sqlite:///path") from None
    match parsed.get_backend_name():
        case "sqlite":
            return _open_sqlite(parsed)
        case "postgresql" | "postgres":
            return _open_postgresql(parsed)
        case other:
            raise StoreProblem(f"the store's URL begins with {other!r}; allowed: postgresql and sqlite")


def _as_it_is(value: Any) -> Any:
    return value


# The driver looks for who would adapt what is neither a number nor text, in vain and three times as long as this takes.
# Of the values of a ping or a result every third is one of these.
sqlite3.register_adapter(type(None), _as_it_is)
sqlite3.register_adapter(bytes, _as_it_is)


def _open_sqlite(url: sa.URL) -> sa.Engine:
    if not url.database or url.database == ":memory:":
        raise StoreProblem("the store needs a file: sqlite:///path")
    Path(url.database).parent.mkdir(parents=True, exist_ok=True)
    engine = sa.create_engine(
        url.set(drivername="sqlite+pysqlite"),
        connect_args={"timeout": BUSY_TIMEOUT, "check_same_thread": False},
        pool_use_lifo=True,  # what another connection writes makes a connection forget the pages that it has read
        hide_parameters=True,  # an error is logged: with the body of a ping, or its code, which is a secret
    )
    event.listen(engine, "connect", _prepare_sqlite)
    event.listen(engine, "begin", _begin_sqlite)
    return engine


def _prepare_sqlite(connection: sqlite3.Connection, _record: object) -> None:
    connection.isolation_level = None  # the driver's own BEGIN would be a deferred one
    for pragma in _PRAGMAS:
        connection.execute(pragma)


def _begin_sqlite(conn: sa.Connection) -> None:
    """A transaction that will write takes its lock at once: one that upgrades later fails instead of waiting."""
    if conn.get_execution_options().get("reading", False):
        driver.execute(conn, "BEGIN")
    elif not _begins_soon(conn.connection.driver_connection, conn.info):
        driver.execute(conn, "BEGIN IMMEDIATE")  # SQLite's own patience, which ends in an error


def _begins_soon(connection: Any, known: dict[str, Any]) -> bool:
    """Whether a writing transaction could begin within a moment.

    SQLite itself looks for a lock after 1, 3, 8, 18 and 33 ms, and ever more seldom: who looks every millisecond waits as
    long as the transactions of the others take.
    """
    if _PATIENCE not in known:
        known[_PATIENCE] = connection.execute(_PATIENCE).fetchone()[0]
    patience: int = known[_PATIENCE]
    connection.execute(f"{_PATIENCE} = 0")
    try:
        for _ in range(min(_LOOKS, patience)):
            with suppress(sqlite3.Error):  # what is no matter of patience is told by the next attempt
                connection.execute("BEGIN IMMEDIATE")
                return True
            time.sleep(_BETWEEN_LOOKS)
    finally:
        connection.execute(f"{_PATIENCE} = {patience}")
    return False


def _open_postgresql(url: sa.URL) -> sa.Engine:
    # What the operator wrote into the URL (sslmode, another time-out) wins over our settings.
    settings = {key: value for key, value in _CONNECT.items() if key not in url.query}
    given = url.query.get("options", "")
    settings["options"] = f"{_SESSION} {given if isinstance(given, str) else ' '.join(given)}".strip()
    return sa.create_engine(
        url.set(drivername="postgresql+psycopg").difference_update_query(["options"]),
        connect_args=settings,
        hide_parameters=True,  # as above
        isolation_level="READ COMMITTED",  # whoever waited for a lock sees what its holder committed
        pool_pre_ping=True,
        pool_recycle=1800,
        pool_timeout=10,
    )


@contextmanager
def reading(engine: sa.Engine) -> Iterator[sa.Connection]:
    """A connection in one snapshot, without a lock that any writer would wait for."""
    with engine.connect().execution_options(**_reading_options(engine)) as conn, conn.begin():
        yield conn


def _reading_options(engine: sa.Engine) -> dict[str, Any]:
    if engine.dialect.name == "sqlite":
        return {"reading": True}
    return {"isolation_level": "REPEATABLE READ", "postgresql_readonly": True}


def measure_offset(engine: sa.Engine) -> float:
    """Seconds by which the store's clock is ahead of this machine's: median of three round trips, 0.0 on SQLite."""
    if engine.dialect.name == "sqlite":
        return 0.0
    with engine.connect() as conn:
        return median(_one_offset(conn) for _ in range(_ROUND_TRIPS))


def _one_offset(conn: sa.Connection) -> float:
    before, begun = datetime.now(UTC), clock.monotonic()
    there: datetime = conn.execute(_SERVER_CLOCK).scalar_one()
    half = (clock.monotonic() - begun) / 2
    return (there - before).total_seconds() - half


def instance_uuid(conn: sa.Connection) -> UUID:
    """The identity of this store, made with its tables. Another one means: a fresh or a restored store."""
    uuid: UUID = conn.execute(sa.select(schema.instance.c.uuid)).scalar_one()
    return uuid


def our_trouble(problem: BaseException) -> str:
    """What keeps the store from serving, in words for people; empty where `problem` is no trouble of the database."""
    if not isinstance(problem, exc.DBAPIError | exc.TimeoutError | OSError):
        return ""
    if isinstance(problem, exc.TimeoutError):
        return "all connections to the store are busy"
    if isinstance(problem, OSError):
        full = problem.errno in (errno.ENOSPC, errno.EDQUOT)
        return "the disk is full" if full else f"the store can't be reached: {problem.strerror or problem}"
    said = str(problem.orig).strip()
    text = said.lower()
    for sign, words in _SIGNS:
        if sign in text:
            return words
    return f"the store failed: {said.splitlines()[0] if said else type(problem.orig).__name__}"


_SIGNS = (
    ("database or disk is full", "the disk is full"),
    ("no space left", "the disk of the store's server is full"),
    ("database is locked", "the store's file is locked by another process"),
    ("readonly database", "the store's file is read-only"),
    ("unable to open database file", "the store's file can't be opened"),
    ("disk image is malformed", "the store's file is damaged"),
    ("lock timeout", "the store's rows are locked by another process"),
    ("statement timeout", "the store takes too long to answer"),
    ("deadlock detected", "two processes waited for each other's rows; one of them tries again"),
    ("connection refused", "the store's server refuses connections"),
    ("connection timeout", "the store's server does not answer"),
    ("password authentication failed", "the store's server refuses the password"),
    ("too many clients", "the store's server has no connection left"),
    ("server closed the connection", "the store's server closed the connection"),
    ("terminating connection", "the store's server closed the connection"),
)
