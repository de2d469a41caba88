"""Settings from the environment, typed, each also as NAME_FILE; what is wrong stops the start, not the night."""

from __future__ import annotations

import os
from pathlib import Path
from urllib.parse import urlsplit


class EnvironmentProblem(Exception):
    """A setting in the environment is missing or wrong."""


def read_env(name: str, default: str = "") -> str:
    """The value of NAME, or what the file named by NAME_FILE holds; `default` where neither is set."""
    value, path = os.environ.get(name), os.environ.get(f"{name}_FILE")
    if value is not None and path is not None:
        raise EnvironmentProblem(f"{name} and {name}_FILE are both set; keep one")
    if path is None:
        return default if value is None else value
    try:
        return Path(path).read_text(encoding="utf-8").strip()
    except (OSError, UnicodeDecodeError) as exc:
        raise EnvironmentProblem(f"{name}_FILE names {path}, which can't be read: {exc}") from exc


def read_choice(name: str, default: str, allowed: tuple[str, ...]) -> str:
    """One of a few words."""
    value = read_env(name, default)
    if value not in allowed:
        raise EnvironmentProblem(f"{name} is {value!r}; allowed: {', '.join(allowed)}")
    return value


def data_dir() -> Path:
    """The directory of the SQLite files and of the keys."""
    return Path(read_env("STILLUP_DATA_DIR", "data")).absolute()


def measurements_url() -> str:
    """The store's database: STILLUP_MEASUREMENTS_URL, else the one database on PostgreSQL, else a SQLite file."""
    url = read_env("STILLUP_MEASUREMENTS_URL") or read_env("STILLUP_DATABASE_URL")
    if not url:
        return f"sqlite:///{data_dir() / 'measurements.sqlite3'}"
    scheme = urlsplit(url).scheme
    if scheme not in ("postgresql", "postgres", "sqlite"):
        raise EnvironmentProblem(
            f"STILLUP_MEASUREMENTS_URL begins with {scheme!r}; allowed: postgresql://user:password@host/name or sqlite:///path",
        )
    if scheme == "sqlite" and not read_env("STILLUP_MEASUREMENTS_URL"):
        return f"sqlite:///{data_dir() / 'measurements.sqlite3'}"
    return url
