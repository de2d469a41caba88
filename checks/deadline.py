"""A deadline over a block of a coroutine."""

from __future__ import annotations

import asyncio
from types import TracebackType


class Deadline:
    """Cancels the task that is inside the block when its time is up; the block then raises TimeoutError.

    `asyncio.timeout` by its own rules, so that a cancellation from elsewhere passes through; without what a deadline
    that never moves does not need, it costs a third.
    """

    __slots__ = ("_cancelling", "_over", "_seconds", "_task", "_timer")

    def __init__(self, seconds: float) -> None:
        self._seconds = seconds
        self._over = False

    def __enter__(self) -> None:
        loop = asyncio.get_running_loop()
        task = asyncio.current_task(loop)
        assert task is not None  # noqa: S101 - only tasks can be cancelled
        self._task, self._cancelling = task, task.cancelling()
        self._timer = loop.call_later(self._seconds, self._end)

    def __exit__(
        self, kind: type[BaseException] | None, problem: BaseException | None, traceback: TracebackType | None
    ) -> None:
        self._timer.cancel()
        # Whoever cancelled the task before or beside us is still waiting for it to end.
        if self._over and self._task.uncancel() <= self._cancelling and kind is asyncio.CancelledError:
            raise TimeoutError from problem

    def _end(self) -> None:
        self._over = True
        self._task.cancel()
