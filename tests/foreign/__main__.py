"""`python -m tests.foreign` installs every client that has a lock here, before the tests run."""

from pathlib import Path

from tests.foreign import installed

for lock in sorted(Path(__file__).parent.glob("*.lock")):
    installed(lock.stem)
