"""Specifications: what is written is read as it was, secrets stay secret, limits hold."""

from __future__ import annotations

import contextlib
import json
from typing import Any

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from pydantic import BaseModel, ValidationError

from checks.options import Option, Value, options
from checks.probes import KINDS, parse_spec, spec_class
from checks.spec import REDACTED, MonitorSpec, ProbedSpec, dump, slugify
from checks.spec_secrets import redact, seal, secret_options, unseal
from checks.status import MAJORITY
from tests.factories import make_spec

plain_text = st.text(st.characters(exclude_categories=["Cc", "Cs", "Zl", "Zp"]), min_size=1, max_size=30).map(str.strip)

# What no rule of a type says: texts that mean something to somebody.
MEANINGFUL: dict[str, st.SearchStrategy[Any]] = {
    "url": st.sampled_from(["http://127.0.0.1/", "https://shop.example.org:8443/health?a=b", "http://[::1]/"]),
    "address": st.sampled_from(["127.0.0.1:25", "mail.example.org:25", "[::1]:1"]),
    "runbook": st.sampled_from(["", "https://wiki.example.org/shop"]),
    "headers": st.dictionaries(
        st.sampled_from(["X-A", "Accept", "x-b"]), st.text("abc:;é ", min_size=1).map(str.strip)
    ),
    "ca": st.just(""),
    "schedule": st.one_of(
        st.builds(lambda n: {"every": f"{n}s"}, st.integers(1, 10_000)),
        st.sampled_from([{"cron": "0 3 * * *", "timezone": "Europe/Riga"}, {"oncalendar": "Mon..Fri 03:00"}]),
    ),
    "tags": st.lists(st.from_regex(r"[a-z0-9][a-z0-9_.:/-]{0,9}", fullmatch=True), max_size=4),
    "locations": st.lists(st.sampled_from(["local", "eu-west", "us"]), min_size=1, unique=True),
    "quorum": st.sampled_from([1, "1", "any", "all", "majority"]),
    "username": st.text("abc é", max_size=9).map(str.strip),
    "proxy": st.sampled_from(["http://10.0.0.1:3128", "socks5://eve:s3cret@[::1]:1080"]),
    "resolver": st.sampled_from(["10.0.0.53", "tls://dns.example", "https://dns.example/dns-query"]),
    "environment": st.dictionaries(st.sampled_from(["TOKEN", "B_1"]), plain_text, max_size=2),
}
LINES = ["status == 200", "latency < 800ms", 'banner contains "x"', "certificate > 14d", "connect < 1s", "dns exists"]


def strategy_of(option: Option, spec: type[MonitorSpec]) -> st.SearchStrategy[Any]:
    if option.name in ("expect", "degraded"):
        known = [line for line in LINES if line.split()[0] in spec.subjects]
        return st.lists(st.sampled_from(known), max_size=4)
    if option.name in MEANINGFUL:
        return MEANINGFUL[option.name]
    return strategy_for(option.value)


def strategy_for(value: Value) -> st.SearchStrategy[Any]:
    low, high = value.lowest, value.highest
    match value.shape:
        case "choice":
            return st.sampled_from(value.choices)
        case "true or false":
            return st.booleans()
        case "number":
            return st.integers(int(low or 0), int(high or 100))
        case "duration":
            return st.integers(int((low or 0) * 1000), int((high or 10**6) * 1000)).map(lambda ms: f"{ms}ms")
        case "list" if value.item is not None:
            return st.lists(strategy_for(value.item), min_size=value.shortest or 0, max_size=3)
        case "mapping" if value.model is not None:
            inner = {
                option.name: (option.required, strategy_for(option.value)) for option in options(value.model).values()
            }
            return st.fixed_dictionaries(
                {name: strategy for name, (required, strategy) in inner.items() if required},
                optional={name: strategy for name, (required, strategy) in inner.items() if not required},
            )
        case "mapping" if value.item is not None:
            return st.dictionaries(
                st.from_regex("[A-Z][a-z]{0,5}", fullmatch=True), strategy_for(value.item), max_size=3
            )
        case _:
            return plain_text.filter(bool)


