from __future__ import annotations

from datetime import UTC, datetime, timedelta

import pytest

from checks import clock
from checks.status import Status
from monitoring.models import Objective
from tests.monitoring.operator.acts import text_of
from tests.monitoring.pages import XSS
from tests.monitoring.past import put_incident, put_results, put_transitions

pytestmark = pytest.mark.django_db

START = datetime(2025, 10, 1, tzinfo=UTC)
HOUR, DAY = timedelta(hours=1), timedelta(days=1)


@pytest.fixture
def shop(published_to_sqlite, make_monitor):
    """It was down for 72 minutes of a month, and for a minute of today."""
    monitor = make_monitor(name="Shop", tags=["prod"])
    now = clock.utcnow()
    put_transitions(
        published_to_sqlite,
        monitor,
        (START - HOUR, Status.UP),
        (START + DAY, Status.DOWN),
        (START + DAY + 1.2 * HOUR, Status.UP),
        (now - HOUR / 30, Status.DOWN),
        (now - HOUR / 60, Status.UP),
    )
    put_incident(monitor, START + DAY, START + DAY + 1.2 * HOUR, summary=XSS)
    return monitor


def test_the_report_shows_a_month(operator_client, shop):
    page = text_of(operator_client.get("/dashboard/report/", {"month": "2025-10"}))

    assert "Availability, October 2025" in page
    for label, text in (
        ("Available", "99.83 %"),
        ("Without maintenance", "99.83 %"),
        ("Observed", "100 %"),
        ("Down", "1 h 12 min"),
        ("Outages", "1"),
    ):
        assert f'data-label="{label}" class="number">{text}<' in page
    assert "here none was, so that both are the same" in page
    assert "<img" not in page
    assert "It is not over" not in page
    assert "/dashboard/report.csv?month=2025-10&amp;zone=UTC" in page


def test_the_report_of_the_running_month_says_that_it_goes_on(operator_client, shop):
    assert "It is not over" in text_of(operator_client.get("/dashboard/report/"))


def test_the_report_of_a_zone_is_of_its_month(operator_client, shop):
    page = text_of(operator_client.get("/dashboard/report/", {"month": "2025-10", "zone": "Europe/Riga"}))

    assert "2025-09-30T21:00:00Z" in page
    assert "a month of Europe/Riga" in page


@pytest.mark.parametrize(
    ("asked", "sentence"),
    [
        ({"month": "2026-13"}, "not a month"),
        ({"month": "2025-10", "zone": "Europe/Rga"}, "unknown time zone"),
        ({"zone": "../../etc/passwd"}, "unknown time zone"),
        ({"month": "9999-12"}, ""),
        ({"month": "1000-01"}, ""),
    ],
)
def test_what_is_no_month_is_said(operator_client, shop, asked, sentence):
    answer = operator_client.get("/dashboard/report/", asked)

    if sentence:
        assert answer.status_code == 400
    assert sentence in answer.content.decode()


def test_a_monitor_has_all_its_intervals(operator_client, shop):
    page = text_of(operator_client.get(f"/dashboard/monitors/{shop.slug}/intervals/", {"month": "2025-10"}))

    assert page.count('data-label="Counted"') == 3
    assert "none was announced" in page
    assert "30 d 22 h" in page or "30 d 23 h" in page
    assert "<img" not in page
    custom = {"start": "2025-10-02T00:30:00Z", "end": "2025-10-02T00:40:00Z"}
    page = text_of(operator_client.get(f"/dashboard/monitors/{shop.slug}/intervals/", custom))
    assert page.count('data-label="Counted"') == 1
    assert "0.00 %" in page
    page = text_of(operator_client.get(f"/dashboard/monitors/{shop.slug}/intervals/", {"window": "hour"}))
    assert page.count('data-label="Counted"') == 3  # the outage of today, and what was before and after
    monitors_own = text_of(operator_client.get(f"/dashboard/monitors/{shop.slug}/"))
    assert all(f"/intervals/?window={word}" in monitors_own for word in ("day", "week", "month"))
    refused = operator_client.get(f"/dashboard/monitors/{shop.slug}/intervals/", {"start": "never"})
    assert (refused.status_code, b"allowed: an instant" in refused.content) == (400, True)


