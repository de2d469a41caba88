"""`domain`: a registry and a list of registries on loopback."""

from __future__ import annotations

import asyncio
import json
import re
import time
from datetime import UTC, datetime, timedelta

import pytest
from pydantic import ValidationError

from checks.network import Resources
from checks.network.registries import FRESH, STALE, Registration, Registries
from checks.result import Outcome, Reason
from tests.factories import make_spec
from tests.probing import on_loop, probe_once, probed
from tests.servers import Target, answer, hangs

REGISTRAR = ["vcard", [["version", {}, "text", "4.0"], ["fn", {}, "text", "Example Registrar Inc."]]]


def registration(days=100.0, **changes):
    """What a registry says of a domain that expires in so many days."""
    expires = datetime.now(UTC) + timedelta(days=days, seconds=-30 if days < 0 else 60)
    return {
        "objectClassName": "domain",
        "ldhName": "EXAMPLE.ORG",
        "status": ["client transfer prohibited", "active", "associated"],
        "events": [
            {"eventAction": "registration", "eventDate": "1995-08-14T04:00:00Z"},
            {"eventAction": "expiration", "eventDate": expires.strftime("%Y-%m-%dT%H:%M:%SZ")},
        ],
        "entities": [
            {"roles": ["abuse"], "vcardArray": ["vcard", [["fn", {}, "text", "Abuse"]]]},
            {"roles": ["registrar"], "vcardArray": REGISTRAR},
        ],
        "nameservers": [{"ldhName": "NS1.EXAMPLE.ORG"}, {"ldhName": "ns2.example.org."}],
        "secureDNS": {"delegationSigned": True},
        **changes,
    }


class Registry:
    """A server that is both the list of registries and the registry; `says` is its answer of a domain."""

    def __init__(self):
        self.says = answer(json.dumps(registration()).encode())
        self.listed = None

    def __call__(self, visit):
        path = visit.read_request().split(b" ")[1].decode()
        if path.startswith("/list"):
            services = [[["org", "co.uk", "xn--p1ai"], [f"http://{visit.target.address}/rdap"]], [["test"], []]]
            visit.send(self.listed or answer(json.dumps({"services": services}).encode()))
        else:
            visit.send(self.says if isinstance(self.says, bytes) else self.says(path))


@pytest.fixture
def registry(monkeypatch):
    with Target(Registry()) as target:
        monkeypatch.setenv("STILLUP_RDAP_BOOTSTRAP", target.url("/list.json"))
        yield target


def asked(target):
    """The domains that the registry was asked about."""
    paths = [request.split(b" ")[1].decode() for request in target.requests]
    return [path.removeprefix("/rdap/domain/") for path in paths if path.startswith("/rdap")]


def watched(domain="example.org", **options):
    return probe_once(kind="domain", domain=domain, **options)


def several(*rounds):
    """The results of several probes in one process; what stands between them is done between them."""

    async def go():
        found = []
        for each in rounds:
            if callable(each):
                each()
            else:
                found.append(await probed(make_spec(kind="domain", **{"domain": "example.org", **each}), resources))
        return found

    resources = Resources.open()
    return on_loop(go(), resources)


def test_what_the_registry_says_can_be_expected(registry):
    lines = [
        "expires > 99d",
        "expires < 101d",
        'registrar == "Example Registrar Inc."',
        'status contains "clientTransferProhibited"',
        'status contains "ok"',
        'status contains "linked"',
        'nameservers contains "ns2.example.org"',
        "dnssec == true",
        "latency < 5s",
    ]
    result = watched(expect=lines)
    assert (result.outcome, result.failure) == (Outcome.UP, None)
    assert result.latency_ns == result.phases.total()
    assert asked(registry) == ["example.org"]
    assert b"accept: application/rdap+json" in registry.requests[1]


@pytest.mark.parametrize(
    ("days", "outcome"), [(30, Outcome.UP), (20, Outcome.DEGRADED), (6, Outcome.DOWN), (-3, Outcome.DOWN)]
)
def test_it_is_degraded_for_three_weeks_and_down_for_one_before_it_expires(registry, days, outcome):
    registry.behave.says = answer(json.dumps(registration(days)).encode())
    assert watched().outcome is outcome


def test_what_is_wrong_is_told_and_shown(registry):
    registry.behave.says = answer(json.dumps(registration(-3)).encode())
    result = watched()
    assert result.failure.message == "expected expires > 7d, got expired 3 d ago"
    assert result.evidence["registrar"] == "Example Registrar Inc."
    assert result.evidence["status"] == ["clientTransferProhibited", "ok", "linked"]
    assert result.evidence["registry"] == registry.url("/rdap/")
    assert result.evidence["expires"].startswith("20")


