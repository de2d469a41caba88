"""The command lines of `backup` and `restore`, which `monitoring.command_line` runs without Django."""

from __future__ import annotations

import sys
from argparse import ArgumentParser
from collections.abc import Sequence
from pathlib import Path

from checks.environment import EnvironmentProblem, read_env
from checks.process import WRONG_CONFIGURATION
from monitoring.backup.archive import BackupProblem
from monitoring.backup.making import back_up
from monitoring.backup.restoring import restore
from monitoring.backup.sources import KEYS

_GIVEN = ("STILLUP_DATA_KEY", "STILLUP_SECRET_KEY")  # keys that the environment may hold

BACKUP = "Write everything that this installation knows into one file, while it runs."
RESTORE = "Fill empty databases from a backup. The copy is muted until `manage.py unmute`."


def add_backup_arguments(parser: ArgumentParser) -> None:
    """What `backup` takes."""
    parser.add_argument("file", type=Path, help="the backup, which must not exist yet")


def add_restore_arguments(parser: ArgumentParser) -> None:
    """What `restore` takes."""
    parser.add_argument("file", type=Path, help="the backup")
    parser.add_argument("--replace", action="store_true", help="put databases in SQLite files that are there aside")


def run_backup(argv: Sequence[str]) -> int:
    """The exit status of `manage.py backup`."""
    parser = ArgumentParser(prog="manage.py backup", description=BACKUP)
    add_backup_arguments(parser)
    path: Path = parser.parse_args(argv).file.absolute()
    try:
        given = [name for name in _GIVEN if read_env(name)]
        manifest = back_up(path)
    except (BackupProblem, EnvironmentProblem) as exc:
        return _refused(exc)
    size = path.stat().st_size
    print(f"{path}: {size} bytes, with {', '.join(sorted(manifest.files))}.")  # noqa: T201 - its answer
    if not manifest.files.keys().isdisjoint(KEYS):
        print("It holds the keys: keep it as secret as they are.")  # noqa: T201
    for name in given:
        print(f"The key {name} is not in it: keep that elsewhere.")  # noqa: T201
    if "data.key" not in manifest.files and "STILLUP_DATA_KEY" not in given:
        print(  # noqa: T201
            "There is no data.key here, and STILLUP_DATA_KEY is not set: without the key that was used,"
            " no secret in it can be read after a restore."
        )
    return 0


def run_restore(argv: Sequence[str]) -> int:
    """The exit status of `manage.py restore`."""
    parser = ArgumentParser(prog="manage.py restore", description=RESTORE)
    add_restore_arguments(parser)
    options = parser.parse_args(argv)
    try:
        manifest = restore(options.file.absolute(), replace=options.replace)
    except (BackupProblem, EnvironmentProblem) as exc:
        return _refused(exc)
    print(  # noqa: T201 - its answer
        f"Restored what was known at {manifest.made_at:%Y-%m-%d %H:%M:%S} UTC.\n"
        "It is muted: it watches, and tells nobody anything. Let it with `manage.py unmute` once the original is off."
    )
    return 0


def _refused(problem: Exception) -> int:
    print(f"stillup: {problem}", file=sys.stderr)  # noqa: T201 - for the person at the terminal
    return WRONG_CONFIGURATION
