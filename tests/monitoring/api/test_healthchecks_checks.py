"""What can be asked of checks, and what is refused."""

from __future__ import annotations

from datetime import timedelta
from uuid import uuid4

import pytest
from django.db import IntegrityError

from checks import clock, sight
from checks.heartbeats.sweep import sweep
from checks.spec import dump
from checks.store.schema import sign_of_life
from monitoring import publish
from monitoring.api.healthchecks import heartbeats
from monitoring.models import Monitor
from tests.factories import make_spec

pytestmark = [pytest.mark.django_db, pytest.mark.usefixtures("published_to_sqlite")]


@pytest.fixture
def backup(make_monitor) -> Monitor:
    return make_monitor(kind="heartbeat", name="Nightly backup", tags=["db", "prod"], max_run="2h")


def slugs(answer) -> list[str]:
    assert answer.status_code == 200
    return [check["slug"] for check in answer.json()["checks"]]


def error(answer, status: int = 400) -> str:
    assert (answer.status_code, list(answer.json())) == (status, ["error"])
    return answer.json()["error"]


# Finding


def test_only_heartbeats_that_are_watched_or_paused_are_checks(ask, make_monitor, backup, committed):
    make_monitor(name="Shop")
    retired = make_monitor(kind="heartbeat", name="Retired")
    with committed():
        publish.retire(retired)
    assert slugs(ask("GET", "checks/")) == ["nightly-backup"]
    assert error(ask("GET", f"checks/{retired.uuid}"), 404) == "there is no such check"


def test_checks_are_chosen_by_slug_and_by_every_tag(ask, make_monitor, backup):
    make_monitor(kind="heartbeat", name="Other", tags=["db"])
    assert slugs(ask("GET", "checks/?tag=db")) == ["nightly-backup", "other"]
    assert slugs(ask("GET", "checks/?tag=db&tag=prod")) == ["nightly-backup"]
    assert slugs(ask("GET", "checks/?slug=other")) == ["other"]
    assert slugs(ask("GET", "checks/?slug=other&tag=prod")) == []
    assert slugs(ask("GET", "checks/?slug=%00&tag=%00")) == []


def test_a_check_is_found_by_its_uuid_its_ping_code_and_its_unique_key(ask, read_key, backup):
    key = ask("GET", "checks/", key=read_key).json()["checks"][0]["unique_key"]
    for name in (backup.uuid, str(backup.uuid).upper(), backup.ping_code, key):
        assert ask("GET", f"checks/{name}").json()["uuid"] == str(backup.ping_code)
    for name in (uuid4(), "0" * 40, "nightly-backup", "x", "%00", "é"):
        assert error(ask("GET", f"checks/{name}"), 404) == "there is no such check"
    assert ask("GET", f"checks/{key}/flips/").status_code == 200
    assert "UUID" in error(ask("POST", f"checks/{key}", {}), 405)
    assert error(ask("DELETE", f"checks/{key}"), 405)


@pytest.mark.parametrize(("version", "status"), [(1, "started"), (2, "up"), (3, "up")])
def test_the_first_version_calls_a_run_that_goes_on_a_status(ask, backup, hear, version, status):
    hear(backup, "success", (60, "start"))
    check = ask("GET", f"checks/{backup.uuid}", version=version).json()
    assert (check["status"], check["started"]) == (status, True)
    assert f"/api/v{version}/checks/" in check["update_url"]


def test_one_whose_options_can_not_be_read_hides_no_other(ask, make_monitor, backup):
    broken = make_monitor(kind="heartbeat", name="Broken")
    Monitor.objects.filter(pk=broken.pk).update(spec={"kind": "heartbeat", "name": "Broken", "tags": None})
    assert slugs(ask("GET", "checks/")) == ["nightly-backup"]
    assert "can't be read" in error(ask("GET", f"checks/{broken.uuid}"), 409)
    assert "can't be read" in error(ask("POST", f"checks/{broken.uuid}", {"grace": 60}), 409)


# Making


def test_a_check_of_nothing_but_a_name_has_the_schedule_of_new_heartbeats(ask):
    check = ask("POST", "checks/", {"name": "Backups"}).json()
    assert (check["timeout"], check["grace"]) == (86400, 3600)


