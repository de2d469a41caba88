"""Dialling: addresses, TLS, and what is our own fault."""

from __future__ import annotations

import asyncio
import json
import socket
import ssl
import subprocess
import sys
import time

import pytest

from checks.network import Resources
from checks.network.attempts import alternating
from checks.network.guard import Guard
from checks.network.resolver import Resolver
from checks.result import Outcome, Reason
from tests.factories import make_spec
from tests.probing import on_loop, open_sockets, probe_once, probed
from tests.servers import (
    Target,
    answer,
    answers,
    authority,
    authority_pem,
    closed_port,
    dated,
    greets,
    hangs,
    serving,
    silent,
    trusted,
)


def resources_with(**names):
    """Resources whose resolver knows these names, `_` for a dot."""
    table = {name.replace("_", "."): addresses for name, addresses in names.items()}

    def lookup(name):
        if name in table:
            return table[name]
        raise socket.gaierror(socket.EAI_NONAME, "no such name")

    return Resources(guard=Guard(), resolver=Resolver(lookup=lookup, servers=()))


# TLS


def probe_tls(target, host="127.0.0.1", **options):
    options = {"ca": authority_pem(), "url": f"https://{host}:{target.port}/", **options}
    return probe_once(**options)


def test_a_trusted_certificate_is_up_and_tells_its_time_left():
    with Target(answers(), tls=trusted()) as target:
        result = probe_tls(target, "localhost", expect=["status == 200", "certificate > 100d"], explain=True)
    assert result.outcome is Outcome.UP, result
    assert result.phases.tls > 0
    assert result.latency_ns == result.phases.total()
    assert "trustme" in result.evidence["certificate"]["issuer"]


def test_an_address_is_a_name_of_a_certificate_too():
    with Target(answers(), tls=trusted(), host="::1") as target:
        assert probe_tls(target, "[::1]").outcome is Outcome.UP


def test_an_expired_certificate_is_down_and_is_evidence():
    with Target(answers(), tls=dated(begins_in_days=-30, ends_in_days=-3)) as target:
        result = probe_tls(target)
    assert (result.outcome, result.failure.reason, result.failure.phase) == (Outcome.DOWN, Reason.CERTIFICATE, "tls")
    assert result.failure.message.startswith("the certificate expired 3 d ago, on 20")
    assert result.evidence["certificate"]["names"] == ["localhost", "127.0.0.1"]
    assert target.requests == []


def test_a_certificate_that_is_not_valid_yet_is_down():
    with Target(answers(), tls=dated(begins_in_days=1, ends_in_days=30)) as target:
        assert "is valid only from" in probe_tls(target).failure.message


def test_a_certificate_with_a_day_left_misses_an_expectation():
    with Target(answers(), tls=dated(begins_in_days=-30, ends_in_days=1)) as target:
        result = probe_tls(target, degraded=["certificate > 14d"])
    assert result.outcome is Outcome.DEGRADED
    assert result.failure.message.startswith("expected certificate > 14d, got ")
    assert result.evidence["certificate"]["not_after"]


def test_a_certificate_for_another_name_is_down():
    with Target(answers(), tls=trusted("other.example.org")) as target:
        result = probe_tls(target)
    assert result.failure.message == "the certificate is for other.example.org, not for 127.0.0.1"


def test_a_certificate_of_an_unknown_authority_is_down():
    with Target(answers(), tls=trusted()) as target:
        result = probe_tls(target, ca="")
    assert result.failure.reason is Reason.CERTIFICATE
    assert "is not trusted" in result.failure.message


def test_a_missing_intermediate_is_told():
    leaf = authority().create_child_ca().issue_cert("127.0.0.1")
    with Target(answers(), tls=serving(leaf)) as target:
        assert probe_tls(target).outcome is Outcome.UP
    with Target(answers(), tls=serving(leaf, whole_chain=False)) as target:
        assert "may not send its intermediate certificate" in probe_tls(target).failure.message


def test_an_untrusted_certificate_is_up_where_it_is_not_to_be_verified():
    with Target(answers(), tls=dated(begins_in_days=-30, ends_in_days=-3)) as target:
        result = probe_tls(target, ca="", verify=False, expect=["status == 200", "certificate < 1d"])
    assert result.outcome is Outcome.UP


def test_a_host_that_speaks_before_it_is_asked_is_heard_all_the_same():
    with Target(greets(answer(b"early"), close=True)) as target:
        result = probe_once(url=target.url(), expect=['body == "early"'])
    assert result.outcome is Outcome.UP
    assert result.latency_ns == result.phases.total()


def test_no_credentials_are_sent_to_a_host_that_is_not_trusted():
    with Target(answers(), tls=trusted("other.example.org")) as target:
        probe_tls(target, username="eve", password="s3cret")
    assert target.requests == []


def test_a_host_that_wants_a_client_certificate_is_down_in_words():
    context = serving(authority().issue_cert("127.0.0.1"))
    context.verify_mode = ssl.CERT_REQUIRED
    authority().configure_trust(context)
    with Target(answers(), tls=context) as target:
        result = probe_tls(target)
    assert result.failure.reason is Reason.TLS
    assert "wants a client certificate" in result.failure.message


