from __future__ import annotations

import re
from datetime import timedelta

import pytest
from django.urls import reverse

from checks import clock
from checks.result import Outcome
from checks.status import Status
from checks.store import muting
from checks.store.rollup import roll_up
from monitoring import publish
from monitoring.models import AlertRule
from monitoring.operator import dashboard as dashboards
from tests.monitoring.operator.acts import incident_url, names, probe, tell_everybody, text_of
from tests.monitoring.pages import (
    become,
    open_incident,
    put_on_page,
)

pytestmark = pytest.mark.django_db


def test_the_dashboard_shows_the_worst_first(operator_client, make_monitor, published_to):
    for name, status in (
        ("Fine", Status.UP),
        ("Slow", Status.DEGRADED),
        ("Broken", Status.DOWN),
        ("Unseen", Status.UNKNOWN),
    ):
        become(published_to, make_monitor(name=name), status)
    make_monitor(name="New")
    make_monitor(name="Asleep", paused=True)

    page = text_of(operator_client.get("/dashboard/"))

    assert names(page) == ["Broken", "Unseen", "Slow", "New", "Fine", "Asleep"]
    assert "(1 down) Dashboard" in page


def test_what_broke_last_comes_first(operator_client, make_monitor, published_to_sqlite):
    now = clock.utcnow()
    for name, ago in (("Early", 300), ("Late", 60)):
        become(published_to_sqlite, make_monitor(name=name), Status.DOWN, now + timedelta(seconds=600 - ago))

    assert names(text_of(operator_client.get("/dashboard/"))) == ["Late", "Early"]


def test_the_dashboard_shows_latency_and_availability_of_what_was_probed(operator_client, make_monitor, published_to):
    make_monitor(name="Shop")
    probe(published_to, Outcome.UP)

    page = text_of(operator_client.get("/dashboard/"))

    assert 'data-label="Last latency" class="number">25 ms' in page


def test_figures_are_those_of_the_last_day(operator_client, make_monitor, published_to, ten_minutes_later):
    make_monitor(name="Shop")
    probe(published_to, Outcome.UP, Outcome.UP)
    ten_minutes_later()
    while roll_up(published_to, clock.utcnow()):
        pass

    row = dashboards.assemble(clock.utcnow()).rows[0]

    assert row.p50 == pytest.approx(0.025, rel=0.01)
    assert row.p95 == pytest.approx(0.025, rel=0.01)
    assert row.p99 == pytest.approx(0.025, rel=0.01)
    assert "p99, 24 h" in text_of(operator_client.get("/dashboard/"))
    assert row.availability == 1.0


def test_a_word_filters_by_name_slug_tag_and_kind(operator_client, make_monitor, published_to_sqlite):
    make_monitor(name="Shop", tags=["prod"])
    make_monitor(name="Mail port", kind="tcp", tags=["prod", "mail"])
    make_monitor(name="Wiki")

    def found(query: str) -> list[str]:
        return names(text_of(operator_client.get("/dashboard/", {"q": query})))

    assert found("SHO") == ["Shop"]
    assert found("prod") == ["Mail port", "Shop"]
    assert found("prod tcp") == ["Mail port"]
    assert found("mail-port") == ["Mail port"]
    assert found("nothing") == []


def test_a_status_filters_and_an_unknown_one_does_not(operator_client, make_monitor, published_to_sqlite):
    become(published_to_sqlite, make_monitor(name="Broken"), Status.DOWN)
    make_monitor(name="New")

    assert names(text_of(operator_client.get("/dashboard/?status=down"))) == ["Broken"]
    assert names(text_of(operator_client.get("/dashboard/?status=elsewhere"))) == ["Broken", "New"]


def test_a_filter_that_fits_nothing_says_so(operator_client, make_monitor, published_to_sqlite):
    make_monitor()

    assert "No monitor fits this filter" in text_of(operator_client.get("/dashboard/?q=zzz"))


def test_without_a_monitor_the_dashboard_says_what_to_do_next(operator_client, published_to_sqlite):
    assert "Nothing is watched yet" in text_of(operator_client.get("/dashboard/"))


