from __future__ import annotations

from datetime import timedelta

import hypothesis.strategies as st
import pytest
from hypothesis import assume, given

from checks.status import Status
from checks.store.availability import Interval
from monitoring.objectives.budget import Slice, budget, burn_rate, clipped, exhausted_at, of_intervals
from tests.factories import at

WEEK = 7 * 86_400.0
HOUR, DAY = timedelta(hours=1), timedelta(days=1)


@st.composite
def pasts(draw):
    """Slices that end at most a day before NOON, with gaps, over some two weeks."""
    slices, edge = [], draw(st.integers(-14 * 86_400, -7 * 86_400))
    for length, gap, counted, bad in draw(
        st.lists(
            st.tuples(st.integers(60, 300_000), st.integers(0, 50_000), st.floats(0, 1), st.floats(0, 1)), max_size=12
        )
    ):
        if edge + length > 0:
            break
        slices.append(Slice(at(edge), at(edge + length), length * counted, length * counted * bad))
        edge += length + gap
    return slices


def rolling(slices, target=0.99, now=0.0, seconds=WEEK, density=1.0):
    return budget(slices, target, (at(now - seconds), at(now)), at(now), density)


def up_but(*down: tuple[float, float], start=-WEEK, end=0.0):
    """Counted throughout, and bad in these spans."""
    slices, edge = [], start
    for begun, ended in down:
        slices += [
            Slice(at(edge), at(begun), begun - edge, 0.0),
            Slice(at(begun), at(ended), ended - begun, ended - begun),
        ]
        edge = ended
    return [*slices, Slice(at(edge), at(end), end - edge, 0.0)]


def test_a_week_at_two_nines_allows_a_hundred_minutes():
    found = rolling(up_but((-5000, -2000)))

    assert found.allowed == pytest.approx(6048)
    assert (found.bad, found.left, found.spent) == (3000, pytest.approx(3048), pytest.approx(3000 / 6048))
    assert found.attained == pytest.approx(1 - 3000 / WEEK)
    assert not found.broken


def test_the_promise_is_broken_exactly_where_less_is_attained_than_promised():
    assert not rolling(up_but((-6047, 0))).broken
    assert rolling(up_but((-6049, 0))).broken


@given(slices=pasts(), target=st.floats(0.5, 0.99999))
def test_a_budget_of_a_rolling_window_is_gone_with_the_target(slices, target):
    found = rolling(slices, target)
    assume(found.counted > 1 and abs(found.left) > 1e-6)
    assert found.broken == (found.attained < target)


def test_what_does_not_count_spends_nothing_and_allows_nothing():
    line = [
        Interval(Status.UP, at(-1000), at(-600)),
        Interval(Status.DOWN, at(-600), at(-500)),
        Interval(Status.DOWN, at(-500), at(-300), announced=True),
        Interval(Status.UNKNOWN, at(-300), at(-200)),
        Interval(Status.DEGRADED, at(-200), at(-100)),
        Interval(Status.PENDING, at(-100), at(0)),
    ]

    found = rolling(of_intervals(line), target=0.9)

    assert (found.counted, found.bad, found.allowed) == (600, 100, pytest.approx(60))
    assert found.broken


def test_a_calendar_month_counts_the_days_to_come():
    slices = up_but((-1000, 0), start=-10 * 86_400)

    found = budget(slices, 0.999, (at(-10 * 86_400), at(20 * 86_400)), at(0))

    assert found.allowed == pytest.approx(2592)
    assert found.attained == pytest.approx(1 - 1000 / 864_000)


def test_of_what_is_probed_every_five_minutes_a_fifth_of_the_minutes_to_come_counts():
    """Three days of a month, a slow probe in twenty: 43 of them, where 89 in the month may be."""
    past = [Slice(at(-3 * 86_400), at(0), 51_840, 2592.0)]

    found = budget(past, 0.99, (at(-3 * 86_400), at(28 * 86_400)), at(0), 0.2)

    assert found.allowed == pytest.approx(0.01 * 31 * 86_400 / 5)
    lasts = (exhausted_at(past, found, at(0), DAY) - at(0)).total_seconds()
    assert lasts == pytest.approx((found.allowed - 2592) / 0.05 * 5)
    assert lasts < 4 * 86_400