@pytest.mark.parametrize("name", ["monitor", "tag"])
def test_a_report_of_what_no_text_can_be_is_refused(operator_client, shop, name):
    refused = operator_client.get("/dashboard/report/", {name: "\0"})
    assert refused.status_code == 400
    assert b"holds the character U+0000" in refused.content


def test_an_objective_shows_what_is_left_and_what_spent_it(operator_client, shop):
    objective = Objective.objects.create(name="There", monitor=shop, target=99.9, window_seconds=30 * 86_400.0)

    (listed, page) = (
        text_of(operator_client.get(address))
        for address in ("/dashboard/objectives/", f"/dashboard/objectives/{objective.pk}/")
    )

    assert 'data-label="Promised" class="number">99.9 %<' in listed
    assert "42 min 12 s of the budget left" in page
    over = operator_client.get(f"/dashboard/objectives/{objective.pk}/", {"over": "90d"})
    assert "The last 90d" in text_of(over)
    assert operator_client.get(f"/dashboard/objectives/{objective.pk}/", {"over": "91d"}).status_code == 400
    assert "Shop is available 99.9 % of the time of the last 30 d" in page
    assert "All intervals of the window" in page


def test_an_objective_about_minutes_shows_the_hours_that_spent_it(operator_client, shop, published_to_sqlite):
    put_results(published_to_sqlite, shop, clock.utcnow() - timedelta(minutes=10), [900] * 9, every=60)
    objective = Objective.objects.create(name="Fast", monitor=shop, target=99, minutes="p95 < 300ms")

    page = text_of(operator_client.get(f"/dashboard/objectives/{objective.pk}/"))

    assert "keeps p95 &lt; 300ms in 99 % of the minutes of the calendar month" in page
    assert "of an hour" in page
    assert 'data-label="Promised"' in text_of(operator_client.get("/dashboard/objectives/"))


SPOILED = [
    {"minutes": "p95 < soon"},
    {"timezone": "Europe/Atlantis"},
    {"target": 0.0},
    {"target": 250.0},
    {"window_seconds": 1e30},
]


@pytest.mark.parametrize("spoiled", SPOILED, ids=lambda each: next(iter(each)))
def test_an_objective_that_was_spoiled_by_hand_is_named_and_hides_no_other(operator_client, shop, spoiled):
    objective = Objective.objects.create(name="Spoiled", monitor=shop, **{"target": 99.0, **spoiled})
    Objective.objects.create(name="Sound", monitor=shop, target=99.9)

    listed = operator_client.get("/dashboard/objectives/")
    assert listed.status_code == 200
    assert "The objective &#x27;Spoiled&#x27; can&#x27;t be read: " in text_of(listed)
    assert ">Sound<" in text_of(listed)
    alone = operator_client.get(f"/dashboard/objectives/{objective.pk}/")
    assert alone.status_code == 503
    assert b"Change it or delete it." in alone.content


def test_without_objectives_the_page_says_how_to_make_one(operator_client, published_to_sqlite):
    assert "Nothing is promised yet" in text_of(operator_client.get("/dashboard/objectives/"))


def test_a_store_that_cannot_be_read_is_said(operator_client, shop, published_to_sqlite, monkeypatch, tmp_path):
    objective = Objective.objects.create(name="There", monitor=shop, target=99.9)
    directory = tmp_path / "none"
    directory.mkdir()
    monkeypatch.setenv("STILLUP_MEASUREMENTS_URL", f"sqlite:///{directory}/empty.sqlite3")
    for address in (
        "/dashboard/report/",
        "/dashboard/objectives/",
        f"/dashboard/objectives/{objective.pk}/",
        f"/dashboard/monitors/{shop.slug}/intervals/",
    ):
        answer = operator_client.get(address)
        assert (answer.status_code, b"The measurements can" in answer.content) == (503, True)
