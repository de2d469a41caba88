"""How the http kind says who it is in more than one step: digest, OAuth 2 client credentials."""

from __future__ import annotations

import asyncio
import base64
import hashlib
import json
import re
from urllib.parse import parse_qs

import pytest

from checks import clock
from checks.network import Resources, tokens
from checks.result import Outcome, Reason
from checks.web import authentication
from tests.factories import make_spec
from tests.probing import on_loop, probe_once, probed
from tests.servers import Target, answer, answers, closed_port, echoes, hangs

# Digest


def digesting(algorithm="SHA-256", *, qop='qop="auth"', password="s3cret", lasts=100):
    """A target that wants digest authentication, with a new nonce after so many answers."""
    hashed = {"MD5": hashlib.md5, "SHA-256": hashlib.sha256}.get(algorithm.removesuffix("-sess"), hashlib.sha256)
    state = {"nonce": 1, "left": lasts}

    def digest(*parts):
        return hashed(":".join(parts).encode()).hexdigest()

    def behave(visit):
        request = visit.read_request().decode()
        nonce = f"n{state['nonce']}"
        found = re.search(r"\r\nauthorization: Digest (.*)\r\n", request)
        given = dict(re.findall(r'(\w+)="?([^",]*)"?', found[1])) if found else {}
        secret = digest("eve", "shop", password)
        if algorithm.endswith("-sess"):
            secret = digest(secret, given.get("nonce", ""), given.get("cnonce", ""))
        asked = digest(request.split(" ")[0], given.get("uri", ""))
        middle = [given.get("nc", ""), given.get("cnonce", ""), "auth"] if qop else []
        wanted = digest(secret, given.get("nonce", ""), *middle, asked)
        if given.get("nonce") == nonce and given.get("response") == wanted:
            state["left"] -= 1
            if not state["left"]:
                state.update(nonce=state["nonce"] + 1, left=lasts)
            visit.send(answer(b"inside"))
            return
        parts = ['realm="shop"', f'nonce="{nonce}"', f"algorithm={algorithm}", qop, 'opaque="o"']
        challenge = "WWW-Authenticate: Digest " + ", ".join(part for part in parts if part)
        visit.send(answer(b"who?", "401 Unauthorized", (challenge,)))

    return behave


DIGEST = {"digest": True, "username": "eve", "password": "s3cret", "expect": ['body == "inside"']}


@pytest.mark.parametrize("algorithm", ["MD5", "SHA-256", "SHA-256-sess"])
@pytest.mark.parametrize("qop", ['qop="auth"', 'qop="auth-int, auth"', ""], ids=["auth", "several", "old"])
def test_a_challenge_is_answered_and_the_password_never_sent(algorithm, qop):
    if not qop and algorithm.endswith("-sess"):
        algorithm = "MD5"  # there is no session without a nonce of our own
    with Target(digesting(algorithm, qop=qop)) as target:
        result = probe_once(url=target.url("/in?a=b"), **DIGEST)
    assert result.outcome is Outcome.UP, result
    assert len(target.requests) == 2
    assert not any(b"s3cret" in request for request in target.requests)
    assert result.latency_ns == result.phases.total()


def test_a_challenge_is_answered_again_until_there_is_another():
    async def three_times(spec, resources):
        return [await probed(spec, resources) for _ in range(3)]

    resources = Resources.open()
    with Target(digesting(lasts=2)) as target:
        results = on_loop(three_times(make_spec(url=target.url(), **DIGEST), resources), resources)
    assert all(result.outcome is Outcome.UP for result in results)
    assert len(target.requests) == 5  # challenge, answer; answer; a stale one, answer


def test_a_wrong_password_is_asked_twice_and_down():
    with Target(digesting(password="other")) as target:
        result = probe_once(url=target.url(), **{**DIGEST, "expect": []})
    assert result.failure.found == "401"
    assert len(target.requests) == 2


@pytest.mark.parametrize(
    "challenge",
    [
        "Digest nonsense",
        'Digest realm="x", nonce="y", algorithm=ROT13',
        'Digest realm="x", nonce="y", qop="auth-int"',
    ],
)
def test_a_challenge_that_can_not_be_answered_is_named(challenge):
    with Target(answers(b"", "401 No", (f"WWW-Authenticate: {challenge}",))) as target:
        result = probe_once(url=target.url(), **DIGEST)
    assert (result.outcome, result.failure.reason) == (Outcome.DOWN, Reason.AUTHENTICATION)
    assert result.failure.message == "the target's challenge for digest authentication can't be answered"


def test_another_way_that_is_wanted_is_the_answer():
    with Target(answers(b"", "401 No", ("WWW-Authenticate: Basic",))) as target:
        result = probe_once(url=target.url(), **{**DIGEST, "expect": []})
    assert result.failure.found == "401"
    assert target.connections == 1