def test_a_domain_that_is_not_registered_is_down(registry):
    registry.behave.says = answer(b"{}", "404 Not Found")
    result = watched("free.org")
    assert (result.outcome, result.failure.reason) == (Outcome.DOWN, Reason.NAME_NOT_FOUND)
    assert result.failure.message == "free.org is not registered"


@pytest.mark.parametrize(
    ("domain", "name"),
    [
        ("Example.CO.UK.", "example.co.uk"),
        ("пример.рф", "xn--e1afmkfd.xn--p1ai"),
        ("sub.example.org", "sub.example.org"),
    ],
)
def test_the_name_is_asked_in_ascii_at_the_server_of_its_suffix(registry, domain, name):
    assert watched(domain).outcome is Outcome.UP
    assert asked(registry) == [name]


def test_what_the_registry_does_not_say_is_not_made_up(registry):
    registry.behave.says = answer(json.dumps({"objectClassName": "domain", "events": [], "status": None}).encode())
    result = watched()
    assert result.failure.message == "expected expires > 7d, got nothing"
    for line in ("registrar not exists", "status not exists", "nameservers not exists", "dnssec not exists"):
        assert watched(expect=[line]).outcome is Outcome.UP


HOSTILE = [
    {"events": [{"eventAction": "expiration", "eventDate": "soon"}]},
    {"events": [{"eventAction": [], "eventDate": {}}, 7, None]},
    {"events": {"expiration": "2030"}},
]


@pytest.mark.parametrize("changes", HOSTILE)
def test_a_date_that_is_none_is_no_date(registry, changes):
    entities = [{"roles": "registrar"}, {"roles": ["registrar"], "vcardArray": ["vcard", [[], ["fn"]]]}, 7]
    said = registration(**changes, entities=entities, nameservers=[{"ldhName": 1}], secureDNS=[], status=[1, " "])
    registry.behave.says = answer(json.dumps(said).encode())
    assert watched().failure.message == "expected expires > 7d, got nothing"


def test_an_answer_is_kept_for_half_a_day_and_asks_nobody_again(registry):
    lines = {"expect": ["expires > 200d"]}
    first, again, other = several(lines, lines, {"degraded": ["latency < 5s"]})
    assert [first.outcome, again.outcome, other.outcome] == [Outcome.DOWN, Outcome.DOWN, Outcome.UP]
    assert first.failure == again.failure
    assert (first.latency_ns is None, again.latency_ns) == (False, None)
    assert asked(registry) == ["example.org"]


def test_the_list_of_registries_is_fetched_once_for_many(registry):
    async def go():
        specs = [make_spec(kind="domain", domain=f"{name}.org") for name in "abcde"]
        return await asyncio.gather(*(probed(spec, resources) for spec in specs))

    resources = Resources.open()
    results = on_loop(go(), resources)
    assert {result.outcome for result in results} == {Outcome.UP}
    assert len([r for r in registry.requests if b"/list" in r]) == 1
    assert sorted(asked(registry)) == [f"{name}.org" for name in "abcde"]


def test_a_server_that_says_nonsense_about_its_wait_is_left_alone_for_an_hour(registry):
    registry.behave.says = answer(b"", "429 Busy", ("Retry-After: Thu, 01 Jan 2026 00:00:00 +99999999999999",))
    _, again = several({}, {"domain": "other.org"})
    assert re.search(r"asks us to wait for another (1 h|59 min)", again.failure.message)


def test_a_server_that_was_asked_too_often_is_left_alone(registry):
    registry.behave.says = answer(b"", "429 Too Many Requests", ("Retry-After: 120",))
    first, again = several({}, {"domain": "other.org"})
    assert (first.outcome, first.failure.reason) == (Outcome.UNKNOWN, Reason.NO_SOURCE)
    assert "was asked too often (status 429)" in first.failure.message
    assert re.search(r"asks us to wait for another (2 min|1 min 59|1[12]\d)", again.failure.message)
    assert asked(registry) == ["example.org"]


def test_where_nobody_answers_what_was_said_within_a_week_stands_in(registry, monkeypatch):
    def trouble():
        registry.behave.says = answer(b"", "503 Service Unavailable")
        monkeypatch.setattr("checks.network.registries.Registries.recall", recall)

    original = Registries.recall

    def recall(self, domain, now, *, within=FRESH):
        return original(self, domain, now + FRESH, within=within)

    first, later = several({}, trouble, {})
    assert [first.outcome, later.outcome] == [Outcome.UP, Outcome.UP]
    assert later.latency_ns is None
    assert asked(registry) == ["example.org", "example.org"]


