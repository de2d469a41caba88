"""Real notifier processes over one installation, on both databases."""

from __future__ import annotations

import os
import random
import signal
import time
from collections import Counter
from uuid import UUID

import psutil
import pytest

from checks import clock
from checks.status import Cause, Status
from checks.store import writer
from monitoring import publish
from monitoring.models import Incident, Monitor, Notification
from tests.factories import make_spec
from tests.monitoring.notifier.conftest import make_channel, make_rule
from tests.monitoring.notifier.receiver import Receiver
from tests.waiting import wait_until


def watch(count: int) -> list[Monitor]:
    """Monitors that the store knows and that are up."""
    monitors = [publish.change(spec=make_spec(name=f"Shop {number}")) for number in range(1, count + 1)]
    put([monitor.pk for monitor in monitors], Status.UP)
    return monitors


def put(monitors: list[UUID], status: Status) -> None:
    with publish.store_engine().begin() as conn:
        for monitor in monitors:
            writer.put(conn, monitor, status, clock.utcnow(), cause=Cause.PROBE)


def arrived(receiver: Receiver) -> int:
    """How many messages arrived, or were folded into one that did."""
    return len(set(receiver.keys())) + Notification.objects.filter(status="held").count()


def all_settled() -> bool:
    waiting = Notification.objects.filter(status__in=("pending", "sending"))
    return not waiting.exists()


def test_a_status_that_the_store_knows_arrives_as_a_message_within_seconds(installation, receiver):
    make_rule(make_channel(receiver.url()))
    [monitor] = watch(1)
    installation.notifier()

    put([monitor.pk], Status.DOWN)
    began = time.monotonic()
    [down] = receiver.wait_for(1)
    took = down.at - began
    put([monitor.pk], Status.UP)
    _, resolved = receiver.wait_for(2)

    assert took < 20  # a busy machine takes its time; it is a second where it is not
    assert "is down" in down.text
    assert "is up again" in resolved.text


@pytest.mark.long_on("sqlite")
def test_three_notifiers_share_the_work_and_send_nothing_twice(installation, receiver):
    make_rule(make_channel(receiver.url("a"), name="a"), make_channel(receiver.url("b"), name="b"))
    monitors = watch(15)
    for _ in range(3):
        installation.notifier(lease="10s")

    put([monitor.pk for monitor in monitors], Status.DOWN)
    receiver.wait_for(30, seconds=60)
    wait_until(all_settled, within=10, what="every message is settled")

    assert max(Counter(receiver.keys()).values()) == 1
    assert len(receiver.requests) == 30
    assert Incident.objects.count() == 15


