"""One question and its answer in datagrams, stamped where they arrive; shared by the kinds that ask without connecting.

The socket is connected: only what the address that was asked (and checked) sends is heard, and a refusal is told.
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from dataclasses import dataclass

from checks import clock
from checks.network.attempts import first_to_stand, shown
from checks.network.dialling import Addresses, Later
from checks.probe import ProbeContext, ProbeFailure
from checks.result import Failure, Observation, Reason

MOST_OTHERS = 1000  # datagrams that do not fit, after which no more are heard

Fits = Callable[[bytes], bool]


@dataclass(frozen=True, slots=True)
class Heard:
    """A datagram, when it arrived, and when the question was sent, both by `clock.monotonic_ns`."""

    data: bytes
    at_ns: int
    asked_ns: int


class _Asking(asyncio.DatagramProtocol):
    """Waits for the first datagram that fits; others are counted."""

    def __init__(self, fits: Fits, seen: Observation) -> None:
        self.fits, self.seen = fits, seen
        self.asked_ns = 0
        self.others = 0
        self.answer: asyncio.Future[Heard] = asyncio.get_running_loop().create_future()

    def datagram_received(self, data: bytes, addr: object) -> None:  # noqa: ARG002 - asyncio's signature
        """Asyncio's: a datagram arrived."""
        at_ns = clock.monotonic_ns()
        if self.answer.done():
            return
        if self.fits(data):
            self.answer.set_result(Heard(data, at_ns, self.asked_ns))
            return
        self.others += 1
        if self.others >= MOST_OTHERS:
            message = f"what came ({self.others} datagrams) does not fit the question"
            failure = Failure(reason=Reason.PROTOCOL, message=message, phase="first_byte")
            self.answer.set_exception(ProbeFailure(failure))
        else:
            waiting_for = self.seen.waiting_for.partition(";")[0] or "an answer"
            self.seen.waiting_for = f"{waiting_for}; what came ({self.others}) does not fit the question"

    def error_received(self, exc: Exception) -> None:
        """Asyncio's: the address says that nobody listens."""
        if not self.answer.done():
            self.answer.set_exception(exc)


async def exchange(
    context: ProbeContext,
    addresses: Addresses,
    port: int,
    question: bytes,
    fits: Fits,
    *,
    again_after: float | None = None,
    later: Later | None = None,
) -> Heard:
    """The first datagram that fits, of the first address that sends one; `first_byte` ends where it arrived.

    The question is sent again after `again_after` seconds, then after twice as many, and so on. Raises OSError and
    ProbeFailure.
    """
    context.stopwatch.mark("other", "first_byte")

    async def attempt(address: str) -> tuple[Heard, str]:
        transport, asking = await asyncio.get_running_loop().create_datagram_endpoint(
            lambda: _Asking(fits, context.seen), remote_addr=(address, port)
        )
        try:
            wait = again_after
            while not asking.answer.done():
                asking.asked_ns = clock.monotonic_ns()
                transport.sendto(question)
                await asyncio.wait([asking.answer], timeout=wait)
                wait = wait and 2 * wait
            return asking.answer.result(), address
        finally:
            transport.close()

    heard, address = await first_to_stand(addresses, attempt, lambda _: None, later)
    context.seen.evidence["address"] = shown(address, port)
    context.seen.waiting_for = ""
    context.stopwatch.mark("first_byte", "other", heard.at_ns)
    return heard
