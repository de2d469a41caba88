"""What changed since an answer was good, in one sentence."""

from __future__ import annotations

import json
from dataclasses import replace
from datetime import timedelta

import pytest
from hypothesis import given
from hypothesis import strategies as st

from checks.difference import REFRESH, difference, facts_of, is_worth_keeping
from checks.expect import Subject
from checks.probes.http import HttpSpec
from checks.result import Outcome
from checks.status import Status, TargetState
from tests.factories import NOON

GOOD = {"status": 200, "size": 14_200, "issuer": "Let's Encrypt R11", "server": "gunicorn", "address": "10.0.0.1:443"}


def changed(**fields):
    return {**GOOD, **fields}


@pytest.mark.parametrize(
    ("good", "bad", "sentence"),
    [
        (
            {"status": 200, "size": 14_200, "issuer": "Let's Encrypt R11"},
            {"status": 502, "size": 1_100, "server": "nginx"},
            "was 200, 14.2 kB, Let's Encrypt R11; now 502, 1.1 kB, served by nginx",
        ),
        (GOOD, changed(status=500), "was 200, 14.2 kB; now 500, 14.2 kB"),
        (GOOD, changed(server="nginx"), "was 200, 14.2 kB, served by gunicorn; now 200, 14.2 kB, served by nginx"),
        (
            GOOD,
            changed(address="10.0.0.2:443"),
            "was 200, 14.2 kB, at 10.0.0.1:443; now 200, 14.2 kB, at 10.0.0.2:443",
        ),
        (GOOD, {}, "was 200, 14.2 kB, Let's Encrypt R11, served by gunicorn, at 10.0.0.1:443; now no answer"),
        (
            {"banner": "220 mail ESMTP"},
            {"address": "10.0.0.1:25"},
            "was 220 mail ESMTP; now no answer",
        ),
        (
            {"rcode": "NOERROR", "answers": 2},
            {"rcode": "NXDOMAIN", "answers": 0},
            "was rcode NOERROR, answers 2; now rcode NXDOMAIN, answers 0",
        ),
    ],
)
def test_the_sentence_says_what_is_another(good, bad, sentence):
    assert difference(good, bad) == sentence


@pytest.mark.parametrize(("good", "bad"), [(GOOD, GOOD), (None, GOOD), ({}, GOOD), (GOOD, changed(size=14_201))])
def test_where_nothing_is_to_be_told_there_is_no_sentence(good, bad):
    assert difference(good, bad) == ""


def test_the_facts_of_an_answer_are_few_and_small():
    facts = {
        "status": 200,
        "body": b"x" * 10_000,
        "size": 10_000,
        "redirects": 0,
        "certificate": 86_400.0,
        "issuer": "CN=R11,O=Let's Encrypt,C=US",
        "headers": [(b"Server", b"nginx/1.27 " + b"y" * 500), (b"X-Other", b"z")],
    }
    kept = facts_of(HttpSpec.subjects, facts, "10.0.0.1:443")
    assert {**kept, "server": ""} == {
        "status": 200,
        "size": 10_000,
        "issuer": "Let's Encrypt R11",
        "server": "",
        "address": "10.0.0.1:443",
    }
    assert len(json.dumps(kept)) < 300


@pytest.mark.parametrize(
    ("issuer", "said"),
    [
        ("CN=R11,O=Let's Encrypt,C=US", "Let's Encrypt R11"),
        ("CN=Example Root,O=Example", "Example Root"),
        ("OU=only", "OU=only"),
        (r"CN=Smith\, Jones", "Smith, Jones"),
    ],
)
def test_an_authority_is_called_as_people_call_it(issuer, said):
    assert facts_of({}, {"issuer": issuer})["issuer"] == said


@given(
    st.dictionaries(
        st.sampled_from(["status", "banner", "size", "rows"]),
        st.one_of(st.integers(), st.text(), st.binary(), st.floats(), st.booleans()),
    )
)
def test_whatever_a_target_says_the_sentence_is_one_printable_line(facts):
    subjects = {name: Subject(name, "text", "Any.") for name in ("status", "banner", "size", "rows")}
    kept = facts_of(subjects, facts)
    sentence = difference(GOOD, kept)
    assert sentence.isprintable()
    assert len(sentence) < 600


UP = TargetState(vote=Status.UP, last_outcome=Outcome.UP)


def test_a_good_answer_is_kept_when_it_is_news():
    assert is_worth_keeping(TargetState(), 1, NOON, 10.0)
    assert is_worth_keeping(replace(UP, vote=Status.DOWN), 1, NOON, 10.0)
    assert is_worth_keeping(replace(UP, last_outcome=None), 1, NOON, 10.0)


@pytest.mark.parametrize("target_id", [1, 2, 77])
def test_one_that_stays_up_is_kept_once_in_a_while(target_id):
    times = [NOON + timedelta(seconds=10 * number) for number in range(int(3 * REFRESH / 10))]
    kept = [at for at in times if is_worth_keeping(UP, target_id, at, 10.0)]
    assert len(kept) == 3
    assert is_worth_keeping(UP, target_id, NOON, 2 * REFRESH)


def test_targets_of_one_due_time_are_not_all_looked_at_at_once():
    kept = sum(is_worth_keeping(UP, target_id, NOON, 10.0) for target_id in range(9_000))
    assert 50 <= kept <= 150
