"""What every kind keeps to: each new one gets these tests by its line in KINDS and its record in EXAMPLES."""

from __future__ import annotations

import asyncio
import inspect
import textwrap
import time
from functools import partial
from pathlib import Path
from urllib.parse import urlsplit

import pytest
import yaml
from hypothesis import given
from hypothesis import strategies as st

from checks.network import Resources
from checks.options import options
from checks.probes import KINDS, parse_spec, spec_class
from checks.result import Outcome, Reason
from checks.spec import REDACTED, MonitorSpec, ProbedSpec, dump
from checks.spec_secrets import redact, seal, secret_options, unseal
from tests.contracts.examples import EXAMPLES, refusal, silence
from tests.factories import make_spec
from tests.probing import on_loop, probe_once, probed
from tests.servers import authority, closed_port

ROOT = Path(__file__).parents[2]
PROBED = sorted(name for name, kind in KINDS.items() if issubclass(kind.spec, ProbedSpec) and name in EXAMPLES)
ALL = sorted(KINDS)


def only(*over):
    """The kinds that ask over one of these."""
    return [kind for kind in PROBED if EXAMPLES[kind].over in over]


SERVED = [kind for kind in PROBED if EXAMPLES[kind].serves is not None]
IMPATIENT = "latency < 1us"  # the line that no answer meets
CLIENT = authority().issue_cert("client.example")


def options_for(kind, address):
    return {"kind": kind, **EXAMPLES[kind].ask(address)}


def test_every_probed_kind_has_its_example_here():
    assert {name for name, kind in KINDS.items() if issubclass(kind.spec, ProbedSpec)} <= set(EXAMPLES)


@pytest.mark.parametrize("kind", only("stream", "datagram"))
def test_a_refused_connection_is_a_result_and_no_exception(kind):
    result = probe_once(**options_for(kind, refusal(EXAMPLES[kind])))
    assert (result.outcome, result.failure.reason) == (Outcome.DOWN, Reason.REFUSED)
    assert result.latency_ns is None


@pytest.mark.parametrize("kind", only("stream", "datagram"))
def test_an_inverted_monitor_is_up_where_the_connection_is_refused(kind):
    result = probe_once(**options_for(kind, refusal(EXAMPLES[kind])), invert=True)
    assert (result.outcome, result.failure) == (Outcome.UP, None)


@pytest.mark.parametrize("kind", only("stream", "datagram", "nothing"))
def test_the_deadline_holds(kind):
    with silence(EXAMPLES[kind]) as address:
        began = time.monotonic()
        result = probe_once(**options_for(kind, address) | {"timeout": "200ms"})
    assert time.monotonic() - began < 5
    assert result.failure.reason is Reason.TIMEOUT


@pytest.mark.parametrize("kind", SERVED)
def test_the_phases_of_a_whole_answer_are_its_latency(kind):
    with EXAMPLES[kind].serves() as address:
        result = probe_once(**options_for(kind, address))
    assert (result.outcome, result.failure) == (Outcome.UP, None)
    assert result.latency_ns == result.phases.total()


@pytest.mark.parametrize("kind", SERVED)
def test_what_is_good_but_not_good_enough_is_degraded(kind):
    with EXAMPLES[kind].serves() as address:
        result = probe_once(**options_for(kind, address) | {"degraded": [IMPATIENT]})
    assert (result.outcome, result.failure.expectation) == (Outcome.DEGRADED, IMPATIENT)


@pytest.mark.parametrize("kind", SERVED)
def test_an_inverted_monitor_is_down_where_the_answer_is_good(kind):
    with EXAMPLES[kind].serves() as address:
        result = probe_once(**options_for(kind, address), invert=True)
    assert (result.outcome, result.failure.reason) == (Outcome.DOWN, Reason.INVERTED)


@pytest.mark.parametrize("kind", only("stream", "datagram", "nothing"))
def test_cancellation_passes_through_and_leaves_no_socket_open(kind):
    async def cancel(spec, resources):
        task = asyncio.create_task(probed(spec, resources))
        await asyncio.sleep(0.05)
        task.cancel()
        with pytest.raises(asyncio.CancelledError):
            await task
        await asyncio.sleep(0.01)
        assert asyncio.all_tasks() == {asyncio.current_task()}

    resources = Resources.open()
    with silence(EXAMPLES[kind]) as address:
        on_loop(cancel(make_spec(**options_for(kind, address)), resources), resources)


@pytest.mark.parametrize("kind", only("stream", "datagram", "host"))
def test_a_metadata_service_is_never_asked(kind):
    result = probe_once(**options_for(kind, "169.254.169.254:80"))
    assert (result.outcome, result.failure.reason) == (Outcome.DOWN, Reason.DENIED)


@pytest.mark.parametrize("kind", PROBED)
def test_no_secret_appears_in_a_result_or_a_log(kind, caplog):
    caplog.set_level(0)
    example, cls = EXAMPLES[kind], spec_class(kind)
    with (example.serves or partial(silence, example))() as address:
        for option in secret_options(cls):
            given = {**beside(cls, option), **example.secrets.get(option, {})}
            secrets = given[option].values() if isinstance(given[option], dict) else hidden_parts(given[option])
            options = {**options_for(kind, address), "timeout": "1s", **given}
            options["expect"] = [*options.get("expect", ()), IMPATIENT]
            result = probe_once(**options, explain=True)
            assert result.outcome is not Outcome.UP
            for secret in secrets:
                assert secret not in repr(result)
                assert secret not in caplog.text


