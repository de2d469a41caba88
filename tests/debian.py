"""Real servers for the tests, from Debian's packages: what is missing is installed before the tests run.

`python -m tests.debian` installs in one go; `program` is what a test starts. No daemon is started by the installation.
"""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
from collections.abc import Collection, Iterator
from contextlib import contextmanager
from pathlib import Path

# The program that a test runs, and the package that brings it.
PACKAGES = {
    "bash": "bash",
    "busybox": "busybox",
    "curl": "curl",
    "dash": "dash",
    "dovecot": "dovecot-imapd",
    "mariadbd": "mariadb-server",
    "mosquitto": "mosquitto",
    "nginx": "nginx-light",
    "prosody": "prosody",
    "rabbitmq-server": "rabbitmq-server",
    "redis-server": "redis-server",
    "slapd": "slapd",
    "sshd": "openssh-server",
    "unbound": "unbound",
    "vsftpd": "vsftpd",
    "wget": "wget",
}
BESIDE = {"dovecot-imapd": ("dovecot-pop3d",)}  # packages that are of use only together
_DIRECTORIES = ("/usr/sbin", "/sbin", "/usr/local/sbin", "/usr/lib/rabbitmq/bin")
_POLICY = Path("/usr/sbin/policy-rc.d")


def found(name: str) -> str | None:
    """The path of a program of this machine; None where there is none."""
    path = os.pathsep.join((os.environ.get("PATH", os.defpath), *_DIRECTORIES))
    return shutil.which(name, path=path)


def program(name: str) -> str:
    """The path of a program that a test needs. Raises FileNotFoundError that says how to install it."""
    path = found(name)
    if path is None:
        raise FileNotFoundError(missing([PACKAGES[name]]))
    return path


def missing(packages: Collection[str]) -> str:
    """What to type where packages are missing and could not be installed."""
    return f"The tests need programs that are not here. This brings them:\n  sudo {' '.join(_install(packages))}"


def install(packages: Collection[str]) -> bool:
    """Whether apt installed these packages: as root, or by sudo without a password."""
    if shutil.which("apt-get") is None:
        return False
    if os.geteuid() == 0:
        become: tuple[str, ...] = ()
    elif (
        shutil.which("sudo")
        and subprocess.run(["sudo", "-n", "true"], check=False, capture_output=True).returncode == 0
    ):
        become = ("sudo", "-n")
    else:
        return False
    quiet = {**os.environ, "DEBIAN_FRONTEND": "noninteractive"}
    subprocess.run([*become, "apt-get", "update", "--quiet"], check=False, env=quiet, stdout=subprocess.DEVNULL)
    with _no_daemons(become):
        done = subprocess.run([*become, *_install(packages)], check=False, env=quiet, stdout=subprocess.DEVNULL)
    return done.returncode == 0


def _install(packages: Collection[str]) -> tuple[str, ...]:
    beside = (name for package in packages for name in BESIDE.get(package, ()))
    return ("apt-get", "install", "--yes", "--no-install-recommends", *packages, *beside)


@contextmanager
def _no_daemons(become: tuple[str, ...]) -> Iterator[None]:
    """A time in which Debian starts no server that it installs, unless the machine has a policy of its own."""
    if _POLICY.exists():
        yield
        return
    deny = ["install", "--mode=0755", "/dev/stdin", str(_POLICY)]
    subprocess.run([*become, *deny], check=True, input=b"#!/bin/sh\nexit 101\n")
    try:
        yield
    finally:
        subprocess.run([*become, "rm", "-f", str(_POLICY)], check=False)


def main() -> int:
    """0 where the tests will find every program."""
    packages = [package for name, package in PACKAGES.items() if found(name) is None]
    if not packages:
        return 0
    print(f"installing Debian's {', '.join(packages)} for the tests")
    if install(packages):
        packages = [package for name, package in PACKAGES.items() if found(name) is None]
    if packages:
        print(missing(packages), file=sys.stderr)
    return 1 if packages else 0


if __name__ == "__main__":
    sys.exit(main())
