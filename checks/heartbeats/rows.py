"""How what is known of a job lies in a row of `target`, in the form of `checks.store.schema`."""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from datetime import datetime
from typing import Any
from uuid import UUID

from checks.clock import from_micros, to_micros
from checks.heartbeats.runs import Heard
from checks.result import Failure
from checks.store.states import state_from

# What is written of a job, with the types of the columns on PostgreSQL.
WRITTEN = (
    ("id", "bigint"),
    ("vote", "text"),
    ("vote_since", "bigint"),
    ("last_outcome", "text"),
    ("last_result_at", "bigint"),
    ("serving_run", "integer"),
    ("serving_since", "bigint"),
    ("healthy_run", "integer"),
    ("healthy_since", "bigint"),
    ("last_failure", "jsonb"),
    ("deadline_at", "bigint"),
    ("expected_at", "bigint"),
    ("judge_at", "bigint"),
    ("counted_from", "bigint"),
    ("last_ping_at", "bigint"),
    ("last_start_at", "bigint"),
    ("last_duration_ns", "bigint"),
    ("open_runs", "integer"),
    ("progress", "float8"),
    ("progress_run", "integer"),
    ("ping_allowance", "float8"),
    ("ping_allowance_at", "bigint"),
)


def heard_of(written: Sequence[Any], runs: Mapping[UUID, datetime]) -> Heard:
    """What is known of a job, of the values of the columns that are written."""
    failure, deadline_at, expected_at, judge_at, counted_from, last_ping_at, _, duration_ns, _, *rest = written[9:]
    progress, progress_run, _, _ = rest
    if isinstance(failure, str):  # as SQLite keeps it
        failure = json.loads(failure)
    return Heard(
        state=state_from(written[1:9]),
        last_ping_at=instant_of(last_ping_at),
        counted_from=instant_of(counted_from),
        open=runs,
        duration_ns=duration_ns,
        expected_at=instant_of(expected_at),
        deadline_at=instant_of(deadline_at),
        judge_at=instant_of(judge_at),
        failure=None if failure is None else Failure.from_dict(failure),
        progress=progress,
        progress_run=progress_run,
    )


def values_of(target_id: int, heard: Heard, allowance: float | None, allowance_at: datetime | None) -> tuple[Any, ...]:
    """The values of `WRITTEN`."""
    state = heard.state
    # A ping sets several of the instants to its own, which is brought into its form once.
    at, since = heard.last_ping_at, state.serving_since
    at_micros, since_micros = _micros(at), _micros(since)
    return (
        target_id,
        state.vote._value_,
        since_micros if state.vote_since is since else _micros(state.vote_since),
        None if state.last_outcome is None else state.last_outcome._value_,
        at_micros if state.last_result_at is at else _micros(state.last_result_at),
        state.serving_run,
        since_micros,
        state.healthy_run,
        since_micros if state.healthy_since is since else _micros(state.healthy_since),
        None if heard.failure is None else json.dumps(heard.failure.as_dict()),
        _micros(heard.deadline_at),
        _micros(heard.expected_at),
        _micros(heard.judge_at),
        at_micros if heard.counted_from is at else _micros(heard.counted_from),
        at_micros,
        _micros(heard.started_at) if heard.open else None,
        heard.duration_ns,
        len(heard.open),
        heard.progress,
        heard.progress_run,
        allowance,
        at_micros if allowance_at is at else _micros(allowance_at),
    )


def instant_of(micros: int | None) -> datetime | None:
    """The instant of a column."""
    return None if micros is None else from_micros(micros)


def _micros(instant: datetime | None) -> int | None:
    return None if instant is None else to_micros(instant)
