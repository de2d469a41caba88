"""`statuspage`: pages in the shape of Statuspage v2, and others, on loopback."""

from __future__ import annotations

import json

import pytest

from checks.probes.statuspage import StatuspageSpec
from checks.result import Outcome, Reason
from tests.factories import make_spec
from tests.probing import probe_once
from tests.servers import Target, answer, by_path

COMPONENTS = {
    "API": "operational",
    "Git operations": "degraded_performance",
    "Pages": "partial_outage",
    "Search": "major_outage",
    "Mail": "under_maintenance",
    "Billing": "something_new",
}


def page(indicator="none", incidents=(), **changes):
    """What a page says of itself."""
    return json.dumps(
        {
            "page": {"id": "x", "name": "Vendor", "url": "https://status.vendor.example"},
            "status": {"indicator": indicator, "description": f"It is {indicator}"},
            "components": [{"id": name, "name": name, "status": status} for name, status in COMPONENTS.items()],
            "incidents": [{"name": name, "status": "investigating"} for name in incidents],
            "scheduled_maintenances": [],
            **changes,
        }
    ).encode()


def asked(body, status="200 OK", **options):
    with Target(by_path(api=answer(body, status), own=answer(body, status))) as target:
        return probe_once(kind="statuspage", url=target.url(), **options)


@pytest.mark.parametrize(
    ("indicator", "outcome"),
    [
        ("none", Outcome.UP),
        ("maintenance", Outcome.DEGRADED),
        ("minor", Outcome.DEGRADED),
        ("major", Outcome.DOWN),
        ("critical", Outcome.DOWN),
        ("other", Outcome.DOWN),
    ],
)
def test_what_the_page_says_of_itself_is_up_degraded_or_down(indicator, outcome):
    result = asked(page(indicator))
    assert result.outcome is outcome
    assert result.latency_ns == result.phases.total()


@pytest.mark.parametrize(
    ("components", "outcome"),
    [
        (["API"], Outcome.UP),
        (["git operations"], Outcome.DEGRADED),
        (["Mail"], Outcome.DEGRADED),
        (["Billing"], Outcome.DEGRADED),
        (["Pages"], Outcome.DOWN),
        (["API", "Search", "Mail"], Outcome.DOWN),
    ],
)
def test_the_worst_of_the_chosen_components_decides_and_the_page_does_not(components, outcome):
    assert asked(page("critical"), components=components).outcome is outcome


def test_all_that_it_says_can_be_expected():
    lines = [
        'impact == "critical"',
        'indicator == "minor"',
        'component == "major_outage"',
        'description contains "It is"',
        "incidents == 2",
        'json $.page.name == "Vendor"',
        "latency < 5s",
    ]
    result = asked(page("minor", ["a", "b"]), components=["Search", "API"], expect=lines)
    assert (result.outcome, result.failure) == (Outcome.UP, None)


def test_evidence_says_what_is_wrong_there():
    result = asked(page("major", ["Errors of the API"]))
    assert result.failure.message == 'expected impact in "none", "maintenance", "minor", got "major"'
    assert result.evidence["page"]["says"] == "It is major"
    assert result.evidence["page"]["incidents"] == ["Errors of the API"]
    assert "Search: major_outage" in result.evidence["page"]["components"]
    assert "API: operational" not in result.evidence["page"]["components"]


def test_without_a_chosen_component_there_is_none_to_speak_of():
    assert asked(page(), expect=["component exists"]).failure.found == "nothing"


def test_a_component_that_is_not_there_is_named_with_its_nearest():
    result = asked(page(), components=["Git operation"])
    assert result.failure.message == "the page has no component 'Git operation'; did you mean Git operations?"


@pytest.mark.parametrize(
    ("body", "status", "message"),
    [
        (b"no", "404 Not Found", "the page answered with status 404"),
        (b"no", "503 Busy", "the page answered with status 503"),
        (b"<html>", "200 OK", "the page's summary is not JSON"),
        (b"[1]", "200 OK", "has no status.indicator"),
        (b'{"status": {"indicator": 7}}', "200 OK", "has no status.indicator"),
        (b"[" * 20_000, "200 OK", "nested too deep"),
    ],
)
def test_what_is_no_such_page_is_named(body, status, message):
    result = asked(body, status)
    assert (result.outcome, result.failure.reason) == (Outcome.DOWN, Reason.PROTOCOL)
    assert message in result.failure.message


def test_half_a_character_is_shown_as_none():
    result = asked(b'{"status": {"indicator": "none", "description": "\\ud83d fine \\ud83d\\ude00"}}', explain=True)
    assert (result.outcome, result.failure) == (Outcome.UP, None)
    assert result.evidence["page"]["says"] == "? fine \N{GRINNING FACE}"


def test_lists_that_are_none_are_nothing():
    odd = json.loads(page()) | {"incidents": "none", "components": {"a": 1}}
    odd |= {"status": {"indicator": "none", "description": 3}}
    lines = ["incidents not exists", "description not exists", 'impact == "none"']
    assert asked(json.dumps(odd).encode(), expect=lines).outcome is Outcome.UP
    odd = json.loads(page()) | {"components": [7, {"name": 1}, {"name": "x"}], "incidents": [7]}
    assert asked(json.dumps(odd).encode()).outcome is Outcome.UP


@pytest.mark.parametrize(
    ("url", "asked"),
    [
        ("https://a.example", "https://a.example/api/v2/summary.json"),
        ("https://a.example/", "https://a.example/api/v2/summary.json"),
        ("https://a.example/status/shop/#x", "https://a.example/status/shop/api/v2/summary.json"),
        ("https://a.example/own.json?key=1", "https://a.example/own.json?key=1"),
    ],
)
def test_the_address_of_the_summary_is_made_from_that_of_the_page(url, asked):
    spec = make_spec(kind="statuspage", url=url)
    assert isinstance(spec, StatuspageSpec)
    assert spec.summary.text == asked
