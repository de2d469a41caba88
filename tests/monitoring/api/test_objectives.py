from __future__ import annotations

from datetime import timedelta

import pytest
from django.test import Client

from checks import clock
from checks.status import Status
from monitoring.models import Objective
from tests.monitoring.past import put_transitions

pytestmark = pytest.mark.django_db


@pytest.fixture
def get(read_key):
    def call(**query):
        return Client().get("/api/v1/objectives", query, headers={"X-Api-Key": read_key}).json()

    return call


def test_programs_read_what_is_left_of_each_budget(get, make_monitor, published_to_sqlite):
    shop, mail, now = make_monitor(name="Shop"), make_monitor(name="Mail"), clock.utcnow()
    put_transitions(published_to_sqlite, shop, (now - timedelta(days=40), Status.UP))
    Objective.objects.create(name="There", monitor=shop, target=99.9, window_seconds=30 * 86_400.0)
    Objective.objects.create(name="Mailed", monitor=mail, target=99, minutes="p95 < 300ms")

    mailed, there = get()["objectives"]

    assert (there["name"], there["monitor"], there["target_percent"], there["attained"]) == ("There", "shop", 99.9, 1.0)
    assert there["budget_seconds"] == pytest.approx(2592)
    assert (there["spent_seconds"], there["broken"], there["exhausted_at"]) == (0, False, None)
    assert there["burn_rates"] == {"1h": 0, "6h": 0, "1d": 0, "3d": 0}
    assert (mailed["minutes"], mailed["attained"], mailed["burn_rates"]["1h"]) == ("p95 < 300ms", None, None)
    assert [each["name"] for each in get(monitor="mail")["objectives"]] == ["Mailed"]


def test_a_burn_rate_is_told_over_any_time(get, make_monitor, published_to_sqlite):
    shop, now = make_monitor(name="Shop"), clock.utcnow()
    down = now - timedelta(hours=1)
    put_transitions(published_to_sqlite, shop, (now - timedelta(days=40), Status.UP), (down, Status.DOWN))
    Objective.objects.create(name="There", monitor=shop, target=99, window_seconds=7 * 86_400.0)

    (found,) = get(over="120m")["objectives"]

    assert found["burn_rates"]["2h"] == pytest.approx(50, rel=1e-3)
    assert found["burn_rates"]["1h"] == pytest.approx(100, rel=1e-3)
    assert get(over="1s")["error"] == "over: a burn rate is one of 1m to 90d; found 1s"
    assert "needs a unit" in get(over="soon")["error"] or "not a duration" in get(over="soon")["error"]


def test_one_that_was_spoiled_by_hand_is_named_beside_the_others(get, make_monitor, published_to_sqlite):
    shop = make_monitor(name="Shop")
    Objective.objects.create(name="Spoiled", monitor=shop, target=99, minutes="p95 < soon")
    Objective.objects.create(name="There", monitor=shop, target=99)

    spoiled, there = get()["objectives"]

    assert (spoiled["name"], spoiled["monitor"]) == ("Spoiled", "shop")
    assert spoiled["problem"].startswith("The objective 'Spoiled' can't be read: ")
    assert (there["name"], there["target_percent"]) == ("There", 99)


def test_a_key_is_needed(db):
    assert Client().get("/api/v1/objectives").status_code == 401
