"""The kind `dns`, against unbound and against servers that lie."""

from __future__ import annotations

import time

import dns.message
import dns.rrset
import pytest
from pydantic import ValidationError

from checks.network import Resources
from checks.network.guard import Guard
from checks.network.resolver import Resolver
from checks.result import Outcome, Reason
from tests.factories import make_spec
from tests.nameservers import Namer, knows, never, unbound
from tests.probing import probe_once
from tests.servers import Target, answers, authority_pem, closed_port, hangs, trusted


@pytest.fixture(scope="module")
def server():
    with unbound() as running:
        yield running


def asked(resolver, **options):
    return probe_once(**{"kind": "dns", "query": "shop.example", "resolver": resolver, "explain": True, **options})


def resolvers(server):
    return {
        "udp": f"127.0.0.1:{server.plain}",
        "tcp": f"tcp://127.0.0.1:{server.plain}",
        "tls": f"tls://127.0.0.1:{server.tls}",
        "https": f"https://127.0.0.1:{server.https}/dns-query",
    }


@pytest.mark.parametrize("transport", ["udp", "tcp", "tls", "https"])
def test_a_name_is_asked_about_over_each_transport(server, transport):
    secured = {"ca": authority_pem()} if transport in ("tls", "https") else {}
    expect = ['answers == "::1"', "ttl == 5m", 'rcode == "NOERROR"', "count == 1", "size < 200B", 'flags contains "RA"']
    result = asked(resolvers(server)[transport], type="AAAA", expect=expect, **secured)
    assert result.outcome is Outcome.UP, result.failure
    assert result.latency_ns == result.phases.total()
    assert result.evidence["transport"] == transport
    assert result.evidence["answers"] == ["shop.example. 300 IN AAAA ::1"]
    assert (result.phases.tls is not None) is bool(secured)


@pytest.mark.parametrize(
    ("options", "expectation"),
    [
        ({}, 'answers in "127.0.0.1", "127.0.0.2"'),
        ({"type": "mx"}, 'answers == "10 mail.shop.example"'),
        ({"type": "TXT"}, 'answers == "v=spf1 -all"'),
        ({"type": "CAA"}, 'answers contains "0 issue \\"letsencrypt.org\\""'),
        ({"type": "SOA"}, 'answers matches " 7 3600 600 86400 60$"'),
        ({"type": "TYPE28"}, 'answers == "::1"'),
        ({"query": "www.shop.example", "type": "CNAME"}, 'answers == "shop.example"'),
        ({"query": "192.0.2.7", "type": "PTR"}, 'answers == "shop.example"'),
        ({"query": "big.shop.example", "type": "TXT"}, "count == 40"),
        ({"query": "SHOP.example."}, "count == 2"),
        ({"recursive": False}, "aa == true"),
        ({}, "ad == false"),
    ],
)
def test_records_of_any_type_are_told(server, options, expectation):
    result = asked(resolvers(server)["udp"], expect=[expectation], **options)
    assert result.outcome is Outcome.UP, result.failure


def everything(query, _):
    reply = dns.message.make_response(query)
    for kind, text in (("A", "127.0.0.1"), ("AAAA", "::1")):
        reply.answer.append(dns.rrset.from_text(query.question[0].name, 60, "IN", kind, text))
    return [reply.to_wire()]


def test_all_that_is_known_of_a_name_can_be_asked_for():
    with Namer(everything) as namer:
        result = asked(namer.address, type="ANY", expect=['answers in "127.0.0.1", "::1"', "count == 2", "ttl == 60s"])
    assert result.outcome is Outcome.UP, result.failure


def test_an_answer_that_does_not_fit_a_datagram_comes_over_tcp(server):
    result = asked(resolvers(server)["udp"], query="big.shop.example", type="TXT")
    assert result.evidence["transport"] == "tcp"
    assert result.latency_ns == result.phases.total()


@pytest.mark.parametrize(
    ("query", "kind", "found"),
    [
        ("nope.example", "A", 'expected rcode == "NOERROR", got "NXDOMAIN"'),
        ("refused.example", "A", 'expected rcode == "NOERROR", got "REFUSED"'),
        ("shop.example", "SRV", "expected answers exists, got nothing"),
    ],
)
def test_what_does_not_exist_is_down_and_complete(server, query, kind, found):
    result = asked(resolvers(server)["udp"], query=query, type=kind)
    assert (result.outcome, result.failure.message) == (Outcome.DOWN, found)
    assert result.complete


def test_that_a_name_does_not_exist_can_be_what_is_expected(server):
    result = asked(resolvers(server)["udp"], query="nope.example", expect=['rcode == "NXDOMAIN"', "count == 0"])
    assert result.outcome is Outcome.UP


def test_servfail_is_told():
    with Namer(knows(rcode="SERVFAIL")) as namer:
        assert asked(namer.address).failure.message == 'expected rcode == "NOERROR", got "SERVFAIL"'


def test_a_validated_answer_is_told():
    with Namer(knows("shop.example. 60 IN A 127.0.0.1", flags="QR RD RA AD")) as namer:
        assert asked(namer.address, expect=["ad == true", 'flags contains "AD"']).outcome is Outcome.UP


def test_a_resolver_that_never_answers_is_named():
    with Namer(never) as namer:
        began = time.monotonic()
        result = asked(namer.address, timeout="200ms")
    assert time.monotonic() - began < 5
    assert result.failure.reason is Reason.TIMEOUT
    assert result.failure.message == f"timed out after 0.2 s while waiting for the resolver {namer.address}"


def guesses(query, _):
    other = dns.message.make_response(dns.message.make_query("shop.example", "A", id=query.id ^ 1))
    return [other.to_wire()] * 3


