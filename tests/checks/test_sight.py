from __future__ import annotations

from datetime import timedelta

import pytest
import sqlalchemy as sa

from checks import clock, sight
from checks.result import Outcome
from checks.sight import EVERYWHERE, WEB, WORKER, Blind, JumpDetector, Signs, blindness, fair_deadline, last_sign
from checks.store.schema import dirty_period, sign_of_life
from tests.checks.store.acts import publish_one, rows, run_probe
from tests.factories import NOON, at


def sign(store: sa.Engine, signs: Signs, seconds: float) -> list[Blind]:
    with store.begin() as conn:
        return signs.write(conn, at(seconds))


@pytest.fixture
def time_passes(monkeypatch: pytest.MonkeyPatch) -> list[float]:
    """The monotonic clock, in the test's hand."""
    now = [0.0]
    monkeypatch.setattr(clock, "monotonic", lambda: now[0])
    return now


def test_one_process_that_lives_is_enough_to_see(store: sa.Engine, time_passes: list[float]) -> None:
    one, other = (Signs(process=name, role=WEB, location=EVERYWHERE) for name in ("one", "other"))
    sign(store, one, 0)
    for second in range(2, 60, 2):
        time_passes[0] = second
        assert sign(store, other, second) == []
    time_passes[0] = 60
    assert sign(store, one, 60) == []
    with store.begin() as conn:
        assert last_sign(conn, WEB, now=at(60)) == at(60)
        assert blindness(conn, WEB, EVERYWHERE, at(-1000), at(60)) == []


def test_a_gap_above_ten_seconds_is_a_blind_interval_once(store: sa.Engine) -> None:
    sign(store, Signs(process="before", role=WEB, location=EVERYWHERE), 0)
    assert sign(store, Signs(process="one", role=WEB, location=EVERYWHERE), 11) == [Blind(at(0), at(11))]
    assert sign(store, Signs(process="two", role=WEB, location=EVERYWHERE), 11) == []
    with store.begin() as conn:
        sight.add_blind(conn, WEB, EVERYWHERE, Blind(at(0), at(12)))
        assert blindness(conn, WEB, EVERYWHERE, at(0), at(12)) == [Blind(at(0), at(11))]
        assert blindness(conn, WEB, EVERYWHERE, at(11), at(12)) == []


def test_ten_seconds_are_no_gap(store: sa.Engine) -> None:
    sign(store, Signs(process="before", role=WEB, location=EVERYWHERE), 0)
    assert sign(store, Signs(process="after", role=WEB, location=EVERYWHERE), 10) == []


def test_each_location_has_its_own_sight(sqlite_store: sa.Engine) -> None:
    sign(sqlite_store, Signs(process="a", role=WORKER, location="riga"), 0)
    sign(sqlite_store, Signs(process="b", role=WORKER, location="oslo"), 100)
    assert sign(sqlite_store, Signs(process="c", role=WORKER, location="oslo"), 101) == []
    assert sign(sqlite_store, Signs(process="d", role=WORKER, location="riga"), 101) == [Blind(at(0), at(101))]
    assert sign(sqlite_store, Signs(process="e", role=WEB, location=EVERYWHERE), 101) == []


def test_a_sign_of_a_clock_that_was_ahead_says_nothing(store: sa.Engine, time_passes: list[float]) -> None:
    sign(store, Signs(process="ahead", role=WEB, location=EVERYWHERE), 3600)
    sign(store, Signs(process="a little", role=WEB, location=EVERYWHERE), 4)
    with store.begin() as conn:
        assert last_sign(conn, WEB, now=at(0)) == at(4)
        assert last_sign(conn, WEB, now=at(-2)) is None
        assert last_sign(conn, WEB, now=at(3600)) == at(3600)
    assert sign(store, Signs(process="one", role=WEB, location=EVERYWHERE), 20) == [Blind(at(4), at(20))]


