from __future__ import annotations

import gzip
import html
from datetime import timedelta
from uuid import uuid4

import pytest
from django.urls import reverse

from checks import clock
from checks.status import Status
from monitoring.models import Incident, PageSnapshot, StatusPage
from monitoring.status import views
from monitoring.status.snapshot import render_all
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


@pytest.fixture
def shop(make_monitor, published_to_sqlite):
    """A monitor that is up and stands on the default page as Shop."""
    monitor = make_monitor(name="pg primary 7", url=f"https://{HOST}/health")
    put_on_page(monitor, default=True)
    become(published_to_sqlite, monitor, Status.UP)
    return monitor


def incident_url(incident) -> str:
    return reverse("public_incident", args=[incident.uuid])


def text_of(response) -> str:
    return response.content.decode()


def test_a_page_shows_its_components_before_any_snapshot_was_kept(reader, shop):
    page = text_of(reader.get("/"))

    assert "All systems operational" in page
    assert "<h3>Shop</h3>" in page
    assert not PageSnapshot.objects.exists()


def test_a_page_is_served_from_its_snapshot_and_asks_no_store(reader, shop, monkeypatch):
    render_all(clock.utcnow())
    monkeypatch.setattr(
        "monitoring.publish.store_engine", lambda: pytest.fail("the store was asked for a page that has a snapshot")
    )

    assert "<h3>Shop</h3>" in text_of(reader.get("/"))


def test_the_default_page_and_one_by_its_slug_are_found(reader, shop, make_monitor):
    put_on_page(make_monitor(), "Intranet", slug="inside", title="Inside")

    assert "Example status" in text_of(reader.get("/"))
    assert "Intranet" in text_of(reader.get("/status/inside/"))
    assert "Intranet" not in text_of(reader.get("/"))


def test_a_page_that_does_not_exist_is_not_found(reader, shop):
    assert reader.get("/status/nothing/").status_code == 404


def test_without_any_page_it_says_kindly_what_to_do_next(reader, db):
    page = text_of(reader.get("/"))

    assert "Nothing is published here yet" in page
    assert "Sign in" in page


def test_a_page_without_a_component_says_what_to_do_next(reader, published_to_sqlite):
    StatusPage.objects.create(slug="bare", title="Bare", default=True)
    render_all(clock.utcnow())

    assert "Nothing is published here yet" in text_of(reader.get("/"))


def test_anybody_may_keep_a_page_and_no_cookie_decides_what_it_shows(operator_client, shop):
    response = operator_client.get("/")

    assert response["Cache-Control"] == "public, max-age=15"
    assert response["Vary"] == "Accept-Encoding"
    assert not response.cookies


def test_a_page_that_has_not_changed_is_not_sent_again(reader, shop):
    render_all(clock.utcnow())
    first = reader.get("/")

    again = reader.get("/", headers={"If-None-Match": first["ETag"]})

    assert again.status_code == 304
    assert again.content == b""


def test_a_page_is_sent_small_to_those_who_can_unpack_it(reader, shop):
    render_all(clock.utcnow())

    response = reader.get("/", headers={"Accept-Encoding": "gzip"})

    assert b"<h3>Shop</h3>" in gzip.decompress(response.content)
    assert len(response.content) < 6000


def test_a_page_is_only_read(reader, shop):
    assert reader.post("/").status_code == 405


def test_a_snapshot_that_nobody_renews_is_shown_with_its_time_and_a_warning(reader, shop):
    render_all(clock.utcnow() - timedelta(minutes=5))

    page = text_of(reader.get("/"))

    assert "It is not current" in page
    assert "<h3>Shop</h3>" in page


def test_a_current_page_carries_no_warning(reader, shop):
    render_all(clock.utcnow())

    assert "It is not current" not in text_of(reader.get("/"))


def test_a_snapshot_of_another_version_is_built_anew(reader, shop):
    render_all(clock.utcnow())
    PageSnapshot.objects.update(payload={"title": "from the future"})

    assert "<h3>Shop</h3>" in text_of(reader.get("/"))


def test_the_last_good_page_is_shown_while_the_database_is_down(reader, shop, broken_database):
    render_all(clock.utcnow())
    before = text_of(reader.get("/"))

    with broken_database():
        response = reader.get("/")

    assert response.status_code == 200
    assert "<h3>Shop</h3>" in text_of(response)
    assert "It is not current" in text_of(response)
    assert text_of(reader.get("/")) == before


def test_a_process_that_knows_no_page_yet_says_so_while_the_database_is_down(reader, shop, broken_database):
    with broken_database():
        response = reader.get("/")

    assert response.status_code == 503
    assert response["Retry-After"] == "15"
    assert "says nothing about the systems on it" in text_of(response)


def test_a_page_that_was_deleted_is_not_remembered(reader, shop, broken_database):
    render_all(clock.utcnow())
    reader.get("/status/public/")
    StatusPage.objects.all().delete()
    assert reader.get("/status/public/").status_code == 404

    with broken_database():
        assert reader.get("/status/public/").status_code == 503


