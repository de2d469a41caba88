"""Warm child processes that send, from the parent's side: started on first need, killed at the deadline.

Apprise may hang for ever or eat all memory, depending on what the destination does; a child can be killed.
"""

from __future__ import annotations

import json
import logging
import os
import select
import subprocess
import sys
import threading
from collections.abc import Callable
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path

from checks import clock
from checks.environment import read_env
from monitoring.notifier.sender import MEMORY_LIMIT, Answer

logger = logging.getLogger(__name__)

DEADLINE = 20.0  # seconds for one message, the start of a child included
IDLE = 60.0  # seconds after which a child that has nothing to do goes
MOST_MESSAGES = 100  # then a child is replaced: plugins leak
MOST_ANSWER = 64 * 1024  # bytes
TICK = 0.25  # seconds between two looks at a busy child

_ROOT = Path(__file__).resolve().parents[2]
# What a child may know of our environment: nothing that holds a secret of ours.
_PASSED = ("PATH", "LANG", "LC_ALL", "TZ", "HOME", "SSL_CERT_FILE", "SSL_CERT_DIR", "REQUESTS_CA_BUNDLE")
_GUARD = ("STILLUP_PROBE_ALLOW", "STILLUP_PROBE_DENY")  # messages go where probes may go
_PASSED_FOLDED = ("http_proxy", "https_proxy", "all_proxy", "no_proxy")


@dataclass(frozen=True, slots=True, kw_only=True)
class Order:
    """One message to one recipient, as the child reads it."""

    key: str
    url: str
    recipient: int
    type: str  # Apprise's: info, success, warning, failure
    title: str
    text: str
    html: str

    def to_line(self) -> bytes:
        """The order as one JSON line."""
        return json.dumps({name: getattr(self, name) for name in self.__slots__}).encode() + b"\n"


class Child:
    """One sending process."""

    def __init__(self) -> None:
        environment = {name: value for name in _PASSED if (value := os.environ.get(name)) is not None}
        environment |= {name: value for name, value in os.environ.items() if name.lower() in _PASSED_FOLDED}
        environment |= {name: read_env(name) for name in _GUARD}
        path = os.pathsep.join(filter(None, [str(_ROOT), os.environ.get("PYTHONPATH")]))
        environment |= {"PYTHONPATH": path, "STILLUP_PARENT_PID": str(os.getpid())}
        self._process = subprocess.Popen(
            [sys.executable, "-m", "monitoring.notifier.sender"],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            stderr=subprocess.DEVNULL,  # what a plugin prints may hold a token
            env=environment,
            cwd="/",
            bufsize=0,
        )
        self.messages = 0
        self.idle_since = clock.monotonic()

    @property
    def pid(self) -> int:
        """Its process number."""
        return self._process.pid

    @property
    def alive(self) -> bool:
        """Whether it still runs."""
        return self._process.poll() is None

    def send(self, order: Order, *, deadline: float, each_tick: Callable[[], bool]) -> Answer:
        """How the attempt ended. A child that does not answer in time, grows or dies is an unanswered attempt.

        `each_tick` is called four times a second and says whether to go on waiting.
        """
        self.messages += 1
        end, answer = clock.monotonic() + deadline, b""
        assert self._process.stdin is not None and self._process.stdout is not None  # noqa: S101, PT018 - both PIPE
        try:
            self._process.stdin.write(order.to_line())
        except OSError:
            self.kill()
            return Answer(error="the sending process ended before it took the message")
        while not answer.endswith(b"\n"):
            readable, _, _ = select.select([self._process.stdout], [], [], TICK)
            if readable:
                part = os.read(self._process.stdout.fileno(), MOST_ANSWER)
                answer += part
                if not part or len(answer) > MOST_ANSWER:
                    self.kill()
                    return Answer(error="the sending process ended while it was sending", in_doubt=True)
                continue
            if clock.monotonic() > end:
                self.kill()
                return Answer(error=f"the destination did not answer within {deadline:g} s", in_doubt=True)
            if self._memory() > MEMORY_LIMIT:
                self.kill()
                return Answer(error="the destination's answer took more memory than allowed", in_doubt=True)
            if not each_tick():
                self.kill()
                return Answer(error="the notifier stopped while the message was on its way", in_doubt=True)
        self.idle_since = clock.monotonic()
        return Answer(**json.loads(answer))

    def _memory(self) -> int:
        """Bytes of it in memory; 0 where the system does not say."""
        try:
            pages = int(Path(f"/proc/{self.pid}/statm").read_bytes().split()[1])
        except (OSError, IndexError, ValueError):
            return 0
        return pages * os.sysconf("SC_PAGE_SIZE")

    def kill(self) -> None:
        """End it at once."""
        self._process.kill()
        self._close()

    def retire(self) -> None:
        """Let it end: it stops at the end of its input."""
        with suppress(OSError):
            self._process.stdin.close()  # type: ignore[union-attr]  # it is a PIPE
        try:
            self._process.wait(1.0)
        except subprocess.TimeoutExpired:
            self._process.kill()
        self._close()

    def _close(self) -> None:
        for pipe in (self._process.stdin, self._process.stdout):
            with suppress(OSError):
                pipe.close()  # type: ignore[union-attr]  # both are PIPEs
        self._process.wait()


class Pool:
    """Children that wait for work, the most recently used first, so that the others grow idle and go."""

    def __init__(self, *, deadline: float = DEADLINE, idle: float = IDLE, messages: int = MOST_MESSAGES) -> None:
        self.deadline = deadline
        self._idle = idle
        self._messages = messages
        self._lock = threading.Lock()
        self._waiting: list[Child] = []

    def send(self, order: Order, *, each_tick: Callable[[], bool] = lambda: True) -> Answer:
        """Send one message in a child of its own for the time being."""
        child = self._take()
        answer = child.send(order, deadline=self.deadline, each_tick=each_tick)
        if not child.alive or child.messages >= self._messages:
            child.retire()
        else:
            with self._lock:
                self._waiting.append(child)
        return answer

    def _take(self) -> Child:
        while True:
            with self._lock:
                child = self._waiting.pop() if self._waiting else None
            if child is None:
                return Child()
            if child.alive:
                return child
            child.retire()

    def tidy(self) -> None:
        """Let the children go that had nothing to do for a while."""
        oldest = clock.monotonic() - self._idle
        with self._lock:
            idle = [child for child in self._waiting if child.idle_since < oldest or not child.alive]
            self._waiting = [child for child in self._waiting if child not in idle]
        for child in idle:
            child.retire()

    def close(self) -> None:
        """End all children that wait."""
        with self._lock:
            waiting, self._waiting = self._waiting, []
        for child in waiting:
            child.retire()

    def processes(self) -> list[int]:
        """The process numbers of the children that wait."""
        with self._lock:
            return [child.pid for child in self._waiting]
