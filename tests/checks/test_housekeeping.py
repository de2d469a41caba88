"""What a worker deletes, and when it does not dare to."""

from __future__ import annotations

from datetime import datetime, timedelta
from functools import partial

import pytest
import sqlalchemy as sa

from checks.housekeeping import keep_partitions, tidy_signs, unless_away
from checks.sight import EVERYWHERE, LONG_AWAY, WEB, WORKER, Blind, Signs, blindness
from checks.store import partitions, retention
from checks.store.engine import reading
from checks.store.schema import result
from tests.checks.store.acts import rows
from tests.factories import NOON

DAY = timedelta(days=1)
YEARS = 3000 * DAY


def sign(store: sa.Engine, name: str, now: datetime, role: str = WORKER) -> None:
    with store.begin() as conn:
        Signs(process=name, role=role, location=EVERYWHERE).write(conn, now)


def put(store: sa.Engine, *instants: datetime) -> None:
    values = [{"target_id": 1, "due_at": each, "started_at": each, "outcome": "up"} for each in instants]
    with store.begin() as conn:
        conn.execute(result.insert(), values)


def keep_house(store: sa.Engine, now: datetime) -> None:
    keep_partitions(store, now)
    for sort in retention.SORTS:
        unless_away(partial(retention.step, sort))(store, now)
    unless_away(tidy_signs)(store, now)


@pytest.fixture
def lived(store: sa.Engine) -> sa.Engine:
    """A store whose worker and web processes lived until noon, with a result, and a blindness before it."""
    live(store)
    return store


def live(store: sa.Engine) -> None:
    keep_partitions(store, NOON)
    for role in (WORKER, WEB):
        sign(store, f"{role} before", NOON - timedelta(minutes=2), role)
        sign(store, role, NOON, role)
    put(store, NOON)


def test_what_is_old_goes_while_somebody_looks(lived: sa.Engine) -> None:
    for hours in range(4, 8 * 24 + 1, 4):
        sign(lived, "worker", NOON + timedelta(hours=hours))
    keep_house(lived, NOON + 8 * DAY)
    assert rows(lived, result) == []


def test_a_clock_years_ahead_deletes_nothing_for_a_day(lived: sa.Engine) -> None:
    ahead = NOON + YEARS
    keep_house(lived, ahead)  # before the first sign of a process that just started
    sign(lived, "ahead", ahead)
    for hours in (0, 1, 23):
        sign(lived, "ahead", ahead + timedelta(hours=hours))
        keep_house(lived, ahead + timedelta(hours=hours))
    assert len(rows(lived, result)) == 1
    sign(lived, "set right", NOON + timedelta(minutes=1))
    keep_house(lived, NOON + timedelta(minutes=1))
    assert len(rows(lived, result)) == 1
    with lived.begin() as conn:
        assert blindness(conn, WORKER, EVERYWHERE, NOON - DAY, NOON) == [Blind(NOON - timedelta(minutes=2), NOON)]


def test_after_a_long_stop_old_things_go_a_day_later(lived: sa.Engine) -> None:
    back = NOON + YEARS
    sign(lived, "back", back)
    keep_house(lived, back + LONG_AWAY - timedelta(seconds=1))
    assert len(rows(lived, result)) == 1
    sign(lived, "back", back + LONG_AWAY)
    keep_house(lived, back + LONG_AWAY)
    assert rows(lived, result) == []


def test_the_days_to_come_are_made_however_long_all_was_stopped(postgresql_store: sa.Engine) -> None:
    live(postgresql_store)
    back = NOON + 30 * DAY
    keep_partitions(postgresql_store, back)
    with reading(postgresql_store) as conn:
        names = {each.name for each in partitions.listed(conn)}
    assert {f"result_{NOON:%Y%m%d}", f"result_{back:%Y%m%d}"} <= names
