"""`manage.py restore FILE`: a copy that tells nobody anything until `manage.py unmute`."""

from __future__ import annotations

from contextlib import closing
from datetime import datetime, timedelta
from pathlib import Path
from tempfile import TemporaryDirectory

import sqlalchemy as sa
from sqlalchemy.exc import SQLAlchemyError

from checks import clock
from checks.environment import data_dir
from checks.store import muting
from checks.store.engine import StoreProblem, open_engine, our_trouble, reading
from checks.store.schema import sign_of_life
from checks.store.upgrade import known_revisions
from monitoring.backup import postgresql
from monitoring.backup.archive import BackupProblem, Manifest, read_manifest, unpack
from monitoring.backup.sources import KEYS, Source, has_tables, sources
from monitoring.supervisor import AlreadyRunning, DataDirectoryLock

LIVING = timedelta(seconds=10)  # after its last sign of life a process is taken for gone
_MIGRATIONS = Path(__file__).resolve().parents[1] / "migrations"


def restore(path: Path, *, replace: bool = False) -> Manifest:
    """Fill this environment's databases, which must be empty, from a backup; what it is. Raises BackupProblem.

    `replace` puts SQLite files and keys that are in the way aside. Nothing may run meanwhile.
    """
    manifest, found = read_manifest(path), sources()
    _refuse_foreign(path, manifest, found)
    try:
        with closing(DataDirectoryLock(data_dir())):
            _refuse_full(found, replace=replace)
            if all(source.file for source in found):
                _restore_files(path, manifest, found)
            else:
                _restore_databases(path, manifest, found)
    except AlreadyRunning as exc:
        raise BackupProblem(str(exc)) from exc
    except (SQLAlchemyError, StoreProblem) as exc:
        raise BackupProblem(f"a database can't be used: {our_trouble(exc) or exc}") from exc
    except OSError as exc:
        raise BackupProblem(f"the backup can't be restored: {exc.strerror or exc}") from exc
    return manifest


def _refuse_foreign(path: Path, manifest: Manifest, found: list[Source]) -> None:
    if manifest.revision not in known_revisions() or not (_MIGRATIONS / f"{manifest.migration}.py").exists():
        raise BackupProblem(
            f"{path} is of a newer Stillup (revision {manifest.revision}, migration {manifest.migration}):"
            " install that version here first"
        )
    wanted, there = {source.member for source in found}, set(manifest.files) - set(KEYS)
    if wanted != there:
        raise BackupProblem(
            f"{path} holds {' and '.join(sorted(there))}, and this environment wants {' and '.join(sorted(wanted))}:"
            " a backup is restored to the kind of database it was made of; see STILLUP_DATABASE_URL"
        )


def _refuse_full(found: list[Source], *, replace: bool) -> None:
    for source in found:
        if source.file is None:
            if has_tables(source):
                raise BackupProblem("the database is not empty: make an empty one and let STILLUP_DATABASE_URL name it")
        elif source.file.exists():
            if not replace:
                raise BackupProblem(f"{source.file} exists already; --replace puts it aside")
            if source is found[0]:
                _refuse_living(source)


def _refuse_living(source: Source) -> None:
    """A worker that was started by itself has no lock on the data directory, and would go on with the old file."""
    engine = open_engine(source.url)
    try:
        with reading(engine) as conn:
            last = conn.execute(sa.select(sa.func.max(sign_of_life.c.at))).scalar_one()
    except SQLAlchemyError:
        return  # it is no store, or a damaged one: nobody works on it
    finally:
        engine.dispose()
    if last is not None and clock.utcnow() - last < LIVING:
        raise BackupProblem(f"something still works on {source.file}: stop it, and try again {LIVING.seconds} s later")


def _restore_files(path: Path, manifest: Manifest, found: list[Source]) -> None:
    """Both files are there, muted, before either has its name."""
    into = {source.member: source.file for source in found if source.file is not None} | _keys(manifest)
    drafts = {name: target.with_name(f"{target.name}.restoring") for name, target in into.items()}
    try:
        unpack(path, manifest, drafts)
        _mute(f"sqlite:///{drafts[found[0].member]}", manifest)
        now = clock.utcnow()
        for name, target in into.items():
            _put_aside(target, now)
            drafts[name].rename(target)
    finally:
        for draft in drafts.values():
            for each in (draft, _beside(draft, "-wal"), _beside(draft, "-shm")):
                each.unlink(missing_ok=True)


def _restore_databases(path: Path, manifest: Manifest, found: list[Source]) -> None:
    """No database is there for a moment without being muted, wherever this ends."""
    keys = _keys(manifest)
    with TemporaryDirectory(prefix=".restoring-", dir=data_dir()) as directory:
        drafts = {name: Path(directory) / name for name in manifest.files}
        unpack(path, manifest, drafts)
        for source in found:
            first = source is found[0]  # the one whose word counts: without it nothing is ever sent
            if source.file is None:
                muting_it = muting.muted(_reason(manifest), clock.utcnow()) if first else ()
                postgresql.load(source.url, drafts[source.member], and_then=muting_it)
            else:
                if first:
                    _mute(f"sqlite:///{drafts[source.member]}", manifest)
                _put_aside(source.file, clock.utcnow())
                drafts[source.member].rename(source.file)
        for name, target in keys.items():
            _put_aside(target, clock.utcnow())
            drafts[name].rename(target)


def _keys(manifest: Manifest) -> dict[str, Path]:
    return {key: data_dir() / key for key in KEYS if key in manifest.files}


def _mute(url: str, manifest: Manifest) -> None:
    engine = open_engine(url)
    try:
        with engine.begin() as conn:
            muting.mute(conn, _reason(manifest), clock.utcnow())
    finally:
        engine.dispose()


def _reason(manifest: Manifest) -> str:
    return (
        f"This copy was restored from a backup of {manifest.made_at:%Y-%m-%d %H:%M} UTC."
        " It tells nobody anything until `manage.py unmute`."
    )


def _beside(path: Path, suffix: str) -> Path:
    return path.with_name(path.name + suffix)


def _put_aside(path: Path, now: datetime) -> None:
    """Give what is in the way another name; of a SQLite file also what belongs to it."""
    aside = path.with_name(f"{path.name}.replaced-{now:%Y%m%dT%H%M%SZ}")
    for suffix in ("", "-wal", "-shm"):
        if (old := _beside(path, suffix)).exists():
            old.rename(_beside(aside, suffix))