@st.composite
def specs(draw: st.DrawFn, kind: str) -> MonitorSpec:
    """Any specification of a kind: what its options say of themselves, as far as they go together."""
    model = spec_class(kind)
    data: dict[str, Any] = {**dump(make_spec(kind=kind)), "name": draw(plain_text.filter(bool)), "slug": "a-slug"}
    wished = {
        option.name: draw(strategy_of(option, model))
        for option in options(model).values()
        if option.name not in ("kind", "name", "slug") and draw(st.booleans())
    }
    try:
        return parse_spec({**data, **wished})
    except ValidationError:
        for name, value in wished.items():
            with contextlib.suppress(ValidationError):
                parse_spec({**data, name: value})
                data[name] = value
        return parse_spec(data)


@pytest.mark.parametrize("kind", KINDS)
@settings(max_examples=20, suppress_health_check=[HealthCheck.too_slow])  # of its tables of characters, once
@given(st.data())
def test_what_is_dumped_is_read_as_it_was(kind: str, data: st.DataObject) -> None:
    spec = data.draw(specs(kind))
    assert parse_spec(json.loads(json.dumps(dump(spec)))) == spec


def leaves(value: Any) -> list[Any]:
    """The values of a mapping of secrets, or the one secret; what is sealed is a mapping of its own."""
    return list(value.values()) if isinstance(value, dict) and "sealed" not in value else [value]


@pytest.mark.parametrize("kind", KINDS)
@settings(max_examples=20, suppress_health_check=[HealthCheck.too_slow])  # of its tables of characters, once
@given(st.data())
def test_what_is_sealed_hides_every_secret_and_opens_as_it_was(kind: str, data: st.DataObject) -> None:
    spec = data.draw(specs(kind))
    clear = dump(spec)
    sealed = seal(type(spec), clear, lambda text: text[::-1] + "!")
    assert unseal(type(spec), sealed, lambda text: text[:-1][::-1]) == clear
    assert seal(type(spec), sealed, lambda _: pytest.fail("was sealed twice")) == sealed
    shown = redact(type(spec), clear)
    for name in secret_options(type(spec)):
        if clear.get(name):
            assert all(isinstance(value, dict) for value in leaves(sealed[name]))
            assert set(leaves(shown[name])) == {REDACTED}


@pytest.mark.parametrize("kind", KINDS)
def test_every_option_of_every_kind_has_a_sentence_and_a_limit(kind: str) -> None:
    def check(model: type[BaseModel]) -> None:
        for option in options(model).values():
            assert option.help.endswith("."), option.name
            value = option.value
            if value.shape in ("number", "duration"):
                assert value.lowest is not None, option.name
                assert value.highest is not None, option.name
            if value.shape == "text" and option.name != "kind":
                assert value.longest is not None, option.name
            if value.model is not None:
                check(value.model)

    check(spec_class(kind))


@pytest.mark.parametrize("kind", KINDS)
def test_a_default_lies_within_its_limits(kind: str) -> None:
    spec = make_spec(kind=kind)
    assert parse_spec({**dump(spec), **json.loads(spec.model_dump_json(exclude_none=True))}) == spec


def test_the_slug_is_made_from_the_name() -> None:
    assert make_spec(name="Shop: API (EU) é").slug == "shop-api-eu-e"
    assert make_spec(name="Shop", slug="other").slug == "other"


@given(st.text(max_size=300))
def test_a_slug_that_is_made_is_one(name: str) -> None:
    slug = slugify(name)
    assert not slug or make_spec(name="x", slug=slug).slug == slug


def test_a_name_of_which_no_slug_can_be_made_needs_one() -> None:
    with pytest.raises(ValidationError, match="no slug can be made from the name '日本'"):
        make_spec(name="日本")


@pytest.mark.parametrize(
    ("options_", "message"),
    [
        ({"interval": "0s"}, "greater than or equal to 1"),
        ({"interval": "2d"}, "less than or equal to 86400"),
        ({"interval": 60}, "a duration needs a unit"),
        ({"timeout": "5"}, "not a duration"),
        ({"failures": 0}, "greater than or equal to 1"),
        ({"failures": True}, "valid integer"),
        ({"name": ""}, "at least 1 item"),
        ({"name": "a\x00b"}, r"control character U\+0000 at position 2"),
        ({"name": "a\nb"}, r"control character U\+000A at position 2"),
        ({"name": "\ud800"}, "valid string|control character"),
        ({"description": "a\x1b[31m"}, r"control character U\+001B"),
        ({"slug": "Not A Slug"}, "pattern"),
        ({"tags": ["Not A Tag"]}, "pattern"),
        ({"runbook": "javascript:alert(1)"}, "pattern"),
        ({"intervall": "5s"}, "Extra inputs"),
        ({"locations": ["local", "local"]}, "each location may stand once"),
        ({"locations": ["a", "b"], "quorum": 3}, "3 of 2 locations can never agree"),
        ({"quorum": 0}, "pattern"),
        ({"quorum": "most"}, "pattern"),
        ({"locations": []}, "at least 1 item"),
        ({"expect": ["statsu == 200"]}, "did you mean status"),
        ({"degraded": ["latency < 5"]}, "expected a duration"),
    ],
)
def test_what_is_out_of_its_limits_is_refused(options_: dict[str, Any], message: str) -> None:
    with pytest.raises(ValidationError, match=message):
        make_spec(**options_)


