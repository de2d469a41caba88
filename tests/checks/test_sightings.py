from __future__ import annotations

from datetime import UTC, datetime, timedelta

from checks import sightings
from checks.sightings import Sightings

NOON = datetime(2026, 1, 1, 12, tzinfo=UTC)
LONG_AGO = NOON - timedelta(days=90)


def test_what_stays_has_been_there_since_it_began():
    seen = Sightings()
    for hours in range(3):
        assert seen.since("here", "one", began=LONG_AGO, now=NOON + timedelta(hours=hours)) == LONG_AGO


def test_what_replaced_another_has_been_there_since_it_was_seen():
    seen = Sightings()
    seen.since("here", "one", began=LONG_AGO, now=NOON)
    later = NOON + timedelta(hours=1)
    assert seen.since("here", "two", began=LONG_AGO, now=later) == later
    assert seen.since("here", "two", began=LONG_AGO, now=later + timedelta(hours=1)) == later
    assert seen.since("elsewhere", "two", began=LONG_AGO, now=later) == LONG_AGO


def test_only_so_much_is_kept(monkeypatch):
    monkeypatch.setattr(sightings, "MAX_KEPT", 2)
    seen = Sightings()
    for where in ("a", "b", "c"):
        seen.since(where, "one", began=LONG_AGO, now=NOON)
    assert seen.since("c", "two", began=LONG_AGO, now=NOON) == NOON
    assert seen.since("a", "two", began=LONG_AGO, now=NOON) == LONG_AGO
