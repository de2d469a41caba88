"""The store's tables. Instants are whole microseconds since 1970 in UTC, durations whole nanoseconds."""

from __future__ import annotations

from datetime import datetime
from typing import Any

import sqlalchemy as sa
from sqlalchemy.dialects import postgresql

from checks import clock


class Instant(sa.types.TypeDecorator[datetime]):
    """An aware UTC datetime, kept as whole microseconds since 1970: compact, exact and the same on every database."""

    impl = sa.BigInteger
    cache_ok = True

    def process_bind_param(self, value: datetime | None, dialect: sa.Dialect) -> int | None:  # noqa: ARG002
        """Microseconds of an aware instant; a naive one raises ValueError."""
        return None if value is None else clock.to_micros(value)

    def process_result_value(self, value: int | None, dialect: sa.Dialect) -> datetime | None:  # noqa: ARG002
        """The aware instant in UTC."""
        return None if value is None else clock.from_micros(value)


# SQLite counts rows by INTEGER PRIMARY KEY only; on PostgreSQL a result's number outgrows 32 bits.
RowNumber = sa.BigInteger().with_variant(sa.Integer, "sqlite")
Json: sa.types.TypeEngine[Any] = sa.JSON(none_as_null=True).with_variant(
    postgresql.JSONB(none_as_null=True),
    "postgresql",
)

metadata = sa.MetaData(
    naming_convention={
        "ix": "ix_%(table_name)s_%(column_0_N_name)s",
        "uq": "uq_%(table_name)s_%(column_0_N_name)s",
        "pk": "pk_%(table_name)s",
    },
)


def _column(name: str, kind: Any, **options: Any) -> sa.Column[Any]:
    return sa.Column(name, kind, **{"nullable": False, **options})


# This store's identity: after a restore or a move, row numbers begin again and only this tells.
instance = sa.Table(
    "instance",
    metadata,
    _column("id", sa.Integer, primary_key=True, autoincrement=False),
    _column("uuid", sa.Uuid),
    _column("created_at", Instant),
)

# One row a monitor: the one owner of its status. `seq` numbers its transitions, `consumed_seq` is the notifier's.
monitor_state = sa.Table(
    "monitor_state",
    metadata,
    _column("monitor", sa.Uuid, primary_key=True),
    _column("slug", sa.String(100)),
    _column("name", sa.String(200)),
    _column("kind", sa.String(32)),
    _column("revision", sa.Integer),
    _column("quorum", sa.Integer, default=1),  # checks.status.Policy.quorum
    _column("status", sa.String(16)),
    _column("since", Instant),
    _column("seq", sa.Integer, default=0),
    _column("paused", sa.Boolean, default=False),
    _column("removed", sa.String(16), nullable=True),  # "retired" or "deleted"
    _column("removed_at", Instant, nullable=True),  # deleted: 30 days later its targets go
    _column("consumed_seq", sa.Integer, default=0),
    _column("leased_until", Instant, nullable=True),  # by a notifier
    _column("leased_by", sa.String(100), nullable=True),
)
sa.Index(
    "ix_monitor_state_unconsumed",
    monitor_state.c.monitor,
    sqlite_where=monitor_state.c.seq > monitor_state.c.consumed_seq,
    postgresql_where=monitor_state.c.seq > monitor_state.c.consumed_seq,
)

