"""Step 2 of the path of a result: claims due targets, starts each probe at its due time, hands results to the recorder.

One loop on uvloop owns every probe; whatever touches the store runs on one of two threads (`checks.lane`): the hot one
claims and records, the house-keeping one does what can wait. A target in `flights` holds a slot from its claim until
its result is in the store, so that what a worker holds is bounded by its slots.
"""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Callable, Collection, Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from functools import partial

import sqlalchemy as sa

from checks import clock, probe, schedule, status
from checks.chores import Chores
from checks.difference import is_worth_keeping
from checks.housekeeping import add_housekeeping
from checks.lag import LagMeter
from checks.lane import Lane
from checks.network import Resources
from checks.prepared import Prepared, Specs
from checks.probe import ProbeContext
from checks.process import Watchdog
from checks.recorder import Recorder
from checks.result import Failure, Outcome, Phases, Reason, Result
from checks.secretbox import SecretBox
from checks.sight import JumpDetector
from checks.starts import Starts
from checks.store import claims
from checks.store.claims import Claimed, Finished

logger = logging.getLogger(__name__)

HORIZON = timedelta(seconds=1)  # how far ahead of its due time a target is claimed
LONGEST_WAIT = 1.0  # seconds between two looks for due targets
SHORTEST_WAIT = 0.05
DRAIN = 8.0  # seconds that probes in flight have to end when the worker is told to stop
LAST_WRITES = 1.5  # seconds that the last results have to be recorded after that
LATE = 2.0  # seconds: what is later than this waits its turn, so that a restart is no burst
SLOWEST_PACE = 50.0  # late starts a second
PACE = 1.5  # late starts, as a multiple of the steady rate


@dataclass(slots=True, eq=False)
class Flight:
    """A claimed target on its way from the claim to the store."""

    claimed: Claimed
    prepared: Prepared
    waiting: bool = True  # for its start
    task: asyncio.Task[None] | None = None  # while it runs


@dataclass(frozen=True, slots=True)
class Claim:
    """What one look for due targets found."""

    claimed: list[Claimed]
    next_due: datetime | None


