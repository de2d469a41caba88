"""What the benchmarks of the worker share: a server to ask, a store, monitors in it, and the product's own worker."""

from __future__ import annotations

import http.client
import json
import os
import signal
import statistics
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator, Sequence
from contextlib import closing, contextmanager
from dataclasses import astuple, dataclass
from functools import cache
from pathlib import Path
from typing import Any
from uuid import uuid4

sys.path.insert(0, str(Path(__file__).resolve().parents[1]))

import psutil
import sqlalchemy as sa

from checks import clock
from checks.probes import parse_spec
from checks.spec import ProbedSpec, dump
from checks.store.engine import open_engine, reading
from checks.store.publishing import PublishedMonitor, publish
from checks.store.schema import result, target
from checks.store.upgrade import upgrade
from tests import postgres

ROOT = Path(__file__).resolve().parents[1]
PUBLISHED_AT_ONCE = 1000


@contextmanager
def asked(*arguments: str) -> Iterator[int]:
    """The port of `benchmarks/loopback.py` in a process of its own."""
    command = [sys.executable, str(ROOT / "benchmarks" / "loopback.py"), *arguments]
    with subprocess.Popen(command, stdout=subprocess.PIPE, text=True) as server:
        assert server.stdout is not None
        try:
            yield int(server.stdout.readline())
        finally:
            server.terminate()


def ask(port: int, path: str) -> Any:
    """What the server of `asked` says about itself."""
    with closing(http.client.HTTPConnection("127.0.0.1", port, timeout=30)) as connection:
        connection.request("GET", path)
        return json.loads(connection.getresponse().read())


@contextmanager
def store(database: str, beside: Path | None = None) -> Iterator[tuple[str, sa.Engine]]:
    """The URL and engine of an empty store, on `sqlite` (in a directory in `beside`) or `postgresql`."""
    with tempfile.TemporaryDirectory(prefix="stillup-bench-", dir=beside) as directory:
        url = f"sqlite:///{directory}/store.sqlite3" if database == "sqlite" else _fresh_database()
        upgrade(url)
        engine = open_engine(url)
        try:
            yield url, engine
        finally:
            engine.dispose()


@cache
def server() -> postgres.PostgresServer:
    """A server that tidies up as an operator's does: the one of the tests never lives so long."""
    return postgres.PostgresServer(autovacuum_naptime="1min", shared_buffers="128MB")


def _fresh_database() -> str:
    return server().url(server().create_database())


def watch(engine: sa.Engine, options: Sequence[dict[str, Any]]) -> None:
    """Publish a monitor for each of these options."""
    monitors = [_published(number, each) for number, each in enumerate(options)]
    for begin in range(0, len(monitors), PUBLISHED_AT_ONCE):
        with engine.begin() as conn:
            publish(conn, monitors[begin : begin + PUBLISHED_AT_ONCE], clock.utcnow())
    if engine.dialect.name == "postgresql":  # which would do it by itself within a minute
        with engine.begin() as conn:
            conn.exec_driver_sql("ANALYZE")


def _published(number: int, options: dict[str, Any]) -> PublishedMonitor:
    spec = parse_spec({"name": f"Monitor {number}", **options})
    assert isinstance(spec, ProbedSpec)
    return PublishedMonitor(
        uuid=uuid4(),
        slug=spec.slug,
        name=spec.name,
        kind=spec.kind,
        source=spec.source,
        revision=1,
        spec=dump(spec),
        places=spec.places(),
        interval=spec.interval,
        retry_interval=spec.retry_interval,
        policy=spec.policy(),
    )


@contextmanager
def working(url: str, *arguments: str, **settings: str) -> Iterator[psutil.Process]:
    """The product's own worker on this store, with settings of the environment. Its log is shown if it fails."""
    with tempfile.TemporaryDirectory(prefix="stillup-bench-") as directory:
        log = Path(directory) / "log"
        environment = {name: value for name, value in os.environ.items() if not name.startswith("STILLUP_")}
        environment |= {"STILLUP_MEASUREMENTS_URL": url, "STILLUP_DATA_DIR": directory} | settings
        with log.open("w") as stderr:
            worker = subprocess.Popen(
                [sys.executable, "-m", "checks", "worker", *arguments], cwd=ROOT, env=environment, stderr=stderr
            )
        try:
            yield psutil.Process(worker.pid)
            worker.send_signal(signal.SIGTERM)
            worker.wait(15)
        finally:
            worker.kill()
            if worker.wait() != 0:
                print(log.read_text()[-3000:], file=sys.stderr)


@dataclass(frozen=True, slots=True)
class Spent:
    """User and system time of a worker, and how much of it was its event loop's (the main thread) and each lane's."""

    whole: float
    loop: float
    hot: float
    house: float

    @classmethod
    def by(cls, process: psutil.Process) -> Spent:
        """What a process has spent so far."""
        times = process.cpu_times()
        threads: dict[str, float] = {}
        for thread in process.threads():
            name = "loop" if thread.id == process.pid else _name_of(process.pid, thread.id)
            threads[name] = threads.get(name, 0.0) + thread.user_time + thread.system_time
        lanes = (threads.get(name, 0.0) for name in ("loop", "hot", "house-keeping"))
        return cls(times.user + times.system, *lanes)

    def __sub__(self, other: Spent) -> Spent:
        return Spent(*(mine - its for mine, its in zip(astuple(self), astuple(other), strict=True)))


def _name_of(process: int, thread: int) -> str:
    try:
        return Path(f"/proc/{process}/task/{thread}/comm").read_text(encoding="ascii").strip()
    except OSError:  # it has just ended
        return ""


def wait_until_probed(engine: sa.Engine, within: float) -> None:
    """Wait until every target that is probed has been so once."""
    deadline = time.monotonic() + within
    waiting = sa.and_(target.c.source == "probed", target.c.last_result_at.is_(None))
    while True:
        with reading(engine) as conn:
            left = conn.execute(sa.select(sa.func.count()).select_from(target).where(waiting)).scalar_one()
        if not left:
            return
        if time.monotonic() > deadline:
            raise RuntimeError(f"{left} targets were not probed within {within:g} s")
        time.sleep(0.5)


def results(engine: sa.Engine, since: Any, until: Any, *columns: sa.Column[Any]) -> list[sa.Row[Any]]:
    """The results that were due in a window."""
    query = sa.select(*columns).where(result.c.due_at >= since, result.c.due_at < until)
    with reading(engine) as conn:
        return list(conn.execute(query))


def recorded(engine: sa.Engine) -> int:
    """How many results the store has."""
    with reading(engine) as conn:
        count: int = conn.execute(sa.select(sa.func.count()).select_from(result)).scalar_one()
        return count


def share(values: Sequence[float], percent: float) -> float:
    """The value at or below which so many percent lie."""
    return sorted(values)[min(len(values) - 1, int(len(values) * percent / 100))]


def spoken(name: str, values: Sequence[float], unit: str, factor: float) -> str:
    """A line with the mean and the shares of these values."""
    figures = [("mean", statistics.fmean(values)), *((f"p{p:g}", share(values, p)) for p in (50, 99, 99.9))]
    told = ", ".join(f"{label} {value * factor:.2f}" for label, value in (*figures, ("most", max(values))))
    return f"  {name:<28} {told} {unit}"
