from __future__ import annotations

import re
from datetime import timedelta

import pytest
import sqlalchemy as sa

from checks import clock
from checks.result import Outcome, Phases
from checks.store.periods import HOUR, start_of
from checks.store.rollup import roll_up
from checks.store.schema import result, rollup
from tests.monitoring.operator.acts import monitor_url, probe, text_of
from tests.monitoring.pages import XSS

pytestmark = pytest.mark.django_db


def look(client, monitor, **query):
    return text_of(client.get(monitor_url(monitor), query))


def test_a_window_is_chosen_by_its_name_or_by_its_ends(operator_client, make_monitor, published_to, ten_minutes_later):
    monitor = make_monitor(failures=1)
    probe(published_to, Outcome.UP, Outcome.DOWN)
    ten_minutes_later()

    day = look(operator_client, monitor)
    hour = look(operator_client, monitor, window="hour")
    earlier = look(operator_client, monitor, start="2026-01-01T00:00", end="2026-01-02T00:00")

    assert 'href="?window=day#latency" aria-current="page"' in day
    assert 'href="?window=hour#latency" aria-current="page"' in hour
    assert 'data-label="Complete" class="number">1<' in hour
    assert 'value="2026-01-01T00:00"' in earlier
    assert 'aria-current="page"' not in earlier.partition("</nav>")[2].partition("</nav>")[0]
    assert "nothing was measured in this window" in earlier


def test_what_is_no_window_is_told_and_the_last_day_is_shown(operator_client, make_monitor, published_to_sqlite):
    page = look(operator_client, make_monitor(), window=XSS)

    assert "allowed: hour, day, week, month" in page
    assert "<img" not in page
    assert 'href="?window=day#latency" aria-current="page"' in page


def test_the_window_is_drawn_with_what_failed(operator_client, make_monitor, published_to_sqlite, ten_minutes_later):
    monitor = make_monitor(failures=1)
    probe(published_to_sqlite, Outcome.UP, Outcome.UP, Outcome.DOWN)
    ten_minutes_later()

    page = look(operator_client, monitor, window="hour")

    assert set(re.findall(r'<polyline class="(\w+)"', page)) == {"p50", "p95", "p99"}
    assert "p50 25 ms, p95 25 ms, p99 25 ms</title>" in page
    assert re.search(r"[12] results, (50|100) % failed", page)
    assert '<rect class="down"' in page
    assert "66.66 %" in page


def test_the_pages_say_what_somebody_spoiled_and_hide_nothing_else(
    operator_client, make_monitor, published_to, ten_minutes_later
):
    monitor = make_monitor(failures=1)
    probe(published_to, Outcome.UP, Outcome.UP, Outcome.DOWN)
    ten_minutes_later()
    with published_to.begin() as conn:
        first = sa.select(sa.func.min(result.c.id)).scalar_subquery()
        conn.execute(result.update().where(result.c.id == first).values(latency_ns=-5, outcome="sad"))

    page = look(operator_client, monitor, window="hour")

    assert "1 stored row was left out of these figures" in page
    assert 'data-label="Complete" class="number">1<' in page
    roll_up(published_to, clock.utcnow() + timedelta(minutes=1))
    with published_to.begin() as conn:
        conn.execute(rollup.update().values(histogram=b"?"))
    dashboard = text_of(operator_client.get("/dashboard/"))
    assert "Its percentiles lack 1 hour, whose stored figures somebody changed by hand" in dashboard
    assert '<th scope="row"><a href="/dashboard/monitors/' in dashboard


def test_phases_and_locations_have_lines_of_their_own(
    operator_client, make_monitor, published_to_sqlite, ten_minutes_later
):
    monitor = make_monitor(locations=["local", "eu-west"])
    probe(published_to_sqlite, Outcome.UP, phases=Phases(dns=2_000_000, connect=23_000_000))
    ten_minutes_later()

    page = look(operator_client, monitor)

    assert 'class="phase"><th scope="row">Resolve the name</th>' in page
    assert page.count('class="location"') == 2
    assert "eu-west <span" in page


def test_the_page_says_what_was_counted_where_results_are_deleted(operator_client, make_monitor, published_to_sqlite):
    monitor = make_monitor()
    probe(published_to_sqlite, Outcome.UP)
    clock.set_offset(timedelta(days=10).total_seconds())
    while roll_up(published_to_sqlite, clock.utcnow()):
        pass
    with published_to_sqlite.begin() as conn:
        [at] = conn.execute(result.select()).mappings()
        conn.execute(result.delete())
    begin = start_of(HOUR, at["started_at"]) + timedelta(microseconds=1)

    page = look(operator_client, monitor, start=begin.isoformat())

    assert "Older results are deleted, so whole hours or days were counted" in page
    assert 'data-label="Complete" class="number">0<' in page


def test_what_is_not_probed_has_no_latency(operator_client, make_monitor, published_to_sqlite):
    assert 'id="latency"' not in look(operator_client, make_monitor(kind="heartbeat"))
