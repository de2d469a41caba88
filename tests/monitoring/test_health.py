from __future__ import annotations

from datetime import timedelta

import pytest
import sqlalchemy as sa
from django.db import OperationalError, connection
from django.db.migrations.recorder import MigrationRecorder

from checks import clock
from checks.store import muting
from checks.store.schema import sign_of_life, trouble
from monitoring import health
from monitoring.models import Notification

pytestmark = pytest.mark.django_db


@pytest.fixture
def alive(published_to):
    """Gives signs of life, so many seconds ago."""

    def give(**ago):
        now = clock.utcnow()
        rows = [
            {
                "process": role,
                "role": role,
                "location": "local",
                "started_at": now,
                "at": now - timedelta(seconds=seconds),
            }
            for role, seconds in ago.items()
        ]
        with published_to.begin() as conn:
            conn.execute(sign_of_life.insert(), rows)

    return give


def asked(client):
    health.forget()
    answer = client.get("/readyz")
    return answer.status_code, answer.content.decode().strip()


def test_healthz_is_ok_whatever_the_stores_do(client, monkeypatch, tmp_path):
    monkeypatch.setenv("STILLUP_MEASUREMENTS_URL", f"sqlite:///{tmp_path}/none.sqlite3")
    answer = client.get("/healthz")
    assert (answer.status_code, answer.content) == (200, b"ok\n")
    assert answer.headers["Cache-Control"] == "no-store"


def test_it_is_ready_when_worker_and_notifier_give_signs_of_life(client, alive):
    alive(worker=2, notifier=29)
    assert asked(client) == (200, "ok")


@pytest.mark.parametrize(
    ("ago", "code"),
    [({}, "no_worker"), ({"worker": 31, "notifier": 1}, "no_worker"), ({"worker": 1, "web": 1}, "no_notifier")],
)
def test_it_is_not_ready_without_a_sign_of_life_for_30_seconds(client, alive, ago, code):
    if ago:
        alive(**ago)
    assert asked(client) == (503, code)


def test_a_message_that_was_given_up_is_a_code_and_no_failure(client, alive):
    alive(worker=1, notifier=1)
    now = clock.utcnow()
    message = Notification.objects.create(
        key="k", channel_name="ops", event="down", status="dead", next_attempt_at=now, created_at=now
    )
    assert asked(client) == (200, "dead_letters")
    Notification.objects.create(
        key="test", channel_name="ops", event="test", status="dead", next_attempt_at=now, created_at=now
    )
    message.status = "held"
    message.save()
    assert asked(client) == (200, "ok")


def test_a_trouble_of_ours_is_a_code_and_no_failure(client, alive, published_to):
    alive(worker=1, notifier=1)
    now = clock.utcnow()
    with published_to.begin() as conn:
        conn.execute(trouble.insert(), {"what": "no_resolver", "message": "m", "since": now, "seen_at": now})
    assert asked(client) == (200, "trouble")


def test_a_copy_that_tells_nobody_says_so(client, alive, published_to):
    alive(worker=1, notifier=1)
    with published_to.begin() as conn:
        muting.mute(conn, "restored", clock.utcnow())
    assert asked(client) == (200, "muted")


def test_a_store_of_another_version_is_a_schema_mismatch(client, published_to):
    def set_version(version):
        with published_to.begin() as conn:
            before = conn.execute(sa.text("SELECT version_num FROM store_revision")).scalar_one()
            conn.execute(sa.text("UPDATE store_revision SET version_num = :version"), {"version": version})
        return before

    version = set_version("from_the_future")
    assert asked(client) == (503, "measurements_schema")
    set_version(version)  # the store is borrowed
    assert asked(client) == (503, "no_worker")


def test_a_store_that_does_not_answer_is_unreachable(client, monkeypatch, tmp_path):
    (tmp_path / "store.sqlite3").mkdir()
    monkeypatch.setenv("STILLUP_MEASUREMENTS_URL", f"sqlite:///{tmp_path}/store.sqlite3")
    assert asked(client) == (503, "measurements_unreachable")
    monkeypatch.setenv("STILLUP_MEASUREMENTS_URL", "postgresql://stillup:secret@127.0.0.1:9/none")
    assert asked(client) == (503, "measurements_unreachable")


def test_djangos_database_that_does_not_answer_is_unreachable(client, monkeypatch):
    def refuse(*_):
        raise OperationalError("the database is away")

    monkeypatch.setattr(connection, "cursor", refuse)
    assert asked(client) == (503, "configuration_unreachable")


def test_a_database_that_lacks_a_migration_is_a_schema_mismatch(client):
    with connection.cursor() as cursor:
        cursor.execute("DELETE FROM django_migrations WHERE app = 'monitoring'")
    assert asked(client) == (503, "configuration_schema")


def test_web_is_not_ready_once_a_newer_version_has_migrated_under_it(client, alive):
    alive(worker=1, notifier=1)
    assert asked(client) == (200, "ok")
    MigrationRecorder(connection).record_applied("monitoring", "9999_later")
    assert asked(client) == (503, "configuration_schema")


def test_a_flood_of_questions_asks_the_databases_once(client, alive, django_assert_num_queries):
    alive(worker=1, notifier=1)
    health.forget()
    client.get("/readyz")
    with django_assert_num_queries(0):
        for _ in range(50):
            assert client.get("/readyz").status_code == 200


def test_the_answer_names_no_address_and_no_password(client, monkeypatch):
    monkeypatch.setenv("STILLUP_MEASUREMENTS_URL", "postgresql://stillup:s3cret@127.0.0.1:9/none")
    health.forget()
    answer = client.get("/readyz")
    assert answer.content == b"measurements_unreachable\n"
