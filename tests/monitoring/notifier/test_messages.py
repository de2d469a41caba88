from __future__ import annotations

from datetime import timedelta
from typing import Any
from uuid import UUID

import pytest

from monitoring.models import Incident, Notification
from monitoring.notifier import messages
from monitoring.notifier.messages import facts_of, harmless, one_line, render, summary_of
from tests.factories import NOON, at

FAILURE = {"reason": "expectation", "message": "expected json $.queue < 100, got 143"}


def make_incident(**fields: Any) -> Incident:
    defaults = {
        "uuid": UUID(int=7),
        "monitor_name": "Shop",
        "cause": "down",
        "summary": summary_of({"failure": FAILURE}),
        "opened_at": NOON,
        "detected_at": at(30),
        "evidence": {
            "failure": FAILURE,
            "phases": {"dns": 1_200_000, "first_byte": 80_000_000},
            "location": "eu-west",
        },
    }
    return Incident(**{**defaults, **fields})


SAID = {
    "slug": "shop",
    "kind": "http",
    "description": "Sells things.\nAsk Ann.",
    "runbook": "https://wiki.example.org/shop",
}


def test_a_down_message_says_all_that_whoever_is_woken_needs():
    message = render("down", facts_of(make_incident(), SAID), at(125))
    assert message.type == "failure"
    assert message.title == "Shop is down"
    assert message.text == (
        "Expected json $.queue < 100, got 143.\n"
        "Down since 2026-03-10 12:20:00 UTC (2 min 5 s ago).\n"
        "\n"
        "Phases: dns 1.2 ms, first byte 80 ms\n"
        "Seen from: eu-west\n"
        "\n"
        "Sells things.\n"
        "Ask Ann.\n"
        "\n"
        "What to do: https://wiki.example.org/shop\n"
        "Incident: http://127.0.0.1:8000/dashboard/incidents/00000000-0000-0000-0000-000000000007/\n"
    )


def test_the_html_says_the_same():
    html = render("down", facts_of(make_incident(), SAID), at(125)).html
    for said in (
        "Shop is down",
        "json $.queue &lt; 100",
        "2 min 5 s ago",
        "first byte 80 ms",
        "Sells things.<br>Ask Ann.",
    ):
        assert said in html
    assert 'href="https://wiki.example.org/shop"' in html
    assert 'href="http://127.0.0.1:8000/dashboard/incidents/' in html


def test_a_message_says_what_changed_since_the_target_was_well():
    evidence = {"failure": FAILURE, "difference": "was 200, 14.2 kB; now 502, 1.1 kB, served by <b>nginx"}
    facts = facts_of(make_incident(evidence=evidence), SAID)
    message = render("down", facts, at(125))
    assert "Difference: was 200, 14.2 kB; now 502, 1.1 kB, served by <b>nginx\n" in message.text
    assert "served by &lt;b&gt;nginx" in message.html
    assert facts["difference"] == evidence["difference"]


def test_a_message_of_the_end_says_how_long_it_lasted():
    over = make_incident(resolved_at=at(430), resolution="recovered")
    message = render("resolved", facts_of(over, SAID), at(440))
    assert message.type == "success"
    assert message.title == "Shop is up again after 7 min 10 s"
    assert "It was down from 2026-03-10 12:20:00 UTC to 2026-03-10 12:27:10 UTC, for 7 min 10 s." in message.text
    assert "Phases:" not in message.text


@pytest.mark.parametrize("resolution", ["paused", "retired", "deleted"])
def test_an_end_that_is_no_recovery_says_so(resolution):
    over = make_incident(resolved_at=at(430), resolution=resolution)
    message = render("resolved", facts_of(over, SAID), at(440))
    assert message.title == f"Shop was {resolution} while down"
    assert "That is no recovery" in message.text
    assert "That is no recovery" in message.html


def test_a_reminder_says_for_how_long():
    assert render("reminder", facts_of(make_incident(), SAID), at(3600)).title == "Shop is still down, for 1 h"


def test_a_system_message_says_that_it_is_about_us():
    incident = make_incident(monitor_name="", cause="system:disk", summary="The disk is full", evidence={})
    message = render("system", facts_of(incident, {}), at(5))
    assert message.title == "Stillup needs you: The disk is full"
    assert "about Stillup itself" in message.text
    over = make_incident(
        monitor_name="",
        cause="system:disk",
        summary="The disk is full",
        evidence={},
        resolved_at=at(60),
        resolution="system",
    )
    assert render("resolved", facts_of(over, {}), at(60)).title == "Over after 1 min: The disk is full"


