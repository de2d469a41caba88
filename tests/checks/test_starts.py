from __future__ import annotations

import asyncio
from collections import Counter

import uvloop

from checks import clock
from checks.starts import TOGETHER, Starts


def started(*delays: float, within: float = 0.3) -> list[tuple[int, float]]:
    """Which of these started, in their order, each with how late it was."""
    found: list[tuple[int, float]] = []

    async def main() -> None:
        begun = clock.monotonic()
        starts = Starts(lambda number: found.append((number, clock.monotonic() - begun - delays[number])))
        for number, delay in enumerate(delays):
            starts.add(begun + delay, number)
        await asyncio.sleep(within)

    uvloop.run(main())
    return found


def test_things_start_in_the_order_of_their_instants_and_never_early():
    found = started(0.05, 0.01, 0.03, -1.0)
    assert [number for number, _ in found] == [3, 1, 2, 0]
    assert all(late >= 0 for _, late in found)


def test_what_is_due_at_one_instant_starts_in_the_order_in_which_it_came():
    assert [number for number, _ in started(*[0.02] * 50)] == list(range(50))


def test_much_that_is_due_takes_few_wakes():
    wakes: set[float] = set()

    async def main() -> None:
        begun = clock.monotonic()
        starts = Starts(lambda _: wakes.add(asyncio.get_running_loop().time()))
        starts.keep_to(4_000)
        for number in range(200):
            starts.add(begun + number / 2_000, number)
        await asyncio.sleep(0.2)

    uvloop.run(main())
    assert len(wakes) <= 0.1 / TOGETHER * 3  # one each would be 200; a busy machine wakes late, then twice at once


def test_very_much_that_is_due_starts_at_the_pace_it_is_kept_to():
    wakes: list[float] = []

    async def main() -> None:
        starts = Starts(lambda _: wakes.append(asyncio.get_running_loop().time()))
        starts.keep_to(20 / TOGETHER)
        for number in range(100):
            starts.add(clock.monotonic(), number)
        await asyncio.sleep(0.3)

    uvloop.run(main())
    assert len(wakes) == 100
    assert max(Counter(wakes).values()) == 20


def test_what_is_cleared_does_not_start():
    found: list[int] = []

    async def main() -> None:
        starts = Starts(found.append)
        starts.add(clock.monotonic() + 0.02, 1)
        starts.clear()
        await asyncio.sleep(0.05)
        starts.add(clock.monotonic(), 2)
        await asyncio.sleep(0.05)

    uvloop.run(main())
    assert found == [2]


def test_a_start_may_add_another():
    found: list[int] = []

    async def main() -> None:
        def start(number: int) -> None:
            found.append(number)
            if number < 3:
                starts.add(clock.monotonic(), number + 1)

        starts = Starts(start)
        starts.add(clock.monotonic(), 1)
        await asyncio.sleep(0.1)

    uvloop.run(main())
    assert found == [1, 2, 3]
