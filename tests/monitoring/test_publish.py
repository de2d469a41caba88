from __future__ import annotations

import re
from datetime import timedelta
from pathlib import Path
from uuid import uuid4

import pytest
import sqlalchemy as sa
from django.db import connection, transaction

import monitoring
from checks import clock
from checks.status import Status
from checks.store import publishing, reader
from checks.store.engine import instance_uuid
from checks.store.schema import instance, monitor_state, ping_code, target
from monitoring import publish
from monitoring.models import Incident, KnownStore, Monitor, Owner
from tests.factories import make_spec

pytestmark = pytest.mark.django_db


def states(engine: sa.Engine) -> dict:
    with engine.begin() as conn:
        return {row.slug: row for row in conn.execute(sa.select(monitor_state))}


def targets(engine: sa.Engine) -> list:
    with engine.begin() as conn:
        return list(conn.execute(sa.select(target).order_by(target.c.id)))


def test_a_new_monitor_is_in_the_store_after_the_commit_and_not_before(published_to, committed):
    with committed():
        monitor = publish.change(spec=make_spec(name="Shop"))
        assert states(published_to) == {}
    assert monitor.revision == 1
    assert states(published_to)["shop"].revision == 1
    assert states(published_to)["shop"].status == "pending"
    assert [row.location for row in targets(published_to)] == ["local"]


def test_every_change_raises_the_revision_by_one(published_to, make_monitor, committed):
    monitor = make_monitor(name="Shop")
    for expected, change in (
        (2, {"spec": make_spec(name="Shop", interval="5m")}),
        (3, {"paused": True}),
        (4, {"owner": Owner.FILE}),
        (5, {"retired": True}),
    ):
        with committed():
            publish.change(monitor, **change)
        assert monitor.revision == expected == Monitor.objects.get().revision
        assert states(published_to)["shop"].revision == expected


def test_a_change_of_nothing_is_no_revision(published_to_sqlite, make_monitor):
    monitor = make_monitor(name="Shop", password="s3cret", username="me")
    spec = make_spec(name="Shop", password="s3cret", username="me", url=publish.spec_of(monitor).url)
    publish.change(monitor, spec=spec, paused=False, owner="ui", retired=False)
    assert Monitor.objects.get().revision == 1


def roll_back(change):
    with transaction.atomic():
        change()
        transaction.set_rollback(True)


def test_a_rolled_back_change_publishes_nothing(published_to_sqlite, make_monitor, committed):
    monitor = make_monitor(name="Shop")
    with committed():
        roll_back(lambda: publish.change(monitor, paused=True))
        roll_back(lambda: publish.delete(Monitor.objects.get()))
        publish.change(spec=make_spec(name="Other"))
    assert not states(published_to_sqlite)["shop"].paused
    assert states(published_to_sqlite)["shop"].removed is None
    assert states(published_to_sqlite)["shop"].revision == 1


def test_a_stale_object_loses_no_change_of_another(published_to_sqlite, make_monitor, committed):
    mine = make_monitor(name="Shop")
    theirs = Monitor.objects.get()
    with committed():
        publish.change(theirs, spec=make_spec(name="Shop", slug="shop", interval="5m"))
    with committed():
        publish.change(mine, paused=True)
    assert mine.revision == 3
    assert publish.spec_of(Monitor.objects.get()).interval == 300


def test_many_changes_of_one_transaction_are_one_batch(published_to_sqlite, committed, monkeypatch):
    batches = []
    real = publishing.publish

    def counted(conn, monitors, now):
        batches.append(len(monitors))
        return real(conn, monitors, now)

    monkeypatch.setattr(publishing, "publish", counted)
    with committed():
        for _ in range(30):
            publish.change(spec=make_spec())
    assert batches == [30]
    assert len(states(published_to_sqlite)) == 30


def test_secrets_are_sealed_in_both_stores_and_read_back(published_to, make_monitor):
    monitor = make_monitor(name="Shop", username="me", password="s3cret-word", headers={"X-Key": "another-word"})
    (row,) = targets(published_to)
    with connection.cursor() as cursor:
        cursor.execute("SELECT spec FROM monitoring_monitor")
        (kept,) = cursor.fetchone()
    for text in (str(kept), str(row.spec), str(monitor.spec)):
        assert "s3cret-word" not in text
        assert "another-word" not in text
    spec = publish.spec_of(Monitor.objects.get())
    assert (spec.password, spec.headers) == ("s3cret-word", {"X-Key": "another-word"})


