"""Heartbeats on the running product: what was answered is stored, whatever comes and whatever dies."""

from __future__ import annotations

import socket
import time
from collections import Counter
from contextlib import closing

import pytest

from tests.journeys.conftest import StartStack
from tests.journeys.pinging import Client, Pinger, paths_of, pinging, stored
from tests.journeys.stack import Stack
from tests.journeys.town import Town
from tests.waiting import wait_until

pytestmark = [pytest.mark.journey, pytest.mark.timeout(300), pytest.mark.long_on("sqlite")]


def check_killed_web(stack: Stack, slugs: list[str], *, kills: int, every: float) -> None:
    """What was answered 200 while web is killed again and again is stored, and no job goes down for it."""
    before = {slug: stored(stack, slug)[1] for slug in slugs}
    known = {slug: len(stack.transitions(slug)) for slug in slugs}
    pingers = {slug: Pinger(stack, paths_of(stack)[slug], per_second=50 / len(slugs)) for slug in slugs}
    with pinging(*pingers.values()):
        for _ in range(kills):
            time.sleep(every)
            stack.kill("web")
            wait_until(lambda: stack.get("/healthz")[0] == 200, within=30, what="web answers again")
        time.sleep(every)
    for slug, pinger in pingers.items():
        assert pinger.answers[200] > 10
        assert set(pinger.answers) <= {200, 0, 503, 429}
        assert stored(stack, slug)[1] - before[slug] >= pinger.answers[200]
        assert "down" not in [to for _, to in stack.transitions(slug)[known[slug] :]]


def test_what_was_answered_is_stored_although_web_is_killed(town: Town) -> None:
    check_killed_web(town.stack, ["hammered", "hammered-too"], kills=2, every=1.0)


@pytest.mark.long
def test_what_was_answered_is_stored_although_web_is_killed_ten_times(start_stack: StartStack) -> None:
    jobs = "".join(f"  - {{name: Job {n}, kind: heartbeat, schedule: {{every: 5s}}, grace: 10s}}\n" for n in range(5))
    stack = start_stack(f"monitors:\n{jobs}")
    check_killed_web(stack, [f"job-{n}" for n in range(5)], kills=10, every=2.0)


def test_a_flood_and_guesses_cost_nobody_else_anything(town: Town) -> None:
    stack = town.stack
    flooded, quiet = paths_of(stack)["hammered"], paths_of(stack)["hammered-too"]
    rows = stored(stack, "hammered")[0]
    honest = Pinger(stack, quiet, per_second=20)
    flood = [Pinger(stack, flooded, per_second=700, source="127.0.0.8") for _ in range(3)]
    guesses = [
        Pinger(stack, f"/ping/{number:08x}-0000-4000-8000-000000000000", per_second=300, source="127.0.0.9")
        for number in range(2)
    ]
    begun = time.monotonic()
    with pinging(honest, *flood, *guesses):
        time.sleep(3.0)
        for many in (flood, guesses):
            wait_until(
                lambda many=many: any(429 in pinger.answers for pinger in many), within=30, what="it is too much"
            )
    lasted = time.monotonic() - begun + 2
    assert set(honest.answers) == {200}
    assert sorted(honest.took)[int(0.99 * len(honest.took))] < 2.0
    answers = sum((pinger.answers for pinger in flood), Counter[int]())
    assert set(answers) == {200, 429}
    assert 50 <= answers[200] <= 50 * lasted, "so many a second of one monitor"
    assert stored(stack, "hammered")[0] - rows <= 10 + 2 * lasted, "most are counted, and not stored one by one"
    refused = sum((pinger.answers for pinger in guesses), Counter[int]())
    assert set(refused) == {404, 429}
    assert refused[404] <= 130, "60 a minute of one source"
    assert stack.get("/healthz")[0] == 200


ANSWERS = [
    *[(method, action, 200) for method in ("GET", "HEAD", "POST") for action in ("", "/start", "/fail", "/log", "/0")],
    ("POST", "/1", 200),
    ("POST", "/255", 200),
    ("POST", "/256", 400),
    ("POST", "/1000000000", 400),
    ("POST", "/-1", 404),
    ("OPTIONS", "", 204),
    ("PUT", "", 405),
    ("DELETE", "", 405),
    ("PATCH", "/fail", 405),
]


def test_methods_and_actions_have_their_answers(town: Town) -> None:
    path = paths_of(town.stack)["hammered-too"]
    with closing(Client(town.stack)) as client:
        answers = [(method, action, client.ask(path + action, method)) for method, action, _ in ANSWERS]
    assert answers == ANSWERS


def raw(stack: Stack, request: bytes) -> bytes:
    """The first line of the answer to a request as it stands; what is cut off is sent as far as it goes."""
    with socket.create_connection(("127.0.0.1", stack.port), timeout=30) as client:
        try:
            client.sendall(request)
            return client.makefile("rb").readline()
        except (BrokenPipeError, ConnectionResetError):
            return b""


def test_no_body_is_an_error_of_ours_and_a_ping_counts_when_it_is_complete(town: Town) -> None:
    stack, path = town.stack, paths_of(town.stack)["hammered-too"].encode()
    post = b"POST " + path + b"/log HTTP/1.1\r\nHost: x\r\n"
    chunk = b"10000\r\n" + b"x" * 65536 + b"\r\n"
    complete = [
        post + b"Content-Length: 0\r\n\r\n",
        post + b"Content-Length: 4\r\n\r\n\xff\xfe\x00\x1b",
        post + b"Content-Length: 10240\r\n\r\n" + b"x" * 10240,
        post + b"Content-Encoding: gzip\r\nContent-Length: 20\r\n\r\n\x1f\x8b" + b"\0" * 18,
        post + b"Transfer-Encoding: chunked\r\n\r\n3\r\nabc\r\n0\r\n\r\n",
    ]
    before = stored(stack, "hammered-too")[1]
    for request in complete:
        assert raw(stack, request).startswith(b"HTTP/1.1 200"), request[:200]
    assert stored(stack, "hammered-too")[1] - before == len(complete)
    refused = [
        post + b"Content-Length: 10485760\r\n\r\n",
        post + b"Transfer-Encoding: chunked\r\n\r\n" + chunk * 40,
        post + b"Content-Length: -1\r\n\r\n",
        post + b"Content-Length: 3\r\nContent-Length: 4\r\n\r\nabcd",
        post + b"Transfer-Encoding: chunked\r\n\r\nno size\r\n",
    ]
    for request in refused:
        assert raw(stack, request)[9:10] in (b"4", b""), request[:200]
    with socket.create_connection(("127.0.0.1", stack.port)) as client:
        client.sendall(post + b"Content-Length: 10\r\n\r\nhalf")
    time.sleep(0.2)
    assert stored(stack, "hammered-too")[1] - before == len(complete)
