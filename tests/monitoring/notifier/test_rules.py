from __future__ import annotations

import pytest

from monitoring.notifier.rules import Matched, RuleProblem, matches, matches_all

SHOP = Matched(slug="shop", kind="http", tags=("prod", "web"))


@pytest.mark.parametrize(
    ("match", "expected"),
    [
        ({}, True),
        ({"tags": []}, True),
        ({"tags": ["prod"]}, True),
        ({"tags": ["staging", "web"]}, True),
        ({"tags": ["staging"]}, False),
        ({"monitors": ["shop"]}, True),
        ({"monitors": ["mail"]}, False),
        ({"kinds": ["http", "tcp"]}, True),
        ({"kinds": ["tcp"]}, False),
        ({"tags": ["prod"], "monitors": ["mail"]}, False),
        ({"tags": ["prod"], "monitors": ["shop"], "kinds": ["http"]}, True),
    ],
)
def test_a_rule_matches_when_every_list_that_is_given_holds_the_monitor(match, expected):
    assert matches(match, SHOP) is expected


@pytest.mark.parametrize("match", [None, "prod", ["prod"], {"tag": ["prod"]}, {"tags": "prod"}, {"tags": [["prod"]]}])
def test_a_match_of_another_form_is_named_as_a_problem(match):
    with pytest.raises(RuleProblem, match="allowed: lists of tags, monitors, kinds"):
        matches(match, SHOP)


def test_only_a_rule_without_lists_matches_everything():
    assert matches_all({})
    assert matches_all({"tags": [], "kinds": []})
    assert not matches_all({"tags": ["prod"]})
