"""Monitors that a ping makes."""

from __future__ import annotations

from checks.store import publishing
from monitoring import ping_keys, publish
from monitoring.models import Monitor


def test_a_ping_makes_a_monitor_with_the_defaults_of_this_installation(published_to_sqlite, committed, settings):
    settings.NEW_HEARTBEAT = {"schedule": {"every": "2h"}, "grace": "7m"}
    with committed():
        assert ping_keys._make("nightly")
    spec = publish.spec_of(Monitor.objects.get(slug="nightly"))
    assert (spec.kind, spec.name, spec.schedule.every, spec.grace) == ("heartbeat", "nightly", 7200.0, 420.0)
    with committed():
        assert ping_keys._make("nightly"), "repeated, it does nothing"
    assert Monitor.objects.get(slug="nightly").revision == 1


def test_a_heartbeat_that_left_the_configuration_is_taken_back_and_nothing_else(
    published_to_sqlite, make_monitor, committed
):
    job = make_monitor(kind="heartbeat", name="Job", schedule={"every": "1d"})
    shop = make_monitor(kind="http", name="Shop")
    with committed():
        publish.retire(job)
        publish.retire(shop)
    with committed():
        assert ping_keys._make("job")
        assert not ping_keys._make("shop")
    job.refresh_from_db()
    shop.refresh_from_db()
    assert (job.retired_at, shop.retired_at is None) == (None, False)


def test_of_two_pings_that_make_a_monitor_at_once_one_makes_it(published_to_sqlite, committed, monkeypatch):
    change = publish.change

    def overtaken(**changes):
        change(**changes)  # the other ping's
        return change(**changes)

    monkeypatch.setattr(publish, "change", overtaken)
    with committed():
        assert ping_keys._make("nightly")
    assert Monitor.objects.get(slug="nightly").revision == 1
    with published_to_sqlite.begin() as conn:
        assert publishing.revisions(conn) == {Monitor.objects.get().uuid: 1}
