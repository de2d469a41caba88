from __future__ import annotations

from datetime import UTC, datetime, timedelta

import pytest

from checks.status import Status
from monitoring import publish, reports
from tests.monitoring.past import announce, put_incident, put_transitions

pytestmark = pytest.mark.django_db

START, END = datetime(2026, 10, 1, tzinfo=UTC), datetime(2026, 11, 1, tzinfo=UTC)
NOW = datetime(2026, 11, 5, tzinfo=UTC)
HOUR = timedelta(hours=1)


def after(hours: float) -> datetime:
    return START + hours * HOUR


def test_a_report_has_three_figures_and_the_outages_of_each_monitor(published_to, make_monitor):
    shop, mail = make_monitor(name="Shop"), make_monitor(name="Mail", kind="tcp", address="127.0.0.1:25")
    put_transitions(
        published_to,
        shop,
        (after(-5), Status.UP),
        (after(100), Status.DOWN),
        (after(101), Status.UP),
        (after(200), Status.DOWN),
        (after(203), Status.UNKNOWN),
        (after(204), Status.UP),
    )
    put_transitions(published_to, mail, (after(700), Status.UP))
    first = put_incident(shop, after(100), after(101))
    second = put_incident(shop, after(200), after(204))

    assert not reports.report(START, END, NOW).maintenance
    announce(shop, after(201), after(202))

    found = reports.report(START, END, NOW)

    assert found.complete
    mail_line, shop_line = found.lines
    assert (mail_line.outages, mail_line.found.ratio) == (0, 1.0)
    assert mail_line.found.observed_share == pytest.approx(44 / 744)
    assert (shop_line.outages, shop_line.longest) == (2, 3 * 3600)
    assert shop_line.found.ratio == pytest.approx(739 / 743)
    assert shop_line.found.ratio_without_maintenance == pytest.approx(739 / 742)
    assert found.maintenance
    assert [(t.interval.status, t.seconds / 3600, t.incident) for t in shop_line.troubles] == [
        (Status.DOWN, 1, first),
        (Status.DOWN, 1, second),
        (Status.DOWN, 1, second),
        (Status.DOWN, 1, second),
        (Status.UNKNOWN, 1, second),
    ]
    assert [t.interval.counted for t in shop_line.troubles] == [True, True, False, True, False]


def test_a_report_is_of_those_that_were_asked_for(published_to_sqlite, make_monitor):
    for name, tags in (("Shop", ["prod"]), ("Mail", ["prod", "mail"]), ("Test", [])):
        put_transitions(published_to_sqlite, make_monitor(name=name, tags=tags), (after(1), Status.UP))

    def names(**asked):
        return [line.name for line in reports.report(START, END, NOW, **asked).lines]

    assert names() == ["Mail", "Shop", "Test"]
    assert names(tags=["prod"]) == ["Mail", "Shop"]
    assert names(slugs=["test"], tags=["mail"]) == ["Mail", "Test"]
    assert names(slugs=["nobody"]) == []


def test_what_is_no_longer_watched_stands_in_the_reports_of_its_time(published_to_sqlite, make_monitor, committed):
    gone, never, before = make_monitor(name="Gone"), make_monitor(name="Never"), make_monitor(name="Before")
    put_transitions(published_to_sqlite, gone, (after(1), Status.UP))
    put_transitions(published_to_sqlite, before, (after(-90), Status.UP), (after(-80), Status.PAUSED))
    with committed():
        publish.delete(gone)
        publish.delete(before)

    found = reports.report(START, END, NOW)

    assert [(line.name, line.gone) for line in found.lines] == [("Gone", True)]
    assert list(found.unseen) == [never.name]


@pytest.mark.parametrize("leave", [publish.retire, publish.delete])
def test_what_was_gone_before_the_window_is_not_in_it(published_to, make_monitor, committed, leave):
    gone, paused = make_monitor(name="Gone"), make_monitor(name="Paused")
    for monitor in (gone, paused):
        put_transitions(published_to, monitor, (after(-500), Status.UP), (after(-200), Status.PAUSED))
    with committed():
        leave(gone)

    found = reports.report(START, END, NOW)

    assert [(line.name, line.gone) for line in found.lines] == [("Paused", False)]
    assert list(found.unseen) == []
    assert [line.name for line in reports.report(after(-300), END, NOW).lines] == ["Gone", "Paused"]


def test_a_window_that_goes_on_ends_now(published_to_sqlite, make_monitor):
    monitor = make_monitor()
    put_transitions(published_to_sqlite, monitor, (after(-1), Status.UP))

    found = reports.report(START, END, after(10))

    assert (found.complete, found.until, found.lines[0].found.up) == (False, after(10), 36_000)


def test_each_interval_has_the_incident_in_which_it_lies(published_to_sqlite, make_monitor):
    monitor = make_monitor()
    steps = [(after(n), Status.DOWN if n % 2 else Status.UP) for n in range(10)]
    put_transitions(published_to_sqlite, monitor, *steps)
    incidents = [put_incident(monitor, after(n), after(n + 1)) for n in (1, 3, 5, 7)]
    incidents.append(put_incident(monitor, after(9), None))
    put_incident(monitor, after(2), after(3), cause="rule:x")

    _, stretches = reports.of_monitor(monitor.uuid, after(1.5), END, NOW)

    assert [each.incident for each in stretches] == [
        incidents[0],
        None,
        incidents[1],
        None,
        incidents[2],
        None,
        incidents[3],
        None,
        incidents[4],
    ]