# OAuth 2


class Giver:
    """Gives tokens, and a target that wants them; `good` are those it takes."""

    def __init__(self, **fields):
        self.fields = fields
        self.given = 0
        self.good = set()
        self.asked = []

    def gives(self, visit):
        self.asked.append(visit.read_request())
        self.given += 1
        token = f"t0ken-{self.given}"
        self.good = {token}
        body = {"access_token": token, "token_type": "Bearer", "expires_in": 3600, **self.fields}
        visit.send(answer(json.dumps(body).encode()))

    def takes(self, visit):
        found = re.search(rb"authorization: Bearer (\S+)", visit.read_request())
        good = found is not None and found[1].decode() in self.good
        visit.send(answer(b"echo " + (found[1] if found else b""), "200 OK" if good else "401 Unauthorized"))


def credentials(target, **options):
    return {
        "token_url": target.url("/token"),
        "client_id": "stillup:id",
        "client_secret": "cl1ent-s3cret",
        **options,
    }


def several(spec, resources, count, between=lambda _: None):
    async def work():
        results = []
        for number in range(count):
            between(number)
            results.append(await probed(spec, resources, explain=True))
        return results

    return on_loop(work(), resources)


def test_a_token_is_fetched_once_and_used_until_it_expires(monkeypatch):
    giver = Giver(expires_in=100)
    now = clock.monotonic_ns
    ahead = 0

    def later(number):
        nonlocal ahead
        ahead = 91 * 10**9 if number == 2 else ahead

    with Target(giver.gives) as tokens_of, Target(giver.takes) as target:
        spec = make_spec(url=target.url(), scope="read write", audience="shop", **credentials(tokens_of))
        monkeypatch.setattr(tokens.clock, "monotonic_ns", lambda: now() + ahead)
        results = several(spec, Resources.open(), 3, later)
    assert [result.outcome for result in results] == [Outcome.UP] * 3
    assert giver.given == 2
    assert [result.phases.other is not None for result in results] == [True, False, True]
    assert all(result.latency_ns == result.phases.total() for result in results)
    head, _, body = giver.asked[0].partition(b"\r\n\r\n")
    proof = base64.b64encode(b"stillup%3Aid:cl1ent-s3cret")
    assert b"authorization: Basic " + proof in head
    assert parse_qs(body.decode()) == {
        "grant_type": ["client_credentials"],
        "scope": ["read write"],
        "audience": ["shop"],
    }


def test_the_secret_goes_in_the_body_where_that_is_wanted():
    giver = Giver()
    with Target(giver.gives) as tokens_of, Target(giver.takes) as target:
        result = probe_once(url=target.url(), **credentials(tokens_of, secret_in_body=True))
    assert result.outcome is Outcome.UP
    head, _, body = giver.asked[0].partition(b"\r\n\r\n")
    assert b"authorization" not in head
    assert parse_qs(body.decode())["client_secret"] == ["cl1ent-s3cret"]


def test_a_token_that_is_refused_is_fetched_anew_once(monkeypatch):
    giver = Giver()
    monkeypatch.setattr(tokens, "MIN_AGE", 0.0)

    def forget(number):
        if number:
            giver.good = set()

    with Target(giver.gives) as tokens_of, Target(giver.takes) as target:
        spec = make_spec(url=target.url(), **credentials(tokens_of))
        results = several(spec, Resources.open(), 2, forget)
    assert [result.outcome for result in results] == [Outcome.UP] * 2
    assert giver.given == 2
    assert len(target.requests) == 3


def test_a_target_that_takes_no_token_is_down_and_the_giver_not_stormed():
    giver = Giver()
    with Target(giver.gives) as tokens_of, Target(answers(b"no", "401 Unauthorized")) as target:
        spec = make_spec(url=target.url(), **credentials(tokens_of))
        results = several(spec, Resources.open(), 3)
    assert [result.failure.found for result in results] == ["401"] * 3
    assert (giver.given, target.connections) == (1, 3)


def test_many_probes_at_once_fetch_one_token():
    giver = Giver()

    async def at_once(specs, resources):
        return await asyncio.gather(*(probed(spec, resources) for spec in specs))

    resources = Resources.open()
    with Target(giver.gives) as tokens_of, Target(giver.takes) as target:
        specs = [make_spec(url=target.url(f"/{number}"), **credentials(tokens_of)) for number in range(10)]
        results = on_loop(at_once(specs, resources), resources)
    assert [result.outcome for result in results] == [Outcome.UP] * 10
    assert giver.given == 1