# One row a (monitor, location): what is due, who has it, and the running state of its vote.
target = sa.Table(
    "target",
    metadata,
    _column("id", RowNumber, primary_key=True),
    _column("monitor", sa.Uuid),
    _column("location", sa.String(50)),
    _column("source", sa.String(16)),  # probed, pinged
    _column("revision", sa.Integer),
    _column("spec", Json),  # secrets sealed
    _column("active", sa.Boolean, default=True),  # neither paused nor removed
    _column("interval_seconds", sa.Float),
    _column("retry_seconds", sa.Float),
    # The claim. `fence` grows with every claim and every change of the specification.
    _column("fence", sa.Integer, default=0),
    _column("next_due_at", Instant, nullable=True),
    _column("leased_until", Instant, nullable=True),
    _column("leased_by", sa.String(100), nullable=True),
    _column("skipped_slots", sa.Integer, default=0),
    # The running state: checks.status.TargetState.
    _column("vote", sa.String(16)),
    _column("vote_since", Instant, nullable=True),
    _column("last_outcome", sa.String(16), nullable=True),
    _column("last_result_at", Instant, nullable=True),
    _column("serving_run", sa.Integer, default=0),
    _column("serving_since", Instant, nullable=True),
    _column("healthy_run", sa.Integer, default=0),
    _column("healthy_since", Instant, nullable=True),
    # What people see of the last probe.
    _column("last_latency_ns", sa.BigInteger, nullable=True),
    _column("last_failure", Json, nullable=True),
    # Heartbeats: the instant after which silence means down, and what was last heard.
    _column("deadline_at", Instant, nullable=True),
    _column("expected_at", Instant, nullable=True),  # its next ping
    _column("judge_at", Instant, nullable=True),  # when the sweep is to look: late, or down
    _column("counted_from", Instant, nullable=True),  # silence is: the last end of a run, or a resumption
    _column("last_ping_at", Instant, nullable=True),
    _column("last_start_at", Instant, nullable=True),  # of a run that is open
    _column("last_duration_ns", sa.BigInteger, nullable=True),
    _column("open_runs", sa.Integer, default=0, server_default="0"),
    _column("progress", sa.Float, nullable=True),  # the number `progress` of its last ping,
    _column("progress_run", sa.Integer, default=0, server_default="0"),  # and how many pings in a row brought it
    # How many pings may still be stored one by one: a bucket that fills with time.
    _column("ping_allowance", sa.Float, nullable=True),
    _column("ping_allowance_at", Instant, nullable=True),
    sa.UniqueConstraint("monitor", "location"),
    # Twice a probe its row is written: in a page with room, a claim touches no index, and dead rows go without a vacuum.
    postgresql_with={"fillfactor": 50},
    sqlite_autoincrement=True,  # the number of a target that is gone stays its own: results and workers remember it
)
sa.Index("ix_target_due", target.c.location, target.c.next_due_at)
sa.Index("ix_target_judge", target.c.judge_at)

# From when to when a monitor was watched from where: a row a target, which outlives it.
watch = sa.Table(
    "watch",
    metadata,
    _column("id", RowNumber, primary_key=True),
    _column("target_id", RowNumber),
    _column("monitor", sa.Uuid),
    _column("location", sa.String(50)),
    _column("source", sa.String(16)),
    _column("since", Instant),
    _column("until", Instant, nullable=True),  # null: it still is
)
sa.Index("ix_watch_monitor", watch.c.monitor)
sa.Index("ix_watch_target_id", watch.c.target_id)

# On PostgreSQL divided by days (checks.store.partitions), and the number, which nobody asks for, is no key there.
result = sa.Table(
    "result",
    metadata,
    _column("id", RowNumber, primary_key=True),
    _column("target_id", RowNumber),
    _column("due_at", Instant),
    _column("started_at", Instant),
    _column("outcome", sa.String(16)),
    _column("latency_ns", sa.BigInteger, nullable=True),  # null: the answer was not complete
    *(
        _column(f"{phase}_ns", sa.BigInteger, nullable=True)
        for phase in ("dns", "connect", "tls", "first_byte", "transfer", "other")
    ),
    _column("failure", Json, nullable=True),
    _column("evidence", Json, nullable=True),
    postgresql_partition_by="RANGE (started_at)",
)
sa.Index("ix_result_target_started", result.c.target_id, result.c.started_at)

transition = sa.Table(
    "transition",
    metadata,
    _column("uuid", sa.Uuid, primary_key=True),
    _column("monitor", sa.Uuid),
    _column("seq", sa.Integer),
    _column("at", Instant),
    _column("since", Instant),
    _column("from_status", sa.String(16)),
    _column("to_status", sa.String(16)),
    _column("cause", sa.String(16)),
    _column("evidence", Json),
    _column("consumed_at", Instant, nullable=True),
    sa.UniqueConstraint("monitor", "seq"),
)
sa.Index("ix_transition_monitor_since", transition.c.monitor, transition.c.since)

# Roll-ups, one row a (target, resolution, period, phase): replaced by recomputation, never added to.
rollup = sa.Table(
    "rollup",
    metadata,
    _column("target_id", RowNumber, primary_key=True, autoincrement=False),
    _column("resolution", sa.String(8), primary_key=True),  # hour, day
    _column("start", Instant, primary_key=True),
    _column("phase", sa.String(16), primary_key=True),  # total, or a phase
    _column("histogram", sa.LargeBinary),  # checks.histogram.Histogram.to_bytes
    _column("complete", sa.Integer),  # results in the histogram
    _column("incomplete", sa.Integer),  # timed out, refused: no latency to speak of
    _column("up", sa.Integer),
    _column("degraded", sa.Integer),
    _column("down", sa.Integer),
    _column("unknown", sa.Integer),
    sqlite_with_rowid=False,
)
sa.Index("ix_rollup_start", rollup.c.resolution, rollup.c.start, rollup.c.target_id)
# Periods whose roll-up is older than their results: an hour's row is written in the results' own transaction. It stays
# until the period is over, and is rolled up at `ready_at` meanwhile, so that figures need not wait for the full hour.
dirty_period = sa.Table(
    "dirty_period",
    metadata,
    _column("target_id", RowNumber, primary_key=True, autoincrement=False),
    _column("resolution", sa.String(8), primary_key=True),
    _column("start", Instant, primary_key=True),
    _column("ready_at", Instant),
    sqlite_with_rowid=False,
)
sa.Index("ix_dirty_period_ready", dirty_period.c.ready_at)