def test_a_clock_that_jumps_is_a_blindness(time_passes: list[float], sqlite_store: sa.Engine) -> None:
    signs = Signs(process="one", role=WEB, location=EVERYWHERE)
    sign(sqlite_store, signs, 0)
    time_passes[0] = 2
    assert sign(sqlite_store, signs, 8) == [Blind(at(0), at(8))]


def test_a_clock_that_is_set_back_was_ahead_and_what_it_wrote_is_no_blindness(
    time_passes: list[float], store: sa.Engine
) -> None:
    signs = Signs(process="one", role=WEB, location=EVERYWHERE)
    sign(store, signs, 0)
    time_passes[0] = 2
    assert sign(store, signs, 3602) == [Blind(at(0), at(3602))]
    time_passes[0] = 4
    assert sign(store, signs, 4) == []
    with store.begin() as conn:
        assert blindness(conn, WEB, EVERYWHERE, at(0), at(10**6)) == []


def test_a_clock_that_is_set_back_opens_the_hour_again_that_it_took_for_over(
    time_passes: list[float], store: sa.Engine
) -> None:
    publish_one(store)
    run_probe(store, Outcome.UP, at(60))
    signs = Signs(process="one", role=WORKER, location="local")
    for monotonic, wall in ((0, 60), (2, 62)):
        time_passes[0] = monotonic
        sign(store, signs, wall)
    with store.begin() as conn:
        conn.execute(dirty_period.delete())
    time_passes[0] = 4
    sign(store, signs, 7200)
    assert rows(store, dirty_period) == []
    time_passes[0] = 6
    sign(store, signs, 66)
    assert [(row.resolution, row.start) for row in rows(store, dirty_period)] == [("hour", NOON.replace(minute=0))]


@pytest.mark.parametrize(
    ("wall", "monotonic", "jumped"),
    [(2, 2, False), (7, 2, False), (7.1, 2, True), (-3.1, 2, True), (-3, 2, False), (60, 60, False), (0, 6, True)],
)
def test_a_jump_is_more_than_five_seconds(wall: float, monotonic: float, jumped: bool) -> None:
    jumps = JumpDetector()
    assert jumps.look(at(0), 100.0) is None
    assert (jumps.look(at(wall), 100.0 + monotonic) is not None) == jumped


GRACE = timedelta(seconds=10)


@pytest.mark.parametrize(
    ("blind", "heard", "fair"),
    [
        ([], 0, 70),
        ([(10, 20)], 0, 70),  # a ping after it would have come in time
        ([(10, 65)], 0, 75),
        ([(60, 500)], 0, 510),
        ([(70, 500)], 0, 510),
        ([(71, 500)], 0, 70),  # it was missed before
        ([(60, 100), (105, 200)], 0, 210),  # blind again before the grace was over
        ([(105, 200), (60, 100)], 0, 210),
        ([(60, 100), (111, 200)], 0, 110),
        ([(-100, 0)], 0, 70),
        ([(-100, 65)], 65, 70),  # heard since
        ([(60, 500)], None, 510),
    ],
)
def test_a_deadline_is_fair(blind: list[tuple[float, float]], heard: float | None, fair: float) -> None:
    heard_at = None if heard is None else at(heard)
    intervals = [Blind(at(start), at(end)) for start, end in blind]
    assert fair_deadline(at(70), heard_at, GRACE, intervals) == at(fair)


def test_the_last_sign_of_a_place_is_never_forgotten(sqlite_store: sa.Engine) -> None:
    day = 86400
    for name, role, place, seconds in (
        ("old", WEB, EVERYWHERE, 0),
        ("last", WEB, EVERYWHERE, 5),
        ("gone", WORKER, "riga", 1),
        ("lives", WORKER, "oslo", 2 * day),
        ("younger", WORKER, "oslo", 1.5 * day),
    ):
        sign(sqlite_store, Signs(process=name, role=role, location=place), seconds)
    with sqlite_store.begin() as conn:
        sight.tidy(conn, at(2 * day))
        left = set(conn.execute(sa.select(sign_of_life.c.process)).scalars())
    assert left == {"last", "gone", "lives", "younger"}
