"""By how much our own event loop is late: what makes a time-out ours instead of the target's."""

from __future__ import annotations

import asyncio
from collections import deque
from collections.abc import Callable

TICK = 0.05  # seconds
_REMEMBERED = 900.0  # seconds: longer than the longest timeout


class LagMeter:
    """Ticks on the loop and remembers by how much each tick was late."""

    def __init__(self, each_tick: Callable[[], object] = lambda: None) -> None:
        self._each_tick = each_tick
        self._expected: float | None = None
        self._late: deque[tuple[float, float]] = deque()  # (when, by how much), the lateness falling

    async def run(self) -> None:
        """Tick until cancelled."""
        loop = asyncio.get_running_loop()
        while True:
            self._expected = loop.time() + TICK
            await asyncio.sleep(TICK)
            self._note(loop.time(), loop.time() - self._expected)
            self._each_tick()

    def _note(self, now: float, late: float) -> None:
        if late < TICK / 10:
            return
        # What is smaller and older will never be the answer again.
        while self._late and self._late[-1][1] <= late:
            self._late.pop()
        self._late.append((now, late))
        while self._late[0][0] < now - _REMEMBERED:
            self._late.popleft()

    def since(self, start: float) -> float:
        """The most by which the loop was late, in seconds, at any tick since `start` (of the loop's clock)."""
        expected = self._expected
        now_late = 0.0 if expected is None else max(0.0, asyncio.get_running_loop().time() - expected)
        return max([now_late, *(late for at, late in self._late if at >= start)])
