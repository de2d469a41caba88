from __future__ import annotations

import json
import os
import subprocess
import sys

import pytest

SHOW = """
import json, django
from django.conf import settings as s
django.setup()
print(json.dumps({
    "hosts": s.ALLOWED_HOSTS, "base": s.BASE_URL, "origins": s.CSRF_TRUSTED_ORIGINS, "database": s.DATABASES["default"],
    "secure": [s.SESSION_COOKIE_SECURE, s.CSRF_COOKIE_SECURE], "cookie": s.SESSION_COOKIE_NAME,
    "hsts": s.SECURE_HSTS_SECONDS, "debug": s.DEBUG, "key": s.SECRET_KEY,
}, default=str))
"""


def run(tmp_path, program=SHOW, **environment):
    kept = {name: os.environ[name] for name in ("PATH", "HOME") if name in os.environ}
    defaults = {"DJANGO_SETTINGS_MODULE": "monitoring.settings", "STILLUP_DATA_DIR": str(tmp_path / "data")}
    return subprocess.run(
        [sys.executable, "-c", program],
        env={**kept, **defaults, **environment},
        capture_output=True,
        text=True,
        check=False,
        timeout=60,
    )


def shown(tmp_path, **environment):
    done = run(tmp_path, **environment)
    assert done.returncode == 0, done.stderr
    return json.loads(done.stdout)


def test_without_any_variable_it_is_a_sqlite_file_on_loopback(tmp_path):
    found = shown(tmp_path)
    assert found["base"] == "http://127.0.0.1:8000"
    assert found["hosts"] == ["127.0.0.1", "localhost", "127.0.0.1", "[::1]"]
    assert found["database"]["NAME"] == str(tmp_path / "data" / "config.sqlite3")
    assert found["database"]["OPTIONS"]["transaction_mode"] == "IMMEDIATE"
    assert found["debug"] is False


def test_the_secret_key_is_made_once_and_kept_for_its_owner_only(tmp_path):
    first, second = shown(tmp_path), shown(tmp_path)
    assert first["key"] == second["key"]
    assert len(first["key"]) >= 50
    assert (tmp_path / "data" / "secret.key").stat().st_mode & 0o777 == 0o600


def test_behind_https_cookies_are_secure_and_browsers_stay_there(tmp_path):
    found = shown(tmp_path, STILLUP_BASE_URL="https://status.example.org/")
    assert found["base"] == "https://status.example.org"
    assert found["origins"] == ["https://status.example.org"]
    assert found["secure"] == [True, True]
    assert found["cookie"].startswith("__Host-")
    assert found["hsts"] == 31536000


def test_a_postgresql_url_is_read_with_its_password_and_limits(tmp_path):
    found = shown(tmp_path, STILLUP_DATABASE_URL="postgresql://me:p%40ss@db.example.org:5433/stillup")["database"]
    assert (found["ENGINE"], found["HOST"], found["PORT"]) == (
        "django.db.backends.postgresql",
        "db.example.org",
        "5433",
    )
    assert (found["USER"], found["PASSWORD"], found["NAME"]) == ("me", "p@ss", "stillup")
    assert "statement_timeout" in found["OPTIONS"]["options"]


@pytest.mark.parametrize(
    ("name", "value", "said"),
    [
        ("STILLUP_BASE_URL", "status.example.org", "STILLUP_BASE_URL is 'status.example.org'"),
        ("STILLUP_DATABASE_URL", "mysql://host/name", "STILLUP_DATABASE_URL begins with 'mysql'"),
        ("STILLUP_DATABASE_URL", "postgresql://host", "STILLUP_DATABASE_URL begins with 'postgresql'"),
        ("STILLUP_SECRET_KEY_FILE", "/nowhere/at/all", "STILLUP_SECRET_KEY_FILE names /nowhere/at/all"),
    ],
)
def test_what_is_wrong_stops_the_start_with_status_78(tmp_path, name, value, said):
    program = "import sys; from monitoring.command_line import main; sys.exit(main(['manage.py', 'check']))"
    done = run(tmp_path, program, **{name: value})
    assert done.returncode == 78
    assert done.stderr.startswith(f"stillup: {said}")
    assert "Traceback" not in done.stderr


def test_static_files_and_sessions_need_no_setting_of_django(tmp_path):
    program = "import django; django.setup(); from django.core.management import call_command; call_command('check')"
    done = run(tmp_path, program, STILLUP_BASE_URL="https://status.example.org")
    assert done.returncode == 0, done.stderr
