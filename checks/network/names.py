"""Names to addresses by a resolver of the monitor's own. Both families are asked at once (RFC 8305).

Answers are kept no longer than they may be; each probe asks for itself, so that one that is cancelled takes no other's
answer along. Unlike `checks.network.resolver`, which is this machine's, a resolver that is silent here is what the monitor
asks about, and not our own trouble.
"""

from __future__ import annotations

import asyncio
from collections import OrderedDict
from dataclasses import dataclass, replace

import dns.exception
import dns.name
from dns.rdatatype import AAAA, A, RdataType

from checks import clock
from checks.network.dialling import Addresses, Later, allowed, own_addresses
from checks.network.nameserver import Question, Reply, ask_at, spoken
from checks.network.route import NameServer
from checks.probe import ProbeContext, ProbeFailure, from_os_error
from checks.result import OURS, Failure, Reason

RESOLUTION_DELAY = 0.05  # seconds that the other family is waited for once there are addresses (RFC 8305, 3)
KEEP_AT_MOST = 30.0  # seconds
KEEP_FAILURE = 2.0  # seconds, so that a retry asks again
MAX_KEPT = 20_000  # answers
_FAMILIES: dict[int, tuple[RdataType, ...]] = {0: (AAAA, A), 4: (A,), 6: (AAAA,)}


@dataclass(frozen=True, slots=True)
class Found:
    """What one family of a name is: addresses, or why there are none."""

    addresses: tuple[str, ...] = ()
    failure: Failure | None = None


class Names:
    """Resolves names by the resolvers of monitors and keeps the answers; belongs to one event loop."""

    def __init__(self) -> None:
        self._kept: OrderedDict[tuple[NameServer, str, RdataType], tuple[float, Found]] = OrderedDict()

    def forget(self, server: NameServer, name: str) -> None:
        """Ask again the next time: the addresses of this name did not work."""
        for rdtype in _FAMILIES[0]:
            self._kept.pop((server, name, rdtype), None)

    async def resolve(
        self, context: ProbeContext, server: NameServer, name: str, family: int
    ) -> tuple[Addresses, Later | None]:
        """The addresses of a name that may be dialled, and a task that brings those that come late; `dns` is marked.

        Raises ProbeFailure.
        """
        servers = await own_addresses(context, server.host)
        context.stopwatch.phase = "dns"
        context.seen.waiting_for = f"the resolver {spoken(server)}"
        asked = _Asked(context, server, servers, name)
        tasks = [asyncio.create_task(self._find(asked, rdtype), name=f"resolve {name}") for rdtype in _FAMILIES[family]]
        late: asyncio.Task[Found] | None = None
        try:
            done, _ = await asyncio.wait(tasks, return_when=asyncio.FIRST_COMPLETED)
            useful = any(task.result().addresses for task in done)
            _, waiting = await asyncio.wait(tasks, timeout=RESOLUTION_DELAY if useful else None)
            found = [task.result() for task in tasks if task not in waiting]
            addresses = [address for one in found for address in one.addresses]
            if not addresses:
                raise ProbeFailure(_most_telling([one.failure for one in found if one.failure is not None]))
            context.seen.waiting_for = ""
            context.stopwatch.mark("dns", "connect")
            kept = allowed(context, name, addresses)
            late = next(iter(waiting), None)
        finally:
            for task in tasks:
                if task is not late:
                    task.cancel()
        return kept, None if late is None else _coming_late(context, name, late)

    async def _find(self, asked: _Asked, rdtype: RdataType) -> Found:
        """What a resolver knows of one family of a name. Never raises for a fault that is not ours."""
        key = (asked.server, asked.name, rdtype)
        kept = self._kept.get(key)
        if kept is not None and clock.monotonic() < kept[0]:
            return kept[1]
        self._kept.pop(key, None)
        aside = ProbeContext(resources=asked.context.resources)  # of the whole time, only `dns` is the probe's
        question = Question(name=dns.name.from_text(asked.name), type=rdtype)
        try:
            reply = await ask_at(aside, asked.server, asked.servers, question)
            found, keep = asked.read(reply)
        except (OSError, ProbeFailure) as exc:
            failure = exc.failure if isinstance(exc, ProbeFailure) else from_os_error(exc, "dns")
            if failure.reason in OURS:
                return Found(failure=replace(failure, phase="dns"))
            found, keep = asked.failed(failure.message), KEEP_FAILURE
        if keep > 0:
            self._kept[key] = (clock.monotonic() + keep, found)
            if len(self._kept) > MAX_KEPT:
                self._kept.popitem(last=False)
        return found


@dataclass(frozen=True, slots=True)
class _Asked:
    """A name, and the resolver that is asked for it."""

    context: ProbeContext
    server: NameServer
    servers: Addresses  # of the resolver itself
    name: str

    def read(self, reply: Reply) -> tuple[Found, float]:
        """What a reply says, and for how many seconds it may be kept."""
        said = f"says the resolver {spoken(self.server)}"
        if reply.rcode == "NXDOMAIN":
            return self._unknown(f"the name {self.name} does not exist, {said}")
        if reply.rcode != "NOERROR":
            return self.failed(reply.rcode), KEEP_FAILURE
        try:
            chain = reply.answers()
        except dns.exception.DNSException as exc:
            return self.failed(f"its answer contradicts itself ({exc})"), KEEP_FAILURE
        if chain.answer is None:
            return self._unknown(f"the name {self.name} has no address, {said}")
        addresses = tuple(str(rdata.address) for rdata in chain.answer)
        return Found(addresses=addresses), min(chain.minimum_ttl, KEEP_AT_MOST)

    def failed(self, words: str) -> Found:
        """What is found where the resolver did not do its work."""
        message = f"the resolver {spoken(self.server)} could not resolve {self.name}: {words}"
        return Found(failure=Failure(reason=Reason.NAME_FAILED, message=message, phase="dns"))

    def _unknown(self, message: str) -> tuple[Found, float]:
        return Found(failure=Failure(reason=Reason.NAME_NOT_FOUND, message=message, phase="dns")), KEEP_FAILURE


def _most_telling(failures: list[Failure]) -> Failure:
    """Of the failures of both families the one that leaves more in doubt: there may have been an address."""
    return next((failure for failure in failures if failure.reason is not Reason.NAME_NOT_FOUND), failures[-1])


def _coming_late(context: ProbeContext, name: str, late: asyncio.Task[Found]) -> Later:
    """The task that brings the addresses that `late` finds, if any; to cancel it ends both."""

    async def come() -> Addresses:
        found = await late
        try:
            return allowed(context, name, found.addresses)
        except ProbeFailure:
            return ()

    coming = asyncio.create_task(come(), name=f"late addresses of {name}")
    coming.add_done_callback(lambda _: late.cancel())  # also where it is cancelled before it began
    return coming