def test_another_default_page_is_shown_at_once(reader, shop, make_monitor):
    put_on_page(make_monitor(), "Other", slug="other", title="Other status")
    render_all(clock.utcnow())
    reader.get("/")
    StatusPage.objects.update(default=False)
    StatusPage.objects.filter(slug="other").update(default=True)

    assert "Other status" in text_of(reader.get("/"))


def test_the_memory_of_pages_is_bounded():
    memory = views.Remembered()
    for number in range(views.MOST_REMEMBERED + 1):
        memory.keep(str(number), None)

    assert "0" not in memory._answers
    assert len(memory._answers) == views.MOST_REMEMBERED


def test_an_open_incident_stands_on_the_page_with_what_was_written_for_the_public(reader, shop):
    incident = open_incident(shop)
    tell(incident, "We found the cause.")
    render_all(clock.utcnow())

    page = text_of(reader.get("/"))

    assert incident_url(incident) in page
    assert "We found the cause." in page
    assert ERROR not in page
    assert HOST not in page


def test_every_name_and_text_is_escaped(reader, make_monitor, published_to_sqlite):
    monitor = make_monitor(name=XSS, slug="x")
    page = put_on_page(monitor, XSS, title=XSS, description=XSS)
    page.groups.update(name=XSS)
    tell(open_incident(monitor), XSS)
    tell(resolve(open_incident(monitor, cause="rule:1")), XSS)
    render_all(clock.utcnow())

    shown = text_of(reader.get("/"))

    assert shown.count("<script") == 1  # our own
    assert "<img" not in shown
    assert html.escape(XSS).replace("&#x27;", "") in shown.replace("&#x27;", "")


class TestIncident:
    def test_shows_when_it_began_and_ended_and_what_was_told(self, reader, shop):
        incident = resolve(open_incident(shop))
        tell(incident, "A certificate had expired.")

        page = text_of(reader.get(incident_url(incident)))

        assert "Resolved after 9 min" in page
        assert "A certificate had expired." in page
        assert "<h1>Shop</h1>" in page

    def test_an_open_one_says_for_how_long(self, reader, shop):
        page = text_of(reader.get(incident_url(open_incident(shop))))

        assert "Open for 10 min so far" in page
        assert "Not yet" in page

    def test_hides_what_is_for_operators(self, reader, shop):
        incident = resolve(open_incident(shop))
        tell(incident, "the password is hunter2", public=False)
        write_post_mortem(incident, "a draft", published=False)

        page = text_of(reader.get(incident_url(incident)))

        for hidden in (ERROR, HOST, "hunter2", "a draft", "pg primary", "503", "eu-west", str(shop.uuid), shop.slug):
            assert hidden not in page

    def test_shows_the_published_post_mortem_as_safe_html(self, reader, shop):
        incident = resolve(open_incident(shop))
        write_post_mortem(incident, f"## Cause\n\nIt **broke**.\n\n{XSS}")

        page = text_of(reader.get(incident_url(incident)))

        assert "<strong>broke</strong>" in page
        assert page.count("<script") == 1
        assert "<img" not in page

    def test_a_post_mortem_is_not_public_before_its_time(self, reader, shop):
        incident = resolve(open_incident(shop))
        post_mortem = write_post_mortem(incident, "soon")
        post_mortem.published_at = clock.utcnow() + timedelta(hours=1)
        post_mortem.save()

        assert "soon" not in text_of(reader.get(incident_url(incident)))

    def test_unknown_unpublished_and_internal_ones_are_the_same_404(self, reader, shop, make_monitor):
        unknown = reader.get(reverse("public_incident", args=[uuid4()]))
        unpublished = reader.get(incident_url(open_incident(make_monitor())))
        about_us = reader.get(incident_url(open_incident(shop, cause="system:no_resolver")))
        orphan = open_incident(shop)
        Incident.objects.filter(pk=orphan.pk).update(monitor=None)
        of_nobody = reader.get(incident_url(orphan))

        for response in (unknown, unpublished, about_us, of_nobody):
            assert response.status_code == 404
            assert response.content == unknown.content

    def test_may_be_kept_and_reads_no_cookie(self, operator_client, shop):
        response = operator_client.get(incident_url(resolve(open_incident(shop))))

        assert response["Cache-Control"] == "public, max-age=15"
        assert response["Vary"] == "Accept-Encoding"

    def test_a_resolved_one_that_has_not_changed_is_not_sent_again(self, reader, shop):
        address = incident_url(resolve(open_incident(shop)))

        assert reader.get(address, headers={"If-None-Match": reader.get(address)["ETag"]}).status_code == 304

    def test_says_so_while_the_database_is_down(self, reader, shop, broken_database):
        address = incident_url(open_incident(shop))

        with broken_database():
            assert reader.get(address).status_code == 503
