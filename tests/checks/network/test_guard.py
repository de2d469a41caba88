"""The address guard: what no probe may connect to, however it is written."""

from __future__ import annotations

import ipaddress

import pytest

from checks.environment import EnvironmentProblem
from checks.network.guard import REFUSED, Guard, literal

FORBIDDEN = [
    "0.0.0.0",
    "0.1.2.3",
    "169.254.0.1",
    "169.254.169.254",
    "100.100.100.200",
    "168.63.129.16",
    "192.0.0.192",
    "192.0.0.1",
    "224.0.0.1",
    "239.255.255.255",
    "240.0.0.1",
    "255.255.255.255",
    "::",
    "fe80::1",
    "fe80::1%eth0",
    "febf::1",
    "fec0::1",
    "ff02::1",
    "fd00:ec2::254",
    "fd20:ce::254",
    "::ffff:169.254.169.254",
    "::ffff:0.0.0.0",
    "::ffff:a9fe:a9fe",
    "::169.254.169.254",
    "64:ff9b::169.254.169.254",
    "64:ff9b:1::a9fe:a9fe",
    "2002:a9fe:a9fe::1",
    "2001:0:a9fe:a9fe::1",
    "2852039166",  # 169.254.169.254 in the other ways in which C libraries read it
    "0xa9fea9fe",
    "0251.0376.0251.0376",
    "169.254.43518",
    "0",
    "2001:0:4136:e378:8000:63bf:5601:5601",  # Teredo, with 169.254.169.254 inverted at its end
]
ALLOWED = [
    "127.0.0.1",
    "127.8.8.8",
    "10.0.0.1",
    "172.16.0.1",
    "192.168.1.1",
    "100.64.0.1",
    "8.8.8.8",
    "::1",
    "fc00::1",
    "fd12:3456::1",
    "2a00:1450::1",
    "::ffff:127.0.0.1",
    "::ffff:10.0.0.1",
    "64:ff9b::8.8.8.8",
]


@pytest.mark.parametrize("address", FORBIDDEN)
def test_what_no_target_has_is_refused(address):
    assert Guard().refusal(address)


@pytest.mark.parametrize("address", ALLOWED)
def test_private_networks_and_this_machine_are_allowed(address):
    assert Guard().refusal(address) is None


@pytest.mark.parametrize(
    ("host", "address"),
    [
        ("127.0.0.1", "127.0.0.1"),
        ("0:0:0:0:0:0:0:1", "::1"),
        ("2130706433", "127.0.0.1"),
        ("0x7f.1", "127.0.0.1"),
        ("0177.0.0.1", "127.0.0.1"),
        ("127.1.", "127.0.0.1"),
        ("fe80::1%eth0", "fe80::1%eth0"),
        ("shop.example", ""),
        ("1.2.3.4.5", ""),
        ("999.1.1.1", ""),
        ("a1", ""),
        ("1.example", ""),
    ],
)
def test_an_address_is_known_however_it_is_written(host, address):
    assert literal(host) == address


def test_the_refusal_says_why():
    assert Guard().refusal("169.254.169.254") == "link-local"
    assert Guard().refusal("::ffff:169.254.169.254") == "link-local (169.254.169.254 inside)"


@pytest.mark.parametrize("network", REFUSED)
def test_each_network_of_the_table_can_be_allowed(network):
    first = str(ipaddress.ip_network(network)[0])
    assert Guard().refusal(first)
    assert Guard(allow=[ipaddress.ip_network(network)]).refusal(first) is None


def test_the_environment_widens_and_narrows(monkeypatch):
    monkeypatch.setenv("STILLUP_PROBE_ALLOW", "169.254.10.0/24, fe80::/10")
    monkeypatch.setenv("STILLUP_PROBE_DENY", "10.0.0.0/8 127.0.0.0/8")
    guard = Guard.from_environment()
    assert guard.refusal("169.254.10.7") is None
    assert guard.refusal("169.254.169.254") == "link-local"
    assert guard.refusal("fe80::1") is None
    assert guard.refusal("10.1.2.3") == "in 10.0.0.0/8, which STILLUP_PROBE_DENY names"
    assert guard.refusal("::ffff:10.1.2.3") == "in 10.0.0.0/8, which STILLUP_PROBE_DENY names"
    assert guard.refusal("192.168.0.1") is None


def test_the_narrowest_network_given_decides_and_a_draw_refuses():
    wide, narrow = ipaddress.ip_network("10.0.0.0/8"), ipaddress.ip_network("10.1.0.0/16")
    assert Guard(deny=[wide], allow=[narrow]).refusal("10.1.0.1") is None
    assert Guard(allow=[wide], deny=[narrow]).refusal("10.1.0.1")
    assert Guard(allow=[wide], deny=[wide]).refusal("10.1.0.1")


@pytest.mark.parametrize("value", ["10.0.0.1/8", "nonsense", "10.0.0.0/33"])
def test_a_wrong_network_stops_the_start(monkeypatch, value):
    monkeypatch.setenv("STILLUP_PROBE_DENY", value)
    with pytest.raises(EnvironmentProblem, match="STILLUP_PROBE_DENY holds"):
        Guard.from_environment()
