"""The worker's way into the store: finished results in batches, signs of life, leases; and what to do when it is shut.

A result is never forgotten in silence. While the store can't be written to, the worker claims nothing (`writable` is
not set), so what is held is bounded by its slots; the first write that succeeds lets it go on.
"""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Callable, Sequence
from contextlib import suppress
from datetime import datetime, timedelta

import sqlalchemy as sa
from sqlalchemy import exc

from checks import clock, sight
from checks.lane import Lane
from checks.logs import one_line
from checks.result import OURS, Reason
from checks.store import claims, writer
from checks.store.claims import Finished
from checks.store.engine import StoreProblem, our_trouble
from checks.store.troubles import report_trouble
from checks.store.writer import Recorded

logger = logging.getLogger(__name__)

EVERY = 0.2  # seconds between two batches
LARGEST_BATCH = 500
PAUSE = 0.002  # seconds between a COMMIT and our next BEGIN: SQLite's busy handler is not fair
RETRY_AFTER = (0.2, 0.5, 1.0, 2.0)  # seconds; the last one for all that follow
REPORT_EVERY = 10.0  # seconds between two reports of the same trouble
SLOW = 1.0  # seconds for a batch of at most 500 results, of which a store in health needs some milliseconds
SLOW_IN_A_ROW = 3  # batches: one may have met a lock, or a disk that was busy for a moment
_NO_WRITE, _SLOW = "no_write", "slow_store"
_SIGN_DUE = sight.SIGN_EVERY - EVERY
_POISON = (exc.DataError, exc.IntegrityError)


def store_is_shut(problem: BaseException) -> bool:
    """Whether the store as a whole can't be used now; otherwise what was written is at fault."""
    if isinstance(problem, _POISON):
        return False
    return isinstance(problem, StoreProblem) or bool(our_trouble(problem))


