"""Has the configuration file applied again when it changed. For `up`, which calls `poll` a few times a second.

Loads no Django: what applies the file is another process.
"""

from __future__ import annotations

import os
from collections.abc import Callable
from pathlib import Path
from typing import Protocol

from checks import clock
from checks.process import WRONG_CONFIGURATION

SETTLED = 1.0  # seconds for which a file must have been left alone: an editor writes in several steps

_Stamp = tuple[int, int, int]


class Applying(Protocol):
    """An attempt to apply the file, as a `subprocess.Popen` is one."""

    def poll(self) -> int | None:
        """Its exit status; None while it goes on."""

    def kill(self) -> None:
        """End it; its transaction is then rolled back."""

    def wait(self) -> int:
        """Its exit status, once it has ended."""


class ConfigWatch:
    """A watched file. What is there when the watch begins counts as known; `apply` begins an attempt to apply it."""

    def __init__(self, path: Path, apply: Callable[[Path], Applying]) -> None:
        self._path = path
        self._apply = apply
        self._known = self._seen = self._stamp()
        self._seen_at = clock.monotonic()
        self._applying: tuple[Applying, _Stamp] | None = None

    def _stamp(self) -> _Stamp | None:
        """What changes when the file does; None while it is not there, as in the middle of some editors' saving."""
        try:
            found = os.stat(self._path)  # noqa: PTH116 - the same either way, and shorter
        except OSError:
            return None
        return found.st_mtime_ns, found.st_size, found.st_ino

    def poll(self) -> bool:
        """Whether the file was applied now. Of one that is refused nothing more is heard until it changes again."""
        if self._applying is not None:
            return self._follow(*self._applying)
        stamp, now = self._stamp(), clock.monotonic()
        if stamp != self._seen:
            self._seen, self._seen_at = stamp, now
        if stamp is None or stamp == self._known or now - self._seen_at < SETTLED:
            return False
        self._applying = (self._apply(self._path), stamp)
        return self._follow(*self._applying)

    def stop(self) -> None:
        """End what is being applied: whoever starts next applies the file anyway."""
        if self._applying is not None:
            applying, _ = self._applying
            applying.kill()
            applying.wait()

    def _follow(self, applying: Applying, stamp: _Stamp) -> bool:
        status = applying.poll()
        if status is None:
            return False
        self._applying = None
        if status in (0, WRONG_CONFIGURATION):
            self._known = stamp
        else:
            # Not the file's fault: it is tried again.
            self._seen_at = clock.monotonic()
        return status == 0