@pytest.mark.long_on("sqlite")
@pytest.mark.timeout(420)  # two dozen notifiers start one after the other
@pytest.mark.parametrize(("count", "most"), [(15, 3), pytest.param(200, 24, marks=pytest.mark.long)])
def test_notifiers_that_are_killed_lose_nothing_and_mark_what_may_be_a_repeat(installation, receiver, count, most):
    receiver.seconds = 0.05
    make_rule(make_channel(receiver.url()))
    monitors = [monitor.pk for monitor in watch(count)]
    kills, dice = 0, random.Random(7)
    process = installation.notifier()
    for status, wanted in ((Status.DOWN, count), (Status.UP, 2 * count)):
        put(monitors, status)
        for _ in range(most // 2 + 1):
            time.sleep(dice.uniform(0.1, 0.6))
            if arrived(receiver) >= wanted or kills >= most:
                break
            process.kill()
            process.wait()
            kills += 1
            process = installation.notifier()
        wait_until(lambda wanted=wanted: arrived(receiver) >= wanted, within=90, what="every message has arrived")
        wait_until(all_settled, within=30, what="every message is settled")

    assert kills > 0
    assert Incident.objects.count() == count
    assert not Incident.objects.filter(resolved_at=None).exists()
    copies = Counter(receiver.keys())
    ended = {key.split(":")[1] for key in copies if key.startswith("resolved")}
    assert len(ended) == count, "a down that was never sent is folded into its resolved"
    assert sum(copies.values()) - len(copies) <= kills * 4
    seen: Counter[str] = Counter()
    order: dict[str, list[str]] = {}
    for request in receiver.requests:
        seen[request.key] += 1
        assert seen[request.key] == 1 or "may be a repeat" in request.text
        event, incident = request.key.split(":")[:2]
        order.setdefault(incident, []).append(event)
    assert all(events == sorted(events) for events in order.values()), "no resolved comes before its down"


def test_sigterm_lets_what_is_on_its_way_arrive_and_loses_nothing(sqlite_installation, receiver):
    receiver.seconds = 3.0
    make_rule(make_channel(receiver.url()))
    monitors = watch(3)
    process = sqlite_installation.notifier()
    put([monitor.pk for monitor in monitors], Status.DOWN)
    receiver.wait_for(2)

    began = time.monotonic()
    process.send_signal(signal.SIGTERM)
    assert process.wait(30) == 0
    assert time.monotonic() - began < 20
    receiver.seconds = 0.0
    sqlite_installation.notifier()
    receiver.wait_for(3, seconds=20)
    wait_until(all_settled, within=10, what="every message is settled")

    assert sorted(Counter(receiver.keys()).values()) == [1, 1, 1]


def test_a_destination_that_hangs_does_not_keep_sigterm_waiting(sqlite_installation, receiver):
    receiver.mode = "hang"
    make_rule(make_channel(receiver.url()))
    [monitor] = watch(1)
    process = sqlite_installation.notifier()
    put([monitor.pk], Status.DOWN)
    receiver.wait_for(1)
    children = psutil.Process(process.pid).children(recursive=True)

    began = time.monotonic()
    process.send_signal(signal.SIGTERM)
    assert process.wait(30) == 0

    assert time.monotonic() - began < 20
    psutil.wait_procs(children, timeout=20)
    assert not any(child.is_running() for child in children)
    [row] = Notification.objects.all()
    assert (row.status, row.in_doubt) == ("pending", True)


def test_no_child_outlives_a_notifier_that_is_killed(sqlite_installation, receiver):
    receiver.mode = "hang"
    make_rule(make_channel(receiver.url()))
    [monitor] = watch(1)
    process = sqlite_installation.notifier()
    put([monitor.pk], Status.DOWN)
    receiver.wait_for(1)
    children = psutil.Process(process.pid).children(recursive=True)
    assert children

    os.kill(process.pid, signal.SIGKILL)
    gone, _ = psutil.wait_procs(children, timeout=20)

    assert len(gone) == len(children)


def test_a_channel_that_hangs_does_not_hold_up_the_others(sqlite_installation, receiver):
    names = ["hang", "a", "b", "c", "d"]
    receiver.modes["/hang"] = "hang"
    make_rule(*(make_channel(receiver.url(name), name=name) for name in names))
    monitors = watch(4)
    sqlite_installation.notifier()
    put([monitors[0].pk], Status.DOWN)
    receiver.wait_for(5, seconds=20)  # the children are warm now, and one of them is stuck

    began = time.monotonic()
    put([monitor.pk for monitor in monitors[1:]], Status.DOWN)
    wait_until(lambda: well(receiver) == 16, within=20, what="every message to a channel that works has arrived")

    assert max(request.at for request in receiver.requests if request.path != "/hang") - began < 12


def well(receiver: Receiver) -> int:
    return sum(request.path != "/hang" for request in receiver.requests)


@pytest.mark.long
@pytest.mark.timeout(420)
def test_four_notifiers_send_two_thousand_messages_once_each_and_share_the_work(postgresql_installation, receiver):
    make_rule(*(make_channel(receiver.url(name), name=name) for name in "abcd"))
    monitors = watch(500)
    for _ in range(4):
        postgresql_installation.notifier(lease="30s")

    put([monitor.pk for monitor in monitors], Status.DOWN)
    wait_until(lambda: arrived(receiver) >= 2000, within=330, what="every message has arrived")
    wait_until(all_settled, within=30, what="every message is settled")

    # No two of them sent the same message. What one had to send again, unsure whether it had arrived, says so; on a busy
    # machine a few time out before anything of them was sent.
    sent: set[str] = set()
    for request in receiver.requests:
        assert request.key not in sent or "may be a repeat" in request.text
        sent.add(request.key)
    assert len(sent) == 2000
    assert len(receiver.requests) <= 2020
    assert Incident.objects.count() == 500
    shares = [log.count("Sent down:") for log in postgresql_installation.logs]
    assert sum(shares) == 2000
    assert min(shares) >= 0.15 * 2000, shares
