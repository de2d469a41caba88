"""A real Chromium for the tests: the one on the PATH, else Debian's by apt, else Playwright's own.

`python -m tests.browser` sees to it that there is one, before the tests run; `executable()` is what they launch.
"""

from __future__ import annotations

import shutil
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING

from tests import debian

if TYPE_CHECKING:
    from playwright.sync_api import Browser

NAMES = ("chromium", "chromium-browser", "google-chrome-stable", "google-chrome")
PLAYWRIGHT = (sys.executable, "-m", "playwright", "install", "chromium")
# Tests may run as root, where Chromium's sandbox does not start; and nothing but the page may use the network.
ARGUMENTS = (
    "--no-sandbox",
    "--disable-dev-shm-usage",
    "--disable-background-networking",
    "--disable-component-update",
    "--disable-default-apps",
    "--disable-sync",
    "--no-first-run",
)
MISSING = (
    "The browser tests need a Chromium, and there is none. One of these brings it:\n"
    "  sudo apt-get install --yes --no-install-recommends chromium\n"
    "  .venv/bin/python -m playwright install --with-deps chromium"
)


def executable() -> str | None:
    """The path of a Chromium of this machine; None where Playwright is to take its own."""
    return next((path for name in NAMES if (path := shutil.which(name))), None)


def playwrights_own() -> Path | None:
    """The path of the Chromium that Playwright downloaded; None where it did not."""
    from playwright.sync_api import sync_playwright

    with sync_playwright() as playwright:
        path = Path(playwright.chromium.executable_path)
    return path if path.exists() else None


@contextmanager
def chromium() -> Iterator[Browser]:
    """A running Chromium. Don't use Django's ORM inside: Playwright runs an event loop on this thread."""
    from playwright.sync_api import sync_playwright

    path = executable()
    with sync_playwright() as playwright:
        if path is None and not Path(playwright.chromium.executable_path).exists():
            raise FileNotFoundError(MISSING)
        browser = playwright.chromium.launch(executable_path=path, args=list(ARGUMENTS))
        try:
            yield browser
        finally:
            browser.close()


def _by_playwright() -> bool:
    return subprocess.run(PLAYWRIGHT, check=False).returncode == 0


def main() -> int:
    """0 where the tests will find a Chromium."""
    if executable() or playwrights_own():
        return 0
    print("no Chromium on this machine: installing one")
    if (debian.install(["chromium"]) and executable()) or (_by_playwright() and playwrights_own()):
        return 0
    print(MISSING, file=sys.stderr)
    return 1


if __name__ == "__main__":
    sys.exit(main())
