from __future__ import annotations

from datetime import UTC, datetime, timedelta
from zoneinfo import ZoneInfo

import pytest

from checks.status import Status
from monitoring.models import Objective
from monitoring.objectives import minutes
from monitoring.objectives.standing import stand
from monitoring.objectives.windows import month_of, month_span, parse_month, window_at
from tests.factories import NOON, at
from tests.monitoring.past import announce, put_results, put_transitions

DAY, AN_HOUR = timedelta(days=1), timedelta(hours=1)


@pytest.fixture
def monitor(published_to, make_monitor):
    return make_monitor()


def test_a_promise_of_availability_stands_by_time(published_to, monitor):
    put_transitions(
        published_to,
        monitor,
        (NOON - 40 * DAY, Status.UP),
        (NOON - 2 * DAY, Status.DOWN),
        (NOON - 2 * DAY + timedelta(minutes=10), Status.UP),
    )
    objective = Objective.objects.create(name="there", monitor=monitor, target=99.9, window_seconds=30 * 86_400.0)

    found = stand(published_to, objective, NOON)

    assert found.budget.allowed == pytest.approx(2592)
    assert (found.budget.bad, found.budget.left) == (600, pytest.approx(1992))
    burns = dict(found.burns)
    assert (burns["1h"], burns["1d"]) == (0, 0)
    assert burns["3d"] == pytest.approx(600 / 259_200 / 0.001)
    assert found.exhausted_at is None


def test_announced_maintenance_does_not_spend_it(published_to, monitor):
    put_transitions(published_to, monitor, (NOON - 40 * DAY, Status.UP), (NOON - AN_HOUR, Status.DOWN))
    objective = Objective.objects.create(name="there", monitor=monitor, target=99.0, window_seconds=7 * 86_400.0)

    announce(monitor, NOON - 2 * AN_HOUR, NOON - AN_HOUR / 2)

    found = stand(published_to, objective, NOON)

    assert found.budget.bad == 1800
    assert found.budget.counted == 7 * 86_400 - 5400


def test_what_burns_says_when_the_budget_is_gone(published_to, monitor):
    put_transitions(published_to, monitor, (NOON - 40 * DAY, Status.UP), (at(-864), Status.DOWN))
    objective = Objective.objects.create(name="there", monitor=monitor, target=99.0, window_seconds=7 * 86_400.0)

    found = stand(published_to, objective, NOON)

    # 1 % of the last day: it spends as fast as new days allow, and what is lacking never goes down.
    assert dict(found.burns)["1d"] == pytest.approx(1)
    assert found.budget.left == pytest.approx(6048 - 864)
    assert dict(found.burns)["1h"] == pytest.approx(24)


def test_a_promise_about_minutes_stands_by_minutes_of_kept_hours_and_of_the_running_one(published_to, monitor):
    noon_hour = NOON.replace(minute=0)
    put_results(published_to, monitor, noon_hour - 5 * AN_HOUR, [100] * 58 + [900] * 2, every=60)
    put_results(published_to, monitor, noon_hour, [100] * 9 + [900], every=60)
    objective = Objective.objects.create(
        name="fast", monitor=monitor, target=90.0, window_seconds=7 * 86_400.0, minutes="p95 < 300ms"
    )

    before = stand(published_to, objective, NOON).budget  # what is not kept yet is counted now, of the last day
    minutes.follow(published_to, NOON)
    after = stand(published_to, objective, NOON).budget

    assert (after.counted, after.bad) == (70 * 60, 3 * 60)
    assert after.attained == pytest.approx(67 / 70)
    assert (before.counted, before.bad) == (after.counted, after.bad)


def test_of_a_month_to_come_those_minutes_count_in_which_it_will_be_probed(published_to, make_monitor):
    monitor = make_monitor(interval="5m")
    objective = Objective.objects.create(name="fast", monitor=monitor, target=90.0, minutes="p95 < 300ms")
    month = datetime(2026, 3, 1, tzinfo=UTC)
    put_results(published_to, monitor, month, [100] * 11 + [900], every=300)

    found = stand(published_to, objective, month + AN_HOUR)

    assert (found.budget.counted, found.budget.bad) == (12 * 60, 60)
    assert found.budget.allowed == pytest.approx(0.1 * 31 * 86_400 / 5)


def test_a_month_is_one_of_its_zone():
    riga = ZoneInfo("Europe/Riga")
    start, end = month_span(parse_month("2026-10"), riga)

    assert start == datetime(2026, 9, 30, 21, tzinfo=UTC)
    assert end - start == timedelta(days=31, hours=1)
    assert month_of(datetime(2026, 9, 30, 22, tzinfo=UTC), riga) == parse_month("2026-10")
    assert window_at(NOON, None, UTC) == (datetime(2026, 3, 1, tzinfo=UTC), datetime(2026, 4, 1, tzinfo=UTC))
    assert window_at(NOON, 86_400.0, riga) == (NOON - DAY, NOON)


@pytest.mark.parametrize(
    "text", ["2026", "2026-13", "2026-1", "10-2026", "0001-01", "2026-10-01", "\u06620\u0662\u0666-10"]
)
def test_what_is_no_month_is_refused(text):
    with pytest.raises(ValueError, match="as in 2026-10"):
        parse_month(text)
