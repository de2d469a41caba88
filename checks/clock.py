"""The only readers of time.

Stored instants are aware UTC from `utcnow()`; durations come from `monotonic()`. On PostgreSQL several machines write
to one store, so `utcnow()` adds the measured offset to the store's clock (`checks.store.engine.measure_offset`).
"""

from __future__ import annotations

import time
from datetime import UTC, datetime, timedelta

_EPOCH = datetime(1970, 1, 1, tzinfo=UTC)
_MICROSECOND = timedelta(microseconds=1)

_offset = timedelta(0)


def utcnow() -> datetime:
    """The present instant by the store's clock, aware, in UTC."""
    return datetime.now(UTC) + _offset


def monotonic() -> float:
    """Seconds that never run backwards; only differences mean anything."""
    return time.monotonic()


monotonic_ns = time.monotonic_ns
"""`monotonic` in whole nanoseconds, for phases and latencies."""


def wall_ns() -> int:
    """This machine's own clock in nanoseconds since 1970, whatever the store's says: the kernel stamps packets by it."""
    return time.time_ns()


def set_offset(seconds: float) -> None:
    """Make `utcnow()` read the store's clock, which is ahead of this machine's by `seconds`."""
    global _offset  # noqa: PLW0603 - one clock a process is the point
    _offset = timedelta(seconds=seconds)


def to_micros(instant: datetime) -> int:
    """Whole microseconds since 1970 of an aware instant; the form in which the store keeps it."""
    if instant.tzinfo is None:
        raise ValueError(f"a naive datetime is no instant: {instant!r}")
    return (instant - _EPOCH) // _MICROSECOND


def from_micros(micros: int) -> datetime:
    """The aware UTC instant that is `micros` microseconds after 1970 began."""
    return _EPOCH + timedelta(microseconds=micros)
