"""Stores pings: requests that arrive while a commit runs share the next one, and are answered after it.

The signs of life say that pings are *received*, which is the event loop's doing and not this thread's: it signs only
while the loop moves, and never once the server has begun to stop.
"""

from __future__ import annotations

import asyncio
import logging
import queue
import threading
import time
from collections.abc import Callable, Iterable, Sequence
from contextlib import suppress
from dataclasses import dataclass

import sqlalchemy as sa

from checks import clock, sight
from checks.deadline import Deadline
from checks.heartbeats.addresses import Stranger, count_strangers
from checks.heartbeats.hearing import hear_all
from checks.heartbeats.runs import Ping, Verdict
from checks.process import Watchdog, process_name
from checks.recorder import store_is_shut
from checks.store.engine import measure_offset, open_engine, our_trouble
from checks.store.writer import Written

logger = logging.getLogger(__name__)

ANSWER_WITHIN = 25.0  # seconds: a little longer than a writer waits for a SQLite file
TURN = 0.0005  # seconds at least from a COMMIT to the next BEGIN: other writers of a SQLite file get theirs
GATHER = 0.003  # seconds at most, as long as fewer pings wait than the last commit answered
MOST_WAITING = 20_000  # pings; more are refused at once
LARGEST_BATCH = 1000
CLOSE_WITHIN = 5.0  # seconds
KEPT = 0.5  # seconds between two batches for which a connection is kept: to ask the pool costs as much as two pings
_OFFSET_EVERY = 10.0  # seconds
_MOST_STRANGERS = 1000  # that are remembered while the store is shut
BEAT_WITHIN = 2.0  # seconds in which the loop must have moved
_LOOK_AGAIN = 0.2  # seconds until a loop that stood still is looked at again


class NotStored(Exception):
    """The store can't take pings now."""


@dataclass(slots=True)
class _Waiting:
    ping: Ping
    answer: asyncio.Future[Verdict]
    loop: asyncio.AbstractEventLoop


def _tell(answers: Iterable[tuple[_Waiting, Verdict | None]]) -> None:
    """Answer those that wait, each loop woken once; None: not stored."""
    by_loop: dict[asyncio.AbstractEventLoop, list[tuple[asyncio.Future[Verdict], Verdict | None]]] = {}
    for waiting, verdict in answers:
        by_loop.setdefault(waiting.loop, []).append((waiting.answer, verdict))
    for loop, settled in by_loop.items():
        with suppress(RuntimeError):  # the loop is closed: nobody waits
            loop.call_soon_threadsafe(_settle, settled)


def _settle(answers: Iterable[tuple[asyncio.Future[Verdict], Verdict | None]]) -> None:
    for answer, verdict in answers:
        if answer.done():
            continue
        if verdict is None:
            answer.set_exception(NotStored())
        else:
            answer.set_result(verdict)


