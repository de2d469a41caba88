"""What our histogram costs and how exact it is, beside a plain sparse log histogram and the exact quantiles.

    python benchmarks/histogram.py [--updates 200000]

Everything is CPU time of this process. Nothing is asserted: the figures are printed.
"""

from __future__ import annotations

import argparse
import math
import os
import pickle
import platform
import random
import statistics
import sys
import time
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

sys.path.insert(0, str(Path(__file__).resolve().parents[1]))

from checks.histogram import Histogram

HOUR, DAY = 360, 8640  # results of a monitor at 10 s
SHARES = (0.5, 0.95, 0.99, 0.999)


class Plain:
    """What to compare with: buckets by the rounded logarithm in a dict, and nothing else."""

    def __init__(self, error: float = 0.01) -> None:
        self.buckets: dict[int, int] = {}
        self.gamma = (1 + error) / (1 - error)
        self.scale = 1 / math.log(self.gamma)

    def add(self, ns: int) -> None:
        index = math.ceil(math.log(ns) * self.scale)
        self.buckets[index] = self.buckets.get(index, 0) + 1

    def add_all(self, values: Sequence[int]) -> None:
        for ns in values:
            self.add(ns)

    def merge(self, other: Plain) -> None:
        for index, count in other.buckets.items():
            self.buckets[index] = self.buckets.get(index, 0) + count

    def quantile(self, share: float) -> float:
        rank, below = max(1, math.ceil(share * sum(self.buckets.values()))), 0
        for index in sorted(self.buckets):
            below += self.buckets[index]
            if below >= rank:
                return 2 * self.gamma**index / (self.gamma + 1)
        return math.nan

    def to_bytes(self) -> bytes:
        return pickle.dumps(sorted(self.buckets.items()))

    def merge_bytes(self, data: bytes) -> None:
        for index, count in pickle.loads(data):
            self.buckets[index] = self.buckets.get(index, 0) + count


def shape(outliers: float) -> Callable[[random.Random], int]:
    """Log-normal around 60 ms; some results twenty times as slow."""
    return lambda chance: int(chance.lognormvariate(17.9, 0.3) * (20 if chance.random() < outliers else 1))


SHAPES = {"log-normal": shape(0), "1 % outliers": shape(0.01), "3 % outliers": shape(0.03)}


def exact(ordered: Sequence[int], share: float) -> int:
    return ordered[max(1, math.ceil(share * len(ordered) - 1e-9)) - 1]


def timed(what: Callable[[], Any], items: int, rounds: int = 5) -> float:
    """Seconds of CPU an item: the median of some rounds."""
    spent = []
    for _ in range(rounds):
        begun = time.process_time()
        what()
        spent.append((time.process_time() - begun) / items)
    return statistics.median(spent)


def cost(name: str, kind: type[Histogram | Plain], updates: int) -> None:
    chance, make = random.Random(1), SHAPES["1 % outliers"]
    values = [make(chance) for _ in range(updates)]
    hours = [values[begin : begin + HOUR] for begin in range(0, updates - HOUR, HOUR)]
    made = [filled(kind, hour) for hour in hours]
    stored = [each.to_bytes() for each in made]

    def merge() -> None:
        total = kind()
        for each in made:
            total.merge(each)  # type: ignore[arg-type]  # of one kind

    def merge_bytes() -> None:
        total = kind()
        for data in stored:
            total.merge_bytes(data)
        total.quantile(0.99)

    lines = [
        ("an update", timed(lambda: filled(kind, values), updates) * 1e9, "ns"),
        ("an update, an hour at once", timed(lambda: [kind().add_all(hour) for hour in hours], updates) * 1e9, "ns"),
        ("a merge", timed(merge, len(made)) * 1e6, "us"),
        ("a merge of stored bytes", timed(merge_bytes, len(made)) * 1e6, "us"),
        ("writing", timed(lambda: [each.to_bytes() for each in made], len(made)) * 1e6, "us"),
    ]
    told = ", ".join(f"{word} {figure:.1f} {unit}" for word, figure, unit in lines)
    print(f"{name}: {told}")


def filled(kind: type[Histogram | Plain], values: Sequence[int]) -> Histogram | Plain:
    histogram = kind()
    for ns in values:
        histogram.add(ns)
    return histogram


def exactness(name: str, kind: type[Histogram | Plain]) -> None:
    for word, make in SHAPES.items():
        chance, worst, sizes = random.Random(7), dict.fromkeys(SHARES, 0.0), {HOUR: [], DAY: []}
        for size in (HOUR, DAY):
            for _ in range(60 if size == HOUR else 6):
                values = [make(chance) for _ in range(size)]
                histogram = filled(kind, values)
                values.sort()
                sizes[size].append(len(histogram.to_bytes()))
                for share in SHARES:
                    found, true = histogram.quantile(share), exact(values, share)
                    assert found is not None
                    worst[share] = max(worst[share], abs(found - true) / true)
        errors = ", ".join(f"p{share * 100:g} {100 * error:.2f} %" for share, error in worst.items())
        bytes_told = ", ".join(
            f"{statistics.fmean(sizes[size]):.0f} bytes {period}"
            for size, period in ((HOUR, "an hour"), (DAY, "a day"))
        )
        print(f"{name}, {word:<12}: worst error {errors}; {bytes_told}")


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--updates", type=int, default=200_000)
    given = parser.parse_args()
    print(
        f"{platform.machine()}, {os.cpu_count()} cores, load {os.getloadavg()[0]:.1f}, Python {platform.python_version()}"
    )
    kinds = {"ours": Histogram, "plain sparse": Plain}
    for name, kind in kinds.items():
        cost(name, kind, given.updates)
    for name, kind in kinds.items():
        exactness(name, kind)


if __name__ == "__main__":
    main()
