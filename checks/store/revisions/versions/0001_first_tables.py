"""Make the tables of the store."""

from __future__ import annotations

import sqlalchemy as sa
from alembic import op
from sqlalchemy.dialects import postgresql

revision = "0001"
down_revision = None
branch_labels = None
depends_on = None

ROW_NUMBER = sa.BigInteger().with_variant(sa.Integer(), "sqlite")
JSON = sa.JSON().with_variant(postgresql.JSONB(), "postgresql")


def upgrade() -> None:
    op.create_table(
        "blind_interval",
        sa.Column("id", ROW_NUMBER, nullable=False),
        sa.Column("role", sa.String(length=16), nullable=False),
        sa.Column("location", sa.String(length=50), nullable=False),
        sa.Column("start", sa.BigInteger(), nullable=False),
        sa.Column("end", sa.BigInteger(), nullable=False),
        sa.PrimaryKeyConstraint("id", name="pk_blind_interval"),
        sa.UniqueConstraint("role", "location", "start", name="uq_blind_interval_role_location_start"),
    )
    op.create_table(
        "dirty_period",
        sa.Column("target_id", ROW_NUMBER, autoincrement=False, nullable=False),
        sa.Column("resolution", sa.String(length=8), nullable=False),
        sa.Column("start", sa.BigInteger(), nullable=False),
        sa.Column("ready_at", sa.BigInteger(), nullable=False),
        sa.PrimaryKeyConstraint("target_id", "resolution", "start", name="pk_dirty_period"),
        sqlite_with_rowid=False,
    )
    op.create_index("ix_dirty_period_ready", "dirty_period", ["ready_at"])
    op.create_table(
        "instance",
        sa.Column("id", sa.Integer(), autoincrement=False, nullable=False),
        sa.Column("uuid", sa.Uuid(), nullable=False),
        sa.Column("created_at", sa.BigInteger(), nullable=False),
        sa.PrimaryKeyConstraint("id", name="pk_instance"),
    )
    op.create_table(
        "monitor_state",
        sa.Column("monitor", sa.Uuid(), nullable=False),
        sa.Column("slug", sa.String(length=100), nullable=False),
        sa.Column("name", sa.String(length=200), nullable=False),
        sa.Column("kind", sa.String(length=32), nullable=False),
        sa.Column("revision", sa.Integer(), nullable=False),
        sa.Column("quorum", sa.Integer(), nullable=False),
        sa.Column("status", sa.String(length=16), nullable=False),
        sa.Column("since", sa.BigInteger(), nullable=False),
        sa.Column("seq", sa.Integer(), nullable=False),
        sa.Column("paused", sa.Boolean(), nullable=False),
        sa.Column("removed", sa.String(length=16), nullable=True),
        sa.Column("removed_at", sa.BigInteger(), nullable=True),
        sa.Column("consumed_seq", sa.Integer(), nullable=False),
        sa.Column("leased_until", sa.BigInteger(), nullable=True),
        sa.Column("leased_by", sa.String(length=100), nullable=True),
        sa.PrimaryKeyConstraint("monitor", name="pk_monitor_state"),
    )
    op.create_index(
        "ix_monitor_state_unconsumed",
        "monitor_state",
        ["monitor"],
        sqlite_where=sa.text("seq > consumed_seq"),
        postgresql_where=sa.text("seq > consumed_seq"),
    )
    op.create_table(
        "ping",
        sa.Column("id", ROW_NUMBER, nullable=False),
        sa.Column("monitor", sa.Uuid(), nullable=False),
        sa.Column("received_at", sa.BigInteger(), nullable=False),
        sa.Column("action", sa.String(length=16), nullable=False),
        sa.Column("exit_code", sa.Integer(), nullable=True),
        sa.Column("run", sa.Uuid(), nullable=True),
        sa.Column("duration_ns", sa.BigInteger(), nullable=True),
        sa.Column("method", sa.String(length=8), nullable=False),
        sa.Column("source", sa.String(length=64), nullable=False),
        sa.Column("user_agent", sa.String(length=200), nullable=False),
        sa.Column("body", sa.LargeBinary(), nullable=False),
        sa.Column("body_size", sa.Integer(), nullable=False),
        sa.PrimaryKeyConstraint("id", name="pk_ping"),
    )
    op.create_index("ix_ping_monitor_received", "ping", ["monitor", "received_at"])
    op.create_table(
        "ping_code",
        sa.Column("code", sa.Uuid(), nullable=False),
        sa.Column("monitor", sa.Uuid(), nullable=False),
        sa.Column("created_at", sa.BigInteger(), nullable=False),
        sa.PrimaryKeyConstraint("code", name="pk_ping_code"),
    )
    op.create_index("ix_ping_code_monitor", "ping_code", ["monitor"])
    op.create_table(
        "result",
        sa.Column("id", ROW_NUMBER, nullable=False),
        sa.Column("target_id", ROW_NUMBER, nullable=False),
        sa.Column("due_at", sa.BigInteger(), nullable=False),
        sa.Column("started_at", sa.BigInteger(), nullable=False),
        sa.Column("outcome", sa.String(length=16), nullable=False),
        sa.Column("latency_ns", sa.BigInteger(), nullable=True),
        sa.Column("dns_ns", sa.BigInteger(), nullable=True),
        sa.Column("connect_ns", sa.BigInteger(), nullable=True),
        sa.Column("tls_ns", sa.BigInteger(), nullable=True),
        sa.Column("first_byte_ns", sa.BigInteger(), nullable=True),
        sa.Column("transfer_ns", sa.BigInteger(), nullable=True),
        sa.Column("other_ns", sa.BigInteger(), nullable=True),
        sa.Column(
            "failure",
            JSON,
            nullable=True,
        ),
        sa.Column(
            "evidence",
            JSON,
            nullable=True,
        ),
        sa.PrimaryKeyConstraint("id", name="pk_result"),
    )
    op.create_index("ix_result_target_started", "result", ["target_id", "started_at"])
    op.create_table(
        "rollup",
        sa.Column("target_id", ROW_NUMBER, autoincrement=False, nullable=False),
        sa.Column("resolution", sa.String(length=8), nullable=False),
        sa.Column("start", sa.BigInteger(), nullable=False),
        sa.Column("phase", sa.String(length=16), nullable=False),
        sa.Column("histogram", sa.LargeBinary(), nullable=False),
        sa.Column("complete", sa.Integer(), nullable=False),
        sa.Column("incomplete", sa.Integer(), nullable=False),
        sa.Column("up", sa.Integer(), nullable=False),
        sa.Column("degraded", sa.Integer(), nullable=False),
        sa.Column("down", sa.Integer(), nullable=False),
        sa.Column("unknown", sa.Integer(), nullable=False),
        sa.PrimaryKeyConstraint("target_id", "resolution", "start", "phase", name="pk_rollup"),
        sqlite_with_rowid=False,
    )
    op.create_index("ix_rollup_start", "rollup", ["resolution", "start", "target_id"])
    op.create_table(
        "sign_of_life",
        sa.Column("process", sa.String(length=100), nullable=False),
        sa.Column("role", sa.String(length=16), nullable=False),
        sa.Column("location", sa.String(length=50), nullable=False),
        sa.Column("started_at", sa.BigInteger(), nullable=False),
        sa.Column("at", sa.BigInteger(), nullable=False),
        sa.PrimaryKeyConstraint("process", name="pk_sign_of_life"),
    )
    op.create_table(
        "target",
        sa.Column("id", ROW_NUMBER, nullable=False),
        sa.Column("monitor", sa.Uuid(), nullable=False),
        sa.Column("location", sa.String(length=50), nullable=False),
        sa.Column("source", sa.String(length=16), nullable=False),
        sa.Column("revision", sa.Integer(), nullable=False),
        sa.Column(
            "spec",
            JSON,
            nullable=False,
        ),
        sa.Column("active", sa.Boolean(), nullable=False),
        sa.Column("interval_seconds", sa.Float(), nullable=False),
        sa.Column("retry_seconds", sa.Float(), nullable=False),
        sa.Column("fence", sa.Integer(), nullable=False),
        sa.Column("next_due_at", sa.BigInteger(), nullable=True),
        sa.Column("leased_until", sa.BigInteger(), nullable=True),
        sa.Column("leased_by", sa.String(length=100), nullable=True),
        sa.Column("skipped_slots", sa.Integer(), nullable=False),
        sa.Column("vote", sa.String(length=16), nullable=False),
        sa.Column("vote_since", sa.BigInteger(), nullable=True),
        sa.Column("last_outcome", sa.String(length=16), nullable=True),
        sa.Column("last_result_at", sa.BigInteger(), nullable=True),
        sa.Column("serving_run", sa.Integer(), nullable=False),
        sa.Column("serving_since", sa.BigInteger(), nullable=True),
        sa.Column("healthy_run", sa.Integer(), nullable=False),
        sa.Column("healthy_since", sa.BigInteger(), nullable=True),
        sa.Column("last_latency_ns", sa.BigInteger(), nullable=True),
        sa.Column(
            "last_failure",
            JSON,
            nullable=True,
        ),
        sa.Column("deadline_at", sa.BigInteger(), nullable=True),
        sa.Column("last_ping_at", sa.BigInteger(), nullable=True),
        sa.Column("last_start_at", sa.BigInteger(), nullable=True),
        sa.Column("last_duration_ns", sa.BigInteger(), nullable=True),
        sa.PrimaryKeyConstraint("id", name="pk_target"),
        sa.UniqueConstraint("monitor", "location", name="uq_target_monitor_location"),
        sqlite_autoincrement=True,
    )
    op.create_index("ix_target_deadline", "target", ["deadline_at"])
    op.create_index("ix_target_due", "target", ["location", "next_due_at"])
    op.create_table(
        "transition",
        sa.Column("uuid", sa.Uuid(), nullable=False),
        sa.Column("monitor", sa.Uuid(), nullable=False),
        sa.Column("seq", sa.Integer(), nullable=False),
        sa.Column("at", sa.BigInteger(), nullable=False),
        sa.Column("since", sa.BigInteger(), nullable=False),
        sa.Column("from_status", sa.String(length=16), nullable=False),
        sa.Column("to_status", sa.String(length=16), nullable=False),
        sa.Column("cause", sa.String(length=16), nullable=False),
        sa.Column(
            "evidence",
            JSON,
            nullable=False,
        ),
        sa.Column("consumed_at", sa.BigInteger(), nullable=True),
        sa.PrimaryKeyConstraint("uuid", name="pk_transition"),
        sa.UniqueConstraint("monitor", "seq", name="uq_transition_monitor_seq"),
    )
    op.create_index("ix_transition_monitor_since", "transition", ["monitor", "since"])
    op.create_table(
        "trouble",
        sa.Column("what", sa.String(length=64), nullable=False),
        sa.Column("message", sa.String(length=500), nullable=False),
        sa.Column("since", sa.BigInteger(), nullable=False),
        sa.Column("seen_at", sa.BigInteger(), nullable=False),
        sa.PrimaryKeyConstraint("what", name="pk_trouble"),
    )
