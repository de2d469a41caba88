"""Resolvers of monitors: both families at once, answers that are kept, and what a bad resolver does to a probe."""

from __future__ import annotations

import asyncio
import struct
import time

import dns.flags
import dns.message
import dns.rrset
import pytest

from checks.network import Resources, dial, reach
from checks.network.connection import Connection
from checks.network.guard import Guard
from checks.network.resolver import Resolver
from checks.network.route import Route, parse_resolver
from checks.probe import ProbeContext, ProbeFailure
from checks.result import Outcome, Reason
from tests.nameservers import Namer, after, by_type, knows, never, unbound
from tests.probing import on_loop, probe_once
from tests.servers import Target, answers, closed_port, silent

A = "shop.example. 60 IN A 127.0.0.1"
AAAA = "shop.example. 60 IN AAAA ::1"


def lookup(name):
    return {"dns.example": ("127.0.0.1",)}[name]


def resources():
    return Resources(guard=Guard(), resolver=Resolver(lookup=lookup, servers=()))


def dialled(resolver, port, *, host="shop.example", family=0, times=1):
    """The peers that were dialled by the name, and the context of the last time."""
    shared, peers = resources(), []
    route = Route(family=family, resolver=parse_resolver(resolver))

    async def ask():
        async with asyncio.timeout(5):
            for _ in range(times):
                context = ProbeContext(resources=shared)
                connection = await dial(context, host, port, Connection, route=route)
                connection.abort()
                peers.append(connection.peer)
        return context

    context = on_loop(ask(), shared)
    return peers, context


def failure(resolver, **options):
    with pytest.raises(ProbeFailure) as caught:
        dialled(resolver, 9, **options)
    return caught.value.failure


def test_a_name_is_resolved_by_the_monitors_own_resolver():
    with unbound() as server, Target(answers(), host="::1") as target:
        peers, context = dialled(f"127.0.0.1:{server.plain}", target.port)
        only_4 = failure(f"tcp://127.0.0.1:{server.plain}", host="nope.example")
    assert peers == [f"[::1]:{target.port}"]
    assert context.stopwatch.phases.dns > 0
    assert only_4.reason is Reason.NAME_NOT_FOUND
    assert only_4.message == f"the name nope.example does not exist, says the resolver tcp://127.0.0.1:{server.plain}"


def test_the_resolver_may_be_given_by_name():
    with Namer(knows(A)) as namer, Target(answers()) as target:
        peers, _ = dialled(f"dns.example:{namer.port}", target.port)
    assert peers == [target.address]


def test_both_families_are_asked_at_once_and_only_one_where_one_is_wanted():
    with Namer(knows(A, AAAA)) as namer, Target(answers()) as target:
        dialled(namer.address, target.port)
        assert sorted(kind for _, kind, _ in namer.asked) == ["A", "AAAA"]
        peers, _ = dialled(namer.address, target.port, family=4)
        assert peers == [target.address]
        assert namer.asked[2:] == [("shop.example.", "A", "udp")]
        assert failure(namer.address, host="other.example", family=6).reason is Reason.NAME_NOT_FOUND


def test_a_family_that_is_never_answered_costs_a_twentieth_of_a_second():
    with Namer(by_type(A=knows(A), AAAA=never)) as namer, Target(answers()) as target:
        peers, context = dialled(namer.address, target.port)
    assert peers == [target.address]
    assert 45_000_000 < context.stopwatch.phases.dns < 500_000_000


def test_addresses_that_come_late_are_tried_when_the_first_are_dead():
    behave = by_type(AAAA=knows(AAAA), A=after(0.4, knows(A)))
    with Namer(behave) as namer, Target(answers()) as target, silent("::1", target.port):
        peers, context = dialled(namer.address, target.port)
    assert peers == [target.address]
    assert context.stopwatch.phases.connect < 2_000_000_000