def test_the_burn_rate_is_relative_to_what_is_allowed():
    slices = up_but((-360, 0))

    assert burn_rate(slices, 0.99, at(0), HOUR) == pytest.approx(10)
    assert burn_rate(slices, 0.99, at(0), 6 * HOUR) == pytest.approx(10 / 6)
    assert burn_rate(slices, 0.999, at(0), timedelta(seconds=360)) == pytest.approx(1000)
    assert burn_rate([], 0.99, at(0), HOUR) is None


def test_at_a_burn_rate_of_one_a_month_ends_with_its_budget():
    """A tenth of the month is over, and its tenth of the budget spent, evenly."""
    evenly = [Slice(at(-3 * 86_400), at(0), 259_200, 2592.0)]
    month = (at(-3 * 86_400), at(27 * 86_400))
    found = budget(evenly, 0.99, month, at(0))
    assert exhausted_at(evenly, found, at(0), DAY) is None

    faster = [Slice(at(-3 * 86_400), at(0), 259_200, 5184.0)]
    found = budget(faster, 0.99, month, at(0))
    assert found.left == pytest.approx(25_920 - 5184)
    assert (exhausted_at(faster, found, at(0), DAY) - at(0)).total_seconds() == pytest.approx(20_736 / 0.02)


def test_a_rolling_budget_can_be_gone_before_old_trouble_drops_out():
    """It takes half a day until the trouble of the first day begins to leave; the pace of the last day needs less."""
    slices = [*up_but((-6.5 * 86_400, -6.5 * 86_400 + 5000), end=-86_400), Slice(at(-86_400), at(0), 86_400, 864.0)]
    found = rolling(slices)
    assert found.left == pytest.approx(6048 - 5864)

    assert exhausted_at(slices, found, at(0), DAY) == at(0) + timedelta(seconds=184 / 0.01)


def test_old_trouble_that_drops_out_in_time_saves_a_rolling_budget():
    slices = [*up_but((-WEEK + 3600, -WEEK + 8600), end=-86_400), Slice(at(-86_400), at(0), 86_400, 864.0)]

    assert exhausted_at(slices, rolling(slices), at(0), DAY) is None


def test_what_goes_well_exhausts_nothing_and_what_is_broken_is_exhausted_now():
    slices = up_but((-3 * 86_400, -3 * 86_400 + 100))
    assert exhausted_at(slices, rolling(slices), at(0), DAY) is None

    slices = up_but((-7000, 0))
    assert exhausted_at(slices, rolling(slices), at(0), DAY) == at(0)


@given(slices=pasts(), target=st.floats(0.5, 0.999), recent=st.floats(0, 1), density=st.floats(0.05, 1))
def test_the_projection_is_what_going_on_at_this_pace_makes(slices, target, recent, density):
    """The end that was found, against budgets computed anew as if the time until then had come to pass."""
    slices = [*slices, Slice(at(-1) if slices and slices[-1].end > at(-86_400) else at(-86_400), at(0), 1.0, recent)]
    assume(len(slices) == 1 or slices[-2].end <= slices[-1].start)
    found = rolling(slices, target, density=density)
    share = clipped(slices, at(-86_400), at(0))
    pace = sum(s.bad for s in share) / sum(s.counted for s in share)

    end = exhausted_at(slices, found, at(0), DAY)

    def later(seconds):
        counts = seconds * density
        coming = [Slice(at(0), at(seconds), counts, counts * pace)] if seconds else []
        return rolling([*slices, *coming], target, now=seconds).left

    if found.broken:
        assert end == at(0)
        return
    seconds = WEEK if end is None else (end - at(0)).total_seconds()
    assert 0 <= seconds <= WEEK + 1
    for part in range(1, 20):
        assert later(seconds * part / 20) >= -0.5
    if end is not None:
        assert later(seconds) == pytest.approx(0, abs=0.5)
