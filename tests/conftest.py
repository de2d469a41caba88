"""What all tests share: a data directory of their own, no internet, and a store on each database."""

from __future__ import annotations

import atexit
import ipaddress
import os
import shutil
import socket
import sys
import tempfile
from collections.abc import Iterator
from functools import cache
from pathlib import Path
from typing import Any

# Before anything reads the settings: a test never sees the environment or the data directory of whoever runs it.
_DATA = Path(tempfile.mkdtemp(prefix="stillup-tests-"))
atexit.register(shutil.rmtree, _DATA, ignore_errors=True)
for _name in [name for name in os.environ if name.startswith("STILLUP_")]:
    del os.environ[_name]
os.environ["STILLUP_DATA_DIR"] = str(_DATA)

import pytest  # noqa: E402 - the environment comes first
import sqlalchemy as sa  # noqa: E402

from checks import clock  # noqa: E402
from checks.store.engine import open_engine  # noqa: E402
from checks.store.upgrade import upgrade  # noqa: E402
from tests import postgres, sharing  # noqa: E402

DIALECTS = ("sqlite", "postgresql")

_escapes: list[str] = []


class InternetUsed(AssertionError):
    """A test tried to reach something beyond this machine."""


def _stay_here(event: str, args: tuple[Any, ...]) -> None:
    """An audit hook that refuses connections and datagrams which would leave this machine."""
    if event not in ("socket.connect", "socket.sendto", "socket.sendmsg") or _is_here(args[1]):
        return
    _escapes.append(f"{event} to {args[1]!r}")
    raise InternetUsed(_escapes[-1])


def _is_here(address: Any) -> bool:
    if not isinstance(address, tuple):
        return True  # a Unix socket, or a datagram to the address connected before
    host = str(address[0]).partition("%")[0]
    try:
        ip = ipaddress.ip_address(host)
    except ValueError:
        return host in ("", "localhost")
    mapped = ip.ipv4_mapped if isinstance(ip, ipaddress.IPv6Address) else None
    return (mapped or ip).is_loopback or (mapped or ip).is_unspecified


sys.addaudithook(_stay_here)


def pytest_itemcollected(item: pytest.Item) -> None:
    """Mark as long what says of itself that it is so on this database."""
    databases = {database for mark in item.iter_markers("long_on") for database in mark.args}
    call = getattr(item, "callspec", None)
    if databases and call is not None and not databases.isdisjoint(map(str, call.params.values())):
        item.add_marker(pytest.mark.long)


@pytest.hookimpl(trylast=True)
def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """Keep tests of one `xdist_group` in one process: xdist 3.8 notes the group where pytest 9.2 no longer looks.

    Without this, every process would start every server.
    """
    for item in items:
        noted = vars(item).get("_nodeid")
        if noted is not None:
            item._id = type(item._id).parse(noted)  # type: ignore[attr-defined]


@pytest.hookimpl(trylast=True)
def pytest_runtest_teardown(item: pytest.Item, nextitem: pytest.Item | None) -> None:
    """End what a group shared after its last test; only xdist keeps the tests of a group together."""
    if hasattr(item.config, "workerinput"):
        sharing.end_of(sharing.groups_of(item) - sharing.groups_of(nextitem))


def pytest_sessionfinish() -> None:
    """End what is shared still."""
    sharing.end_of_all()


@pytest.fixture(autouse=True)
def _no_internet() -> Iterator[None]:
    """Fail a test that tried to leave this machine, even where the code under test took the refusal for an answer."""
    _escapes.clear()
    yield
    assert not _escapes, f"the test tried to leave this machine: {', '.join(_escapes)}"


@pytest.fixture(autouse=True)
def _own_time() -> Iterator[None]:
    """A test that sets the clock leaves it right for the next one."""
    yield
    clock.set_offset(0.0)


@pytest.fixture
def unused_port() -> int:
    """A port of 127.0.0.1 on which nobody listens."""
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port: int = probe.getsockname()[1]
        return port


@cache
def _sqlite_template() -> Path:
    path = _DATA / "template.sqlite3"
    upgrade(f"sqlite:///{path}")
    return path


@pytest.fixture(params=DIALECTS)
def dialect(request: pytest.FixtureRequest) -> str:
    """The database under test: each in turn."""
    return str(request.param)


@pytest.fixture
def sqlite_url(tmp_path: Path) -> str:
    """The URL of an upgraded, empty store in a SQLite file."""
    path = tmp_path / "measurements.sqlite3"
    shutil.copyfile(_sqlite_template(), path)
    return f"sqlite:///{path}"


@pytest.fixture
def postgresql_url() -> Iterator[str]:
    """The URL of an upgraded, empty store in a PostgreSQL database, whose tables the test leaves as they are."""
    url = postgres.borrow_store()
    yield url
    postgres.give_back(url)


@pytest.fixture
def empty_postgresql_url() -> Iterator[str]:
    """The URL of an empty PostgreSQL database."""
    url = postgres.fresh_database()
    yield url
    postgres.drop(url)


@pytest.fixture
def store_url(dialect: str, request: pytest.FixtureRequest) -> str:
    """The URL of an upgraded, empty store, on each database in turn."""
    return str(request.getfixturevalue(f"{dialect}_url"))


@pytest.fixture
def store(store_url: str) -> Iterator[sa.Engine]:
    """An upgraded, empty store, on each database in turn."""
    engine = open_engine(store_url)
    yield engine
    engine.dispose()


@pytest.fixture
def sqlite_store(sqlite_url: str) -> Iterator[sa.Engine]:
    """An upgraded, empty store in a SQLite file."""
    engine = open_engine(sqlite_url)
    yield engine
    engine.dispose()


@pytest.fixture
def postgresql_store(postgresql_url: str) -> Iterator[sa.Engine]:
    """An upgraded, empty store in a PostgreSQL database."""
    engine = open_engine(postgresql_url)
    yield engine
    engine.dispose()
