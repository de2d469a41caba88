"""Starts what waits for its instant, in few wakes of the loop: one costs about as much CPU as a probe."""

from __future__ import annotations

import asyncio
import heapq
import itertools
import math
from collections.abc import Callable
from typing import Generic, TypeVar

from checks import clock

TOGETHER = 0.010  # seconds between two wakes: so late, at most, is something started where much is due
FEWEST = 5  # things that start in one wake, where that many are due
_ROUNDED = 0.0005  # seconds: uvloop rounds to milliseconds, and nothing is to start early

T = TypeVar("T")


class Starts(Generic[T]):
    """Calls `start` with each thing once its instant, by `clock.monotonic`, has come; in the order of the instants."""

    def __init__(self, start: Callable[[T], None]) -> None:
        self.at_once = FEWEST  # things in one wake, at most
        self._start = start
        self._waiting: list[tuple[float, int, T]] = []
        self._numbers = itertools.count()  # what is due at one instant starts in the order in which it came
        self._woken = float("-inf")
        self._timer: asyncio.TimerHandle | None = None
        self._timer_at = float("inf")

    def keep_to(self, pace: float) -> None:
        """Start no more than about so many a second, be they ever so late: what starts together is timed together."""
        self.at_once = max(FEWEST, math.ceil(pace * TOGETHER))

    def add(self, at: float, thing: T) -> None:
        """Have a thing started at an instant; at once where that has passed."""
        heapq.heappush(self._waiting, (at, next(self._numbers), thing))
        self._set_timer()

    def clear(self) -> None:
        """Start nothing any more."""
        self._waiting.clear()

    def _set_timer(self) -> None:
        """Wake when the first thing is due, yet not too soon after the last time."""
        at = max(self._waiting[0][0], self._woken + TOGETHER)
        if at >= self._timer_at:
            return
        if self._timer is not None:
            self._timer.cancel()
        self._timer_at = at
        self._timer = asyncio.get_running_loop().call_at(at + _ROUNDED, self._wake)

    def _wake(self) -> None:
        self._timer, self._timer_at = None, float("inf")
        self._woken = now = clock.monotonic()
        for _ in range(self.at_once):
            if not self._waiting or self._waiting[0][0] > now:
                break
            self._start(heapq.heappop(self._waiting)[2])
        if self._waiting:
            self._set_timer()
