from __future__ import annotations

import pytest
from django.db import connection
from django.test import Client

from monitoring.status import views


@pytest.fixture(autouse=True)
def _nothing_remembered(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(views, "_remembered", views.Remembered())


@pytest.fixture
def reader() -> Client:
    """Somebody of the public, with a browser."""
    return Client()


@pytest.fixture
def broken_database(db: None) -> type:
    """`with broken_database():` the database answers every question about pages and incidents with an error."""

    class Broken:
        names = ("monitoring_statuspage", "monitoring_incident")

        def __enter__(self) -> None:
            self._rename("", "_gone")

        def __exit__(self, *_: object) -> None:
            self._rename("_gone", "")

        def _rename(self, before: str, after: str) -> None:
            with connection.cursor() as cursor:
                for name in self.names:
                    cursor.execute(f"ALTER TABLE {name}{before} RENAME TO {name}{after}")

    return Broken
