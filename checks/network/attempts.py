"""Connecting to one of several addresses: each has a head start before the next is tried beside it (RFC 8305)."""

from __future__ import annotations

import asyncio
import itertools
import socket
from collections import deque
from collections.abc import Callable, Coroutine, Sequence
from typing import Any, TypeVar

from checks.probe import ProbeFailure, from_os_error
from checks.result import OURS, Reason

HEAD_START = 0.25  # seconds that an address has before the next is tried beside it
MAX_ADDRESSES = 10  # of a name that are tried

T = TypeVar("T")


def shown(address: str, port: int) -> str:
    """An address and its port as people read them."""
    return f"[{address}]:{port}" if ":" in address else f"{address}:{port}"


def has_route(address: str) -> bool:
    """Whether a way leads from this machine to an address; nothing is sent."""
    row = socket.getaddrinfo(address, 9, type=socket.SOCK_DGRAM, flags=socket.AI_NUMERICHOST)[0]
    try:
        with socket.socket(row[0], socket.SOCK_DGRAM) as sock:
            sock.connect(row[4])
    except OSError:
        return False
    return True


async def first_to_stand(
    addresses: Sequence[str],
    attempt: Callable[[str], Coroutine[Any, Any, T]],
    drop: Callable[[T], None],
    later: asyncio.Task[Sequence[str]] | None = None,
) -> T:
    """What the first attempt that succeeds returns; what others may have won meanwhile is dropped.

    `later` brings more addresses while the first are tried; it is cancelled where they are not needed.
    Raises OSError or ProbeFailure, the most telling of those that the attempts raised.
    """
    if later is None and len(addresses) == 1:
        return await attempt(addresses[0])
    waiting = deque(alternating(addresses)[:MAX_ADDRESSES])
    attempts: set[asyncio.Task[T]] = set()
    errors: list[OSError | ProbeFailure] = []
    try:
        while waiting or attempts or later is not None:
            if waiting:
                address = waiting.popleft()
                attempts.add(asyncio.create_task(attempt(address), name=f"connect to {address}"))
            awaited: set[asyncio.Task[Any]] = attempts if later is None else {*attempts, later}
            ready, _ = await asyncio.wait(
                awaited, timeout=HEAD_START if waiting else None, return_when=asyncio.FIRST_COMPLETED
            )
            if later is not None and later in ready:
                waiting.extend(later.result()[: MAX_ADDRESSES - len(waiting)])
                later = None
            done = attempts & ready
            for task in done:
                if task.exception() is None:
                    attempts.discard(task)
                    return task.result()
            for task in done:
                attempts.discard(task)
                errors.append(_only_expected(task.exception()))
    finally:
        if later is not None:
            later.cancel()
            await asyncio.gather(later, return_exceptions=True)
        await _abandon(attempts, drop)
    # Where one address was out of our reach and another refused, the target speaks louder than our network.
    raise min(errors, key=lambda exc: _reason(exc) in OURS)


def _only_expected(exc: BaseException | None) -> OSError | ProbeFailure:
    if isinstance(exc, OSError | ProbeFailure):
        return exc
    raise exc or AssertionError("an attempt that failed has an exception")


def _reason(exc: OSError | ProbeFailure) -> Reason:
    return exc.failure.reason if isinstance(exc, ProbeFailure) else from_os_error(exc, "connect").reason


async def _abandon(attempts: set[asyncio.Task[T]], drop: Callable[[T], None]) -> None:
    """Cancel the attempts that lost, and drop what some of them may have won meanwhile."""
    for task in attempts:
        task.cancel()
    for outcome in await asyncio.gather(*attempts, return_exceptions=True):
        if not isinstance(outcome, BaseException):
            drop(outcome)


def alternating(addresses: Sequence[str]) -> list[str]:
    """The addresses in the resolver's order, its first family and the other taking turns."""
    first = [a for a in addresses if (":" in a) == (":" in addresses[0])]
    other = [a for a in addresses if (":" in a) != (":" in addresses[0])]
    return [a for pair in itertools.zip_longest(first, other) for a in pair if a is not None]
