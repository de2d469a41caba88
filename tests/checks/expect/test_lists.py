"""Expectations about lists of texts and about flags."""

from __future__ import annotations

import pytest

from checks.expect import ExpectationError, Subject, first_unmet, parse

SUBJECTS = {
    "answers": Subject("answers", "list", "What was answered."),
    "ad": Subject("ad", "flag", "Whether it was validated."),
}
FACTS = {"answers": ["10.0.0.1", "10.0.0.2"], "ad": True}


@pytest.mark.parametrize(
    ("line", "met"),
    [
        ('answers contains "10.0.0.1"', True),
        ('answers contains "10.0.0"', False),
        ('answers not contains "10.0.0.3"', True),
        ('answers not contains "10.0.0.2"', False),
        ('answers == "10.0.0.1"', False),
        ('answers in "10.0.0.1", "10.0.0.2", "10.0.0.3"', True),
        ('answers in "10.0.0.1"', False),
        ('answers not in "10.0.0.3", "10.0.0.4"', True),
        ('answers not in "10.0.0.2", "10.0.0.4"', False),
        (r'answers matches "\.2$"', True),
        (r'answers matches "^11"', False),
        (r'answers not matches "\.3$"', True),
        (r'answers not matches "\.2$"', False),
        ("answers exists", True),
        ("answers not exists", False),
        ("ad == true", True),
        ("ad != true", False),
        ("ad == false", False),
    ],
)
def test_a_list_and_a_flag_mean_what_they_say(line, met):
    assert (first_unmet((line,), SUBJECTS, FACTS) is None) is met


def test_the_only_value_of_a_list_is_equal():
    assert first_unmet(('answers == "10.0.0.1"',), SUBJECTS, {"answers": ["10.0.0.1"]}) is None


def test_what_was_found_is_quoted():
    failure = first_unmet(('answers == "10.0.0.3"', "ad == false"), SUBJECTS, FACTS)
    assert failure.found == '"10.0.0.1", "10.0.0.2"'
    assert first_unmet(("ad == false",), SUBJECTS, FACTS).found == "true"


def test_what_is_missing_meets_nothing():
    for line in ('answers not contains "x"', 'answers not in "x"', "ad != true"):
        assert first_unmet((line,), SUBJECTS, {}).found == "nothing"


@pytest.mark.parametrize(
    ("line", "message"),
    [
        ('answers != "x"', "!= does not apply to answers; allowed: ==, in, not in"),
        ("answers contains 1", "expected a string in double quotes"),
        ("ad == null", "expected true or false, found 'null'"),
        ("ad < true", "< does not apply to ad"),
    ],
)
def test_what_can_not_be_said_is_refused(line, message):
    with pytest.raises(ExpectationError) as caught:
        parse(line, SUBJECTS)
    assert message in str(caught.value)


@pytest.mark.parametrize(
    "line",
    [
        'answers == "x"',
        'answers in "x", "y"',
        'answers not in "x"',
        "answers exists",
        'answers not contains "x"',
        'answers not matches "x"',
    ],
)
def test_a_list_without_entries_is_not_there(line):
    assert first_unmet((line,), SUBJECTS, {"answers": []}).found == "nothing"
    assert first_unmet(("answers not exists",), SUBJECTS, {"answers": []}) is None
