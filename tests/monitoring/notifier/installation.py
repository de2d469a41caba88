"""A prepared installation whose databases this process and real notifier processes use at once."""

from __future__ import annotations

import os
import shutil
import signal
import subprocess
import sys
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from pathlib import Path

import psycopg
import pytest
import sqlalchemy as sa
from django.conf import settings
from django.db import connections

from monitoring import publish
from monitoring.settings import _database
from tests import postgres
from tests.journeys.stack import ROOT, environment, template
from tests.waiting import wait_until


class Installation:
    """The databases of one test, and the processes that it starts over them."""

    def __init__(self, directory: Path, database: str, engine: sa.Engine) -> None:
        self.directory = directory
        self.database = database
        self.engine = engine
        self.env = environment(directory, database)
        self._running: list[subprocess.Popen[bytes]] = []

    @property
    def logs(self) -> list[str]:
        return [path.read_text() for path in sorted(self.directory.glob("notifier-*.log"))]

    @property
    def log(self) -> str:
        return "".join(self.logs)

    def notifier(self, lease: str = "2s") -> subprocess.Popen[bytes]:
        """A notifier process that has begun to work."""
        path = self.directory / f"notifier-{len(self._running)}.log"
        with path.open("wb") as log:
            process = subprocess.Popen(
                [sys.executable, str(ROOT / "manage.py"), "notifier", "--lease", lease],
                env=self.env,
                cwd=ROOT,
                stderr=log,
                stdout=log,
            )
        self._running.append(process)
        wait_until(lambda: started(path, process), within=60, what="the notifier runs")
        return process

    @contextmanager
    def away(self) -> Iterator[None]:
        """The PostgreSQL database ends all connections and accepts none for the time being."""
        name = self.database.rpartition("/")[2]
        connections.close_all()
        self.engine.dispose()
        with psycopg.connect(postgres.server().url("postgres"), autocommit=True) as admin:
            admin.execute(f"ALTER DATABASE {name} ALLOW_CONNECTIONS false")
            admin.execute("SELECT pg_terminate_backend(pid) FROM pg_stat_activity WHERE datname = %s", [name])
            try:
                yield
            finally:
                admin.execute(f"ALTER DATABASE {name} ALLOW_CONNECTIONS true")

    def stop(self) -> None:
        for process in self._running:
            if process.poll() is None:
                process.send_signal(signal.SIGKILL)
            process.wait()


def started(log: Path, process: subprocess.Popen[bytes]) -> bool:
    assert process.poll() is None, log.read_text()
    return "The notifier runs." in log.read_text()


@contextmanager
def installed(dialect: str, directory: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Installation]:
    """An installation, with Django's connection of this process moved to it for the time being."""
    with ExitStack() as undo:
        prepared, name = template(dialect)
        data = directory / "data"
        shutil.copytree(prepared, data)
        url = postgres.server().url(postgres.server().create_database(template=name, prefix="notifier")) if name else ""
        monkeypatch.setenv("STILLUP_DATA_DIR", str(data))
        monkeypatch.setattr(settings, "DATA_DIR", data)
        if url:
            monkeypatch.setenv("STILLUP_DATABASE_URL", url)
            undo.callback(postgres.drop, url)
        else:
            url_of_file = f"sqlite:///{data / 'config.sqlite3'}"
            monkeypatch.setenv("STILLUP_DATABASE_URL", url_of_file)
        ours = connections["default"]
        before = connections.settings["default"]
        described = _database(os.environ["STILLUP_DATABASE_URL"])
        connections.settings["default"] = connections.configure_settings({"default": described})["default"]
        del connections["default"]
        undo.callback(connections.__setitem__, "default", ours)
        undo.callback(connections.settings.__setitem__, "default", before)
        undo.callback(connections["default"].close)
        engine = publish.store_engine()
        undo.callback(engine.dispose)
        installation = Installation(data, url, engine)
        undo.callback(installation.stop)
        yield installation
