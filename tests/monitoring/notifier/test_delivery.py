from __future__ import annotations

from collections.abc import Callable
from datetime import timedelta

import pytest

from checks import clock
from checks.status import Cause, Status
from monitoring import channels
from monitoring.models import Channel, Incident, Notification
from monitoring.notifier import delivery, system
from monitoring.notifier.delivery import Claimed, claim, queue_test, settle
from monitoring.notifier.sender import Answer
from tests.monitoring.notifier.conftest import LEASE, Story, make_channel, make_rule, statuses

pytestmark = pytest.mark.django_db

HOOK = "json://127.0.0.1:9/hook"
NO = Answer(error="the destination answered 404 Not Found", status=404, permanent=True)
LATER = Answer(error="the destination refused the connection")
DOUBTFUL = Answer(error="the destination did not answer in time", in_doubt=True)
YES = Answer(sent=True, status=200)


@pytest.fixture
def down(tell) -> Story:
    """A monitor that is down, with one message waiting."""
    make_rule(make_channel(HOOK, name="chat"))
    story: Story = tell(name="Shop")
    story.goes(Status.DOWN)
    return story


@pytest.fixture
def attempt() -> Callable[..., Claimed | None]:
    """Claims the message that is due at an instant and lets its attempt end as given."""

    def one(answer: Answer, at=None, name: str = "notifier@here") -> Claimed | None:
        now = at or clock.utcnow()
        claimed = claim(name, now, LEASE)
        if claimed is not None:
            settle(claimed, name, answer, now)
        return claimed

    return one


def only(**filters: object) -> Notification:
    return Notification.objects.get(**filters)


def test_an_attempt_is_counted_and_in_doubt_before_anything_is_sent(down):
    now = clock.utcnow()
    claimed = claim("notifier@here", now, LEASE)

    row = only()
    assert (row.status, row.attempts, row.in_doubt, row.leased_by) == ("sending", 1, True, "notifier@here")
    assert row.leased_until == now + LEASE
    assert claimed.message.title == "Shop is down"
    assert claim("notifier@there", now, LEASE) is None


def test_a_message_that_was_taken_is_sent(down, attempt):
    attempt(YES)
    row = only()
    assert (row.status, row.attempts, row.in_doubt, row.note, row.leased_by) == ("sent", 1, False, "", "")
    assert row.sent_at is not None
    assert attempt(YES) is None


def test_a_message_is_tried_again_at_growing_intervals_and_given_up_after_a_day(down, attempt):
    begun = only().created_at
    pauses, now = [], begun
    while (row := only()).status == "pending":
        attempt(LATER, now)
        before, now = now, only().next_attempt_at
        if only().status == "pending":
            pauses.append((now - before).total_seconds())
    wanted = [10, 30, 60, 120, 300, 600, 1200, *[1800] * (len(pauses) - 7)]
    assert all(abs(pause - want) <= 0.2 * want for pause, want in zip(pauses, wanted, strict=True))
    assert 50 <= only().attempts <= 65
    assert row.status == "dead"
    assert row.note.endswith("the destination refused the connection")
    assert row.note.startswith(f"given up after {row.attempts} attempts")


def test_tries_in_the_first_ten_minutes_are_at_most_twelve(down, attempt):
    begun = now = only().created_at
    count = 0
    while (now - begun).total_seconds() < 600:
        attempt(LATER, now)
        now = only().next_attempt_at
        count += 1
    assert 5 <= count <= 12  # five pauses last 520 s, give or take a fifth


def test_no_attempt_is_made_before_its_time(down, attempt):
    now = clock.utcnow()
    attempt(LATER, now)
    assert attempt(YES, now + timedelta(seconds=7)) is None
    assert attempt(YES, now + timedelta(seconds=13)) is not None


@pytest.mark.parametrize(("asked", "least"), [(120.0, 120.0), (7.0, 8.0), (86_400.0, 3600.0)])
def test_the_time_that_a_destination_asks_for_is_kept_up_to_an_hour(down, attempt, asked, least):
    now = clock.utcnow()
    attempt(Answer(error="the destination answered 429", status=429, retry_after=asked), now)
    pause = (only().next_attempt_at - now).total_seconds()
    assert least <= pause <= max(12.0, least)


@pytest.mark.parametrize(("answer", "repeat"), [(LATER, False), (NO, False), (DOUBTFUL, True)])
def test_a_copy_says_that_it_may_be_a_repeat_when_the_end_of_an_earlier_attempt_is_not_known(
    down, attempt, answer, repeat
):
    now = clock.utcnow()
    first = attempt(answer, now)
    second = attempt(YES, now + timedelta(minutes=1))
    assert "may be a repeat" not in first.message.text
    assert ("may be a repeat" in second.message.text) is repeat
    assert ("may be a repeat" in second.message.html) is repeat
    assert first.key == second.key


