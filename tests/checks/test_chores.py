from __future__ import annotations

import asyncio
import threading
import time
from datetime import timedelta

import pytest
import sqlalchemy as sa

from checks import clock
from checks.chores import Chores
from checks.housekeeping import clear_stale_troubles, pull_back
from checks.lag import LagMeter
from checks.lane import Lane
from checks.process import Watchdog
from checks.schedule import next_slot
from checks.store.schema import target, trouble
from checks.store.states import CHUNK
from checks.store.troubles import report_trouble
from tests.checks.workers import monitor_of, publish, targets
from tests.factories import NOON, at


def test_a_chore_begins_at_once_and_comes_again() -> None:
    times: list[float] = []

    async def main() -> None:
        async def work() -> None:
            times.append(time.monotonic())

        chores = Chores()
        chores.every(0.2, "work", work)
        begun = time.monotonic()
        chores.start()
        await asyncio.sleep(1.1)
        await chores.stop(1)
        assert times[0] - begun < 0.15
        done = len(times)
        await asyncio.sleep(0.4)
        assert len(times) == done >= 3

    asyncio.run(main())


def test_a_chore_never_runs_twice_at_once_and_may_end_when_stopped() -> None:
    running, most, ended = [0], [0], [0]

    async def main() -> None:
        async def work() -> None:
            running[0] += 1
            most[0] = max(most[0], running[0])
            await asyncio.sleep(0.3)
            running[0] -= 1
            ended[0] += 1

        chores = Chores()
        chores.every(0.05, "work", work)
        chores.start()
        await asyncio.sleep(0.35)
        await chores.stop(1)

    asyncio.run(main())
    assert (most[0], running[0]) == (1, 0)
    assert ended[0] in (1, 2), "one, or two where this machine is quick"


def test_a_chore_that_fails_is_said_once_and_tried_again(caplog: pytest.LogCaptureFixture) -> None:
    caplog.set_level("INFO")
    attempts: list[int] = []

    async def main() -> None:
        async def work() -> None:
            attempts.append(1)
            if len(attempts) < 4:
                raise RuntimeError("not yet")

        chores = Chores()
        chores.every(0.05, "work", work)
        chores.start()
        await asyncio.sleep(0.5)
        await chores.stop(1)

    asyncio.run(main())
    assert len(attempts) > 4
    assert caplog.text.count("work failed and will be tried again") == 1
    assert caplog.text.count("work works again") == 1


def test_a_clock_that_was_set_starts_every_chore_anew() -> None:
    done: list[int] = []

    async def main() -> None:
        async def work() -> None:
            done.append(1)

        chores = Chores()
        chores.every(3600, "work", work)
        chores.start()
        await asyncio.sleep(0.05)
        chores.realign()
        await asyncio.sleep(0.05)
        await chores.stop(1)

    asyncio.run(main())
    assert len(done) == 2


