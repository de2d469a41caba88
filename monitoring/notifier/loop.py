"""The notifier: transitions become incidents and messages, messages are delivered, pages rendered.

Database work runs on threads of its own: one for the dispatch, one for house-keeping, and those of the slots. Any number
of notifiers may run beside each other; what each does is a claimed row.
"""

from __future__ import annotations

import asyncio
import logging
import os
import signal
import threading
from collections.abc import Callable
from contextlib import suppress
from datetime import timedelta

import psycopg
import sqlalchemy as sa
from django.db import connections

from checks import clock, silence
from checks.chores import Chores
from checks.lane import Lane
from checks.process import Watchdog, process_name
from checks.sight import EVERYWHERE, SIGN_EVERY, JumpDetector, Signs
from checks.store.engine import measure_offset
from checks.store.writer import CHANNEL
from monitoring import ping_keys, preparation, publish
from monitoring.notifier import delivery, loose_ends, reminders, system, waiting
from monitoring.notifier.dispatch import OUTAGES, Dispatcher
from monitoring.notifier.muted import Muted
from monitoring.notifier.slots import Outage, Slots
from monitoring.objectives import minutes
from monitoring.status import snapshot

logger = logging.getLogger(__name__)

NOTIFIER = "notifier"  # the role of its signs of life
LEASE = timedelta(seconds=30)
POLL = 0.5  # seconds between two looks at the outbox
LOOK_EVERY = 5.0  # seconds between two looks at the databases' versions
TICK = 0.5  # seconds between two signs that the loop moves
DRAIN = 8.0  # seconds for what is on its way when we are stopped
EXIT = 9.5  # seconds after which we are gone, whatever still hangs

Step = Callable[[], object]