def test_guesses_of_others_are_counted_and_not_believed():
    with Namer(guesses) as namer:
        result = asked(namer.address, timeout="300ms")
    assert result.failure.message.endswith("; what came (3) does not fit the question")


@pytest.mark.parametrize("other", [("pay.example", "A"), ("shop.example", "AAAA"), ("example", "A")])
def test_an_answer_to_another_question_is_a_guess_whatever_its_number(other):
    known = knows("shop.example. 60 IN A 127.0.0.1")

    def behave(query, *more):
        return [dns.message.make_response(dns.message.make_query(*other, id=query.id)).to_wire(), *known(query, *more)]

    with Namer(behave) as namer:
        assert asked(namer.address, expect=['answers == "127.0.0.1"']).failure is None


def test_a_server_may_write_the_name_in_other_letters():
    def shouts(query, _):
        reply = dns.message.make_response(query)
        reply.answer.append(dns.rrset.from_text("SHOP.example.", 60, "IN", "A", "127.0.0.1"))
        return [reply.to_wire().replace(b"\x04shop", b"\x04sHOP")]

    with Namer(shouts) as namer:
        assert asked(namer.address, expect=['answers == "127.0.0.1"']).failure is None


def test_nobody_there_is_refused():
    for scheme in ("udp", "tcp", "tls"):
        assert asked(f"{scheme}://127.0.0.1:{closed_port()}").failure.reason is Reason.REFUSED


def contradicts(query, _):
    reply = dns.message.make_response(query)
    reply.set_rcode(3)
    reply.answer.append(dns.rrset.from_text(query.question[0].name, 60, "IN", "A", "127.0.0.1"))
    return [reply.to_wire()]


def test_an_answer_that_contradicts_itself_is_named():
    with Namer(contradicts) as namer:
        result = asked(namer.address)
    assert result.failure.reason is Reason.PROTOCOL
    assert "contradicts itself" in result.failure.message


def test_a_certificate_that_is_not_trusted_is_named(server):
    result = asked(resolvers(server)["tls"])
    assert result.failure.reason is Reason.CERTIFICATE
    named = asked(resolvers(server)["tls"], ca=authority_pem(), server_name="other.example")
    assert named.failure.message.endswith("not for other.example")


def test_a_web_server_that_is_no_resolver_is_named():
    with Target(answers(b"hello", status="404 Not Found"), tls=trusted()) as target:
        result = asked(f"https://{target.address}/dns-query", ca=authority_pem())
    assert result.failure.message == "the resolver sent the HTTP status 404 and no answer"
    with Target(answers(b"hello, this is no DNS at all"), tls=trusted()) as target:
        result = asked(f"https://{target.address}/x", ca=authority_pem())
    assert result.failure.message == "the resolver sent what is no answer to the question"


def test_a_stream_that_ends_early_or_never_is_named():
    def cuts(visit):
        visit.sock.recv(100)
        visit.send(b"\x01\x00abc")

    with Target(cuts) as target:
        assert asked(f"tcp://{target.address}").failure.reason is Reason.CLOSED
    with Target(hangs) as target:
        assert asked(f"tcp://{target.address}", timeout="200ms").failure.reason is Reason.TIMEOUT


def test_the_machines_own_resolver_is_asked_by_default_and_its_silence_is_ours(monkeypatch):
    with Namer(knows("shop.example. 60 IN A 127.0.0.1")) as namer:
        monkeypatch.setattr("checks.probes.dns.nameservers", lambda: (("127.0.0.1", namer.port),))
        assert asked("").outcome is Outcome.UP
    with Namer(never) as namer:
        monkeypatch.setattr("checks.probes.dns.nameservers", lambda: (("127.0.0.1", namer.port),))
        resources = Resources(guard=Guard(), resolver=Resolver(servers=(("127.0.0.1", namer.port),)))
        result = asked("", timeout="5s", resources=resources)
    assert (result.outcome, result.failure.reason) == (Outcome.UNKNOWN, Reason.NO_RESOLVER)


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"type": "MXX"}, "'MXX' is no type of record; did you mean MX?"),
        ({"type": "AXFR"}, "AXFR is nothing that a resolver is asked for"),
        ({"query": "a..b"}, "'a..b' is no name"),
        ({"resolver": "ftp://10.0.0.1"}, "begins with ftp://; allowed: udp://"),
        ({"server_name": "dns.example"}, "server_name: is of use with a resolver tls:// or https:// only"),
    ],
)
def test_what_is_wrong_is_said(options, message):
    with pytest.raises(ValidationError) as caught:
        make_spec(**{"kind": "dns", "query": "shop.example", **options})
    assert message in str(caught.value)


def refuses(query, _):
    """As many servers do: without the question."""
    reply = dns.message.make_response(query)
    reply.set_rcode(5)
    reply.question.clear()
    return [reply.to_wire()]


def test_a_refusal_without_the_question_is_one():
    with Namer(refuses) as namer:
        assert asked(namer.address, expect=['rcode == "REFUSED"', "count == 0"]).outcome is Outcome.UP
        assert asked(namer.address).failure.message == 'expected rcode == "NOERROR", got "REFUSED"'


@pytest.mark.parametrize("code", [1, 4, 16])
def test_a_server_that_knows_no_edns_is_asked_without(code):
    known = knows("shop.example. 60 IN A 127.0.0.1")

    def behave(query, *more):
        if query.edns < 0:
            return known(query, *more)
        reply = dns.message.make_response(query)
        reply.set_rcode(code)
        return [reply.to_wire()]

    with Namer(behave) as namer:
        result = asked(namer.address, expect=['answers == "127.0.0.1"'])
    assert (result.outcome, result.failure) == (Outcome.UP, None)
