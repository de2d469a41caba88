"""Clients of others that can't stand in our environment: each is installed, as its lock says, into a directory of its own."""

from __future__ import annotations

import hashlib
import os
import shutil
import subprocess
import sys
from pathlib import Path

_HERE = Path(__file__).parent
_INSTALLED = Path(sys.prefix) / "foreign"


def installed(name: str) -> Path:
    """The directory with what `<name>.lock` lists; it is filled once, and again when the lock changes."""
    lock = _HERE / f"{name}.lock"
    directory = _INSTALLED / f"{name}-{hashlib.sha256(lock.read_bytes()).hexdigest()[:12]}"
    if not directory.exists():
        beside = directory.with_name(f"{directory.name}.{os.getpid()}")
        shutil.rmtree(beside, ignore_errors=True)
        pip = [sys.executable, "-m", "pip", "install", "--quiet", "--disable-pip-version-check", "--no-deps"]
        subprocess.run(
            [*pip, "--only-binary", ":all:", "--require-hashes", "--requirement", str(lock), "--target", str(beside)],
            check=True,
            timeout=300,
        )
        try:
            beside.rename(directory)
        except OSError:  # another process was faster
            shutil.rmtree(beside)
    return directory


def run(name: str, script: str, *arguments: str) -> subprocess.CompletedProcess[str]:
    """A script in a process that finds this client before anything of ours; one without a lock here is in ours."""
    found = str(installed(name)) if (_HERE / f"{name}.lock").exists() else ""
    environment = {**os.environ, "PYTHONPATH": found, "PYTHONWARNINGS": "ignore"}
    return subprocess.run(
        [sys.executable, "-c", script, *arguments],
        env=environment,
        capture_output=True,
        text=True,
        timeout=60,
        check=False,
    )
