"""What row locks decide: on both databases, with a connection a thread."""

from __future__ import annotations

import threading
from datetime import timedelta

from django.db import connections

from checks import clock
from checks.status import Status
from monitoring.notifier.delivery import claim, settle
from monitoring.notifier.sender import Answer
from tests.monitoring.notifier.conftest import Post, Story, make_channel, make_monitor, make_rule, statuses


def test_a_message_is_claimed_by_one_of_many_at_once(installation, store_id):
    make_rule(make_channel("json://127.0.0.1:9/hook"))
    for number in range(10):
        Story(store_id, make_monitor(name=f"Shop {number}")).goes(Status.DOWN)
    taken: list[str] = []

    def take(name: str) -> None:
        for _ in range(20):
            claimed = claim(name, clock.utcnow(), timedelta(seconds=60))
            if claimed is not None:
                taken.append(claimed.key)
        connections.close_all()

    threads = [threading.Thread(target=take, args=(f"n{number}",)) for number in range(4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()

    assert len(taken) == len(set(taken)) == 10


def test_the_order_of_one_incident_holds(installation, store_id, warm_pool, receiver):
    make_rule(make_channel(receiver.url()))
    story, post = Story(store_id, make_monitor()), Post(warm_pool)
    story.goes(Status.DOWN)
    first = claim("a", clock.utcnow(), timedelta(seconds=60))
    story.goes(Status.UP)
    assert post.all() == []
    settle(first, "a", Answer(sent=True), clock.utcnow())
    assert [answer.sent for answer in post.all()] == [True]
    assert statuses() == {"down": "sent", "resolved": "sent"}
