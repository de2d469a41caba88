from __future__ import annotations

import html
import re
from datetime import timedelta
from uuid import uuid4

import pytest
from django.urls import reverse

from checks import clock
from checks.result import Outcome
from checks.status import Status
from checks.store import claims, writer
from checks.store.rollup import roll_up
from checks.store.schema import ping
from monitoring import publish
from monitoring.models import AlertRule, AlertRuleChannel, Channel, Notification
from monitoring.operator import dashboard as dashboards
from tests.factories import make_finished
from tests.monitoring.pages import (
    ERROR,
    HOST,
    XSS,
    become,
    open_incident,
    put_on_page,
    resolve,
    tell,
    write_post_mortem,
)

pytestmark = pytest.mark.django_db


def text_of(response) -> str:
    assert response.status_code == 200
    return response.content.decode()


def monitor_url(monitor) -> str:
    return reverse("monitor", args=[monitor.slug])


def incident_url(incident) -> str:
    return reverse("incident", args=[incident.uuid])


def names(page: str) -> list[str]:
    return re.findall(r'<th scope="row"><a href="/dashboard/monitors/[^"]+">([^<]+)</a>', page)


def probe(engine, *outcomes: Outcome) -> None:
    """Every target is probed once a minute with these outcomes, beginning two minutes from now."""
    for number, outcome in enumerate(outcomes):
        now = clock.utcnow() + timedelta(minutes=2 + number)
        with engine.begin() as conn:
            due = claims.claim(
                conn,
                worker="test",
                location="local",
                now=now,
                horizon=timedelta(seconds=1),
                limit=100,
                lease=timedelta(seconds=30),
            )
            writer.record(conn, [make_finished(each, outcome, next_due_at=now) for each in due], now)


@pytest.fixture
def ten_minutes_later():
    """Move this process's clock on; it is put back at the end."""
    yield lambda: clock.set_offset(600.0)
    clock.set_offset(0.0)


def tell_everybody(**match: list[str]) -> AlertRule:
    rule = AlertRule.objects.create(name=f"rule {uuid4()}", match=match)
    AlertRuleChannel.objects.create(rule=rule, channel=Channel.objects.create(name=f"channel {uuid4()}"))
    return rule


