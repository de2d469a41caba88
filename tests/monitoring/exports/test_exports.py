"""Exports as a browser and a program get them. Streams are read as the server reads them: asynchronously."""

from __future__ import annotations

import asyncio
import csv
import io
import json
from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest
from asgiref.sync import async_to_sync
from django.core.handlers.asgi import ASGIHandler
from django.test import AsyncClient

from checks.clock import utcnow
from checks.environment import measurements_url
from checks.heartbeats.receiver import PingReceiver
from checks.status import Status
from checks.store import rollup, schema
from checks.store.schema import dirty_period
from monitoring import front, ping_keys
from monitoring.exports import rows, views
from monitoring.models import ApiKey
from monitoring.models.access import digest_of
from monitoring.static_files import StaticFiles
from tests.monitoring.past import put_incident, put_results, put_transitions

pytestmark = pytest.mark.django_db

START = datetime(2025, 10, 1, tzinfo=UTC)
DAY = {"start": "2025-10-01", "end": "2025-10-02"}
KEY = {"X-Api-Key": "a-key-of-a-program"}


@pytest.fixture
def key(db: None) -> None:
    ApiKey.objects.create(name="exports", digest=digest_of(KEY["X-Api-Key"]), created_at=utcnow())


@pytest.fixture
def shop(published_to, make_monitor):
    return make_monitor(name="Shop")


def get(address: str, asked: Any = None, headers: Any = KEY) -> tuple[Any, str]:
    """The answer, and its text."""

    @async_to_sync
    async def ask():
        answer = await AsyncClient().get(address, asked or {}, headers=headers)
        if not answer.streaming:
            return answer, answer.content.decode()
        return answer, b"".join([piece async for piece in answer.streaming_content]).decode()

    return ask()


def table(text: str) -> list[dict[str, str]]:
    return list(csv.DictReader(io.StringIO(text, newline="")))


def test_results_are_exported_with_their_phases_and_failures(shop, published_to, key):
    put_results(published_to, shop, START, [25, 30], every=60)
    bad = {"reason": "refused", "message": "=HYPERLINK(1)"}
    put_results(published_to, shop, START + timedelta(hours=1), [None], every=60, failure=bad)

    answer, text = get("/api/v1/monitors/shop/results.csv", DAY)

    assert answer.headers["Content-Type"] == "text/csv; charset=utf-8"
    assert answer.headers["Content-Disposition"] == 'attachment; filename="shop-results-2025-10-01-2025-10-02.csv"'
    assert "no-store" in answer.headers["Cache-Control"]
    first, second, third = table(text)
    assert (first["started_at"], first["latency_seconds"], first["first_byte_seconds"], first["dns_seconds"]) == (
        "2025-10-01T00:00:00Z",
        "0.025",
        "0.025",
        "",
    )
    assert second["started_at"] == "2025-10-01T00:01:00Z"
    assert (third["outcome"], third["latency_seconds"], third["message"]) == ("down", "", "'=HYPERLINK(1)")
    assert "evidence" not in first
    found = json.loads(get("/api/v1/monitors/shop/results.json", {**DAY, "outcome": "down"})[1])
    assert found["monitor"] == "shop"
    assert [row["message"] for row in found["rows"]] == ["=HYPERLINK(1)"]


@pytest.mark.parametrize("every", [1.0, 0.0])
def test_every_result_is_exported_once_however_many_pages_there_are(shop, published_to, key, monkeypatch, every):
    """Also where many started in the same microsecond, across the edges of pages."""
    monkeypatch.setattr(rows, "PAGE", 7)
    put_results(published_to, shop, START, list(range(1, 51)), every=every)

    found = table(get("/api/v1/monitors/shop/results.csv", DAY)[1])

    assert [row["latency_seconds"] for row in found] == [str(ms / 1000) for ms in range(1, 51)]
    assert len(table(get("/api/v1/monitors/shop/results.csv", {**DAY, "end": "2025-10-01T00:00:10Z"})[1])) == (
        10 if every else 50
    )


def test_intervals_are_exported_with_their_incidents(published_to_sqlite, make_monitor, key):
    shop = make_monitor(name="Shop")
    put_transitions(
        published_to_sqlite,
        shop,
        (START, Status.UP),
        (START + timedelta(hours=1), Status.DOWN),
        (START + timedelta(hours=2), Status.UP),
    )
    incident = put_incident(shop, START + timedelta(hours=1), START + timedelta(hours=2))

    found = table(get("/api/v1/monitors/shop/intervals.csv", DAY)[1])

    assert [(row["status"], row["seconds"], row["incident"], row["counted"]) for row in found] == [
        ("up", "3600.0", "", "true"),
        ("down", "3600.0", str(incident.uuid), "true"),
        ("up", "79200.0", "", "true"),
    ]
    assert sum(float(row["seconds"]) for row in found) == 86_400


