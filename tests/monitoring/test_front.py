"""What stands before Django: caps, pings, static files, the server's life."""

from __future__ import annotations

import asyncio
from collections.abc import Iterable
from dataclasses import dataclass, field
from typing import Any

import pytest

from monitoring import front
from monitoring.front import MAX_BODY, MAX_HEADERS, Front
from monitoring.static_files import StaticFiles


@dataclass
class Answer:
    status: int = 0
    headers: dict[bytes, bytes] = field(default_factory=dict)
    body: bytes = b""


class Recorder:
    """Stands for Django or the receiver: reads the whole body and answers with its length."""

    def __init__(self) -> None:
        self.paths: list[str] = []
        self.life: list[str] = []

    def open(self) -> None:
        self.life.append("open")

    def beat(self) -> None:
        if self.life[-1] != "beat":
            self.life.append("beat")

    def drain(self) -> None:
        self.life.append("drain")

    def close(self) -> None:
        self.life.append("close")

    async def __call__(self, scope: Any, receive: Any, send: Any) -> None:
        size, more = 0, True
        while more:
            message = await receive()
            size += len(message.get("body", b""))
            more = message.get("more_body", False)
        self.paths.append(scope["path"])
        await send({"type": "http.response.start", "status": 200, "headers": []})
        await send({"type": "http.response.body", "body": str(size).encode()})


class Site:
    """The front with a Django and a receiver that only remember."""

    def __init__(self) -> None:
        self.django, self.pings = Recorder(), Recorder()
        self.front = Front(self.django, self.pings, StaticFiles())

    def ask(
        self, path: str, *, method: str = "GET", headers: Iterable[tuple[bytes, bytes]] = (), body: Iterable[bytes] = ()
    ) -> Answer:
        answer = Answer()
        parts = list(body) or [b""]
        messages = [
            {"type": "http.request", "body": part, "more_body": number < len(parts)}
            for number, part in enumerate(parts, 1)
        ]

        async def receive() -> Any:
            return messages.pop(0)

        async def send(message: Any) -> None:
            if message["type"] == "http.response.start":
                answer.status, answer.headers = message["status"], dict(message["headers"])
            else:
                answer.body += message["body"]

        scope = {"type": "http", "method": method, "path": path, "headers": list(headers)}
        asyncio.run(self.front(scope, receive, send))
        return answer


@pytest.fixture
def site() -> Site:
    return Site()


def test_a_ping_never_reaches_django(site: Site) -> None:
    assert site.ask("/ping/1", method="POST", body=[b"log"]).body == b"3"
    assert site.pings.paths == ["/ping/1"]
    assert site.django.paths == []


def test_everything_else_is_djangos(site: Site) -> None:
    assert site.ask("/dashboard/").status == 200
    assert site.ask("/pings").status == 200
    assert site.django.paths == ["/dashboard/", "/pings"]


def test_too_many_headers_are_refused_wherever_they_go(site: Site) -> None:
    many = [(b"x-%d" % number, b"1") for number in range(MAX_HEADERS + 1)]
    for path in ("/", "/ping/1", "/static/stillup.css"):
        answer = site.ask(path, headers=many)
        assert answer.status == 431
        assert b"101 headers; at most 100 are read" in answer.body
    assert site.ask("/", headers=many[:-1]).status == 200


def test_a_body_that_announces_too_much_is_refused_unread(site: Site) -> None:
    answer = site.ask("/", method="POST", headers=[(b"content-length", str(MAX_BODY + 1).encode())])
    assert answer.status == 413
    assert site.django.paths == []


def test_a_body_that_turns_out_too_large_is_refused(site: Site) -> None:
    chunks = [b"x" * 100_000] * 11
    assert site.ask("/", method="POST", body=chunks).status == 413
    assert site.ask("/", method="POST", body=chunks[:10]).body == b"1000000"


