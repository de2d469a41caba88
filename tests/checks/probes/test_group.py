"""What several monitors are together."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from checks.probes.group import derive
from checks.result import Reason
from checks.status import Member, Status
from tests.factories import make_spec

LETTERS = {"u": "up", "g": "degraded", "d": "down", "?": "unknown", "p": "pending", "-": "paused"}


def group(rule, **options):
    if rule in ("worst", "best"):
        return make_spec(kind="group", members=[f"m-{n}" for n in range(8)], rule=rule, **options)
    return make_spec(kind="group", members=[f"m-{n}" for n in range(8)], rule="at_least", at_least=int(rule), **options)


def members(letters):
    return [
        Member(slug=f"m-{n}", name=f"Monitor {n}", status=Status(LETTERS[letter])) for n, letter in enumerate(letters)
    ]


@pytest.mark.parametrize(
    ("rule", "letters", "status"),
    [
        ("worst", "uuu", "up"),
        ("worst", "uug", "degraded"),
        ("worst", "ugd", "down"),
        ("best", "ugd", "up"),
        ("best", "gdd", "degraded"),
        ("best", "ddd", "down"),
        ("2", "uud", "up"),
        ("2", "ugd", "degraded"),
        ("2", "udd", "down"),
        # What is paused, gone or new is left out, and lowers the number that is needed.
        ("worst", "u-p", "up"),
        ("worst", "d-p", "down"),
        ("2", "u--", "up"),
        ("2", "d--", "down"),
        ("worst", "---", "paused"),
        ("worst", "--p", "pending"),
        ("worst", "ppp", "pending"),
        ("worst", "", "pending"),
        # One of which we know nothing makes it unknown, where it makes a difference between down and not down.
        ("worst", "uu?", "unknown"),
        ("worst", "ud?", "down"),
        ("best", "ud?", "up"),
        ("best", "gd?", "degraded"),
        ("best", "dd?", "unknown"),
        ("2", "uu?", "up"),
        ("2", "ud?", "unknown"),
        ("2", "dd?", "down"),
        ("worst", "??", "unknown"),
    ],
)
def test_the_members_make_the_status(rule, letters, status):
    assert derive(group(rule), members(letters))[0] == status


def test_the_failure_names_the_members():
    status, failure = derive(group("2"), members("uddg?"))
    assert status is Status.DEGRADED
    assert failure.reason is Reason.MEMBERS
    assert failure.message == (
        "2 of 5 members are down: Monitor 1, Monitor 2; 1 of 5 members is degraded: Monitor 3; "
        "1 of 5 members is unknown: Monitor 4"
    )
    assert derive(group("2"), members("uuu"))[1] is None


def test_a_failure_names_ten_at_most():
    assert derive(group("worst"), members("d" * 12))[1].message.endswith("Monitor 9 and 2 more")


@given(letters=st.text("ugd?p-", max_size=8), rule=st.sampled_from(["worst", "best", "1", "3"]))
def test_down_is_said_only_where_it_is_so_whatever_an_unknown_member_is(letters, rule):
    status = derive(group(rule), members(letters))[0]
    possible = {derive(group(rule), members(letters.replace("?", each)))[0] for each in "ugd"}
    if status is Status.DOWN:
        assert possible == {Status.DOWN}
    if status is not Status.UNKNOWN:
        assert (Status.DOWN in possible) == (status is Status.DOWN)


@pytest.mark.parametrize(
    ("options", "problem"),
    [
        ({"members": []}, "at least 1 item"),
        ({"members": ["a", "a"]}, "a stands twice"),
        ({"members": ["a"], "rule": "at_least"}, "needs a number"),
        ({"members": ["a"], "at_least": 1}, "needs rule: at_least"),
        ({"members": ["a"], "rule": "at_least", "at_least": 2}, "2 of 1 members can never serve"),
        ({"members": ["Not a slug"]}, "should match pattern"),
    ],
)
def test_a_group_that_makes_no_sense_is_refused(options, problem):
    with pytest.raises(ValueError, match=problem):
        make_spec(kind="group", **options)
