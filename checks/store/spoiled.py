"""Rows that none of us could have written, since somebody wrote into the store by hand: left out, counted, never a wall.

Whoever adds rows up adds them all at once, which is fast, and looks at each one only where that fails.
"""

from __future__ import annotations

import struct
from collections.abc import Callable, Sequence
from typing import Any, TypeVar

from checks.histogram import Histogram
from checks.result import Outcome

SPOILED = (ValueError, TypeError, KeyError, struct.error)  # what counting a row raises that is none of ours
LONGEST = 86_400_000_000_000  # nanoseconds: a day, longer than any probe may take

_OUTCOMES = frozenset(outcome.value for outcome in Outcome)

T = TypeVar("T")


def carefully(count: Callable[[bool], T]) -> T:
    """What `count(False)` returns; where a row was spoiled, what `count(True)` does, which must look at each of them."""
    try:
        return count(False)
    except SPOILED:
        return count(True)


def is_sound(outcome: object, times: Sequence[Any]) -> bool:
    """Whether one of us could have written a result with this outcome, and this latency and its phases."""
    return outcome in _OUTCOMES and all(ns is None or (isinstance(ns, int) and 0 <= ns <= LONGEST) for ns in times)


def is_readable(histogram: bytes, counts: Sequence[Any] = ()) -> bool:
    """Whether one of us could have written a roll-up with this histogram and these counts."""
    try:
        found = Histogram.from_bytes(histogram)
    except SPOILED:
        return False
    within = found.max_ns is None or found.max_ns <= LONGEST
    return within and all(isinstance(number, int) and number >= 0 for number in counts)