def test_rollups_are_exported_as_percentiles(shop, published_to, key, monkeypatch):
    put_results(published_to, shop, START, [100] * 99 + [900], every=30)
    hour = {"resolution": "hour", "start": START, "ready_at": START}
    with published_to.begin() as conn:
        place = conn.exec_driver_sql("SELECT id FROM target").scalar_one()
        conn.execute(dirty_period.insert().values(target_id=place, **hour))
    while rollup.roll_up(published_to, START + timedelta(days=3)):
        pass
    monkeypatch.setattr(rows, "PAGE", 3)

    found = table(get("/api/v1/monitors/shop/rollups.csv", DAY)[1])

    assert {(row["resolution"], row["phase"]) for row in found} >= {("hour", "total"), ("hour", "first_byte")}
    assert len({tuple(row.values()) for row in found}) == len(found) > 3
    of_hours = json.loads(get("/api/v1/monitors/shop/rollups.json", {**DAY, "resolution": "hour", "phase": "total"})[1])
    (row,) = of_hours["rows"]
    assert (row["complete"], row["max_seconds"], row["min_seconds"]) == (100, 0.9, 0.1)
    assert row["p50_seconds"] == pytest.approx(0.1, rel=0.01)
    with published_to.begin() as conn:
        conn.execute(schema.rollup.update().where(schema.rollup.c.phase == "total").values(histogram=b"?"))
    spoiled = {row["phase"]: row for row in table(get("/api/v1/monitors/shop/rollups.csv", DAY)[1])}
    assert (spoiled["total"]["complete"], spoiled["total"]["p95_seconds"]) == ("100", "")
    assert spoiled["first_byte"]["p95_seconds"] != ""


def test_a_report_is_exported_a_row_a_monitor(published_to_sqlite, make_monitor, key):
    shop = make_monitor(name="Shop")
    put_transitions(published_to_sqlite, shop, (START, Status.UP), (START + timedelta(days=30), Status.DOWN))

    (row,) = table(get("/api/v1/report.csv", {"month": "2025-10"})[1])

    assert (row["monitor"], row["outages"], row["down_seconds"]) == ("shop", "1", "86400.0")
    assert float(row["availability"]) == pytest.approx(30 / 31)
    assert json.loads(get("/api/v1/report.json", {"month": "2025-10", "monitor": "nobody"})[1])["rows"] == []
    day = json.loads(get("/api/v1/report.json", {"window": "day"})[1])
    assert datetime.fromisoformat(day["end"]) - datetime.fromisoformat(day["start"]) == timedelta(days=1)


def test_of_a_location_without_results_there_are_none(published_to_sqlite, make_monitor, key):
    put_results(published_to_sqlite, make_monitor(name="Shop"), START, [5], every=60)
    assert table(get("/api/v1/monitors/shop/results.csv", {**DAY, "location": "nowhere"})[1]) == []


@pytest.mark.parametrize(
    ("address", "asked", "status", "sentence"),
    [
        ("/api/v1/monitors/shop/results.csv", {"start": "yesterday"}, 400, "start is 'yesterday'; allowed: an instant"),
        (
            "/api/v1/monitors/shop/results.csv",
            {"start": "2025-10-02", "end": "2025-10-01"},
            400,
            "the start is not before the end",
        ),
        ("/api/v1/monitors/shop/results.csv", {"start": "1975-10-02"}, 400, "days apart"),
        ("/api/v1/monitors/shop/results.csv", {"end": "2025-10-01"}, 400, "there is an end and no start"),
        ("/api/v1/monitors/shop/results.csv", {"outcome": "sad"}, 400, "one of up, degraded, down, unknown"),
        ("/api/v1/monitors/shop/rollups.csv", {"resolution": "week"}, 400, "unknown resolution"),
        ("/api/v1/monitors/shop/results.xls", {}, 404, "as csv or json"),
        ("/api/v1/monitors/shop/secrets.csv", {}, 404, "results, intervals, rollups"),
        ("/api/v1/monitors/nobody/results.csv", {}, 404, "no such export"),
        ("/api/v1/monitors/shop/results.csv", {"location": "\0"}, 400, "holds the character U+0000"),
        ("/api/v1/report.csv", {"month": "13"}, 400, "not a month"),
        ("/api/v1/report.csv", {"month": "0001-01", "zone": "Asia/Tokyo"}, 400, "not a month"),
        ("/api/v1/report.csv", {"month": "9999-12"}, 400, "not a month"),
        ("/api/v1/report.csv", {"end": "2025-10-01"}, 400, "there is an end and no start"),
        ("/api/v1/report.csv", {"window": "year"}, 400, "window is 'year'"),
        ("/api/v1/report.pdf", {}, 404, "as csv or json"),
    ],
)
@pytest.mark.usefixtures("published_to_sqlite", "key")
def test_what_cannot_be_exported_is_said(make_monitor, address, asked, status, sentence):
    make_monitor(name="Shop")
    answer, text = get(address, asked)
    assert answer.status_code == status
    assert sentence in json.loads(text)["error"]


