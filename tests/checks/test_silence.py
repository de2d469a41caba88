from __future__ import annotations

from datetime import timedelta
from typing import Any

import sqlalchemy as sa

from checks import silence
from checks.result import Outcome
from checks.store import claims, writer
from checks.store.schema import monitor_state, target, trouble
from tests.checks.heartbeats.asking import transitions
from tests.checks.workers import monitor_of, publish, statuses, targets
from tests.factories import NOON, at, make_finished

LEASE = timedelta(seconds=30)
LONG = 10_000.0  # seconds that the judge has been watching


def publish_some(store: sa.Engine, count: int = 3, **options: Any) -> None:
    options = {"interval": "10s", "timeout": "2s", **options}
    publish(store, *[monitor_of(**options) for _ in range(count)], now=NOON)


def probe_all(store: sa.Engine, seconds: float, outcome: Outcome = Outcome.UP, location: str = "local") -> None:
    """Every target is probed then, and due again ten seconds later."""
    with store.begin() as conn:
        conn.execute(target.update().where(target.c.location == location).values(next_due_at=at(seconds)))
        claimed = claims.claim(
            conn, worker="w", location=location, now=at(seconds), horizon=timedelta(0), limit=1000, lease=LEASE
        )
        writer.record(conn, [make_finished(each, outcome) for each in claimed], at(seconds + 0.2))


def judge(store: sa.Engine, seconds: float, watched_for: float = LONG) -> set[str]:
    """The statuses after all steps."""
    while silence.judge(store, at(seconds), watched_for):
        pass
    return statuses(store)


def troubles(store: sa.Engine) -> dict[str, str]:
    with store.begin() as conn:
        return {row.what: row.message for row in conn.execute(sa.select(trouble))}


def test_monitors_that_nobody_probes_become_unknown_with_one_trouble_for_all(store: sa.Engine) -> None:
    publish_some(store)
    probe_all(store, 0)
    assert judge(store, 36) == {"up"}
    assert judge(store, 38) == {"unknown"}
    assert {row.cause for row in transitions(store) if row.to_status == "unknown"} == {"silence"}
    assert {row.since for row in transitions(store) if row.to_status == "unknown"} == {at(10)}
    assert troubles(store) == {
        "silent:local": (
            "no results from location local for 3 monitors, for at least 3 of their intervals:"
            " is a worker running there, and can it reach them?"
        )
    }


def test_the_trouble_is_over_when_results_come_again(store: sa.Engine) -> None:
    publish_some(store)
    probe_all(store, 0)
    judge(store, 60)
    probe_all(store, 60)
    assert judge(store, 61) == {"up"}
    assert troubles(store) == {}


def test_right_after_a_start_the_status_is_unknown_and_nobody_is_told(sqlite_store: sa.Engine) -> None:
    publish_some(sqlite_store)
    probe_all(sqlite_store, 0)
    assert judge(sqlite_store, 600, watched_for=5.0) == {"unknown"}
    assert troubles(sqlite_store) == {}
    probe_all(sqlite_store, 605)
    assert judge(sqlite_store, 660, watched_for=60.0) == {"unknown"}
    assert list(troubles(sqlite_store)) == ["silent:local"]


def test_one_judge_that_just_began_does_not_clear_what_another_saw(sqlite_store: sa.Engine) -> None:
    publish_some(sqlite_store)
    probe_all(sqlite_store, 0)
    judge(sqlite_store, 60)
    judge(sqlite_store, 61, watched_for=1.0)
    assert list(troubles(sqlite_store)) == ["silent:local"]


def test_results_that_say_nothing_are_silence_too(store: sa.Engine) -> None:
    publish_some(store)
    probe_all(store, 0)
    for seconds in (10, 20, 30, 40):
        probe_all(store, seconds, Outcome.UNKNOWN)
    assert judge(store, 41) == {"unknown"}


def test_a_long_probe_is_no_silence(sqlite_store: sa.Engine) -> None:
    publish_some(sqlite_store, timeout="10m")
    probe_all(sqlite_store, 0)
    assert judge(sqlite_store, 600) == {"up"}


def test_a_shortened_interval_is_no_silence(sqlite_store: sa.Engine) -> None:
    publish_some(sqlite_store, interval="1h")
    probe_all(sqlite_store, 0)
    with sqlite_store.begin() as conn:
        conn.execute(target.update().values(interval_seconds=1.0, next_due_at=at(1801)))
    assert judge(sqlite_store, 1800) == {"up"}


def test_a_location_that_is_silent_leaves_the_vote(store: sa.Engine) -> None:
    publish_some(store, count=1, locations=["riga", "oslo"], quorum=1)
    probe_all(store, 0, location="riga")
    probe_all(store, 0, Outcome.DOWN, location="oslo")
    probe_all(store, 10, Outcome.DOWN, location="oslo")
    probe_all(store, 20, Outcome.DOWN, location="oslo")
    assert statuses(store) == {"down"}
    probe_all(store, 60, location="riga")
    assert judge(store, 61) == {"up"}
    assert list(troubles(store)) == ["silent:oslo"]
    assert {row.location: row.vote for row in targets(store)} == {"riga": "up", "oslo": "unknown"}


def test_what_is_paused_or_reports_by_itself_is_never_silent(sqlite_store: sa.Engine) -> None:
    publish_some(sqlite_store, count=1)
    publish(sqlite_store, monitor_of(kind="heartbeat"), now=NOON)
    with sqlite_store.begin() as conn:
        conn.execute(target.update().where(target.c.source == "probed").values(active=False, next_due_at=None))
    assert judge(sqlite_store, 10**6) == {"pending"}


def test_a_monitor_without_a_worker_becomes_unknown_from_pending(sqlite_store: sa.Engine) -> None:
    publish_some(sqlite_store, count=1, locations=["nowhere"])
    assert judge(sqlite_store, 20) == {"pending"}
    assert judge(sqlite_store, 60) == {"unknown"}
    assert list(troubles(sqlite_store)) == ["silent:nowhere"]


def test_what_was_never_probed_is_new_until_somebody_watched_it_in_vain(sqlite_store: sa.Engine) -> None:
    publish_some(sqlite_store)
    assert judge(sqlite_store, 600, watched_for=36.0) == {"pending"}
    assert judge(sqlite_store, 602, watched_for=38.0) == {"unknown"}


def test_a_great_silence_is_judged_in_steps(sqlite_store: sa.Engine) -> None:
    publish_some(sqlite_store, count=1200)
    probe_all(sqlite_store, 0)
    assert silence.judge(sqlite_store, at(60), LONG)
    assert judge(sqlite_store, 60) == {"unknown"}
    assert "for 1200 monitors" in troubles(sqlite_store)["silent:local"]
    with sqlite_store.begin() as conn:
        assert conn.execute(sa.select(sa.func.max(monitor_state.c.seq))).scalar_one() == 2