def test_an_unknown_kind_is_refused_with_the_nearest() -> None:
    with pytest.raises(ValueError, match="unknown kind 'htp'; did you mean http"):
        parse_spec({"kind": "htp"})
    with pytest.raises(ValueError, match="a monitor needs a kind"):
        parse_spec({"name": "x"})


def test_the_policy_is_what_the_options_say() -> None:
    policy = make_spec(failures=5, successes=4, interval="90s", timeout="7s", locations=["a", "b"], quorum=2).policy()
    assert (policy.failures, policy.successes, policy.interval, policy.timeout, policy.quorum) == (5, 4, 90.0, 7.0, 2)


@pytest.mark.parametrize(
    ("written", "quorum"), [("any", 1), ("all", 3), ("majority", MAJORITY), ("2", 2), (3, 3), (None, 1)]
)
def test_a_quorum_is_a_word_or_a_number_of_locations(written: Any, quorum: int) -> None:
    options_ = {} if written is None else {"quorum": written}
    spec = make_spec(locations=["a", "b", "c"], **options_)
    assert spec.policy().quorum == quorum
    assert dump(spec).get("quorum") == {"any": None, None: None, "2": 2}.get(written, written)


@pytest.mark.parametrize("kind", KINDS)
def test_a_probed_kind_has_places_and_others_have_one(kind: str) -> None:
    spec = make_spec(kind=kind)
    assert spec.places() == ("local",)
    assert (spec.source == "probed") == isinstance(spec, ProbedSpec)


@pytest.mark.parametrize(
    ("options", "words"),
    [
        ({"kind": "amqp", "expect": ["messages < 5"]}, "nothing is known of messages without queue"),
        ({"kind": "amqp", "degraded": ["round_trip < 5s"]}, "nothing is known of round_trip without round_trip"),
        ({"kind": "kafka", "expect": ["partitions > 1"]}, "nothing is known of partitions without topic"),
        ({"kind": "mqtt", "expect": ["round_trip < 1s"]}, "nothing is known of round_trip without topic"),
        ({"kind": "ssh", "expect": ["exit_status == 0"]}, "nothing is known of exit_status without command"),
        (
            {"kind": "smtp", "tls": "none", "expect": ["certificate > 1d"]},
            "nothing is known of certificate without tls",
        ),
        ({"kind": "imap", "expect": ['login contains "x"']}, "nothing is known of login without username"),
        ({"kind": "redis", "expect": ["certificate > 1d"]}, "nothing is known of certificate without tls"),
        ({"kind": "grpc", "expect": ["tls < 1s"]}, "nothing is known of tls without tls"),
        ({"kind": "postgres", "expect": ["value == 1"]}, "nothing is known of value without query"),
        (
            {"kind": "mysql", "tls": "none", "expect": ["certificate > 1d"]},
            "nothing is known of certificate without tls",
        ),
        ({"kind": "mongodb", "expect": ["rows == 1"]}, "nothing is known of rows without command"),
        ({"kind": "tcp", "expect": ["certificate > 1d"]}, "nothing is known of certificate without tls"),
        ({"kind": "tls", "expect": ["problem exists"]}, "nothing is known of problem without verify: false"),
        ({"kind": "websocket", "expect": ["certificate > 1d"]}, "nothing is known of certificate without wss://"),
    ],
)
def test_an_expectation_about_what_is_never_known_is_refused(options, words):
    where = {"url": "ws://a.example/"} if options["kind"] == "websocket" else {"address": "a.example:25"}
    with pytest.raises(ValidationError) as caught:
        make_spec(**where, **options)
    assert words in str(caught.value)
