"""The life of a check on both databases: made, pinged, listed, paused, resumed, deleted."""

from __future__ import annotations

from datetime import datetime, timedelta
from uuid import UUID, uuid4

import pytest

from checks import clock
from checks.heartbeats import listing
from checks.store import reader
from checks.store.engine import reading
from monitoring import publish
from monitoring.models import Monitor

pytestmark = [pytest.mark.django_db, pytest.mark.usefixtures("published_to")]

RID = UUID(int=1)


@pytest.fixture
def backup(make_monitor) -> Monitor:
    return make_monitor(kind="heartbeat", name="Nightly backup", schedule={"every": "1d"}, grace="1h")


def test_a_check_is_made_and_published_and_has_every_field(ask):
    answer = ask("POST", "checks/", {"name": "Backups", "tags": "prod www", "timeout": 3600, "grace": 60})
    assert answer.status_code == 201
    monitor = Monitor.objects.get()
    address = f"http://127.0.0.1:8000/api/v3/checks/{monitor.uuid}"
    assert answer.json() == {
        "name": "Backups",
        "slug": "backups",
        "tags": "prod www",
        "desc": "",
        "grace": 60,
        "n_pings": 0,
        "status": "new",
        "started": False,
        "last_ping": None,
        "next_ping": None,
        "manual_resume": True,
        "methods": "",
        "subject": "",
        "subject_fail": "",
        "start_kw": "",
        "success_kw": "",
        "failure_kw": "",
        "filter_subject": False,
        "filter_body": False,
        "filter_http_body": False,
        "filter_default_fail": False,
        "timeout": 3600,
        "uuid": str(monitor.ping_code),
        "ping_url": f"http://127.0.0.1:8000/ping/{monitor.ping_code}",
        "update_url": address,
        "pause_url": f"{address}/pause",
        "resume_url": f"{address}/resume",
        "channels": "",
    }
    assert (monitor.owner, monitor.revision) == ("ui", 1)
    with reading(publish.store_engine()) as conn:
        assert [view.slug for view in reader.overview(conn, clock.utcnow())] == ["backups"]
    assert ask("GET", "checks/").json() == {"checks": [answer.json()]}


def second(begin: datetime, seconds: float) -> str:
    return (begin + timedelta(seconds=seconds)).isoformat()


def test_a_check_that_was_pinged_says_how_it_stands(ask, backup, hear, begin):
    hear(backup, "start", (250.5, "success"))
    check = ask("GET", f"checks/{backup.uuid}").json()
    assert check["status"] == "up"
    assert check["started"] is False
    assert check["n_pings"] == 2
    assert check["last_ping"] == second(begin, 250)
    assert check["next_ping"] == second(begin, 250 + 86400)
    assert check["last_duration"] == 250
    assert ask("GET", "checks/").json()["checks"] == [check]
    hear(backup, (300, "start"), (301, "fail"), (302, "start"))
    down = ask("GET", f"checks/{backup.uuid}").json()
    assert (down["status"], down["started"], down["next_ping"]) == ("down", True, None)


def test_pings_are_listed_the_newest_first_with_where_their_bodies_are(ask, backup, hear, begin, make_monitor):
    other = make_monitor(kind="heartbeat", name="Other")
    hear(other, "success")
    said = {"run": RID, "source": "10.0.0.7", "user_agent": "curl/8"}
    hear(backup, (0, "start", said), (2.5, "fail", {**said, "method": "POST", "body": b"\xff\0!", "body_size": 3}))
    hear(backup, (3, "log"))
    log, fail, start = ask("GET", f"checks/{backup.uuid}/pings/").json()["pings"]
    where = f"http://127.0.0.1:8000/api/v3/checks/{backup.uuid}/pings"
    assert fail == {
        "type": "fail",
        "date": (begin + timedelta(seconds=2.5)).isoformat(timespec="microseconds"),
        "n": fail["n"],
        "scheme": "http",
        "remote_addr": "10.0.0.7",
        "method": "POST",
        "ua": "curl/8",
        "rid": str(RID),
        "body_url": f"{where}/{fail['n']}/body",
        "duration": 2.5,
    }
    assert (start["type"], start["body_url"], "duration" in start) == ("start", None, False)
    assert (log["type"], log["rid"]) == ("log", None)
    body = ask("GET", fail["body_url"].partition("/v3/")[2])
    assert (body.content, body.headers["Content-Type"]) == (b"\xff\0!", "text/plain")
    for number in (start["n"], 10**6, 1 << 63, 10**40):
        assert ask("GET", f"checks/{backup.uuid}/pings/{number}/body").status_code == 404
    assert ask("GET", f"checks/{other.uuid}/pings/{fail['n']}/body").status_code == 404


def test_flips_are_when_it_went_up_and_down_and_nothing_else(ask, backup, hear, begin, committed):
    hear(backup, (0, "success"), (10, "success"), (20, "fail"), (30, "success"))
    with committed():
        publish.change(backup, paused=True)
    with committed():
        publish.change(backup, paused=False)
    name = f"checks/{backup.uuid}/flips/"
    all_of_them = [
        {"timestamp": second(begin, 30), "up": 1},
        {"timestamp": second(begin, 20), "up": 0},
        {"timestamp": second(begin, 0), "up": 1},
    ]
    assert ask("GET", name).json() == {"flips": all_of_them}
    at = int(begin.timestamp())
    assert ask("GET", f"{name}?start={at + 20}").json()["flips"] == all_of_them[:2]
    assert ask("GET", f"{name}?end={at + 20}").json()["flips"] == all_of_them[2:]
    assert ask("GET", f"{name}?start={at + 1}&end={at + 25}").json()["flips"] == all_of_them[1:2]


def test_up_again_as_before_is_no_flip(backup, hear, committed):
    hear(backup, (0, "success"))
    for paused in (True, False):
        with committed():
            publish.change(backup, paused=paused)
    hear(backup, (10, "success"))
    with reading(publish.store_engine()) as conn:
        assert [turn.is_serving for turn in listing.turns(conn, backup.uuid, 100)] == [True]
        assert listing.turns(conn, backup.uuid, 1) == []
        assert listing.turns(conn, uuid4(), 100) == []


def test_a_check_is_paused_resumed_and_deleted(ask, backup):
    name = f"checks/{backup.uuid}"
    assert ask("POST", f"{name}/pause").json()["status"] == "paused"
    assert ask("POST", f"{name}/pause").status_code == 200
    assert ask("GET", name).json()["status"] == "paused"
    assert ask("POST", f"{name}/resume").json()["status"] == "new"
    again = ask("POST", f"{name}/resume")
    assert (again.status_code, again.json()) == (409, {"error": "check is not paused"})
    gone = ask("DELETE", name)
    assert (gone.status_code, gone.json()["name"]) == (200, "Nightly backup")
    assert ask("DELETE", name).status_code == 404
    with reading(publish.store_engine()) as conn:
        assert reader.overview(conn, clock.utcnow()) == []


def test_the_databases_answer(client):
    answer = client.get("/api/v3/status/")
    assert (answer.status_code, answer.content) == (200, b"OK")
