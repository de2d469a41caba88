from datetime import timedelta

import pytest

from checks.store.tally import COUNTS, TOTAL, Latencies, Tally
from tests.checks.store.measuring import MS
from tests.factories import NOON

HOUR = timedelta(hours=1)


def tally_of(*found):
    """Results as (outcome, milliseconds or None)."""
    total = Tally()
    total.add_results([(outcome, None if latency is None else latency * MS) for outcome, latency in found])
    return total


def test_nothing_has_no_figures():
    nothing = Tally()

    assert nothing.latency == Latencies()
    assert (nothing.success_rate, nothing.apdex(), nothing.phases) == (None, None, {})


def test_percentiles_stand_beside_their_two_counts():
    found = tally_of(*[("up", milliseconds) for milliseconds in range(1, 1001)], ("down", None)).latency

    shares = (found.p50, found.p75, found.p90, found.p95, found.p99, found.p999)
    assert shares == pytest.approx((0.5, 0.75, 0.9, 0.95, 0.99, 0.999), rel=0.01)
    assert (found.min, found.max) == (0.001, 1.0)
    assert (found.complete, found.incomplete) == (1000, 1)


def test_our_own_fault_is_no_failure_of_the_target():
    total = tally_of(("up", 10), ("degraded", 10), ("down", 10), ("down", None), ("unknown", None))

    assert total.success_rate == 0.5
    assert total.judged == 4


def test_apdex_counts_what_is_tolerated_by_half():
    total = tally_of(("up", 100), ("up", 100), ("up", 1000), ("up", 3000))

    assert total.apdex() == 2.5 / 4
    assert total.apdex(5) == 1.0
    assert total.apdex(0.01) == 0.0


def test_a_failure_satisfies_nobody_however_fast_it_was():
    assert tally_of(("up", 100), ("down", 100)).apdex() == 0.5
    assert tally_of(("up", 100), ("down", None)).apdex() == 0.5
    assert tally_of(("down", 100), ("down", 1000)).apdex() == 0.0
    assert tally_of(("up", 1000), ("down", 1000)).apdex() == 0.25


def test_tallies_add_up_to_what_all_their_results_make():
    found = [("up", 40), ("up", 70), ("down", None), ("degraded", 900), ("unknown", None)]
    one, other = tally_of(*found[:2]), tally_of(*found[2:])
    one.cover(NOON, NOON + HOUR)
    other.cover(NOON - HOUR, NOON)

    one.add(other)

    assert one.histograms == tally_of(*found).histograms
    assert one.counts == tally_of(*found).counts
    assert (one.start, one.end) == (NOON - HOUR, NOON + HOUR)


def test_a_roll_up_counts_like_its_results():
    found = tally_of(("up", 40), ("down", None))
    again = Tally()
    again.add_rolled(TOTAL, found.histograms[TOTAL].to_bytes(), [found.counts[name] for name in COUNTS])

    assert again.histograms == found.histograms
    assert again.counts == found.counts
