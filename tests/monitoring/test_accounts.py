from __future__ import annotations

import pytest
from django.contrib.auth.models import User

from monitoring import accounts

pytestmark = pytest.mark.django_db


def test_the_first_start_makes_an_admin_with_a_random_password():
    made = accounts.ensure_admin()
    assert made is not None
    assert made.name == "admin"
    assert len(made.password or "") >= 20
    user = User.objects.get()
    assert user.check_password(made.password or "")
    assert user.is_superuser


def test_a_second_start_makes_nobody():
    accounts.ensure_admin()
    assert accounts.ensure_admin() is None
    assert User.objects.count() == 1


def test_the_environment_names_the_first_admin(monkeypatch, tmp_path):
    monkeypatch.setenv("STILLUP_ADMIN_USER", "ada")
    (tmp_path / "password").write_text("a very good password\n")
    monkeypatch.setenv("STILLUP_ADMIN_PASSWORD_FILE", str(tmp_path / "password"))
    made = accounts.ensure_admin()
    assert made == accounts.FirstAccount("ada", None)
    assert User.objects.get(username="ada").check_password("a very good password")


def test_an_empty_name_is_no_name(monkeypatch):
    monkeypatch.setenv("STILLUP_ADMIN_USER", "")  # what compose.yaml passes on where nobody set it
    monkeypatch.setenv("STILLUP_ADMIN_PASSWORD", "")
    made = accounts.ensure_admin()
    assert made is not None
    assert made.name == "admin"
    assert made.password


def test_a_weak_password_from_the_environment_is_said_to_be_weak_and_never_shown(monkeypatch, caplog):
    monkeypatch.setenv("STILLUP_ADMIN_PASSWORD", "hunter2")
    assert accounts.ensure_admin() is not None
    assert "STILLUP_ADMIN_PASSWORD is weak" in caplog.text
    assert "hunter2" not in caplog.text


def test_a_person_of_that_name_is_not_promoted(viewer, monkeypatch, caplog):
    monkeypatch.setenv("STILLUP_ADMIN_USER", "viewer")
    assert accounts.ensure_admin() is None
    viewer.refresh_from_db()
    assert not viewer.is_superuser
    assert "There is a user viewer already" in caplog.text


def test_a_random_password_is_in_no_log(caplog):
    caplog.set_level("DEBUG")
    made = accounts.ensure_admin()
    assert made is not None
    assert made.password
    assert made.password not in caplog.text
