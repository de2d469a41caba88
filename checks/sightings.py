"""Since when something has been as it is, as far as the probes of this process saw it."""

from __future__ import annotations

from collections import OrderedDict
from collections.abc import Hashable
from datetime import datetime

MAX_KEPT = 100_000


class Sightings:
    """What was seen where, and since when. Belongs to one event loop."""

    def __init__(self) -> None:
        self._kept: OrderedDict[Hashable, tuple[str, datetime]] = OrderedDict()

    def since(self, where: Hashable, what: str, *, began: datetime, now: datetime) -> datetime:
        """Since when `what` has been there: since another was seen last. Where none ever was, since it `began`."""
        before = self._kept.get(where)
        if before is not None and before[0] == what:
            return before[1]
        since = began if before is None else now
        self._kept[where] = what, since
        if len(self._kept) > MAX_KEPT:
            self._kept.popitem(last=False)
        return since
