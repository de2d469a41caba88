from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import ExitStack
from pathlib import Path

import pytest

from tests.journeys import town as towns
from tests.journeys.inbox import Inbox
from tests.journeys.stack import Stack
from tests.journeys.target import Target
from tests.journeys.town import Town

StartStack = Callable[..., Stack]


@pytest.fixture(params=["sqlite", "postgresql"])
def database(request: pytest.FixtureRequest) -> str:
    return str(request.param)


@pytest.fixture(
    params=[pytest.param(name, marks=pytest.mark.xdist_group(f"town-{name}")) for name in ("sqlite", "postgresql")]
)
def town(request: pytest.FixtureRequest) -> Town:
    """The installation that several stories share, on each database."""
    return towns.town_of(request.param)


@pytest.fixture
def target() -> Iterator[Target]:
    with Target() as running:
        yield running


@pytest.fixture
def inbox() -> Iterator[Inbox]:
    with Inbox() as open_inbox:
        yield open_inbox


@pytest.fixture
def start_stack(tmp_path: Path, database: str) -> Iterator[StartStack]:
    """Starts an installation with a configuration; each is stopped, and checked to have stopped, at the end."""
    with ExitStack() as running:

        def start(config: str = "", **options: str) -> Stack:
            directory = tmp_path / f"stack-{len(list(tmp_path.iterdir()))}"
            directory.mkdir()
            return running.enter_context(Stack(directory, database, config, **options))

        yield start
