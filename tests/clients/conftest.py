from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.clients.beating import CLIENTS, SHELLS, Machine, machine
from tests.servers import Target, answers


@pytest.fixture(params=zip(SHELLS, CLIENTS, strict=True), ids=" and ".join)
def here(request: pytest.FixtureRequest, tmp_path: Path) -> Machine:
    """A machine: each shell once, and each client once."""
    return machine(tmp_path, *request.param)


@pytest.fixture
def small(tmp_path: Path) -> Machine:
    """The machine that is asked for what does not depend on it."""
    return machine(tmp_path, "dash", "curl")


@pytest.fixture
def server() -> Iterator[Target]:
    """A server that takes every report."""
    with Target(answers()) as target:
        yield target
