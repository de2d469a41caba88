"""Encrypts what must not lie readable in a store: credentials in specs, channel URLs.

The key is made once as `data/data.key` (mode 0600) or given as `STILLUP_DATA_KEY`; several, separated by commas, allow
rotation: the first encrypts, all decrypt.
"""

from __future__ import annotations

import os
from pathlib import Path

from cryptography.fernet import Fernet, InvalidToken, MultiFernet

from checks.environment import EnvironmentProblem, read_env


class SecretBox:
    """Seals and opens short texts."""

    def __init__(self, keys: str) -> None:
        try:
            self._fernet = MultiFernet([Fernet(key.strip()) for key in keys.split(",")])
        except ValueError as exc:
            message = "STILLUP_DATA_KEY is no key: expected 32 random bytes in URL-safe base64 (44 characters)"
            raise EnvironmentProblem(message) from exc

    def encrypt(self, clear: str) -> str:
        """The sealed form of a text."""
        return self._fernet.encrypt(clear.encode()).decode()

    def decrypt(self, sealed: str) -> str:
        """The text. Raises EnvironmentProblem where another key sealed it."""
        try:
            return self._fernet.decrypt(sealed).decode()
        except InvalidToken as exc:
            raise EnvironmentProblem("a stored secret was sealed with another key than STILLUP_DATA_KEY") from exc


def open_secretbox(data_dir: Path) -> SecretBox:
    """The box of this installation, whose key is made on first use."""
    return SecretBox(read_env("STILLUP_DATA_KEY") or made_once(data_dir / "data.key", Fernet.generate_key))


def made_once(path: Path, make: object) -> str:
    """The text of a secret file; made by `make()` where it does not exist, readable by its owner only.

    Several processes may start at once: the first to link its file wins, and all read that one.
    """
    assert callable(make)  # noqa: S101 - a wrong call is a bug of ours
    if not path.exists():
        path.parent.mkdir(parents=True, exist_ok=True)
        draft = path.with_name(f"{path.name}.{os.getpid()}")
        with os.fdopen(os.open(draft, os.O_WRONLY | os.O_CREAT | os.O_TRUNC, 0o600), "wb") as file:
            file.write(make())
            file.flush()
            os.fsync(file.fileno())
        try:
            os.link(draft, path)
        except FileExistsError:
            pass
        finally:
            draft.unlink()
    return path.read_text().strip()
