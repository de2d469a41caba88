"""What every process of ours needs: a name, a parent to die with, a watchdog, and its exit statuses."""

from __future__ import annotations

import ctypes
import gc
import logging
import multiprocessing
import os
import secrets
import signal
import socket
import sys
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager

from checks import clock

logger = logging.getLogger(__name__)

STUCK = 70  # the watchdog ended a process that no longer moved (EX_SOFTWARE)
WRONG_CONFIGURATION = 78  # configuration, environment or schema: starting again would not help (EX_CONFIG)

WATCHDOG_LIMIT = 60.0  # seconds
_PR_SET_PDEATHSIG = 1  # linux/prctl.h


def process_name(role: str) -> str:
    """A name that no other process has: role, host, process number and, since those come again, chance."""
    return f"{role}@{socket.gethostname()[:60]}:{os.getpid()}:{secrets.token_hex(3)}"


@contextmanager
def loading() -> Iterator[None]:
    """While modules are loaded nearly nothing becomes garbage, and the collector would look through all of it for it."""
    gc.disable()
    try:
        yield
    finally:
        gc.freeze()
        gc.enable()


def leave_loaded_alone() -> None:
    """Have the collector never look again at what is loaded by now. It stays, and a look at it all stops every thread."""
    gc.collect()
    gc.freeze()


def die_with_parent(expected: int | None = None) -> None:
    """See to it that this process is killed when its parent ends, however that ends; a free process stays free.

    `expected` is the parent's process number; by default multiprocessing's parent, else what the parent put into
    STILLUP_PARENT_PID, else nobody's and nothing happens. On Linux the kernel sends SIGKILL when the *thread* that
    started us ends, so a parent starts its children from its main thread. Anywhere, STILLUP_PARENT_PIPE may name an
    inherited descriptor: the read end of a pipe whose other end only the parent holds.

    Killed and not asked: what the parent left behind must not hold the port while its successor starts.
    """
    # Neither is for our own children, whose parent is this process.
    told, pipe = os.environ.pop("STILLUP_PARENT_PID", None), os.environ.pop("STILLUP_PARENT_PIPE", None)
    if pipe is not None:
        threading.Thread(target=_die_at_end_of, args=(int(pipe),), name="parent-watch", daemon=True).start()
    parent = multiprocessing.parent_process()
    if expected is None:
        expected = parent.pid if parent is not None else int(told) if told else None
    if expected is None:
        return
    if sys.platform == "linux":
        ctypes.CDLL(None, use_errno=True).prctl(_PR_SET_PDEATHSIG, signal.SIGKILL, 0, 0, 0)
    if os.getppid() != expected:  # it ended before the kernel was asked
        os.kill(os.getpid(), signal.SIGKILL)


def _die_at_end_of(pipe: int) -> None:
    while os.read(pipe, 4096):
        pass
    os.kill(os.getpid(), signal.SIGKILL)


class Watchdog:
    """Ends the process when something that must keep moving has not moved for `limit` seconds.

    A loop says `beat("loop")`; a call into a database runs inside `with busy("hot"):`. libpq has no read time-out, so
    a database that accepts and never answers would otherwise hold a process for ever.
    """

    def __init__(self, limit: float = WATCHDOG_LIMIT, end: Callable[[int], object] = os._exit) -> None:
        self._limit = limit
        self._end = end
        self._period = min(1.0, limit / 5)
        self._last: dict[str, float] = {}
        self._lock = threading.Lock()
        self._stopping = threading.Event()
        self._thread = threading.Thread(target=self._watch, name="watchdog", daemon=True)

    def start(self) -> None:
        """Begin to watch."""
        self._thread.start()

    def stop(self) -> None:
        """Watch no longer."""
        self._stopping.set()
        if self._thread.is_alive():
            self._thread.join()

    def beat(self, name: str) -> None:
        """`name` moved just now, and is expected to again."""
        with self._lock:
            self._last[name] = clock.monotonic()

    def rest(self, name: str) -> None:
        """`name` has nothing to do, and is not watched until its next beat."""
        with self._lock:
            self._last.pop(name, None)

    @contextmanager
    def busy(self, name: str) -> Iterator[None]:
        """Watches `name` while the block runs."""
        self.beat(name)
        try:
            yield
        finally:
            self.rest(name)

    def oldest(self) -> tuple[str, float] | None:
        """The source that moved longest ago and for how many seconds it has not; None where nothing is watched."""
        with self._lock:
            if not self._last:
                return None
            name = min(self._last, key=self._last.__getitem__)
            return name, clock.monotonic() - self._last[name]

    def _watch(self) -> None:
        woken = clock.monotonic()
        while not self._stopping.wait(self._period):
            late, woken = clock.monotonic() - woken - self._period, clock.monotonic()
            if late > self._limit / 4:
                # Nothing of ours ran, not even this thread: the process was stopped or the machine slept.
                self._forgive()
                continue
            oldest = self.oldest()
            if oldest is not None and oldest[1] > self._limit:
                logger.critical(
                    "%s has not moved for %.0f s: ending this process, so that another takes over",
                    *oldest,
                    extra={"action": "watchdog", "source": oldest[0]},
                )
                self._end(STUCK)

    def _forgive(self) -> None:
        now = clock.monotonic()
        with self._lock:
            self._last = dict.fromkeys(self._last, now)