class Worker:
    """Probes the targets of one location until it is told to stop."""

    def __init__(
        self,
        engine: sa.Engine,
        *,
        name: str,
        location: str,
        slots: int,
        lease: timedelta,
        hot: Lane,
        house: Lane,
        resources: Resources,
        secretbox: Callable[[], SecretBox],
        watchdog: Watchdog,
    ) -> None:
        self._engine = engine
        self._name = name
        self._location = location
        self._slots = slots
        self._lease = lease
        self._resources = resources
        self._specs = Specs(secretbox)
        self._flights: dict[int, Flight] = {}
        self._untaken: Sequence[Claimed] = ()  # claimed, and not in `_flights` yet
        self._starts = Starts(self._start)
        self._late_from = 0.0  # when the next late target may start, by `clock.monotonic`
        self._freed = asyncio.Event()
        self._hot = hot
        self._recorder = Recorder(engine, hot, worker=name, location=location, recorded=self._recorded)
        self._lag = LagMeter(lambda: self._tick(watchdog))
        self._jumps = JumpDetector()
        self._renewing, self._housekeeping = Chores(), Chores()
        self._renewing.every(min(10.0, lease.total_seconds() / 3), "renew", self._renew)
        add_housekeeping(self._housekeeping, house, engine, location=location, lease=lease)

    async def run(self, stop: asyncio.Event) -> None:
        """Returns once it has stopped in order; raises what ended one of its tasks."""
        tasks = [
            asyncio.create_task(self._lag.run(), name="lag"),
            asyncio.create_task(self._recorder.run(), name="recorder"),
            asyncio.create_task(self._claim_for_ever(), name="claims"),
        ]
        stopping = asyncio.create_task(stop.wait(), name="stop")
        self._renewing.start()
        self._housekeeping.start()
        try:
            await asyncio.wait([*tasks, stopping], return_when=asyncio.FIRST_COMPLETED)
            await self._drain(claiming=tasks[2])
        finally:
            for task in [*tasks, stopping]:
                task.cancel()
            ended = await asyncio.gather(*tasks, return_exceptions=True)
            await self._renewing.stop(0.1)
        for outcome in ended:
            if isinstance(outcome, Exception):
                raise outcome

    def _tick(self, watchdog: Watchdog) -> None:
        watchdog.beat("loop")
        if self._jumps.look(clock.utcnow(), clock.monotonic()) is not None:
            logger.warning("the clock was set, or this machine slept", extra={"action": "clock_jumped"})
            self._renewing.realign()
            self._housekeeping.realign()

    # Claiming.

    async def _claim_for_ever(self) -> None:
        while True:
            await self._recorder.writable.wait()
            self._freed.clear()
            free = self._slots - len(self._flights)
            wait = LONGEST_WAIT
            if free > 0:
                try:
                    found = await self._hot.call(self._claim_now, free)
                except Exception as problem:  # noqa: BLE001 - told apart by `failed`
                    self._recorder.failed(problem)
                    continue
                self._take(found.claimed)
                wait = self._until_next(found, full=len(found.claimed) == free)
                await asyncio.sleep(wait)
            else:
                await self._until_freed()

    async def _until_freed(self) -> None:
        try:
            async with asyncio.timeout(LONGEST_WAIT):
                await self._freed.wait()
        except TimeoutError:
            return

    def _claim_now(self, limit: int) -> Claim:
        """One transaction, on the hot thread: what is due, with the specifications that are not known yet."""
        now = clock.utcnow()
        with self._engine.begin() as conn:
            claimed = claims.claim(
                conn,
                worker=self._name,
                location=self._location,
                now=now,
                horizon=HORIZON,
                limit=limit,
                lease=self._lease,
            )
            unknown = self._specs.unknown(claimed)
            found = claims.specs(conn, unknown) if unknown else {}
            next_due = claims.next_due(conn, self._location, after=now + HORIZON)
        self._untaken = claimed  # told to stop this instant, nobody takes them
        self._specs.learn(found)
        return Claim(claimed, next_due)

    def _until_next(self, found: Claim, *, full: bool) -> float:
        """Seconds until it is worth looking again: halfway through the horizon before the next target is due."""
        if full or found.next_due is None:
            return SHORTEST_WAIT if full else LONGEST_WAIT
        ahead = (found.next_due - clock.utcnow() - HORIZON / 2).total_seconds()
        return min(LONGEST_WAIT, max(SHORTEST_WAIT, ahead))

    def _take(self, found: Sequence[Claimed]) -> None:
        """Have claimed targets start at their due times; those that are late, in their turn."""
        now, present = clock.utcnow(), clock.monotonic()
        pace = max(SLOWEST_PACE, PACE * self._specs.steady_rate)
        self._starts.keep_to(pace)
        for claimed in found:
            before = self._flights.get(claimed.target_id)
            if before is not None:
                # Our lease ran out under it, or it was changed: its result would be refused.
                self._cut_off(before)
            flight = self._flights[claimed.target_id] = Flight(claimed, self._specs.get(claimed))
            late = (now - claimed.due_at).total_seconds()
            start = present - late
            if late > LATE:
                start = self._late_from = max(self._late_from, present) + 1 / pace
            self._starts.add(start, flight)
        self._untaken = ()

    def _cut_off(self, flight: Flight) -> None:
        flight.waiting = False
        if flight.task is not None:
            flight.task.cancel()

    # Probing.

    def _start(self, flight: Flight) -> None:
        if flight.waiting:
            flight.waiting = False
            flight.task = asyncio.create_task(self._probe(flight), name=f"probe-{flight.claimed.target_id}")

    async def _probe(self, flight: Flight) -> None:
        prepared, claimed = flight.prepared, flight.claimed
        if prepared.spec is None:
            result = _unreadable(prepared.problem, prepared.reason)
        else:
            lag = partial(self._lag.since, asyncio.get_running_loop().time())
            remember = is_worth_keeping(claimed.state, claimed.target_id, claimed.due_at, claimed.interval)
            context = ProbeContext(resources=self._resources, lag=lag, remember=remember)
            result = await probe.run(prepared.kind, prepared.spec, context)
        after = status.observe(claimed.state, result.outcome, result.started_at, prepared.policy)
        next_due, skipped = schedule.after_result(
            claimed.due_at,
            clock.utcnow(),
            claimed.interval,
            claimed.retry_interval,
            after.confirming,
            claimed.monitor,
        )
        flight.task = None
        self._recorder.add(
            Finished(
                claimed=claimed,
                result=result,
                policy=prepared.policy,
                after=after,
                next_due_at=next_due,
                skipped=skipped,
            )
        )

    def _recorded(self, batch: Sequence[Finished]) -> None:
        for finished in batch:
            flight = self._flights.get(finished.claimed.target_id)
            if flight is not None and flight.claimed is finished.claimed:
                del self._flights[finished.claimed.target_id]
        self._freed.set()

    async def _renew(self) -> None:
        if self._flights and self._recorder.writable.is_set():
            await self._recorder.renew(list(self._flights), self._lease)

    # Stopping.

    async def _drain(self, claiming: asyncio.Task[None]) -> None:
        """Claim nothing more, let what runs end, record it; what is cut off is recorded as nothing and given back."""
        logger.info("stopping: %d probes in flight", len(self._flights), extra={"action": "stopping"})
        claiming.cancel()
        await asyncio.gather(claiming, return_exceptions=True)
        await self._housekeeping.stop(0.0)
        deadline = asyncio.get_running_loop().time() + DRAIN
        waiting = [flight for flight in self._flights.values() if flight.waiting]
        self._starts.clear()
        if running := [flight.task for flight in self._flights.values() if flight.task is not None]:
            await asyncio.wait(running, timeout=deadline - asyncio.get_running_loop().time())
        cut = [flight for flight in self._flights.values() if flight.task is not None]
        for flight in cut:
            self._cut_off(flight)
        await asyncio.gather(*(flight.task for flight in cut if flight.task is not None), return_exceptions=True)
        given_back = [flight.claimed for flight in [*waiting, *cut]]
        recorded = False
        try:
            async with asyncio.timeout(LAST_WRITES):
                recorded = await self._recorder.flush()
                await self._hot.call(self._release_now, given_back)
        except TimeoutError:
            logger.warning("the store did not answer in time", extra={"action": "store_shut"})
        except Exception as problem:  # noqa: BLE001 - told apart by `failed`
            self._recorder.failed(problem)
        if not recorded:
            logger.error(
                "%d results could not be recorded before the end; their targets are probed again",
                len(self._flights) - len(given_back),
                extra={"action": "results_lost", "count": len(self._flights) - len(given_back)},
            )
        logger.info("stopped: %d claims given back", len(given_back), extra={"action": "stopped"})

    def _release_now(self, given_back: Collection[Claimed]) -> None:
        """On the hot thread, so after a claim that was still running there."""
        with self._engine.begin() as conn:
            claims.release(conn, worker=self._name, claims=[*given_back, *self._untaken])


def _unreadable(problem: str, reason: Reason) -> Result:
    """The result of a target that this worker can't probe, whatever it lacks: our fault, and none of the target's."""
    failure = Failure(reason=reason, message=problem)
    return Result(
        outcome=Outcome.UNKNOWN,
        started_at=clock.utcnow(),
        latency_ns=None,
        phases=Phases(),
        failure=failure,
    )
