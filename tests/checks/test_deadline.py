from __future__ import annotations

import asyncio
import contextlib

import pytest

from checks.deadline import Deadline


def test_a_block_that_takes_too_long_raises_and_leaves_the_task_as_it_was() -> None:
    async def main() -> None:
        with pytest.raises(TimeoutError), Deadline(0.01):
            await asyncio.sleep(10)
        task = asyncio.current_task()
        assert task is not None
        assert task.cancelling() == 0
        await asyncio.sleep(0)

    asyncio.run(main())


def test_a_block_in_time_is_never_cancelled() -> None:
    async def main() -> str:
        with Deadline(0.01):
            await asyncio.sleep(0)
        await asyncio.sleep(0.03)
        return "done"

    assert asyncio.run(main()) == "done"


def test_what_the_block_raises_passes_through() -> None:
    async def main() -> None:
        with pytest.raises(ConnectionError), Deadline(10):
            raise ConnectionError

    asyncio.run(main())


def test_a_cancellation_from_elsewhere_is_no_timeout() -> None:
    async def wait() -> None:
        with Deadline(10):
            await asyncio.sleep(10)

    async def main() -> None:
        task = asyncio.create_task(wait())
        await asyncio.sleep(0.01)
        task.cancel()
        with pytest.raises(asyncio.CancelledError):
            await task

    asyncio.run(main())


def test_a_cancellation_beside_the_deadline_wins() -> None:
    async def wait() -> None:
        with Deadline(0.02):
            try:
                await asyncio.sleep(10)
            finally:
                await asyncio.shield(asyncio.sleep(0.02))

    async def main() -> None:
        task = asyncio.create_task(wait())
        await asyncio.sleep(0.03)
        task.cancel()
        with pytest.raises(asyncio.CancelledError):
            await task

    asyncio.run(main())


def test_a_block_that_swallows_its_cancellation_ends_in_order() -> None:
    async def main() -> int:
        task = asyncio.current_task()
        assert task is not None
        with Deadline(0.01), contextlib.suppress(asyncio.CancelledError):
            await asyncio.sleep(10)
        return task.cancelling()

    assert asyncio.run(main()) == 0
