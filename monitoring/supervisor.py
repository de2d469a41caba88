"""The parent of web, worker and notifier: starts them, restarts one that dies, and stops all of them.

Standard library only and one thread: a child gets PR_SET_PDEATHSIG from the *thread* that started it, so the thread that
starts children must be the one that lives as long as the process.
"""

from __future__ import annotations

import fcntl
import logging
import os
import select
import signal
import socket
import subprocess
from collections.abc import Callable, Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path
from types import FrameType

from checks import clock

logger = logging.getLogger(__name__)

PAUSES = (0.0, 1.0, 2.0, 4.0, 5.0)  # seconds before the first, second, ... restart; the last one for all that follow
HEALTHY = 30.0  # seconds after which a child's earlier deaths are forgotten
STOP_WITHIN = 13.0  # seconds until a child that does not stop is killed; the whole stop takes at most 15
TICK = 0.2  # seconds


class AlreadyRunning(Exception):
    """Another `up` has this data directory."""

    def __init__(self, directory: Path, pid: str) -> None:
        super().__init__(f"another `manage.py up` runs on {directory} already: process {pid}; stop that one first")


class PortTaken(Exception):
    """Another program listens there, or nobody can."""


class DataDirectoryLock:
    """One `up` a data directory. The kernel lets go of the lock when the process ends, however it ends."""

    def __init__(self, directory: Path) -> None:
        directory.mkdir(parents=True, exist_ok=True, mode=0o700)
        self._file = (directory / "up.lock").open("a+")
        try:
            fcntl.flock(self._file, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            self._file.seek(0)
            pid = self._file.read().strip() or "unknown"
            self._file.close()
            raise AlreadyRunning(directory, pid) from None
        self._file.truncate(0)
        self._file.write(f"{os.getpid()}\n")
        self._file.flush()

    def close(self) -> None:
        """Let another one begin."""
        self._file.truncate(0)
        self._file.close()


def check_port(host: str, port: int, *, setting: str = "--port") -> str:
    """The number of the address that `host` names; raises PortTaken where it can't be listened on.

    The server itself listens with SO_REUSEPORT, which would share the port with a stranger in silence.
    """
    try:
        found = socket.getaddrinfo(host, port, type=socket.SOCK_STREAM)
        # "localhost" names both; what a person types into a browser finds the older one.
        family, kind, protocol, _, address = min(found, key=lambda each: each[0] != socket.AF_INET)
        with socket.socket(family, kind, protocol) as probe:
            probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
            probe.bind(address)
            return str(address[0])
    except (OSError, UnicodeError) as exc:
        why = getattr(exc, "strerror", None) or exc
        raise PortTaken(f"can't listen on {host} port {port}: {why}; choose another with {setting}") from exc


@dataclass
class Child:
    """One of the processes, running or about to be."""

    role: str
    command: Sequence[str]
    process: subprocess.Popen[bytes] | None = None
    started_at: float = 0.0
    deaths: int = 0
    start_at: float = 0.0


class Supervisor:
    """Keeps children running until SIGTERM or SIGINT."""

    def __init__(self, commands: Mapping[str, Sequence[str]], *, each_tick: Callable[[], None]) -> None:
        self._children = [Child(role, command) for role, command in commands.items()]
        self._each_tick = each_tick
        self._stopping = False

    def run(self) -> None:
        """Returns when all children have ended after a signal to stop."""
        reader, writer = os.pipe()
        os.set_blocking(reader, False)
        os.set_blocking(writer, False)
        signal.set_wakeup_fd(writer, warn_on_full_buffer=False)
        for number in (signal.SIGTERM, signal.SIGINT):
            signal.signal(number, self._on_stop)
        signal.signal(signal.SIGCHLD, lambda *_: None)  # wakes the select below
        while not self._stopping:
            for child in self._children:
                self._keep(child)
            self._each_tick()
            select.select([reader], [], [], TICK)
            with suppress(BlockingIOError):
                os.read(reader, 4096)
        self._stop()

    def _on_stop(self, number: int, frame: FrameType | None) -> None:  # noqa: ARG002 - a signal handler's signature
        self._stopping = True

    def _keep(self, child: Child) -> None:
        now = clock.monotonic()
        if child.process is not None:
            status = child.process.poll()
            if status is None:
                return
            child.deaths = 1 if now - child.started_at > HEALTHY else child.deaths + 1
            pause = PAUSES[min(child.deaths, len(PAUSES)) - 1]
            child.process, child.start_at = None, now + pause
            logger.error(
                "%s ended with %s; starting it again in %g s",
                child.role,
                describe(status),
                pause,
                extra={"action": "child_died", "role": child.role, "status": status},
            )
        if now >= child.start_at:
            try:
                # A process group of its own: Ctrl-C reaches this process alone, which then stops its children in order.
                child.process = subprocess.Popen(child.command, env=environment(), process_group=0)  # noqa: S603 - ours
            except OSError as exc:  # no memory, no process number: it would be worse to end the others too
                child.start_at = now + PAUSES[-1]
                logger.error(  # noqa: TRY400 - the traceback says nothing
                    "%s can't be started: %s; trying again in %g s",
                    child.role,
                    exc.strerror,
                    PAUSES[-1],
                    extra={"action": "child_failed", "role": child.role},
                )
                return
            child.started_at = now
            logger.info(
                "%s started as process %d",
                child.role,
                child.process.pid,
                extra={"action": "child_started", "role": child.role, "pid": child.process.pid},
            )

    def _stop(self) -> None:
        logger.info("stopping", extra={"action": "stopping"})
        running = [(child.role, child.process) for child in self._children if child.process is not None]
        for _, process in running:
            process.terminate()
        deadline = clock.monotonic() + STOP_WITHIN
        for role, process in running:
            try:
                process.wait(max(0.0, deadline - clock.monotonic()))
            except subprocess.TimeoutExpired:
                logger.error(  # noqa: TRY400 - the traceback says nothing
                    "%s did not stop within %g s and was killed",
                    role,
                    STOP_WITHIN,
                    extra={"action": "child_killed", "role": role},
                )
                process.kill()
                process.wait()
        logger.info("stopped", extra={"action": "stopped"})


def environment() -> dict[str, str]:
    """The environment of a child, which shall die with this process (`checks.process.die_with_parent`)."""
    return {**os.environ, "STILLUP_PARENT_PID": str(os.getpid())}


def describe(status: int) -> str:
    """An exit status in words: "exit status 70", "SIGKILL"."""
    if status >= 0:
        return f"exit status {status}"
    with suppress(ValueError):
        return signal.Signals(-status).name
    return f"signal {-status}"
