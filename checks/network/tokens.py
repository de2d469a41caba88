"""Tokens that were given to us, kept until they expire: one request for a token serves all probes that need it."""

from __future__ import annotations

import asyncio
from collections import OrderedDict
from collections.abc import Awaitable, Callable, Hashable
from dataclasses import dataclass, field

from checks import clock

MAX_KEPT = 10_000
MIN_AGE = (
    30.0  # seconds that a token is kept, even where a target refuses it: the one who gives it is not to be stormed
)


@dataclass(frozen=True, slots=True, kw_only=True)
class Token:
    """What proves who we are, for a while."""

    value: str = field(repr=False)
    fetched_at: float  # by the monotonic clock, in seconds
    lifetime: float  # seconds

    def is_good(self, now: float) -> bool:
        """Whether it lasts for one more probe."""
        return now < self.fetched_at + self.lifetime - min(30.0, self.lifetime / 10)


class Tokens:
    """The tokens of a process, by whom and what they are for. Belongs to one event loop."""

    def __init__(self) -> None:
        self._kept: OrderedDict[Hashable, Token] = OrderedDict()
        self._locks: dict[Hashable, asyncio.Lock] = {}

    def kept(self, key: Hashable) -> str | None:
        """The token that is kept and good; None where there is none."""
        token = self._kept.get(key)
        return token.value if token is not None and token.is_good(clock.monotonic_ns() / 1e9) else None

    async def get(self, key: Hashable, fetch: Callable[[], Awaitable[Token]]) -> str:
        """A token that is good; what `fetch` brings where none is kept. Others who need the same wait for it."""
        lock = self._locks.setdefault(key, asyncio.Lock())
        try:
            async with lock:
                value = self.kept(key)
                if value is not None:
                    return value
                token = self._kept[key] = await fetch()
                if len(self._kept) > MAX_KEPT:
                    self._kept.popitem(last=False)
                return token.value
        finally:
            if not lock.locked():
                self._locks.pop(key, None)

    def drop(self, key: Hashable) -> bool:
        """Whether the token was let go of; one that was fetched just now is kept."""
        token = self._kept.get(key)
        if token is None or clock.monotonic_ns() / 1e9 < token.fetched_at + MIN_AGE:
            return False
        del self._kept[key]
        return True
