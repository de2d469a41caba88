import threading
from contextlib import suppress
from datetime import timedelta
from itertools import pairwise

import pytest
import sqlalchemy as sa

from checks.histogram import Histogram
from checks.result import Outcome, Phases
from checks.store import rollup as rollups
from checks.store.engine import reading
from checks.store.periods import DAY, HOUR, MINUTE, SETTLED, next_ready
from checks.store.rollup import roll_up
from checks.store.schema import dirty_period, result, rollup, target
from checks.store.writer import record
from tests.checks.store.acts import claim_due, one, publish_one, rows, run_probe
from tests.factories import NOON, at, make_finished

BEGUN = NOON.replace(minute=0)
MIDNIGHT = BEGUN.replace(hour=0)
OVER = BEGUN + timedelta(hours=1) + SETTLED
DAY_OVER = MIDNIGHT + timedelta(days=1) + SETTLED
MS = 1_000_000


def probe_every(engine, seconds, *, latencies, first=60):
    """Record one result of each latency in milliseconds (None: it timed out), so many seconds apart."""
    for number, latency in enumerate(latencies):
        outcome = Outcome.DOWN if latency is None else Outcome.UP
        nanoseconds = None if latency is None else latency * MS
        phases = Phases(dns=MS) if latency is None else Phases(connect=latency * MS // 4, other=latency * MS * 3 // 4)
        run_probe(engine, outcome, at(first + seconds * number), latency_ns=nanoseconds, phases=phases)


def roll_all(engine, now):
    while roll_up(engine, now):
        pass


def histogram_of(*milliseconds):
    histogram = Histogram()
    for latency in milliseconds:
        histogram.add(latency * MS)
    return histogram


def rolled(engine, resolution):
    return {row.phase: row for row in rows(engine, rollup, rollup.c.resolution == resolution)}


def test_an_hour_that_is_over_is_rolled_up_for_good(store):
    publish_one(store)
    probe_every(store, 10, latencies=[40, 80, None, 120])

    roll_all(store, OVER)

    hours = rolled(store, HOUR)
    assert set(hours) == {"total", "connect", "other"}
    total = hours["total"]
    assert (total.start, total.complete, total.incomplete) == (BEGUN, 3, 1)
    assert (total.up, total.degraded, total.down, total.unknown) == (3, 0, 1, 0)
    assert Histogram.from_bytes(total.histogram) == histogram_of(40, 80, 120)
    assert Histogram.from_bytes(hours["connect"].histogram) == histogram_of(10, 20, 30)
    assert (hours["connect"].complete, hours["connect"].down) == (3, 0)
    assert rows(store, dirty_period, dirty_period.c.resolution == HOUR) == []


def test_the_running_hour_is_rolled_up_after_a_minute_and_stays_marked(store):
    publish_one(store)
    probe_every(store, 10, latencies=[40])

    assert roll_up(store, at(60 + 59)) is False
    assert rows(store, rollup) == []
    roll_all(store, at(60 + 60))
    assert rolled(store, HOUR)["total"].complete == 1

    mark = one(store, dirty_period)
    assert mark.ready_at > at(120)
    probe_every(store, 10, latencies=[80], first=130)
    roll_all(store, mark.ready_at)
    assert rolled(store, HOUR)["total"].complete == 2
    assert len(rows(store, dirty_period)) == 1


def test_a_running_hour_is_rolled_up_every_minute_until_it_is_over(store):
    publish_one(store)
    probe_every(store, 10, latencies=[40], first=60)
    instants = []
    while dirty := rows(store, dirty_period, dirty_period.c.resolution == HOUR):
        instants.append(dirty[0].ready_at)
        roll_all(store, instants[-1])

    assert {after - before for before, after in pairwise(instants)} == {timedelta(minutes=1)}
    assert instants[-1] == OVER


def test_where_there_is_much_to_roll_up_each_hour_is_more_seldom():
    now = BEGUN + timedelta(minutes=10)
    found = [next_ready(HOUR, BEGUN, now, work) for work in (0, 999, 1000, 5500, 10**9)]

    assert [each - now for each in found[:4]] == [timedelta(minutes=minutes) for minutes in (1, 1, 2, 6)]
    assert found[-1] == OVER


def test_minutes_of_a_dense_target_are_rolled_up_when_their_hour_is_over(store):
    publish_one(store)
    probe_every(store, 30, latencies=[40, 80, None, 120])

    roll_all(store, OVER - timedelta(seconds=1))
    assert rows(store, rollup, rollup.c.resolution == MINUTE) == []
    roll_all(store, OVER)

    first, second = rows(store, rollup, rollup.c.resolution == MINUTE)
    assert (first.start, first.phase, first.complete, first.incomplete, first.up) == (at(60), "total", 2, 0, 2)
    assert (second.start, second.complete, second.incomplete, second.up, second.down) == (at(120), 1, 1, 1, 1)
    assert Histogram.from_bytes(first.histogram) == histogram_of(40, 80)


def test_minutes_are_replaced_when_a_result_comes_late(store):
    publish_one(store)
    probe_every(store, 10, latencies=[40])
    roll_all(store, OVER)
    [claimed] = claim_due(store, OVER)
    with store.begin() as conn:
        record(conn, [make_finished(claimed, started_at=at(70), latency_ns=80 * MS)], OVER)
    roll_all(store, OVER + timedelta(minutes=5))

    [minute] = rows(store, rollup, rollup.c.resolution == MINUTE, rollup.c.start == at(60))
    assert Histogram.from_bytes(minute.histogram) == histogram_of(40, 80)


def test_a_target_that_is_probed_seldom_has_no_minutes(store):
    publish_one(store, interval=60.0)
    probe_every(store, 60, latencies=[40, 80])
    roll_all(store, DAY_OVER)

    assert {row.resolution for row in rows(store, rollup)} == {HOUR, DAY}


def test_a_day_is_merged_from_its_hours_when_it_is_over(store):
    publish_one(store)
    probe_every(store, 10, latencies=[40, None])
    probe_every(store, 10, latencies=[80, 120], first=7200)

    roll_all(store, DAY_OVER - timedelta(seconds=1))
    assert rolled(store, DAY) == {}
    roll_all(store, DAY_OVER)

    total = rolled(store, DAY)["total"]
    assert (total.start, total.complete, total.incomplete, total.up, total.down) == (MIDNIGHT, 3, 1, 3, 1)
    assert Histogram.from_bytes(total.histogram) == histogram_of(40, 80, 120)
    assert rows(store, dirty_period) == []


def test_a_result_that_comes_late_is_added_by_computing_anew(store):
    publish_one(store)
    probe_every(store, 10, latencies=[40])
    roll_all(store, DAY_OVER)
    [claimed] = claim_due(store, DAY_OVER)
    with store.begin() as conn:  # a worker that was cut off delivers what it held
        record(conn, [make_finished(claimed, started_at=at(70), latency_ns=80 * MS)], DAY_OVER)

    marks = rows(store, dirty_period)
    assert [(row.resolution, row.start) for row in marks] == [(HOUR, BEGUN)]
    roll_all(store, DAY_OVER + timedelta(minutes=5))

    for resolution in (HOUR, DAY):
        found = Histogram.from_bytes(rolled(store, resolution)["total"].histogram)
        assert found.count == 2
        assert found.max_ns == 80 * MS


@pytest.mark.parametrize(("days", "gone"), [(8, result), (200, rollup)], ids=["hour", "day"])
def test_what_comes_when_all_else_is_deleted_replaces_nothing(store, days, gone):
    """A worker whose clock was wrong dates a result to a time of which the figures alone are left."""
    publish_one(store)
    probe_every(store, 10, latencies=[40] * 5)
    roll_all(store, DAY_OVER)
    with store.begin() as conn:
        conn.execute(result.delete())
        if gone is rollup:
            conn.execute(rollup.delete().where(rollup.c.resolution == HOUR))
    kept = rows(store, rollup, rollup.c.resolution == (DAY if gone is rollup else HOUR))
    now = NOON + timedelta(days=days)

    [claimed] = claim_due(store, now)
    with store.begin() as conn:
        record(conn, [make_finished(claimed, Outcome.UP, started_at=at(1500))], now)
    roll_all(store, now + timedelta(minutes=10))

    assert [row for row in rows(store, rollup) if row in kept] == kept
    assert rows(store, dirty_period, dirty_period.c.start < now - timedelta(days=2)) == []


def test_an_hour_that_a_clock_took_for_over_is_marked_again_when_the_clock_is_set_right(store):
    publish_one(store)
    run_probe(store, Outcome.UP, at(60))
    roll_all(store, OVER + timedelta(hours=2))  # for a moment the clock is ahead

    with store.begin() as conn:
        rollups.reopen(conn, at(65))
        rollups.reopen(conn, at(66))
    run_probe(store, Outcome.UP, at(130))
    roll_all(store, DAY_OVER)

    assert [rolled(store, resolution)["total"].complete for resolution in (HOUR, DAY)] == [2, 2]


def test_rolling_up_again_replaces_and_never_adds(store):
    publish_one(store)
    probe_every(store, 10, latencies=[40, 80])
    roll_all(store, DAY_OVER)
    before = rows(store, rollup)
    number = one(store, target).id
    with store.begin() as conn:
        again = [(HOUR, BEGUN), (DAY, MIDNIGHT)]
        for resolution, start in again:
            mark = {"target_id": number, "resolution": resolution, "start": start, "ready_at": NOON}
            conn.execute(dirty_period.insert().values(mark))

    roll_all(store, DAY_OVER)

    assert rows(store, rollup) == before


def test_a_step_that_was_killed_is_only_repeated(store, monkeypatch):
    publish_one(store)
    probe_every(store, 10, latencies=[40])

    def killed(*_):
        raise KeyboardInterrupt

    with monkeypatch.context() as patch:
        patch.setattr(rollups, "mark_dirty", killed)  # the last thing that a step does
        with pytest.raises(KeyboardInterrupt):
            roll_up(store, OVER)
    assert rows(store, rollup) == []

    roll_all(store, OVER)
    assert rolled(store, HOUR)["total"].complete == 1


def test_two_steps_at_once_never_wait_for_each_other(postgresql_store, monkeypatch):
    """Each rolls up an hour of one target while the day of the other's is ready too."""
    store = postgresql_store
    publish_one(store)
    publish_one(store)
    first, second = (row.id for row in rows(store, target))
    later = OVER + timedelta(minutes=1)
    ready = {(first, HOUR): OVER, (second, DAY): OVER, (second, HOUR): later, (first, DAY): later}
    with store.begin() as conn:
        for (number, resolution), at_ in ready.items():
            mark = {"target_id": number, "resolution": resolution, "ready_at": at_}
            conn.execute(dirty_period.insert().values(start=BEGUN if resolution == HOUR else MIDNIGHT, **mark))
    both, marks = threading.Barrier(2), rollups.mark_dirty
    claimed = threading.Event()
    problems = []

    def mark_together(conn, days):
        claimed.set()
        with suppress(threading.BrokenBarrierError):
            both.wait(5)
        marks(conn, days)

    def step(now):
        try:
            roll_up(store, now)
        except sa.exc.OperationalError as problem:
            problems.append(problem)

    monkeypatch.setattr(rollups, "mark_dirty", mark_together)
    steps = [threading.Thread(target=step, args=(now,)) for now in (OVER, later)]
    steps[0].start()
    assert claimed.wait(10)
    steps[1].start()
    for thread in steps:
        thread.join(30)
    assert problems == []


def test_days_that_were_ready_are_rolled_up_after_the_hours_in_the_same_round(store):
    publish_one(store)
    probe_every(store, 10, latencies=[40])
    number = one(store, target).id
    with store.begin() as conn:
        day_before = {"target_id": number, "resolution": DAY, "start": MIDNIGHT - timedelta(days=1), "ready_at": NOON}
        conn.execute(dirty_period.insert().values(day_before))
    roll_all(store, OVER)
    assert rows(store, dirty_period, dirty_period.c.start < MIDNIGHT) == []
    assert rolled(store, HOUR)["total"].complete == 1


def test_a_day_waits_for_its_hours(store):
    publish_one(store)
    probe_every(store, 10, latencies=[40])
    number = one(store, target).id
    with store.begin() as conn:
        conn.execute(dirty_period.update().values(ready_at=DAY_OVER + timedelta(hours=1)))
        mark = {"target_id": number, "resolution": DAY, "start": MIDNIGHT, "ready_at": DAY_OVER}
        conn.execute(dirty_period.insert().values(mark))

    roll_all(store, DAY_OVER)
    assert rows(store, rollup) == []
    roll_all(store, DAY_OVER + timedelta(hours=2))
    assert rolled(store, DAY)["total"].complete == 1


def test_a_step_ends_in_time_and_says_that_there_is_more(store, monkeypatch):
    for _ in range(3):
        publish_one(store)
    for claimed in claim_due(store):
        with store.begin() as conn:
            record(conn, [make_finished(claimed)], at(61))
    monkeypatch.setattr(rollups, "STEP", 0.0)

    answers = [roll_up(store, OVER) for _ in range(4)]

    assert answers == [True, True, False, False]
    assert len(rows(store, rollup, rollup.c.phase == "total", rollup.c.resolution == HOUR)) == 3


def test_two_processes_share_the_work(postgresql_store):
    for _ in range(2):
        publish_one(postgresql_store)
    for claimed in claim_due(postgresql_store):
        with postgresql_store.begin() as conn:
            record(conn, [make_finished(claimed)], at(61))
    with postgresql_store.begin() as other:
        first = sa.select(dirty_period).order_by(dirty_period.c.target_id).limit(1).with_for_update()
        locked = other.execute(first).one()
        roll_all(postgresql_store, OVER)

    with reading(postgresql_store) as conn:
        done = conn.execute(sa.select(rollup.c.target_id).distinct()).scalars().all()
    assert len(done) == 1
    assert locked.target_id not in done


def test_an_hour_without_results_leaves_no_row(store):
    publish_one(store)
    number = one(store, target).id
    with store.begin() as conn:
        mark = {"target_id": number, "resolution": HOUR, "start": BEGUN, "ready_at": NOON}
        conn.execute(dirty_period.insert().values(mark))

    roll_all(store, DAY_OVER)

    assert (rows(store, rollup), rows(store, dirty_period)) == ([], [])


@pytest.mark.parametrize(
    "spoiled", [{"latency_ns": -5}, {"latency_ns": 2**63 - 1}, {"connect_ns": -5}, {"outcome": "sad"}]
)
def test_a_result_that_was_spoiled_by_hand_is_left_out_and_named_once(store, caplog, spoiled):
    publish_one(store)
    probe_every(store, 10, latencies=[40, 80, 90, 120])
    with store.begin() as conn:
        conn.execute(result.update().where(result.c.latency_ns.in_([80 * MS, 90 * MS])).values(**spoiled))

    roll_all(store, at(200))
    roll_all(store, OVER)
    roll_all(store, DAY_OVER)

    total = rolled(store, HOUR)["total"]
    assert (total.complete, Histogram.from_bytes(total.histogram)) == (2, histogram_of(40, 120))
    assert rolled(store, DAY)["total"].complete == 2
    assert rows(store, dirty_period) == []  # which retention would wait for
    (said,) = (record.getMessage() for record in caplog.records if record.levelname == "ERROR")
    assert "left out 2 results that can't be counted" in said


def test_figures_of_an_hour_that_were_spoiled_by_hand_are_left_out_of_their_day(store, caplog):
    publish_one(store)
    probe_every(store, 10, latencies=[40])
    probe_every(store, 10, latencies=[80], first=3700)
    roll_all(store, OVER + timedelta(hours=1))
    with store.begin() as conn:
        conn.execute(rollup.update().where(rollup.c.start == BEGUN, rollup.c.phase == "total").values(histogram=b"?"))

    roll_all(store, DAY_OVER)

    assert Histogram.from_bytes(rolled(store, DAY)["total"].histogram) == histogram_of(80)
    assert rows(store, dirty_period) == []
    assert "left out 1 figures of hours" in caplog.text
