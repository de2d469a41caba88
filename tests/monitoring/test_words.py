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
    ("ratio", "text"),
    [(1.0, "100 %"), (0.99, "99 %"), (0.994, "99 %"), (0.006, "1 %"), (0.004, "under 1 %"), (0.0, "0 %")],
)
def test_a_share_is_whole_and_honest_at_both_ends(ratio: float, text: str):
    assert words.share(ratio) == text


def test_how_long_ago_is_in_whole_seconds_and_at_least_one():
    assert words.since(NOON - timedelta(seconds=3.4), NOON) == "3 s"
    assert words.since(NOON, NOON) == "1 s"
    assert words.since(NOON + timedelta(seconds=5), NOON) == "1 s"  # the clock of another machine
    assert words.since(None, NOON) == words.NONE


@pytest.mark.parametrize(
    "message",
    [
        "expected status in 200-299, got 503",
        'step "Sign in": expected status in 200-299, got 503',
        "blocked by Cloudflare (challenge page): expected status in 200-299, got 503",
        "expected at 03:00 Europe/Riga, last heard from 2026-03-09 01:04 UTC",
    ],
)
def test_a_failure_is_told_by_its_own_sentence(message: str):
    found = {"reason": "expectation", "expected": "status in 200-299", "found": "503", "message": message}
    assert words.failure(found) == message


def test_a_failure_without_a_sentence_is_told_by_its_reason():
    assert words.failure({"reason": "refused"}) == "refused"
    assert words.failure(None) == ""


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
