"""Draft the revision that brings the tables to `checks/store/schema.py`: python -m checks.store.revisions "Add x."."""

from __future__ import annotations

import argparse
import tempfile
from pathlib import Path

from alembic import command
from alembic.script import ScriptDirectory

from checks.store.engine import open_engine
from checks.store.upgrade import config_for, upgrade


def draft(message: str, directory: Path) -> str:
    """Write the next revision into a directory of revisions; returns its path. It is a draft: read it, correct it."""
    with tempfile.TemporaryDirectory() as scratch:
        url = f"sqlite:///{scratch}/store.sqlite3"
        upgrade(url)
        engine = open_engine(url)
        with engine.begin() as conn:
            config = config_for(conn)
            config.set_main_option("script_location", str(directory))
            number = len(list(ScriptDirectory.from_config(config).walk_revisions())) + 1
            made = command.revision(config, message, autogenerate=True, rev_id=f"{number:04}")
        engine.dispose()
    assert made is not None  # noqa: S101 - one message makes one script
    assert not isinstance(made, list)  # noqa: S101
    return made.path


if __name__ == "__main__":
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("message", help='what it does, as in "Add the cause to results."')
    print(draft(parser.parse_args().message, Path(__file__).parent))  # noqa: T201 - a command prints
