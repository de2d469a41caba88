"""Alembic's environment: runs revisions on the connection it is given, or compares the tables with the schema."""

from __future__ import annotations

from typing import Any

import sqlalchemy as sa
from alembic import context

from checks.store import schema
from checks.store.upgrade import VERSION_TABLE


def _include_name(name: str | None, kind: str, parents: Any) -> bool:  # noqa: ARG001 - Alembic's signature
    """Only our own tables: without this, autogenerate proposes to drop those of Django."""
    return kind != "table" or name in schema.metadata.tables


def _render_item(kind: str, item: Any, autogen_context: Any) -> str | bool:  # noqa: ARG001 - Alembic's signature
    """Revisions never import our code, which changes; they name the database's own types."""
    if kind == "type" and isinstance(item, schema.Instant):
        return "sa.BigInteger()"
    return False


def _run() -> None:
    connection: sa.Connection = context.config.attributes["connection"]
    context.configure(
        connection=connection,
        target_metadata=schema.metadata,
        include_name=_include_name,
        render_item=_render_item,
        compare_type=True,
        version_table=VERSION_TABLE,
        # The search path decides where tables are made; naming the schema would make it part of the model.
        version_table_schema=None,
        render_as_batch=connection.dialect.name == "sqlite",
    )
    with context.begin_transaction():
        context.run_migrations()


_run()
