"""What is backed up comes back, in another place, muted; what is wrong is refused in words, and changes nothing."""

from __future__ import annotations

import json
import os
import shlex
import shutil
import signal
import sqlite3
import subprocess
import sys
import threading
import time
import zipfile
from contextlib import closing
from pathlib import Path

import pytest

from checks import clock
from checks.clock import to_micros
from checks.store.engine import open_engine, reading
from checks.store.muting import is_muted
from monitoring.backup import restoring
from monitoring.backup.archive import MANIFEST, BackupProblem, read_manifest
from monitoring.backup.commands import run_backup, run_restore
from monitoring.backup.making import back_up
from monitoring.backup.restoring import restore
from monitoring.backup.sources import KEYS
from monitoring.supervisor import DataDirectoryLock
from tests.monitoring.backup.place import Place

ROOT = Path(__file__).resolve().parents[3]
DATABASES = ("sqlite", "postgresql")


@pytest.fixture
def archive(tmp_path: Path) -> Path:
    return tmp_path / "stillup.backup"


def muted(place: Place) -> bool:
    engine = open_engine(place.url or f"sqlite:///{place.data / 'measurements.sqlite3'}")
    try:
        with reading(engine) as conn:
            return is_muted(conn)
    finally:
        engine.dispose()


def refused(call, *arguments, **options) -> str:
    with pytest.raises(BackupProblem) as caught:
        call(*arguments, **options)
    return str(caught.value)


def tampered(archive: Path, name: str, content: bytes) -> None:
    """Replace one file in the archive."""
    with zipfile.ZipFile(archive) as old:
        files = {each: old.read(each) for each in old.namelist()}
    with zipfile.ZipFile(archive, "w") as new:
        for each, was in files.items():
            new.writestr(each, content if each == name else was)


