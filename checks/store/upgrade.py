"""Brings the store's tables to this version: Alembic, configured in code, under a lock."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING
from uuid import uuid4

import sqlalchemy as sa

from checks import clock
from checks.store import partitions, schema
from checks.store.engine import SCHEMA, SchemaMismatch, open_engine

if TYPE_CHECKING:
    from alembic.config import Config

VERSION_TABLE = "store_revision"
_REVISIONS = Path(__file__).parent / "revisions"
_LOCK = 0x5374696C  # PostgreSQL's advisory lock of an upgrade; any number that nobody else uses
_WAIT = "60s"  # for an upgrade that another process is at


def config_for(conn: sa.Connection) -> Config:
    """Alembic's configuration, which works on the given connection and in its transaction."""
    from alembic.config import Config  # noqa: PLC0415 - 8 MB that a process which only checks need not hold

    config = Config()
    config.set_main_option("script_location", str(_REVISIONS))
    config.set_main_option("path_separator", "os")
    config.attributes["connection"] = conn
    return config


def upgrade(url: str) -> None:
    """Make or upgrade the store's tables in one transaction; of several processes one does it, the others wait."""
    from alembic import command  # noqa: PLC0415 - as above

    engine = open_engine(url)
    try:
        with engine.begin() as conn:  # on SQLite this takes the file's one write lock
            if conn.dialect.name == "postgresql":
                conn.execute(sa.text(f"SET LOCAL lock_timeout = '{_WAIT}'"))
                conn.execute(sa.text("SET LOCAL statement_timeout = 0"))
                conn.execute(sa.select(sa.func.pg_advisory_xact_lock(_LOCK)))
                # Whoever may not make schemas may still use one that was made for them.
                if not sa.inspect(conn).has_schema(SCHEMA):
                    conn.execute(sa.schema.CreateSchema(SCHEMA))
            _refuse_newer(conn)
            command.upgrade(config_for(conn), "head")
            _make_instance(conn)
            if conn.dialect.name == "postgresql":
                partitions.make_ahead(conn, clock.utcnow())
    finally:
        engine.dispose()


def check_schema(engine: sa.Engine) -> None:
    """Pass where the store's tables are of this version; raise SchemaMismatch, which says what to do, elsewhere."""
    with engine.connect() as conn:
        found = _refuse_newer(conn)
    wanted = known_revisions()[-1]
    if found is None:
        raise SchemaMismatch("the store has no tables yet; `manage.py up` makes them")
    if found != wanted:
        raise SchemaMismatch(
            f"the store's tables are of revision {found}, this version needs {wanted}; `manage.py up` upgrades them",
        )


def _refuse_newer(conn: sa.Connection) -> str | None:
    """The revision of the tables that are there; None where there are none."""
    found: str | None = None
    if sa.inspect(conn).has_table(VERSION_TABLE):
        found = conn.execute(sa.select(sa.column("version_num")).select_from(sa.table(VERSION_TABLE))).scalar()
    if found is not None and found not in known_revisions():
        raise SchemaMismatch(
            f"the store's tables are of revision {found}, which this version does not know:"
            " a newer Stillup made them; install that version here too",
        )
    return found


def known_revisions() -> list[str]:
    """The revisions of this version in their order: the name of each file begins with its number."""
    return sorted(path.name.partition("_")[0] for path in (_REVISIONS / "versions").glob("[0-9]*_*.py"))


def _make_instance(conn: sa.Connection) -> None:
    if conn.execute(sa.select(schema.instance.c.id)).first() is None:
        conn.execute(schema.instance.insert().values(id=1, uuid=uuid4(), created_at=clock.utcnow()))
