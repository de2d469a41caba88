"""Latencies that can be merged: a histogram with logarithmic buckets, 1 % relative error from 100 us to 1 h.

After DDSketch (Masson, Rim, Lee: VLDB 2019). Counts and sums are integers, so merging in any order gives the same
bytes; a percentile of a month is a percentile of all its results, never an average of percentiles.
"""

from __future__ import annotations

import struct
from bisect import bisect_left
from collections import Counter
from collections.abc import Iterable, Sequence
from itertools import accumulate
from math import ceil, log

LOWEST_NS = 100_000  # 100 us; what is faster shares one bucket, whose exact minimum is kept
HIGHEST_NS = 3_600_000_000_000  # 1 h; what is slower shares one bucket, whose exact maximum is kept
ERROR = 0.01  # how far a quantile may be from the result that it stands for, as a share of that result
ACCURACY = 0.0099  # a little under it, for rounding to whole nanoseconds

_GAMMA = (1 + ACCURACY) / (1 - ACCURACY)  # how much wider than its neighbour a bucket is
_PER_LOG = 1 / log(_GAMMA)
_FIRST = ceil(log(LOWEST_NS) * _PER_LOG) - 1  # what to take from the number of a bucket, so that ours begin at 1
_UNDER = 0  # the bucket of what is faster; those between follow from 1
_OVER = ceil(log(HIGHEST_NS) * _PER_LOG) - _FIRST + 1
_FORMAT = 2  # the first byte of the serialised form
_EMPTY, _FORMER = b"\x02", b"\x01"
_HEAD = struct.Struct("<BQQQB")  # the format, the sum, the minimum, how far the maximum lies above, and how many runs
_RUN = struct.Struct("<HH")  # the first bucket of a run, and its shape: how many there are, and the width of a count
_ALONE = 1 << 2  # the shape of a run of one bucket with a count of one byte
_WIDTHS, _CODES = (1, 2, 4, 8), "BHIQ"  # bytes of a count in a run of buckets, and what `struct` calls them
_FEW = 8  # latencies that are as fast added one by one
_GAP = 8  # empty buckets that end a run
_LANE = 16  # bits of a bucket where runs are added as one number
_MOST_ADDED = 257  # runs of bytes after which a lane could overflow
_SHORT = 6  # buckets of a run that are as fast added one by one


