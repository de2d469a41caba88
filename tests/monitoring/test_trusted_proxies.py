"""Whose X-Forwarded-For is believed."""

from __future__ import annotations

import asyncio
from ipaddress import ip_network
from typing import Any

import pytest

from checks.environment import EnvironmentProblem
from monitoring.front import Front
from monitoring.static_files import StaticFiles
from monitoring.trusted_proxies import TrustedProxies

PROXIES = TrustedProxies([ip_network("10.0.0.0/8"), ip_network("fd00::/8")])


@pytest.mark.parametrize(
    ("peer", "forwarded", "client"),
    [
        ("198.51.100.7", ["203.0.113.9"], "198.51.100.7"),  # nobody of ours says so
        ("10.0.0.1", [], "10.0.0.1"),
        ("10.0.0.1", ["203.0.113.9"], "203.0.113.9"),
        ("10.0.0.1", ["6.6.6.6, 203.0.113.9"], "203.0.113.9"),  # what the client made up stands to the left
        ("10.0.0.1", ["6.6.6.6", "203.0.113.9"], "203.0.113.9"),
        ("10.0.0.1", ["203.0.113.9, 10.0.0.2"], "203.0.113.9"),
        ("10.0.0.1", ["10.0.0.3, 10.0.0.2"], "10.0.0.3"),
        ("10.0.0.1", ["203.0.113.9, nonsense"], "10.0.0.1"),
        ("10.0.0.1", ["203.0.113.9, nonsense, 10.0.0.2"], "10.0.0.2"),
        ("10.0.0.1", [""], "10.0.0.1"),
        ("10.0.0.1", ["203.0.113.9:51234"], "203.0.113.9"),
        ("10.0.0.1", ["2001:DB8::1"], "2001:db8::1"),
        ("10.0.0.1", ["[2001:db8::1]:443"], "2001:db8::1"),
        ("::ffff:10.0.0.1", ["203.0.113.9"], "203.0.113.9"),
        ("fd00::1", ["::ffff:203.0.113.9"], "203.0.113.9"),
        ("10.0.0.1", ["203.0.113.9, " + "10.0.0.2, " * 100 + "10.0.0.2"], "10.0.0.2"),  # nobody has so many
        ("10.0.0.1", ["\xff\xfe"], "10.0.0.1"),
        ("", ["203.0.113.9"], ""),
    ],
)
def test_the_client_is_the_last_hop_that_is_no_proxy_of_ours(peer: str, forwarded: list[str], client: str):
    headers = [(b"x-forwarded-for", value.encode("latin-1")) for value in forwarded]
    assert PROXIES.client_of(peer, headers) == client
    assert TrustedProxies().client_of(peer, headers) == peer


def test_networks_come_from_the_environment_and_what_is_none_stops_the_start(monkeypatch: pytest.MonkeyPatch):
    assert not TrustedProxies.from_environment()
    monkeypatch.setenv("STILLUP_TRUSTED_PROXIES", "10.0.0.0/8 fd00::/8")
    assert TrustedProxies.from_environment().client_of("10.1.1.1", [(b"x-forwarded-for", b"1.2.3.4")]) == "1.2.3.4"
    monkeypatch.setenv("STILLUP_TRUSTED_PROXIES", "proxy")
    with pytest.raises(EnvironmentProblem, match="STILLUP_TRUSTED_PROXIES holds 'proxy'"):
        TrustedProxies.from_environment()


@pytest.mark.parametrize(("proxies", "seen"), [(PROXIES, "203.0.113.9"), (None, "10.0.0.1")])
def test_pings_and_pages_see_the_client(proxies: TrustedProxies | None, seen: str):
    clients = []

    async def remember(scope: Any, receive: Any, send: Any) -> None:
        clients.append(scope["client"][0])

    async def receive() -> dict[str, object]:
        return {"type": "http.request", "body": b"", "more_body": False}

    async def send(message: Any) -> None:
        pass

    front = Front(remember, remember, StaticFiles(), proxies)  # type: ignore[arg-type]
    for path in ("/ping/x", "/dashboard/"):
        scope = {
            "type": "http",
            "path": path,
            "headers": [(b"x-forwarded-for", b"203.0.113.9")],
            "client": ("10.0.0.1", 5),
        }
        asyncio.run(front(scope, receive, send))
    assert clients == [seen, seen]
