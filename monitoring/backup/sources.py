"""What is backed up: the two databases, which may be one, and the keys."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

import sqlalchemy as sa

from checks.environment import data_dir, measurements_url, read_env
from checks.store.engine import SCHEMA, open_engine

KEYS = ("data.key", "secret.key")
MEASUREMENTS, CONFIGURATION, BOTH = "measurements", "config", "database"


@dataclass(frozen=True, slots=True)
class Source:
    """One database, and its name in the archive."""

    name: str
    url: str

    @property
    def file(self) -> Path | None:
        """Its file on SQLite; None on PostgreSQL."""
        parsed = sa.make_url(self.url)
        return Path(parsed.database or "").absolute() if parsed.get_backend_name() == "sqlite" else None

    @property
    def member(self) -> str:
        """The file in the archive."""
        return f"{self.name}.sqlite3" if self.file is not None else f"{self.name}.dump"


def sources() -> list[Source]:
    """The databases of this environment in the order in which they are copied.

    The measurements come first. A configuration that is younger has consumed transitions which the store believes
    waiting, and does so again without effect; an older one would lack the incidents of transitions that are marked as
    consumed.
    """
    store, configuration = measurements_url(), read_env("STILLUP_DATABASE_URL")
    configuration = configuration or f"sqlite:///{data_dir() / 'config.sqlite3'}"
    if store == configuration:
        return [Source(BOTH, store)]
    return [Source(MEASUREMENTS, store), Source(CONFIGURATION, configuration)]


def has_tables(source: Source) -> bool:
    """Whether anything of ours is in that database."""
    if source.file is not None and not source.file.exists():
        return False
    engine = open_engine(source.url)
    try:
        with engine.connect() as conn:
            found = sa.inspect(conn)
            schema = None if source.file else "public"
            ours = found.has_table("django_migrations", schema=schema) or found.has_table("instance")
            return ours or (source.file is None and found.has_schema(SCHEMA))
    finally:
        engine.dispose()
