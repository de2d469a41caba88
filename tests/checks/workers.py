"""Real worker processes on a real store."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from datetime import datetime
from pathlib import Path
from typing import Any

import sqlalchemy as sa

from checks import clock
from checks.spec import dump
from checks.store import publishing
from checks.store.publishing import PublishedMonitor
from checks.store.schema import monitor_state, result, target
from tests.factories import make_published, make_spec
from tests.servers import Visit
from tests.waiting import wait_until

ROOT = Path(__file__).resolve().parents[2]


class Worker:
    """One `python -m checks worker`, of this version or of the one in `root`."""

    def __init__(self, url: str, directory: Path, *arguments: str, number: int = 1, root: Path = ROOT) -> None:
        self.log_path = directory / f"worker-{number}.log"
        environment = {name: value for name, value in os.environ.items() if not name.startswith("STILLUP_")}
        environment |= {
            "STILLUP_MEASUREMENTS_URL": url,
            "STILLUP_DATA_DIR": str(directory),
            "PYTHONWARNINGS": "error",
        }
        with self.log_path.open("wb") as log:
            self.process = subprocess.Popen(
                [sys.executable, "-m", "checks", "worker", *arguments], cwd=root, env=environment, stderr=log
            )

    def log(self) -> str:
        return self.log_path.read_text()

    def signal(self, number: int) -> None:
        self.process.send_signal(number)

    def wait_for(self, text: str, within: float = 30.0) -> None:
        wait_until(lambda: text in self.log(), within=within, what=f"{text!r} in the log:\n{self.log()}")

    def stop(self) -> tuple[int, float]:
        """Its exit status after SIGTERM, and how many seconds it took."""
        begun = time.monotonic()
        self.signal(signal.SIGTERM)
        return self.process.wait(30), time.monotonic() - begun

    def end(self) -> None:
        self.process.kill()
        self.process.wait()


@contextmanager
def working(url: str, directory: Path, *arguments: str, number: int = 1, root: Path = ROOT) -> Iterator[Worker]:
    """A worker that has begun to work, and is gone after the block."""
    worker = Worker(url, directory, *arguments, number=number, root=root)
    try:
        worker.wait_for("working at")
        yield worker
    finally:
        worker.end()


def monitor_of(**options: Any) -> PublishedMonitor:
    """A monitor as it is published, by its options."""
    spec = make_spec(**options)
    policy = spec.policy()
    return make_published(
        slug=spec.slug,
        name=spec.name,
        kind=spec.kind,
        source=spec.source,
        spec=dump(spec),
        places=spec.places(),
        interval=policy.interval,
        retry_interval=getattr(spec, "retry_interval", policy.interval),
        policy=policy,
    )


def publish(store: sa.Engine, *monitors: PublishedMonitor, now: datetime | None = None) -> None:
    with store.begin() as conn:
        publishing.publish(conn, monitors, now or clock.utcnow())


def results(store: sa.Engine) -> Sequence[sa.Row[Any]]:
    with store.begin() as conn:
        return conn.execute(sa.select(result).order_by(result.c.id)).all()


def targets(store: sa.Engine) -> Sequence[sa.Row[Any]]:
    with store.begin() as conn:
        return conn.execute(sa.select(target).order_by(target.c.id)).all()


def statuses(store: sa.Engine) -> set[str]:
    with store.begin() as conn:
        return set(conn.execute(sa.select(monitor_state.c.status)).scalars())


def make_all_due(store: sa.Engine) -> None:
    """Instead of waiting until the first probes, spread over their interval, are due."""
    with store.begin() as conn:
        conn.execute(target.update().where(target.c.source == "probed").values(next_due_at=clock.utcnow()))


def hangs_up(visit: Visit) -> None:
    """Accepts and closes."""


def answers_after(seconds: float) -> Callable[[Visit], None]:
    def behave(visit: Visit) -> None:
        visit.read_request()
        if not visit.wait(seconds):
            visit.send(b"HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nok")
            visit.wait_for_end()

    return behave