def test_a_port_without_tls_is_down_in_words():
    with Target(greets(b"220 mail ESMTP\r\n")) as target:
        result = probe_tls(target)
    assert result.failure.message == "the TLS handshake failed: the other side does not speak TLS"


def test_a_connection_closed_in_the_handshake_is_down_in_words():
    with Target(greets(close=True)) as target:
        result = probe_tls(target)
    assert result.failure.message == "the connection was closed during the TLS handshake"


def test_a_plain_web_server_asked_for_tls_is_down_in_words():
    bad_request = b"HTTP/1.1 400 Bad Request\r\n\r\n"  # what plain web servers make of a ClientHello
    with Target(greets(bad_request)) as target:
        result = probe_tls(target)
    assert result.failure.reason is Reason.TLS


def test_a_secure_page_does_not_lead_to_an_insecure_one():
    with (
        Target(answers()) as plain,
        Target(answers(b"", "302 Found", (f"Location: {plain.url()}",)), tls=trusted()) as target,
    ):
        result = probe_tls(target)
    assert result.failure.reason is Reason.REDIRECT
    assert "from https to http" in result.failure.message
    assert plain.requests == []


def test_a_large_answer_comes_through_tls_whole():
    body = b"0123456789" * 50_000
    with Target(answers(body), tls=trusted()) as target:
        assert probe_tls(target, expect=[f"size == {len(body)}B", "status == 200"]).outcome is Outcome.UP


# Addresses


def test_a_name_that_leads_to_a_refused_address_is_denied():
    result = probe_once(url="http://evil.example/", resources=resources_with(evil_example=("169.254.169.254",)))
    assert (result.outcome, result.failure.reason) == (Outcome.DOWN, Reason.DENIED)
    assert result.failure.message.startswith("169.254.169.254, the address of evil.example, is link-local")


@pytest.mark.parametrize(
    "host", ["2852039166", "0xa9fea9fe", "0251.0376.0251.0376", "[::ffff:a9fe:a9fe]", "169.254.43518"]
)
def test_a_refused_address_is_denied_however_it_is_written(host):
    result = probe_once(kind="tcp", address=f"{host}:80")
    assert (result.outcome, result.failure.reason) == (Outcome.DOWN, Reason.DENIED)


def test_this_machine_is_reached_however_its_address_is_written():
    with Target(answers()) as target:
        for host in ("2130706433", "0x7f.1", "127.1", "[::ffff:127.0.0.1]"):
            assert probe_once(kind="tcp", address=f"{host}:{target.port}").outcome is Outcome.UP


def test_each_hop_of_a_redirect_is_judged():
    with Target(answers(b"", "302 Found", ("Location: http://2852039166/latest/meta-data",))) as target:
        result = probe_once(url=target.url())
    assert result.failure.reason is Reason.DENIED


@pytest.mark.parametrize(("ip", "peer"), [("4", "127.0.0.1"), ("6", "[::1]")])
def test_one_family_alone_can_be_asked(ip, peer):
    host = peer.strip("[]")
    with Target(answers(), host=host) as target:
        resources = resources_with(both_example=("::1", "127.0.0.1"))
        result = probe_once(url=f"http://both.example:{target.port}/", ip=ip, resources=resources, explain=True)
    assert result.evidence["address"] == f"{peer}:{target.port}"


def test_a_name_without_an_address_of_the_family_is_down_in_words():
    result = probe_once(url="http://four.example/", ip="6", resources=resources_with(four_example=("127.0.0.1",)))
    assert result.failure.message == "four.example has no IPv6 address, and this monitor asks over IPv6 only"
    assert probe_once(url="http://127.0.0.1/", ip="6").failure.message.startswith("127.0.0.1 is no IPv6 address")


def test_the_refused_addresses_of_a_name_are_left_out_and_the_others_dialled():
    with Target(answers()) as target:
        resources = resources_with(mixed_example=("169.254.169.254", "127.0.0.1"))
        result = probe_once(url=f"http://mixed.example:{target.port}/", resources=resources, explain=True)
    assert result.outcome is Outcome.UP
    assert result.evidence["address"] == target.address


def test_a_name_is_asked_at_its_next_address_when_the_first_refuses():
    with Target(answers()) as target:
        resources = resources_with(twice_example=("::1", "127.0.0.1"))
        result = probe_once(url=f"http://twice.example:{target.port}/", resources=resources)
    assert result.outcome is Outcome.UP


def test_a_silent_address_costs_a_quarter_of_a_second():
    with Target(answers()) as target, silent("127.0.0.2", target.port):
        resources = resources_with(half_example=("127.0.0.2", "127.0.0.1"))
        result = probe_once(url=f"http://half.example:{target.port}/", resources=resources)
    assert result.outcome is Outcome.UP
    assert 200_000_000 < result.phases.connect < 1_500_000_000


