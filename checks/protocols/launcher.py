"""Becomes another program, once this process is bounded as it is to be: a script that `checks.probes.command` starts.

    python -I -S launcher.py PIPE PARENT LIMIT=VALUE... -- PROGRAM ARGUMENT...

Limits must hold before the program's first instruction, and a fork of a worker that is busy with thousands of probes is
the wrong place to set them in. Says nothing on PIPE and closes it where the program runs, else writes the errno.
"""

from __future__ import annotations

import ctypes
import os
import resource
import signal
import sys

_PR_SET_PDEATHSIG = 1  # linux/prctl.h


def become(arguments: list[str]) -> None:
    """Become the program; returns where that can't be."""
    settings, program = arguments[: arguments.index("--")], arguments[arguments.index("--") + 1 :]
    pipe, parent, limits = int(settings[0]), int(settings[1]), settings[2:]
    os.set_inheritable(pipe, False)
    try:
        ctypes.CDLL(None).prctl(_PR_SET_PDEATHSIG, signal.SIGKILL, 0, 0, 0)
        if os.getppid() != parent:  # it ended before the kernel was asked
            return
        for limit in limits:
            name, _, value = limit.partition("=")
            number = getattr(resource, name)
            _, hard = resource.getrlimit(number)
            bounded = int(value) if hard == resource.RLIM_INFINITY else min(int(value), hard)
            resource.setrlimit(number, (bounded, bounded))
        for ignored in (signal.SIGPIPE, signal.SIGXFSZ):  # by Python
            signal.signal(ignored, signal.SIG_DFL)
        os.execve(program[0], program, os.environb)  # noqa: S606 - that is what it is for
    except OSError as exc:
        os.write(pipe, str(exc.errno).encode())


if __name__ == "__main__":
    become(sys.argv[1:])
