"""A start on what an earlier version left behind: nothing is lost, and nobody is told anything twice."""

from __future__ import annotations

from pathlib import Path

import pytest

from tests.journeys.left_behind import KEPT, restore
from tests.journeys.stack import Stack
from tests.waiting import wait_until

pytestmark = [pytest.mark.journey, pytest.mark.timeout(300)]

VERSIONS = sorted(path.name for path in KEPT.iterdir())


@pytest.mark.long_on("postgresql")
@pytest.mark.parametrize("version", VERSIONS)
def test_what_an_earlier_version_left_behind_goes_on(version: str, tmp_path: Path, database: str) -> None:
    stack = Stack(tmp_path, database, fresh=True)
    restore(KEPT / version / database, stack.data, stack.database)
    results = "SELECT count(*) AS n FROM result"
    before = stack.query(results, store=True)[0]["n"]
    transitions = stack.transitions("shop")
    (told,) = stack.query("SELECT key, status FROM monitoring_notification")

    with stack:
        assert "The shop" in stack.get("/")[1]
        wait_until(lambda: stack.query(results, store=True)[0]["n"] > before, within=30, what="it is probed again")
        monitors = stack.monitors()
        assert set(monitors) == {"shop", "backup"}
        assert stack.get(monitors["backup"]["ping_url"])[0] == 200, "the ping address is the same"
        # What was not observed while nothing ran may have made it unknown; it is down again, in the same incident.
        stack.wait_status("shop", "down")
        wait_until(stack.consumed, within=30, what="nothing waits for the notifier")
        (incident,) = stack.incidents()
        assert incident["resolved_at"] is None
        assert [row["key"] for row in stack.query("SELECT key FROM monitoring_notification")] == [told["key"]]
        assert stack.transitions("shop")[: len(transitions)] == transitions
