"""Recurring work of a process: APScheduler says when, the process owns the tasks."""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Awaitable, Callable
from datetime import UTC

from apscheduler.schedulers.asyncio import AsyncIOScheduler

from checks import clock

logger = logging.getLogger(__name__)

_REPEAT_AFTER = 60.0  # seconds until the same failure is logged again

Work = Callable[[], Awaitable[object]]


class Chores:
    """Starts each piece of work at its interval, never twice at once, and waits for what runs when it is stopped.

    The jobs of the scheduler only start tasks: its own shutdown would cancel them in the middle. None is skipped for
    being late.
    """

    def __init__(self) -> None:
        self._scheduler = AsyncIOScheduler(
            timezone=UTC,
            job_defaults={"coalesce": True, "max_instances": 1, "misfire_grace_time": None},
        )
        self._work: dict[str, tuple[float, Work]] = {}
        self._running: dict[str, asyncio.Task[None]] = {}
        self._failing: dict[str, float] = {}

    def every(self, seconds: float, name: str, work: Work) -> None:
        """Do `work` every so many seconds, the first time at once."""
        self._work[name] = (seconds, work)
        self._scheduler.add_job(self._begin, "interval", (name,), id=name, seconds=seconds)

    def start(self) -> None:
        """Begin. Needs a running loop."""
        self._scheduler.start()
        for name in self._work:
            self._start(name)

    def realign(self) -> None:
        """Do everything now and begin all intervals anew: the scheduler goes by the wall clock, and that was set."""
        for name, (seconds, _) in self._work.items():
            self._scheduler.reschedule_job(name, trigger="interval", seconds=seconds)
            self._start(name)

    async def stop(self, within: float) -> None:
        """Begin nothing more; what runs has `within` seconds to end and is cancelled then."""
        self._scheduler.shutdown(wait=False)
        running = list(self._running.values())
        if not running:
            return
        _, late = await asyncio.wait(running, timeout=within)
        for task in late:
            task.cancel()
        await asyncio.gather(*late, return_exceptions=True)

    async def _begin(self, name: str) -> None:  # a coroutine: a plain function would run in a thread of the scheduler's
        self._start(name)

    def _start(self, name: str) -> None:
        if name in self._running:
            return
        task = asyncio.create_task(self._do(name, self._work[name][1]), name=f"chore-{name}")
        self._running[name] = task
        task.add_done_callback(lambda _: self._running.pop(name, None))

    async def _do(self, name: str, work: Work) -> None:
        try:
            await work()
        except Exception:
            # One chore that fails must not end the others: it is tried again at its next time.
            now = clock.monotonic()
            if now - self._failing.get(name, -_REPEAT_AFTER) >= _REPEAT_AFTER:
                self._failing[name] = now
                logger.exception(
                    "%s failed and will be tried again", name, extra={"action": "chore_failed", "chore": name}
                )
        else:
            if self._failing.pop(name, None) is not None:
                logger.info("%s works again", name, extra={"action": "chore_works", "chore": name})
