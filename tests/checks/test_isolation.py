"""A whole location sees nothing while others see everything: one trouble, and no monitor goes down for it."""

from __future__ import annotations

from collections.abc import Iterable
from datetime import timedelta
from typing import Any

import pytest
import sqlalchemy as sa

from checks import isolation, silence
from checks.result import Outcome
from checks.status import Cause
from checks.store import claims, writer
from checks.store.schema import monitor_state, target, transition, trouble
from checks.store.troubles import report_trouble
from tests.checks.workers import monitor_of, publish
from tests.factories import NOON, at, make_finished

UP, DOWN = Outcome.UP, Outcome.DOWN
LEASE = timedelta(seconds=30)
PLACES = ["riga", "oslo"]


def watch(store: sa.Engine, count: int, **options: Any) -> None:
    given = {"interval": "10s", "timeout": "2s", "failures": 2, "successes": 1, "locations": PLACES, **options}
    publish(store, *[monitor_of(**given) for _ in range(count)], now=NOON)


def probe(store: sa.Engine, seconds: float, place: str, outcome: Outcome, numbers: Iterable[int] | None = None) -> None:
    """All targets of a place, or those of these numbers there, are probed at an instant."""
    with store.begin() as conn:
        c = target.c
        ids = list(conn.execute(sa.select(c.id).where(c.location == place).order_by(c.id)).scalars())
        wanted = ids if numbers is None else [ids[number] for number in numbers]
        conn.execute(target.update().where(c.location == place).values(next_due_at=at(seconds + 999)))
        conn.execute(target.update().where(c.id.in_(wanted)).values(next_due_at=at(seconds)))
        claimed = claims.claim(
            conn, worker="w", location=place, now=at(seconds), horizon=timedelta(0), limit=1000, lease=LEASE
        )
        assert len(claimed) == len(wanted)
        policies = [monitor_of(failures=2, successes=1, interval="10s").policy] * len(claimed)
        done = [make_finished(each, outcome, policy=policy) for each, policy in zip(claimed, policies, strict=True)]
        writer.record(conn, done, at(seconds + 0.2))


def judge(store: sa.Engine, seconds: float, place: str = "riga") -> None:
    while isolation.judge(store, at(seconds), place):
        pass


def troubles(store: sa.Engine) -> list[str]:
    with store.begin() as conn:
        return list(conn.execute(sa.select(trouble.c.what).order_by(trouble.c.what)).scalars())


def statuses(store: sa.Engine) -> list[str]:
    with store.begin() as conn:
        return sorted(conn.execute(sa.select(monitor_state.c.status)).scalars())


def moves(store: sa.Engine) -> list[tuple[str, str, str]]:
    """The transitions after the first one of each monitor, as (from, to, cause)."""
    with store.begin() as conn:
        rows = conn.execute(sa.select(transition).where(transition.c.seq > 1).order_by(transition.c.at)).all()
    return [(row.from_status, row.to_status, row.cause) for row in rows]


def test_a_location_that_sees_nothing_is_named_and_no_monitor_goes_down(store: sa.Engine) -> None:
    watch(store, 6)
    for place in PLACES:
        probe(store, 0, place, UP)
    for seconds in (10, 12, 20):
        probe(store, seconds, "oslo", UP)
        probe(store, seconds, "riga", DOWN)
    judge(store, 21)
    assert statuses(store) == ["up"] * 6
    assert moves(store) == []
    assert troubles(store) == ["network:riga"]


def test_it_is_over_with_the_first_few_that_are_well_and_all_others_begin_anew(store: sa.Engine) -> None:
    watch(store, 6)
    for place in PLACES:
        probe(store, 0, place, UP)
    for seconds in (10, 12):
        probe(store, seconds, "oslo", UP)
        probe(store, seconds, "riga", DOWN)
    probe(store, 20, "riga", UP, [0, 1])
    judge(store, 21)
    assert troubles(store) == ["network:riga"]
    probe(store, 22, "riga", UP, [2])
    judge(store, 25)
    assert troubles(store) == []
    probe(store, 30, "riga", DOWN, [3, 4, 5])
    probe(store, 30, "riga", UP, [0, 1, 2])
    assert statuses(store) == ["up"] * 6
    probe(store, 32, "riga", DOWN, [3])  # one that others see up, again and again: that is not the location's network
    probe(store, 33, "riga", UP, [0])
    probe(store, 40, "riga", DOWN, [3])
    assert statuses(store) == ["down"] + ["up"] * 5
    assert silence.judge(store, at(41), 10_000.0) is False
    assert troubles(store) == []


