from __future__ import annotations

import pytest
from django.test import Client

from checks import clock
from checks.result import Outcome, Phases
from checks.store.rollup import roll_up
from monitoring import publish
from tests.monitoring.operator.acts import probe

pytestmark = pytest.mark.django_db

LATENCIES = ("p50", "p75", "p90", "p95", "p99", "p999", "min", "max")


@pytest.fixture
def get(read_key):
    def call(path, status=200, **query):
        answer = Client().get(f"/api/v1/{path}", query, headers={"X-Api-Key": read_key})
        assert answer.status_code == status, answer.content
        assert "no-store" in answer.headers["Cache-Control"]
        return answer.json()

    return call


@pytest.fixture
def shop(make_monitor, published_to):
    """A monitor that was probed three times, and failed once."""
    monitor = make_monitor(name="Shop", failures=1)
    probe(published_to, Outcome.UP, Outcome.UP, Outcome.DOWN, phases=Phases(dns=5_000_000, connect=20_000_000))
    clock.set_offset(600.0)
    return monitor


def test_the_figures_of_a_window_stand_beside_their_counts(get, shop):
    found = get("monitors/shop/figures", window="hour", apdex="20ms")

    assert found["monitor"] == "shop"
    assert found["window"]["name"] == "hour"
    assert found["percentile_error"] == 0.01
    assert found["results"] == {"up": 2, "degraded": 0, "down": 1, "unknown": 0}
    assert (found["latency"]["complete"], found["latency"]["incomplete"]) == (2, 1)
    assert [found["latency"][name] for name in LATENCIES] == [0.025] * 8
    assert found["success_rate"] == pytest.approx(2 / 3)
    assert (found["apdex_seconds"], found["apdex"]) == (0.02, pytest.approx(1 / 3))
    assert (found["phases"]["dns"]["p99"], found["phases"]["dns"]["complete"]) == (0.005, 2)
    assert found["counted"] == {"start": found["window"]["start"], "end": found["window"]["end"]}
    assert found["locations"]["local"]["latency"] == found["latency"]
    assert 0 < found["availability"]["observed_share"] < 1


def test_a_window_of_ones_own_holds_what_started_in_it(get, shop):
    found = get("monitors/shop/figures", start="2020-01-01T00:00Z", end="2020-01-02T00:00+01:00")

    assert found["window"] == {"name": "custom", "start": "2020-01-01T00:00:00Z", "end": "2020-01-01T23:00:00Z"}
    assert found["latency"]["complete"] == 0
    assert (found["latency"]["p95"], found["success_rate"], found["apdex"]) == (None, None, None)
    assert (found["availability"]["ratio"], found["availability"]["observed_share"]) == (None, 0)


def test_a_series_has_no_more_points_than_asked_for(get, shop):
    found = get("monitors/shop/series", window="hour", points="30")

    counts = [(each["latency"]["complete"], each["latency"]["incomplete"]) for each in found["points"]]
    assert found["step_seconds"] == 120
    assert [sum(column) for column in zip(*counts, strict=True)] == [2, 1]
    assert sum(each["results"]["down"] for each in found["points"]) == 1
    assert found["start"] <= found["points"][0]["start"] < found["end"]
    assert get("monitors/shop/series", window="hour", points="1")["step_seconds"] == 3600
    assert get("monitors/shop/series", location="moon")["points"] == []


def test_the_last_day_of_all_monitors_says_which_hours_it_counts(get, shop, make_monitor, published_to, committed):
    make_monitor(name="Mail")
    gone = make_monitor(name="Gone")
    with committed():
        publish.retire(gone)
    while roll_up(published_to, clock.utcnow()):
        pass

    found = get("figures")

    assert list(found["monitors"]) == ["mail", "shop"]
    assert found["monitors"]["shop"]["p99"] == 0.025
    assert (found["monitors"]["shop"]["complete"], found["monitors"]["shop"]["incomplete"]) == (2, 1)
    assert found["latency_window"]["start"].endswith(":00:00Z")
    assert found["latency_window"]["start"] <= found["availability_window"]["start"]


@pytest.mark.parametrize(
    ("path", "query", "sentence"),
    [
        ("monitors/shop/figures", {"window": "eon"}, "window is 'eon'"),
        ("monitors/shop/figures", {"apdex": "fast"}, "apdex: not a duration"),
        ("monitors/shop/figures", {"apdex": "2h"}, "at most 1h"),
        ("monitors/shop/figures", {"apdex": "0s"}, "more than 0s"),
        ("monitors/shop/series", {"points": "0"}, "allowed: 1 to 2000"),
        ("monitors/shop/series", {"points": "many"}, "allowed: 1 to 2000"),
        ("monitors/shop/series", {"points": "٣"}, "allowed: 1 to 2000"),
        ("monitors/shop/series", {"start": "2026-01-01", "end": "2025-01-01"}, "not before the end"),
    ],
)
@pytest.mark.usefixtures("published_to_sqlite")
def test_what_can_not_be_answered_is_told_with_what_is_allowed(get, make_monitor, path, query, sentence):
    make_monitor(name="Shop")

    assert sentence in get(path, 400, **query)["error"]


def test_a_monitor_that_nobody_knows_is_not_found(get, published_to_sqlite):
    assert get("monitors/nowhere/figures", 404) == {"error": "there is no monitor 'nowhere'"}


@pytest.mark.parametrize(
    "headers", [{}, {"X-Api-Key": "wrong"}, {"Authorization": "Bearer ключ"}, {"Authorization": ""}]
)
def test_without_a_key_there_is_no_answer(headers, published_to_sqlite):
    answer = Client().get("/api/v1/figures", headers=headers)

    assert answer.status_code == 401
    assert "API key" in answer.json()["error"]


def test_a_key_may_come_as_a_bearer_token(read_key, published_to_sqlite):
    assert Client().get("/api/v1/figures", headers={"Authorization": f"Bearer {read_key}"}).status_code == 200


def test_nothing_is_written_here(read_key, published_to_sqlite):
    assert Client().post("/api/v1/figures", headers={"X-Api-Key": read_key}).status_code == 405


def test_a_store_that_can_not_be_read_is_tried_again_later(get, make_monitor, published_to_sqlite, monkeypatch):
    make_monitor(name="Shop")
    monkeypatch.setenv("STILLUP_MEASUREMENTS_URL", "postgresql://somebody@127.0.0.1:1/nowhere")

    assert "try again" in get("monitors/shop/figures", 503)["error"]
