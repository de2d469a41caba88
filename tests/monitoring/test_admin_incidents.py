from __future__ import annotations

from datetime import timedelta

import pytest
from django.contrib.auth.models import User
from django.db import IntegrityError
from django.test import Client
from unfold.admin import ModelAdmin

from checks import clock
from monitoring import post_mortems
from monitoring.admin.incidents import PostMortemForm
from monitoring.models import Component, ComponentGroup, Incident, IncidentUpdate, Owner, PostMortem, StatusPage

pytestmark = pytest.mark.django_db

INCIDENTS = "/admin/monitoring/incident/"
MARKDOWN = "# What happened\n\nA **cable** and a [link](https://example.org). <script>alert(1)</script>"


@pytest.fixture
def page(published_to_sqlite, operator_client: Client) -> Client:
    return operator_client


@pytest.fixture
def incident(page, make_monitor) -> Incident:
    """Over, about a monitor that stands on a public page."""
    shop, now = make_monitor(name="Shop"), clock.utcnow()
    public = StatusPage.objects.create(slug="public", title="Public", default=True)
    group = ComponentGroup.objects.create(page=public, name="Core")
    Component.objects.create(group=group, monitor=shop, name="The shop")
    row = Incident.objects.create(
        monitor=shop,
        monitor_uuid=shop.uuid,
        monitor_name="Shop",
        cause="down",
        summary="Expected status in 200-299, found 500",
        opened_at=now - timedelta(minutes=5),
        detected_at=now,
        resolved_at=now,
        resolution="recovered",
    )
    IncidentUpdate.objects.create(incident=row, at=now, kind="opened", text="10.0.0.7 refused the connection")
    return row


def form_of(incident: Incident, **values) -> dict:
    """What a browser sends of an incident's page."""
    mortem = PostMortem.objects.filter(incident=incident).first()
    return {
        "updates-TOTAL_FORMS": "1",
        "updates-INITIAL_FORMS": "0",
        "updates-0-incident": str(incident.pk),
        "updates-0-text": "",
        "post_mortem-TOTAL_FORMS": "1",
        "post_mortem-INITIAL_FORMS": "1" if mortem else "0",
        "post_mortem-0-id": str(mortem.pk) if mortem else "",
        "post_mortem-0-incident": str(incident.pk),
        "post_mortem-0-markdown": mortem.markdown if mortem else "",
        **values,
    }


def address(incident: Incident, word: str = "change") -> str:
    return f"{INCIDENTS}{incident.pk}/{word}/"


def test_a_post_mortem_is_written_published_read_by_the_public_and_withdrawn(page, incident, client):
    public = f"/incidents/{incident.pk}/"
    answer = page.post(address(incident), form_of(incident, **{"post_mortem-0-markdown": MARKDOWN}))
    assert answer.status_code == 302
    assert "What happened" not in client.get(public).content.decode()
    assert "not yet: save it" in page.get(address(incident)).content.decode()

    assert page.post(address(incident, "publish")).status_code == 302
    body = client.get(public).content.decode()
    assert "<strong>cable</strong>" in body
    assert "<script>alert" not in body

    page.post(address(incident, "withdraw"))
    assert "cable" not in client.get(public).content.decode()
    assert PostMortem.objects.get().markdown == MARKDOWN


def test_a_published_post_mortem_that_is_edited_stays_public_with_its_new_text(page, incident, client):
    page.post(address(incident), form_of(incident, **{"post_mortem-0-markdown": "First."}))
    page.post(address(incident, "publish"))
    first = PostMortem.objects.get().published_at
    page.post(address(incident), form_of(incident, **{"post_mortem-0-markdown": "Second."}))
    assert PostMortem.objects.get().published_at == first
    assert "Second." in client.get(f"/incidents/{incident.pk}/").content.decode()


def test_who_saves_while_somebody_withdraws_does_not_publish_it_again(page, incident, monkeypatch):
    page.post(address(incident), form_of(incident, **{"post_mortem-0-markdown": "First."}))
    page.post(address(incident, "publish"))
    clean = PostMortemForm.clean_markdown

    def withdrawn_meanwhile(form):
        post_mortems.withdraw(incident)
        return clean(form)

    monkeypatch.setattr(PostMortemForm, "clean_markdown", withdrawn_meanwhile)
    page.post(address(incident), form_of(incident, **{"post_mortem-0-markdown": "Second."}))
    saved = PostMortem.objects.get()
    assert (saved.markdown, saved.published_at) == ("Second.", None)


@pytest.mark.parametrize(
    ("fields", "why"),
    [
        ({"resolved_at": None}, "the incident is not over yet"),
        ({"cause": "system:no_resolver"}, "about Stillup itself"),
    ],
)
def test_what_is_too_early_or_no_ones_business_is_not_published(page, incident, fields, why):
    page.post(address(incident), form_of(incident, **{"post_mortem-0-markdown": "Text."}))
    Incident.objects.filter(pk=incident.pk).update(**fields)
    answer = page.post(address(incident, "publish"), follow=True)
    assert why in answer.content.decode()
    assert PostMortem.objects.get().published_at is None


def test_nothing_is_published_before_something_is_written(page, incident):
    assert "/publish/" not in page.get(address(incident)).content.decode()
    answer = page.post(address(incident, "publish"), follow=True)
    assert "write the post-mortem and save it first" in answer.content.decode()


