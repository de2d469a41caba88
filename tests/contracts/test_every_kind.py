"""What every kind keeps to: each new one gets these tests by its line in KINDS and its line in EXAMPLES."""

from __future__ import annotations

import asyncio
import re
import time
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from checks.network import Resources
from checks.probes import KINDS, parse_spec, spec_class
from checks.result import Outcome, Reason
from checks.spec import REDACTED, ProbedSpec, dump, redact, seal, secret_options, unseal
from tests.factories import make_spec
from tests.probing import on_loop, probe_once, probed
from tests.servers import Target, closed_port, echoes, hangs

ROOT = Path(__file__).parents[2]

# How each kind asks an address, in a way that waits for an answer.
EXAMPLES = {
    "http": lambda address: {"url": f"http://{address}/"},
    "tcp": lambda address: {"address": address, "send": "GET / HTTP/1.0\r\n\r\n", "expect": ["banner exists"]},
}
PROBED = sorted(name for name, kind in KINDS.items() if issubclass(kind.spec, ProbedSpec))
ALL = sorted(KINDS)


def options_for(kind, address):
    return {"kind": kind, **EXAMPLES[kind](address)}


def test_every_probed_kind_has_its_example_here():
    assert sorted(EXAMPLES) == PROBED


@pytest.mark.parametrize("kind", PROBED)
def test_a_refused_connection_is_a_result_and_no_exception(kind):
    result = probe_once(**options_for(kind, f"127.0.0.1:{closed_port()}"))
    assert (result.outcome, result.failure.reason) == (Outcome.DOWN, Reason.REFUSED)
    assert result.latency_ns is None


@pytest.mark.parametrize("kind", PROBED)
def test_the_deadline_holds(kind):
    with Target(hangs) as target:
        began = time.monotonic()
        result = probe_once(**options_for(kind, target.address), timeout="200ms")
    assert time.monotonic() - began < 1.5
    assert result.failure.reason is Reason.TIMEOUT


@pytest.mark.parametrize("kind", PROBED)
def test_the_phases_of_a_whole_answer_are_its_latency(kind):
    with Target(echoes) as target:
        result = probe_once(**options_for(kind, target.address))
    assert result.outcome is Outcome.UP
    assert result.latency_ns == result.phases.total()


@pytest.mark.parametrize("kind", PROBED)
def test_cancellation_passes_through_and_leaves_no_socket_open(kind):
    async def cancel(spec, resources):
        task = asyncio.create_task(probed(spec, resources))
        await asyncio.sleep(0.05)
        task.cancel()
        with pytest.raises(asyncio.CancelledError):
            await task

    resources = Resources.open()
    with Target(hangs) as target:
        on_loop(cancel(make_spec(**options_for(kind, target.address)), resources), resources)


@pytest.mark.parametrize("kind", PROBED)
def test_a_metadata_service_is_never_asked(kind):
    result = probe_once(**options_for(kind, "169.254.169.254:80"))
    assert (result.outcome, result.failure.reason) == (Outcome.DOWN, Reason.DENIED)


@pytest.mark.parametrize("kind", PROBED)
def test_no_secret_appears_in_a_result_or_a_log(kind, caplog):
    caplog.set_level(0)
    cls = spec_class(kind)
    for option in secret_options(cls):
        secret = f"secret-of-{option}"
        is_mapping = "dict" in str(cls.model_fields[option].annotation)
        given = {option: {"X-Own": secret} if is_mapping else secret}
        if option == "password":
            given["username"] = "eve"
        with Target(echoes) as target:
            options = {**options_for(kind, target.address), **given}
            options["expect"] = ['body contains "absent"'] if "body" in cls.subjects else options["expect"]
            result = probe_once(**options, explain=True)
        assert target.requests
        assert secret not in repr(result)
        assert secret not in caplog.text


@pytest.mark.parametrize("kind", ALL)
def test_every_option_has_a_sentence(kind):
    for name, field in spec_class(kind).model_fields.items():
        assert field.description, f"{kind}.{name} has no docstring"
        assert field.description[0].isupper(), f"{kind}.{name}"
        assert field.description.rstrip().endswith("."), f"{kind}.{name}"


@pytest.mark.parametrize("kind", ALL)
def test_every_subject_has_a_sentence_and_its_own_name(kind):
    for name, subject in spec_class(kind).subjects.items():
        assert subject.name == name
        assert subject.help.endswith((".", ")."))


@pytest.mark.parametrize("kind", ALL)
def test_a_duration_needs_a_unit(kind):
    schema = spec_class(kind).model_json_schema()["properties"]
    durations = [name for name, field in schema.items() if "60s" in field.get("examples", ())]
    assert durations
    for name in durations:
        with pytest.raises(ValueError, match="needs a unit"):
            make_spec(kind=kind, **{name: 30})


@pytest.mark.parametrize("kind", ALL)
def test_an_unknown_option_is_refused(kind):
    with pytest.raises(ValueError, match="Extra inputs are not permitted"):
        make_spec(kind=kind, no_such_option=1)


@pytest.mark.parametrize("kind", ALL)
def test_the_example_file_and_the_reference_know_it(kind):
    assert re.search(rf"kind: {kind}\b", (ROOT / "config.example.yaml").read_text())
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
    with pytest.raises(ValueError, match="allowed: http, tcp, heartbeat"):
        parse_spec({"kind": "zzz", "name": "x"})
    with pytest.raises(ValueError, match="needs a kind"):
        parse_spec({"name": "x"})
