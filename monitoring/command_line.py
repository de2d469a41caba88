"""What `manage.py` does before Django loads: the environment that the arguments mean, and the commands that need none.

Exit status 78 is the configuration's fault: the environment, the configuration file or a database's schema.
"""

from __future__ import annotations

import logging
import os
import sys
from argparse import ArgumentParser
from collections.abc import Sequence
from pathlib import Path
from typing import NoReturn

from checks.environment import EnvironmentProblem
from checks.process import WRONG_CONFIGURATION, loading
from monitoring.address import add_server_arguments, address_of


def _set_environment(argv: Sequence[str]) -> None:
    """Settings are read when Django loads, so what the arguments of `up` and `web` say of them must be known before."""
    if argv[1:2] not in (["up"], ["web"]):
        return
    parser = ArgumentParser(add_help=False, exit_on_error=False)
    add_server_arguments(parser)
    parser.add_argument("--data-dir", default="")
    try:
        known, _ = parser.parse_known_args(argv[2:])
    except (Exception, SystemExit):  # noqa: BLE001 - the command's own parser says what is wrong, with its usage
        return
    os.environ["STILLUP_PORT"] = str(known.port)
    if known.data_dir:
        os.environ["STILLUP_DATA_DIR"] = str(Path(known.data_dir).absolute())
    if not os.environ.get("STILLUP_BASE_URL") and "STILLUP_BASE_URL_FILE" not in os.environ:
        os.environ["STILLUP_BASE_URL"] = address_of(known.host, known.port)


def _leave_at_once(status: int) -> NoReturn:
    """End a process that has put everything away. Python would take every object apart first: half a second of a core."""
    logging.shutdown()
    sys.stdout.flush()
    sys.stderr.flush()
    os._exit(status)


def main(argv: Sequence[str]) -> int:
    """The exit status of one command."""
    os.environ.setdefault("DJANGO_SETTINGS_MODULE", "monitoring.settings")
    os.umask(0o077)  # the data directory holds keys and what people said: it is nobody else's
    try:
        _set_environment(argv)
        if argv[1:2] == ["up"]:
            with loading():
                from monitoring.up import main as run_up

            return run_up(list(argv[2:]))
        if argv[1:2] == ["worker"]:
            # A worker knows nothing of Django: it starts in a third of the time and half the memory.
            with loading():
                from checks.worker_process import main as run_worker

            _leave_at_once(run_worker(list(argv[2:])))
        if argv[1:2] == ["mail_pings"]:
            with loading():
                from monitoring.mail_pings import main as run_mail_pings

            _leave_at_once(run_mail_pings(list(argv[2:])))
        if argv[1:2] == ["backup"]:
            from monitoring.backup.commands import run_backup

            return run_backup(list(argv[2:]))
        if argv[1:2] == ["restore"]:
            from monitoring.backup.commands import run_restore

            return run_restore(list(argv[2:]))
        with loading():
            import django
            from django.core.management import execute_from_command_line

            if argv[1:2] in (["web"], ["notifier"]):
                django.setup()
        execute_from_command_line(list(argv))
        if argv[1:2] in (["web"], ["notifier"]):
            _leave_at_once(0)
    except EnvironmentProblem as exc:
        print(f"stillup: {exc}", file=sys.stderr)  # noqa: T201 - logging is not configured yet
        return WRONG_CONFIGURATION
    return 0
