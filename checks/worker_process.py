"""The worker as a process: its command line, its signals, its exit status."""

from __future__ import annotations

import asyncio
import gc
import logging
import re
import resource
import signal
import sys
from argparse import ArgumentParser, ArgumentTypeError
from collections.abc import Sequence
from datetime import timedelta
from functools import lru_cache

import sqlalchemy as sa
import uvloop

from checks import clock, logs, process
from checks.environment import EnvironmentProblem, data_dir, measurements_url
from checks.lane import Lane
from checks.network import Resources
from checks.recorder import store_is_shut
from checks.secretbox import open_secretbox
from checks.spec import SLUG
from checks.store.ages import ages
from checks.store.engine import SchemaMismatch, StoreProblem, measure_offset, open_engine, our_trouble
from checks.store.upgrade import check_schema
from checks.units import parse_duration
from checks.worker import Worker

logger = logging.getLogger(__name__)

LOOK_EVERY = 5.0  # seconds between two looks at the store's version
COLLECT_EVERY = 10_000  # objects that are new: by then what a probe made is gone, and the collector need not look at it
SWITCH = 0.001  # seconds that a thread of ours may keep the loop from running, and so from reading what has arrived


def add_arguments(parser: ArgumentParser) -> None:
    """What the command line says to a worker."""
    parser.add_argument("--store", default="", help="the store's URL, without a password (default: the environment's)")
    parser.add_argument(
        "--location", type=_location, default="local", help="where it probes from (default: %(default)s)"
    )
    parser.add_argument("--slots", type=_slots, default=4000, help="probes in flight at most (default: %(default)s)")
    parser.add_argument("--lease", type=_lease, default="30s", help="how long a claim holds (default: %(default)s)")


def _location(text: str) -> str:
    if not re.fullmatch(SLUG, text) or len(text) > 50:
        raise ArgumentTypeError(f"{text!r} is no location; write up to 50 of a-z, 0-9 and -, as in eu-west")
    return text


def _slots(text: str) -> int:
    if not text.isdecimal() or not 1 <= int(text) <= 100_000:
        raise ArgumentTypeError(f"{text!r} is no number of slots; allowed: 1 to 100000")
    return int(text)


def _lease(text: str) -> timedelta:
    try:
        seconds = parse_duration(text)
    except ValueError as exc:
        raise ArgumentTypeError(str(exc)) from exc
    if not 1 <= seconds <= 600:
        raise ArgumentTypeError(f"{text!r} is no lease; allowed: 1s to 10m")
    return timedelta(seconds=seconds)


def _without_password(url: str) -> str:
    """The URL of a command line. Raises EnvironmentProblem where it has a password."""
    if open_engine(url).url.password is not None:
        raise EnvironmentProblem(
            "--store has a password, which would stand in the process list; put the URL into STILLUP_MEASUREMENTS_URL"
        )
    return url


def main(argv: Sequence[str]) -> int:
    """Run a worker until SIGTERM or SIGINT; its exit status."""
    parser = ArgumentParser(prog="worker", description="Probe the targets of one location.")
    add_arguments(parser)
    options = parser.parse_args(argv)
    logs.configure("worker")
    process.die_with_parent()
    try:
        ages()  # what is wrong with them is said now and not when something is old enough
        url = _without_password(options.store) if options.store else measurements_url()
        uvloop.run(run_worker(url, location=options.location, slots=options.slots, lease=options.lease))
    except (EnvironmentProblem, StoreProblem) as exc:
        logger.critical("%s", exc, extra={"action": "refused"})
        return process.WRONG_CONFIGURATION
    except Exception:
        logger.critical("the worker ended by a mistake of ours", exc_info=True, extra={"action": "worker_failed"})
        return process.STUCK
    finally:
        logging.shutdown()
        sys.stderr.flush()
    return 0


