"""Histograms: within 1 %, and the same bytes whatever the order of merging."""

from __future__ import annotations

import math

import pytest
from hypothesis import given
from hypothesis import strategies as st

from checks.histogram import HIGHEST_NS, LOWEST_NS, Histogram

latencies = st.integers(0, 2 * HIGHEST_NS)
measured = st.integers(LOWEST_NS, HIGHEST_NS)


def histogram_of(values: list[int]) -> Histogram:
    histogram = Histogram()
    for value in values:
        histogram.add(value)
    return histogram


def nearest_rank(values: list[int], q: float) -> int:
    return sorted(values)[max(1, math.ceil(q * len(values) - 1e-9)) - 1]


@given(st.lists(measured, min_size=1, max_size=200), st.sampled_from([0.0, 0.25, 0.5, 0.9, 0.95, 0.99, 1.0]))
def test_a_quantile_is_within_one_percent_of_the_nearest_rank(values: list[int], q: float) -> None:
    found, exact = histogram_of(values).quantile(q), nearest_rank(values, q)
    assert found is not None
    assert abs(found - exact) <= 0.01 * exact


@given(measured)
def test_one_result_is_known_exactly(value: int) -> None:
    histogram = histogram_of([value])
    assert [histogram.quantile(q) for q in (0.0, 0.5, 1.0)] == [value] * 3


@given(st.lists(latencies, max_size=60), st.randoms(use_true_random=False))
def test_merging_in_any_order_and_grouping_gives_the_same_bytes(values: list[int], random) -> None:
    whole = histogram_of(values).to_bytes()
    shuffled = random.sample(values, len(values))
    cuts = sorted(random.choices(range(len(values) + 1), k=3))
    parts = [shuffled[a:b] for a, b in zip([0, *cuts], [*cuts, len(values)], strict=True)]
    merged = Histogram()
    for part in random.sample(parts, len(parts)):
        merged.merge(Histogram.from_bytes(histogram_of(part).to_bytes()))
    assert merged.to_bytes() == whole


@given(st.lists(latencies, max_size=60))
def test_bytes_hold_everything(values: list[int]) -> None:
    histogram = histogram_of(values)
    again = Histogram.from_bytes(histogram.to_bytes())
    assert again == histogram
    assert (again.count, again.sum_ns) == (len(values), sum(values))
    assert (again.min_ns, again.max_ns) == ((min(values), max(values)) if values else (None, None))


@given(st.lists(latencies, min_size=1, max_size=100))
def test_quantiles_never_fall_and_never_leave_what_was_seen(values: list[int]) -> None:
    found = histogram_of(values).quantiles([0.0, 0.1, 0.5, 0.9, 0.99, 1.0])
    assert found == sorted(found)
    assert (found[0], found[-1]) == (min(values), max(values))


@given(st.binary(max_size=60))
def test_other_bytes_are_refused_or_read_never_worse(data: bytes) -> None:
    try:
        histogram = Histogram.from_bytes(b"\x01" + data)
    except ValueError:
        return
    assert histogram.count >= 0


@pytest.mark.parametrize("data", [b"", b"\x02", b"\x01\x80", b"\x01\x05\x05", b"\x01\x05\x05\x00\x01\x00"])
def test_what_is_no_histogram_is_refused(data: bytes) -> None:
    with pytest.raises(ValueError, match="histogram"):
        Histogram.from_bytes(data)


def test_nothing_measured_has_no_quantile() -> None:
    assert Histogram().quantiles([0.5, 0.99]) == [None, None]
    assert Histogram.from_bytes(Histogram().to_bytes()) == Histogram()


def test_what_is_faster_than_100_microseconds_shares_a_bucket_with_its_exact_minimum() -> None:
    histogram = histogram_of([7, 5_000, 99_999, 200_000])
    assert histogram.quantile(0.5) == 7
    assert histogram.quantile(0.75) == 7
    assert histogram.min_ns == 7


def test_what_is_slower_than_an_hour_keeps_its_exact_maximum() -> None:
    histogram = histogram_of([1_000_000, 2 * HIGHEST_NS, 3 * HIGHEST_NS])
    assert histogram.quantile(0.99) == 3 * HIGHEST_NS


def test_a_percentile_is_the_smallest_result_that_so_many_do_not_exceed() -> None:
    histogram = histogram_of([n * 1_000_000 for n in range(1, 101)])
    assert abs(histogram.quantile(0.07) - 7_000_000) <= 70_000
    assert abs(histogram.quantile(0.95) - 95_000_000) <= 950_000


def test_merging_an_empty_one_changes_nothing() -> None:
    histogram = histogram_of([1_000_000])
    before = histogram.to_bytes()
    histogram.merge(Histogram())
    assert histogram.to_bytes() == before
    empty = Histogram()
    empty.merge(histogram)
    assert empty.to_bytes() == before


@pytest.mark.parametrize("q", [-0.1, 1.1, math.nan])
def test_a_share_is_between_nothing_and_all(q: float) -> None:
    with pytest.raises(ValueError, match="between 0 and 1"):
        Histogram().quantile(q)


def test_a_negative_latency_is_a_mistake_of_ours() -> None:
    with pytest.raises(ValueError, match="never negative"):
        Histogram().add(-1)


def test_a_month_of_results_takes_few_bytes() -> None:
    histogram = histogram_of([n * 1_000_000 for n in range(20, 500)] * 50)
    assert len(histogram.to_bytes()) < 1500
    assert repr(histogram) == "<Histogram of 24000, 20000000 to 499000000 ns>"
