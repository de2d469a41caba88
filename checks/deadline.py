"""A deadline over a block of a coroutine."""

from __future__ import annotations

import asyncio
from collections import deque
from types import TracebackType


class Deadline:
    """Cancels the task that is inside the block when its time is up; the block then raises TimeoutError.

    `asyncio.timeout` by its own rules, so that a cancellation from elsewhere passes through. Blocks that may take equally
    long share a timer of the loop, since nearly all of them end long before: it costs a quarter.
    """

    __slots__ = ("_cancelling", "_over", "_seconds", "_task", "ends_at")

    def __init__(self, seconds: float) -> None:
        self._seconds = seconds
        self._over = False

    def __enter__(self) -> None:
        loop = asyncio.get_running_loop()
        self._task = task = asyncio.current_task(loop)
        assert task is not None  # noqa: S101 - only tasks can be cancelled
        self._cancelling = task.cancelling()
        self.ends_at = loop.time() + self._seconds
        _row(loop, self._seconds).add(self)

    def __exit__(
        self, kind: type[BaseException] | None, problem: BaseException | None, traceback: TracebackType | None
    ) -> None:
        task, self._task = self._task, None
        # Whoever cancelled the task before or beside us is still waiting for it to end.
        if self._over and task is not None and task.uncancel() <= self._cancelling and kind is asyncio.CancelledError:
            raise TimeoutError from problem

    @property
    def is_passed(self) -> bool:
        """Whether the block has ended, or was told to."""
        return self._task is None or self._over

    def end(self) -> None:
        """Its time is up."""
        if self._task is not None:
            self._over = True
            self._task.cancel()


class _Row:
    """The deadlines of one loop that were given equally long: the first one ends first."""

    def __init__(self, loop: asyncio.AbstractEventLoop) -> None:
        self._loop = loop
        self._deadlines: deque[Deadline] = deque()
        self._timer: asyncio.TimerHandle | None = None

    def add(self, deadline: Deadline) -> None:
        self._deadlines.append(deadline)
        if self._timer is None:
            self._timer = self._loop.call_at(deadline.ends_at, self._look)

    def _look(self) -> None:
        deadlines, now = self._deadlines, self._loop.time()
        while deadlines and (deadlines[0].is_passed or deadlines[0].ends_at <= now):
            deadlines.popleft().end()
        self._timer = self._loop.call_at(deadlines[0].ends_at, self._look) if deadlines else None


_rows: tuple[asyncio.AbstractEventLoop | None, dict[float, _Row]] = (None, {})


def _row(loop: asyncio.AbstractEventLoop, seconds: float) -> _Row:
    """The row of a loop: of the one that runs now, which is the only one in all but tests."""
    global _rows  # noqa: PLW0603 - what belongs to a loop has nowhere else to be
    if _rows[0] is not loop:
        _rows = loop, {}
    row = _rows[1].get(seconds)
    if row is None:
        row = _rows[1][seconds] = _Row(loop)
    return row
