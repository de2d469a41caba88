"""What every kind keeps to that has the options of a route: the proxy, the resolver and the family are really used."""

from __future__ import annotations

import pytest

from checks.network.route import RoutedSpec
from checks.probes import KINDS, spec_class
from checks.result import Outcome, Reason
from tests.contracts.examples import EXAMPLES
from tests.nameservers import Namer, knows, never
from tests.probing import probe_once
from tests.servers import Target, closed_port, hangs

NAME = "shop.example"
OTHERS = {"dns", "domain"}  # the first asks the resolver itself, the second a registry that it looks up


def having(option):
    """The kinds that reach a target over the network and have this option."""
    return sorted(
        name
        for name, kind in KINDS.items()
        if option in kind.spec.model_fields
        and name in EXAMPLES
        and EXAMPLES[name].over != "nothing"
        and name not in OTHERS
    )


def asked(kind, host, **options):
    return probe_once(**{"kind": kind, **EXAMPLES[kind].ask(host), **options})


def test_every_kind_that_reaches_a_target_has_a_route():
    ours = {name for name in EXAMPLES if EXAMPLES[name].over != "nothing"}
    assert {name for name in ours if not issubclass(spec_class(name), RoutedSpec)} == set()


@pytest.mark.parametrize("kind", having("proxy"))
def test_a_proxy_that_is_not_there_is_named(kind):
    with Target(hangs) as target:
        result = asked(kind, target.address, proxy=f"socks5://127.0.0.1:{closed_port()}")
        assert target.connections == 0
    assert (result.outcome, result.failure.reason) == (Outcome.DOWN, Reason.PROXY)


@pytest.mark.parametrize("kind", having("resolver"))
def test_names_are_resolved_by_the_monitors_own_resolver(kind):
    with Namer(knows(f"{NAME}. 60 IN A 169.254.169.254")) as namer:
        result = asked(kind, f"{NAME}:{closed_port()}", resolver=namer.address)
        assert {name for name, _, _ in namer.asked} == {f"{NAME}."}
    assert (result.outcome, result.failure.reason) == (Outcome.DOWN, Reason.DENIED)


@pytest.mark.parametrize("kind", having("resolver"))
def test_a_resolver_that_is_silent_is_named(kind):
    with Namer(never) as namer:
        result = asked(kind, f"{NAME}:9", resolver=namer.address, timeout="200ms", **quick(kind))
    assert (result.outcome, result.failure.reason) == (Outcome.DOWN, Reason.TIMEOUT)
    assert result.failure.message.endswith(f"while waiting for the resolver {namer.address}")


@pytest.mark.parametrize("kind", having("ip"))
def test_a_family_alone_is_asked(kind):
    with Namer(knows(f"{NAME}. 60 IN A 127.0.0.1")) as namer:
        result = asked(kind, f"{NAME}:{closed_port()}", resolver=namer.address, ip="6")
        assert {record for _, record, _ in namer.asked} == {"AAAA"}
    assert (result.outcome, result.failure.reason) == (Outcome.DOWN, Reason.NAME_NOT_FOUND)


def quick(kind):
    """What a kind needs beside a short timeout."""
    return {"patience": "50ms", "gap": "10ms"} if kind == "icmp" else {}
