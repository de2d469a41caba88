"""Heartbeats: open runs, numbers, late pings, keys for slugs, and codes that nobody has."""

from __future__ import annotations

import sqlalchemy as sa
from alembic import op
from sqlalchemy.dialects import postgresql

revision = "0003"
down_revision = "0002"
branch_labels = None
depends_on = None

JSON = sa.JSON().with_variant(postgresql.JSONB(), "postgresql")


def upgrade() -> None:
    op.create_table(
        "open_run",
        sa.Column("monitor", sa.Uuid(), nullable=False),
        sa.Column("run", sa.Uuid(), nullable=False),
        sa.Column("started_at", sa.BigInteger(), nullable=False),
        sa.PrimaryKeyConstraint("monitor", "run", name="pk_open_run"),
        sqlite_with_rowid=False,
    )
    op.create_table(
        "ping_key",
        sa.Column("digest", sa.LargeBinary(length=32), nullable=False),
        sa.Column("name", sa.String(length=100), nullable=False),
        sa.Column("creates", sa.Boolean(), nullable=False),
        sa.Column("last_used_at", sa.BigInteger(), nullable=True),
        sa.PrimaryKeyConstraint("digest", name="pk_ping_key"),
    )
    op.create_table(
        "unknown_ping",
        sa.Column("source", sa.String(length=64), nullable=False),
        sa.Column("count", sa.BigInteger(), nullable=False),
        sa.Column("first_at", sa.BigInteger(), nullable=False),
        sa.Column("last_at", sa.BigInteger(), nullable=False),
        sa.Column("user_agent", sa.String(length=200), nullable=False),
        sa.PrimaryKeyConstraint("source", name="pk_unknown_ping"),
    )
    op.add_column("ping", sa.Column("sent_at", sa.BigInteger(), nullable=True))
    op.add_column("ping", sa.Column("numbers", JSON, nullable=True))
    op.add_column("ping", sa.Column("count", sa.Integer(), server_default="1", nullable=False))
    op.add_column("ping", sa.Column("last_at", sa.BigInteger(), nullable=True))
    op.add_column("ping_code", sa.Column("expires_at", sa.BigInteger(), nullable=True))
    op.add_column("ping_code", sa.Column("last_used_at", sa.BigInteger(), nullable=True))
    op.add_column("target", sa.Column("expected_at", sa.BigInteger(), nullable=True))
    op.add_column("target", sa.Column("judge_at", sa.BigInteger(), nullable=True))
    op.add_column("target", sa.Column("counted_from", sa.BigInteger(), nullable=True))
    op.add_column("target", sa.Column("open_runs", sa.Integer(), server_default="0", nullable=False))
    op.add_column("target", sa.Column("progress", sa.Float(), nullable=True))
    op.add_column("target", sa.Column("progress_run", sa.Integer(), server_default="0", nullable=False))
    op.add_column("target", sa.Column("ping_allowance", sa.Float(), nullable=True))
    op.add_column("target", sa.Column("ping_allowance_at", sa.BigInteger(), nullable=True))
    op.drop_index("ix_target_deadline", "target")
    op.create_index("ix_target_judge", "target", ["judge_at"])
    _take_over()


def _take_over() -> None:
    """What earlier versions knew of jobs, in the new columns."""
    columns = (
        "monitor",
        "source",
        "deadline_at",
        "judge_at",
        "counted_from",
        "last_ping_at",
        "last_start_at",
        "open_runs",
    )
    target = sa.table("target", *(sa.column(name) for name in columns))
    open_run = sa.table("open_run", *(sa.column(name) for name in ("monitor", "run", "started_at")))
    c = target.c
    pinged = c.source == "pinged"
    op.execute(target.update().where(pinged).values(judge_at=c.deadline_at, counted_from=c.last_ping_at))
    started = sa.and_(pinged, c.last_start_at.is_not(None))
    unnamed = (
        sa.literal("0" * 32, sa.String())
        if op.get_bind().dialect.name == "sqlite"
        else sa.literal_column("'00000000-0000-0000-0000-000000000000'::uuid")
    )
    op.execute(
        open_run.insert().from_select(
            ("monitor", "run", "started_at"), sa.select(c.monitor, unnamed, c.last_start_at).where(started)
        )
    )
    op.execute(target.update().where(started).values(open_runs=1))
