"""The file: a zip archive of both databases and the keys, with a manifest that says of what version they are.

Whatever is taken from it has the size and the SHA-256 that the manifest says.
"""

from __future__ import annotations

import hashlib
import json
import lzma
import os
import zipfile
import zlib
from collections.abc import Mapping
from dataclasses import asdict, dataclass, field
from datetime import datetime
from pathlib import Path
from typing import IO, Any

FORMAT = 1
MANIFEST = "manifest.json"
_AT_ONCE = 1 << 20
_LARGEST_MANIFEST = 1 << 20
_PACKED = (".dump",)  # what is compressed already

# What zipfile raises for a file in which some bit is wrong: it believes in another method, version, password or place.
_DAMAGE = (
    zipfile.BadZipFile,
    zlib.error,
    lzma.LZMAError,
    NotImplementedError,
    RuntimeError,
    EOFError,
    KeyError,
    ValueError,
)


class BackupProblem(Exception):
    """A backup can't be made or restored; the message says why."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Manifest:
    """What a backup is: of which version, of which store, made when, and what each file in it must be."""

    version: str
    created_at: str  # RFC 3339
    revision: str  # of the store's tables
    migration: str  # the last one of the configuration's database
    instance: str
    files: dict[str, dict[str, int | str]] = field(default_factory=dict)  # by name: bytes, sha256
    format: int = FORMAT

    @property
    def made_at(self) -> datetime:
        """When it was made."""
        return datetime.fromisoformat(self.created_at)


def pack(path: Path, manifest: Manifest, files: Mapping[str, Path]) -> None:
    """Write the archive: whole under its name, or not at all. Nobody else may read it."""
    partial = path.with_name(f"{path.name}.partial")
    try:
        with os.fdopen(os.open(partial, os.O_RDWR | os.O_CREAT | os.O_EXCL, 0o600), "wb") as raw:
            with zipfile.ZipFile(raw, "w", compresslevel=1) as archive:
                for name, source in files.items():
                    kind = zipfile.ZIP_STORED if name.endswith(_PACKED) else zipfile.ZIP_DEFLATED
                    entry = zipfile.ZipInfo(name, manifest.made_at.timetuple()[:6])
                    entry.compress_type, entry.external_attr = kind, 0o600 << 16
                    with source.open("rb") as origin, archive.open(entry, "w", force_zip64=True) as into:
                        manifest.files[name] = _copy(origin, into)
                archive.writestr(MANIFEST, json.dumps(asdict(manifest), indent=2) + "\n")
            raw.flush()
            os.fsync(raw.fileno())
        partial.rename(path)
    finally:
        partial.unlink(missing_ok=True)


def read_manifest(path: Path) -> Manifest:
    """What the archive says it is."""
    try:
        with zipfile.ZipFile(path) as archive:
            if archive.getinfo(MANIFEST).file_size > _LARGEST_MANIFEST:
                raise BackupProblem(f"{path} is no backup of Stillup: its manifest is too large")
            said = json.loads(archive.read(MANIFEST))
        if said.get("format") != FORMAT:
            raise BackupProblem(
                f"{path} is of format {said.get('format')!r}, this version reads {FORMAT}: a newer Stillup made it"
            )
        return _manifest(said)
    except OSError as exc:
        raise BackupProblem(f"{path} can't be read: {exc.strerror or exc}") from exc
    except (*_DAMAGE, TypeError, AttributeError) as exc:
        raise BackupProblem(f"{path} is no backup of Stillup, or is damaged") from exc


def _manifest(said: dict[str, Any]) -> Manifest:
    """What can't be one is noticed here, before anything is changed."""
    made, files = datetime.fromisoformat(said["created_at"]), said["files"]
    if made.tzinfo is None or not isinstance(files, dict):
        raise ValueError(said)
    return Manifest(**said)


def unpack(path: Path, manifest: Manifest, into: Mapping[str, Path]) -> None:
    """Write these files of the archive. Raises BackupProblem where one is not what the manifest says."""
    with zipfile.ZipFile(path) as archive:
        for name, target in into.items():
            target.parent.mkdir(parents=True, exist_ok=True, mode=0o700)
            try:
                with archive.open(name) as origin, open(target, "wb", opener=_private) as file:
                    found = _copy(origin, file)
                    file.flush()
                    os.fsync(file.fileno())
            except _DAMAGE as exc:
                raise BackupProblem(f"{path} is damaged: {name} can't be read") from exc
            if found != manifest.files.get(name):
                raise BackupProblem(f"{path} is damaged: {name} is not what was backed up")


def _private(path: str, flags: int) -> int:
    return os.open(path, flags, 0o600)


def _copy(origin: IO[bytes], into: IO[bytes]) -> dict[str, int | str]:
    """Copy it; its size and checksum."""
    digest, size = hashlib.sha256(), 0
    while part := origin.read(_AT_ONCE):
        digest.update(part)
        size += len(part)
        into.write(part)
    return {"bytes": size, "sha256": digest.hexdigest()}