def test_what_a_killed_notifier_was_sending_is_taken_over_after_the_lease_and_marked(down):
    now = clock.utcnow()
    claim("killed", now, LEASE)

    assert claim("successor", now + LEASE / 2, LEASE) is None
    second = claim("successor", now + LEASE, LEASE)

    assert second.attempt == 2
    assert "may be a repeat" in second.message.text


def test_a_renewed_lease_keeps_a_slow_message_with_its_notifier(down):
    now = clock.utcnow()
    claimed = claim("slow", now, LEASE)
    delivery.renew("slow", [claimed.uuid], now + LEASE / 2, LEASE)
    assert claim("other", now + LEASE, LEASE) is None


def test_the_end_of_an_attempt_that_another_notifier_took_over_changes_nothing(down):
    now = clock.utcnow()
    first = claim("stalled", now, LEASE)
    claim("successor", now + LEASE, LEASE)

    settle(first, "stalled", LATER, now + LEASE)

    row = only()
    assert (row.status, row.leased_by, row.attempts) == ("sending", "successor", 2)


def test_a_resolved_waits_while_its_down_is_being_sent(down):
    now = clock.utcnow()
    first = claim("a", now, LEASE)
    down.goes(Status.UP)

    assert claim("b", clock.utcnow(), LEASE * 10) is None
    settle(first, "a", YES, clock.utcnow())
    assert claim("b", clock.utcnow(), LEASE).key.startswith("resolved:")


def test_a_resolved_takes_along_a_down_that_was_never_sent(down, attempt):
    attempt(LATER)
    down.goes(Status.UP, ago=0)

    told = attempt(YES)

    assert told.key.startswith("resolved:")
    assert "It was down from" in told.message.text
    assert "this one stands for both" in told.message.text
    assert statuses() == {"down": "held", "resolved": "sent"}
    assert only(event="down").note.startswith("folded into the message")


def test_a_resolved_that_follows_a_delivered_down_says_nothing_of_folding(down, attempt):
    attempt(YES)
    down.goes(Status.UP)
    assert "stands for both" not in attempt(YES).message.text


def test_a_down_whose_sending_was_killed_is_folded_and_not_sent_late(down):
    claim("killed", clock.utcnow(), LEASE)
    down.goes(Status.UP)
    told = claim("successor", clock.utcnow() + LEASE, LEASE)
    assert told.key.startswith("resolved:")
    assert "stands for both" not in told.message.text, "it may have arrived"
    assert statuses() == {"down": "held", "resolved": "sending"}


def test_a_recovery_is_told_by_one_message_when_the_channel_was_away_for_all_of_it(tell, post, receiver):
    receiver.mode = 503
    make_rule(make_channel(receiver.url()))
    story = tell(name="Shop")
    story.goes(Status.DOWN)
    post.all()
    story.goes(Status.UP)
    post.all()
    receiver.mode = 200
    receiver.requests.clear()

    post.all(after=60)

    assert [request.body["title"].partition(" after ")[0] for request in receiver.requests] == ["Shop is up again"]


def test_channels_of_one_incident_do_not_wait_for_each_other(tell, attempt):
    make_rule(make_channel(HOOK, name="a"), make_channel(HOOK, name="b"))
    story = tell()
    story.goes(Status.DOWN)
    first = claim("x", clock.utcnow(), LEASE)
    second = claim("x", clock.utcnow(), LEASE)
    assert {first.channel.name, second.channel.name} == {"a", "b"}


def test_a_refused_channel_is_called_broken_after_three_tries_and_the_fallback_is_told(tell, attempt):
    make_channel(HOOK, name="fallback", fallback=True)
    make_rule(make_channel(HOOK, name="chat"))
    tell().goes(Status.DOWN)
    now = clock.utcnow()
    for _ in range(2):
        attempt(NO, now)
        now = only(event="down").next_attempt_at
    assert Channel.objects.get(name="chat").broken_since is None

    attempt(NO, now)

    chat = Channel.objects.get(name="chat")
    assert (chat.broken_since, chat.last_error) == (now, "the destination answered 404 Not Found")
    alarm = only(event="system")
    assert alarm.channel_name == "fallback"
    assert alarm.next_attempt_at == now
    told = attempt(YES, now)
    assert "The channel chat is broken" in told.message.text
    assert only(event="down").status == "pending", "it is never switched off"


def test_a_channel_that_works_again_is_called_whole_and_the_fallback_is_told(tell, attempt):
    make_channel(HOOK, name="fallback", fallback=True)
    make_rule(make_channel(HOOK, name="chat"))
    tell().goes(Status.DOWN)
    now = clock.utcnow()
    for _ in range(3):
        attempt(NO, now)
        now = only(event="down").next_attempt_at
    while attempt(YES, now) is not None:
        pass

    chat = Channel.objects.get(name="chat")
    assert (chat.broken_since, chat.last_error) == (None, "")
    assert Incident.objects.get(cause=f"system:channel:{chat.pk}").resolution == "system"
    assert only(event="resolved").channel_name == "fallback"