def test_a_body_that_trickles_in_is_refused_after_a_while(site: Site, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(front, "BODY_WITHIN", 0.2)
    answer = Answer()

    async def receive() -> Any:
        await asyncio.sleep(0.01)
        return {"type": "http.request", "body": b"x", "more_body": True}

    async def send(message: Any) -> None:
        if message["type"] == "http.response.start":
            answer.status = message["status"]
        else:
            answer.body += message["body"]

    async def main() -> None:
        async with asyncio.timeout(5):
            await site.front({"type": "http", "method": "POST", "path": "/", "headers": []}, receive, send)

    asyncio.run(main())
    assert (answer.status, answer.body) == (408, b"the body did not arrive within 0.2 s\n")
    assert site.django.paths == []


def test_an_answer_may_take_longer_than_a_body(site: Site, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(front, "BODY_WITHIN", 0.1)
    left: list[str] = []

    async def django(scope: Any, receive: Any, send: Any) -> None:
        await receive()
        left.append((await receive())["type"])  # as Django waits for a client that leaves

    async def receive() -> Any:
        if messages:
            return messages.pop()
        await asyncio.sleep(0.3)
        return {"type": "http.disconnect"}

    async def send(message: Any) -> None:
        left.append(message["type"])

    messages = [{"type": "http.request", "body": b"", "more_body": False}]
    answering = Front(django, site.pings, StaticFiles())
    asyncio.run(answering({"type": "http", "method": "GET", "path": "/", "headers": []}, receive, send))
    assert left == ["http.disconnect"]


@pytest.mark.parametrize(
    ("seconds", "size", "ended"),
    [(0.15, 50, True), (0.05, 100, False), (0.35, 10_000, True), (0.0, 0, False)],
    ids=["a byte now and then", "slow and steady", "hangs once", "nothing in it"],
)
def test_an_answer_that_is_taken_too_slowly_is_ended(
    monkeypatch: pytest.MonkeyPatch, seconds: float, size: int, ended: bool
) -> None:
    monkeypatch.setattr(front, "TAKEN_WITHIN", 0.3)
    monkeypatch.setattr(front, "SLOWEST", 1000)
    pieces, left = 12, []

    async def django(scope: Any, receive: Any, send: Any) -> None:
        try:
            for _ in range(pieces):
                await send({"type": "http.response.body", "body": b"x" * size, "more_body": True})
                left.append(size)
        except asyncio.CancelledError:
            left.append(-1)

    async def whole() -> Any:
        return {"type": "http.request", "body": b"", "more_body": False}

    async def send(message: Any) -> None:
        await asyncio.sleep(seconds)

    answering = Front(django, Recorder(), StaticFiles())
    asyncio.run(answering({"type": "http", "method": "GET", "path": "/", "headers": []}, whole, send))

    assert (left[-1] == -1) == ended
    assert len(left) < pieces if ended else left == [size] * pieces


def test_django_is_asked_only_so_often_at_once_and_never_by_half_a_body() -> None:
    at_once, most = 0, 0

    async def django(scope: Any, receive: Any, send: Any) -> None:
        nonlocal at_once, most
        at_once += 1
        most = max(most, at_once)
        await asyncio.sleep(0.01)
        at_once -= 1

    async def whole() -> Any:
        return {"type": "http.request", "body": b"", "more_body": False}

    async def never_whole() -> Any:
        await asyncio.sleep(60)

    async def send(message: Any) -> None:
        pass

    async def main() -> None:
        answering = Front(django, Recorder(), StaticFiles())
        scope = {"type": "http", "method": "POST", "path": "/", "headers": []}
        slow = [asyncio.create_task(answering(scope, never_whole, send)) for _ in range(2 * front.SLOTS)]
        async with asyncio.timeout(5):
            await asyncio.gather(*(answering(scope, whole, send) for _ in range(3 * front.SLOTS)))
        for task in slow:
            task.cancel()

    asyncio.run(main())
    assert most == front.SLOTS


@pytest.mark.parametrize("length", [b"-1", b"many", b"9" * 40, b""])
def test_a_length_that_is_none_is_no_length(site: Site, length: bytes) -> None:
    assert site.ask("/", headers=[(b"content-length", length)]).status == 200


def test_the_receiver_lives_as_long_as_the_server(site: Site) -> None:
    sent: list[str] = []
    messages = [{"type": "lifespan.startup"}, {"type": "lifespan.shutdown"}]

    async def receive() -> Any:
        await asyncio.sleep(0.01)
        return messages.pop(0)

    async def send(message: Any) -> None:
        sent.append(message["type"])

    asyncio.run(site.front({"type": "lifespan"}, receive, send))
    assert site.pings.life == ["open", "beat", "drain", "close"]
    assert sent == ["lifespan.startup.complete", "lifespan.shutdown.complete"]


def test_a_static_file_is_sent_with_its_type_and_a_tag(site: Site) -> None:
    answer = site.ask("/static/stillup.css")
    assert answer.status == 200
    assert answer.headers[b"content-type"] == b"text/css; charset=utf-8"
    assert answer.headers[b"x-content-type-options"] == b"nosniff"
    assert b"max-age=" in answer.headers[b"cache-control"]
    assert int(answer.headers[b"content-length"]) == len(answer.body) > 100


def test_a_browser_that_has_the_file_is_told_so(site: Site) -> None:
    tag = site.ask("/static/stillup.css").headers[b"etag"]
    for asked in (tag, b"W/" + tag, b'"other", ' + tag):
        answer = site.ask("/static/stillup.css", headers=[(b"if-none-match", asked)])
        assert (answer.status, answer.body) == (304, b"")
    assert site.ask("/static/stillup.css", headers=[(b"if-none-match", b'"other"')]).status == 200


def test_the_head_of_a_static_file_has_its_length_and_no_body(site: Site) -> None:
    answer = site.ask("/static/stillup.css", method="HEAD")
    assert answer.body == b""
    assert int(answer.headers[b"content-length"]) > 100


def test_the_files_of_the_installed_apps_are_there_too(site: Site) -> None:
    assert site.ask("/static/admin/css/base.css").status == 200


@pytest.mark.parametrize(
    "path",
    [
        "/static/",
        "/static/nothing.css",
        "/static/../manage.py",
        "/static/../../etc/passwd",
        "/static//etc/passwd",
        "/static/admin",
        "/static/\0",
        "/static/./../monitoring/settings.py",
    ],
)
def test_what_is_no_static_file_is_not_found(site: Site, path: str) -> None:
    assert site.ask(path).status == 404


def test_a_static_file_can_only_be_read(site: Site) -> None:
    answer = site.ask("/static/stillup.css", method="POST")
    assert answer.status == 405
    assert answer.headers[b"allow"] == b"GET, HEAD"
