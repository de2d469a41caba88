"""The slots in which messages are sent: one thread claims, a few send, each through a child process of its own."""

from __future__ import annotations

import logging
import queue
import threading
import time
from collections.abc import Callable
from datetime import timedelta
from uuid import UUID

from django.db import connections

from checks import clock
from checks.process import Watchdog
from monitoring.notifier import delivery
from monitoring.notifier.delivery import Claimed, StopAt
from monitoring.notifier.dispatch import OUTAGES
from monitoring.notifier.pool import Pool
from monitoring.notifier.sender import Answer

logger = logging.getLogger(__name__)

SLOTS = 4
POLL = 0.5  # seconds between two looks for messages that became due
BREATH = 0.002  # seconds between two transactions: SQLite's busy handler is not fair to who waits
OUTAGE_PAUSE = 1.0  # seconds between two attempts while the database is away
LOG_OUTAGE_EVERY = 60.0  # seconds


class Outage:
    """Says that the database is away once a minute, and that it is back."""

    def __init__(self, what: str) -> None:
        self._what = what
        self._logged: float | None = None

    def began(self, exc: Exception) -> None:
        """It is away. The connection is useless from now on."""
        connections.close_all()
        now = clock.monotonic()
        if self._logged is None or now - self._logged >= LOG_OUTAGE_EVERY:
            self._logged = now
            cause = str(exc).strip().splitlines()[0] if str(exc).strip() else type(exc).__name__
            logger.error("%s waits for the database: %s", self._what, cause, extra={"action": "outage"})

    def ended(self) -> None:
        """It answers."""
        if self._logged is not None:
            self._logged = None
            logger.info("%s goes on: the database is back.", self._what, extra={"action": "outage_over"})


class Slots:
    """Delivers messages until it is stopped."""

    def __init__(
        self,
        name: str,
        lease: timedelta,
        watchdog: Watchdog,
        *,
        muted: Callable[[], bool] = lambda: False,
        slots: int = SLOTS,
        pool: Pool | None = None,
    ) -> None:
        self._name = name
        self._lease = lease
        self._watchdog = watchdog
        self._muted = muted
        self._count = slots
        self.pool = pool or Pool()
        self._free = threading.Semaphore(slots)
        self._work: queue.SimpleQueue[Claimed | None] = queue.SimpleQueue()
        self._wake = threading.Event()
        self._stopping = threading.Event()
        self._done = threading.Event()
        self._stop_at = StopAt()
        self._lock = threading.Lock()
        self._in_flight: dict[UUID, UUID] = {}  # message -> channel
        # A child is killed by the kernel when the thread that started it ends: these live as long as the process.
        # They are daemons, so that a database that never answers can't keep a stopping process alive.
        self._threads = [threading.Thread(target=self._claim_all, name="claim", daemon=True)]
        self._renewing = threading.Thread(target=self._renew_all, name="renew", daemon=True)
        self._threads += [
            threading.Thread(target=self._send_all, name=f"send-{number}", daemon=True) for number in range(slots)
        ]

    def start(self) -> None:
        """Begin to claim and to send."""
        for thread in (*self._threads, self._renewing):
            thread.start()

    def wake(self) -> None:
        """There may be new messages: look now."""
        self._wake.set()

    def stop(self, within: float) -> bool:
        """Claim nothing more and let what is on its way end, `within` seconds at most; whether all of it did.

        What is cut off is due again and says that it may be a repeat.
        """
        end = clock.monotonic() + within
        self._stopping.set()
        self._wake.set()
        self._stop_at.set(max(0.0, within - 1.0))
        self._threads[0].join(max(0.0, end - clock.monotonic()))
        for _ in range(self._count):
            self._work.put(None)
        for thread in self._threads[1:]:
            thread.join(max(0.0, end - clock.monotonic()))
        self._done.set()
        self.pool.close()
        return not any(thread.is_alive() for thread in self._threads)

    def _claim_all(self) -> None:
        outage = Outage("Delivery")
        while not self._stopping.is_set():
            if not self._free.acquire(timeout=POLL):
                continue
            claimed = None
            try:
                with self._watchdog.busy("claim"):
                    claimed = self._claim()
                outage.ended()
            except OUTAGES as exc:
                outage.began(exc)
                self._stopping.wait(OUTAGE_PAUSE)
            except Exception:
                logger.exception("Claiming a message failed.", extra={"action": "claim_failed"})
                self._stopping.wait(OUTAGE_PAUSE)
            if claimed is not None:
                self._work.put(claimed)
                time.sleep(BREATH)
                continue
            self._free.release()
            self._wake.wait(POLL)
            self._wake.clear()
        connections.close_all()

    def _claim(self) -> Claimed | None:
        with self._lock:
            in_flight = dict(self._in_flight)
        busy = delivery.busy_channels(in_flight.values(), self._count)
        claimed = delivery.claim(
            self._name, clock.utcnow(), self._lease, busy=busy, not_these=in_flight, muted=self._muted
        )
        if claimed is not None:
            with self._lock:
                self._in_flight[claimed.uuid] = claimed.channel.pk
        return claimed

    def _renew_all(self) -> None:
        """Keep what is on its way ours, until the last of it has ended."""
        outage = Outage("The renewal of leases")
        while not self._done.wait(self._lease.total_seconds() / 3):
            with self._lock:
                in_flight = list(self._in_flight)
            try:
                if in_flight:
                    delivery.renew(self._name, in_flight, clock.utcnow(), self._lease)
                outage.ended()
            except OUTAGES as exc:
                outage.began(exc)
            except Exception:
                logger.exception("The renewal of leases failed.", extra={"action": "renew_failed"})
        connections.close_all()

    def _send_all(self) -> None:
        while (claimed := self._work.get()) is not None:
            try:
                answer = self._send(claimed)
                self._settle(claimed, answer)
            finally:
                with self._lock:
                    self._in_flight.pop(claimed.uuid, None)
                self._free.release()
                self._wake.set()
        connections.close_all()

    def _send(self, claimed: Claimed) -> Answer:
        try:
            return delivery.send(claimed, self.pool, stop_at=self._stop_at)
        except Exception:
            # Whatever it is, it is this message's own: it is tried again like any other failure.
            logger.exception("Sending %s raised.", claimed.key, extra={"action": "send_failed", "key": claimed.key})
            return Answer(error="sending failed by a mistake of ours, which the log shows", in_doubt=True)

    def _settle(self, claimed: Claimed, answer: Answer) -> None:
        """Write the end of an attempt down, however long the database is away: sent is sent."""
        outage = Outage("The log of messages")
        plainly = False
        while True:
            try:
                with self._watchdog.busy(threading.current_thread().name):
                    if plainly:
                        delivery.note_sent(claimed, self._name, clock.utcnow())
                    else:
                        delivery.settle(claimed, self._name, answer, clock.utcnow())
            except OUTAGES as exc:
                outage.began(exc)
                if self._stop_at.passed():
                    return
                time.sleep(OUTAGE_PAUSE)
            except Exception:
                logger.exception(
                    "The end of %s can't be written.",
                    claimed.key,
                    extra={"action": "settle_failed", "key": claimed.key},
                )
                if plainly or not answer.sent:
                    return  # it is due again when its lease ends
                plainly = True
            else:
                outage.ended()
                return