class Histogram:
    """How many results took how long."""

    __slots__ = ("_added", "_base", "_buckets", "_high", "_low", "max_ns", "min_ns", "sum_ns")

    def __init__(self) -> None:
        self._buckets: dict[int, int] = {}
        # What was merged from bytes and stands in no bucket yet: the counts of all buckets side by side in one number,
        # their second bytes in another. Adding two of those costs a tenth of adding their buckets one by one.
        self._low = self._high = self._added = 0
        self._base = 0  # the bucket at which the two numbers begin
        self.sum_ns = 0
        self.min_ns: int | None = None
        self.max_ns: int | None = None

    @property
    def count(self) -> int:
        """How many results it holds."""
        return sum(self._settled().values())

    def add(self, ns: int) -> None:
        """Count one latency in nanoseconds."""
        index = ceil(log(ns) * _PER_LOG) - _FIRST if LOWEST_NS <= ns <= HIGHEST_NS else _beyond(ns)
        try:
            self._buckets[index] += 1
        except KeyError:
            self._buckets[index] = 1
            self._extend(ns, ns, ns)
            return
        self.sum_ns += ns
        if ns < self.min_ns:  # type: ignore[operator]  # where a bucket is, there are both
            self.min_ns = ns
        elif ns > self.max_ns:  # type: ignore[operator]
            self.max_ns = ns

    def add_all(self, latencies: Sequence[int]) -> None:
        """Count many latencies: `add` of each, in half the time."""
        if not latencies:
            return
        lowest, highest = min(latencies), max(latencies)
        if len(latencies) < _FEW or lowest < LOWEST_NS or highest > HIGHEST_NS:
            for ns in latencies:
                self.add(ns)
            return
        scale, first = _PER_LOG, _FIRST
        buckets = self._buckets
        for index, count in Counter([ceil(log(ns) * scale) for ns in latencies]).items():
            buckets[index - first] = buckets.get(index - first, 0) + count
        self._extend(sum(latencies), lowest, highest)

    def merge(self, other: Histogram) -> None:
        """Count everything that `other` counted, which is only read: threads may share it."""
        if other.min_ns is None or other.max_ns is None:
            return
        if self.min_ns is None:
            self._buckets = dict(other._buckets)
            self._low, self._high, self._added, self._base = other._low, other._high, other._added, other._base
        else:
            buckets = self._settled()
            first, counts = other._in_order()
            for index, count in enumerate(counts, first):
                if count:
                    buckets[index] = buckets.get(index, 0) + count
        self._extend(other.sum_ns, other.min_ns, other.max_ns)

    def merge_bytes(self, data: bytes) -> None:
        """`merge` of what `to_bytes` wrote. Raises ValueError for anything else."""
        if data[:1] == _FORMER:
            self._merge_former(data)
            return
        if data[:1] != _EMPTY:
            raise ValueError("not a histogram of this format")
        if len(data) == 1:
            return
        try:
            _, sum_ns, min_ns, spread, number = _HEAD.unpack_from(data)
            if self._added + number > _MOST_ADDED:
                self._settled()
            self._added += number
            buckets, position = self._buckets, _HEAD.size + 4 * number
            for index, shape in _RUN.iter_unpack(data[_HEAD.size : position]):
                if shape == _ALONE and index <= _OVER:
                    buckets[index] = buckets.get(index, 0) + data[position]
                    position += 1
                    continue
                size, width = shape >> 2, _WIDTHS[shape & 3]
                end = position + size * width
                if index + size > _OVER + 1 or end > len(data):
                    raise ValueError("a histogram with a bucket that can't be")
                self._add_run(index, data[position:end], width)
                position = end
        except (IndexError, struct.error):
            raise ValueError("a histogram that was cut off") from None
        if position != len(data) or not number:
            raise ValueError("a histogram that was cut off")
        self._extend(sum_ns, min_ns, min_ns + spread)

    def _add_run(self, index: int, run: bytes, width: int) -> None:
        if width > 2 or len(run) <= _SHORT * width:
            counts = run if width == 1 else struct.unpack(f"<{len(run) // width}{_CODES[_WIDTHS.index(width)]}", run)
            buckets = self._buckets
            for bucket, count in enumerate(counts, index):
                if count:
                    buckets[bucket] = buckets.get(bucket, 0) + count
            return
        if not self._low and not self._high:
            self._base = index
        elif index < self._base:
            self._low <<= _LANE * (self._base - index)
            self._high <<= _LANE * (self._base - index)
            self._base = index
        place = _LANE * (index - self._base)
        self._low += _spread(run[::width]) << place
        if width == 2:
            self._high += _spread(run[1::2]) << place

    def _merge_former(self, data: bytes) -> None:
        """`merge_bytes` of the form that earlier versions wrote: the buckets one by one."""
        if len(data) == 1:
            return
        sum_ns, min_ns, spread, indexes, counts = _parse_former(data)
        buckets = self._buckets
        for index, count in zip(indexes, counts, strict=True):
            buckets[index] = buckets.get(index, 0) + count
        self._extend(sum_ns, min_ns, min_ns + spread)

    def _extend(self, sum_ns: int, min_ns: int, max_ns: int) -> None:
        self.sum_ns += sum_ns
        if self.min_ns is None or min_ns < self.min_ns:
            self.min_ns = min_ns
        if self.max_ns is None or max_ns > self.max_ns:
            self.max_ns = max_ns

    def _settled(self) -> dict[int, int]:
        """The buckets, with all that was merged from bytes."""
        buckets = self._buckets
        for weight, lanes in ((1, self._low), (256, self._high)):
            for index, count in enumerate(_gathered(lanes), self._base):
                if count:
                    buckets[index] = buckets.get(index, 0) + weight * count
        self._low = self._high = self._added = 0
        return buckets

    def _in_order(self) -> tuple[int, list[int]]:
        """A bucket, none before which holds anything, and the counts from it on: `_settled` for who asks once."""
        low, high, buckets = _gathered(self._low), _gathered(self._high), self._buckets
        first, last = (self._base, self._base + max(len(low), len(high)) - 1) if low or high else (_OVER, _UNDER)
        first, last = min(first, *buckets, _OVER), max(last, *buckets, _UNDER)
        counts = [0] * (last - first + 1)
        place = self._base - first
        counts[place : place + len(low)] = low
        for index, count in enumerate(high, place):
            counts[index] += 256 * count
        for index, count in buckets.items():
            counts[index - first] += count
        return first, counts

    def count_within(self, ns: int) -> int:
        """How many results did not exceed `ns`; of those within the accuracy of it, some may be counted wrongly."""
        if self.max_ns is None or ns >= self.max_ns:
            return self.count
        return sum(count for index, count in self._settled().items() if self._clamped(index) <= ns)

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
        first, counts = self._in_order()
        reached = list(accumulate(counts))
        if not reached or not reached[-1]:  # somebody spoiled it: none of us writes runs of nothing
            return [None] * len(shares)
        # A share such as 0.07 of 100 is a hair above 7 in binary.
        ranks = [max(1, ceil(q * reached[-1] - 1e-9)) for q in shares]
        return [self._at_rank(rank, first, reached) for rank in ranks]

    def _at_rank(self, rank: int, first: int, reached: list[int]) -> int | None:
        if rank >= reached[-1]:
            return self.max_ns
        if rank == 1:
            return self.min_ns
        return self._clamped(first + bisect_left(reached, rank))

    def _clamped(self, index: int) -> int:
        """The value that stands for a bucket: within the accuracy of all it may hold."""
        assert self.min_ns is not None  # noqa: S101 - asked only where there are results
        assert self.max_ns is not None  # noqa: S101
        if index == _UNDER:
            return self.min_ns
        if index == _OVER:
            return self.max_ns
        middle = 2 * _GAMMA ** (index + _FIRST) / (_GAMMA + 1)
        return min(max(round(middle), self.min_ns), self.max_ns)

    def to_bytes(self) -> bytes:
        """The canonical form: equal histograms have equal bytes."""
        if self.min_ns is None or self.max_ns is None:
            return _EMPTY
        buckets = self._settled()
        runs, table, parts = list(_runs(sorted(buckets))), [], []
        for first, last in runs:
            counts = [buckets.get(index, 0) for index in range(first, last + 1)]
            most = max(counts)
            code = next(code for code, width in enumerate(_WIDTHS) if most < 1 << 8 * width)
            table += [first, len(counts) << 2 | code]
            parts.append(struct.pack(f"<{len(counts)}{_CODES[code]}", *counts))
        head = _HEAD.pack(_FORMAT, self.sum_ns, self.min_ns, self.max_ns - self.min_ns, len(runs))
        return b"".join([head, struct.pack(f"<{len(table)}H", *table), *parts])

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


