"""Two locations see the same failure at the same instant: exactly one transition, every time."""

import random
import threading
from datetime import timedelta
from functools import partial

import pytest

from checks.result import Outcome
from checks.status import Policy
from checks.store.engine import open_engine
from checks.store.publishing import publish
from checks.store.writer import record
from tests.checks.store.acts import claim_due, history
from tests.factories import NOON, at, make_finished, make_published

TIMES = 200
BOTH = Policy(failures=1, successes=1, interval=10.0, quorum=2)


def run_together(works):
    """Run each in a thread of its own, beginning at the same instant; re-raises what one of them raised."""
    start, problems = threading.Barrier(len(works)), []

    def run(work):
        try:
            start.wait()
            work()
        except Exception as problem:  # noqa: BLE001 - it is raised below, in the test's own thread
            problems.append(problem)

    threads = [threading.Thread(target=run, args=(work,)) for work in works]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    if problems:
        raise problems[0]


@pytest.mark.long_on("sqlite")
def test_two_workers_that_see_a_failure_at_once_write_one_transition(store, store_url):
    monitor = make_published(places=("a", "b"), policy=BOTH)
    with store.begin() as conn:
        publish(conn, [monitor], NOON)
    engines = {place: open_engine(store_url) for place in ("a", "b")}

    def see(claimed, outcome, now):
        with engines[claimed.location].begin() as conn:
            record(conn, [make_finished(claimed, outcome, policy=BOTH, started_at=now)], now)

    for number in range(TIMES):
        now = at(60 + 10 * number)
        outcome = Outcome.UP if number % 2 == 0 else Outcome.DOWN
        claims = [claim for place, engine in engines.items() for claim in claim_due(engine, now, location=place)]
        assert len(claims) == 2
        run_together([partial(see, claim, outcome, now) for claim in claims])
        # A quorum of both makes it down; the first of both that is well again makes it up.
        assert len(history(store, monitor)) == number + 1

    for engine in engines.values():
        engine.dispose()
    assert [entry[0] for entry in history(store, monitor)] == list(range(1, TIMES + 1))
    assert [entry[2] for entry in history(store, monitor)] == ["up", "down"] * (TIMES // 2)


@pytest.mark.parametrize("seed", range(3))
def test_batches_that_share_monitors_never_wait_in_a_circle(postgresql_store, postgresql_url, seed):
    """Three locations record the same forty monitors in orders of their own, all of which change."""
    places = ("a", "b", "c")
    policy = Policy(failures=1, successes=1, interval=10.0, quorum=2)
    monitors = [make_published(places=places, policy=policy) for _ in range(40)]
    with postgresql_store.begin() as conn:
        publish(conn, monitors, NOON)
    engines = {place: open_engine(postgresql_url) for place in places}
    chance = random.Random(seed)

    for number in range(6):
        now = at(60 + 10 * number)
        outcome = Outcome.DOWN if number % 2 else Outcome.UP
        batches = []
        for place, engine in engines.items():
            claims = claim_due(engine, now, location=place)
            chance.shuffle(claims)
            batches.append((engine, [make_finished(c, outcome, policy=policy, started_at=now) for c in claims]))

        def write(engine, batch, now=now):
            with engine.begin() as conn:
                assert record(conn, batch, now + timedelta(seconds=1)).refused == 0

        run_together([partial(write, engine, batch) for engine, batch in batches])

    for engine in engines.values():
        engine.dispose()
    for monitor in monitors:
        assert [entry[2] for entry in history(postgresql_store, monitor)] == ["up", "down"] * 3


def test_publishing_and_recording_at_once_lose_no_transition(postgresql_store, postgresql_url):
    """A pause and the result of the probe that runs: whichever comes first, the monitor is paused afterwards."""
    other = open_engine(postgresql_url)
    for number in range(40):
        monitor = make_published()
        with postgresql_store.begin() as conn:
            publish(conn, [monitor], NOON)
        [claimed] = [claim for claim in claim_due(postgresql_store) if claim.monitor == monitor.uuid]
        paused = make_published(uuid=monitor.uuid, revision=2, paused=True)

        def pause(paused=paused):
            with other.begin() as conn:
                assert publish(conn, [paused], at(61)) == 1

        def see(claimed=claimed):
            with postgresql_store.begin() as conn:
                record(conn, [make_finished(claimed, Outcome.DOWN)], at(61))

        run_together([pause, see] if number % 2 else [see, pause])
        assert [entry[2] for entry in history(postgresql_store, monitor)] in (["paused"], ["down", "paused"])
    other.dispose()
