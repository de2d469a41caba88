"""Which kind an address is for, and which monitor of a file is meant."""

from __future__ import annotations

from argparse import Namespace
from dataclasses import replace

import pytest

from checks.asking import SCHEMES, WrongUsage, read
from checks.probes import KINDS
from checks.spec import dump


def asked(target, **options):
    given = dict.fromkeys(("kind", "monitor", "expect", "degraded", "timeout", "option"))
    return read(Namespace(target=str(target), **{**given, **options}))


@pytest.mark.parametrize("scheme", SCHEMES)
def test_every_scheme_makes_a_monitor_of_its_kind(scheme):
    port = (
        "" if SCHEMES[scheme].port or SCHEMES[scheme].kind in ("http", "websocket", "dns", "icmp", "domain") else ":77"
    )
    spec = asked(f"{scheme}://target.example.org{port}")
    assert spec.kind == SCHEMES[scheme].kind
    assert "target.example.org" in getattr(spec, spec.target_option)


@pytest.mark.parametrize(
    ("target", "options"),
    [
        ("rediss://10.0.0.5", {"kind": "redis", "address": "10.0.0.5:6379", "tls": True}),
        (
            "postgres://ann@db.example.org/shop",
            {"address": "db.example.org:5432", "username": "ann", "database": "shop"},
        ),
        ("tls:[2001:db8::1]", {"address": "[2001:db8::1]:443"}),
        ("tls:2001:db8::1", {"address": "[2001:db8::1]:443"}),
        ("mqtt://broker.example.org:1999", {"address": "broker.example.org:1999"}),
        ("dns:example.org", {"kind": "dns", "query": "example.org"}),
        ("mail.example.org:25", {"kind": "tcp", "address": "mail.example.org:25"}),
        ("redis:6380", {"kind": "tcp", "address": "redis:6380"}),
        ("HTTPS://a.example/", {"kind": "http", "url": "HTTPS://a.example/"}),
        ("https://a.example/api.yaml", {"kind": "http", "url": "https://a.example/api.yaml"}),
    ],
)
def test_an_address_writes_its_options(target, options):
    found = dump(asked(target))
    assert {name: found[name] for name in options} == options


def test_a_kind_that_is_named_wins_over_the_scheme():
    assert asked("https://status.example.org/", kind="statuspage").kind == "statuspage"
    assert asked("example.org", kind="domain").domain == "example.org"


def test_an_option_is_read_as_its_type_has_it():
    spec = asked(
        "http://a.example/",
        option=["ip=4", "http_version=2", "username=1", "password=12345", 'expect=["status == 200"]', "invert=true"],
    )
    assert (spec.ip, spec.http_version, spec.username, spec.password) == ("4", "2", "1", "12345")
    assert (spec.expect, spec.invert) == (("status == 200",), True)
    assert asked("postgres://db.example", option=["tls=none"]).tls == "none"
    assert asked("redis://db.example", option=["database=2", "tls=true"]).database == 2


ONE = "name: Shop\nkind: tcp\naddress: 'a.example:1'\n"
TWO = """
defaults: {timeout: 3s, interval: 5m}
monitors:
  - {name: Shop, kind: tcp, address: 'a.example:1'}
  - {name: Mail box, kind: tcp, address: 'b.example:2', timeout: 4s}
  - {name: Job, kind: heartbeat, schedule: {every: 1h}}
"""


def test_a_file_is_one_monitor_a_list_or_a_configuration(tmp_path):
    path = tmp_path / "a.yaml"
    path.write_text(ONE)
    assert asked(path).address == "a.example:1"
    path.write_text("- {name: Shop, kind: tcp, address: 'a.example:1'}\n")
    assert asked(path, timeout="7s", option=["tls=true"]).timeout == 7.0
    path.write_text(TWO)
    spec = asked(path, monitor="mail-box")
    assert (spec.address, spec.timeout, spec.interval) == ("b.example:2", 4.0, 300.0)
    assert asked(path, monitor="shop").timeout == 3.0


@pytest.mark.parametrize(
    ("text", "options", "problem"),
    [
        (TWO, {}, "the file has 3 monitors: choose one by --monitor; known: shop, mail-box, job"),
        (TWO, {"monitor": "shopp"}, "--monitor shopp: the file has none; did you mean shop?"),
        (TWO, {"monitor": "job"}, "job is of the kind heartbeat, which is not probed"),
        (TWO, {"monitor": "shop", "kind": "tcp"}, "--kind tcp: the file says"),
        (ONE, {"expect": ["bannr exists"]}, "did you mean banner?"),
        ("name: Shop\n", {}, "1:1: kind: is required"),
        ("name: Shop\nkind: tpc\n", {}, "2:7: kind: unknown kind 'tpc'; did you mean tcp?"),
        ("name: Shop\nkind: tcp\naddres: 1\n", {}, "3:1: addres: unknown key 'addres'; did you mean address?"),
        ("\t", {}, "indent with spaces"),
        ("- a\n", {}, "is required"),
    ],
)
def test_what_is_wrong_with_a_file_is_said_with_its_place(tmp_path, text, options, problem):
    path = tmp_path / "a.yaml"
    path.write_text(text)
    with pytest.raises(WrongUsage) as caught:
        asked(path, **options)
    assert problem in str(caught.value)


@pytest.mark.parametrize(
    ("target", "options", "problem"),
    [
        ("htps://a/", {}, "htps: is no scheme that picks a kind; did you mean https?; name it by --kind"),
        ("redis://me:secret@10.0.0.5", {}, "put it into a file, as ${NAME}"),
        ("tcp://ann@a:1", {}, "'ann': tcp has no username"),
        ("https://a/", {"kind": "flow"}, "flow asks no single address; describe the monitor in a file"),
        ("https://a/", {"monitor": "x"}, "https://a/ is no file"),
        ("nowhere/config.yaml", {}, "nowhere/config.yaml: there is no such file"),
    ],
)
def test_an_address_that_says_nothing_is_refused(target, options, problem):
    with pytest.raises(WrongUsage) as caught:
        asked(target, **options)
    assert problem in str(caught.value)
    assert "secret" not in str(caught.value)


def test_a_kind_whose_library_is_missing_says_which(monkeypatch):
    monkeypatch.setitem(KINDS, "tcp", replace(KINDS["tcp"], extra="tcp", modules=("no_such_module",)))
    with pytest.raises(WrongUsage, match=r"pip install 'stillup\[tcp\]'"):
        asked("a.example:1")
