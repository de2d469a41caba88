from __future__ import annotations

from collections.abc import Callable, Iterator

import pytest

from checks import clock


@pytest.fixture
def ten_minutes_later() -> Iterator[Callable[[], None]]:
    """Moves this process's clock on; it is put back at the end."""
    yield lambda: clock.set_offset(600.0)
    clock.set_offset(0.0)
