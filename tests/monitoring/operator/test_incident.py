from __future__ import annotations

import html
from uuid import uuid4

import pytest
from django.urls import reverse

from checks import clock
from monitoring.models import Notification
from tests.monitoring.operator.acts import incident_url, text_of
from tests.monitoring.pages import (
    HOST,
    XSS,
    open_incident,
    put_on_page,
    resolve,
    tell,
    write_post_mortem,
)

pytestmark = pytest.mark.django_db


def test_the_page_shows_what_was_found_and_where_the_time_went(operator_client, make_monitor, published_to_sqlite):
    page = text_of(operator_client.get(incident_url(open_incident(make_monitor()))))

    assert "status in 200-299" in page
    assert "503" in page
    assert "eu-west" in page
    assert "4 ms" in page
    assert f"It was 200, 14.2 kB; now 503, 9 B, served by {HOST}." in page
    assert '<dd class="code">14.2 kB</dd>' in page
    assert f"server: {HOST}" in page
    assert html.escape(XSS) in page
    assert page.count("<script") == 1


def test_the_page_shows_every_message_with_its_fate(operator_client, make_monitor, published_to_sqlite):
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


def test_the_page_says_why_nobody_was_told(operator_client, make_monitor, published_to_sqlite):
    page = text_of(operator_client.get(incident_url(open_incident(make_monitor()))))

    assert "no alert rule with a channel matched this monitor then" in page


def test_the_page_marks_what_the_public_reads_and_leads_to_its_page(operator_client, make_monitor, published_to_sqlite):
    monitor = make_monitor()
    put_on_page(monitor)
    incident = resolve(open_incident(monitor))
    tell(incident, "We look.")

    page = text_of(operator_client.get(incident_url(incident)))

    # Our own note, though marked, is not on the public page and so is not called public.
    assert page.count('<span class="tag">public</span>') == 1
    assert reverse("public_incident", args=[incident.uuid]) in page


def test_the_page_says_whether_a_post_mortem_is_public(operator_client, make_monitor, published_to_sqlite):
    incident = resolve(open_incident(make_monitor()))
    address = incident_url(incident)
    assert "None was written." in text_of(operator_client.get(address))
    post_mortem = write_post_mortem(incident, "so", published=False)
    assert "not published yet" in text_of(operator_client.get(address))
    post_mortem.published_at = clock.utcnow()
    post_mortem.save()
    assert "Published <time" in text_of(operator_client.get(address))


def test_an_incident_about_us_has_a_page_too(operator_client, make_monitor, published_to_sqlite):
    incident = open_incident(make_monitor(), cause="system:disk", evidence={})

    page = text_of(operator_client.get(incident_url(incident)))

    assert "About Stillup itself" in page
    assert "None was kept." in page


@pytest.mark.parametrize(
    "evidence", [[], {"failure": None}, {"phases": [1]}, {"evidence": "x"}, {"evidence": {"a": [1, ["b", "c"]]}}]
)
def test_evidence_of_any_form_is_shown_or_left_out(operator_client, make_monitor, published_to_sqlite, evidence):
    incident = open_incident(make_monitor(), evidence=evidence)

    assert operator_client.get(incident_url(incident)).status_code == 200


def test_what_does_not_exist_is_not_found(operator_client, published_to_sqlite):
    assert operator_client.get(reverse("incident", args=[uuid4()])).status_code == 404


def test_the_page_shows_what_each_location_said(operator_client, make_monitor, published_to_sqlite):
    evidence = {"location": "riga", "locations": {"oslo": "up", "riga": "down"}}
    page = text_of(operator_client.get(incident_url(open_incident(make_monitor(), evidence=evidence))))

    assert "oslo: up" in page
    assert "riga: down" in page
