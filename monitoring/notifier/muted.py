"""Whether this installation may send: the store says so.

That it may is remembered for a second. That it may not is never remembered: what is held is not sent later, and once a
person has unmuted it nothing may be held any more.
"""

from __future__ import annotations

import sqlalchemy as sa

from checks import clock
from checks.store.engine import reading
from checks.store.muting import is_muted

REMEMBERED = 1.0  # seconds


class Muted:
    """Says whether nothing may be sent. A store that is away says what it said last; it must have spoken once."""

    def __init__(self, engine: sa.Engine) -> None:
        self._engine = engine
        self._last: bool | None = None
        self._asked = 0.0

    def __call__(self) -> bool:
        """The answer; raises what the store raises where it never gave one."""
        if self._last is not False or clock.monotonic() - self._asked >= REMEMBERED:
            try:
                with reading(self._engine) as conn:
                    self._last = is_muted(conn)
            except sa.exc.SQLAlchemyError:
                if self._last is None:
                    raise
            self._asked = clock.monotonic()
        return self._last
