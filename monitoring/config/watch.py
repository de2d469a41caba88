"""Applies the configuration file again when it changed. For `up`, which calls `poll` about once a second."""

from __future__ import annotations

import logging
import os
from pathlib import Path

from django.db import DatabaseError, connections

from checks import clock
from monitoring.config.apply import Refused, apply_file

logger = logging.getLogger(__name__)

SETTLED = 1.0  # seconds for which a file must have been left alone: an editor writes in several steps

_Stamp = tuple[int, int, int]


class ConfigWatch:
    """A watched file. It was applied at the start; what is there now counts as known."""

    def __init__(self, path: Path) -> None:
        self._path = path
        self._known = self._seen = self._stamp()
        self._seen_at = clock.monotonic()

    def _stamp(self) -> _Stamp | None:
        """What changes when the file does; None while it is not there, as in the middle of some editors' saving."""
        try:
            found = os.stat(self._path)  # noqa: PTH116 - the same either way, and shorter
        except OSError:
            return None
        return found.st_mtime_ns, found.st_size, found.st_ino

    def poll(self) -> bool:
        """Whether the file was applied now. What can't be applied is logged, and the running configuration stays."""
        stamp, now = self._stamp(), clock.monotonic()
        if stamp != self._seen:
            self._seen, self._seen_at = stamp, now
        if stamp is None or stamp == self._known or now - self._seen_at < SETTLED:
            return False
        try:
            apply_file(self._path, cautious=True)
        except Refused as exc:
            self._known = stamp
            extra = {"action": "config_refused", "path": str(self._path)}
            logger.error("The changed configuration is refused, the running one stays:\n%s", exc, extra=extra)  # noqa: TRY400 - a mistake in a file needs no traceback
            return False
        except DatabaseError:
            # Not the file's fault: it is tried again at the next poll.
            logger.exception("The changed configuration could not be applied yet.", extra={"action": "config_waiting"})
            self._seen_at = now
            return False
        finally:
            connections.close_all()  # the parent of all processes keeps no connection of its own
        self._known = stamp
        return True
