"""Remember who watched a monitor from when to when: its figures outlive the location they were measured at."""

from __future__ import annotations

import sqlalchemy as sa
from alembic import op

revision = "0006"
down_revision = "0005"
branch_labels = None
depends_on = None

ROW_NUMBER = sa.BigInteger().with_variant(sa.Integer(), "sqlite")


def upgrade() -> None:
    """The targets of today count as having watched since ever: since when, nobody wrote down."""
    op.create_table(
        "watch",
        sa.Column("id", ROW_NUMBER, nullable=False),
        sa.Column("target_id", ROW_NUMBER, nullable=False),
        sa.Column("monitor", sa.Uuid(), nullable=False),
        sa.Column("location", sa.String(length=50), nullable=False),
        sa.Column("source", sa.String(length=16), nullable=False),
        sa.Column("since", sa.BigInteger(), nullable=False),
        sa.Column("until", sa.BigInteger(), nullable=True),
        sa.PrimaryKeyConstraint("id", name="pk_watch"),
    )
    op.create_index("ix_watch_monitor", "watch", ["monitor"])
    op.create_index("ix_watch_target_id", "watch", ["target_id"])
    op.execute(
        "INSERT INTO watch (target_id, monitor, location, source, since)"
        " SELECT id, monitor, location, source, 0 FROM target ORDER BY id"
    )