def test_a_check_of_a_calendar_says_it_back(ask):
    check = ask("POST", "checks/", {"name": "Backups", "schedule": "15 5 * * *", "tz": "Europe/Riga"}).json()
    assert (check["schedule"], check["tz"], "timeout" in check) == ("15 5 * * *", "Europe/Riga", False)
    lines = "Mon 03:00\n*-*-01 04:00"
    assert ask("POST", f"checks/{check['uuid']}", {"schedule": lines}).json()["schedule"] == lines


def test_a_name_that_is_taken_makes_another_slug_and_a_slug_that_is_taken_is_refused(ask, backup):
    names = ["Nightly backup", "Nightly  Backup!", "x" * 100, "x" * 99 + "y", "x" * 100, "Ежедневно", "Ежедневно"]
    made = [ask("POST", "checks/", {"name": name}).json()["slug"] for name in names]
    assert made[:2] == ["nightly-backup-2", "nightly-backup-3"]
    assert made[2:] == ["x" * 100, "x" * 99 + "y", "x" * 98 + "-2", "heartbeat", "heartbeat-2"]
    message = error(ask("POST", "checks/", {"name": "Other", "slug": " nightly-backup"}))
    assert message == (
        'json validation error: slug is "nightly-backup"; that of another monitor: Nightly backup;'
        " allowed: one that is free"
    )


def test_a_slug_that_is_taken_is_refused_to_a_check_that_has_another(ask, backup, make_monitor):
    make_monitor(name="Shop")
    assert "that of another monitor: Shop" in error(ask("POST", f"checks/{backup.uuid}", {"slug": "shop"}))
    assert ask("POST", f"checks/{backup.uuid}", {"slug": " nightly-backup "}).status_code == 200


def test_a_check_without_a_name_is_called_by_its_slug_and_one_without_both_is_refused(ask):
    assert ask("POST", "checks/", {"slug": "backups"}).json()["name"] == "backups"
    assert "name is missing" in error(ask("POST", "checks/", {"timeout": 60, "slug": ""}))


@pytest.mark.parametrize(
    ("asked", "is_same"),
    [
        ({"name": "Nightly backup", "unique": ["name"]}, True),
        ({"name": "nightly backup", "unique": ["name"]}, False),
        ({"name": "New", "slug": "nightly-backup", "unique": ["slug"]}, True),
        ({"name": "New", "tags": "db prod", "unique": ["tags"]}, True),
        ({"name": "New", "tags": "db", "unique": ["tags"]}, False),
        ({"name": "Nightly backup", "timeout": 60, "grace": 300, "unique": ["name", "timeout", "grace"]}, True),
        ({"name": "Nightly backup", "timeout": 61, "unique": ["name", "timeout"]}, False),
        ({"name": "Nightly backup", "grace": 61, "unique": ["name", "grace"]}, False),
        ({"name": "Nightly backup", "unique": ["name", "grace"]}, False),
        ({"name": "Nightly backup", "unique": []}, False),
    ],
)
def test_a_post_changes_the_check_that_it_is_unique_with(ask, backup, asked, is_same):
    answer = ask("POST", "checks/", asked)
    assert (answer.status_code, Monitor.objects.count()) == ((200, 1) if is_same else (201, 2))


def test_two_that_take_a_slug_at_once_both_get_one(ask, monkeypatch):
    real, calls = publish.change, []

    def change(*arguments, **options):
        calls.append(options)
        if len(calls) == 1:  # as if another process had been faster
            raise IntegrityError("slug")
        return real(*arguments, **options)

    monkeypatch.setattr(publish, "change", change)
    assert ask("POST", "checks/", {"name": "Backups"}).status_code == 201
    monkeypatch.setattr(heartbeats, "_TRIES", 0)
    assert "try again" in error(ask("POST", "checks/", {"name": "Backups"}), 409)


# Changing


def test_a_post_changes_what_it_names_and_keeps_the_rest(ask, backup):
    before = dump(publish.spec_of(backup))
    check = ask("POST", f"checks/{backup.uuid}", {"desc": "Ask Ann.", "methods": "POST", "grace": 90}).json()
    assert (check["desc"], check["methods"], check["grace"]) == ("Ask Ann.", "POST", 90)
    after = dump(publish.spec_of(Monitor.objects.get()))
    assert after == {**before, "description": "Ask Ann.", "post_only": True, "grace": "90s"}
    revision = Monitor.objects.get().revision
    assert ask("POST", f"checks/{backup.uuid}", {}).status_code == 200
    assert Monitor.objects.get().revision == revision


