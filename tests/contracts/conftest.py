"""What kinds need of the machine, beside a target."""

from __future__ import annotations

import pytest

from tests.servers import closed_port


@pytest.fixture(autouse=True)
def surroundings(monkeypatch: pytest.MonkeyPatch) -> None:
    """`command` runs what lies in this directory; `domain` finds nobody who knows a registry."""
    monkeypatch.setenv("STILLUP_COMMANDS", "/bin")
    monkeypatch.setenv("STILLUP_RDAP_BOOTSTRAP", f"http://127.0.0.1:{closed_port()}/")