def test_a_family_that_failed_waits_for_the_other():
    behave = by_type(AAAA=knows(rcode="SERVFAIL"), A=after(0.2, knows(A)))
    with Namer(behave) as namer, Target(answers()) as target:
        assert dialled(namer.address, target.port)[0] == [target.address]


def test_an_answer_is_kept_no_longer_than_its_ttl_and_not_at_all_with_none():
    with Namer(by_type(A=knows(A), AAAA=knows())) as namer, Target(answers()) as target:
        dialled(namer.address, target.port, times=3)
        assert len(namer.asked) == 2
    with Namer(by_type(A=knows("shop.example. 0 IN A 127.0.0.1"), AAAA=knows())) as namer, Target(answers()) as target:
        dialled(namer.address, target.port, family=4, times=3)
        assert len(namer.asked) == 3


def test_an_alias_is_followed_and_its_time_counts():
    alias = "www.example. 0 IN CNAME shop.example."
    with Namer(by_type(A=knows(alias, A), AAAA=knows())) as namer, Target(answers()) as target:
        assert dialled(namer.address, target.port, host="www.example", family=4, times=2)[0] == [target.address] * 2
        assert len(namer.asked) == 2


def test_addresses_that_do_not_work_are_asked_for_again():
    moved = ["127.0.0.3", "127.0.0.1"]

    def behave(query, transport):
        return knows(f"shop.example. 60 IN A {moved.pop(0)}")(query, transport)

    shared = resources()

    async def twice(address, port):
        route = Route(family=4, resolver=parse_resolver(address))
        with pytest.raises(ConnectionRefusedError):
            await dial(ProbeContext(resources=shared), "shop.example", port, Connection, route=route)
        (await dial(ProbeContext(resources=shared), "shop.example", port, Connection, route=route)).abort()

    with Namer(behave) as namer, Target(answers()) as target:
        on_loop(twice(namer.address, target.port), shared)


def test_a_name_that_leads_to_a_refused_address_is_denied_whoever_resolves():
    with Namer(knows("shop.example. 60 IN A 169.254.169.254", "shop.example. 60 IN AAAA fd00:ec2::254")) as namer:
        assert failure(namer.address).reason is Reason.DENIED


def test_the_address_that_was_checked_is_the_one_that_is_dialled():
    turns = []

    def rebinding(query, transport):
        turns.append(1)
        return knows(f"shop.example. 0 IN A {'127.0.0.1' if len(turns) == 1 else '169.254.169.254'}")(query, transport)

    with Namer(rebinding) as namer, Target(answers()) as target:
        assert dialled(namer.address, target.port, family=4)[0] == [target.address]
        assert len(turns) == 1
        assert failure(namer.address, family=4).reason is Reason.DENIED


def test_a_resolver_at_a_refused_address_is_not_asked():
    assert failure("169.254.169.253").reason is Reason.DENIED


# Resolvers that fail, lie or hang


def no_records(query, _):
    return [dns.message.make_response(query).to_wire()]


def contradicts(query, _):
    reply = dns.message.make_response(query)
    reply.set_rcode(3)
    reply.answer.append(dns.rrset.from_text(query.question[0].name, 60, "IN", "A", "127.0.0.1"))
    return [reply.to_wire()]


def other_question(query, _):
    other = dns.message.make_query("evil.example", "A", id=query.id)
    return [dns.message.make_response(other).to_wire()]


def loops(query, _):
    """A record whose name points to itself."""
    head = struct.pack("!6H", query.id, 0x8180, 0, 1, 0, 0)
    return [head + b"\xc0\x0c" + struct.pack("!HHIH", 1, 1, 60, 4) + b"\x7f\0\0\1"]


def aliases_in_a_circle(query, _):
    reply = dns.message.make_response(query)
    name = query.question[0].name
    reply.answer.append(dns.rrset.from_text(name, 60, "IN", "CNAME", "b.example."))
    reply.answer.append(dns.rrset.from_text("b.example.", 60, "IN", "CNAME", name.to_text()))
    return [reply.to_wire()]


