from __future__ import annotations

import sys

from monitoring import supervisor
from monitoring.supervisor import Supervisor


def test_a_child_that_can_not_be_started_is_tried_again_and_the_others_run(monkeypatch, caplog):
    """Where the machine has no memory for one process more, the others must not be ended with it."""
    watch = Supervisor({"web": ["/nowhere/python"], "worker": [sys.executable, "-c", ""]}, each_tick=lambda: None)
    web, worker = watch._children
    try:
        for child in (web, worker):
            watch._keep(child)

        assert web.process is None
        assert worker.process is not None
        assert "web can't be started: No such file or directory; trying again in 5 s" in caplog.text
        now = web.start_at
        monkeypatch.setattr(supervisor.clock, "monotonic", lambda: now)
        web.command = [sys.executable, "-c", ""]
        watch._keep(web)
        assert web.process is not None
    finally:
        for child in (web, worker):
            if child.process is not None:
                child.process.wait()