def test_what_went_down_before_it_was_seen_is_set_right(store: sa.Engine) -> None:
    watch(store, 24)
    for place in PLACES:
        probe(store, 0, place, UP)
    probe(store, 10, "oslo", UP)
    probe(store, 10, "riga", DOWN, [0, 1])
    probe(store, 12, "riga", DOWN, [0, 1])  # two of 24 are no location
    assert statuses(store) == ["down"] * 2 + ["up"] * 22
    judge(store, 12.5)
    assert troubles(store) == []
    probe(store, 13, "riga", DOWN, [2, 3])
    judge(store, 14)
    assert troubles(store) == ["network:riga"]
    assert statuses(store) == ["up"] * 24
    assert moves(store) == [("up", "down", "probe")] * 2 + [("down", "up", "location")] * 2
    with store.begin() as conn:
        rows = conn.execute(sa.select(transition.c.evidence).where(transition.c.cause == "location")).scalars().all()
    assert [row["locations"] for row in rows] == [{"oslo": "up", "riga": "unknown"}] * 2


def test_what_only_that_location_sees_is_unknown_and_not_down(sqlite_store: sa.Engine) -> None:
    watch(sqlite_store, 4)
    watch(sqlite_store, 1, locations=["riga"])
    for place in PLACES:
        probe(sqlite_store, 0, place, UP)
    for seconds in (10, 12):
        probe(sqlite_store, seconds, "oslo", UP)
        probe(sqlite_store, seconds, "riga", DOWN)
    assert statuses(sqlite_store) == ["unknown"] + ["up"] * 4
    assert moves(sqlite_store) == [("up", "unknown", "location")]
    probe(sqlite_store, 20, "riga", UP)
    judge(sqlite_store, 21)
    probe(sqlite_store, 30, "riga", UP)
    assert statuses(sqlite_store) == ["up"] * 5
    assert troubles(sqlite_store) == []


def test_what_was_down_before_stays_down(sqlite_store: sa.Engine) -> None:
    watch(sqlite_store, 6)
    for place in PLACES:
        probe(sqlite_store, 0, place, UP)
    for seconds in (10, 20):
        probe(sqlite_store, seconds, "riga", DOWN, [0])
        probe(sqlite_store, seconds + 1, "riga", UP, range(1, 6))
    assert statuses(sqlite_store) == ["down"] + ["up"] * 5
    for seconds in (70, 80):
        probe(sqlite_store, seconds, "oslo", UP)
        probe(sqlite_store, seconds, "riga", DOWN)
    judge(sqlite_store, 81)
    assert troubles(sqlite_store) == ["network:riga"]
    assert statuses(sqlite_store) == ["down"] + ["up"] * 5


def test_an_outage_that_all_locations_see_is_one(sqlite_store: sa.Engine) -> None:
    watch(sqlite_store, 6, quorum="majority")
    for place in PLACES:
        probe(sqlite_store, 0, place, UP)
    for seconds in (10, 12):
        for place in PLACES:
            probe(sqlite_store, seconds, place, DOWN)
        judge(sqlite_store, seconds + 1)
    assert statuses(sqlite_store) == ["down"] * 6
    assert troubles(sqlite_store) == []


def test_a_location_that_sees_nothing_does_not_hide_what_another_sees(sqlite_store: sa.Engine) -> None:
    watch(sqlite_store, 6, quorum="all")
    for place in PLACES:
        probe(sqlite_store, 0, place, UP)
    for seconds in (10, 12):
        probe(sqlite_store, seconds, "oslo", UP)
        probe(sqlite_store, seconds, "riga", DOWN)
    for seconds in (20, 22):
        probe(sqlite_store, seconds, "oslo", DOWN, [0])
    judge(sqlite_store, 23)
    assert troubles(sqlite_store) == ["network:riga"]
    assert statuses(sqlite_store) == ["down"] + ["up"] * 5


