from __future__ import annotations

import json
from datetime import timedelta
from io import StringIO

import pytest
from django.core.management import CommandError, call_command

from checks import clock
from checks.result import Outcome
from checks.store import claims, muting, writer
from checks.store.schema import result
from monitoring import publish
from monitoring.models import Channel, Incident, Notification
from tests.factories import make_finished

pytestmark = pytest.mark.django_db


def printed(*arguments: str) -> str:
    out = StringIO()
    call_command(*arguments, stdout=out)
    return out.getvalue()


def listed(*arguments: str) -> list:
    return json.loads(printed(*arguments, "--json"))


def probed(engine, outcome: Outcome) -> None:
    """One probe of whatever is due."""
    now = clock.utcnow()
    with engine.begin() as conn:
        claimed = claims.claim(
            conn,
            worker="w",
            location="local",
            now=now + timedelta(minutes=2),
            horizon=timedelta(0),
            limit=100,
            lease=timedelta(minutes=5),
        )
        writer.record(conn, [make_finished(one, outcome, started_at=now) for one in claimed], now)


def test_monitors_print_what_scripts_rely_on(published_to, make_monitor):
    make_monitor(name="Shop", failures=1)
    probed(published_to, Outcome.UP)
    (shop,) = listed("monitors")
    expected = {"slug": "shop", "name": "Shop", "kind": "http", "status": "up", "ping_url": None}
    assert {name: shop[name] for name in expected} == expected
    assert shop["latency_seconds"] == 0.025
    assert shop["last_result_at"].endswith("Z")
    assert shop["status_since"].endswith("Z")
    assert shop["failure"] is None


def test_a_monitor_that_is_down_says_why(published_to_sqlite, make_monitor):
    make_monitor(name="Shop", failures=1)
    probed(published_to_sqlite, Outcome.DOWN)
    (shop,) = listed("monitors")
    assert shop["status"] == "down"
    assert shop["failure"]["message"] == "the connection was refused"


def test_a_heartbeat_has_its_ping_url(published_to_sqlite, make_monitor):
    backup = make_monitor(kind="heartbeat", name="Backup")
    assert listed("monitors")[0]["ping_url"] == f"http://127.0.0.1:8000/ping/{backup.ping_code}"


def test_a_monitor_that_the_store_was_not_told_of_is_pending(published_to_sqlite, db):
    from tests.factories import make_spec

    publish.change(spec=make_spec(name="New"))
    (new,) = listed("monitors")
    assert (new["status"], new["status_since"], new["latency_seconds"]) == ("pending", None, None)


def test_retired_monitors_are_listed_where_asked_for(published_to_sqlite, make_monitor, committed):
    with committed():
        publish.retire(make_monitor(name="Shop"))
    assert listed("monitors") == []
    (shop,) = listed("monitors", "--retired")
    assert (shop["retired"], shop["status"]) == (True, "paused")


def test_a_store_that_can_not_be_read_is_said_so(monkeypatch, tmp_path):
    (tmp_path / "store").mkdir()
    monkeypatch.setenv("STILLUP_MEASUREMENTS_URL", f"sqlite:///{tmp_path}/store")
    with pytest.raises(CommandError, match="the store can't be read: the store's file can't be opened"):
        printed("monitors")


def test_tables_are_for_people(published_to_sqlite, make_monitor):
    make_monitor(name="Shop")
    lines = printed("monitors").splitlines()
    assert lines[0].split() == [
        "SLUG",
        "KIND",
        "STATUS",
        "STATUS",
        "SINCE",
        "LATENCY",
        "SECONDS",
        "LAST",
        "RESULT",
        "AT",
    ]
    assert lines[1].split()[:3] == ["shop", "http", "pending"]


def incident(**fields):
    now = clock.utcnow()
    return Incident.objects.create(**{"cause": "down", "opened_at": now, "detected_at": now, **fields})


