"""A process that runs on while a newer version upgrades the databases ends, and says so."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
import sqlalchemy as sa
from django.db import connection
from django.db.migrations.recorder import MigrationRecorder

from checks.store.upgrade import VERSION_TABLE
from monitoring import preparation
from tests.monitoring.notifier.installation import installed

LATER = ("monitoring", "9999_later")


@pytest.mark.django_db
def test_what_is_of_this_version_passes(published_to: sa.Engine) -> None:
    del published_to
    preparation.check_again()


@pytest.mark.django_db
def test_a_migration_of_a_newer_version_is_told(published_to_sqlite: sa.Engine) -> None:
    del published_to_sqlite
    MigrationRecorder(connection).record_applied(*LATER)
    with pytest.raises(preparation.NotPrepared, match="has migration 9999_later, which this version does not know"):
        preparation.check_again()


@pytest.mark.django_db
def test_a_revision_of_a_newer_version_is_told(sqlite_store: sa.Engine, published_to_sqlite: sa.Engine) -> None:
    del published_to_sqlite
    with sqlite_store.begin() as conn:
        conn.execute(sa.text(f"UPDATE {VERSION_TABLE} SET version_num = '9999'"))
    with pytest.raises(preparation.NotPrepared, match="of revision 9999, which this version does not know"):
        preparation.check_again()


@pytest.mark.long
@pytest.mark.parametrize("dialect", ["sqlite", "postgresql"])
def test_a_notifier_ends_when_a_newer_version_takes_over(
    dialect: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, django_db_blocker: Any
) -> None:
    with django_db_blocker.unblock(), installed(dialect, tmp_path, monkeypatch) as installation:
        notifier = installation.notifier()
        MigrationRecorder(connection).record_applied(*LATER)
        assert notifier.wait(30) == 78
        assert "9999_later, which this version does not know" in installation.log
