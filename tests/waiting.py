"""Waiting for what other processes do."""

from __future__ import annotations

import time
from collections.abc import Callable
from typing import TypeVar

BUSY = 4.0  # times slower than a quiet machine, which is what the tests say, one may be that does much besides

T = TypeVar("T")


def wait_until(ask: Callable[[], T], *, within: float = 20.0, what: str = "the condition", every: float = 0.05) -> T:
    """The first true answer; AssertionError when there is none in a multiple of the seconds of a quiet machine."""
    deadline = time.monotonic() + within * BUSY
    while True:
        answer = ask()
        if answer:
            return answer
        if time.monotonic() > deadline:
            raise AssertionError(f"not within {within * BUSY:g} s: {what}; the last answer was {answer!r}")
        time.sleep(every)