def test_a_registry_that_hangs_is_no_outage_of_the_domain(monkeypatch):
    with Target(hangs) as target:
        monkeypatch.setenv("STILLUP_RDAP_BOOTSTRAP", target.url())
        began = time.monotonic()
        result = watched(timeout="1s")
    assert time.monotonic() - began < 5
    assert (result.outcome, result.failure.reason) == (Outcome.UNKNOWN, Reason.NO_SOURCE)
    assert result.failure.message == "the registry can't be asked: it did not answer within 750 ms"


@pytest.mark.parametrize(
    ("says", "message"),
    [
        (answer(b"", "503 Busy"), "the registry's server answered with status 503"),
        (answer(b"<html>"), "the registry's answer is not JSON"),
        (answer(b"[]"), "the registry's answer is not a JSON object"),
        (b"junk", "not a valid HTTP answer"),
        (b"", "closed before any answer"),
    ],
)
def test_an_answer_that_is_none_is_no_outage_of_the_domain(registry, says, message):
    registry.behave.says = says or (lambda _path: b"")
    result = watched()
    assert (result.outcome, result.failure.reason) == (Outcome.UNKNOWN, Reason.NO_SOURCE)
    assert message in result.failure.message


@pytest.mark.parametrize(
    ("listed", "message"),
    [
        (answer(b"", "500 No"), "answered with status 500"),
        (answer(b"[]"), "the list of registries is not a JSON object"),
        (answer(b'{"services": 7}'), "no registry of .org answers by RDAP"),
        (answer(b'{"services": [["org"], [["org"], ["ftp://a/"]], [["com"], ["http://a/"]]]}'), "no registry of .org"),
        (answer(b'{"services": [[["org"], ["http://bad host/"]]]}'), "has an address that is none"),
    ],
)
def test_a_list_that_is_none_is_named(registry, listed, message):
    registry.behave.listed = listed
    result = watched()
    assert (result.outcome, result.failure.reason) == (Outcome.UNKNOWN, Reason.NO_SOURCE)
    assert message in result.failure.message


def test_a_suffix_without_a_registry_is_named(registry):
    result = watched("example.test")
    assert result.failure.message.endswith("no registry of .test answers by RDAP: the list of their servers has none")


def test_an_address_of_the_list_that_is_none_is_named(monkeypatch):
    monkeypatch.setenv("STILLUP_RDAP_BOOTSTRAP", "iana")
    assert "STILLUP_RDAP_BOOTSTRAP is no address" in watched().failure.message


# The memory


def said(asked):
    return Registration(data={}, server="x", asked=asked, latency=0.1)


def test_an_answer_holds_for_half_a_day_and_stands_in_for_a_week():
    memory = Registries()
    memory.remember("a.org", said(1000.0))
    assert memory.recall("a.org", 1000.0 + FRESH - 1)
    assert memory.recall("a.org", 1000.0 + FRESH) is None
    assert memory.recall("a.org", 1000.0 + STALE - 1, within=STALE)
    assert memory.recall("a.org", 1000.0 + STALE, within=STALE) is None
    assert memory.recall("b.org", 1000.0) is None


def test_the_memory_is_bounded():
    memory = Registries()
    for number in range(10_010):
        memory.remember(f"{number}.org", said(1.0))
    assert memory.recall("9.org", 1.0) is None
    assert memory.recall("10.org", 1.0)


def test_the_longest_suffix_has_the_server():
    memory = Registries(servers={"uk": "https://a/", "co.uk": "https://b/"})
    assert memory.server_of("x.co.uk") == "https://b/"
    assert memory.server_of("x.org.uk") == "https://a/"
    assert memory.server_of("co.uk") == "https://a/"
    assert memory.server_of("uk") is None


# Options


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"domain": "localhost"}, "is no domain such as example.org"),
        ({"domain": "10.0.0.1"}, "is no domain such as example.org"),
        ({"domain": "a_b..org"}, "is no host name"),
        ({"domain": "https://a.org"}, "is no IPv6 address"),
        ({"interval": "1h"}, "greater than or equal to 43200"),
    ],
)
def test_a_wrong_option_is_named(options, message):
    with pytest.raises(ValidationError, match=re.escape(message)):
        make_spec(**{"kind": "domain", "domain": "a.org", **options})