def test_pausing_and_resuming_settle_the_status_in_the_store(published_to, make_monitor, committed):
    monitor = make_monitor(name="Shop")
    with committed():
        publish.change(monitor, paused=True)
    assert states(published_to)["shop"].status == "paused"
    with committed():
        publish.change(monitor, paused=False)
    assert states(published_to)["shop"].status == "pending"


def test_a_retired_monitor_is_hidden_and_comes_back_by_the_same_row(published_to, make_monitor, committed):
    monitor = make_monitor(name="Shop")
    with committed():
        publish.retire(monitor)
    assert states(published_to)["shop"].removed == "retired"
    assert [row.active for row in targets(published_to)] == [False]
    with committed():
        publish.change(monitor, retired=False)
    assert states(published_to)["shop"].removed is None
    assert [row.active for row in targets(published_to)] == [True]


def test_a_deleted_monitor_leaves_a_tombstone_and_its_incidents(published_to, make_monitor, committed):
    monitor = make_monitor(name="Shop")
    now = clock.utcnow()
    Incident.objects.create(monitor=monitor, monitor_uuid=monitor.uuid, cause="down", opened_at=now, detected_at=now)
    with committed():
        publish.delete(monitor)
    assert not Monitor.objects.exists()
    assert states(published_to)["shop"].removed == "deleted"
    assert targets(published_to) == []
    assert Incident.objects.get().monitor_name == "Shop"
    assert Incident.objects.get().monitor is None


def test_only_a_heartbeat_has_its_ping_code_in_the_store(published_to, make_monitor):
    make_monitor(name="Shop")
    backup = make_monitor(kind="heartbeat", name="Backup")
    with published_to.begin() as conn:
        assert conn.execute(sa.select(ping_code.c.code, ping_code.c.monitor)).all() == [(backup.ping_code, backup.uuid)]


def test_a_store_that_is_gone_fails_no_request_and_is_told_later(sqlite_url, monkeypatch, committed, caplog, tmp_path):
    monkeypatch.setenv("STILLUP_MEASUREMENTS_URL", f"sqlite:///{tmp_path}/empty.sqlite3")
    with committed():
        publish.change(spec=make_spec(name="Shop"))
    assert "could not be told of 1 changed monitors" in caplog.text
    monkeypatch.setenv("STILLUP_MEASUREMENTS_URL", sqlite_url)
    assert publish.reconcile().published == 1
    assert list(states(publish.store_engine())) == ["shop"]
    publish.store_engine().dispose()


def test_reconcile_of_what_agrees_changes_nothing(published_to, make_monitor):
    make_monitor()
    publish.reconcile()
    before = targets(published_to)
    assert publish.reconcile() == publish.Reconciled(published=0, raised=0, deleted=0, new_store=False)
    assert targets(published_to) == before


def test_reconcile_raises_a_restored_configuration_above_the_store(published_to, make_monitor, committed):
    monitor = make_monitor(name="Shop", interval="10s")
    backup = dict(Monitor.objects.filter(pk=monitor.pk).values().get())
    for seconds in (20, 30, 40):
        with committed():
            publish.change(monitor, spec=make_spec(name="Shop", interval=f"{seconds}s"))
    Monitor.objects.filter(pk=monitor.pk).update(**backup)
    assert publish.reconcile().raised == 1
    assert Monitor.objects.get().revision == 5
    assert states(published_to)["shop"].revision == 5
    assert [row.interval_seconds for row in targets(published_to)] == [10.0]


def test_reconcile_brings_back_what_a_restored_configuration_still_has(published_to, make_monitor, committed):
    monitor = make_monitor(name="Shop")
    backup = dict(Monitor.objects.filter(pk=monitor.pk).values().get())
    with committed():
        publish.delete(monitor)
    Monitor.objects.create(**backup)
    publish.reconcile()
    assert states(published_to)["shop"].removed is None
    assert [row.active for row in targets(published_to)] == [True]


def test_reconcile_removes_what_only_the_store_knows(published_to, make_monitor):
    monitor = make_monitor(name="Shop")
    Monitor.objects.filter(pk=monitor.pk).delete()
    assert publish.reconcile().deleted == 1
    assert states(published_to)["shop"].removed == "deleted"
    assert publish.reconcile().deleted == 0


