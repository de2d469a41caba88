"""Latencies that can be merged: a histogram with logarithmic buckets, 1 % relative error from 100 us to 1 h.

After DDSketch (Masson, Rim, Lee: VLDB 2019). Counts and sums are integers, so merging in any order gives the same
bytes; a percentile of a month is a percentile of all its results, never an average of percentiles.
"""

from __future__ import annotations

import math
from collections.abc import Iterable
from itertools import accumulate

LOWEST_NS = 100_000  # 100 us; what is faster shares one bucket, whose exact minimum is kept
HIGHEST_NS = 3_600_000_000_000  # 1 h; what is slower shares one bucket, whose exact maximum is kept
ERROR = 0.01  # how far a quantile may be from the result that it stands for, as a share of that result
ACCURACY = 0.0099  # a little under it, for rounding to whole nanoseconds

_GAMMA = (1 + ACCURACY) / (1 - ACCURACY)  # how much wider than its neighbour a bucket is
_PER_LOG = 1 / math.log(_GAMMA)
_FIRST = math.ceil(math.log(LOWEST_NS) * _PER_LOG)
_UNDER = 0  # the bucket of what is faster; those between follow from 1
_OVER = math.ceil(math.log(HIGHEST_NS) * _PER_LOG) - _FIRST + 2
_FORMAT = 1  # the first byte of the serialised form


class Histogram:
    """How many results took how long."""

    __slots__ = ("_buckets", "max_ns", "min_ns", "sum_ns")

    def __init__(self) -> None:
        self._buckets: dict[int, int] = {}
        self.sum_ns = 0
        self.min_ns: int | None = None
        self.max_ns: int | None = None

    @property
    def count(self) -> int:
        """How many results it holds."""
        return sum(self._buckets.values())

    def add(self, ns: int) -> None:
        """Count one latency in nanoseconds."""
        if ns < LOWEST_NS:
            if ns < 0:
                raise ValueError(f"a latency is never negative: {ns} ns")
            index = _UNDER
        elif ns > HIGHEST_NS:
            index = _OVER
        else:
            index = math.ceil(math.log(ns) * _PER_LOG) - _FIRST + 1
        buckets = self._buckets
        buckets[index] = buckets.get(index, 0) + 1
        self.sum_ns += ns
        if self.min_ns is None or self.max_ns is None:
            self.min_ns = self.max_ns = ns
        elif ns < self.min_ns:
            self.min_ns = ns
        elif ns > self.max_ns:
            self.max_ns = ns

    def merge(self, other: Histogram) -> None:
        """Count everything that `other` counted."""
        if other.min_ns is None or other.max_ns is None:
            return
        buckets = self._buckets
        if buckets:
            for index, count in other._buckets.items():
                buckets[index] = buckets.get(index, 0) + count
        else:
            buckets.update(other._buckets)
        self.sum_ns += other.sum_ns
        self.min_ns = other.min_ns if self.min_ns is None else min(self.min_ns, other.min_ns)
        self.max_ns = other.max_ns if self.max_ns is None else max(self.max_ns, other.max_ns)

    def merge_bytes(self, data: bytes) -> None:
        """`merge` of what `to_bytes` wrote, without making a histogram of it in between."""
        if len(data) == 1 and data[0] == _FORMAT:
            return
        sum_ns, min_ns, spread, indexes, counts = _parse(data)
        buckets = self._buckets
        if buckets:
            held = buckets.get
            for index, count in zip(indexes, counts, strict=True):
                buckets[index] = held(index, 0) + count
        else:
            buckets.update(zip(indexes, counts, strict=True))
        self.sum_ns += sum_ns
        self.min_ns = min_ns if self.min_ns is None else min(self.min_ns, min_ns)
        self.max_ns = min_ns + spread if self.max_ns is None else max(self.max_ns, min_ns + spread)

    def count_within(self, ns: int) -> int:
        """How many results did not exceed `ns`; of those within the accuracy of it, some may be counted wrongly."""
        if self.max_ns is None or ns >= self.max_ns:
            return self.count
        return sum(count for index, count in self._buckets.items() if self._clamped(index) <= ns)

    def quantile(self, q: float) -> int | None:
        """The latency that a share `q` of the results did not exceed, in nanoseconds; None without results.

        The nearest rank: the smallest result such that at least `q` of all are at or below it.
        """
        return self.quantiles((q,))[0]

    def quantiles(self, shares: Iterable[float]) -> list[int | None]:
        """`quantile` of each share."""
        shares = list(shares)
        if any(not 0 <= q <= 1 for q in shares):
            raise ValueError(f"a share is between 0 and 1: {shares}")
        if self.min_ns is None or self.max_ns is None:
            return [None] * len(shares)
        total, ordered = self.count, sorted(self._buckets.items())
        # A share such as 0.07 of 100 is a hair above 7 in binary.
        return [self._at_rank(max(1, math.ceil(q * total - 1e-9)), total, ordered) for q in shares]

    def _at_rank(self, rank: int, total: int, ordered: list[tuple[int, int]]) -> int | None:
        if rank >= total:
            return self.max_ns
        if rank == 1:
            return self.min_ns
        below = 0
        for index, count in ordered:
            below += count
            if below >= rank:
                return self._clamped(index)
        return self.max_ns

    def _clamped(self, index: int) -> int:
        """The value that stands for a bucket: within the accuracy of all it may hold."""
        assert self.min_ns is not None  # noqa: S101 - asked only where there are results
        assert self.max_ns is not None  # noqa: S101
        if index == _UNDER:
            return self.min_ns
        if index == _OVER:
            return self.max_ns
        middle = 2 * _GAMMA ** (index + _FIRST - 1) / (_GAMMA + 1)
        return min(max(round(middle), self.min_ns), self.max_ns)

    def to_bytes(self) -> bytes:
        """The canonical form: equal histograms have equal bytes."""
        out = bytearray([_FORMAT])
        if self.min_ns is None or self.max_ns is None:
            return bytes(out)
        for number in (self.sum_ns, self.min_ns, self.max_ns - self.min_ns):
            _write(out, number)
        previous = 0
        for index, count in sorted(self._buckets.items()):
            _write(out, index - previous)
            _write(out, count)
            previous = index
        return bytes(out)

    @classmethod
    def from_bytes(cls, data: bytes) -> Histogram:
        """The histogram that `to_bytes` wrote. Raises ValueError for anything else."""
        histogram = cls()
        histogram.merge_bytes(data)
        return histogram

    def __eq__(self, other: object) -> bool:
        return isinstance(other, Histogram) and self.to_bytes() == other.to_bytes()

    __hash__ = None  # type: ignore[assignment]  # it changes

    def __repr__(self) -> str:
        return f"<Histogram of {self.count}, {self.min_ns} to {self.max_ns} ns>"


