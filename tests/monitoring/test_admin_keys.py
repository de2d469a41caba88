from __future__ import annotations

import re

import pytest
from django.test import Client

from checks.heartbeats.hearing import hear_all
from checks.heartbeats.runs import Action, Named, Ping, Verdict
from checks.store.ping_codes import key_uses
from monitoring import ping_keys
from monitoring.models import ApiKey, PingKey
from monitoring.models.access import digest_of
from tests.factories import NOON

pytestmark = pytest.mark.django_db

PING_KEYS, API_KEYS = "/admin/monitoring/pingkey/", "/admin/monitoring/apikey/"


@pytest.fixture
def page(published_to_sqlite, operator_client: Client) -> Client:
    return operator_client


def text_of(answer) -> str:
    """The key that the answer shows."""
    assert answer.status_code == 200
    shown = re.search(r'<pre id="key"[^>]*>([\w-]+)</pre>', answer.content.decode())
    assert shown is not None, answer.context["adminform"].form.errors if "adminform" in answer.context else ""
    return shown[1]


def test_a_ping_key_is_shown_once_and_opens_at_once(page, committed, make_monitor, published_to_sqlite):
    monitor = make_monitor(kind="heartbeat", slug="backup")
    with committed():
        answer = page.post(f"{PING_KEYS}add/", {"name": "cron"})

    text = text_of(answer)

    assert f"/ping/{text}/your-slug" in answer.content.decode()
    assert "no-store" in answer.headers["Cache-Control"]
    key = PingKey.objects.get()
    assert (key.name, key.creates, key.digest) == ("cron", False, digest_of(text))
    named = Named(bytes.fromhex(key.digest), monitor.slug)
    with published_to_sqlite.begin() as conn:
        ping = Ping(address=named, action=Action.SUCCESS, received_at=NOON)
        assert hear_all(conn, [ping], NOON)[0] == [Verdict.STORED]
    for address in (PING_KEYS, f"{PING_KEYS}{key.pk}/change/"):
        body = page.get(address).content.decode()
        assert "cron" in body
        assert text not in body
        assert key.digest not in body


def test_the_list_of_ping_keys_says_when_each_was_used_last(page, committed, published_to_sqlite, monkeypatch):
    with committed():
        used, _ = ping_keys.create("used")
        ping_keys.create("idle", creates=True)
    with published_to_sqlite.begin() as conn:
        named = Named(bytes.fromhex(used.digest), "none")
        hear_all(conn, [Ping(address=named, action=Action.SUCCESS, received_at=NOON)], NOON)

    rows = [re.sub(r"<[^>]+>", " ", row) for row in page.get(PING_KEYS).content.decode().split("<tr")]

    assert "2026-03-10 12:20:00 UTC" in next(row for row in rows if " used " in row)
    assert "never" in next(row for row in rows if " idle " in row)
    monkeypatch.setenv("STILLUP_MEASUREMENTS_URL", "sqlite:////nowhere/at/all.sqlite3")
    assert page.get(PING_KEYS).status_code == 200


@pytest.mark.parametrize("several", [False, True])
def test_a_ping_key_that_is_deleted_opens_nothing(page, committed, published_to_sqlite, several):
    with committed():
        key, _ = ping_keys.create("cron")
        ping_keys.create("other")
    with committed():
        if several:
            page.post(PING_KEYS, {"action": "delete_selected", "_selected_action": [key.pk], "post": "yes"})
        else:
            page.post(f"{PING_KEYS}{key.pk}/delete/", {"post": "yes"})
    assert [each.name for each in PingKey.objects.all()] == ["other"]
    with published_to_sqlite.begin() as conn:
        assert len(key_uses(conn)) == 1


def test_an_api_key_is_shown_once_with_its_role(page):
    answer = page.post(f"{API_KEYS}add/", {"name": "terraform", "role": "write"})

    text = text_of(answer)

    key = ApiKey.objects.get()
    assert (key.name, key.role, key.digest, key.last_used_at) == ("terraform", "write", digest_of(text), None)
    assert f"X-Api-Key: {text}" in answer.content.decode().replace("&#x27;", "'")
    listed = page.get(API_KEYS).content.decode()
    assert "read and write" in listed
    assert "never" in listed
    assert text not in listed


@pytest.mark.parametrize(("address", "made"), [(PING_KEYS, {}), (API_KEYS, {"role": "read"})])
def test_a_key_is_never_changed_and_no_name_stands_twice(page, committed, address, made):
    with committed():
        text_of(page.post(f"{address}add/", {"name": "one", **made}))
    model = PingKey if address == PING_KEYS else ApiKey
    key = model.objects.get()
    before = key.digest

    again = page.post(f"{address}add/", {"name": "one", **made})
    changed = page.post(f"{address}{key.pk}/change/", {"name": "two", "role": "write", "creates": "on"})

    assert "already exists" in again.content.decode()
    assert changed.status_code == 403
    key.refresh_from_db()
    assert (key.name, key.digest, model.objects.count()) == ("one", before, 1)


def test_one_without_the_permission_makes_no_key(viewer, client: Client):
    viewer.is_staff = True
    viewer.save()
    client.force_login(viewer)
    for address in (PING_KEYS, API_KEYS):
        assert client.get(address).status_code == 403
        assert client.post(f"{address}add/", {"name": "mine", "role": "write"}).status_code == 403
    assert PingKey.objects.count() + ApiKey.objects.count() == 0