def test_an_old_publish_that_arrives_late_changes_nothing(published_to, make_monitor, committed):
    monitor = make_monitor(name="Shop")
    old = publish.published(monitor)
    with committed():
        publish.change(monitor, paused=True)
    with published_to.begin() as conn:
        assert publishing.publish(conn, [old], clock.utcnow()) == 0
    assert states(published_to)["shop"].paused


def test_a_monitor_that_can_not_be_read_holds_up_no_other(published_to_sqlite, make_monitor, caplog):
    make_monitor(name="Shop")
    broken = make_monitor(name="Broken")
    Monitor.objects.filter(pk=broken.pk).update(spec={"kind": "http", "name": "Broken"}, revision=2)
    Monitor.objects.filter(name="Shop").update(revision=2)
    assert publish.reconcile().published == 1
    assert states(published_to_sqlite)["shop"].revision == 2
    assert "Monitor broken can't be published" in caplog.text


def test_the_first_store_is_remembered_and_another_one_is_said_so(published_to, make_monitor, caplog, committed):
    make_monitor(name="Shop")
    assert publish.reconcile().new_store is False
    first = KnownStore.objects.get().uuid
    with published_to.begin() as conn:  # as if the file had been replaced by a fresh one
        conn.execute(monitor_state.delete())
        conn.execute(target.delete())
        conn.execute(instance.update().values(uuid=uuid4()))
    found = publish.reconcile()
    assert found.new_store is True
    assert found.published == 1
    assert "is a new one" in caplog.text
    assert KnownStore.objects.count() == 2
    with published_to.begin() as conn:
        assert instance_uuid(conn) != first
        (view,) = reader.overview(conn, clock.utcnow())
    assert view.status is Status.PENDING


def test_another_address_in_the_environment_is_another_engine(tmp_path, monkeypatch):
    monkeypatch.setenv("STILLUP_MEASUREMENTS_URL", f"sqlite:///{tmp_path}/one.sqlite3")
    first = publish.store_engine()
    assert publish.store_engine() is first
    monkeypatch.setenv("STILLUP_MEASUREMENTS_URL", f"sqlite:///{tmp_path}/two.sqlite3")
    assert publish.store_engine() is not first


def test_nothing_but_publish_writes_a_revision():
    writes = re.compile(r"(?<!\w)revision\s*(?:\+=|=(?!=))|[\"']revision[\"']\s*\]\s*=|F\([\"']revision")
    root = Path(monitoring.__file__).parent
    found = {
        str(path.relative_to(root))
        for path in root.rglob("*.py")
        if "migrations" not in path.parts and writes.search(path.read_text())
    }
    # A backup tells the revision of the store's tables, which is another thing.
    assert found - {"models/monitor.py", "backup/making.py"} == {"publish.py"}


def test_a_rotated_ping_url_is_heard_beside_the_new_one_for_a_day(published_to, make_monitor, committed):
    backup = make_monitor(kind="heartbeat", name="Backup", schedule={"every": "1d"})
    before, revision = backup.ping_code, backup.revision
    with committed():
        after = publish.rotate(backup)
    first_until = after.old_ping_code_until
    assert (after.revision, after.old_ping_code) == (revision + 1, before)
    with published_to.begin() as conn:
        rows = {row.code: row.expires_at for row in conn.execute(sa.select(ping_code))}
    assert rows == {after.ping_code: None, before: first_until}
    assert timedelta(hours=23) < first_until - clock.utcnow() <= timedelta(hours=24)
    new = after.ping_code
    with pytest.raises(publish.StillHeard, match=f"is heard until {first_until:%Y-%m-%d %H:%M:%S} UTC"):
        publish.rotate(after)
    with published_to.begin() as conn:
        assert set(conn.execute(sa.select(ping_code.c.code)).scalars()) == {new, before}
    with committed():
        again = publish.rotate(after, force=True)
    with published_to.begin() as conn:
        codes = set(conn.execute(sa.select(ping_code.c.code)).scalars())
    assert codes == {again.ping_code, new}, "of two rotations in a day the older URL is given up"


def test_a_ping_url_is_rotated_again_once_the_one_before_it_is_not_heard_any_more(
    published_to_sqlite, make_monitor, committed
):
    backup = make_monitor(kind="heartbeat", name="Backup", schedule={"every": "1d"})
    with committed():
        first = publish.rotate(backup).ping_code
    clock.set_offset(publish.ROTATION.total_seconds() + 1)
    with committed():
        assert publish.rotate(backup).old_ping_code == first
