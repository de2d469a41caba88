from __future__ import annotations

from uuid import uuid4

import pytest
from django.http import HttpResponse
from django.test import Client, RequestFactory
from django.urls import Resolver404, path, resolve

from monitoring import access
from monitoring.access import TABLE, Access
from monitoring.system_checks import all_urls

pytestmark = pytest.mark.django_db

ROUTES = sorted(set(all_urls()))


def address_of(route: str) -> str:
    """An address that the route matches; what stands behind it does not exist."""
    import re

    filled = route.replace("<path:object_id>", str(uuid4())).replace("<uuid:uuid>", str(uuid4()))
    filled = re.sub(r"<(?:slug|path|str):\w+>", "x", filled)
    filled = re.sub(r"<int:\w+>|<id>|<\w+>", "1", filled)
    filled = re.sub(r"\(\?P<(\w+)>[^)]*\)", "monitoring", filled)
    return filled.replace("^", "").replace("$", "").replace("\\", "")


def test_every_route_of_the_project_is_in_the_table():
    assert len(ROUTES) > 40
    missing = [route for route, name in ROUTES if access.of_name(name) is None]
    assert missing == []


def test_every_line_of_the_table_is_a_route():
    names = {name for _, name in ROUTES}
    assert {name for name in TABLE if not name.endswith(":*")} <= names
    assert any(name.startswith("admin:") for name in names)


def test_the_public_sees_these_pages_and_no_others():
    public = {name for _, name in ROUTES if access.of_name(name) is Access.PUBLIC}
    pages = {"status", "status_page", "public_incident", "admin:login"}
    assert public == {*pages, "healthz", "readyz", "healthchecks_status"}


@pytest.mark.parametrize(("route", "name"), ROUTES)
def test_a_stranger_is_sent_away_from_every_page_that_is_not_public(route, name, client: Client):
    try:
        match = resolve(address_of(route))
    except Resolver404:
        pytest.fail(f"no address was found for {route}")
    answer = client.get(address_of(route))
    if access.access_of(match) is Access.PUBLIC:
        assert answer.status_code in (200, 404, 503)
        return
    if access.access_of(match) is Access.KEY:
        answers = [client.get(address_of(route)), client.post(address_of(route)), client.delete(address_of(route))]
        assert {answer.status_code for answer in answers} <= {401, 405}
        assert all("no-store" in answer.headers["Cache-Control"] for answer in answers)
        return
    assert answer.status_code == 302
    assert answer.headers["Location"].startswith("/admin/login/?next=/")
    assert "no-store" in answer.headers["Cache-Control"]
    assert client.post(address_of(route)).status_code == 403
    assert client.delete(address_of(route)).status_code == 403


@pytest.mark.parametrize(("route", "name"), ROUTES)
def test_one_who_may_only_look_is_refused_every_page_of_staff(route, name, viewer, client: Client):
    match = resolve(address_of(route))
    client.force_login(viewer)
    answer = client.get(address_of(route))
    if access.access_of(match) is Access.STAFF:
        assert answer.status_code == 403
    else:
        assert answer.status_code != 403


def test_what_the_table_does_not_name_is_denied_to_everybody(admin_user, rf: RequestFactory):
    request = rf.get("/new/")
    request.user = admin_user
    request.resolver_match = path("new/", lambda _: HttpResponse(), name="new").resolve("new/")
    middleware = access.AccessMiddleware(lambda _: HttpResponse())
    with pytest.raises(access.PermissionDenied, match="not in the table"):
        middleware.process_view(request, lambda _: HttpResponse(), (), {})


def test_one_without_staff_signs_in_and_lands_on_the_dashboard(viewer, client: Client, published_to_sqlite):
    answer = client.post(
        "/admin/login/?next=/dashboard/",
        {"username": "viewer", "password": "correct horse battery", "next": "/dashboard/"},
    )
    assert (answer.status_code, answer.headers["Location"]) == (302, "/dashboard/")
    assert client.get("/dashboard/").status_code == 200


def test_an_account_that_was_switched_off_signs_in_no_more(viewer, client: Client):
    viewer.is_active = False
    viewer.save()
    answer = client.post("/admin/login/", {"username": "viewer", "password": "correct horse battery"})
    assert answer.status_code == 200
    assert client.get("/dashboard/").status_code == 302


def test_a_post_without_its_token_is_refused(admin_user):
    client = Client(enforce_csrf_checks=True)
    client.force_login(admin_user)
    assert client.post("/admin/monitoring/monitor/add/?kind=http", {"name": "x"}).status_code == 403


def test_public_pages_set_no_cookie_and_do_not_vary_by_one(client: Client):
    answer = client.get("/")
    assert not answer.cookies
    assert "Cookie" not in answer.headers.get("Vary", "")
    assert "no-store" not in answer.headers.get("Cache-Control", "")