async def run_worker(
    url: str, *, location: str, slots: int, lease: timedelta, stop: asyncio.Event | None = None
) -> None:
    """Work on one store until `stop`, or a signal. Raises EnvironmentProblem and SchemaMismatch.

    The latter also where a newer version upgrades the store meanwhile.
    """
    stop = stop or _stop_on_signals()
    sys.setswitchinterval(SWITCH)
    gc.set_threshold(COLLECT_EVERY)
    engine = open_engine(url)
    watchdog = process.Watchdog()
    watchdog.start()
    hot, house = Lane("hot", watchdog), Lane("house-keeping", watchdog)
    resources = Resources.open()
    try:
        if not await _store_is_ready(engine, hot, stop):
            return
        name = process.process_name("worker")
        slots = min(slots, _allowed_slots())
        worker = Worker(
            engine,
            name=name,
            location=location,
            slots=slots,
            lease=lease,
            hot=hot,
            house=house,
            resources=resources,
            secretbox=lru_cache(lambda: open_secretbox(data_dir())),
            watchdog=watchdog,
        )
        logger.info(
            "working at %s with %d slots",
            location,
            slots,
            extra={"action": "started", "worker": name, "location": location},
        )
        await _work(worker, engine, house, stop)
    finally:
        resources.close()
        hot.close()
        house.close()
        engine.dispose()
        watchdog.stop()


async def _work(worker: Worker, engine: sa.Engine, house: Lane, stop: asyncio.Event) -> None:
    """Until it is told to stop. Raises SchemaMismatch where a newer version upgrades the store meanwhile."""
    watching = asyncio.create_task(_watch_schema(engine, house, stop), name="schema")
    try:
        await worker.run(stop)
        if watching.done():
            watching.result()  # raises
    finally:
        watching.cancel()


def _stop_on_signals() -> asyncio.Event:
    stop = asyncio.Event()
    for number in (signal.SIGTERM, signal.SIGINT):
        asyncio.get_running_loop().add_signal_handler(number, stop.set)
    return stop


async def _store_is_ready(engine: sa.Engine, lane: Lane, stop: asyncio.Event) -> bool:
    """Wait until the store answers; False where the worker was told to stop before. Raises SchemaMismatch."""
    stopping = asyncio.create_task(stop.wait(), name="stop")
    said = False
    while not stop.is_set():
        look = asyncio.create_task(lane.call(_look_at_store, engine), name="store")
        await asyncio.wait([look, stopping], return_when=asyncio.FIRST_COMPLETED)
        if not look.done():
            look.cancel()
            return False
        problem = look.exception()
        if problem is None:
            clock.set_offset(look.result())
            stopping.cancel()
            return True
        if isinstance(problem, SchemaMismatch) or not store_is_shut(problem):
            raise problem
        if not said:
            said = True
            logger.error("waiting for the store: %s", our_trouble(problem) or problem, extra={"action": "store_shut"})
        await asyncio.wait([stopping], timeout=1.0)
    return False


async def _watch_schema(engine: sa.Engine, lane: Lane, stop: asyncio.Event) -> None:
    """Stop the worker, and raise SchemaMismatch, once the store's tables are of another version."""
    while True:
        await asyncio.sleep(LOOK_EVERY)
        try:
            await lane.call(check_schema, engine)
        except SchemaMismatch:
            stop.set()
            raise
        except Exception as problem:  # noqa: BLE001 - the recorder tells of a store that is away
            logger.debug("the store's tables can't be looked at: %s", our_trouble(problem) or problem)


def _look_at_store(engine: sa.Engine) -> float:
    check_schema(engine)
    return measure_offset(engine)


def _allowed_slots() -> int:
    """How many probes the file descriptors allow: two each, while both address families are tried."""
    _, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    wanted = 65536 if hard == resource.RLIM_INFINITY else hard
    resource.setrlimit(resource.RLIMIT_NOFILE, (wanted, hard))
    return max(16, (wanted - 128) // 2)
