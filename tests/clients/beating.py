"""`clients/beat` as a crontab starts it: on three machines that have different shells and programs."""

from __future__ import annotations

import shutil
import subprocess
import time
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any
from urllib.parse import parse_qs

from tests.debian import program
from tests.servers import Target

BEAT = Path(__file__).resolve().parents[2] / "clients" / "beat"
PING = "/ping/8c0f6cb2-6f1e-4b0a-9d50-2f3c1f0f8a11"
SHELLS = {"dash": ("dash",), "bash": ("bash",), "busybox": ("busybox", "sh")}
CLIENTS = ("curl", "wget", "busybox wget")
# What beat calls, and what the commands of these tests do; `wget` and `curl` come with the client.
_TOOLS = (
    *("cat", "cut", "date", "env", "find", "grep", "head", "id", "ls", "mkdir", "mkfifo", "mktemp", "mv", "od"),
    *("rm", "sed", "seq", "sleep", "tail", "tee", "tr", "true"),
)


@dataclass(frozen=True)
class Machine:
    """A shell, and a directory with every program that there is."""

    shell: Sequence[str]
    programs: Path
    spool: Path

    def start(self, url: str, *command: str, **env: str) -> subprocess.Popen[bytes]:
        """`beat URL -- command`, with its streams to write to and to read from."""
        return self.popen([url, "--", *command], env, stdin=subprocess.PIPE)

    def run(self, url: str, *command: str, given: bytes = b"", **env: str) -> subprocess.CompletedProcess[bytes]:
        """`beat URL -- command`, ended."""
        return self.beat(url, "--", *command, given=given, **env)

    def beat(self, *arguments: str, given: bytes = b"", **env: str) -> subprocess.CompletedProcess[bytes]:
        """Beat with these arguments, ended."""
        with self.popen(arguments, env, stdin=subprocess.PIPE) as process:
            out, err = process.communicate(given, timeout=60)
        return subprocess.CompletedProcess(process.args, process.returncode, out, err)

    def popen(self, arguments: Sequence[str], env: Mapping[str, str], **options: Any) -> subprocess.Popen[bytes]:
        """Beat with these arguments, in a group of processes of its own."""
        own = {"PATH": str(self.programs), "BEAT_SPOOL": str(self.spool), "HOME": "/nonexistent", **env}
        options = {"stdout": subprocess.PIPE, "stderr": subprocess.PIPE, **options}
        return subprocess.Popen([*self.shell, str(BEAT), *arguments], env=own, start_new_session=True, **options)

    def kept(self) -> list[Path]:
        """The reports that wait, in the order in which they will be sent."""
        return sorted(self.spool.glob("[0-9]*"))


def machine(directory: Path, shell: str, client: str) -> Machine:
    """A machine with that shell and that client; the one with busybox's wget has nothing but busybox."""
    programs = directory / "programs"
    programs.mkdir()
    small = client == "busybox wget"
    for tool in _TOOLS:
        (programs / tool).symlink_to(program("busybox") if small else str(shutil.which(tool)))
    (programs / "sh").symlink_to(program(SHELLS[shell][0]))
    for tool in ("timeout", "wget") if client != "curl" else ("curl",):
        (programs / tool).symlink_to(program("busybox") if small else str(shutil.which(tool)))
    return Machine((program(SHELLS[shell][0]), *SHELLS[shell][1:]), programs, directory / "spool")


@dataclass(frozen=True)
class Said:
    """One report, as a server gets it."""

    path: str
    query: Mapping[str, str]
    body: bytes

    @property
    def what(self) -> str:
        """What stands behind the address: `start`, an exit code."""
        return self.path.rpartition("/")[2]


def said(target: Target) -> list[Said]:
    """All reports so far."""
    return [_said(request) for request in list(target.requests)]


def _said(request: bytes) -> Said:
    head, _, body = request.partition(b"\r\n\r\n")
    method, address, _ = head.split(b"\r\n")[0].decode().split(" ")
    assert method == "POST"
    path, _, query = address.partition("?")
    return Said(path, {name: values[0] for name, values in parse_qs(query, strict_parsing=True).items()}, body)


def keep(machine: Machine, url: str, what: str, *, ago: float = 60.0, body: bytes = b"") -> Path:
    """Leave a report that could not be sent some time ago, as a run of that time did."""
    machine.spool.mkdir(exist_ok=True, mode=0o700)
    when, run = int(time.time() - ago), "0b6a36f2-91c4-4a2e-8a4b-5d3f8a1c2e77"
    path = machine.spool / f"{when}-{run}-{what}"
    path.write_bytes(f"{url}/{what}?rid={run}&at={when}\n".encode() + body)
    return path


def is_free_of_leftovers(directory: Path) -> bool:
    """Whether nothing of beat's own lies in a directory for temporary files."""
    return not any(path.name.startswith("beat.") for path in directory.iterdir())