def test_the_dashboard_says_of_which_monitor_nobody_would_learn(operator_client, make_monitor, published_to_sqlite):
    make_monitor(name="Forgotten", tags=["test"])
    make_monitor(name="Told", tags=["prod"])
    put_on_page(make_monitor(name="Shown"))
    tell_everybody(tags=["prod"])
    AlertRule.objects.create(name="told to no channel", match={})

    rows = {row.name: row.unheard for row in dashboards.assemble(clock.utcnow()).rows}

    assert rows == {"Forgotten": True, "Told": False, "Shown": False}
    assert text_of(operator_client.get("/dashboard/")).count(">nobody is told<") == 1


def test_a_rule_that_can_not_be_read_hears_nothing(make_monitor, published_to_sqlite):
    make_monitor()
    rule = tell_everybody()
    AlertRule.objects.filter(pk=rule.pk).update(match={"tags": "prod"})

    assert dashboards.assemble(clock.utcnow()).rows[0].unheard


def test_a_retired_monitor_is_gone(operator_client, make_monitor, published_to_sqlite, committed):
    monitor = make_monitor(name="Gone")
    with committed():
        publish.retire(monitor)

    assert names(text_of(operator_client.get("/dashboard/"))) == []


def test_the_dashboard_leads_to_the_open_incident(operator_client, make_monitor, published_to_sqlite):
    monitor = make_monitor()
    become(published_to_sqlite, monitor, Status.DOWN)

    assert incident_url(open_incident(monitor)) in text_of(operator_client.get("/dashboard/"))


def test_the_dashboard_stays_useful_when_the_store_is_gone(
    operator_client, make_monitor, published_to_sqlite, monkeypatch
):
    make_monitor(name="Shop")
    monkeypatch.setenv("STILLUP_MEASUREMENTS_URL", "sqlite:////nowhere/at/all.sqlite3")

    page = text_of(operator_client.get("/dashboard/"))

    assert names(page) == ["Shop"]
    assert "The measurements can&#x27;t be read" in page


def test_the_dashboard_asks_as_little_for_many_monitors_as_for_few(
    make_monitor, published_to_sqlite, committed, django_assert_max_num_queries
):
    with committed():
        for number in range(60):
            make_monitor(name=f"Node {number}", tags=["fleet"])
    tell_everybody(tags=["fleet"])

    with django_assert_max_num_queries(8):
        assert len(dashboards.assemble(clock.utcnow()).rows) == 60


def test_the_dashboard_shows_the_worst_of_very_many_and_the_rest_when_asked(
    operator_client, make_monitor, published_to_sqlite, monkeypatch
):
    monkeypatch.setattr(dashboards, "MOST_ROWS", 2)
    for name in ("A", "B", "C"):
        make_monitor(name=name)
    become(published_to_sqlite, make_monitor(name="Z"), Status.DOWN)

    page = text_of(operator_client.get("/dashboard/"))

    assert names(page) == ["Z", "A"]
    assert "And 2 more" in page
    assert names(text_of(operator_client.get("/dashboard/?all"))) == ["Z", "A", "B", "C"]


def test_the_dashboard_is_kept_by_nobody(operator_client, published_to_sqlite):
    assert operator_client.get("/dashboard/")["Cache-Control"] == "no-store"


def test_somebody_who_may_only_look_is_not_led_to_the_admin(client, viewer, published_to_sqlite):
    client.force_login(viewer)

    page = text_of(client.get("/dashboard/"))

    assert reverse("admin:index") not in re.findall(r'href="([^"]+)"', page)
    assert "ask somebody who may configure" in page


def test_a_copy_that_tells_nobody_says_so_on_the_dashboard(operator_client, published_to_sqlite):
    with published_to_sqlite.begin() as conn:
        muting.mute(conn, "This copy tells nobody anything until `manage.py unmute`.", clock.utcnow())
    assert (
        "This copy tells nobody anything until `manage.py unmute`."
        in operator_client.get("/dashboard/").content.decode()
    )
