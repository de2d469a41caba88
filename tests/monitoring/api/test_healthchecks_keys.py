"""Who may ask what, and who is told about a check."""

from __future__ import annotations

from datetime import timedelta

import pytest
import sqlalchemy as sa
from django.db import DatabaseError
from django.test import Client

from checks import clock
from monitoring import publish
from monitoring.api import keys
from monitoring.api.healthchecks.endpoint import MAX_BODY
from monitoring.models import AlertRule, ApiKey, Channel, Monitor
from monitoring.models.access import digest_of
from tests.monitoring.api.test_healthchecks_checks import error

pytestmark = [pytest.mark.django_db, pytest.mark.usefixtures("published_to_sqlite")]


@pytest.fixture
def backup(make_monitor) -> Monitor:
    return make_monitor(kind="heartbeat", name="Nightly backup", tags=["db"])


# Keys

READING = [("GET", ""), ("GET", "{}"), ("GET", "{}/flips/")]
WRITING = [
    ("POST", ""),
    ("POST", "{}"),
    ("DELETE", "{}"),
    ("POST", "{}/pause"),
    ("POST", "{}/resume"),
    ("GET", "{}/pings/"),
    ("GET", "{}/pings/1/body"),
]


@pytest.mark.parametrize(("method", "path"), [*READING, *WRITING, ("GET", "../channels/")])
def test_without_a_key_nothing_is_said(ask, backup, method, path):
    path = f"checks/{path.format(backup.uuid)}".replace("checks/../", "")
    assert error(ask(method, path, key=""), 401).startswith("missing api key")
    for wrong in ("x", "X" * 32, "é" * 32, "\x00", "x" * 5000):
        assert error(ask(method, path, key=wrong), 401) == "wrong api key"


@pytest.mark.parametrize(("method", "path"), WRITING)
def test_a_key_that_only_reads_changes_nothing_and_sees_no_pings(ask, backup, read_key, method, path):
    message = error(ask(method, f"checks/{path.format(backup.uuid)}", key=read_key), 401)
    assert message == "wrong api key: this one only reads"
    assert Monitor.objects.get().revision == 1


def test_a_key_that_only_reads_sees_no_channels(ask, read_key):
    assert error(ask("GET", "channels/", key=read_key), 401)


def test_a_key_that_only_reads_is_not_shown_what_would_allow_to_ping(ask, backup, read_key):
    full = ask("GET", f"checks/{backup.uuid}").json()
    shown = ask("GET", f"checks/{backup.uuid}", key=read_key)
    secret = {"uuid", "ping_url", "update_url", "pause_url", "resume_url", "channels"}
    assert shown.json() == {name: value for name, value in full.items() if name not in secret} | {
        "unique_key": shown.json()["unique_key"]
    }
    for hidden in (backup.uuid, backup.ping_code):
        assert str(hidden) not in shown.content.decode()
    assert ask("GET", "checks/", key=read_key).json() == {"checks": [shown.json()]}
    assert ask("GET", f"checks/{backup.uuid}/flips/", key=read_key).json() == {"flips": []}


def test_a_post_may_have_the_key_in_its_document(write_key, client: Client, backup):
    url = "/api/v1/checks/"
    asked = {"api_key": write_key, "name": "Backups"}
    assert client.post(url, asked, content_type="application/json").status_code == 201
    for wrong in ("", "x", 5, None, ["x"], {"a": 1}, "\ud800"):
        answer = client.post(url, {**asked, "api_key": wrong}, content_type="application/json")
        assert answer.status_code == 401
    assert client.get(f"{url}?api_key={write_key}").status_code == 401
    assert client.generic("DELETE", f"{url}{backup.uuid}", f'{{"api_key": "{write_key}"}}').status_code == 401


def test_a_header_goes_before_the_document(ask, write_key):
    assert error(ask("POST", "checks/", {"api_key": write_key, "name": "x"}, key="x"), 401)


def test_the_use_of_a_key_is_noted_at_most_once_a_minute(ask, write_key):
    begun = clock.utcnow()
    ask("GET", "checks/")
    first = ApiKey.objects.get(digest=digest_of(write_key)).last_used_at
    assert begun <= first <= clock.utcnow()
    clock.set_offset(30)
    ask("GET", "checks/")
    assert ApiKey.objects.get(digest=digest_of(write_key)).last_used_at == first
    clock.set_offset(61)
    ask("GET", "checks/")
    assert ApiKey.objects.get(digest=digest_of(write_key)).last_used_at >= first + timedelta(seconds=60)


def test_a_use_that_can_not_be_noted_refuses_nobody(ask, monkeypatch, caplog):
    def atomic():
        raise DatabaseError("locked")

    monkeypatch.setattr(keys.transaction, "atomic", atomic)
    assert ask("GET", "checks/").status_code == 200
    assert "could not be noted" in caplog.text


# The form of answers


@pytest.mark.parametrize(
    ("path", "allowed"),
    [
        ("checks/", "GET, POST, OPTIONS"),
        ("checks/{}", "GET, POST, DELETE, OPTIONS"),
        ("checks/{}/pause", "POST, OPTIONS"),
        ("checks/{}/resume", "POST, OPTIONS"),
        ("checks/{}/pings/", "GET, OPTIONS"),
        ("checks/{}/flips/", "GET, OPTIONS"),
        ("channels/", "GET, OPTIONS"),
        ("status/", "GET, OPTIONS"),
    ],
)
def test_a_page_of_another_origin_may_ask_with_a_key(ask, backup, path, allowed):
    path = path.format(backup.uuid)
    answer = ask("OPTIONS", path, key="")
    assert (answer.status_code, answer.headers["Access-Control-Allow-Methods"]) == (204, allowed)
    assert answer.headers["Access-Control-Allow-Headers"] == "X-Api-Key"
    refused = ask("PUT", path)
    assert error(refused, 405) == f"PUT is not possible here; allowed: {allowed}"
    assert (refused.headers["Allow"], refused.headers["Access-Control-Allow-Origin"]) == (allowed, "*")