def _spread(counts: bytes) -> int:
    """The counts side by side in one number, with place for what is added to each."""
    lanes = bytearray(2 * len(counts))
    lanes[::2] = counts
    return int.from_bytes(lanes, "little")


def _gathered(lanes: int) -> tuple[int, ...]:
    """The counts that `_spread` made one number of, and the sums of several such."""
    size = -(-lanes.bit_length() // _LANE)
    return struct.unpack(f"<{size}H", lanes.to_bytes(2 * size, "little"))


def _beyond(ns: int) -> int:
    """The bucket of what is faster than the lowest or slower than the highest."""
    if ns < 0:
        raise ValueError(f"a latency is never negative: {ns} ns")
    return _UNDER if ns < LOWEST_NS else _OVER


def _number(data: bytes, position: int) -> tuple[int, int]:
    """The number at a position, seven bits a byte and the lowest first, and the position after it."""
    byte = data[position]
    if byte < 0x80:
        return byte, position + 1
    number, shift = byte & 0x7F, 7
    while True:
        position += 1
        byte = data[position]
        number |= (byte & 0x7F) << shift
        if byte < 0x80:
            return number, position + 1
        shift += 7
        if shift > 140:
            raise ValueError("a histogram with a number that can't be")


def _runs(indexes: list[int]) -> Iterable[tuple[int, int]]:
    """The first and the last bucket of each run."""
    first = last = indexes[0]
    for index in indexes:
        if index - last > _GAP:
            yield first, last
            first = index
        last = index
    yield first, last


def _parse_former(data: bytes) -> tuple[int, int, int, list[int], list[int]]:
    """The sum, the minimum, how far the maximum lies above it, the buckets, and their counts."""
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
    numbers, position = [], 1
    try:
        while position < len(data):
            number, position = _number(data, position)
            numbers.append(number)
    except IndexError:
        raise ValueError("a histogram that was cut off") from None
    return numbers
