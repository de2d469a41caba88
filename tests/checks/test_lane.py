"""A lane is a thread that a person can find."""

from __future__ import annotations

import asyncio
import threading
from pathlib import Path

from checks.lane import Lane
from checks.process import Watchdog


def test_a_lane_has_its_name_in_the_list_of_threads() -> None:
    lane = Lane("house-keeping", Watchdog())
    number = asyncio.run(lane.call(threading.get_native_id))
    assert Path(f"/proc/self/task/{number}/comm").read_text().strip() == "house-keeping"
    lane.close()