def test_calls_of_a_lane_run_one_after_another_on_its_thread() -> None:
    order: list[tuple[int, str]] = []

    def work(number: int) -> int:
        time.sleep(0.01)
        order.append((number, threading.current_thread().name))
        return number * 2

    async def main() -> list[int]:
        lane = Lane("hot", Watchdog())
        answers = await asyncio.gather(*(lane.call(work, number) for number in range(5)))
        with pytest.raises(ZeroDivisionError):
            await lane.call(lambda: 1 // 0)
        lane.close()
        return answers

    assert asyncio.run(main()) == [0, 2, 4, 6, 8]
    assert order == [(number, "hot") for number in range(5)]


def test_a_call_that_nobody_waits_for_any_more_still_ends() -> None:
    ended = threading.Event()

    async def main() -> None:
        lane = Lane("hot", Watchdog())
        with pytest.raises(TimeoutError):
            async with asyncio.timeout(0.02):
                await lane.call(lambda: (time.sleep(0.1), ended.set()))
        lane.close()

    asyncio.run(main())
    assert ended.wait(2)


def test_a_lane_is_watched_while_it_is_busy() -> None:
    ended = threading.Event()
    dog = Watchdog(0.3, end=lambda _: ended.set())
    dog.start()

    async def main() -> None:
        lane = Lane("hot", dog)
        await lane.call(time.sleep, 0.6)
        lane.close()

    asyncio.run(main())
    dog.stop()
    assert ended.is_set()


def test_the_lag_of_the_loop_is_known_to_what_runs_at_that_time() -> None:
    async def main() -> None:
        meter = LagMeter()
        ticking = asyncio.create_task(meter.run())
        loop = asyncio.get_running_loop()
        begun = loop.time()
        await asyncio.sleep(0.1)
        time.sleep(0.4)  # noqa: ASYNC251 - this is what it measures
        assert meter.since(begun) > 0.25, "known before the meter itself could tick"
        await asyncio.sleep(0.1)
        assert meter.since(begun) > 0.25
        assert meter.since(loop.time()) < 0.2, "what began later is not concerned"
        ticking.cancel()

    asyncio.run(main())


def test_due_times_and_leases_beyond_reason_are_brought_back(store: sa.Engine) -> None:
    publish(store, monitor_of(interval="60s"), monitor_of(interval="60s"), now=NOON)
    hour = timedelta(hours=1)
    first, second = targets(store)
    with store.begin() as conn:
        far = target.update().where(target.c.id == first.id)
        conn.execute(far.values(next_due_at=NOON + hour, leased_until=NOON + 2 * hour))
    assert not pull_back(store, NOON, "elsewhere", timedelta(seconds=30))
    assert targets(store)[0].next_due_at == NOON + hour
    assert not pull_back(store, NOON, "local", timedelta(seconds=30))
    back, same = targets(store)
    assert (back.next_due_at, back.leased_until) == (next_slot(NOON, 60, back.monitor), at(30))
    assert (same.next_due_at, same.leased_until) == (second.next_due_at, None)


def test_due_times_that_are_brought_back_are_spread_over_their_grid(store: sa.Engine) -> None:
    publish(store, *[monitor_of(interval="60s") for _ in range(30)], now=NOON)
    before = [row.next_due_at for row in targets(store)]
    with store.begin() as conn:
        conn.execute(target.update().values(next_due_at=NOON + timedelta(hours=1)))
    assert not pull_back(store, NOON, "local", timedelta(seconds=30))
    assert [row.next_due_at for row in targets(store)] == before
    assert len(set(before)) == 30


def test_many_due_times_are_brought_back_in_several_steps(sqlite_store: sa.Engine) -> None:
    publish(sqlite_store, *[monitor_of(interval="60s") for _ in range(CHUNK + 1)], now=NOON)
    with sqlite_store.begin() as conn:
        conn.execute(target.update().values(next_due_at=NOON + timedelta(hours=1)))
    assert pull_back(sqlite_store, NOON, "local", timedelta(seconds=30))
    assert not pull_back(sqlite_store, NOON, "local", timedelta(seconds=30))
    assert max(row.next_due_at for row in targets(sqlite_store)) <= at(60)


def test_a_lease_longer_than_any_is_brought_back_and_the_longest_is_not(store: sa.Engine) -> None:
    publish(store, monitor_of(interval="60s"), monitor_of(interval="60s"), now=NOON)
    first, second = targets(store)
    with store.begin() as conn:
        for row, minutes in ((first, 12), (second, 10)):
            leased = target.update().where(target.c.id == row.id)
            conn.execute(leased.values(leased_until=at(60 * minutes), leased_by="w"))
    assert not pull_back(store, NOON, "local", timedelta(seconds=30))
    assert [row.leased_until for row in targets(store)] == [at(30), at(600)]


def test_a_trouble_that_no_worker_sees_any_more_is_cleared(sqlite_store: sa.Engine) -> None:
    now = clock.utcnow()
    with sqlite_store.begin() as conn:
        for what, age in (("no_resolver:local", 61), ("bug:oslo", 30), ("no_write:local", 90), ("silent:riga", 900)):
            report_trouble(conn, what, "trouble", now - timedelta(seconds=age))
    clear_stale_troubles(sqlite_store, now)
    with sqlite_store.begin() as conn:
        assert set(conn.execute(sa.select(trouble.c.what)).scalars()) == {"bug:oslo", "silent:riga"}