@pytest.mark.parametrize("count", [1, 2, 3])
def test_one_monitor_is_no_location(sqlite_store: sa.Engine, count: int) -> None:
    watch(sqlite_store, count)
    for place in PLACES:
        probe(sqlite_store, 0, place, UP)
    for seconds in (10, 12):
        probe(sqlite_store, seconds, "oslo", UP)
        probe(sqlite_store, seconds, "riga", DOWN)
    judge(sqlite_store, 13)
    assert statuses(sqlite_store) == (["down"] if count == 1 else ["up"] * count)
    assert troubles(sqlite_store) == ([] if count == 1 else ["network:riga"])


def test_targets_that_never_answered_there_are_no_fault(sqlite_store: sa.Engine) -> None:
    """Three of four refuse this location for good; between the results of the fourth, all others fail."""
    watch(sqlite_store, 4)
    for place in PLACES:
        probe(sqlite_store, 0, place, UP, [3])
        probe(sqlite_store, 1, place, DOWN if place == "riga" else UP, [0, 1, 2])
    probe(sqlite_store, 10, "riga", UP, [3])
    for seconds in (11, 21):
        probe(sqlite_store, seconds, "riga", DOWN, [0, 1, 2])
        probe(sqlite_store, seconds, "oslo", UP)
    judge(sqlite_store, 22)
    assert statuses(sqlite_store) == ["down"] * 3 + ["up"]
    assert troubles(sqlite_store) == []


def test_the_trouble_is_kept_alive_while_it_lasts(sqlite_store: sa.Engine) -> None:
    watch(sqlite_store, 3)
    for place in PLACES:
        probe(sqlite_store, 0, place, UP)
    for seconds in (10, 12, 50):
        probe(sqlite_store, seconds, "oslo", UP)
        probe(sqlite_store, seconds, "riga", DOWN)
    judge(sqlite_store, 51, place="oslo")  # any worker does
    with sqlite_store.begin() as conn:
        [row] = conn.execute(sa.select(trouble)).all()
    assert (row.since, row.seen_at) == (at(10), at(51))


def test_it_ends_where_nothing_is_left_that_fails(sqlite_store: sa.Engine) -> None:
    watch(sqlite_store, 3)
    for place in PLACES:
        probe(sqlite_store, 0, place, UP)
    for seconds in (10, 12):
        probe(sqlite_store, seconds, "oslo", UP)
        probe(sqlite_store, seconds, "riga", DOWN)
    with sqlite_store.begin() as conn:
        conn.execute(target.delete().where(target.c.location == "riga"))
    judge(sqlite_store, 13, place="oslo")
    assert troubles(sqlite_store) == []


def test_a_great_fault_ends_in_steps(sqlite_store: sa.Engine) -> None:
    watch(sqlite_store, 620)
    for place in PLACES:
        probe(sqlite_store, 0, place, UP)
    for seconds in (10, 12):
        probe(sqlite_store, seconds, "oslo", UP)
        probe(sqlite_store, seconds, "riga", DOWN)
    probe(sqlite_store, 20, "riga", UP, range(3))
    assert isolation.judge(sqlite_store, at(21), "riga")
    assert troubles(sqlite_store) == ["network:riga"]
    judge(sqlite_store, 21)
    assert troubles(sqlite_store) == []
    with sqlite_store.begin() as conn:
        votes = conn.execute(sa.select(target.c.vote).where(target.c.location == "riga")).scalars().all()
    assert (votes.count("unknown"), votes.count("up")) == (617, 3)
    assert statuses(sqlite_store) == ["up"] * 620


def test_what_reports_by_itself_needs_no_network_of_a_location(sqlite_store: sa.Engine) -> None:
    publish(sqlite_store, monitor_of(kind="heartbeat"), now=NOON)
    with sqlite_store.begin() as conn:
        report_trouble(conn, "network:local", "at fault", at(0))
        [monitor] = conn.execute(sa.select(monitor_state.c.monitor)).scalars()
        conn.execute(target.update().values(vote="down", vote_since=at(5)))
        writer.settle(conn, {monitor: {}}, at(6), cause=Cause.DEADLINE)
    assert statuses(sqlite_store) == ["down"]
