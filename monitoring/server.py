"""The web process: granian in this very process, on uvloop.

Embedded, because granian's own worker process outlives a parent that is killed and keeps the port, and because one
process less is 40 MB less.
"""

from __future__ import annotations

import asyncio
import logging
import os
import signal

import uvloop
from granian.constants import HTTPModes, Interfaces
from granian.http import HTTP1Settings
from granian.server.embed import Server

from checks import process
from monitoring.front import Front

logger = logging.getLogger(__name__)

DRAIN = 8.0  # seconds for the answers that are being written when the server is told to stop
HEADERS_WITHIN = 15_000  # milliseconds in which a client must have sent its headers
BACKLOG = 1024  # connections that wait to be accepted


def serve(application: Front, host: str, port: int) -> None:
    """Answer requests until SIGTERM or SIGINT."""
    process.leave_loaded_alone()  # Django and every screen: 60 ms in which no ping would be answered
    uvloop.run(_serve(application, host, port))


async def _serve(application: Front, host: str, port: int) -> None:
    server = Server(
        application,
        address=host,
        port=port,
        interface=Interfaces.ASGI,
        http=HTTPModes.http1,
        websockets=False,
        backlog=BACKLOG,
        runtime_blocking_threads=1,
        http1_settings=HTTP1Settings(header_read_timeout=HEADERS_WITHIN, max_buffer_size=128 * 1024),
        log_enabled=False,
    )
    stop = asyncio.Event()
    loop = asyncio.get_running_loop()
    for number in (signal.SIGTERM, signal.SIGINT):
        loop.add_signal_handler(number, stop.set)
    serving = asyncio.create_task(server.serve(), name="server")
    stopping = asyncio.create_task(stop.wait(), name="stop")
    logger.info("listening on %s port %d", host, port, extra={"action": "listening", "host": host, "port": port})
    await asyncio.wait((serving, stopping), return_when=asyncio.FIRST_COMPLETED)
    stopping.cancel()
    application.drain()
    if serving.done():
        await serving
        raise SystemExit("the server ended by itself")
    server.stop()  # type: ignore[no-untyped-call]  # granian's own
    try:
        async with asyncio.timeout(DRAIN):
            await serving
    except TimeoutError:
        logger.warning(
            "requests that had not ended after %g s were cut off", DRAIN, extra={"action": "requests_cut_off"}
        )
        logging.shutdown()
        os._exit(0)  # the server has no way to be told twice
    logger.info("stopped", extra={"action": "stopped"})