def _write(out: bytearray, number: int) -> None:
    """Append a number, seven bits a byte, the lowest first; all but the last byte have the eighth bit."""
    while number > 0x7F:
        out.append(number & 0x7F | 0x80)
        number >>= 7
    out.append(number)


def _parse(data: bytes) -> tuple[int, int, int, list[int], list[int]]:
    """The sum, the minimum, how far the maximum lies above it, the buckets, and their counts."""
    if not data or data[0] != _FORMAT:
        raise ValueError("not a histogram of this format")
    numbers = _read(data)
    if len(numbers) < 5 or len(numbers) % 2 == 0:
        raise ValueError("a histogram that was cut off")
    steps, counts = numbers[3::2], numbers[4::2]
    indexes = list(accumulate(steps))
    if indexes[-1] > _OVER or 0 in counts or 0 in steps[1:]:
        raise ValueError("a histogram with a bucket that can't be")
    return numbers[0], numbers[1], numbers[2], indexes, counts


def _read(data: bytes) -> list[int]:
    """The numbers after the first byte."""
    numbers: list[int] = []
    number = shift = 0
    for position, byte in enumerate(data[1:], 2):
        if byte < 0x80:
            numbers.append(number | byte << shift)
            number = shift = 0
            # A dashboard reads tens of thousands of these. After the first bucket most numbers are single bytes.
            if len(numbers) == 4 and data[position:].isascii():
                numbers.extend(data[position:])
                return numbers
        else:
            number |= (byte & 0x7F) << shift
            shift += 7
            if shift > 140:
                raise ValueError("a histogram with a number that can't be")
    if shift:
        raise ValueError("a histogram that was cut off")
    return numbers
