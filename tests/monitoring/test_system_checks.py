from __future__ import annotations

from pathlib import Path

import pytest
from django.core.checks import run_checks
from django.urls import path

from monitoring import system_checks
from monitoring.access import TABLE


def ids(messages):
    return [message.id for message in messages]


def test_a_right_installation_has_no_findings():
    assert run_checks() == []


@pytest.mark.parametrize(
    ("name", "value", "said"),
    [
        ("STILLUP_MEASUREMENTS_URL", "mysql://host/x", "STILLUP_MEASUREMENTS_URL begins with 'mysql'"),
        ("STILLUP_LOG_FORMAT", "xml", "STILLUP_LOG_FORMAT is 'xml'; allowed: text, json"),
        ("STILLUP_PROBE_ALLOW", "10.0.0.1/8", "STILLUP_PROBE_ALLOW holds '10.0.0.1/8', which is no network"),
        ("STILLUP_DATA_KEY", "short", "STILLUP_DATA_KEY is no key"),
        ("STILLUP_ADMIN_PASSWORD_FILE", "/nowhere/at/all", "STILLUP_ADMIN_PASSWORD_FILE names /nowhere/at/all"),
    ],
)
def test_a_wrong_variable_is_named_with_a_hint(monkeypatch, name, value, said):
    monkeypatch.setenv(name, value)
    monkeypatch.setenv("STILLUP_ADMIN_USER", "ada")
    (found,) = system_checks.environment()
    assert found.id == "stillup.E001"
    assert found.msg.startswith(said)
    assert found.hint


def test_a_data_directory_that_is_a_file_is_named(settings, tmp_path: Path):
    (tmp_path / "data").write_text("")
    settings.DATA_DIR = tmp_path / "data"
    assert ids(system_checks.data_directory()) == ["stillup.E002"]
    settings.DATA_DIR = tmp_path / "not yet" / "made"
    assert system_checks.data_directory() == []


def test_an_old_sqlite_is_named(monkeypatch):
    monkeypatch.setattr("sqlite3.sqlite_version_info", (3, 34, 1))
    assert ids(system_checks.sqlite_version()) == ["stillup.E003"]


def test_a_page_that_the_table_does_not_name_is_found(settings, monkeypatch):
    from monitoring import urls

    monkeypatch.setattr(urls, "urlpatterns", [*urls.urlpatterns, path("new/", lambda _: None, name="new")])
    settings.ROOT_URLCONF = "monitoring.urls"
    from django.urls import clear_url_caches

    clear_url_caches()
    try:
        (found,) = system_checks.every_url_has_its_access()
    finally:
        clear_url_caches()
    assert found.id == "stillup.E004"
    assert "'/new/': new" in found.msg
    assert "new" not in TABLE


@pytest.mark.parametrize(
    ("url", "found"),
    [
        ("https://status.example.org", []),
        ("http://127.0.0.1:8000", []),
        ("http://[::1]:8000", []),
        ("http://status.example.org", ["stillup.W001"]),
    ],
)
def test_passwords_in_clear_are_warned_of(settings, url, found):
    settings.BASE_URL = url
    assert ids(system_checks.base_url()) == found


def test_what_no_heartbeat_can_be_made_of_is_found_before_a_ping_asks_for_one(settings):
    settings.NEW_HEARTBEAT = {"schedule": {"every": "soon"}, "grace": "1h"}
    (error,) = system_checks.environment()
    assert error.id == "stillup.E001"
    assert "STILLUP_NEW_HEARTBEAT_PERIOD" in error.msg