def boasts(query, _):
    question = query.to_wire()[12:][:-11]  # without what stands behind it: EDNS
    return [struct.pack("!6H", query.id, 0x8180, 1, 60000, 60000, 0) + question + b"\0" * 100]


def cut(query, transport):
    wire = no_records(query, transport)[0]
    return [wire[:-3]]


def test_an_answer_to_another_question_over_a_stream_is_named():
    with Namer(other_question) as namer:
        assert "an answer to another question" in failure(f"tcp://{namer.address}").message


@pytest.mark.parametrize(
    ("behave", "expected"),
    [
        (knows(rcode="SERVFAIL"), "could not resolve shop.example: SERVFAIL"),
        (knows(rcode="REFUSED"), "could not resolve shop.example: REFUSED"),
        (contradicts, "does not exist"),
        (no_records, "has no address"),
        (loops, "an answer that can't be read"),
        (aliases_in_a_circle, "its answer contradicts itself"),
        (boasts, "an answer with 120001 records; at most 500 are read"),
        (cut, "an answer that can't be read"),
    ],
)
def test_a_resolver_that_fails_or_lies_is_down_and_named(behave, expected):
    with Namer(behave) as namer:
        found = failure(namer.address)
        assert expected in found.message
        assert namer.address in found.message
    assert found.reason in (Reason.NAME_FAILED, Reason.NAME_NOT_FOUND)
    assert found.phase == "dns"


def test_a_resolver_where_nobody_listens_is_down_and_named():
    port = closed_port()
    for scheme in ("udp", "tcp"):
        found = failure(f"{scheme}://127.0.0.1:{port}")
        assert found.reason is Reason.NAME_FAILED
        assert found.message.endswith("could not resolve shop.example: the connection was refused")


def test_a_resolver_that_never_answers_is_down_and_named_and_not_our_own_fault():
    with Namer(never) as namer:
        began = time.monotonic()
        result = probe_once(url="http://shop.example/", resolver=namer.address, timeout="300ms")
    assert time.monotonic() - began < 5
    assert (result.outcome, result.failure.reason, result.failure.phase) == (Outcome.DOWN, Reason.TIMEOUT, "dns")
    assert result.failure.message == f"timed out after 0.3 s while waiting for the resolver {namer.address}"


def test_a_lost_question_is_asked_again():
    lost = []

    def behave(query, transport):
        lost.append(1)
        return [] if len(lost) == 1 else knows(A)(query, transport)

    with Namer(behave) as namer, Target(answers()) as target:
        assert dialled(namer.address, target.port, family=4)[0] == [target.address]
        assert len(namer.asked) == 2


def test_what_somebody_else_guesses_is_not_heard():
    def behave(query, transport):
        good = knows(A)(query, transport)[0]
        return [bytes([good[0] ^ 0xFF]) + good[1:], good[:5], good]

    with Namer(behave) as namer, Target(answers()) as target:
        assert dialled(namer.address, target.port, family=4)[0] == [target.address]


def test_what_does_not_fit_a_datagram_is_asked_over_tcp():
    def behave(query, transport):
        reply = dns.message.make_response(query)
        if transport == "udp":
            reply.flags |= dns.flags.TC
            return [reply.to_wire()]
        return knows(A)(query, transport)

    with Namer(behave) as namer, Target(answers()) as target:
        assert dialled(namer.address, target.port, family=4)[0] == [target.address]
        assert [transport for _, _, transport in namer.asked] == ["udp", "tcp"]


def test_an_address_alone_is_resolved_the_same_way():
    shared = resources()
    context = ProbeContext(resources=shared)

    async def ask(resolver, port):
        route = Route(resolver=parse_resolver(resolver))
        return await reach(context, "shop.example", port, route)

    with Namer(by_type(A=knows(A), AAAA=never)) as namer, Target(answers()) as target:
        address = on_loop(ask(namer.address, target.port), shared)
    assert address == "127.0.0.1"
