"""PostgreSQL's own pg_dump, pg_restore and psql, which must be there and not older than the server."""

from __future__ import annotations

import os
import shutil
import subprocess
from collections.abc import Sequence
from pathlib import Path

import sqlalchemy as sa

from monitoring.backup.archive import BackupProblem

_SAID = 3  # lines of what a tool says


def dump(url: str, path: Path) -> None:
    """Write the database into a file, in one snapshot."""
    _run("pg_dump", "--no-owner", "--no-privileges", "--format=custom", f"--file={path}", url=url)


def load(url: str, path: Path, last: Sequence[str] = ()) -> None:
    """Fill an empty database from such a file and run the last statements, wholly or not at all."""
    script, end = path.with_suffix(".sql"), path.with_suffix(".last.sql")
    try:
        _run("pg_restore", "--no-owner", "--no-privileges", "--exit-on-error", f"--file={script}", str(path))
        end.write_text("".join(f"{statement};\n" for statement in last))
        whole = ("--single-transaction", "--set=ON_ERROR_STOP=1", f"--file={script}", f"--file={end}")
        _run("psql", "--no-psqlrc", "--quiet", "--output=/dev/null", *whole, url=url)
    finally:
        for each in (script, end):
            each.unlink(missing_ok=True)


def _run(tool: str, *arguments: str, url: str = "") -> None:
    """Run a tool, on a database or on files alone."""
    program = shutil.which(tool)
    if program is None:
        raise BackupProblem(
            f"{tool} is not installed on this machine: install PostgreSQL's client programs, of the server's version or newer"
        )
    address, password = _address(url) if url else ((), {})
    done = subprocess.run(  # noqa: S603 - PostgreSQL's own program
        [program, *address, *arguments], env={**os.environ, **password}, capture_output=True, text=True, check=False
    )
    if done.returncode != 0:
        said = " ".join(done.stderr.strip().splitlines()[:_SAID]) or f"exit status {done.returncode}"
        raise BackupProblem(f"{tool} failed: {said.removeprefix(f'{tool}: ')}")


def _address(url: str) -> tuple[tuple[str, ...], dict[str, str]]:
    """Where the database is; the password goes where the process list does not show it."""
    parsed = sa.make_url(url).set(drivername="postgresql")
    password = {"PGPASSWORD": str(parsed.password)} if parsed.password is not None else {}
    open_to_all = sa.URL.create(
        parsed.drivername, parsed.username, None, parsed.host, parsed.port, parsed.database, parsed.query
    )
    return ("--no-password", f"--dbname={open_to_all.render_as_string(hide_password=False)}"), password
