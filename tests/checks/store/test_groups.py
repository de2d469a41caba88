"""A group's status follows in the transaction that changes a member."""

from __future__ import annotations

import itertools
import threading
from dataclasses import replace
from datetime import timedelta

import pytest

from checks.result import Outcome
from checks.status import Cause, Status
from checks.store import grouping, setting
from checks.store.engine import reading
from checks.store.publishing import publish
from checks.store.schema import group_member, monitor_state, target, transition
from checks.store.writer import put, record
from tests.checks.store.acts import claim_due, history, one, publish_one, rows, status_of, target_of
from tests.factories import NOON, at, make_finished, make_published

RULES = {"worst": {}, "best": {"rule": "best"}}


def make_group(slug, *members, rule="worst", **fields):
    spec = {"kind": "group", "name": slug, "slug": slug, "members": list(members), **RULES[rule]}
    return make_published(
        kind="group", source="derived", slug=slug, name=slug.title(), spec=spec, members=members, **fields
    )


def make_manual(slug, **fields):
    spec = {"kind": "manual", "name": slug, "slug": slug}
    return make_published(kind="manual", source="set", slug=slug, name=slug.title(), spec=spec, **fields)


@pytest.fixture
def shop(store):
    """Two monitors that are set, a group of them, and a group of that group."""
    web, mail = make_manual("web"), make_manual("mail")
    group, all_of_it = make_group("shop", "web", "mail"), make_group("all", "shop")
    with store.begin() as conn:
        publish(conn, [web, mail, group, all_of_it], NOON)
    return web, mail, group, all_of_it


def say(store, monitor, status, seconds, **words):
    with store.begin() as conn:
        return setting.set_status(conn, monitor.uuid, status, at(seconds), **words)


def republish(store, monitor, seconds, **changes):
    changed = replace(monitor, revision=monitor.revision + 1, **changes)
    with store.begin() as conn:
        publish(conn, [changed], at(seconds))
    return changed


def test_a_change_of_a_member_changes_the_groups_above_it_in_one_transaction(store, shop):
    web, mail, group, all_of_it = shop
    say(store, web, "up", 1)
    say(store, mail, "up", 2)
    written = say(store, mail, "down", 3, message="the provider is down", by="eve")

    assert [(item.slug, item.transition.to_status) for item in written] == [
        ("mail", Status.DOWN),
        ("shop", Status.DOWN),
        ("all", Status.DOWN),
    ]
    assert history(store, group) == [(1, "pending", "up", "members"), (2, "up", "down", "members")]
    down = one(store, transition, transition.c.monitor == all_of_it.uuid, transition.c.to_status == "down")
    assert down.evidence["failure"]["message"] == "1 of 1 members is down: Shop"
    assert down.evidence["evidence"] == {"members": {"shop": "down"}}
    kept = target_of(store, group)
    assert (kept.vote, kept.last_failure["message"]) == ("down", "1 of 2 members is down: Mail")
    assert kept.next_due_at is None


def test_a_group_is_dated_back_as_its_member_is(store):
    web = publish_one(store, slug="web")
    with store.begin() as conn:
        publish(conn, [make_group("shop", "web")], NOON)
    [claimed] = claim_due(store)
    with store.begin() as conn:
        record(conn, [make_finished(claimed, Outcome.DOWN, started_at=at(50))], at(61))
    member, group = (one(store, monitor_state, monitor_state.c.slug == slug) for slug in (web.slug, "shop"))
    assert member.since == group.since == at(50)
    assert (member.status, group.status, group.seq) == ("down", "down", 1)


def test_a_member_of_two_groups_that_are_one_makes_one_transition(store):
    """The group above both is decided once both are."""
    web = make_manual("web")
    groups = [make_group("a", "web"), make_group("b", "web", rule="best"), make_group("top", "a", "b")]
    with store.begin() as conn:
        publish(conn, [*reversed(groups), web], NOON)
    written = say(store, web, "down", 1)
    assert sorted(item.slug for item in written) == ["a", "b", "top", "web"]


def test_pausing_resuming_and_removing_a_member_change_the_group(store, shop):
    web, mail, group, _ = shop
    say(store, web, "up", 1)
    say(store, mail, "down", 2)
    assert status_of(store, group) is Status.DOWN

    paused = republish(store, mail, 3, paused=True)
    assert status_of(store, group) is Status.UP
    back = republish(store, paused, 4, paused=False)
    say(store, back, "down", 5)
    assert status_of(store, group) is Status.DOWN
    republish(store, back, 6, removed="deleted", places=())
    assert status_of(store, group) is Status.UP
    gone = republish(store, web, 7, paused=True)
    assert status_of(store, group) is Status.PAUSED
    republish(store, gone, 8, paused=False)
    assert status_of(store, group) is Status.PENDING
    assert [(after, cause) for _, _, after, cause in history(store, group)] == [
        ("up", "members"),
        ("down", "members"),
        ("up", "members"),
        ("down", "members"),
        ("up", "members"),
        ("paused", "members"),
        ("pending", "members"),
    ]


def test_a_paused_group_is_left_alone_and_brought_into_line_when_it_is_back(store, shop):
    web, _, group, all_of_it = shop
    paused = republish(store, group, 1, paused=True)
    say(store, web, "down", 2)
    assert (status_of(store, group), status_of(store, all_of_it)) == (Status.PAUSED, Status.PAUSED)
    republish(store, paused, 3, paused=False)
    assert (status_of(store, group), status_of(store, all_of_it)) == (Status.DOWN, Status.DOWN)