ping_code = sa.Table(
    "ping_code",
    metadata,
    _column("code", sa.Uuid, primary_key=True),
    _column("monitor", sa.Uuid),
    _column("created_at", Instant),
    _column("expires_at", Instant, nullable=True),  # one that was replaced is heard for a while
    _column("last_used_at", Instant, nullable=True),  # to about a minute
)
sa.Index("ix_ping_code_monitor", ping_code.c.monitor)

# Keys by which monitors are pinged by their slugs: /ping/<key>/<slug>. Only what a key hashes to is kept.
ping_key = sa.Table(
    "ping_key",
    metadata,
    _column("digest", sa.LargeBinary(32), primary_key=True),  # SHA-256
    _column("name", sa.String(100)),
    _column("creates", sa.Boolean, default=False),  # whether ?create=1 may make monitors
    _column("last_used_at", Instant, nullable=True),
)

# Pings of codes that nobody has: who sends them. Counted by source, and shown to administrators.
unknown_ping = sa.Table(
    "unknown_ping",
    metadata,
    _column("source", sa.String(64), primary_key=True),
    _column("count", sa.BigInteger),
    _column("first_at", Instant),
    _column("last_at", Instant),
    _column("user_agent", sa.String(200)),
)

ping = sa.Table(
    "ping",
    metadata,
    _column("id", RowNumber, primary_key=True),
    _column("monitor", sa.Uuid),
    _column("received_at", Instant),
    _column("sent_at", Instant, nullable=True),  # ?at=: when it was so, by the client's clock
    _column("action", sa.String(16)),  # success, start, fail, log
    _column("exit_code", sa.Integer, nullable=True),
    _column("run", sa.Uuid, nullable=True),  # ?rid=
    _column("duration_ns", sa.BigInteger, nullable=True),
    _column("method", sa.String(8)),
    _column("source", sa.String(64)),
    _column("user_agent", sa.String(200)),
    _column("body", sa.LargeBinary),
    _column("body_size", sa.Integer),
    _column("numbers", Json, nullable=True),
    # Where pings came too fast to be stored one by one, this row stands for several.
    _column("count", sa.Integer, default=1, server_default="1"),
    _column("last_at", Instant, nullable=True),
)
sa.Index("ix_ping_monitor_received", ping.c.monitor, ping.c.received_at)

# Runs whose start was reported and whose end was not. One without ?rid= has the nil UUID.
open_run = sa.Table(
    "open_run",
    metadata,
    _column("monitor", sa.Uuid, primary_key=True),
    _column("run", sa.Uuid, primary_key=True),
    _column("started_at", Instant),
    sqlite_with_rowid=False,
)

# Written every 2 s by the very path that writes pings or results: what a deadline is judged by.
sign_of_life = sa.Table(
    "sign_of_life",
    metadata,
    _column("process", sa.String(100), primary_key=True),
    _column("role", sa.String(16)),  # web, worker, notifier
    _column("location", sa.String(50)),
    _column("started_at", Instant),
    _column("at", Instant),
)
blind_interval = sa.Table(
    "blind_interval",
    metadata,
    _column("id", RowNumber, primary_key=True),
    _column("role", sa.String(16)),
    _column("location", sa.String(50)),
    _column("start", Instant),
    _column("end", Instant),
    sa.UniqueConstraint("role", "location", "start"),
)

# What is wrong with us: one row a trouble that goes on. The notifier opens a `system:<what>` incident for each.
trouble = sa.Table(
    "trouble",
    metadata,
    _column("what", sa.String(64), primary_key=True),  # "no_resolver", "silent:eu-west"
    _column("message", sa.String(500)),
    _column("since", Instant),
    _column("seen_at", Instant),
)

# What a target said when it was last well, in a few facts (checks.difference); refreshed rarely.
last_good = sa.Table(
    "last_good",
    metadata,
    _column("target_id", RowNumber, primary_key=True, autoincrement=False),
    _column("at", Instant),
    _column("facts", Json),
)

# Whose status follows from whose: a group, and the slug of one of its members.
group_member = sa.Table(
    "group_member",
    metadata,
    _column("monitor", sa.Uuid, primary_key=True),
    _column("member", sa.String(100), primary_key=True),
    sqlite_with_rowid=False,
)
sa.Index("ix_group_member_member", group_member.c.member)
