from __future__ import annotations

from datetime import timedelta

import pytest

from monitoring import words
from tests.factories import NOON


@pytest.mark.parametrize(
    ("ratio", "text"),
    [
        (1.0, "100 %"),
        (0.999999, "99.99 %"),
        (0.9995, "99.95 %"),
        (0.29, "29.00 %"),
        (0.0, "0.00 %"),
        (None, "\N{EN DASH}"),
    ],
)
def test_an_outage_is_never_rounded_away(ratio: float | None, text: str):
    assert words.percent(ratio) == text


@pytest.mark.parametrize(
    ("ratio", "text"), [(1.0, "100 %"), (0.99, "99 %"), (0.994, "99 %"), (0.0001, "1 %"), (0.0, "0 %")]
)
def test_a_share_is_whole_and_honest_at_both_ends(ratio: float, text: str):
    assert words.share(ratio) == text


def test_how_long_ago_is_in_whole_seconds_and_at_least_one():
    assert words.since(NOON - timedelta(seconds=3.4), NOON) == "3 s"
    assert words.since(NOON, NOON) == "1 s"
    assert words.since(NOON + timedelta(seconds=5), NOON) == "1 s"  # the clock of another machine
    assert words.since(None, NOON) == words.NONE


def test_a_failure_says_what_was_expected_and_what_was_found():
    assert words.failure({"expected": "status in 200-299", "found": "503"}) == "expected status in 200-299, got 503"
    assert words.failure({"expected": "header X exists"}) == "expected header X exists, got nothing"
    assert words.failure({"reason": "refused", "message": "the connection was refused"}) == "the connection was refused"
    assert words.failure(None) == ""


def test_of_a_silent_job_the_failure_says_when_it_was_heard_last():
    message = "expected at 03:00 Europe/Riga, last heard from 2026-03-09 01:04 UTC"
    found = {
        "reason": "late",
        "message": message,
        "expected": "a ping at 03:00 Europe/Riga",
        "found": "last heard from",
    }
    assert words.failure(found) == message


@pytest.mark.parametrize(
    ("value", "text"),
    [
        (1423.0, "1,423"),
        (-3.0, "-3"),
        (9e9, "9,000,000,000"),
        (1e300, "1e+300"),
        (0.125, "0.125"),
        (1234.5678, "1,234.57"),
        (1234567.25, "1.23457e+06"),
        (0.0, "0"),
    ],
)
def test_a_number_of_a_job_is_short(value: float, text: str):
    assert words.number(value) == text