def test_incidents_print_what_scripts_rely_on(published_to_sqlite, make_monitor):
    shop = make_monitor(name="Shop")
    now = clock.utcnow()
    ended = {"opened_at": now - timedelta(minutes=1), "resolved_at": now, "resolution": "recovered"}
    incident(monitor=shop, monitor_uuid=shop.uuid, monitor_name="Shop", **ended)
    incident(cause="system:no_resolver", opened_at=now - timedelta(hours=1))
    newest, system = listed("incidents")
    assert (newest["monitor"], newest["cause"], newest["system"], newest["resolution"]) == (
        "shop",
        "down",
        False,
        "recovered",
    )
    assert newest["resolved_at"] > newest["opened_at"]
    assert (system["monitor"], system["system"], system["resolved_at"]) == (None, True, None)
    assert [row["id"] for row in listed("incidents", "--open")] == [system["id"]]
    assert len(listed("incidents", "--limit", "1")) == 1


def test_notifications_print_what_scripts_rely_on(published_to_sqlite, make_monitor):
    shop, now = make_monitor(name="Shop"), clock.utcnow()
    channel = Channel.objects.create(name="ops", sealed_url="x")
    about = incident(monitor=shop, monitor_uuid=shop.uuid, monitor_name="Shop")
    common = {"channel": channel, "channel_name": "ops", "created_at": now, "next_attempt_at": now}
    sent = Notification.objects.create(
        key="down:1", incident=about, event="down", status="sent", sent_at=now, attempts=1, **common
    )
    Notification.objects.create(key="test:1", event="test", status="dead", note="gave up", **common)
    rows = {row["key"]: row for row in listed("notifications")}
    assert rows["down:1"] == {
        "id": str(sent.uuid),
        "key": "down:1",
        "incident": str(about.uuid),
        "monitor": "shop",
        "channel": "ops",
        "recipient": 0,
        "event": "down",
        "status": "sent",
        "attempts": 1,
        "note": "",
        "created_at": rows["down:1"]["created_at"],
        "next_attempt_at": None,
        "sent_at": rows["down:1"]["created_at"],
    }
    assert (rows["test:1"]["incident"], rows["test:1"]["monitor"], rows["test:1"]["note"]) == (None, None, "gave up")
    assert [row["key"] for row in listed("notifications", "--status", "dead")] == ["test:1"]


def test_a_name_can_not_drive_a_terminal(db):
    incident(monitor_name="Shop \x1b[2J\r\nSLUG", summary="all\x07 well")
    table = printed("incidents")
    assert "\x1b" not in table
    assert len(table.splitlines()) == 2


def test_nothing_at_all_is_an_empty_array(published_to_sqlite, db):
    for command in ("monitors", "incidents", "notifications"):
        assert listed(command) == []


def test_prune_says_what_is_too_old_and_deletes_it(published_to):
    old = clock.utcnow() - timedelta(days=8)
    with published_to.begin() as conn:
        conn.execute(result.insert(), [{"target_id": 1, "due_at": old, "started_at": old, "outcome": "up"}] * 3)

    assert printed("prune", "--dry-run").splitlines()[0] == "           3 results would go"
    assert printed("prune").splitlines()[-1] == "All of it is gone."
    assert printed("prune", "--dry-run").splitlines()[0] == "           0 results would go"


def test_unmute_lets_messages_out_again(published_to_sqlite):
    with published_to_sqlite.begin() as conn:
        muting.mute(conn, "a copy", clock.utcnow())
    assert printed("unmute") == "Messages are sent again.\n"
    assert printed("unmute") == "Nothing was muted.\n"


def test_a_ping_url_is_replaced_once_a_day_unless_it_must_be(published_to_sqlite, make_monitor, committed):
    job = make_monitor(kind="heartbeat", name="Backup", schedule={"every": "1d"})
    with committed():
        first = printed("rotate_ping_url", "backup").strip()
    job.refresh_from_db()
    assert first.endswith(f"/ping/{job.ping_code}")
    with pytest.raises(CommandError, match=r"and would end at once; --force replaces it nevertheless$"):
        printed("rotate_ping_url", "backup")
    with committed():
        assert printed("rotate_ping_url", "backup", "--force").strip() != first
