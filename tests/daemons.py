"""Real servers of protocols as processes of the tests: a short directory each, ended by their process id."""

from __future__ import annotations

import atexit
import os
import shutil
import subprocess
import tempfile
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

from tests.journeys.ports import accepts as listens
from tests.journeys.ports import free_port
from tests.postgres import _die_with_parent, _unprivileged

__all__ = ["Daemon", "free_port", "listens"]

START = 30.0  # seconds that a slow machine may take
STOP = 10.0


class Daemon:
    """A server of this test process and its `directory`, both gone at the end of it.

    `unprivileged`: whoever starts the tests as root runs this server, and what belongs to it, as nobody.
    """

    def __init__(self, name: str, *, unprivileged: bool = False) -> None:
        # Its path is short: sockets inside it may have 107 characters.
        self.directory = Path(tempfile.mkdtemp(prefix=f"stillup-{name}-", dir="/tmp"))
        self.directory.chmod(0o755)
        self._user = _unprivileged() if unprivileged else None
        self._process: subprocess.Popen[bytes] | None = None
        self._own(self.directory)
        atexit.register(self.stop)

    @property
    def pid(self) -> int:
        assert self._process is not None, "it was not started"
        return self._process.pid

    @property
    def log(self) -> str:
        """What the server printed."""
        return (self.directory / "log").read_text(errors="replace")

    def write(self, name: str, text: str, mode: int = 0o600) -> Path:
        """A file of the server's own."""
        path = self.directory / name
        path.write_text(text, encoding="utf-8")
        path.chmod(mode)
        self._own(path)
        return path

    def run(self, *command: str | Path, text: str = "") -> str:
        """What a program prints that ends by itself."""
        done = subprocess.run(
            [str(part) for part in command],
            input=text,
            capture_output=True,
            text=True,
            cwd=self.directory,
            check=False,
            **self._identity(),
        )
        assert done.returncode == 0, f"{command[0]} failed:\n{done.stdout}{done.stderr}"
        return done.stdout

    def start(self, command: list[str | Path], answers: Callable[[], bool]) -> None:
        """Run a server that stays in the foreground, until it answers."""
        with (self.directory / "log").open("wb") as log:
            self._process = subprocess.Popen(
                [str(part) for part in command],
                stdin=subprocess.DEVNULL,
                stdout=log,
                stderr=subprocess.STDOUT,
                cwd=self.directory,
                start_new_session=True,  # Ctrl-C in the terminal is for pytest, which stops the server itself
                preexec_fn=_die_with_parent(),  # noqa: PLW1509 - it makes one system call
                **self._identity(),
            )
        deadline = time.monotonic() + START
        while not answers():
            if self._process.poll() is not None or time.monotonic() > deadline:
                said = self.log
                self.stop()
                raise RuntimeError(f"{command[0]} did not start:\n{said}")
            time.sleep(0.02)

    def stop(self) -> None:
        """End the server and remove what it wrote."""
        process = self._process
        if process is not None and process.poll() is None:
            process.terminate()
            try:
                process.wait(STOP)
            except subprocess.TimeoutExpired:
                process.kill()
                process.wait(STOP)
        shutil.rmtree(self.directory, ignore_errors=True)

    def _own(self, path: Path) -> None:
        if self._user is not None:
            os.chown(path, self._user.pw_uid, self._user.pw_gid)

    def _identity(self) -> dict[str, Any]:
        if self._user is None:
            return {}
        return {"user": self._user.pw_uid, "group": self._user.pw_gid, "extra_groups": []}
