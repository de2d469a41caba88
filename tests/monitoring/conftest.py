"""What tests of the configuration share: a store that the process publishes to, people, and commits that happen."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import AbstractContextManager
from typing import Any

import pytest
import sqlalchemy as sa
from django.contrib.auth.models import User
from django.test import Client

from monitoring import health, publish
from monitoring.models import Monitor
from tests.factories import make_spec


@pytest.fixture(autouse=True)
def _cheap_passwords(settings: Any) -> None:
    """A hash that is slow on purpose would be most of the time of these tests."""
    settings.PASSWORD_HASHERS = ["django.contrib.auth.hashers.MD5PasswordHasher"]


@pytest.fixture(autouse=True)
def _nothing_waits() -> None:
    """A test's transaction is rolled back, and what it was going to publish is not the next test's business."""
    publish._waiting.changed.clear()
    publish._waiting.deleted.clear()


@pytest.fixture
def published_to(store_url: str, monkeypatch: pytest.MonkeyPatch) -> Iterator[sa.Engine]:
    """The store that this process publishes to, upgraded and empty, on each database in turn."""
    yield from _published_to(store_url, monkeypatch)


@pytest.fixture
def published_to_sqlite(sqlite_url: str, monkeypatch: pytest.MonkeyPatch) -> Iterator[sa.Engine]:
    """The same on SQLite only: for tests that are not about the store."""
    yield from _published_to(sqlite_url, monkeypatch)


def _published_to(url: str, monkeypatch: pytest.MonkeyPatch) -> Iterator[sa.Engine]:
    monkeypatch.setenv("STILLUP_MEASUREMENTS_URL", url)
    health.forget()
    engine = publish.store_engine()
    yield engine
    engine.dispose()
    health.forget()


@pytest.fixture
def committed(db: None, django_capture_on_commit_callbacks: Any) -> Any:
    """`with committed():` what the block changes is committed at its end, with everything that follows a commit."""

    def block() -> AbstractContextManager[Any]:
        return django_capture_on_commit_callbacks(execute=True)

    return block


@pytest.fixture
def make_monitor(committed: Any) -> Any:
    """A monitor that was made and published."""

    def make(*, owner: str = "ui", paused: bool | None = None, **options: Any) -> Monitor:
        with committed():
            return publish.change(spec=make_spec(**options), owner=owner, paused=paused)

    return make


@pytest.fixture
def admin_user(db: None) -> User:
    return User.objects.create_superuser("root", password="correct horse battery")


@pytest.fixture
def viewer(db: None) -> User:
    return User.objects.create_user("viewer", password="correct horse battery")


@pytest.fixture
def operator_client(admin_user: User) -> Client:
    """Somebody who may configure everything."""
    client = Client()
    client.force_login(admin_user)
    return client