class TestDashboard:
    def test_shows_the_worst_first(self, operator_client, make_monitor, published_to):
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

    def test_what_broke_last_comes_first(self, operator_client, make_monitor, published_to_sqlite):
        now = clock.utcnow()
        for name, ago in (("Early", 300), ("Late", 60)):
            become(published_to_sqlite, make_monitor(name=name), Status.DOWN, now + timedelta(seconds=600 - ago))

        assert names(text_of(operator_client.get("/dashboard/"))) == ["Late", "Early"]

    def test_shows_latency_and_availability_of_what_was_probed(self, operator_client, make_monitor, published_to):
        make_monitor(name="Shop")
        probe(published_to, Outcome.UP)

        page = text_of(operator_client.get("/dashboard/"))

        assert 'data-label="Last latency" class="number">25 ms' in page

    def test_figures_are_those_of_the_last_day(self, operator_client, make_monitor, published_to, ten_minutes_later):
        make_monitor(name="Shop")
        probe(published_to, Outcome.UP, Outcome.UP)
        ten_minutes_later()
        while roll_up(published_to, clock.utcnow()):
            pass

        row = dashboards.assemble(clock.utcnow()).rows[0]

        assert row.p50 == pytest.approx(0.025, rel=0.01)
        assert row.p95 == pytest.approx(0.025, rel=0.01)
        assert row.availability == 1.0

    def test_a_word_filters_by_name_slug_tag_and_kind(self, operator_client, make_monitor, published_to_sqlite):
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

    def test_a_status_filters_and_an_unknown_one_does_not(self, operator_client, make_monitor, published_to_sqlite):
        become(published_to_sqlite, make_monitor(name="Broken"), Status.DOWN)
        make_monitor(name="New")

        assert names(text_of(operator_client.get("/dashboard/?status=down"))) == ["Broken"]
        assert names(text_of(operator_client.get("/dashboard/?status=elsewhere"))) == ["Broken", "New"]

    def test_a_filter_that_fits_nothing_says_so(self, operator_client, make_monitor, published_to_sqlite):
        make_monitor()

        assert "No monitor fits this filter" in text_of(operator_client.get("/dashboard/?q=zzz"))

    def test_without_a_monitor_it_says_what_to_do_next(self, operator_client, published_to_sqlite):
        assert "Nothing is watched yet" in text_of(operator_client.get("/dashboard/"))

    def test_says_of_which_monitor_nobody_would_learn(self, operator_client, make_monitor, published_to_sqlite):
        make_monitor(name="Forgotten", tags=["test"])
        make_monitor(name="Told", tags=["prod"])
        put_on_page(make_monitor(name="Shown"))
        tell_everybody(tags=["prod"])
        AlertRule.objects.create(name="told to no channel", match={})

        rows = {row.name: row.unheard for row in dashboards.assemble(clock.utcnow()).rows}

        assert rows == {"Forgotten": True, "Told": False, "Shown": False}
        assert text_of(operator_client.get("/dashboard/")).count(">nobody is told<") == 1

    def test_a_rule_that_can_not_be_read_hears_nothing(self, make_monitor, published_to_sqlite):
        make_monitor()
        rule = tell_everybody()
        AlertRule.objects.filter(pk=rule.pk).update(match={"tags": "prod"})

        assert dashboards.assemble(clock.utcnow()).rows[0].unheard

    def test_a_retired_monitor_is_gone(self, operator_client, make_monitor, published_to_sqlite, committed):
        monitor = make_monitor(name="Gone")
        with committed():
            publish.retire(monitor)

        assert names(text_of(operator_client.get("/dashboard/"))) == []

    def test_leads_to_the_open_incident(self, operator_client, make_monitor, published_to_sqlite):
        monitor = make_monitor()
        become(published_to_sqlite, monitor, Status.DOWN)

        assert incident_url(open_incident(monitor)) in text_of(operator_client.get("/dashboard/"))

    def test_stays_useful_when_the_store_is_gone(self, operator_client, make_monitor, published_to_sqlite, monkeypatch):
        make_monitor(name="Shop")
        monkeypatch.setenv("STILLUP_MEASUREMENTS_URL", "sqlite:////nowhere/at/all.sqlite3")

        page = text_of(operator_client.get("/dashboard/"))

        assert names(page) == ["Shop"]
        assert "The measurements can&#x27;t be read" in page

    def test_asks_as_little_for_many_monitors_as_for_few(
        self, make_monitor, published_to_sqlite, committed, django_assert_max_num_queries
    ):
        with committed():
            for number in range(60):
                make_monitor(name=f"Node {number}", tags=["fleet"])
        tell_everybody(tags=["fleet"])

        with django_assert_max_num_queries(8):
            assert len(dashboards.assemble(clock.utcnow()).rows) == 60

    def test_shows_the_worst_of_very_many_and_the_rest_when_asked(
        self, operator_client, make_monitor, published_to_sqlite, monkeypatch
    ):
        monkeypatch.setattr(dashboards, "MOST_ROWS", 2)
        for name in ("A", "B", "C"):
            make_monitor(name=name)
        become(published_to_sqlite, make_monitor(name="Z"), Status.DOWN)

        page = text_of(operator_client.get("/dashboard/"))

        assert names(page) == ["Z", "A"]
        assert "And 2 more" in page
        assert names(text_of(operator_client.get("/dashboard/?all"))) == ["Z", "A", "B", "C"]

    def test_is_kept_by_nobody(self, operator_client, published_to_sqlite):
        assert operator_client.get("/dashboard/")["Cache-Control"] == "no-store"

    def test_somebody_who_may_only_look_is_not_led_to_the_admin(self, client, viewer, published_to_sqlite):
        client.force_login(viewer)

        page = text_of(client.get("/dashboard/"))

        assert reverse("admin:index") not in re.findall(r'href="([^"]+)"', page)
        assert "ask somebody who may configure" in page


class TestMonitor:
    def test_shows_percentiles_with_both_counts(self, operator_client, make_monitor, published_to, ten_minutes_later):
        monitor = make_monitor(failures=1)
        probe(published_to, Outcome.UP, Outcome.UP, Outcome.UP, Outcome.DOWN)
        ten_minutes_later()

        page = text_of(operator_client.get(monitor_url(monitor)))

        assert "the connection was refused" in page
        for label, text in (("p50", "25 ms"), ("p99", "25 ms"), ("Complete", "3"), ("Incomplete", "1")):
            assert page.count(f'data-label="{label}" class="number">{text}<') == 3  # an hour, a day, a month
        assert "Connect</dt>" in page
        assert "by probe" in page

    def test_shows_its_options_without_secrets(self, operator_client, make_monitor, published_to_sqlite):
        monitor = make_monitor(
            url=f"https://{HOST}/health", headers={"authorization": "Bearer hunter2"}, expect=["status == 204"]
        )

        page = text_of(operator_client.get(monitor_url(monitor)))

        assert HOST in page
        assert "status == 204" in page
        assert "hunter2" not in page

    def test_of_a_heartbeat_says_where_and_when_the_job_reports(self, operator_client, make_monitor, published_to):
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

        assert (
            f"curl --fail --silent --show-error --retry 5 --max-time 10 --output /dev/null http://127.0.0.1:8000/ping/{monitor.ping_code}"
            in page
        )
        assert "0 3 * * * (Europe/Riga)" in page
        assert "14 min 2 s" in page
        assert "<img" not in page

    def test_before_the_first_ping_says_that_the_interval_waits_for_it(
        self, operator_client, make_monitor, published_to_sqlite
    ):
        page = text_of(operator_client.get(monitor_url(make_monitor(kind="heartbeat"))))

        assert "After its first ping" in page
        assert "every 1 min" in page

    def test_escapes_every_text(self, operator_client, make_monitor, published_to_sqlite):
        monitor = make_monitor(
            name=XSS, slug="x", description=XSS, expect=['body contains "<script>alert(1)</script>"']
        )

        page = text_of(operator_client.get(monitor_url(monitor)))

        assert page.count("<script") == 1
        assert "<img" not in page

    def test_a_runbook_that_is_no_web_address_is_no_link(self, operator_client, make_monitor, published_to_sqlite):
        monitor = make_monitor()
        type(monitor).objects.filter(pk=monitor.pk).update(spec={**monitor.spec, "runbook": "javascript:alert(1)"})

        assert "javascript:" not in text_of(operator_client.get(monitor_url(monitor)))

    def test_stays_when_it_is_retired_or_its_kind_is_gone(
        self, operator_client, make_monitor, published_to_sqlite, committed
    ):
        monitor = make_monitor()
        with committed():
            publish.retire(monitor)
        type(monitor).objects.filter(pk=monitor.pk).update(kind="gopher")

        assert "Its history is kept" in text_of(operator_client.get(monitor_url(monitor)))

    def test_stays_when_the_store_is_gone(self, operator_client, make_monitor, published_to_sqlite, monkeypatch):
        monitor = make_monitor()
        open_incident(monitor)
        monkeypatch.setenv("STILLUP_MEASUREMENTS_URL", "sqlite:////nowhere/at/all.sqlite3")

        page = text_of(operator_client.get(monitor_url(monitor)))

        assert "The measurements can't be read" in page
        assert ERROR in page

    def test_that_does_not_exist_is_not_found(self, operator_client, published_to_sqlite):
        assert operator_client.get("/dashboard/monitors/none/").status_code == 404


