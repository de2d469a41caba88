"""Monitors that nobody asks: what a person says, and what several are together."""

from __future__ import annotations

import json
from io import StringIO

import pytest
from django.core.management import CommandError, call_command
from django.urls import reverse

from checks.store.schema import transition
from tests.checks.store.acts import rows
from tests.monitoring.operator.acts import monitor_url, text_of
from tests.monitoring.pages import XSS

pytestmark = pytest.mark.django_db


@pytest.fixture
def dialect() -> str:
    return "sqlite"


@pytest.fixture
def line(published_to, make_monitor):
    return make_monitor(kind="manual", name="Telephone")


@pytest.fixture
def office(line, make_monitor):
    return make_monitor(kind="group", name="Office", members=["telephone"])


def status_url(monitor):
    return reverse("set_status", args=[monitor.slug])


def said():
    out = StringIO()
    call_command("monitors", "--json", stdout=out)
    return {row["slug"]: row for row in json.loads(out.getvalue())}


def test_a_person_sets_a_status_on_the_monitors_page_and_its_group_follows(operator_client, published_to, line, office):
    page = text_of(operator_client.get(monitor_url(line)))
    assert f'action="{status_url(line)}"' in page
    answer = operator_client.post(status_url(line), {"status": "down", "message": f"cut {XSS}"}, follow=True)
    page = text_of(answer)
    assert "by person" in page
    assert "cut &quot;&gt;&lt;script&gt;" in page
    assert "<img" not in page
    page = text_of(operator_client.get(monitor_url(office)))
    assert '<a href="/dashboard/monitors/telephone/">Telephone</a>' in page
    assert "1 of 1 members is down: Telephone" in page
    assert [
        row.evidence["evidence"].get("by") for row in rows(published_to, transition, transition.c.cause == "person")
    ] == ["root"]
    assert "Telephone" in text_of(operator_client.get(reverse("dashboard")))


def test_what_can_not_be_set_is_said(operator_client, line, office, make_monitor):
    answer = operator_client.post(status_url(office), {"status": "up"})
    assert answer.status_code == 400
    assert "its status follows from what is found" in answer.content.decode()
    assert operator_client.post(status_url(line), {"status": "paused"}).status_code == 400
    assert operator_client.get(status_url(line)).status_code == 405
    paused = make_monitor(kind="manual", name="Other", paused=True)
    assert status_url(paused) not in text_of(operator_client.get(monitor_url(paused)))


def test_who_may_not_change_monitors_may_not_set_one(client, viewer, line, office):
    client.force_login(viewer)
    assert status_url(line) not in text_of(client.get(monitor_url(line)))
    assert client.post(status_url(line), {"status": "down"}).status_code == 403
    viewer.is_staff = True
    viewer.save()
    assert client.post(status_url(line), {"status": "down"}).status_code == 403
    assert said()["telephone"]["status"] == "pending"


def test_a_command_sets_a_status_with_a_message(line, office):
    out = StringIO()
    call_command("set_status", "telephone", "down", "--message", "cut\n\0\udc80 off", stdout=out)
    call_command("set_status", "telephone", "down", stdout=out)
    assert out.getvalue() == "telephone is down now.\ntelephone was down already.\n"
    found = said()
    assert (found["telephone"]["status"], found["office"]["status"]) == ("down", "down")
    assert found["office"]["failure"]["reason"] == "members"


@pytest.mark.parametrize(
    ("slug", "problem"),
    [("telefone", "there is no monitor 'telefone'; did you mean telephone"), ("office", "is not set")],
)
def test_a_command_says_what_can_not_be_set(line, office, slug, problem):
    with pytest.raises(CommandError, match=problem):
        call_command("set_status", slug, "up")


def test_the_form_of_a_group_knows_the_other_groups(operator_client, published_to, line, office):
    add = "/admin/monitoring/monitor/add/?kind=group"
    for members, problem in (("telephon", "there is no monitor with the slug telephon"), ("", "required")):
        body = operator_client.post(add, {"name": "New", "members": members, "rule": "worst"}).content.decode()
        assert problem in body
    change = f"/admin/monitoring/monitor/{office.pk}/change/"
    body = operator_client.post(
        change, {"name": "Office", "slug": "office", "members": "telephone\noffice", "rule": "worst"}
    ).content.decode()
    assert "a group can&#x27;t contain itself: office → office" in body
    renamed = {"name": "Telephone", "slug": "phone"}
    body = operator_client.post(f"/admin/monitoring/monitor/{line.pk}/change/", renamed).content.decode()
    assert "telephone is a member of office: take it out there first" in body
