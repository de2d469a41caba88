from __future__ import annotations

import re

import pytest

from checks import clock
from checks.result import Outcome
from checks.store.schema import ping
from checks.store.troubles import report_trouble
from monitoring import publish
from monitoring.operator.recipes import CURL
from tests.monitoring.operator.acts import monitor_url, probe, text_of
from tests.monitoring.pages import (
    ERROR,
    HOST,
    XSS,
    open_incident,
)

pytestmark = pytest.mark.django_db


def test_the_page_shows_percentiles_with_both_counts(operator_client, make_monitor, published_to, ten_minutes_later):
    monitor = make_monitor(failures=1)
    probe(published_to, Outcome.UP, Outcome.UP, Outcome.UP, Outcome.DOWN)
    ten_minutes_later()

    page = text_of(operator_client.get(monitor_url(monitor)))

    assert "the connection was refused" in page
    for label, text in (("p50", "25 ms"), ("p99", "25 ms"), ("Complete", "3"), ("Incomplete", "1")):
        assert re.search(f'data-label="{label}" class="number[^"]*">{text}<', page)
    assert "Connect</dt>" in page
    assert "by probe" in page


def test_the_page_shows_what_the_target_said_when_it_was_well(operator_client, make_monitor, published_to_sqlite):
    monitor = make_monitor()
    probe(published_to_sqlite, Outcome.UP, facts={"status": 200, "size": 14_200, "server": XSS})

    page = text_of(operator_client.get(monitor_url(monitor)))

    assert "When it was last well" in page
    assert '<dd class="code">14.2 kB</dd>' in page
    assert "<img" not in page


def test_the_page_shows_its_options_without_secrets(operator_client, make_monitor, published_to_sqlite):
    monitor = make_monitor(
        url=f"https://{HOST}/health", headers={"authorization": "Bearer hunter2"}, expect=["status == 204"]
    )

    page = text_of(operator_client.get(monitor_url(monitor)))

    assert HOST in page
    assert "status == 204" in page
    assert "hunter2" not in page


def test_a_heartbeats_page_says_where_and_when_the_job_reports(operator_client, make_monitor, published_to):
    monitor = make_monitor(kind="heartbeat", schedule={"cron": "0 3 * * *", "timezone": "Europe/Riga"}, grace="1h")
    with published_to.begin() as conn:
        conn.execute(
            ping.insert().values(
                monitor=monitor.uuid,
                received_at=clock.utcnow(),
                action="success",
                exit_code=0,
                duration_ns=842_000_000_000,
                method="POST",
                source="10.0.0.7",
                user_agent=XSS,
                body=b"\xff" + XSS.encode(),
                body_size=60,
            )
        )

    page = text_of(operator_client.get(monitor_url(monitor)))

    assert f"{CURL} http://127.0.0.1:8000/ping/{monitor.ping_code}" in page
    assert "0 3 * * * (Europe/Riga)" in page
    assert "14 min 2 s" in page
    assert "<img" not in page


def test_before_the_first_ping_the_page_says_that_the_interval_waits_for_it(
    operator_client, make_monitor, published_to_sqlite
):
    page = text_of(operator_client.get(monitor_url(make_monitor(kind="heartbeat"))))

    assert "After its first ping" in page
    assert "every 1 min" in page


def test_the_page_escapes_every_text(operator_client, make_monitor, published_to_sqlite):
    monitor = make_monitor(name=XSS, slug="x", description=XSS, expect=['body contains "<script>alert(1)</script>"'])

    page = text_of(operator_client.get(monitor_url(monitor)))

    assert page.count("<script") == 1
    assert "<img" not in page


def test_a_runbook_that_is_no_web_address_is_no_link(operator_client, make_monitor, published_to_sqlite):
    monitor = make_monitor()
    type(monitor).objects.filter(pk=monitor.pk).update(spec={**monitor.spec, "runbook": "javascript:alert(1)"})

    assert "javascript:" not in text_of(operator_client.get(monitor_url(monitor)))


def test_the_page_stays_when_the_monitor_is_retired_or_its_kind_is_gone(
    operator_client, make_monitor, published_to_sqlite, committed
):
    monitor = make_monitor()
    with committed():
        publish.retire(monitor)
    type(monitor).objects.filter(pk=monitor.pk).update(kind="gopher")

    assert "Its history is kept" in text_of(operator_client.get(monitor_url(monitor)))


def test_the_page_stays_when_the_store_is_gone(operator_client, make_monitor, published_to_sqlite, monkeypatch):
    monitor = make_monitor()
    open_incident(monitor)
    monkeypatch.setenv("STILLUP_MEASUREMENTS_URL", "sqlite:////nowhere/at/all.sqlite3")

    page = text_of(operator_client.get(monitor_url(monitor)))

    assert "The measurements can't be read" in page
    assert ERROR in page


def test_what_does_not_exist_is_not_found(operator_client, published_to_sqlite):
    assert operator_client.get("/dashboard/monitors/none/").status_code == 404


def test_the_page_shows_what_each_location_thinks_and_whether_that_counts(operator_client, make_monitor, published_to):
    monitor = make_monitor(locations=["local", "riga"], quorum="majority", failures=1)
    probe(published_to, Outcome.UP, Outcome.DOWN)
    with published_to.begin() as conn:
        report_trouble(conn, "network:local", "at fault", clock.utcnow())

    page = text_of(operator_client.get(monitor_url(monitor)))

    assert "Quorum: majority." in page
    assert "its network is at fault" in page
    votes = re.findall(r'<th scope="row">(local|riga)<.*?class="state s-(\w+)"', page)
    assert votes == [("local", "unknown"), ("riga", "pending")]
    assert "Quorum" not in text_of(operator_client.get(monitor_url(make_monitor())))
