"""Where an installation may be: a data directory and, on PostgreSQL, a database."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
import sqlalchemy as sa

from checks.store.engine import open_engine


class Place:
    """One such place."""

    def __init__(self, data: Path, url: str, monkeypatch: pytest.MonkeyPatch) -> None:
        self.data = data
        self.url = url
        self._monkeypatch = monkeypatch

    def enter(self) -> None:
        """Let the environment name it."""
        self._monkeypatch.setenv("STILLUP_DATA_DIR", str(self.data))
        if self.url:
            self._monkeypatch.setenv("STILLUP_DATABASE_URL", self.url)
        else:
            self._monkeypatch.delenv("STILLUP_DATABASE_URL", raising=False)

    def ask(self, query: str, *, store: bool = True) -> list[tuple[Any, ...]]:
        """Rows of one of its databases."""
        url = self.url or f"sqlite:///{self.data / ('measurements' if store else 'config')}.sqlite3"
        engine = open_engine(url)
        try:
            with engine.connect() as conn:
                if self.url:
                    conn.exec_driver_sql("SET search_path = measurements, public")
                return [tuple(row) for row in conn.execute(sa.text(query))]
        finally:
            engine.dispose()

    def all_of_it(self) -> dict[str, list[tuple[Any, ...]]]:
        """What must come back: transitions, results, monitors, keys."""
        return {
            "transitions": self.ask("SELECT uuid, monitor, seq, since FROM transition ORDER BY monitor, seq"),
            "results": self.ask("SELECT target_id, started_at, latency_ns FROM result ORDER BY started_at, target_id"),
            "monitors": self.ask("SELECT uuid, slug, revision FROM monitoring_monitor ORDER BY slug", store=False),
            "instance": self.ask("SELECT uuid FROM instance"),
            "keys": [((self.data / name).read_text(),) for name in ("data.key", "secret.key")],
        }
