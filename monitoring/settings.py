"""Django's settings, all from the environment (`checks.environment`). What is wrong stops the start."""

from __future__ import annotations

from pathlib import Path
from typing import Any
from urllib.parse import unquote, urlsplit

from django.core.management.utils import get_random_secret_key

from checks.environment import EnvironmentProblem, data_dir, read_env
from checks.secretbox import made_once
from monitoring.admin_look import UNFOLD

__all__ = ["UNFOLD"]  # django-unfold reads it from here

BASE_DIR = Path(__file__).resolve().parent.parent
DATA_DIR = data_dir()
BASE_URL = read_env("STILLUP_BASE_URL", "http://127.0.0.1:8000").rstrip("/")

SECRET_KEY = read_env("STILLUP_SECRET_KEY") or made_once(
    DATA_DIR / "secret.key", lambda: get_random_secret_key().encode()
)
DEBUG = False
_base = urlsplit(BASE_URL)
if _base.scheme not in ("http", "https") or not _base.hostname:
    raise EnvironmentProblem(
        f"STILLUP_BASE_URL is {BASE_URL!r}; expected an address such as https://status.example.org"
    )
ALLOWED_HOSTS = [
    host.strip()
    for host in read_env("STILLUP_ALLOWED_HOSTS", f"{_base.hostname},localhost,127.0.0.1,[::1]").split(",")
    if host.strip()
]
CSRF_TRUSTED_ORIGINS = [f"{_base.scheme}://{_base.netloc}"]

INSTALLED_APPS = [
    "unfold",
    "django.contrib.admin.apps.SimpleAdminConfig",  # monitoring.urls loads the screens, so that only web holds them
    "django.contrib.auth",
    "django.contrib.contenttypes",
    "django.contrib.sessions",
    "django.contrib.messages",
    "django.contrib.staticfiles",
    "django_htmx",
    "monitoring",
]
MIDDLEWARE = [
    "django.middleware.security.SecurityMiddleware",
    "monitoring.headers.SecurityHeadersMiddleware",
    "django.contrib.sessions.middleware.SessionMiddleware",
    "django.middleware.common.CommonMiddleware",
    "django.middleware.csrf.CsrfViewMiddleware",
    "django.contrib.auth.middleware.AuthenticationMiddleware",
    "django.contrib.messages.middleware.MessageMiddleware",
    "django_htmx.middleware.HtmxMiddleware",
    "monitoring.access.AccessMiddleware",
]
ROOT_URLCONF = "monitoring.urls"
ASGI_APPLICATION = "monitoring.asgi.application"
TEMPLATES = [
    {
        "BACKEND": "django.template.backends.django.DjangoTemplates",
        "DIRS": [BASE_DIR / "templates"],
        "APP_DIRS": True,
        "OPTIONS": {
            "context_processors": [
                "django.template.context_processors.request",
                "django.contrib.auth.context_processors.auth",
                "django.contrib.messages.context_processors.messages",
            ],
        },
    },
]

_SQLITE_PRAGMAS = (
    "PRAGMA journal_mode=WAL; PRAGMA synchronous=FULL; PRAGMA foreign_keys=ON; PRAGMA journal_size_limit=67108864;"
)


def _database(url: str) -> dict[str, Any]:
    """Django's form of a database URL."""
    if not url or url.startswith("sqlite:"):
        path = Path(unquote(urlsplit(url).path.removeprefix("/"))) if url else DATA_DIR / "config.sqlite3"
        return {
            "ENGINE": "django.db.backends.sqlite3",
            "NAME": path,
            "OPTIONS": {"transaction_mode": "IMMEDIATE", "timeout": 20, "init_command": _SQLITE_PRAGMAS},
        }
    parts = urlsplit(url)
    if parts.scheme not in ("postgresql", "postgres") or not parts.path.strip("/"):
        raise EnvironmentProblem(
            f"STILLUP_DATABASE_URL begins with {parts.scheme!r}; allowed: postgresql://user:password@host/name or sqlite:///path",
        )
    session = "-c statement_timeout=15000 -c lock_timeout=5000 -c idle_in_transaction_session_timeout=30000"
    return {
        "ENGINE": "django.db.backends.postgresql",
        "NAME": unquote(parts.path.strip("/")),
        "USER": unquote(parts.username or ""),
        "PASSWORD": unquote(parts.password or ""),
        "HOST": parts.hostname or "",
        "PORT": str(parts.port or ""),
        # Under ASGI each request has a thread of its own: a connection that is kept is kept by a thread that is gone.
        "CONN_MAX_AGE": 0,
        "OPTIONS": {
            "options": session,
            "connect_timeout": 5,
            "tcp_user_timeout": 10000,
            "keepalives_idle": 10,
            "keepalives_interval": 5,
            "keepalives_count": 3,
            "target_session_attrs": "read-write",
        },
    }


DATABASES = {"default": _database(read_env("STILLUP_DATABASE_URL"))}
DEFAULT_AUTO_FIELD = "django.db.models.BigAutoField"

AUTH_PASSWORD_VALIDATORS = [
    {"NAME": "django.contrib.auth.password_validation.MinimumLengthValidator", "OPTIONS": {"min_length": 12}},
    {"NAME": "django.contrib.auth.password_validation.CommonPasswordValidator"},
    {"NAME": "django.contrib.auth.password_validation.UserAttributeSimilarityValidator"},
]
LOGIN_URL = "admin:login"
LOGIN_REDIRECT_URL = "dashboard"

LANGUAGE_CODE = "en"
TIME_ZONE = "UTC"
USE_TZ = True
USE_I18N = False
FORMAT_MODULE_PATH = ["monitoring.formats"]

STATIC_URL = "/static/"
STATICFILES_DIRS = [BASE_DIR / "static"]

SECURE_CONTENT_TYPE_NOSNIFF = True
SECURE_REFERRER_POLICY = "same-origin"
SECURE_HSTS_SECONDS = 31536000 if _base.scheme == "https" else 0
SESSION_COOKIE_SECURE = CSRF_COOKIE_SECURE = _base.scheme == "https"
SESSION_COOKIE_NAME = "__Host-stillup-session" if SESSION_COOKIE_SECURE else "stillup-session"
CSRF_COOKIE_NAME = "__Host-stillup-csrf" if CSRF_COOKIE_SECURE else "stillup-csrf"
SESSION_COOKIE_HTTPONLY = True
DATA_UPLOAD_MAX_MEMORY_SIZE = 1 << 20

LOGGING_CONFIG = None  # processes configure logging themselves: checks.logs.configure

# What `?create=1` makes of a slug that no monitor has.
NEW_HEARTBEAT = {
    "schedule": {"every": read_env("STILLUP_NEW_HEARTBEAT_PERIOD", "1d")},
    "grace": read_env("STILLUP_NEW_HEARTBEAT_GRACE", "1h"),
}