def test_no_answer_sets_a_cookie_or_is_kept_by_anybody(ask, backup):
    for answer in (ask("GET", "checks/"), ask("POST", f"checks/{backup.uuid}", {}), ask("GET", "checks/", key="x")):
        assert not answer.cookies
        assert "no-store" in answer.headers["Cache-Control"]
        assert "Cookie" not in answer.headers.get("Vary", "")
        assert answer.headers["Access-Control-Allow-Origin"] == "*"


@pytest.mark.parametrize("body", [b"{", b"\xff\xfe", b"[" * 60_000, b'{"a":' * 10_000, b"name=Backups", b"1" * 5000])
def test_a_body_that_is_no_json_is_refused(ask, body):
    assert error(ask("POST", "checks/", body)).startswith("could not parse request body")


@pytest.mark.parametrize("body", [b"[]", b"5", b'"x"', b"null", b"true", b"NaN"])
def test_a_body_that_is_no_object_is_refused(ask, body):
    assert "is not an object" in error(ask("POST", "checks/", body))


def test_a_body_that_is_too_large_is_refused(ask):
    assert "at most" in error(ask("POST", "checks/", b'{"desc": "' + b"x" * MAX_BODY + b'"}'), 413)


def test_a_store_that_is_gone_fails_reading_and_no_change(ask, backup, monkeypatch, tmp_path):
    gone = sa.create_engine(f"sqlite:///{tmp_path}/gone/measurements.sqlite3")
    monkeypatch.setattr(publish, "store_engine", lambda: gone)
    answer = ask("GET", "checks/")
    assert (error(answer, 503), answer.headers["Retry-After"]) == (
        "the databases can't be used at the moment; try again",
        "10",
    )
    assert error(ask("GET", "status/", key=""), 503)
    changed = ask("POST", f"checks/{backup.uuid}", {"grace": 90})
    assert (changed.status_code, changed.json()["grace"], changed.json()["status"]) == (200, 90, "new")


# Channels


def test_channels_are_listed_without_their_addresses(ask, make_channel):
    mail = make_channel("Ann", url="mailtos://ann:word@example.org")
    chat = make_channel("Chat", url="slack://TokenA/TokenB/TokenC")
    assert ask("GET", "channels/").json() == {
        "channels": [
            {"id": str(mail.uuid), "name": "Ann", "kind": "email"},
            {"id": str(chat.uuid), "name": "Chat", "kind": "slack"},
        ]
    }


def test_a_channel_that_can_not_be_opened_is_listed_all_the_same(ask, make_channel):
    channel = make_channel("Ann")
    Channel.objects.filter(pk=channel.pk).update(sealed_url="sealed with another key")
    assert ask("GET", "channels/").json()["channels"][0]["kind"] == "unknown"


def test_the_channels_of_a_check_are_those_that_alert_rules_tell(ask, backup, make_channel):
    told = {make_channel("All", match={}).uuid, make_channel("Databases", match={"tags": ["db"]}).uuid}
    make_channel("Web", match={"tags": ["web"]})
    make_channel("Nobody's")
    AlertRule.objects.create(name="broken", match={"tags": "db"})
    assert ask("GET", f"checks/{backup.uuid}").json()["channels"] == ",".join(sorted(map(str, told)))
    assert ask("GET", "checks/").json()["checks"][0]["channels"].count(",") == 1


def test_channels_are_accepted_where_an_alert_rule_tells_them(ask, make_channel):
    ann, bob = make_channel("Ann", match={}), make_channel("Bob", match={"tags": ["db"]})
    make_channel("Eve")
    for channels in ("", "*", "Ann", str(ann.uuid), f"{bob.uuid},Ann", "Ann,Ann"):
        assert ask("POST", "checks/", {"name": "x", "tags": "db", "channels": channels}).status_code == 201
    for channels, name in (("Eve", "Eve"), ("Ann,Eve", "Eve")):
        message = error(ask("POST", "checks/", {"name": "x", "tags": "db", "channels": channels}))
        assert f'channels names "{name}", and no alert rule tells it about this monitor' in message
    message = error(ask("POST", "checks/", {"name": "x", "channels": "Bob"}))
    assert "no alert rule tells it" in message


@pytest.mark.parametrize("channels", ["Annn", "00000000-0000-0000-0000-000000000001", "Ann,", ",", "Ann, Bob"])
def test_a_channel_that_there_is_not_is_named_with_those_that_there_are(ask, make_channel, channels):
    make_channel("Ann", match={})
    make_channel("Bob", match={})
    message = error(ask("POST", "checks/", {"name": "x", "channels": channels}))
    assert message.startswith("json validation error: channels names ")
    assert message.endswith("and no channel is called that; allowed: Ann, Bob")


def test_all_channels_are_refused_where_nobody_would_be_told(ask, make_channel):
    assert ask("POST", "checks/", {"name": "x", "channels": "*"}).status_code == 201
    make_channel("Ann")
    assert "nobody would be told" in error(ask("POST", "checks/", {"name": "x", "channels": "*"}))
