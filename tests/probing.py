"""Probes for tests: one specification, one result, on the loop that workers run on."""

from __future__ import annotations

import asyncio
import os
from collections.abc import Coroutine
from typing import Any, cast

import uvloop

from checks.network import Resources
from checks.network.stamps import keep_stamping
from checks.probe import ProbeContext, run
from checks.probes import KINDS
from checks.result import Result
from checks.spec import ProbedSpec
from tests.factories import make_spec


async def probed(spec: ProbedSpec, resources: Resources, *, explain: bool = False) -> Result:
    """The result of one probe."""
    return await run(KINDS[spec.kind], spec, ProbeContext(resources=resources, explain=explain))


def probe_once(*, resources: Resources | None = None, explain: bool = False, **options: Any) -> Result:
    """The result of one probe with these options."""
    resources = resources or Resources.open()
    return cast("Result", on_loop(probed(make_spec(**options), resources, explain=explain), resources))


def on_loop(work: Coroutine[Any, Any, Any], resources: Resources | None = None) -> Any:
    """What `work` returns, run to its end on uvloop; fails where it left a socket open."""

    async def main() -> Any:
        keep_stamping()  # by a socket that stays
        before = open_sockets()
        try:
            return await work
        finally:
            if resources is not None:
                resources.close()
            for _ in range(400):  # a transport closes in the next turn of the loop, a target a little later
                left = open_sockets() - before
                if not left:
                    break
                await asyncio.sleep(0.005)
            assert not left, "a socket was left open"

    return uvloop.run(main())


def open_sockets() -> set[str]:
    """The client sockets of this process, by their number."""
    found = set()
    for name in os.listdir("/proc/self/fd"):  # noqa: PTH208 - the names are all that is needed
        try:
            target = os.readlink(f"/proc/self/fd/{name}")  # noqa: PTH115
        except OSError:
            continue
        if target.startswith("socket:"):
            found.add(target)
    return found
