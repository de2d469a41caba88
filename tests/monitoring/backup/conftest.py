from __future__ import annotations

import os
import shutil
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from tests import postgres
from tests.journeys.left_behind import KEPT, restore
from tests.monitoring.backup.place import Place


@pytest.fixture
def place(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Callable[..., Place]]:
    """Makes a place for an installation, empty or as an earlier version left one, and lets the environment name it."""
    monkeypatch.setenv("PATH", f"{postgres.INSTALLED / 'bin'}{os.pathsep}{os.environ['PATH']}")
    made: list[Place] = []

    def make(database: str, *, filled: bool = False) -> Place:
        directory = tmp_path / f"place-{len(made)}" / "data"
        url = postgres.fresh_database() if database == "postgresql" else ""
        if filled:
            restore(KEPT / "first" / database, directory, url)
        made.append(Place(directory, url, monkeypatch))
        made[-1].enter()
        return made[-1]

    yield make
    for one in made:
        shutil.rmtree(one.data, ignore_errors=True)
        if one.url:
            postgres.drop(one.url)