class Recorder:
    """Writes what one worker found. `recorded` is told of the targets whose results are in the store."""

    def __init__(
        self,
        engine: sa.Engine,
        lane: Lane,
        *,
        worker: str,
        location: str,
        recorded: Callable[[Sequence[Finished]], None],
    ) -> None:
        self.refused = 0  # results that came too late: another worker had the target by then
        self.writable = asyncio.Event()
        self.writable.set()
        self._engine = engine
        self._lane = lane
        self._worker = worker
        self._location = location
        self._recorded = recorded
        self._held: list[Finished] = []
        self._more = asyncio.Event()
        self._full = asyncio.Event()
        self._flushing = asyncio.Lock()  # the last flush of a stopping worker beside the regular one
        self._signs = sight.Signs(process=worker, role=sight.WORKER, location=location)
        self._signed_at = float("-inf")
        self._shut_since: float | None = None
        self._slow = 0  # batches in a row that took too long
        self._troubles: dict[str, str] = {}  # to be reported with the next batch
        self._reported: dict[str, float] = {}

    def add(self, finished: Finished) -> None:
        """Hold a result until it is recorded."""
        self._held.append(finished)
        if len(self._held) >= LARGEST_BATCH:
            self._full.set()
        failure = finished.result.failure
        if failure is not None and failure.reason in OURS:
            self._report(f"{failure.reason}:{self._location}", f"no verdict at {self._location}: {failure.message}")
        self._more.set()

    def _report(self, what: str, message: str) -> None:
        now = clock.monotonic()
        if now - self._reported.get(what, -REPORT_EVERY) >= REPORT_EVERY:
            self._reported[what] = now
            self._troubles[what[:64]] = one_line(message)[:500]

    async def run(self) -> None:
        """Record until cancelled."""
        attempt = 0
        while True:
            if not self.writable.is_set():
                await asyncio.sleep(RETRY_AFTER[min(attempt, len(RETRY_AFTER) - 1)])
                attempt += 1
            else:
                attempt = 0
                await self._until_due()
            await self.flush()

    async def _until_due(self) -> None:
        """Wait for the next batch: 200 ms after its first result, sooner when it is full, 2 s when there is none."""
        try:
            async with asyncio.timeout(sight.SIGN_EVERY):
                await self._more.wait()
        except TimeoutError:
            return
        with suppress(TimeoutError):
            async with asyncio.timeout(EVERY):
                await self._full.wait()

    async def flush(self) -> bool:
        """Record everything that is held; False where the store is shut, and it stays held."""
        async with self._flushing:
            return await self._flush()

    async def _flush(self) -> bool:
        while True:
            self._more.clear()
            self._full.clear()
            batch = self._held[:LARGEST_BATCH]
            try:
                await self._write(batch)
            except Exception as problem:
                if not store_is_shut(problem):
                    raise
                self._shut(problem)
                return False
            self._open()
            if not self._held:
                return True
            await asyncio.sleep(PAUSE)

    async def _write(self, batch: Sequence[Finished]) -> None:
        """Record a batch. One result that can't be written is set aside with its error; the others are."""
        try:
            troubles = dict(self._troubles)
            outcome = await self._lane.call(self._write_now, batch, troubles)
        except Exception as problem:
            if store_is_shut(problem) or not batch:
                raise
            if len(batch) > 1:
                middle = len(batch) // 2
                await self._write(batch[:middle])
                await self._write(batch[middle:])
                return
            logger.exception(
                "the result of monitor %s could not be written and was set aside",
                batch[0].claimed.monitor,
                extra={"action": "result_set_aside", "monitor": str(batch[0].claimed.monitor)},
            )
            self._report(
                f"{Reason.BUG}:{self._location}",
                f"the result of monitor {batch[0].claimed.monitor} could not be written: {type(problem).__name__}",
            )
        else:
            for what in troubles:
                self._troubles.pop(what, None)
            self._tell(outcome)
        done = {id(finished) for finished in batch}
        self._held = [finished for finished in self._held if id(finished) not in done]
        self._recorded(batch)

    def _write_now(self, batch: Sequence[Finished], troubles: dict[str, str]) -> Recorded:
        """One transaction, on the lane's thread: results, sign of life, troubles."""
        now, begun = clock.utcnow(), clock.monotonic()
        with self._engine.begin() as conn:
            outcome = writer.record(conn, batch, now)
            # While the store is shut the sign is what tells that it is open again.
            signing = self._shut_since is not None or clock.monotonic() >= self._signed_at + _SIGN_DUE
            for interval in self._signs.write(conn, now) if signing else ():
                logger.warning(
                    "blind at %s from %s to %s",
                    self._location,
                    f"{interval.start:%Y-%m-%dT%H:%M:%SZ}",
                    f"{interval.end:%Y-%m-%dT%H:%M:%SZ}",
                    extra={"action": "blind", "location": self._location},
                )
            for what, message in troubles.items():
                report_trouble(conn, what, message, now)
        if signing:
            self._signed_at = clock.monotonic()
        self._judge_pace(clock.monotonic() - begun)
        return outcome

    def _judge_pace(self, took: float) -> None:
        self._slow = self._slow + 1 if took > SLOW else 0
        if self._slow >= SLOW_IN_A_ROW:
            message = f"the store is slow: a worker of {self._location} needs {took:.1f} s to write what it found"
            self._report(f"{_SLOW}:{self._location}", message)

    def _tell(self, outcome: Recorded) -> None:
        if outcome.refused:
            self.refused += outcome.refused
            logger.warning(
                "%d results came too late: their targets had been claimed again or changed",
                outcome.refused,
                extra={"action": "results_refused", "count": outcome.refused},
            )
        for written in outcome.transitions:
            change = written.transition
            logger.info(
                "%s went from %s to %s",
                written.slug,
                change.from_status,
                change.to_status,
                extra={"action": "transition", "monitor": written.slug, "seq": change.seq, "cause": str(change.cause)},
            )

    def failed(self, problem: BaseException) -> None:
        """A call of ours beside the recorder's failed for `problem`. Raises it where the store is not at fault."""
        if not store_is_shut(problem):
            raise problem
        self._shut(problem)

    def _shut(self, problem: BaseException) -> None:
        if self._shut_since is not None:
            # Not the first failure, which may have been a deadlock or a lock. Said in the store itself by the first
            # write that works.
            message = f"a worker of {self._location} could not write to the store: {our_trouble(problem) or problem}"
            self._troubles.setdefault(f"{_NO_WRITE}:{self._location}"[:64], one_line(message)[:500])
            return
        self._shut_since = clock.monotonic()
        self.writable.clear()
        self._more.set()
        logger.error(
            "can't write to the store: %s. Claiming nothing until that works again; %d results are held",
            our_trouble(problem) or problem,
            len(self._held),
            extra={"action": "store_shut", "held": len(self._held)},
        )

    def _open(self) -> None:
        if self._shut_since is None:
            return
        logger.info(
            "the store can be written to again, after %.1f s",
            clock.monotonic() - self._shut_since,
            extra={"action": "store_open"},
        )
        self._shut_since = None
        self.writable.set()

    async def renew(self, target_ids: Sequence[int], lease: timedelta) -> None:
        """Keep the leases of what is in flight."""
        try:
            await self._lane.call(self._renew_now, target_ids, lease)
        except Exception as problem:  # noqa: BLE001 - told apart by `failed`
            self.failed(problem)

    def _renew_now(self, target_ids: Sequence[int], lease: timedelta) -> None:
        with self._engine.begin() as conn:
            claims.renew(conn, worker=self._worker, target_ids=target_ids, now=clock.utcnow(), lease=lease)


def troubles_of_workers(what: str) -> bool:
    """Whether a worker reports this trouble again and again while it lasts, so that silence means it is over."""
    return what.partition(":")[0] in {*OURS, _NO_WRITE, _SLOW}


def stale_before(now: datetime) -> datetime:
    """Since when a worker's trouble must not have been seen to be over."""
    return now - timedelta(seconds=6 * REPORT_EVERY)
