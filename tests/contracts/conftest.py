"""What kinds need of the machine, beside a target."""

from __future__ import annotations

import pytest


@pytest.fixture(autouse=True)
def programs_may_run(monkeypatch: pytest.MonkeyPatch) -> None:
    """`command` runs what lies in this directory."""
    monkeypatch.setenv("STILLUP_COMMANDS", "/bin")
