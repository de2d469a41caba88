from __future__ import annotations

import pytest

from monitoring.notifier.mutes import Hold, Waiting, must_wait, reason_to_hold

DOWN = Waiting(event="down", status="pending")
REMINDER = Waiting(event="reminder", status="pending")
RESOLVED = Waiting(event="resolved", status="pending")


def test_a_message_that_nothing_follows_is_sent():
    assert reason_to_hold(DOWN, [], recipients=1) is None
    assert reason_to_hold(DOWN, [REMINDER], recipients=1) is None


@pytest.mark.parametrize("begun", [DOWN, REMINDER, Waiting(event="system", status="pending")])
def test_what_began_is_folded_into_the_message_of_the_end(begun):
    assert reason_to_hold(begun, [REMINDER, RESOLVED], recipients=1) is Hold.FOLDED


def test_a_resolved_is_never_folded():
    assert reason_to_hold(RESOLVED, [], recipients=1) is None


def test_a_message_to_a_channel_or_a_recipient_that_is_no_more_is_withdrawn():
    assert reason_to_hold(DOWN, [], recipients=None) is Hold.CHANNEL_DELETED
    third = Waiting(event="down", status="pending", recipient=2)
    assert reason_to_hold(third, [], recipients=2) is Hold.RECIPIENT_GONE
    assert reason_to_hold(third, [], recipients=3) is None


@pytest.mark.parametrize(
    ("status", "waits"), [("pending", True), ("sending", True), ("sent", False), ("held", False), ("dead", False)]
)
def test_a_message_waits_for_an_earlier_one_that_is_not_over(status, waits):
    assert must_wait([Waiting(event="down", status=status)]) is waits
    assert not must_wait([])
