"""A lane is a thread that a person can find."""

from __future__ import annotations

import asyncio
import threading
import time
from pathlib import Path

from checks.lane import Lane
from checks.process import Watchdog


def test_a_lane_has_its_name_in_the_list_of_threads() -> None:
    lane = Lane("house-keeping", Watchdog())
    number = asyncio.run(lane.call(threading.get_native_id))
    assert Path(f"/proc/self/task/{number}/comm").read_text().strip() == "house-keeping"
    lane.close()


def test_a_call_that_runs_when_its_lane_is_closed_has_a_moment_to_end() -> None:
    ended = threading.Event()

    def call() -> None:
        time.sleep(0.05)
        ended.set()

    async def work() -> None:
        lane = Lane("house-keeping", Watchdog())
        running = asyncio.create_task(lane.call(call))
        await asyncio.sleep(0.01)
        lane.close()
        assert ended.is_set()
        await running

    asyncio.run(work())


def test_a_call_that_hangs_does_not_keep_its_lane_from_being_closed() -> None:
    released = threading.Event()

    async def work() -> None:
        lane = Lane("house-keeping", Watchdog())
        running = asyncio.create_task(lane.call(released.wait, 60))
        await asyncio.sleep(0.01)
        lane.close()
        assert not running.done()
        released.set()
        await running

    asyncio.run(work())