class Notifier:
    """One notifier process."""

    def __init__(self, engine: sa.Engine, *, lease: timedelta = LEASE) -> None:
        self._engine = engine
        self._name = process_name(NOTIFIER)
        self._watchdog = Watchdog()
        self._began = clock.monotonic()
        self._stopping = asyncio.Event()
        self.outdated: preparation.NotPrepared | None = None  # why it stopped by itself
        self._slots = Slots(self._name, lease, self._watchdog, muted=Muted(engine))
        self._dispatcher = Dispatcher(engine, self._name, lease, queued=self._slots.wake)
        self._signs = Signs(process=self._name, role=NOTIFIER, location=EVERYWHERE)
        self._jumps = JumpDetector()
        self._chores = Chores()
        self._outages: dict[str, Outage] = {}
        self._dispatching = asyncio.Lock()
        self._woken: set[asyncio.Task[None]] = set()

    async def run(self) -> None:
        """Work until SIGTERM or SIGINT."""
        loop = asyncio.get_running_loop()
        for number in (signal.SIGTERM, signal.SIGINT):
            loop.add_signal_handler(number, self._stopping.set)
        self._watchdog.start()
        hot, slow = Lane("dispatch", self._watchdog), Lane("house-keeping", self._watchdog)
        self._slots.start()
        self._every(10.0, "clock", hot, lambda: clock.set_offset(measure_offset(self._engine)))
        self._every(SIGN_EVERY, "signs of life", hot, self._sign)
        self._every(30.0, "reconcile", slow, publish.reconcile)
        self._every(30.0, "ping-keys", slow, ping_keys.publish_all)
        self._every(30.0, "loose ends", slow, self._tie_up)
        self._every(5.0, "reminders", slow, self._remind)
        self._every(60.0, "waiting heartbeats", slow, lambda: waiting.remind(self._engine, clock.utcnow()))
        self._every(5.0, "troubles", slow, lambda: system.follow_troubles(self._engine, clock.utcnow()))
        self._every(5.0, "status pages", slow, lambda: snapshot.render_all(clock.utcnow()))
        self._every(60.0, "objectives", slow, lambda: minutes.follow(self._engine, clock.utcnow()))
        self._every(10.0, "silence", slow, self._judge_silence)
        self._every(10.0, "tidying", slow, self._tidy)
        self._every(LOOK_EVERY, "version", slow, lambda: self._look_at_version(loop))
        self._chores.every(POLL, "dispatch", lambda: self._dispatch(hot))
        self._chores.start()
        if self._engine.dialect.name == "postgresql":
            asks = threading.Thread(target=self._listen, args=(loop, hot), name="listen", daemon=True)
            asks.start()
        logger.info("The notifier runs.", extra={"action": "started", "notifier": self._name})
        while not self._stopping.is_set():
            self._tick()
            with suppress(TimeoutError):
                async with asyncio.timeout(TICK):
                    await self._stopping.wait()
        self._watchdog.rest("loop")  # from here on `_exit_after` sees to the end
        await self._stop(hot, slow)

    async def _stop(self, hot: Lane, slow: Lane) -> None:
        logger.info("The notifier stops.", extra={"action": "stopping"})
        threading.Thread(target=_exit_after, args=(EXIT,), name="exit", daemon=True).start()
        delivered = asyncio.get_running_loop().run_in_executor(None, self._slots.stop, DRAIN)
        await self._chores.stop(DRAIN)
        await delivered
        for lane in (hot, slow):
            with suppress(Exception):  # what hangs is left behind
                async with asyncio.timeout(0.5):
                    await lane.call(connections.close_all)
            lane.close()
        self._engine.dispose()
        self._watchdog.stop()
        logger.info("The notifier has stopped.", extra={"action": "stopped"})

    def _tick(self) -> None:
        self._watchdog.beat("loop")
        if self._jumps.look(clock.utcnow(), clock.monotonic()) is not None:
            logger.warning("the clock was set, or this machine slept", extra={"action": "clock_jumped"})
            self._chores.realign()

    def _every(self, seconds: float, name: str, lane: Lane, step: Step) -> None:
        self._chores.every(seconds, name, lambda: lane.call(self._guarded, name, step))

    async def _dispatch(self, lane: Lane) -> None:
        async with self._dispatching:
            await lane.call(self._guarded, "dispatch", lambda: self._dispatcher.run(self._may_go_on))

    def _may_go_on(self) -> bool:
        """Between two monitors: a backlog that takes minutes is work, and no call that hangs."""
        self._watchdog.beat("dispatch")
        return not self._stopping.is_set()

    def _guarded(self, name: str, step: Step) -> None:
        """Do a step. A database that is away is said once a minute; all else is the chores' to log."""
        outage = self._outages.setdefault(name, Outage(name.capitalize()))
        try:
            step()
        except OUTAGES as exc:
            outage.began(exc)
        except Exception:
            connections.close_all()
            raise
        else:
            outage.ended()

    def _sign(self) -> None:
        with self._engine.begin() as conn:
            self._signs.write(conn, clock.utcnow())

    def _judge_silence(self) -> None:
        """Where no worker is left, none can say so."""
        while (
            silence.judge(self._engine, clock.utcnow(), clock.monotonic() - self._began) and not self._stopping.is_set()
        ):
            pass

    def _remind(self) -> None:
        if reminders.queue_due(clock.utcnow()):
            self._slots.wake()

    def _tie_up(self) -> None:
        if loose_ends.tie_up(self._engine, clock.utcnow()):
            self._slots.wake()

    def _look_at_version(self, loop: asyncio.AbstractEventLoop) -> None:
        """A newer version may have upgraded the databases: then this one has no business there any more."""
        try:
            preparation.check_again()
        except preparation.Unreachable:
            return  # others say so
        except preparation.NotPrepared as exc:
            self.outdated = exc
            loop.call_soon_threadsafe(self._stopping.set)

    def _tidy(self) -> None:
        delivery.withdraw_orphans()
        system.follow_channels(clock.utcnow())
        self._slots.pool.tidy()

    def _listen(self, loop: asyncio.AbstractEventLoop, lane: Lane) -> None:
        """Dispatch as soon as PostgreSQL tells of a transition; where this fails, the polling goes on by itself."""

        def wake() -> None:
            task = loop.create_task(self._dispatch(lane), name="dispatch-woken")
            self._woken.add(task)
            task.add_done_callback(self._woken.discard)

        while not self._stopping.is_set():
            try:
                url = self._engine.url.set(drivername="postgresql")
                with psycopg.connect(url.render_as_string(hide_password=False), autocommit=True) as conn:
                    conn.execute(f"LISTEN {CHANNEL}")
                    for _ in conn.notifies():
                        loop.call_soon_threadsafe(wake)
            except (psycopg.Error, OSError):
                threading.Event().wait(POLL * 10)
            except RuntimeError:
                return  # the loop is closed


def _exit_after(seconds: float) -> None:
    threading.Event().wait(seconds)
    logger.error("Something hangs while the notifier stops; it is left behind.", extra={"action": "exit_forced"})
    os._exit(0)


def run(*, lease: timedelta = LEASE) -> None:
    """Be a notifier until SIGTERM. Raises NotPrepared where a newer version takes over the databases."""
    notifier = Notifier(publish.store_engine(), lease=lease)
    asyncio.run(notifier.run())
    if notifier.outdated is not None:
        raise notifier.outdated
