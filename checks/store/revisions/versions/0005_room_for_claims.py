"""Pages of targets have room: a claim writes a row's next version beside it, and no index has to learn of that.

Revision ID: 0005
Revises: 0004
"""

from __future__ import annotations

from collections.abc import Sequence

from alembic import op

revision: str = "0005"
down_revision: str | None = "0004"
branch_labels: str | Sequence[str] | None = None
depends_on: str | Sequence[str] | None = None


def upgrade() -> None:
    """Applies to the rows that are written from now on; all of them are, twice a probe."""
    if op.get_bind().dialect.name == "postgresql":
        op.execute("ALTER TABLE target SET (fillfactor = 50)")
