"""A monitor becomes a heartbeat, or is none any more: what was known of it before is not taken for what a job reported."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import pytest
import sqlalchemy as sa

from checks.heartbeats.hearing import hear_all
from checks.heartbeats.runs import Action, Ping, Verdict
from checks.heartbeats.sweep import sweep
from checks.sight import WEB
from checks.store.publishing import PublishedMonitor
from checks.store.schema import open_run, sign_of_life, target
from tests.checks.heartbeats.asking import CODE, job, status, transitions
from tests.checks.workers import monitor_of, publish
from tests.factories import NOON, at

JOB = replace(monitor_of(kind="heartbeat", name="Nightly", schedule={"every": "1h"}), ping_codes=(CODE,))


def become(store: sa.Engine, revision: int, when: float, **options: Any) -> None:
    """The monitor is of another kind, or in other places, from now on."""
    other = replace(monitor_of(name="Nightly", **options), uuid=JOB.uuid, revision=revision)
    publish(store, other, now=at(when))


def become_a_job(store: sa.Engine, revision: int, when: float) -> None:
    publish(store, replace(JOB, revision=revision), now=at(when))


def hear(store: sa.Engine, when: float, action: Action = Action.SUCCESS) -> None:
    with store.begin() as conn:
        verdicts, _ = hear_all(conn, [Ping(address=CODE, action=action, received_at=at(when))], at(when))
    assert verdicts == [Verdict.STORED]


@pytest.fixture
def monitor(store: sa.Engine) -> PublishedMonitor:
    publish(store, JOB, now=NOON)
    return JOB


@pytest.mark.usefixtures("monitor")
def test_what_becomes_a_heartbeat_waits_for_its_first_ping(store: sa.Engine) -> None:
    become(store, 2, 1, kind="http")
    with store.begin() as conn:
        conn.execute(target.update().values(vote="up", vote_since=at(2), last_outcome="up", last_result_at=at(2)))
    become_a_job(store, 3, 10)
    assert (job(store).vote, job(store).counted_from, status(store)) == ("pending", None, "pending")
    hear(store, 20)
    assert (status(store), job(store).expected_at) == ("up", at(3620))


@pytest.mark.usefixtures("monitor")
def test_what_is_no_heartbeat_any_more_is_judged_anew(store: sa.Engine) -> None:
    hear(store, 0)
    become(store, 2, 10, kind="http")
    assert (status(store), job(store).counted_from, job(store).judge_at) == ("pending", None, None)
    assert [row.to_status for row in transitions(store)] == ["up", "pending"]


@pytest.mark.parametrize("locations", [["local"], ["eu"]])
@pytest.mark.usefixtures("monitor")
def test_a_run_that_was_open_then_is_forgotten(store: sa.Engine, locations: list[str]) -> None:
    hear(store, 0, Action.START)
    become(store, 2, 10, kind="http", locations=locations)
    with store.begin() as conn:
        assert conn.execute(sa.select(open_run)).first() is None
    become_a_job(store, 3, 20)
    hear(store, 30, Action.START)
    hear(store, 40)
    assert job(store).last_duration_ns == 10 * 10**9


@pytest.mark.usefixtures("monitor")
def test_a_run_whose_end_came_during_a_pause_is_not_waited_for(store: sa.Engine) -> None:
    daily = monitor_of(kind="heartbeat", name="Nightly", schedule={"every": "1d"}, max_run="2h")
    daily = replace(daily, uuid=JOB.uuid, ping_codes=(CODE,))
    publish(store, replace(daily, revision=2), now=NOON)
    hear(store, 0, Action.START)
    publish(store, replace(daily, revision=3, paused=True), now=at(300))
    hear(store, 600)
    publish(store, replace(daily, revision=4), now=at(1200))
    with store.begin() as conn:
        conn.execute(sign_of_life.insert().values(process="web", role=WEB, location="", started_at=NOON, at=at(9000)))
        sweep(conn, at(9000))
    assert (job(store).open_runs, status(store)) == (0, "pending")
    assert job(store).expected_at == at(1200 + 86400)
