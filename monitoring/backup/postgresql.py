"""PostgreSQL's own pg_dump and pg_restore, which must be there and not older than the server."""

from __future__ import annotations

import os
import shutil
import subprocess
from pathlib import Path

import sqlalchemy as sa

from monitoring.backup.archive import BackupProblem

_SAID = 3  # lines of what a tool says


def dump(url: str, path: Path) -> None:
    """Write the database into a file, in one snapshot."""
    _run("pg_dump", url, "--format=custom", f"--file={path}")


def load(url: str, path: Path) -> None:
    """Fill an empty database from such a file, wholly or not at all."""
    _run("pg_restore", url, "--exit-on-error", "--single-transaction", str(path))


def _run(tool: str, url: str, *arguments: str) -> None:
    program = shutil.which(tool)
    if program is None:
        raise BackupProblem(
            f"{tool} is not installed on this machine: install PostgreSQL's client programs, of the server's version or newer"
        )
    parsed = sa.make_url(url).set(drivername="postgresql")
    # The password goes where the process list does not show it.
    password = {"PGPASSWORD": str(parsed.password)} if parsed.password is not None else {}
    open_to_all = sa.URL.create(
        parsed.drivername, parsed.username, None, parsed.host, parsed.port, parsed.database, parsed.query
    )
    address = open_to_all.render_as_string(hide_password=False)
    command = [program, "--no-owner", "--no-privileges", "--no-password", f"--dbname={address}", *arguments]
    done = subprocess.run(  # noqa: S603 - PostgreSQL's own program
        command, env={**os.environ, **password}, capture_output=True, text=True, check=False
    )
    if done.returncode != 0:
        said = " ".join(done.stderr.strip().splitlines()[:_SAID]) or f"exit status {done.returncode}"
        raise BackupProblem(f"{tool} failed: {said.removeprefix(f'{tool}: ')}")
