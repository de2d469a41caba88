"""A real sshd for the tests: OpenSSH's, on 127.0.0.1, for whoever runs the tests, by one key.

Started once a test process.
"""

from __future__ import annotations

import os
import pwd
from functools import cache
from pathlib import Path

from tests.daemons import Daemon, free_port, listens
from tests.debian import program

_CONFIGURATION = """
ListenAddress 127.0.0.1
Port {port}
HostKey {host_key}
PidFile none
UsePAM no
StrictModes no
PermitRootLogin yes
PasswordAuthentication no
KbdInteractiveAuthentication no
AuthorizedKeysFile {authorized}
MaxStartups 100
"""


class Sshd:
    """A running server: `port`, `host_key` (its fingerprint), and the `user` who may log in with `key`."""

    def __init__(self) -> None:
        daemon = self.daemon = Daemon("sshd")
        self.port, self.user = free_port(), pwd.getpwuid(os.geteuid()).pw_name
        if os.geteuid() == 0:
            Path("/run/sshd").mkdir(mode=0o755, exist_ok=True)  # sshd insists on it when it runs as root
        for name in ("host", "user"):
            keygen = ["ssh-keygen", "-q", "-t", "ed25519", "-N", "", "-C", name, "-f", daemon.directory / name]
            daemon.run(*keygen)
        self.key = (daemon.directory / "user").read_text()
        self.host_key = daemon.run("ssh-keygen", "-lf", daemon.directory / "host.pub").split()[1]
        text = _CONFIGURATION.format(
            port=self.port, host_key=daemon.directory / "host", authorized=daemon.directory / "user.pub"
        )
        command = [program("sshd"), "-D", "-e", "-f", daemon.write("sshd_config", text)]
        daemon.start(command, lambda: listens(self.port))


@cache
def server() -> Sshd:
    """The server of this test process, started on first use."""
    return Sshd()
