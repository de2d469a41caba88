"""What a process remembers of domain registries: their servers, what they answered, and who asked us to wait. Pure.

Registries limit how often they may be asked, by address. So an answer holds for half a day, whoever asks again.
"""

from __future__ import annotations

import asyncio
from collections import OrderedDict
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

HOUR, DAY = 3600.0, 86400.0
FRESH = 11.5 * HOUR  # seconds that an answer holds: a domain is asked about at most twice a day
STALE = 7 * DAY  # seconds that it may stand in where nobody answers
SERVERS_FRESH = DAY  # seconds that the list of servers holds
MAX_ANSWERS = 10_000


@dataclass(frozen=True, slots=True, kw_only=True)
class Registration:
    """What a registry said of a domain, and when; `data` is None where it is not registered."""

    data: Mapping[str, Any] | None
    server: str
    asked: float  # of the monotonic clock
    latency: float  # seconds that the answer took


@dataclass(slots=True, kw_only=True)
class Registries:
    """The memory. Times are those of the monotonic clock."""

    servers: Mapping[str, str] = field(default_factory=dict)  # by suffix
    servers_asked: float | None = None
    lock: asyncio.Lock = field(default_factory=asyncio.Lock)  # of whoever asks for the servers
    _answers: OrderedDict[str, Registration] = field(default_factory=OrderedDict)
    _waits: dict[str, float] = field(default_factory=dict)

    def knows_servers(self, now: float) -> bool:
        """Whether the list of servers still holds."""
        return self.servers_asked is not None and now - self.servers_asked < SERVERS_FRESH

    def server_of(self, domain: str) -> str | None:
        """The server of the longest suffix that the list has (RFC 9224, 4)."""
        labels = domain.split(".")
        suffixes = (".".join(labels[start:]) for start in range(1, len(labels)))
        return next((self.servers[suffix] for suffix in suffixes if suffix in self.servers), None)

    def recall(self, domain: str, now: float, *, within: float = FRESH) -> Registration | None:
        """What was said of a domain, not longer ago than `within` seconds."""
        found = self._answers.get(domain)
        return found if found is not None and now - found.asked < within else None

    def remember(self, domain: str, registration: Registration) -> None:
        """Keep what was said; the oldest makes room."""
        self._answers[domain] = registration
        self._answers.move_to_end(domain)
        if len(self._answers) > MAX_ANSWERS:
            self._answers.popitem(last=False)

    def wait(self, server: str, until: float) -> None:
        """A server asks to be left alone until then."""
        self._waits[server] = until

    def waits(self, server: str, now: float) -> float:
        """For how many more seconds a server is to be left alone."""
        return max(0.0, self._waits.get(server, now) - now)
