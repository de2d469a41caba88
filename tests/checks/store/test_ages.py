from datetime import timedelta

import pytest

from checks.environment import EnvironmentProblem
from checks.store.ages import Ages, ages


@pytest.fixture(autouse=True)
def _asked_anew():
    ages.cache_clear()
    yield
    ages.cache_clear()


def test_nothing_need_be_set():
    assert ages() == Ages()


def test_each_age_has_its_setting(monkeypatch):
    for name, value in {"RESULTS": "14d", "MINUTES": "36h", "HOURS": "1w 9d", "DAYS": "3650d", "PINGS": "30d"}.items():
        monkeypatch.setenv(f"STILLUP_KEEP_{name}", value)
    monkeypatch.setenv("STILLUP_KEEP_PINGS_OF_A_MONITOR", "50")

    assert ages() == Ages(
        results=timedelta(days=14),
        minutes=timedelta(hours=36),
        hours=timedelta(days=16),
        days=timedelta(days=3650),
        pings=timedelta(days=30),
        pings_of_a_monitor=50,
    )


@pytest.mark.parametrize(
    ("name", "value", "said"),
    [
        ("RESULTS", "7", "STILLUP_KEEP_RESULTS: not a duration"),
        ("RESULTS", "1h", "STILLUP_KEEP_RESULTS is '1h'; allowed: 1d to 36500d"),
        ("DAYS", "999999999d", "STILLUP_KEEP_DAYS is '999999999d'; allowed"),
        ("PINGS_OF_A_MONITOR", "0", "STILLUP_KEEP_PINGS_OF_A_MONITOR is '0'; allowed: 1 to 1000000"),
        ("PINGS_OF_A_MONITOR", "many", "allowed: 1 to 1000000"),
        ("RESULTS", "200d", "must not fall"),
        ("DAYS", "100d", "must not fall"),
    ],
)
def test_what_can_not_be_is_refused_in_words(monkeypatch, name, value, said):
    monkeypatch.setenv(f"STILLUP_KEEP_{name}", value)

    with pytest.raises(EnvironmentProblem, match=said):
        ages()