def spoil(archive: Path, name: str, kind: str) -> None:
    """Turn over what a bad disk might, of one file in the archive."""
    with zipfile.ZipFile(archive) as opened:
        entry = opened.getinfo(name)
        directory = opened.start_dir
    content = bytearray(archive.read_bytes())
    listed = content.index(name.encode(), directory) - 46  # its entry in the directory at the end
    at, xor = {
        "content": (entry.header_offset + 30 + len(name) + len(entry.extra) + entry.compress_size // 2, 0xFF),
        "method": (listed + 10, 0x80),
        "encrypted": (listed + 8, 0x01),
        "version": (listed + 6, 0x80),
    }[kind]
    content[at] ^= xor
    archive.write_bytes(content)


@pytest.mark.parametrize("database", DATABASES)
def test_what_was_backed_up_is_in_the_copy_which_is_muted(place, archive, database):
    original = place(database, filled=True)
    manifest = back_up(archive)
    kept = original.all_of_it()
    assert archive.stat().st_mode & 0o777 == 0o600
    assert (manifest.revision, manifest.migration) == ("0001", "0002_configuration_file")
    assert [path.name for path in archive.parent.iterdir() if archive.name in path.name] == [archive.name]

    copy = place(database)
    assert restore(archive) == manifest
    assert copy.all_of_it() == kept
    assert kept["transitions"]
    assert kept["results"]
    assert muted(copy)
    assert not muted(original)
    left = {path.name for path in copy.data.iterdir()}
    files = {"config.sqlite3", "measurements.sqlite3"} if database == "sqlite" else set()
    assert left == {"data.key", "secret.key", "up.lock", *files}


def test_nothing_that_is_written_meanwhile_waits_or_tears_the_copy(place, archive, tmp_path):
    original = place("sqlite", filled=True)
    path, stop, written = original.data / "measurements.sqlite3", threading.Event(), []

    def write() -> None:
        with closing(sqlite3.connect(path, timeout=20, isolation_level=None)) as conn:
            conn.execute("PRAGMA journal_mode=WAL")
            while not stop.is_set():
                conn.execute("BEGIN IMMEDIATE")
                for _ in range(2):  # always two of one time
                    conn.execute(
                        "INSERT INTO result (target_id, due_at, started_at, outcome) VALUES (99, ?, 1, 'up')",
                        [len(written)],
                    )
                conn.execute("COMMIT")
                written.append(1)
                stop.wait(0.001)

    writer = threading.Thread(target=write)
    writer.start()
    try:
        for number in range(3):
            before = len(written)
            back_up(tmp_path / f"copy-{number}")
            assert len(written) > before
    finally:
        stop.set()
        writer.join()
    copy = place("sqlite")
    restore(tmp_path / "copy-2")
    assert copy.ask("SELECT due_at FROM result WHERE target_id = 99 GROUP BY due_at HAVING count(*) <> 2") == []
    assert copy.ask("SELECT count(*) FROM result WHERE target_id = 99")[0][0] > 0


def test_a_file_that_is_there_is_not_overwritten(place, archive):
    place("sqlite", filled=True)
    archive.write_text("precious")
    assert refused(back_up, archive) == f"{archive} exists already; name another file"
    assert archive.read_text() == "precious"


@pytest.mark.parametrize("database", DATABASES)
def test_an_installation_that_never_ran_has_nothing_to_back_up(place, archive, database):
    made = place(database)
    assert "nothing to back up" in refused(back_up, archive)
    assert not archive.exists()
    assert not list(made.data.parent.glob("*/*.sqlite3"))


@pytest.mark.parametrize("database", DATABASES)
def test_what_is_there_is_not_overwritten(place, archive, database):
    original = place(database, filled=True)
    back_up(archive)
    kept = original.all_of_it()
    said = refused(restore, archive)
    assert ("--replace puts it aside" if database == "sqlite" else "the database is not empty") in said
    assert original.all_of_it() == kept
    assert not muted(original)


def test_what_is_there_can_be_put_aside(place, archive):
    original = place("sqlite", filled=True)
    back_up(archive)
    with closing(sqlite3.connect(original.data / "config.sqlite3")) as conn, conn:
        conn.execute("UPDATE monitoring_monitor SET slug = slug || '-later'")
    (original.data / "data.key").write_text("another key")

    restore(archive, replace=True)

    assert original.ask("SELECT slug FROM monitoring_monitor ORDER BY slug", store=False) == [("backup",), ("shop",)]
    assert muted(original)
    aside = {path.name.partition(".replaced-")[0] for path in original.data.glob("*.replaced-*")}
    assert aside == {"config.sqlite3", "measurements.sqlite3", "data.key", "secret.key"}
    (config,) = original.data.glob("config.sqlite3.replaced-*Z")
    with closing(sqlite3.connect(config)) as conn:
        assert conn.execute("SELECT slug FROM monitoring_monitor ORDER BY slug").fetchall()[0] == ("backup-later",)


def test_nothing_is_restored_under_what_runs(place, archive):
    original = place("sqlite", filled=True)
    back_up(archive)
    with closing(DataDirectoryLock(original.data)):
        assert "another `manage.py up` runs" in refused(restore, archive, replace=True)
    assert not muted(original)


def test_nothing_is_restored_under_a_worker_that_was_started_by_itself(place, archive):
    original = place("sqlite", filled=True)
    back_up(archive)
    with closing(sqlite3.connect(original.data / "measurements.sqlite3")) as conn, conn:
        row = (to_micros(clock.utcnow()), to_micros(clock.utcnow()))
        conn.execute("INSERT INTO sign_of_life VALUES ('worker@here:1', 'worker', 'local', ?, ?)", row)
    assert "something still works on" in refused(restore, archive, replace=True)
    assert not muted(original)


@pytest.mark.parametrize("name", ["config.sqlite3", "measurements.sqlite3", "data.key"])
def test_a_damaged_archive_is_refused_whole(place, archive, name):
    place("sqlite", filled=True)
    back_up(archive)
    tampered(archive, name, b"something else")
    copy = place("sqlite")
    assert f"{name} is not what was backed up" in refused(restore, archive)
    assert [path.name for path in copy.data.iterdir()] == ["up.lock"]


def test_a_truncated_archive_is_refused(place, archive):
    place("sqlite", filled=True)
    back_up(archive)
    archive.write_bytes(archive.read_bytes()[:-200])
    place("sqlite")
    assert "is no backup of Stillup, or is damaged" in refused(restore, archive)


@pytest.mark.parametrize("name", [MANIFEST, "config.sqlite3", "data.key"])
@pytest.mark.parametrize("kind", ["content", "method", "encrypted", "version"])
def test_an_archive_in_which_a_bit_is_wrong_is_refused_in_words(place, archive, capsys, name, kind):
    place("sqlite", filled=True)
    back_up(archive)
    spoil(archive, name, kind)
    copy = place("sqlite")
    assert run_restore([str(archive)]) == 78
    assert "damaged" in capsys.readouterr().err
    assert not list(copy.data.glob("*.sqlite3*"))


@pytest.mark.parametrize(
    ("change", "said"),
    [
        ({"revision": "9999"}, "is of a newer Stillup"),
        ({"migration": "9999_later"}, "is of a newer Stillup"),
        ({"format": 2}, "this version reads 1: a newer Stillup made it"),
        ({"files": {}}, "this environment wants config.sqlite3 and measurements.sqlite3"),
        ({"surprise": 1}, "is no backup of Stillup"),
        ({"created_at": "yesterday"}, "is no backup of Stillup"),
        ({"files": []}, "is no backup of Stillup"),
    ],
)
def test_what_this_version_does_not_know_is_refused(place, archive, change, said):
    place("sqlite", filled=True)
    back_up(archive)
    with zipfile.ZipFile(archive) as opened:
        manifest = json.loads(opened.read(MANIFEST))
    tampered(archive, MANIFEST, json.dumps({**manifest, **change}).encode())
    place("sqlite")
    assert said in refused(restore, archive)


def test_a_backup_goes_back_to_the_kind_of_database_it_was_made_of(place, archive):
    place("sqlite", filled=True)
    back_up(archive)
    place("postgresql")
    assert "this environment wants database.dump" in refused(restore, archive)


@pytest.mark.parametrize("version", [True, False])
def test_without_the_programs_of_postgresql_it_is_said_so(place, archive, monkeypatch, tmp_path, version):
    place("postgresql", filled=True)
    monkeypatch.setenv("PATH", str(tmp_path))
    if version:  # an old one is as good as none
        tool = tmp_path / "pg_dump"
        tool.write_text("#!/bin/sh\necho 'pg_dump: error: aborting because of server version mismatch' >&2; exit 1\n")
        tool.chmod(0o755)
    said = refused(back_up, archive)
    assert said.startswith(
        "pg_dump failed: error: aborting because of server version mismatch" if version else "pg_dump is not installed"
    )
    assert not archive.exists()


def in_place_of(name: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, script: str) -> None:
    """A shell script in which `real` is PostgreSQL's own."""
    tool = tmp_path / "bin" / name
    tool.parent.mkdir()
    tool.write_text(f'#!/bin/sh\nreal() {{ {shlex.quote(str(shutil.which(name)))} "$@"; }}\n{script}\n')
    tool.chmod(0o755)
    monkeypatch.setenv("PATH", f"{tool.parent}{os.pathsep}{os.environ['PATH']}")


def left_alone(place: Place) -> None:
    """Wait until nobody else is connected to its database."""
    others = "SELECT count(*) FROM pg_stat_activity WHERE datname = current_database() AND pid <> pg_backend_pid()"
    until = time.monotonic() + 20
    while place.ask(others) != [(0,)]:
        assert time.monotonic() < until
        time.sleep(0.05)


def test_a_restore_that_is_killed_before_it_muted_the_copy_leaves_none(place, archive, tmp_path, monkeypatch):
    place("postgresql", filled=True)
    back_up(archive)
    copy = place("postgresql")
    with monkeypatch.context() as patched:
        in_place_of("pg_restore", tmp_path, patched, 'real "$@"\nkill -9 $PPID')
        done = subprocess.run([sys.executable, "manage.py", "restore", archive], cwd=ROOT, check=False)
        assert done.returncode == -signal.SIGKILL
    left_alone(copy)
    restore(archive)
    assert muted(copy)


def test_a_database_of_which_only_a_part_could_be_read_is_not_filled(place, archive, tmp_path, monkeypatch):
    original = place("postgresql", filled=True)
    back_up(archive)
    kept = original.all_of_it()
    copy = place("postgresql")
    with monkeypatch.context() as patched:
        in_place_of(
            "pg_restore", tmp_path, patched, 'real "$@" | head -c 60000\necho "pg_restore: error: cut off" >&2\nexit 1'
        )
        assert refused(restore, archive) == "pg_restore failed: error: cut off"
    left_alone(copy)
    restore(archive)
    assert copy.all_of_it() == kept


def test_what_the_database_refuses_is_said(place, archive, monkeypatch):
    place("postgresql", filled=True)
    back_up(archive)
    monkeypatch.setattr(restoring, "has_tables", lambda _source: False)
    assert refused(restore, archive).endswith('ERROR:  schema "measurements" already exists')


@pytest.mark.parametrize("when", ["at once", "late"])
def test_a_psql_that_ends_before_its_time_is_heard(place, archive, tmp_path, monkeypatch, when):
    place("postgresql", filled=True)
    back_up(archive)
    copy = place("postgresql")
    waits = "" if when == "at once" else "head -c 40000 >/dev/null\n"
    with monkeypatch.context() as patched:
        in_place_of("psql", tmp_path, patched, f'{waits}echo "psql: error: no such role" >&2\nexit 2')
        assert refused(restore, archive) == "psql failed: error: no such role"
    restore(archive)
    assert muted(copy)


def test_a_password_stands_in_no_process_list(place, archive, monkeypatch, tmp_path):
    filled = place("postgresql", filled=True)
    monkeypatch.setenv("STILLUP_DATABASE_URL", filled.url.replace("//stillup@", "//stillup:s3cret@"))
    tool = tmp_path / "bin" / "pg_dump"
    tool.parent.mkdir()
    tool.write_text('#!/bin/sh\necho "$@ $PGPASSWORD" >&2; exit 1\n')
    tool.chmod(0o755)
    monkeypatch.setenv("PATH", str(tool.parent))
    said = refused(back_up, archive)
    assert said.count("s3cret") == 1, "only in the environment"
    assert said.endswith("s3cret")


def test_the_commands_say_what_they_did_and_what_to_do_next(place, archive, capsys):
    place("sqlite", filled=True)
    assert run_backup([str(archive)]) == 0
    assert "It holds the keys: keep it as secret as they are." in capsys.readouterr().out
    assert run_backup([str(archive)]) == 78
    assert capsys.readouterr().err == f"stillup: {archive} exists already; name another file\n"

    place("sqlite")
    assert run_restore([str(archive)]) == 0
    assert "Let it with `manage.py unmute`" in capsys.readouterr().out
    assert read_manifest(archive).version


HELD = "It holds the keys: keep it as secret as they are."
GIVEN = "The key STILLUP_DATA_KEY is not in it: keep that elsewhere."
NONE = "There is no data.key here, and STILLUP_DATA_KEY is not set: "


@pytest.mark.parametrize("keys", ["kept", "given", "kept and given", "none"])
def test_it_is_said_which_keys_are_in_it(place, archive, monkeypatch, capsys, keys):
    original = place("sqlite", filled=True)
    if "given" in keys:
        monkeypatch.setenv("STILLUP_DATA_KEY", "a key")
    if "kept" not in keys:
        for name in KEYS:
            (original.data / name).unlink()
    assert run_backup([str(archive)]) == 0
    _, *said = capsys.readouterr().out.splitlines()
    wanted = {"kept": [HELD], "given": [GIVEN], "kept and given": [HELD, GIVEN], "none": [NONE]}[keys]
    assert [line.startswith(each) for line, each in zip(said, wanted, strict=True)] == [True] * len(wanted)