def test_a_preview_shows_the_text_and_saves_nothing(page, incident):
    body = page.get(address(incident)).content.decode()
    assert f'formaction="{address(incident, "preview")}"' in body
    assert 'formtarget="_blank"' in body
    shown = page.post(address(incident, "preview"), form_of(incident, **{"post_mortem-0-markdown": MARKDOWN}))
    assert "<strong>cable</strong>" in shown.content.decode()
    assert "<script>alert" not in shown.content.decode()
    assert not PostMortem.objects.exists()


def test_who_saves_the_first_post_mortem_a_moment_too_late_is_told_and_keeps_the_text(page, incident, monkeypatch):
    view = ModelAdmin.changeform_view

    def overtaken(admin, request, *_, **__):
        admin.message_user(request, "The incident was changed successfully.")
        monkeypatch.setattr(ModelAdmin, "changeform_view", view)
        PostMortem.objects.create(incident=incident, markdown="Somebody was faster.", updated_at=clock.utcnow())
        raise IntegrityError("UNIQUE constraint failed")

    monkeypatch.setattr(ModelAdmin, "changeform_view", overtaken)
    answer = page.post(address(incident), form_of(incident, **{"post_mortem-0-markdown": "I was too slow."}))
    assert answer.status_code == 200
    assert "Somebody else has begun this post-mortem meanwhile" in answer.content.decode()
    assert "I was too slow." in answer.content.decode()
    assert "changed successfully" not in answer.content.decode()
    assert PostMortem.objects.get().markdown == "Somebody was faster."


def test_an_update_is_public_where_it_says_so(page, incident, client):
    page.post(
        address(incident), form_of(incident, **{"updates-0-text": "We replace a cable.", "updates-0-public": "on"})
    )
    page.post(
        address(incident),
        form_of(
            incident,
            **{
                "updates-TOTAL_FORMS": "2",
                "updates-INITIAL_FORMS": "1",
                "updates-0-id": str(IncidentUpdate.objects.get(public=True).pk),
                "updates-0-text": "We replaced a cable.",
                "updates-0-public": "on",
                "updates-1-incident": str(incident.pk),
                "updates-1-text": "It was rack 7.",
            },
        ),
    )
    body = client.get(f"/incidents/{incident.pk}/").content.decode()
    assert "We replaced a cable." in body
    assert "rack 7" not in body
    assert "10.0.0.7" not in body


def test_instants_have_seconds_and_their_zone(page, incident):
    assert f"{incident.opened_at:%Y-%m-%d %H:%M:%S} UTC" in page.get(address(incident)).content.decode()


def test_what_stillup_noted_is_shown_and_not_edited(page, incident):
    body = page.get(address(incident)).content.decode()
    assert "10.0.0.7 refused the connection" in body
    assert ">10.0.0.7 refused the connection</textarea>" not in body


def test_incidents_are_neither_opened_nor_deleted_by_hand(page, incident):
    assert page.get(f"{INCIDENTS}add/").status_code == 403
    assert page.post(address(incident, "delete"), {"post": "yes"}).status_code == 403
    page.post(address(incident), form_of(incident, cause="up", summary="all well"))
    incident.refresh_from_db()
    assert incident.summary.startswith("Expected")


def test_a_page_is_made_by_hand_and_one_of_the_file_is_not_touched(page, make_monitor):
    shop = make_monitor(name="Shop")
    forms = {"groups-TOTAL_FORMS": "1", "groups-INITIAL_FORMS": "0", "groups-0-name": "Core", "groups-0-position": "0"}
    made = page.post(
        "/admin/monitoring/statuspage/add/", {"title": "Public", "slug": "public", "default": "on", **forms}
    )
    assert made.status_code == 302
    group = ComponentGroup.objects.get()
    components = {
        "components-TOTAL_FORMS": "1",
        "components-INITIAL_FORMS": "0",
        "components-0-monitor": str(shop.pk),
        "components-0-name": "The shop",
        "components-0-position": "0",
    }
    edit = f"/admin/monitoring/componentgroup/{group.pk}/change/"
    data = {"page": str(group.page.pk), "name": "Core", "position": "0", **components}
    assert page.post(edit, data).status_code == 302
    assert Component.objects.get().name == "The shop"

    StatusPage.objects.update(owner=Owner.FILE)
    for address_, sent in ((edit, data), (f"/admin/monitoring/statuspage/{group.page.pk}/change/", {"title": "Mine"})):
        assert "This is kept in the configuration file" in page.get(address_).content.decode()
        assert '-0-name"' not in page.get(address_).content.decode()
        assert page.post(address_, sent).status_code == 403
    assert page.post(f"/admin/monitoring/componentgroup/{group.pk}/delete/", {"post": "yes"}).status_code == 403
    assert StatusPage.objects.get().title == "Public"


def test_an_account_is_made_and_changed(page):
    answer = page.post(
        "/admin/auth/user/add/",
        {"username": "ada", "usable_password": "true", "password1": "correct horse", "password2": "correct horse"},
    )
    assert answer.status_code == 302
    ada = User.objects.get(username="ada")
    assert (ada.is_staff, ada.check_password("correct horse")) == (False, True)
    assert page.get(f"/admin/auth/user/{ada.pk}/change/").status_code == 200
    assert page.get(f"/admin/auth/user/{ada.pk}/password/").status_code == 200
