from __future__ import annotations

import sqlalchemy as sa

from checks import clock
from monitoring.notifier.loop import Notifier


def test_when_the_clock_was_set_all_recurring_work_begins_anew(monkeypatch):
    """The scheduler goes by the wall clock: set back by an hour, nobody would be told of anything for an hour."""
    notifier, begun = Notifier(sa.create_engine("sqlite://")), []
    monkeypatch.setattr(notifier._chores, "realign", lambda: begun.append(True))
    notifier._tick()
    notifier._tick()
    assert not begun

    clock.set_offset(-3600.0)
    notifier._tick()

    assert begun == [True]


def test_a_loop_that_stands_still_is_seen_by_the_watchdog():
    notifier = Notifier(sa.create_engine("sqlite://"))
    notifier._tick()
    assert notifier._watchdog.oldest()[0] == "loop"
