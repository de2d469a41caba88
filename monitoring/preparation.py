"""What must be so before any process starts: both databases of this version, an admin, the configuration applied."""

from __future__ import annotations

import fcntl
from collections.abc import Container, Iterable, Iterator
from contextlib import contextmanager
from pathlib import Path

from django.conf import settings
from django.core.management import CommandError, call_command
from django.core.management.base import BaseCommand, SystemCheckError
from django.db import DEFAULT_DB_ALIAS, DatabaseError, connection, connections
from django.db.migrations.executor import MigrationExecutor
from django.db.migrations.loader import MigrationLoader
from django.db.migrations.recorder import MigrationRecorder
from sqlalchemy.exc import SQLAlchemyError

from checks.environment import measurements_url
from checks.store.engine import StoreProblem, open_engine, our_trouble
from checks.store.upgrade import check_schema, upgrade
from monitoring import migrations
from monitoring.accounts import FirstAccount, ensure_admin
from monitoring.publish import store_engine

_LOCK = 0x5570  # PostgreSQL's advisory lock of a migration of ours; the store's upgrade has its own


class NotPrepared(Exception):
    """A database is not of this version; the message says what to do."""


class Unreachable(NotPrepared):
    """A database does not answer: no fault of its version, and over when it does."""


def migrate() -> None:
    """Bring both databases to this version; of several processes one does it, the others wait."""
    with _outages_told(), _one_at_a_time():
        _refuse_newer(MigrationLoader(connection))
        upgrade(measurements_url())
        call_command("migrate", interactive=False, verbosity=0)


def check() -> None:
    """Raises NotPrepared where a database is older or newer than this code: for a process that was started by itself."""
    with _outages_told():
        executor = MigrationExecutor(connections[DEFAULT_DB_ALIAS])
        _refuse_newer(executor.loader)
        waiting = executor.migration_plan(executor.loader.graph.leaf_nodes())
        if waiting:
            raise NotPrepared(
                f"the configuration's database lacks {len(waiting)} migrations; `manage.py prepare` or `up` makes them",
            )
        engine = open_engine(measurements_url())
        try:
            check_schema(engine)
        finally:
            engine.dispose()


def check_again() -> None:
    """Raises NotPrepared where a newer version has upgraded a database under this process; asks little."""
    with _outages_told():
        _refuse_unknown(MigrationRecorder(connection).applied_migrations(), on_disk())
        check_schema(store_engine())


def on_disk() -> set[str]:
    """The names of the migrations of this version."""
    return {path.stem for path in Path(migrations.__file__).parent.glob("[0-9]*.py")}


def _refuse_newer(loader: MigrationLoader) -> None:
    _refuse_unknown(loader.applied_migrations, {name for app, name in loader.disk_migrations if app == "monitoring"})


def _refuse_unknown(applied: Iterable[tuple[str, str]], ours: Container[str]) -> None:
    newer = sorted(name for app, name in applied if app == "monitoring" and name not in ours)
    if newer:
        raise NotPrepared(
            f"the configuration's database has migration {newer[-1]}, which this version does not know:"
            " a newer Stillup made it; install that version here too",
        )


@contextmanager
def _outages_told() -> Iterator[None]:
    """Turns what either database raises into a sentence."""
    try:
        yield
    except DatabaseError as exc:
        raise Unreachable(f"the configuration's database can't be used: {str(exc).strip().splitlines()[0]}") from exc
    except StoreProblem as exc:
        raise NotPrepared(str(exc)) from exc
    except SQLAlchemyError as exc:
        raise Unreachable(f"the measurements' database can't be used: {our_trouble(exc) or exc}") from exc


@contextmanager
def _one_at_a_time() -> Iterator[None]:
    """One lock over both databases: of this data directory, and on PostgreSQL of the database."""
    settings.DATA_DIR.mkdir(parents=True, exist_ok=True, mode=0o700)
    with (settings.DATA_DIR / "migrate.lock").open("a") as file:
        fcntl.flock(file, fcntl.LOCK_EX)
        if connection.vendor != "postgresql":
            yield
            return
        with connection.cursor() as cursor:
            # A migration may rewrite a large table; the settings' limits are for requests.
            cursor.execute("SET statement_timeout = 0")
            cursor.execute("SET lock_timeout = '60s'")
            cursor.execute("SELECT pg_advisory_lock(%s)", [_LOCK])
        try:
            yield
        finally:
            connections.close_all()  # which lets go of the lock, and of the limits


def check_system(command: BaseCommand) -> None:
    """Raises NotPrepared, with every finding of `monitoring.system_checks`, where the installation can't work."""
    try:
        command.check()
    except SystemCheckError as exc:
        raise NotPrepared(str(exc)) from exc


def prepare(config: Path | None) -> FirstAccount | None:
    """Make everything ready to run. Raises NotPrepared, with every mistake where the configuration file is wrong.

    Returns the account that was made, if one was.
    """
    migrate()
    if config is not None:
        try:
            call_command("apply", str(config))
        except CommandError as exc:
            raise NotPrepared(str(exc)) from exc
    return ensure_admin()