def test_a_name_none_of_whose_addresses_answers_is_down_as_refused():
    resources = resources_with(dead_example=("127.0.0.1", "127.0.0.2", "::1"))
    result = probe_once(url=f"http://dead.example:{closed_port()}/", resources=resources)
    assert result.failure.reason is Reason.REFUSED


def test_a_name_whose_address_failed_is_resolved_again():
    resources = resources_with(moved_example=("127.0.0.1",))
    with Target(answers()) as target:
        url = f"http://moved.example:{target.port}/"
        resources.resolver._kept["moved.example"] = (float("inf"), type(_answer())(addresses=("127.0.0.3",)))

        async def twice():
            return [await probed(make_spec(url=url), resources) for _ in range(2)]

        first, second = on_loop(twice(), resources)
    assert (first.outcome, second.outcome) == (Outcome.DOWN, Outcome.UP)


def _answer():
    from checks.network.resolver import Answer

    return Answer()


def test_families_take_turns_from_the_resolvers_first_on():
    addresses = ("::1", "::2", "::3", "127.0.0.1", "127.0.0.2")
    assert alternating(addresses) == ["::1", "127.0.0.1", "::2", "127.0.0.2", "::3"]


def test_many_dead_addresses_are_not_all_tried():
    addresses = tuple(f"127.0.1.{n}" for n in range(1, 41))
    began = time.monotonic()
    result = probe_once(url=f"http://many.example:{closed_port()}/", resources=resources_with(many_example=addresses))
    assert result.outcome is Outcome.DOWN
    assert time.monotonic() - began < 5


# Our own fault, and our own manners


def test_a_probe_runs_on_the_standard_loop_too():
    async def main(*specs):
        resources = Resources.open()
        try:
            return [await probed(spec, resources) for spec in specs]
        finally:
            resources.close()
            await asyncio.sleep(0.05)

    with Target(answers()) as plain, Target(answers(), tls=trusted()) as secure:
        up, safe, down = asyncio.run(
            main(
                make_spec(url=plain.url()),
                make_spec(url=secure.url(), ca=authority_pem()),
                make_spec(url=f"http://127.0.0.1:{closed_port()}/"),
            )
        )
    assert (up.outcome, safe.outcome) == (Outcome.UP, Outcome.UP)
    assert down.failure.reason is Reason.REFUSED


def test_running_out_of_descriptors_is_never_the_targets_fault():
    script = """
import asyncio, collections, json, resource, sys, uvloop
from checks.network import Resources
from checks.probe import ProbeContext, run
from checks.probes import KINDS, parse_spec
spec = parse_spec({"kind": "http", "name": "x", "url": sys.argv[1], "timeout": "20s"})
async def main():
    resources = Resources.open()
    resource.setrlimit(resource.RLIMIT_NOFILE, (64, 64))
    found = await asyncio.gather(*(run(KINDS["http"], spec, ProbeContext(resources=resources)) for _ in range(200)))
    print(json.dumps(collections.Counter(f"{r.outcome}:{r.failure.reason if r.failure else ''}" for r in found)))
    resources.close()
uvloop.run(main())
"""

    def slow(visit):
        visit.read_request()
        visit.wait(0.3)
        visit.send(b"HTTP/1.1 200 OK\r\nContent-Length: 0\r\n\r\n")

    with Target(slow) as target:
        ran = subprocess.run([sys.executable, "-c", script, target.url()], capture_output=True, text=True, check=True)
    found = json.loads(ran.stdout)
    assert set(found) == {"up:", "unknown:no_descriptors"}
    assert found["unknown:no_descriptors"] > 100


@pytest.mark.parametrize("stage", ["resolving", "connecting", "handshake", "answer"])
def test_a_cancelled_probe_leaves_no_socket_open(stage):
    release = []

    def lookup(name):
        while not release:
            time.sleep(0.01)
        return ("127.0.0.1",)

    async def cancel_midway(spec, resources):
        before = open_sockets()
        task = asyncio.create_task(probed(spec, resources))
        await asyncio.sleep(0 if stage == "connecting" else 0.1)
        task.cancel()
        with pytest.raises(asyncio.CancelledError):
            await task
        release.append(True)
        return before

    with Target(hangs) as target:
        scheme = "https" if stage == "handshake" else "http"
        host = "slow.example" if stage == "resolving" else "127.0.0.1"
        resources = Resources(guard=Guard(), resolver=Resolver(lookup=lookup, servers=()))
        on_loop(cancel_midway(make_spec(url=f"{scheme}://{host}:{target.port}/"), resources), resources)


def test_a_mistake_of_ours_is_unknown_and_logged(caplog):
    resources = Resources(guard=None, resolver=None)  # what a bug may look like
    result = probe_once_with(resources)
    assert (result.outcome, result.failure.reason) == (Outcome.UNKNOWN, Reason.BUG)
    assert "AttributeError" in result.failure.message
    assert "probe of" in caplog.text


def probe_once_with(resources):
    return on_loop(probed(make_spec(url="http://127.0.0.1:9/"), resources))
