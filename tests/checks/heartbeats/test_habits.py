"""What is learned of a job, and what is advised by it."""

from __future__ import annotations

import random
from datetime import datetime, timedelta
from zoneinfo import ZoneInfo

import pytest

from checks.heartbeats.habits import ENOUGH, Run, learn
from tests.factories import NOON, make_spec

RIGA = ZoneInfo("Europe/Riga")


def job(**options):
    return make_spec(kind="heartbeat", **{"schedule": {"every": "1d"}, **options})


def nightly(count, hour=3, minute=0, seconds=250.0):
    """Runs at that time in Riga, a few minutes early or late, of about that long."""
    noise = random.Random(7)
    first = datetime(2026, 1, 1, hour, minute, tzinfo=RIGA)
    return [
        Run(at=first + timedelta(days=day, seconds=noise.gauss(0, 120)), seconds=seconds + noise.gauss(0, 10))
        for day in range(count)
    ]


def test_nothing_is_learned_from_few_runs():
    assert learn(nightly(ENOUGH - 1), job()) is None
    assert learn(nightly(ENOUGH), job()) is not None


@pytest.mark.parametrize(("hour", "minute"), [(3, 0), (0, 1), (23, 59), (12, 30)])
def test_the_usual_time_of_day_is_found_around_midnight_too(hour, minute):
    spec = job(schedule={"cron": "0 3 * * *", "timezone": "Europe/Riga"}, max_run="20m")
    habits = learn(nightly(80, hour, minute), spec)
    wanted = hour * 3600 + minute * 60
    off = (habits.time_of_day.median - wanted + 43200) % 86400 - 43200
    assert abs(off) < 60, "in the job's own zone, the night in which its clocks change included"
    assert 60 < habits.time_of_day.spread < 240
    assert 240 < habits.duration.median < 260
    assert habits.advice == ()


def test_outliers_move_no_habit():
    runs = nightly(60)
    runs[10] = Run(at=runs[10].at + timedelta(hours=9), seconds=40000.0)
    habits = learn(runs, job(max_run="20m"))
    assert 240 < habits.duration.median < 260
    assert habits.duration.spread < 30


def test_a_period_that_is_much_too_long_is_remarked_on():
    hourly = [Run(at=NOON + timedelta(hours=n)) for n in range(24 * 8)]
    assert learn(hourly, job()).advice == (
        "it is expected every 1 d, but it has come every 1 h for a week: a shorter period would notice sooner that it stopped",
    )
    cron = job(schedule={"cron": "0 3 * * *"})
    assert len(learn(hourly, cron).advice) == 1
    assert learn(hourly[:40], job()).advice == (), "a day is too short to know"
    assert learn(hourly, job(schedule={"every": "1h"})).advice == ()


def test_a_limit_that_would_tell_is_proposed():
    (advice,) = learn(nightly(40), job()).advice
    assert advice.startswith("it runs for 4 min")
    assert "a max_run of about" in advice
    assert "close to its max_run of 4 min 20 s" in learn(nightly(40), job(max_run="260s")).advice[0]
    assert "notices late" in learn(nightly(40), job(max_run="20h")).advice[0]


def test_runs_that_overlap_are_remarked_on():
    apart = nightly(40)
    assert not [advice for advice in learn(apart, job(max_run="1h")).advice if "before had ended" in advice]
    twice = [*apart, *(Run(at=run.at + timedelta(minutes=3), seconds=30.0) for run in apart[:2])]
    (advice,) = [advice for advice in learn(twice, job(max_run="1h")).advice if "before had ended" in advice]
    assert advice.startswith("2 of its last 42 runs began before the one before had ended")
