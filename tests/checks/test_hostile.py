"""Hostile targets cost their own slots and nothing else. By how much the others slow down, benchmarks/hostile.py says."""

from __future__ import annotations

import asyncio
import threading
import time
from typing import Any

import psutil

from checks.network import Resources
from checks.network.http1 import AT_ONCE
from checks.probe import ProbeContext, run
from checks.probes import KINDS
from checks.result import Outcome, Reason, Result
from tests.factories import make_spec
from tests.hostile import healthy, hostile, hostile_monitors
from tests.probing import on_loop

TIMEOUT = 3.0  # seconds
LATE = 10.0  # seconds that a busy machine may add
DECODERS = 8  # threads that bombs may keep busy

Probed = tuple[Result, float]


async def probed(resources: Resources, options: dict[str, Any]) -> Probed:
    spec, begun = make_spec(**options), time.monotonic()
    result = await run(KINDS[spec.kind], spec, ProbeContext(resources=resources))
    return result, time.monotonic() - begun


def test_two_hundred_hostile_targets_cost_their_own_slots_and_nothing_else(caplog) -> None:
    resources = Resources.open()

    async def main(ports: list[int], port: int) -> tuple[list[Probed], list[Result]]:
        monitors = hostile_monitors(ports, 200, f"{TIMEOUT:g}s")
        attack = asyncio.gather(*(probed(resources, options) for options in monitors))
        beside: list[Result] = []
        while not attack.done():
            others = (probed(resources, {"url": f"http://127.0.0.1:{port}/"}) for _ in range(200))
            beside += [result for result, _ in await asyncio.gather(*others)]
            await asyncio.sleep(0.25)
        attacked = await attack
        await asyncio.sleep(0.1)
        assert asyncio.all_tasks() == {asyncio.current_task()}, "nothing is stuck"
        return attacked, beside

    threads = threading.active_count()
    with hostile() as ports, healthy() as [port]:
        attacked, beside = on_loop(main(ports, port), resources)
        still_open = [each for each in psutil.Process().net_connections() if each.raddr and each.raddr.port in ports]
    assert not still_open
    assert threading.active_count() <= threads + DECODERS
    assert [record.message for record in caplog.records if record.levelname == "ERROR"] == [], "no exception"
    assert len(beside) >= 200
    assert {result.outcome for result in beside} == {Outcome.UP}
    assert max(took for _, took in attacked) < TIMEOUT + LATE, "each costs its slot for its timeout"
    assert {result.outcome for result, _ in attacked} <= {Outcome.DOWN, Outcome.UP}
    reasons = {result.failure.reason for result, _ in attacked if result.failure is not None}
    assert reasons >= {Reason.TIMEOUT, Reason.PROTOCOL, Reason.RESET, Reason.REDIRECT, Reason.DENIED}


def test_tiny_chunks_are_read_in_many_turns_of_the_loop() -> None:
    resources = Resources.open()

    async def main(port: int) -> tuple[Result, int]:
        asked, turns = asyncio.create_task(probed(resources, {"url": f"http://127.0.0.1:{port}/endless-chunks"})), 0
        while not asked.done():
            await asyncio.sleep(0)
            turns += 1
        return asked.result()[0], turns

    with hostile() as ports:
        result, turns = on_loop(main(ports[0]), resources)
    assert result.failure is not None
    assert result.failure.reason is Reason.TOO_LARGE
    assert turns > 2 * 1024 * 1024 / AT_ONCE