def test_other_members_and_another_rule_change_the_group(store, shop):
    web, mail, group, _ = shop
    say(store, web, "up", 1)
    say(store, mail, "down", 2)
    changed = republish(store, group, 3, spec={**group.spec, "rule": "best"})
    assert status_of(store, group) is Status.UP
    changed = republish(store, changed, 4, spec={**group.spec, "members": ["mail"]}, members=("mail",))
    assert status_of(store, group) is Status.DOWN
    republish(store, changed, 5, removed="deleted", places=(), members=())
    assert [row.monitor for row in rows(store, group_member, group_member.c.monitor == group.uuid)] == []


def test_a_member_may_come_later_than_its_group_and_under_another_name(store):
    group = make_group("shop", "web")
    with store.begin() as conn:
        publish(conn, [group], NOON)
    assert status_of(store, group) is Status.PENDING
    web = make_manual("other")
    with store.begin() as conn:
        publish(conn, [web], NOON)
    say(store, web, "down", 1)
    assert status_of(store, group) is Status.PENDING
    named = republish(store, web, 2, slug="web")
    assert status_of(store, group) is Status.DOWN
    republish(store, named, 3, slug="other")
    assert status_of(store, group) is Status.PENDING


def test_groups_that_contain_each_other_end(store):
    web, a, b = make_manual("web"), make_group("a", "b", "web"), make_group("b", "a")
    with store.begin() as conn:
        publish(conn, [web, a, b], NOON)
    say(store, web, "down", 1)
    assert status_of(store, a) is Status.DOWN


def test_a_group_that_can_not_be_read_does_not_stop_its_members(store, shop, caplog):
    web, _, group, _ = shop
    with store.begin() as conn:
        conn.execute(target.update().where(target.c.monitor == group.uuid).values(spec={"kind": "group"}))
    say(store, web, "down", 1)
    assert status_of(store, web) is Status.DOWN
    assert "can't be read" in caplog.text


def test_the_members_of_a_group_are_listed_by_name(store, shop):
    _, _, group, _ = shop
    with reading(store) as conn:
        assert [member.name for member in grouping.members_of(conn, group.uuid)] == ["Mail", "Web"]


def test_members_that_change_at_once_lose_no_change_of_their_group(postgresql_store):
    monitors = [make_manual(f"m-{number}") for number in range(6)]
    inner, outer = make_group("inner", *(m.slug for m in monitors)), make_group("outer", "inner", "m-0")
    with postgresql_store.begin() as conn:
        publish(conn, [*monitors, inner, outer], NOON)
    start = threading.Barrier(len(monitors) + 1)

    def flip(monitor, number):
        start.wait()
        for turn in range(6):
            status = "down" if turn % 2 else "up"
            say(postgresql_store, monitor, status, 10 * turn + number)

    def rewrite():
        group = inner
        start.wait()
        for turn in range(4):
            members = tuple(m.slug for m in monitors[: 3 + turn])
            group = republish(postgresql_store, group, 100 + turn, members=members)

    threads = [threading.Thread(target=flip, args=(m, n)) for n, m in enumerate(monitors)]
    threads.append(threading.Thread(target=rewrite))
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join(30)

    assert [status_of(postgresql_store, each) for each in (*monitors, inner, outer)] == [Status.DOWN] * 8
    for group in (inner, outer):
        told = history(postgresql_store, group)
        assert [seq for seq, *_ in told] == list(range(1, len(told) + 1))
        assert all(before[2] == after[1] for before, after in itertools.pairwise(told))


# What is set.


def test_a_status_that_is_set_stays_with_who_said_it_and_why(store, shop):
    web, *_ = shop
    [written, *_] = say(store, web, "degraded", 1, message="half of the lines are out", by="eve")
    assert written.transition.cause is Cause.PERSON
    kept = one(store, transition, transition.c.monitor == web.uuid)
    assert kept.evidence["failure"] == {"reason": "set", "message": "half of the lines are out"}
    assert kept.evidence["evidence"] == {"by": "eve", "message": "half of the lines are out"}
    assert target_of(store, web).last_result_at == at(1)


def test_the_same_status_with_another_message_is_no_transition(store, shop):
    web, *_ = shop
    say(store, web, "down", 1, message="one")
    assert say(store, web, "down", 2, message="two") == []
    assert target_of(store, web).last_failure["message"] == "two"
    say(store, web, "up", 3)
    assert target_of(store, web).last_failure is None


def test_what_is_probed_paused_or_unknown_is_not_set(store, shop):
    web, *_ = shop
    probed = publish_one(store)
    with pytest.raises(setting.NotSettable, match="of the kind http"):
        say(store, probed, "up", 1)
    assert target_of(store, probed).vote == "pending"
    with pytest.raises(setting.NotSettable, match="does not know this monitor yet"):
        say(store, make_manual("new"), "up", 1)
    with store.begin() as conn:
        put(conn, web.uuid, Status.PAUSED, at(1), cause=Cause.PAUSED)
    republish(store, web, 1, paused=True)
    with pytest.raises(setting.NotSettable, match="Web is paused"):
        say(store, web, "up", 2)


def test_silence_never_makes_what_is_set_or_derived_unknown(store, shop):
    from checks import silence

    web, _, group, _ = shop
    say(store, web, "up", 1)
    assert not silence.judge(store, NOON + timedelta(days=400), 1e9)
    assert status_of(store, group) is Status.UP
