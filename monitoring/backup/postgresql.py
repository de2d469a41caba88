"""PostgreSQL's own pg_dump, pg_restore and psql, which must be there and not older than the server."""

from __future__ import annotations

import os
import shutil
import subprocess
import tempfile
from collections.abc import Sequence
from contextlib import suppress
from pathlib import Path
from typing import IO, cast

import sqlalchemy as sa
from sqlalchemy.dialects import postgresql

from checks.store.engine import SCHEMA
from monitoring.backup.archive import BackupProblem

_SAID = 3  # lines of what a tool says


def dump(url: str, path: Path) -> None:
    """Write the database into a file, in one snapshot."""
    tool = [
        _installed("pg_dump"),
        "--no-owner",
        "--no-privileges",
        "--no-password",
        "--format=custom",
        f"--file={path}",
    ]
    address, environment = _place(url)
    done = subprocess.run(  # noqa: S603 - PostgreSQL's own program
        [*tool, f"--dbname={address}"], env=environment, capture_output=True, text=True, check=False
    )
    if done.returncode != 0:
        raise _failed("pg_dump", done.returncode, done.stderr)


def load(url: str, path: Path, *, and_then: Sequence[sa.UpdateBase] = ()) -> None:
    """Fill an empty database from such a file and change it so, all in one transaction or not at all.

    pg_restore can't add to its transaction. So it writes the statements, psql executes them, and we say the last ones:
    when any of the three ends before its time, psql is left without its COMMIT.
    """
    reader = [_installed("pg_restore"), "--no-owner", "--no-privileges", "--file=-", str(path)]
    address, environment = _place(url)
    options = ("--no-psqlrc", "--no-password", "--quiet", "--set=ON_ERROR_STOP=1", f"--dbname={address}")
    with tempfile.TemporaryFile("w+", errors="replace") as said:
        with subprocess.Popen(  # noqa: S603 - PostgreSQL's own program
            [_installed("psql"), *options],
            env=environment,
            bufsize=0,  # what it no longer reads is not written again when the pipe is closed
            stdin=subprocess.PIPE,
            stdout=subprocess.DEVNULL,
            stderr=said,
        ) as psql:
            into = cast("IO[bytes]", psql.stdin)
            with suppress(BrokenPipeError):  # it has ended, and said why
                into.write(b"BEGIN;\n")
                read = subprocess.run(reader, stdout=into, stderr=subprocess.PIPE, text=True, check=False)  # noqa: S603
                if read.returncode == 0:
                    into.write(_script(and_then).encode())
                into.close()
        if psql.returncode != 0:
            said.seek(0)
            raise _failed("psql", psql.returncode, said.read())
    if read.returncode != 0:
        raise _failed("pg_restore", read.returncode, read.stderr)


def _script(statements: Sequence[sa.UpdateBase]) -> str:
    """The end of the transaction. What pg_restore wrote left the session without a search path."""
    dialect = postgresql.dialect(paramstyle="named")  # type: ignore[no-untyped-call]
    said = [str(each.compile(dialect=dialect, compile_kwargs={"literal_binds": True})) for each in statements]
    return "".join(f"{each};\n" for each in (f"SET search_path = {SCHEMA}", *said, "COMMIT"))


def _installed(tool: str) -> str:
    program = shutil.which(tool)
    if program is None:
        raise BackupProblem(
            f"{tool} is not installed on this machine: install PostgreSQL's client programs, of the server's version or newer"
        )
    return program


def _place(url: str) -> tuple[str, dict[str, str]]:
    """The address and the environment of a tool. The password goes where the process list does not show it."""
    parsed = sa.make_url(url).set(drivername="postgresql")
    password = {"PGPASSWORD": str(parsed.password)} if parsed.password is not None else {}
    open_to_all = sa.URL.create(
        parsed.drivername, parsed.username, None, parsed.host, parsed.port, parsed.database, parsed.query
    )
    return open_to_all.render_as_string(hide_password=False), {**os.environ, **password}


def _failed(tool: str, status: int, stderr: str) -> BackupProblem:
    said = " ".join(stderr.strip().splitlines()[:_SAID]) or f"exit status {status}"
    return BackupProblem(f"{tool} failed: {said.removeprefix(f'{tool}: ').removeprefix('psql:')}")
