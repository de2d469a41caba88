"""What the kinds that speak a binary protocol share; how it fares with bytes is told in the tests of each kind."""

from __future__ import annotations

import sys

import pytest

from checks.network import Resources
from checks.probe import ProbeFailure, Stopwatch
from checks.probes import KINDS
from checks.protocols.wire import importing
from checks.result import Outcome, Reason
from tests.factories import make_spec
from tests.probing import on_loop, probed
from tests.servers import Target, hangs


@pytest.mark.parametrize(
    ("kind", "library", "ours"),
    [
        ("amqp", "pamqp", "checks.protocols.amqp"),
        ("kafka", "aiokafka.protocol.admin", "checks.protocols.kafka"),
        ("mqtt", "paho.mqtt.client", "checks.protocols.mqtt"),
        ("grpc", "grpc_health.v1", ""),
    ],
)
def test_a_library_that_is_missing_is_our_trouble_and_says_what_to_install(monkeypatch, kind, library, ours):
    resources = Resources.open()
    with Target(hangs) as target:
        spec = make_spec(kind=kind, address=target.address)
        monkeypatch.delitem(sys.modules, ours, raising=False)
        monkeypatch.setitem(sys.modules, library, None)  # Python's way to say that there is none
        result = on_loop(probed(spec, resources), resources)
    assert target.connections == 0
    assert (result.outcome, result.failure.reason) == (Outcome.UNKNOWN, Reason.NO_DRIVER)
    assert result.failure.message == f"{library} is not installed; install it with: pip install 'stillup[{kind}]'"


@pytest.mark.parametrize("kind", ["amqp", "kafka", "mqtt", "grpc"])
def test_a_kind_knows_its_library_by_a_name_that_can_be_looked_for(kind):
    assert KINDS[kind].missing() == ""
    assert all("." not in name for name in KINDS[kind].modules)


def test_the_time_of_an_import_is_not_the_targets():
    watch = Stopwatch()
    with importing("kafka", watch):
        deadline = watch.started_ns + 300_000_000
        while watch_now() < deadline:
            pass
    watch.mark("connect", "first_byte")
    assert watch.phases.connect == watch.last_ns - watch.started_ns < 250_000_000
    with pytest.raises(ProbeFailure), importing("kafka", watch):
        raise ModuleNotFoundError(name="aiokafka")


def watch_now():
    return Stopwatch().started_ns