@pytest.mark.parametrize("mend", ["update", "delete"])
def test_a_channel_that_was_mended_by_hand_or_deleted_is_no_trouble_any_more(down, mend):
    now = clock.utcnow()
    chat = Channel.objects.get()
    Channel.objects.update(broken_since=now)
    system.open_incident(f"{system.CHANNEL}{chat.pk}", "the channel is broken", now)
    system.follow_channels(now)
    assert Incident.objects.get(cause__startswith="system:").resolved_at is None

    if mend == "update":
        Channel.objects.update(broken_since=None)
    else:
        chat.delete()
    system.follow_channels(now)

    assert Incident.objects.get(cause__startswith="system:").resolution == "system"


def test_a_silent_channel_is_called_broken_after_about_ten_minutes(down, attempt):
    now = begun = clock.utcnow()
    while Channel.objects.get().broken_since is None:
        attempt(LATER, now)
        now = only().next_attempt_at
    assert timedelta(minutes=6) < Channel.objects.get().broken_since - begun < timedelta(minutes=12)


def test_a_broken_fallback_is_not_told_of_itself(tell, attempt):
    make_rule(make_channel(HOOK, name="chat", fallback=True))
    tell().goes(Status.DOWN)
    now = clock.utcnow()
    for _ in range(3):
        attempt(NO, now)
        now = only().next_attempt_at
    assert Incident.objects.filter(cause__startswith="system:channel:").exists()
    assert statuses() == {"down": "pending"}


def test_a_message_to_a_channel_that_was_deleted_is_withdrawn(down):
    Channel.objects.all().delete()
    assert claim("x", clock.utcnow(), LEASE) is None
    assert (only().status, only().note) == ("held", "withdrawn: the channel was deleted")


def test_what_waits_for_a_deleted_channel_is_withdrawn_before_it_is_due(down, attempt):
    attempt(LATER)
    Channel.objects.all().delete()
    assert delivery.withdraw_orphans() == 1
    assert only().status == "held"


def test_a_message_that_waits_goes_to_the_channels_new_url(down, post, receiver):
    channel = Channel.objects.get()
    channels.set_url(channel, receiver.url("new"))
    channel.save()
    post.all()
    assert receiver.requests[0].path == "/new"


def test_a_message_to_a_recipient_that_the_new_url_does_not_name_is_withdrawn(tell, attempt):
    channel = make_channel("mailto://127.0.0.1:25/ann@example.org/bob@example.org?from=s@example.org")
    make_rule(channel)
    tell().goes(Status.DOWN)
    channels.set_url(channel, HOOK)
    channel.save()
    while attempt(YES) is not None:
        pass
    assert sorted(Notification.objects.values_list("recipient", "status")) == [(0, "sent"), (1, "held")]


def test_a_url_sealed_with_another_key_is_a_failure_of_its_own_channel(down, post):
    Channel.objects.update(sealed_url="nonsense")
    [answer] = post.all()
    assert answer.permanent
    assert "sealed with another key" in only().note


def test_a_test_message_goes_the_real_way_once(post, receiver):
    channel = make_channel(receiver.url(), name="chat")
    row = queue_test(channel)
    post.all()
    row.refresh_from_db()
    assert row.status == "sent"
    assert "The channel chat works" in receiver.requests[0].text

    receiver.mode = 403
    row = queue_test(channel)
    post.all()
    row.refresh_from_db()
    assert (row.status, row.note) == ("dead", "the destination answered 403 Forbidden")
    assert Channel.objects.get().broken_since is None


def test_a_channel_in_trouble_has_one_slot_and_all_such_have_half_of_them():
    good, bad, worse = (make_channel(HOOK, name=name) for name in ("good", "bad", "worse"))
    Channel.objects.filter(pk__in=[bad.pk, worse.pk]).update(last_error="it hangs")
    assert delivery.busy_channels([], 4) == set()
    assert delivery.busy_channels([good.pk], 4) == set()
    assert delivery.busy_channels([good.pk, good.pk], 4) == {good.pk}
    assert delivery.busy_channels([bad.pk], 4) == {bad.pk}
    assert delivery.busy_channels([bad.pk, worse.pk], 4) == {bad.pk, worse.pk}


def test_a_monitor_that_is_paused_while_its_down_is_being_sent_is_told_of_after_it(down, attempt):
    first = claim("x", clock.utcnow(), LEASE)
    down.goes(Status.PAUSED, cause=Cause.PAUSED)
    settle(first, "x", LATER, clock.utcnow())
    told = attempt(YES, clock.utcnow() + timedelta(minutes=1))
    assert told.key.startswith("resolved:")
    assert statuses() == {"down": "held", "resolved": "sent"}
