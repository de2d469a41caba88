"""Remember the members of groups, and what targets said when they were last well."""

from __future__ import annotations

import sqlalchemy as sa
from alembic import op
from sqlalchemy.dialects import postgresql

revision = "0002"
down_revision = "0001"
branch_labels = None
depends_on = None

ROW_NUMBER = sa.BigInteger().with_variant(sa.Integer(), "sqlite")
JSON = sa.JSON().with_variant(postgresql.JSONB(), "postgresql")


def upgrade() -> None:
    op.create_table(
        "group_member",
        sa.Column("monitor", sa.Uuid(), nullable=False),
        sa.Column("member", sa.String(length=100), nullable=False),
        sa.PrimaryKeyConstraint("monitor", "member", name="pk_group_member"),
        sqlite_with_rowid=False,
    )
    op.create_index("ix_group_member_member", "group_member", ["member"])
    op.create_table(
        "last_good",
        sa.Column("target_id", ROW_NUMBER, autoincrement=False, nullable=False),
        sa.Column("at", sa.BigInteger(), nullable=False),
        sa.Column("facts", JSON, nullable=False),
        sa.PrimaryKeyConstraint("target_id", name="pk_last_good"),
    )
