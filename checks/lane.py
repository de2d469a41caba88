"""A thread of our own on which calls into the store run one after another, watched by the watchdog."""

from __future__ import annotations

import asyncio
import queue
import threading
from collections.abc import Callable
from contextlib import suppress
from pathlib import Path
from typing import Any, TypeVar

from checks.process import Watchdog

T = TypeVar("T")

LAST_MOMENT = 0.25  # seconds


class Lane:
    """One thread. It dies with the process: a database that never answers must not keep a stopping process alive."""

    def __init__(self, name: str, watchdog: Watchdog) -> None:
        self._name = name
        self._watchdog = watchdog
        self._calls: queue.SimpleQueue[Callable[[], None] | None] = queue.SimpleQueue()
        self._thread = threading.Thread(target=self._run, name=name, daemon=True)
        self._thread.start()

    async def call(self, function: Callable[..., T], *args: Any) -> T:
        """What `function(*args)` returns or raises, run after the calls before it. Cancelling does not interrupt it."""
        loop = asyncio.get_running_loop()
        answer: asyncio.Future[T] = loop.create_future()

        def settle(value: T | None, problem: BaseException | None) -> None:
            if answer.done():
                return
            if problem is not None:
                answer.set_exception(problem)
            else:
                answer.set_result(value)  # type: ignore[arg-type]  # None only where T is

        def run() -> None:
            value, problem = None, None
            try:
                with self._watchdog.busy(self._name):
                    value = function(*args)
            except BaseException as exc:  # noqa: BLE001 - it belongs to whoever called
                problem = exc
            with suppress(RuntimeError):  # the loop is closed: nobody waits for the answer
                loop.call_soon_threadsafe(settle, value, problem)

        self._calls.put(run)
        return await answer

    def close(self) -> None:
        """Accept no more calls; those that wait still run as long as the process lives, which is at least a moment.

        In it a call that runs gives its connection back, before the engine of that is disposed of.
        """
        self._calls.put(None)
        self._thread.join(LAST_MOMENT)

    def _run(self) -> None:
        with suppress(OSError):  # elsewhere than on Linux; `top -H` and our benchmarks show it
            Path(f"/proc/self/task/{threading.get_native_id()}/comm").write_text(self._name[:15], encoding="ascii")
        while (call := self._calls.get()) is not None:
            call()