def test_a_heartbeats_message_says_when_it_was_last_heard_from():
    incident = make_incident(
        evidence={"failure": {"message": "no ping came"}, "evidence": {"last_ping_at": at(-600).isoformat()}}
    )
    text = render("down", facts_of(incident, SAID), at(0)).text
    assert "Last heard from: 2026-03-10 12:10:00 UTC (10 min ago)" in text


def test_a_repeat_says_that_it_may_be_one():
    facts = facts_of(make_incident(), SAID)
    repeat = render("down", facts, at(0), repeat=True)
    assert "This may be a repeat" in repeat.text
    assert "This may be a repeat" in repeat.html
    assert "repeat" not in render("down", facts, at(0)).text


@pytest.mark.parametrize("event", Notification.Event.values)
def test_no_text_of_a_user_or_a_target_is_code(event):
    nasty = "{{ 7|add:7 }}{% include 'x' %}<script>alert(1)</script>\x1b[31m\u202e@everyone <!channel> <@U123>"
    incident = make_incident(
        monitor_name=nasty,
        summary=nasty,
        evidence={"failure": {**FAILURE, "message": nasty}, "location": nasty},
        **({"resolved_at": at(9), "resolution": "recovered"} if event == "resolved" else {}),
    )
    facts = {**facts_of(incident, {**SAID, "description": nasty}), "channel": nasty}
    message = render(event, facts, at(60))
    assert "{{ 7|add:7 }}" in message.text
    assert "{{ 7|add:7 }}" in message.html
    for part in (message.title, message.text, message.html):
        assert "@everyone" not in part
        assert "<!channel>" not in part
        assert "<@U123>" not in part
        assert "\x1b" not in part
        assert "\u202e" not in part
    assert "<script>" not in message.html
    assert "\n" not in message.title


def test_a_title_is_one_line_of_two_hundred_characters_at_most():
    incident = make_incident(monitor_name="very " * 100 + "long\r\nBcc: all@example.org")
    title = render("down", facts_of(incident, SAID), at(0)).title
    assert len(title) <= 200
    assert "\n" not in title
    assert "\r" not in title


def test_templates_that_raise_cost_the_layout_and_never_the_message(monkeypatch, caplog):
    def broken(*_: object) -> str:
        raise ValueError("no template today")

    monkeypatch.setattr(messages, "render_to_string", broken)
    message = render("down", facts_of(make_incident(), SAID), at(0))
    assert (message.title, message.text) == ("Shop: down", "Expected json $.queue < 100, got 143\n")
    assert "The templates of down messages raise" in caplog.text


@pytest.mark.parametrize("facts", [{"name": "Shop", "summary": "It is down"}, {"name": "Shop", "incident": 1}])
def test_a_message_of_a_newer_version_is_told_in_plain_words_and_holds_up_no_other(facts):
    """Claiming renders: what raised there would be the first of every claim."""
    message = render("escalated", facts, at(0))
    assert (message.type, message.title) == ("info", "Shop: escalated")


@pytest.mark.parametrize("facts", [{}, {"name": None, "phases": None, "opened_at": "yesterday", "last_ping_at": 7}])
@pytest.mark.parametrize("event", Notification.Event.values)
def test_facts_that_lack_or_spoil_something_still_make_a_message(event, facts):
    message = render(event, facts, NOON)
    assert message.title
    assert message.text


def test_a_summary_is_the_expectation_that_was_not_met_or_the_failure_in_words():
    assert summary_of({"failure": FAILURE}) == "Expected json $.queue < 100, got 143"
    assert summary_of({"failure": {"message": "the connection was refused"}}) == "The connection was refused"
    assert summary_of({}) == "It does not answer as it should"
    assert summary_of({"failure": None}) == "It does not answer as it should"


def test_helpers_cut_and_clean():
    assert one_line("a\nb   c", 10) == "a b c"
    assert one_line("abcdef", 4) == "abc…"
    assert harmless("mail ann@example.org, see <b>") == "mail ann@example.org, see <b>"


def test_durations_ago_are_never_negative():
    facts = facts_of(make_incident(), SAID)
    assert "(just now)" in render("down", facts, NOON - timedelta(seconds=5)).text


def test_where_several_locations_ask_it_says_what_the_others_see() -> None:
    several = {
        "failure": FAILURE,
        "location": "local",
        "locations": {"eu-west": "up", "local": "down", "us": "unknown"},
    }
    incident = make_incident(evidence=several)
    message = render("down", facts_of(incident, SAID), at(60))
    assert "Seen from: local" in message.text
    assert "Elsewhere: eu-west up, us unknown" in message.text
