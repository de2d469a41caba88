"""A backup is made while everything runs; the copy goes on where it was, and tells nobody anything until it may."""

from __future__ import annotations

import os
from pathlib import Path

import pytest

from tests import postgres
from tests.journeys.inbox import Inbox
from tests.journeys.stack import Stack
from tests.journeys.target import Target
from tests.waiting import wait_until

pytestmark = [pytest.mark.journey, pytest.mark.long, pytest.mark.timeout(300)]

TOOLS = f"{postgres.INSTALLED / 'bin'}{os.pathsep}{os.environ['PATH']}"
CONFIGURATION = """
defaults: {{interval: 1s, timeout: 1s, failures: 1, successes: 1, retry_interval: 1s}}
monitors: [{{name: Shop, kind: http, url: "{target}"}}]
channels: [{{name: hook, url: "{inbox}"}}]
alert_rules: [{{name: Anything, when: down, notify: [hook]}}]
"""


def test_a_restored_copy_watches_and_tells_nobody_until_it_may(
    tmp_path: Path, database: str, target: Target, inbox: Inbox
) -> None:
    archive = tmp_path / "stillup.backup"
    (tmp_path / "original").mkdir()
    (tmp_path / "copy").mkdir()
    configuration = CONFIGURATION.format(target=target.url, inbox=inbox.json_url)
    with Stack(tmp_path / "original", database, configuration, PATH=TOOLS) as original:
        original.wait_status("shop", "up")
        target.status = 500
        wait_until(lambda: len(inbox.messages) == 1, within=30, what="somebody is told that it is down")
        done = original.manage("backup", str(archive))
        assert done.returncode == 0, done.stderr
        # Not every moment is in the copy; what was told of before is.
        transitions = original.transitions("shop")

    copy = Stack(tmp_path / "copy", database, fresh=True, PATH=TOOLS)
    done = copy.manage("restore", str(archive))
    assert done.returncode == 0, done.stderr
    with copy:
        assert copy.get("/readyz") == (200, "muted\n")
        assert copy.transitions("shop")[: len(transitions)] == transitions
        copy.wait_status("shop", "down")
        target.status = 200
        copy.wait_status("shop", "up")
        wait_until(
            lambda: (
                {"status": "held", "event": "resolved"}
                in [{"status": row["status"], "event": row["event"]} for row in copy.notifications()]
            ),
            within=30,
            what="the end is noted, and held",
        )
        assert len(inbox.messages) == 1, "nobody is told a second time, nor of what the copy sees"
        assert copy.incidents()[0]["resolved_at"] is not None

        done = copy.manage("unmute")
        assert done.stdout == "Messages are sent again.\n"
        wait_until(lambda: copy.get("/readyz") == (200, "ok\n"), within=10, what="it is no longer muted")
        target.status = 500
        wait_until(lambda: len(inbox.messages) == 2, within=30, what="somebody is told of what happens now")
        copy.wait_quiet()
    assert len(inbox.messages) == 2
