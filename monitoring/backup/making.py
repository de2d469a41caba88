"""`manage.py backup FILE`: a consistent copy while everything runs."""

from __future__ import annotations

import sqlite3
import tempfile
import tomllib
from contextlib import closing
from pathlib import Path

import sqlalchemy as sa
from sqlalchemy.exc import SQLAlchemyError

from checks import clock
from checks.environment import data_dir
from checks.store.engine import StoreProblem, open_engine, our_trouble
from checks.store.schema import instance
from checks.store.upgrade import VERSION_TABLE
from monitoring.backup import postgresql
from monitoring.backup.archive import BackupProblem, Manifest, pack
from monitoring.backup.sources import KEYS, Source, has_tables, sources

_ROOT = Path(__file__).resolve().parents[2]


def back_up(path: Path) -> Manifest:
    """Write the backup; what it is. Raises BackupProblem, and leaves nothing behind then."""
    if path.exists():
        raise BackupProblem(f"{path} exists already; name another file")
    if not path.parent.is_dir():
        raise BackupProblem(f"there is no directory {path.parent}")
    found = sources()
    try:
        for source in found:
            if not has_tables(source):
                raise BackupProblem(f"there is nothing to back up: the database {source.member} is empty")
        manifest = _manifest(found)
        # Beside the file, where the room for it is.
        with tempfile.TemporaryDirectory(prefix=f".{path.name}.", dir=path.parent) as directory:
            files = {source.member: Path(directory) / source.member for source in found}
            for source in found:
                _copy(source, files[source.member])
            files |= {key: kept for key in KEYS if (kept := data_dir() / key).exists()}
            pack(path, manifest, files)
    except (SQLAlchemyError, StoreProblem) as exc:
        raise BackupProblem(f"a database can't be read: {our_trouble(exc) or exc}") from exc
    except OSError as exc:
        raise BackupProblem(f"{path} can't be written: {exc.strerror or exc}") from exc
    return manifest


def _manifest(found: list[Source]) -> Manifest:
    store, configuration = open_engine(found[0].url), open_engine(found[-1].url)
    schema = "public" if configuration.dialect.name == "postgresql" else None
    migrations = sa.table("django_migrations", sa.column("app"), sa.column("name"), schema=schema)
    try:
        with store.connect() as conn:
            uuid = conn.execute(sa.select(instance.c.uuid)).scalar_one()
            revision: str = conn.execute(
                sa.select(sa.column("version_num")).select_from(sa.table(VERSION_TABLE))
            ).scalar_one()
        with configuration.connect() as conn:
            ours = sa.select(sa.func.max(migrations.c.name)).where(migrations.c.app == "monitoring")
            migration = conn.execute(ours).scalar_one()
    finally:
        store.dispose()
        configuration.dispose()
    return Manifest(
        version=_version(),
        created_at=clock.utcnow().isoformat(timespec="seconds"),
        revision=revision,
        migration=migration or "",
        instance=str(uuid),
    )


def _version() -> str:
    try:
        project = tomllib.loads((_ROOT / "pyproject.toml").read_text(encoding="utf-8"))
    except OSError:
        return ""  # installed without it; the revision and the migration are what counts
    return str(project["project"]["version"])


def _copy(source: Source, path: Path) -> None:
    if source.file is None:
        postgresql.dump(source.url, path)
        return
    try:
        # In one step: a snapshot, for which no writer waits. In several it would begin anew whenever something is written.
        with closing(sqlite3.connect(source.file, timeout=20)) as origin, closing(sqlite3.connect(path)) as copy:
            origin.backup(copy, pages=-1)
            (verdict,) = copy.execute("PRAGMA quick_check(1)").fetchone()
    except sqlite3.Error as exc:
        raise BackupProblem(f"{source.file} can't be copied: {exc}") from exc
    if verdict != "ok":
        raise BackupProblem(f"{source.file} is damaged: {verdict}")
