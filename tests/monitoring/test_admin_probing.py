"""The button "probe now": one probe, shown and not recorded."""

from __future__ import annotations

import asyncio
import threading
from collections.abc import Iterator

import pytest
from django.test import Client

pytestmark = pytest.mark.django_db


@pytest.fixture(params=["sqlite"])
def dialect(request) -> str:
    return request.param


@pytest.fixture
def page(published_to, operator_client: Client) -> Client:
    return operator_client


class Target:
    """An HTTP server on loopback, in a thread of its own."""

    def __init__(self) -> None:
        self.asked = 0
        self.started = threading.Event()
        self.loop = asyncio.new_event_loop()
        self.thread = threading.Thread(target=self._run, daemon=True)
        self.thread.start()
        self.started.wait(5)

    def _run(self) -> None:
        async def serve() -> None:
            self.server = await asyncio.start_server(self._answer, "127.0.0.1", 0)
            self.port = self.server.sockets[0].getsockname()[1]
            self.started.set()
            self.stop = asyncio.Event()
            await self.stop.wait()
            self.server.close()

        self.loop.run_until_complete(serve())

    async def _answer(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        await reader.readuntil(b"\r\n\r\n")
        self.asked += 1
        writer.write(b"HTTP/1.1 503 Busy\r\ncontent-length: 4\r\nconnection: close\r\n\r\nbusy")
        await writer.drain()
        writer.close()

    def close(self) -> None:
        self.loop.call_soon_threadsafe(self.stop.set)
        self.thread.join(5)
        self.loop.close()


@pytest.fixture
def target() -> Iterator[Target]:
    running = Target()
    yield running
    running.close()


def test_probe_now_asks_once_and_shows_where_the_time_went(page, make_monitor, target):
    monitor = make_monitor(name="Shop", url=f"http://127.0.0.1:{target.port}/")
    body = page.post(f"/admin/monitoring/monitor/{monitor.pk}/probe/").content.decode()
    assert target.asked == 1
    assert '<strong class="font-semibold text-important">down</strong>' in body
    assert "503" in body
    for phase in ("connect", "first byte"):
        assert phase in body
    assert "<rect" in body
    assert "is not recorded" in body


def test_probe_now_of_a_target_that_refuses_is_a_result_and_no_error(page, make_monitor):
    monitor = make_monitor(url="http://127.0.0.1:9/")
    answer = page.post(f"/admin/monitoring/monitor/{monitor.pk}/probe/")
    assert answer.status_code == 200
    assert "the connection was refused" in answer.content.decode()
