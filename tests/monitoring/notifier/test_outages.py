"""The database goes away while a notifier works, and comes back."""

from __future__ import annotations

import time
from collections import Counter

from checks.status import Status
from monitoring.models import Notification
from tests.monitoring.notifier.conftest import make_channel, make_rule
from tests.monitoring.notifier.test_processes import all_settled, put, watch
from tests.waiting import wait_until


def test_a_notifier_waits_for_its_database_says_so_once_and_goes_on(postgresql_installation, receiver):
    make_rule(make_channel(receiver.url()))
    [monitor] = watch(1)
    process = postgresql_installation.notifier()

    with postgresql_installation.away():
        time.sleep(5)
    put([monitor.pk], Status.DOWN)
    receiver.wait_for(1, seconds=20)

    assert process.poll() is None
    lines = [line for line in postgresql_installation.log.splitlines() if "waits for the database" in line]
    assert lines
    said = Counter(line.split("notifier  ")[1].partition(" waits")[0] for line in lines)
    assert max(said.values()) == 1, "once a minute"
    assert "Traceback" not in postgresql_installation.log


def test_a_message_that_was_sent_while_the_database_was_away_is_not_sent_again(postgresql_installation, receiver):
    receiver.seconds = 2.0
    make_rule(make_channel(receiver.url()))
    [monitor] = watch(1)
    postgresql_installation.notifier()
    put([monitor.pk], Status.DOWN)
    receiver.wait_for(1)

    with postgresql_installation.away():
        time.sleep(6)  # three leases
    wait_until(all_settled, within=20, what="the message is settled")

    [row] = Notification.objects.all()
    assert (row.status, row.attempts) == ("sent", 1)
    assert len(receiver.requests) == 1