def test_programs_need_a_key(published_to_sqlite, make_monitor, key):
    make_monitor(name="Shop")
    for headers in ({}, {"X-Api-Key": "another"}, {"Authorization": "Bearer another"}):
        assert get("/api/v1/monitors/shop/results.csv", headers=headers)[0].status_code == 401
    bearer = {"Authorization": f"Bearer {KEY['X-Api-Key']}"}
    assert get("/api/v1/monitors/shop/results.csv", headers=bearer)[0].status_code == 200


def test_people_download_the_same(published_to_sqlite, make_monitor, viewer):
    make_monitor(name="Shop")
    client = AsyncClient()
    client.force_login(viewer)
    answer = async_to_sync(client.get)("/dashboard/monitors/shop/results.csv")
    assert (answer.status_code, answer.streaming) == (200, True)
    assert async_to_sync(client.get)("/dashboard/report.csv").status_code == 200


def test_more_than_a_few_exports_at_once_wait(published_to_sqlite, make_monitor, key, monkeypatch):
    make_monitor(name="Shop")
    running = views._Running()
    monkeypatch.setattr(views, "_running", running)

    async def begin_many_and_ask_for_one_more():
        begun = [views._streamed([b"x"], iter([b"y"])) for _ in range(views.AT_ONCE)]
        assert [await anext(stream) for stream in begun] == [b"x"] * views.AT_ONCE
        refused = await AsyncClient().get("/api/v1/monitors/shop/results.csv", headers=KEY)
        for stream in begun:
            await stream.aclose()  # as where a reader went away
        return refused

    refused = async_to_sync(begin_many_and_ask_for_one_more)()

    assert (refused.status_code, refused.headers["Retry-After"]) == (503, "10")
    assert running.exports == 0
    assert get("/api/v1/monitors/shop/results.csv")[0].status_code == 200


def test_readers_that_hang_keep_nobody_out_for_ever(published_to_sqlite, make_monitor, key, monkeypatch):
    make_monitor(name="Shop")
    running = views._Running()
    monkeypatch.setattr(views, "_running", running)
    monkeypatch.setattr(front, "TAKEN_WITHIN", 0.3)
    answering = front.Front(ASGIHandler(), PingReceiver(measurements_url(), ping_keys.make), StaticFiles())
    address = "/api/v1/monitors/shop/results.csv"
    begun = asyncio.Semaphore(0)
    headers = [(name.lower().encode(), value.encode()) for name, value in {"Host": "testserver", **KEY}.items()]
    scope = {"type": "http", "method": "GET", "path": address, "query_string": b"", "headers": headers}

    async def hang() -> None:
        asked = [{"type": "http.request", "body": b"", "more_body": False}]

        async def receive() -> Any:
            return asked.pop() if asked else await asyncio.get_running_loop().create_future()

        async def send(message: Any) -> None:
            if message["type"] == "http.response.body":
                begun.release()
                await asyncio.get_running_loop().create_future()

        await answering(scope, receive, send)

    async def begin_many_and_ask_before_and_after():
        hanging = [asyncio.create_task(hang()) for _ in range(views.AT_ONCE)]
        for _ in hanging:
            await asyncio.wait_for(begun.acquire(), 10)
        before = await AsyncClient().get(address, headers=KEY)
        async with asyncio.timeout(10):
            await asyncio.gather(*hanging)
        return before, await AsyncClient().get(address, headers=KEY)

    before, after = async_to_sync(begin_many_and_ask_before_and_after)()

    assert (before.status_code, after.status_code) == (503, 200)
    assert running.exports == 0


def test_a_page_is_read_when_the_one_before_was_sent(published_to_sqlite):
    read: list[int] = []

    def pages() -> Iterator[list[tuple[int]]]:
        for number in range(100):
            read.append(number)
            yield [(number,)]

    async def some(response):
        stream = aiter(response.streaming_content)
        return [await anext(stream) for _ in range(3)]

    response = views._document("csv", "x", ["a"], pages(), {})
    async_to_sync(some)(response)

    assert len(read) == 3