class Journal:
    """One thread that writes pings, and this process's signs of life by the same transactions."""

    def __init__(self, url: str, take_strangers: Callable[[], list[Stranger]] = list, *, role: str = sight.WEB) -> None:
        self._url = url
        self._role = role
        self._take_strangers = take_strangers
        self._strangers: list[Stranger] = []  # not counted yet
        self._queue: queue.SimpleQueue[_Waiting | None] = queue.SimpleQueue()
        self._awaited = 0  # so many that wait, and the next commit begins
        self._gathered = threading.Event()
        self._thread: threading.Thread | None = None
        self._engine: sa.Engine | None = None
        self._conn: sa.Connection | None = None  # the thread's
        self._used_at = float("-inf")
        self._signs: sight.Signs | None = None
        self._signed_at = self._measured_at = float("-inf")
        self._moved_at = float("-inf")
        self._draining = False
        self._shut = False
        self._watchdog = Watchdog()

    def open(self) -> None:
        """Begin. Does not wait for the store: while it is shut, pings are refused."""
        self._engine = open_engine(self._url)
        self._signs = sight.Signs(process=process_name(self._role), role=self._role, location=sight.EVERYWHERE)
        self._thread = threading.Thread(target=self._run, args=(self._engine, self._signs), name="pings", daemon=True)
        self._watchdog.start()
        self._thread.start()

    def close(self) -> None:
        """Store what was handed over, then end."""
        if self._thread is None:
            return
        self._queue.put(None)
        self._gathered.set()
        self._thread.join(CLOSE_WITHIN)
        self._watchdog.stop()
        self._thread = None

    def beat(self) -> None:
        """The loop that receives pings moves. A loop that hangs for a minute is ended with its process."""
        if not self._draining:
            self._moved_at = clock.monotonic()
            self._watchdog.beat("loop")

    def drain(self) -> None:
        """No more pings are received: sign no longer, store those that are."""
        self._draining = True
        self._watchdog.rest("loop")

    async def store(self, ping: Ping) -> Verdict:
        """What became of a ping; a stored one is on disk. Raises NotStored, at the latest after `ANSWER_WITHIN`."""
        if self._thread is None or self._queue.qsize() >= MOST_WAITING:
            raise NotStored
        self._moved_at = clock.monotonic()  # before its own ping is judged, a loop that hung is known to move again
        loop = asyncio.get_running_loop()
        waiting = _Waiting(ping, loop.create_future(), loop)
        self._queue.put(waiting)
        if self._queue.qsize() >= self._awaited:
            self._gathered.set()
        try:
            with Deadline(ANSWER_WITHIN):
                return await waiting.answer
        except TimeoutError:
            raise NotStored from None

    # On the thread.

    def _run(self, engine: sa.Engine, signs: sight.Signs) -> None:
        going = True
        while going:
            batch, going = self._next_batch()
            with self._watchdog.busy("pings"):
                if batch or self._sign_is_due():
                    self._write(engine, signs, batch)
                    self._gather(len(batch))
        self._let_go()
        engine.dispose()

    def _gather(self, answered: int) -> None:
        """Wait a moment for those that were answered to ping again: a commit for half of them costs nearly as much."""
        time.sleep(TURN)
        self._gathered.clear()
        self._awaited = answered
        if self._queue.qsize() < answered:
            self._gathered.wait(GATHER)
        self._awaited = MOST_WAITING  # nobody need wake this thread while it writes

    def _next_batch(self) -> tuple[list[_Waiting], bool]:
        """What waits, at once or as soon as something does; False: the end was asked for."""
        batch: list[_Waiting] = []
        with suppress(queue.Empty):
            following = self._queue.get(timeout=self._until_sign())
            while following is not None and len(batch) < LARGEST_BATCH - 1:
                batch.append(following)
                following = self._queue.get_nowait()
            if following is None:
                return batch, False
            batch.append(following)
        return batch, True

    def _until_sign(self) -> float:
        """Seconds until the next look at whether to sign."""
        if not self._receiving():
            return _LOOK_AGAIN
        return min(sight.SIGN_EVERY, max(0.0, self._signed_at + sight.SIGN_EVERY - clock.monotonic()))

    def _receiving(self) -> bool:
        return not self._draining and clock.monotonic() - self._moved_at <= BEAT_WITHIN

    def _sign_is_due(self) -> bool:
        return self._receiving() and clock.monotonic() - self._signed_at >= sight.SIGN_EVERY

    def _write(self, engine: sa.Engine, signs: sight.Signs, batch: Sequence[_Waiting]) -> None:
        """Store a batch and answer it. One ping that can't be written is refused alone; the others are stored."""
        try:
            verdicts, written = self._write_now(engine, signs, [waiting.ping for waiting in batch])
        except Exception as problem:  # noqa: BLE001 - told apart here and logged by `_say_shut`
            self._let_go()
            if not store_is_shut(problem) and len(batch) > 1:
                middle = len(batch) // 2
                self._write(engine, signs, batch[:middle])
                self._write(engine, signs, batch[middle:])
                return
            self._say_shut(problem)
            _tell((waiting, None) for waiting in batch)
            self._signed_at = clock.monotonic()  # not at once again
            return
        if self._shut:
            self._shut = False
            logger.info("pings are stored again", extra={"action": "store_open"})
        _tell(zip(batch, verdicts, strict=True))
        _log(written)

    def _write_now(
        self, engine: sa.Engine, signs: sight.Signs, pings: Sequence[Ping]
    ) -> tuple[Sequence[Verdict], Sequence[Written]]:
        if clock.monotonic() - self._measured_at >= _OFFSET_EVERY:
            clock.set_offset(measure_offset(engine))
            self._measured_at = clock.monotonic()
        now = clock.utcnow()
        signing = self._sign_is_due()
        conn = self._connected(engine)
        with conn.begin():
            # First the sign: it writes down a blindness that is over, by which these pings are judged.
            blind = signs.write(conn, now) if signing else []
            if signing:
                self._strangers = (self._strangers + self._take_strangers())[:_MOST_STRANGERS]
                count_strangers(conn, self._strangers)
            outcome = hear_all(conn, pings, now)
        if signing:
            self._signed_at = clock.monotonic()
            self._strangers = []
        for interval in blind:
            logger.warning(
                "no pings were received by %s from %s to %s",
                self._role,
                f"{interval.start:%Y-%m-%dT%H:%M:%SZ}",
                f"{interval.end:%Y-%m-%dT%H:%M:%SZ}",
                extra={"action": "blind"},
            )
        return outcome

    def _connected(self, engine: sa.Engine) -> sa.Connection:
        """The connection of a moment ago; after a while, one that the pool has looked at."""
        if clock.monotonic() - self._used_at > KEPT:
            self._let_go()
        if self._conn is None:
            self._conn = engine.connect()
        self._used_at = clock.monotonic()
        return self._conn

    def _let_go(self) -> None:
        conn, self._conn = self._conn, None
        if conn is not None:
            with suppress(sa.exc.SQLAlchemyError):  # it is broken, which is why it is let go
                conn.close()

    def _say_shut(self, problem: BaseException) -> None:
        if not store_is_shut(problem):
            logger.error("a ping can't be stored", exc_info=problem, extra={"action": "ping_refused"})
        elif not self._shut:
            self._shut = True
            logger.error(
                "pings can't be stored and are refused until they can: %s",
                our_trouble(problem) or problem,
                extra={"action": "store_shut"},
            )


def _log(written: Sequence[Written]) -> None:
    for each in written:
        change = each.transition
        logger.info(
            "%s went from %s to %s",
            each.slug,
            change.from_status,
            change.to_status,
            extra={"action": "transition", "monitor": each.slug, "seq": change.seq, "cause": str(change.cause)},
        )
