"""Histograms: within 1 %, and the same bytes whatever the order of merging."""

from __future__ import annotations

import math
import random

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from checks.histogram import ERROR, HIGHEST_NS, LOWEST_NS, Histogram

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
def test_many_at_once_count_like_each_by_itself(values: list[int]) -> None:
    histogram = Histogram()
    histogram.add_all(values)
    assert histogram == histogram_of(values)
    histogram.add_all(values)
    assert histogram == histogram_of(values * 2)


@given(st.lists(st.lists(latencies, max_size=30), max_size=5), latencies)
def test_merging_bytes_counts_like_merging_what_they_hold(parts: list[list[int]], bound: int) -> None:
    one, other = histogram_of([5_000_000]), histogram_of([5_000_000])
    for part in parts:
        one.merge(histogram_of(part))
        other.merge_bytes(histogram_of(part).to_bytes())
    assert other.count == 1 + sum(map(len, parts))
    assert other.quantiles([0.5, 0.99]) == one.quantiles([0.5, 0.99])
    assert other.count_within(bound) == one.count_within(bound)
    assert other.to_bytes() == one.to_bytes()


@pytest.mark.parametrize("count", [1, 255, 256, 65_535, 65_536, 2**32 - 1, 2**32, 2**40])
def test_counts_of_any_size_are_kept(count: int) -> None:
    histogram = histogram_of([1_000_000, 1_000_000_000])
    histogram._buckets = dict.fromkeys(histogram._buckets, count)
    merged = Histogram.from_bytes(histogram.to_bytes())
    merged.merge_bytes(histogram.to_bytes())
    assert merged._settled() == dict.fromkeys(histogram._buckets, 2 * count)


@pytest.mark.parametrize("count", [255, 256, 65_535])
def test_what_is_merged_never_overflows(count: int) -> None:
    # Neighbours enough that they are added side by side.
    histogram = histogram_of([round(1_000_000 * 1.02**number) for number in range(20)])
    histogram._buckets = dict.fromkeys(histogram._buckets, count)
    data, merged = histogram.to_bytes(), Histogram()
    for _ in range(1_000):
        merged.merge_bytes(data)
    assert merged._settled() == dict.fromkeys(histogram._buckets, 1_000 * count)


@given(st.lists(latencies, max_size=60))
def test_what_earlier_versions_wrote_is_read(values: list[int]) -> None:
    histogram = histogram_of(values)
    assert Histogram.from_bytes(former_bytes(histogram)) == histogram


def former_bytes(histogram: Histogram) -> bytes:
    """The first form: pairs of a step to the next bucket and its count."""
    numbers = []
    if histogram.min_ns is not None and histogram.max_ns is not None:
        numbers += [histogram.sum_ns, histogram.min_ns, histogram.max_ns - histogram.min_ns]
        previous = 0
        for index, count in sorted(histogram._buckets.items()):
            numbers += [index - previous, count]
            previous = index
    out = bytearray([1])
    for number in numbers:
        rest = number
        while rest > 0x7F:
            out.append(rest & 0x7F | 0x80)
            rest >>= 7
        out.append(rest)
    return bytes(out)


@given(
    st.sampled_from(["uniform", "log-normal", "bimodal", "constant"]),
    st.integers(min_value=1, max_value=2000),
    st.integers(0, 2**32),
    st.sampled_from([0.5, 0.9, 0.95, 0.99, 0.999]),
)
@settings(max_examples=50)
def test_quantiles_of_every_shape_are_within_one_percent(shape: str, size: int, seed: int, q: float) -> None:
    chance = random.Random(seed)
    makers = {
        "uniform": lambda: chance.randrange(LOWEST_NS, 10**9),
        "log-normal": lambda: max(LOWEST_NS, int(chance.lognormvariate(18, 1))),
        "bimodal": lambda: int(chance.gauss(*chance.choice([(10**7, 10**6), (10**9, 10**7)]))),
        "constant": lambda: 123_456_789,
    }
    values = [max(LOWEST_NS, makers[shape]()) for _ in range(size)]
    histogram = Histogram()
    histogram.add_all(values)
    found, exact = histogram.quantile(q), nearest_rank(values, q)
    assert found is not None
    assert abs(found - exact) <= ERROR * exact
    assert (histogram.count, histogram.sum_ns) == (size, sum(values))


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


@given(st.sampled_from([1, 2]), st.binary(max_size=60))
def test_other_bytes_are_refused_or_read_never_worse(form: int, data: bytes) -> None:
    try:
        histogram = Histogram.from_bytes(bytes([form]) + data)
    except ValueError:
        return
    assert histogram.count >= 0


HEAD = b"\x02" + bytes(24)  # of the sum, the minimum and the spread


@pytest.mark.parametrize(
    "data",
    [
        b"",
        b"\x03",
        b"\x02\x05",
        HEAD + b"\x00",
        HEAD + b"\x01\x05\x00\x04\x00",
        HEAD + b"\x01\x05\x00\x04\x00\x01\x01",
        HEAD + b"\x01\x05\x00\x29\x00\x01\x01\x01",
        HEAD + b"\x01\xff\xff\x04\x00\x01",
        b"\x01\x80",
        b"\x01\x05\x05",
        b"\x01\x05\x05\x00\x01\x00",
    ],
)
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


def test_runs_of_nothing_that_somebody_wrote_have_no_percentiles() -> None:
    honest = histogram_of([1_000_000, 1_020_000, 1_040_000]).to_bytes()
    assert honest[-3:] == b"\1\1\1"
    assert Histogram.from_bytes(honest[:-3] + b"\0\0\0").quantile(0.5) is None


def test_a_negative_latency_is_a_mistake_of_ours() -> None:
    with pytest.raises(ValueError, match="never negative"):
        Histogram().add(-1)


def test_a_month_of_results_takes_few_bytes() -> None:
    histogram = histogram_of([n * 1_000_000 for n in range(20, 500)] * 50)
    assert len(histogram.to_bytes()) < 1500
    assert repr(histogram) == "<Histogram of 24000, 20000000 to 499000000 ns>"
