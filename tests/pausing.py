"""SIGSTOP for a process that shares its database: between two transactions, for all others would wait for its locks."""

from __future__ import annotations

import os
import signal
import sqlite3
import time
from contextlib import closing

import psycopg
import sqlalchemy as sa

WITHIN = 20.0  # seconds
_OPEN = """
    SELECT count(*) FROM pg_stat_activity
    WHERE datname = current_database() AND pid <> pg_backend_pid()
    AND backend_type = 'client backend' AND xact_start IS NOT NULL
"""


def pause(pid: int, url: sa.URL) -> None:
    """Stop a process where nobody has a transaction on its database open."""
    deadline = time.monotonic() + WITHIN
    while True:
        os.kill(pid, signal.SIGSTOP)
        if _is_free(url):
            return
        os.kill(pid, signal.SIGCONT)
        assert time.monotonic() < deadline, f"process {pid} is always in the midst of a transaction"
        time.sleep(0.05)


def _is_free(url: sa.URL) -> bool:
    if url.get_backend_name() != "sqlite":
        plain = url.set(drivername="postgresql").render_as_string(hide_password=False)
        with closing(psycopg.connect(plain, autocommit=True)) as conn:
            return conn.execute(_OPEN).fetchone() == (0,)
    with closing(sqlite3.connect(str(url.database), timeout=0.5)) as conn:
        try:
            conn.execute("BEGIN IMMEDIATE")
        except sqlite3.OperationalError:  # locked
            return False
        conn.rollback()
        return True