def test_neither_token_nor_secret_is_seen_anywhere(caplog):
    caplog.set_level(0)
    giver = Giver()
    with Target(giver.gives) as tokens_of, Target(giver.takes) as target:
        result = probe_once(url=target.url(), expect=['body contains "x"'], **credentials(tokens_of))
    assert result.evidence["body"].startswith("echo •")
    told = repr(result) + caplog.text
    assert "t0ken" not in told
    assert "cl1ent-s3cret" not in told


def test_a_token_is_not_sent_to_another_host():
    giver = Giver()
    with (
        Target(giver.gives) as tokens_of,
        Target(echoes) as other,
        Target(answers(b"", "302 Found", (f"Location: {other.url()}",))) as target,
    ):
        probe_once(url=target.url(), **credentials(tokens_of))
    assert b"t0ken" in target.requests[0]
    assert b"t0ken" not in other.requests[0]


@pytest.mark.parametrize(
    ("said", "words"),
    [
        (answer(b'{"error": "invalid_client"}', "400 Bad Request"), 'status 400: "invalid_client"'),
        (answer(b"<html>", "503 Unavailable"), "status 503"),
        (answer(b"<html>"), "its answer holds none"),
        (answer(b'{"access_token": 7}'), "its answer holds none"),
        (answer(b'{"access_token": "a b"}'), "its answer holds none"),
        (answer(b'{"access_token": "a\\r\\nEvil: 1"}'), "its answer holds none"),
        (answer(b'{"access_token": "%s"}' % (b"x" * 20_000)), "its answer holds none"),
        (answer(b"[" * 100_000), "its answer holds none"),
        (answer(b"", "302 Found", ("Location: http://127.0.0.1:1/",)), "status 302"),
    ],
)
def test_a_token_that_can_not_be_had_is_named(said, words):
    with Target(lambda visit: (visit.read_request(), visit.send(said))) as tokens_of, Target(echoes) as target:
        result = probe_once(url=target.url(), **credentials(tokens_of))
    assert (result.outcome, result.failure.reason) == (Outcome.DOWN, Reason.AUTHENTICATION)
    assert result.failure.message == f"no token could be had from 127.0.0.1: {words}"
    assert result.failure.phase == "other"
    assert not target.connections


def test_a_giver_that_is_down_or_denied_is_named():
    url = f"http://127.0.0.1:{closed_port()}/token"
    secret = {"client_id": "i", "client_secret": "s"}
    result = probe_once(token_url=url, **secret)
    assert result.failure.reason is Reason.REFUSED
    assert result.failure.message == "no token could be had from 127.0.0.1: the connection was refused"
    denied = probe_once(token_url="http://169.254.169.254/token", **secret)
    assert denied.failure.reason is Reason.DENIED


def test_a_giver_that_never_answers_costs_the_timeout():
    with Target(hangs) as tokens_of:
        result = probe_once(timeout="200ms", **credentials(tokens_of))
    assert result.failure.reason is Reason.TIMEOUT
    assert result.failure.message == "timed out after 0.2 s while waiting for a token of 127.0.0.1"


@pytest.mark.parametrize(
    ("said", "lifetime"),
    [
        (60, 60),
        ("90", 90),
        (None, 300),
        ("soon", 300),
        (-5, 300),
        (10**9, 86400),
        pytest.param(10**400, 300, id="endless"),
    ],
)
def test_a_lifetime_is_read_within_reason(said, lifetime):
    client = authentication.Client(token_url="http://a.example/", client_id="i", client_secret="s")
    read = authentication.ClientCredentials(client, make_spec().secured, make_spec().route)._read
    body = json.dumps({"access_token": "t", "expires_in": said}).encode()
    assert read(_answer(body)).lifetime == lifetime


def _answer(body):
    from checks.address import parse_url
    from checks.web import Answer

    return Answer(
        status=200,
        headers=[],
        body=body,
        url=parse_url("http://a.example/"),
        trail=[],
        version="1.1",
        ip="127.0.0.1",
        received_bytes=len(body),
        size=len(body),
        cut=False,
        certificate=None,
    )


@pytest.mark.parametrize("challenge", ["algorithm=FOO-256", 'qop="auth-int"'])
def test_a_challenge_that_can_not_be_answered_is_forgotten(challenge):
    mended = digesting()
    strange = [answer(b"who?", "401 Unauthorized", (f'WWW-Authenticate: Digest realm="shop", nonce="n", {challenge}',))]

    def behave(visit):
        if not strange:
            return mended(visit)
        visit.read_request()
        return visit.send(strange.pop())

    resources = Resources.open()

    async def twice(target):
        spec = make_spec(url=target.url(), **DIGEST)
        return await probed(spec, resources), await probed(spec, resources)

    with Target(behave) as target:
        first, second = on_loop(twice(target), resources)
    assert (first.outcome, first.failure.reason) == (Outcome.DOWN, Reason.AUTHENTICATION)
    assert (second.outcome, second.failure) == (Outcome.UP, None)
