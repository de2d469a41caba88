"""How much one monitor, and one stranger, may ask of the receiver. Kept in memory: a restart begins anew."""

from __future__ import annotations

from collections import OrderedDict

from checks import clock
from checks.heartbeats.addresses import Stranger
from checks.heartbeats.runs import Address

PER_SECOND = 50  # pings of one monitor
GUESSES = 60  # a minute and source, of codes that nobody has
MOST_KNOWN = 100_000  # addresses that are remembered to be someone's
MOST_SOURCES = 10_000


class Limits:
    """Counts pings by monitor and unknown ones by source; belongs to one event loop."""

    def __init__(self) -> None:
        self._second = 0
        self._pings: dict[Address, int] = {}
        self._known: OrderedDict[Address, None] = OrderedDict()
        self._minute = 0
        self._guesses: dict[str, int] = {}
        self._strangers: dict[str, Stranger] = {}

    def wait(self, address: Address, source: str) -> int:
        """Seconds after which this ping may come again; 0 where it may now."""
        now = clock.monotonic()
        if int(now) != self._second:
            self._second = int(now)
            self._pings.clear()
        count = self._pings[address] = self._pings.get(address, 0) + 1
        if count > PER_SECOND:
            return 1
        self._turn(now)
        if address not in self._known and self._guesses.get(source, 0) >= GUESSES:
            return max(1, 60 - int(now % 60))
        return 0

    def heard(self, address: Address) -> None:
        """This address is someone's."""
        self._known[address] = None
        self._known.move_to_end(address)
        if len(self._known) > MOST_KNOWN:
            self._known.popitem(last=False)

    def unknown(self, address: Address, source: str, user_agent: str) -> None:
        """This address is nobody's."""
        self._known.pop(address, None)
        self._turn(clock.monotonic())
        if len(self._guesses) < MOST_SOURCES or source in self._guesses:
            self._guesses[source] = self._guesses.get(source, 0) + 1
        if len(self._strangers) < MOST_SOURCES or source in self._strangers:
            before = self._strangers.get(source)
            count = 1 if before is None else before.count + 1
            self._strangers[source] = Stranger(source=source, count=count, at=clock.utcnow(), user_agent=user_agent)

    def take_strangers(self) -> list[Stranger]:
        """Who pinged nobody since the last call."""
        strangers, self._strangers = self._strangers, {}  # called by the journal's thread
        return list(strangers.values())

    def _turn(self, now: float) -> None:
        if int(now // 60) != self._minute:
            self._minute = int(now // 60)
            self._guesses.clear()