def beside(cls, option):
    """A value of a secret option, with what most kinds need beside it."""
    secret = f"secret-of-{option}"
    match option:
        case "client_key":
            return {
                option: CLIENT.private_key_pem.bytes().decode(),
                "client_certificate": CLIENT.cert_chain_pems[0].bytes().decode(),
            }
        case "proxy":
            return {option: f"http://eve:{secret}@127.0.0.1:{closed_port()}"}
        case _ if "dict" in str(cls.model_fields[option].annotation):
            return {option: {"X-Own": secret}}
        case "password" if "username" in cls.model_fields:
            return {option: secret, "username": "eve"}
        case _:
            return {option: secret}


def hidden_parts(value):
    """What must not be seen of a secret text: the password of an address, the lines of a key, or all of it."""
    if "://" in value:
        return [urlsplit(value).password]
    return value.splitlines()[1:-1] or [value]


@pytest.mark.parametrize("kind", ALL)
def test_the_reference_shows_an_example_that_works(kind):
    example = spec_class(kind).example
    assert example
    assert make_spec(**{"kind": kind, **yaml.safe_load(example)}).kind == kind
    assert textwrap.indent(inspect.cleandoc(example), "  ") in (ROOT / "docs" / "configuration.md").read_text()


@pytest.mark.parametrize("kind", ALL)
def test_every_option_has_a_sentence(kind):
    for name, option in options(spec_class(kind)).items():
        assert option.help, f"{kind}.{name} has no docstring"
        assert option.help[0].isupper(), f"{kind}.{name}"
        assert option.help.endswith("."), f"{kind}.{name}"


@pytest.mark.parametrize("kind", ALL)
def test_the_options_begin_with_what_it_is_and_whom_it_asks(kind):
    cls = spec_class(kind)
    common = list(MonitorSpec.model_fields)
    found = list(options(cls))
    assert sorted(found) == sorted(cls.model_fields)
    assert found[: len(common)] == common
    target = getattr(cls, "target_option", "")
    assert not target or found[len(common)] == target


@pytest.mark.parametrize("kind", ALL)
def test_every_subject_has_a_sentence_and_its_own_name(kind):
    for name, subject in spec_class(kind).subjects.items():
        assert subject.name == name
        assert subject.help.endswith((".", ")."))


@pytest.mark.parametrize("kind", ALL)
def test_a_duration_needs_a_unit(kind):
    schema = spec_class(kind).model_json_schema()["properties"]
    durations = [name for name, field in schema.items() if "60s" in field.get("examples", ())]
    for name in durations:
        with pytest.raises(ValueError, match="needs a unit"):
            make_spec(kind=kind, **{name: 30})


@pytest.mark.parametrize("kind", ALL)
def test_a_choice_that_looks_like_a_number_needs_no_quotes(kind):
    for name, option in options(spec_class(kind)).items():
        for choice in option.value.choices:
            plain = yaml.safe_load(choice)
            if isinstance(plain, int | float) and not isinstance(plain, bool):
                assert getattr(make_spec(kind=kind, **{name: plain}), name) == choice


@pytest.mark.parametrize("kind", ALL)
def test_an_unknown_option_is_refused(kind):
    with pytest.raises(ValueError, match="Extra inputs are not permitted"):
        make_spec(kind=kind, no_such_option=1)


@pytest.mark.parametrize("kind", ALL)
def test_the_reference_knows_it(kind):
    assert f"kind: {kind}\n" in (ROOT / "docs" / "configuration.md").read_text()


@pytest.mark.parametrize("kind", ALL)
def test_a_specification_is_what_its_dump_says(kind):
    spec = make_spec(kind=kind, name="Ärger im Büro", tags=["a", "b"], description="two\nlines")
    assert parse_spec(dump(spec)) == spec


@given(
    name=st.text(st.characters(categories=["L", "Nd"], max_codepoint=0x24F), min_size=1, max_size=30),
    interval=st.integers(1, 86_400_000).map(lambda ms: max(1.0, ms / 1000)),
    headers=st.dictionaries(
        st.from_regex(r"X-[A-Za-z]{1,8}", fullmatch=True).map(str.title), st.sampled_from(["a", "ü"])
    ),
    body=st.text(st.characters(exclude_categories=["Cs"], exclude_characters="\0"), max_size=50),
)
def test_any_specification_is_what_its_dump_says(name, interval, headers, body):
    data = {"kind": "http", "name": name, "slug": "x", "url": "https://a.example/", "method": "POST"}
    spec = parse_spec({**data, "interval": interval, "headers": headers, "body": body})
    assert parse_spec(dump(spec)) == spec


@pytest.mark.parametrize("kind", ALL)
def test_secrets_are_sealed_unsealed_and_redacted(kind):
    cls = spec_class(kind)
    values = {
        name: {"X": "s3cret"} if "dict" in str(cls.model_fields[name].annotation) else "s3cret"
        for name in secret_options(cls)
    }
    sealed = seal(cls, values, lambda clear: clear[::-1])
    assert "s3cret" not in str(sealed)
    assert unseal(cls, sealed, lambda text: text[::-1]) == values
    assert "s3cret" not in str(redact(cls, values))
    assert str(redact(cls, values)).count(REDACTED) == len(values)


def test_an_unknown_kind_names_the_nearest():
    with pytest.raises(ValueError, match=r"unknown kind 'htp'; did you mean http\?"):
        parse_spec({"kind": "htp", "name": "x"})
    with pytest.raises(ValueError, match="allowed: http, "):
        parse_spec({"kind": "zzz", "name": "x"})
    with pytest.raises(ValueError, match="needs a kind"):
        parse_spec({"name": "x"})