@pytest.mark.parametrize(("version", "slug"), [(1, "weekly"), (2, "weekly"), (3, "nightly-backup")])
def test_before_the_third_version_a_new_name_makes_a_new_slug(ask, backup, version, slug):
    assert ask("POST", f"checks/{backup.uuid}", {"name": "Weekly"}, version=version).json()["slug"] == slug
    again = ask("POST", f"checks/{backup.uuid}", {"name": "Weekly", "slug": "mine"}, version=version)
    assert again.json()["slug"] == "mine"


def test_a_member_of_a_group_keeps_its_slug(ask, backup, make_monitor):
    make_monitor(kind="group", name="All jobs", members=["nightly-backup"])
    message = error(ask("POST", f"checks/{backup.uuid}", {"slug": "weekly"}))
    assert "nightly-backup is a member of all-jobs" in message


def test_what_the_file_owns_is_read_only_and_can_be_paused(ask, make_monitor):
    owned = make_monitor(kind="heartbeat", name="Owned", owner="file")
    name = f"checks/{owned.uuid}"
    for method, path, document in (
        ("POST", name, {"grace": 60}),
        ("DELETE", name, None),
        ("POST", "checks/", {"name": "Owned", "unique": ["name"]}),
    ):
        assert "configuration file" in error(ask(method, path, document), 403)
    assert ask("POST", f"{name}/pause").json()["status"] == "paused"
    assert ask("POST", f"{name}/resume").json()["status"] == "new"
    assert Monitor.objects.get().retired_at is None


def test_a_check_that_is_deleted_while_it_is_changed_is_gone(ask, backup, monkeypatch):
    found = heartbeats.find(str(backup.uuid))
    monkeypatch.setattr(heartbeats, "find", lambda _: found)
    publish.delete(Monitor.objects.get())
    for method, path, document in (
        ("POST", "", {"grace": 60}),
        ("POST", "/pause", None),
        ("DELETE", "", None),
    ):
        assert error(ask(method, f"checks/{backup.uuid}{path}", document), 404) == "there is no such check"


def test_a_check_that_is_late_is_in_its_grace(ask, backup, hear, begin, published_to_sqlite):
    hear(backup, "success")
    late = begin + timedelta(seconds=170)
    with published_to_sqlite.begin() as conn:
        conn.execute(
            sign_of_life.insert().values(
                process="w", role=sight.WEB, location=sight.EVERYWHERE, started_at=begin, at=late
            )
        )
        sweep(conn, late)
    check = ask("GET", f"checks/{backup.uuid}").json()
    assert (check["status"], check["next_ping"]) == ("grace", (begin + timedelta(seconds=60)).isoformat())


# Flips


@pytest.mark.parametrize(
    "query",
    ["start=abc", "start=-1", "start=10000000001", "end=1.5", "end=%00", "seconds=31536001", "seconds=٣", "start=1e3"],
)
def test_a_time_that_is_none_is_refused(ask, backup, query):
    assert "; allowed: whole seconds, 0 to " in error(ask("GET", f"checks/{backup.uuid}/flips/?{query}"))


def test_the_last_seconds_are_counted_from_now(ask, backup, hear):
    hear(backup, "success")
    clock.set_offset(600)
    assert len(ask("GET", f"checks/{backup.uuid}/flips/?seconds=1000").json()["flips"]) == 1
    assert ask("GET", f"checks/{backup.uuid}/flips/?seconds=200").json()["flips"] == []


def test_a_heartbeat_of_several_expressions_says_them_line_by_line(ask, make_monitor):
    monitor = make_monitor(kind="heartbeat", name="Both", schedule={"cron": ["0 3 * * *", "0 4 * * 1"]})
    check = ask("GET", f"checks/{monitor.uuid}").json()
    assert check["schedule"] == "0 3 * * *\n0 4 * * 1"
    assert ask("POST", f"checks/{monitor.uuid}", {"schedule": check["schedule"]}).status_code == 200
    assert publish.spec_of(Monitor.objects.get()) == make_spec(
        kind="heartbeat", name="Both", schedule={"cron": ["0 3 * * *", "0 4 * * 1"]}
    )