class TestIncident:
    def test_shows_what_was_found_and_where_the_time_went(self, operator_client, make_monitor, published_to_sqlite):
        page = text_of(operator_client.get(incident_url(open_incident(make_monitor()))))

        assert "status in 200-299" in page
        assert "503" in page
        assert "eu-west" in page
        assert "4 ms" in page
        assert f"server: {HOST}" in page
        assert html.escape(XSS) in page
        assert page.count("<script") == 1

    def test_shows_every_message_with_its_fate(self, operator_client, make_monitor, published_to_sqlite):
        incident = open_incident(make_monitor())
        now = clock.utcnow()
        for name, status, note in (
            ("slack", "sent", ""),
            ("mail", "held", "folded into the resolved"),
            ("sms", "dead", "refused"),
        ):
            Notification.objects.create(
                key=name,
                incident=incident,
                channel_name=name,
                event="down",
                status=status,
                note=note,
                attempts=3,
                next_attempt_at=now,
                created_at=now,
            )

        page = text_of(operator_client.get(incident_url(incident)))

        for word in ("slack", "Sent", "mail", "Held", "folded into the resolved", "sms", "Dead", "refused"):
            assert word in page

    def test_says_why_nobody_was_told(self, operator_client, make_monitor, published_to_sqlite):
        page = text_of(operator_client.get(incident_url(open_incident(make_monitor()))))

        assert "no alert rule with a channel matched this monitor then" in page

    def test_marks_what_the_public_reads_and_leads_to_its_page(
        self, operator_client, make_monitor, published_to_sqlite
    ):
        monitor = make_monitor()
        put_on_page(monitor)
        incident = resolve(open_incident(monitor))
        tell(incident, "We look.")

        page = text_of(operator_client.get(incident_url(incident)))

        # Our own note, though marked, is not on the public page and so is not called public.
        assert page.count('<span class="tag">public</span>') == 1
        assert reverse("public_incident", args=[incident.uuid]) in page

    def test_says_whether_a_post_mortem_is_public(self, operator_client, make_monitor, published_to_sqlite):
        incident = resolve(open_incident(make_monitor()))
        address = incident_url(incident)
        assert "None was written." in text_of(operator_client.get(address))
        post_mortem = write_post_mortem(incident, "so", published=False)
        assert "not published yet" in text_of(operator_client.get(address))
        post_mortem.published_at = clock.utcnow()
        post_mortem.save()
        assert "Published <time" in text_of(operator_client.get(address))

    def test_about_us_has_a_page_too(self, operator_client, make_monitor, published_to_sqlite):
        incident = open_incident(make_monitor(), cause="system:disk", evidence={})

        page = text_of(operator_client.get(incident_url(incident)))

        assert "About Stillup itself" in page
        assert "None was kept." in page

    @pytest.mark.parametrize(
        "evidence", [[], {"failure": None}, {"phases": [1]}, {"evidence": "x"}, {"evidence": {"a": [1, ["b", "c"]]}}]
    )
    def test_evidence_of_any_form_is_shown_or_left_out(
        self, operator_client, make_monitor, published_to_sqlite, evidence
    ):
        incident = open_incident(make_monitor(), evidence=evidence)

        assert operator_client.get(incident_url(incident)).status_code == 200

    def test_that_does_not_exist_is_not_found(self, operator_client, published_to_sqlite):
        assert operator_client.get(reverse("incident", args=[uuid4()])).status_code == 404
