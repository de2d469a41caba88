"""On PostgreSQL, divide the results by days."""

from __future__ import annotations

import sqlalchemy as sa
from alembic import op

revision = "0004"
down_revision = "0003"
branch_labels = None
depends_on = None

A_DAY = 86_400_000_000  # microseconds


def upgrade() -> None:
    bind = op.get_bind()
    if bind.dialect.name != "postgresql":
        return
    # What is there becomes a partition as it is: nothing is copied, however much it is. A result has no number that is
    # unique over all partitions, and nobody asks for one.
    op.execute("ALTER TABLE result RENAME TO result_before")
    op.execute("ALTER TABLE result_before DROP CONSTRAINT pk_result")
    op.execute("ALTER INDEX ix_result_target_started RENAME TO ix_result_before_target_started")
    op.execute("CREATE TABLE result (LIKE result_before INCLUDING DEFAULTS) PARTITION BY RANGE (started_at)")
    op.execute("ALTER SEQUENCE result_id_seq OWNED BY result.id")
    op.create_index("ix_result_target_started", "result", ["target_id", "started_at"])
    op.execute("CREATE TABLE result_other PARTITION OF result DEFAULT")
    op.create_index("ix_result_other_started", "result_other", ["started_at"])
    last = bind.execute(sa.text("SELECT max(started_at) FROM result_before")).scalar()
    if last is None:
        op.execute("DROP TABLE result_before")
        return
    op.create_index("ix_result_before_started", "result_before", ["started_at"])
    until = (last // A_DAY + 1) * A_DAY
    op.execute(f"ALTER TABLE result ATTACH PARTITION result_before FOR VALUES FROM (MINVALUE) TO ({until})")
