"""What is wrong with this installation before it starts: each finding has an id, and a hint that says what to do.

They touch no database and no network; the schemas are checked where a process opens the stores.
"""

from __future__ import annotations

import os
import sqlite3
from collections.abc import Iterator
from typing import Any
from urllib.parse import urlsplit

from django.conf import settings
from django.core.checks import CheckMessage, Error, Warning, register  # noqa: A004 - Django's word for it
from django.urls import URLPattern, URLResolver, get_resolver

from checks.environment import EnvironmentProblem, measurements_url, read_choice, read_env
from checks.network.guard import Guard
from checks.probes import parse_spec
from checks.secretbox import SecretBox
from checks.store.ages import ages
from monitoring import access

SQLITE_NEEDED = (3, 35, 0)  # RETURNING
LOOPBACK = ("127.0.0.1", "localhost", "::1")


def environment(**options: Any) -> list[CheckMessage]:
    """E001: a setting that is read later than Django's own is wrong."""
    del options
    found: list[CheckMessage] = []
    for look in (
        measurements_url,
        ages,
        lambda: read_choice("STILLUP_LOG_FORMAT", "text", ("text", "json")),
        lambda: (keys := read_env("STILLUP_DATA_KEY")) and SecretBox(keys),
        Guard.from_environment,
        lambda: read_env("STILLUP_ADMIN_USER") and read_env("STILLUP_ADMIN_PASSWORD"),
        _new_heartbeat,
    ):
        try:
            look()
        except EnvironmentProblem as exc:
            found.append(Error(str(exc), hint="Correct or remove the variable.", id="stillup.E001"))
    return found


def _new_heartbeat() -> None:
    try:
        parse_spec({"kind": "heartbeat", "name": "new", **settings.NEW_HEARTBEAT})
    except ValueError as exc:
        raise EnvironmentProblem(f"STILLUP_NEW_HEARTBEAT_PERIOD or _GRACE makes no heartbeat: {exc}") from exc


def data_directory(**options: Any) -> list[CheckMessage]:
    """E002: keys and SQLite files can't be kept."""
    del options
    path = settings.DATA_DIR
    existing = next((p for p in (path, *path.parents) if p.exists()), path)
    if existing.is_dir() and os.access(existing, os.W_OK | os.X_OK):
        return []
    hint = "Name another directory by STILLUP_DATA_DIR, or let this user write there."
    return [Error(f"the data directory {path} can't be written", hint=hint, id="stillup.E002")]


def sqlite_version(**options: Any) -> list[CheckMessage]:
    """E003: this Python's SQLite lacks what both stores need of it."""
    del options
    if sqlite3.sqlite_version_info >= SQLITE_NEEDED:
        return []
    needed = ".".join(map(str, SQLITE_NEEDED))
    message = f"Python's SQLite is {sqlite3.sqlite_version}; at least {needed} is needed"
    return [Error(message, hint="Use a newer Python, or PostgreSQL for both stores.", id="stillup.E003")]


def every_url_has_its_access(**options: Any) -> list[CheckMessage]:
    """E004: a page that the table of who may see what does not name, so that nobody may."""
    del options
    hint = "Give the pattern a name, and the name a line in monitoring.access.TABLE."
    return [
        Error(f"nobody may see {route!r}: {name or 'it has no name'}", hint=hint, id="stillup.E004")
        for route, name in all_urls()
        if access.of_name(name) is None
    ]


def all_urls(
    resolver: URLResolver | None = None, route: str = "/", names: tuple[str, ...] = ()
) -> Iterator[tuple[str, str]]:
    """Every route of the project with its name, namespaces before it; the name is `namespace:` where there is none."""
    resolver = resolver or get_resolver()
    for pattern in resolver.url_patterns:
        if isinstance(pattern, URLResolver):
            inner = (*names, pattern.namespace) if pattern.namespace else names
            yield from all_urls(pattern, f"{route}{pattern.pattern}", inner)
        elif isinstance(pattern, URLPattern):
            yield f"{route}{pattern.pattern}", ":".join((*names, pattern.name or ""))


def base_url(**options: Any) -> list[CheckMessage]:
    """W001: passwords and sessions would travel in clear."""
    del options
    parts = urlsplit(settings.BASE_URL)
    if parts.scheme == "https" or parts.hostname in LOOPBACK:
        return []
    hint = "Put a proxy with a certificate in front, and set STILLUP_BASE_URL to its https address."
    message = f"STILLUP_BASE_URL is {settings.BASE_URL}: passwords and sessions travel in clear"
    return [Warning(message, hint=hint, id="stillup.W001")]


def install() -> None:
    """Let `manage.py check`, and every command, report them."""
    for look in (environment, data_directory, sqlite_version, every_url_has_its_access, base_url):
        register(look, "stillup")
