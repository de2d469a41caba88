"""`manage.py up`: everything as three child processes, after bringing databases, configuration and admin into shape."""

from __future__ import annotations

import http.client
import sys
import threading
from argparse import ArgumentParser
from collections.abc import Mapping, Sequence
from contextlib import closing
from pathlib import Path
from typing import Any

from django.conf import settings
from django.core.management.base import BaseCommand, CommandError
from django.db import connections

from checks import logs, process
from monitoring import preparation
from monitoring.accounts import FirstAccount
from monitoring.command_line import add_server_arguments, address_of
from monitoring.config.watch import ConfigWatch
from monitoring.supervisor import AlreadyRunning, DataDirectoryLock, PortTaken, Supervisor, check_port

MANAGE = Path(settings.BASE_DIR) / "manage.py"


class Command(BaseCommand):
    help = "Run web, worker and notifier until SIGTERM, restarting what dies."

    requires_system_checks = ()  # made below: what is wrong ends with another exit status

    def add_arguments(self, parser: ArgumentParser) -> None:
        add_server_arguments(parser)
        parser.add_argument("--config", type=Path, help="YAML file: applied at the start and whenever it changes")
        parser.add_argument("--data-dir", help="databases and keys (default: STILLUP_DATA_DIR, else ./data)")
        parser.add_argument("--lease", help="handed on to worker and notifier: for how long a claim is theirs")

    def handle(self, *args: Any, **options: Any) -> None:  # noqa: ARG002 - Django's signature
        logs.configure("up")
        process.die_with_parent()
        try:
            preparation.check_system(self)
            with closing(DataDirectoryLock(settings.DATA_DIR)):
                self._run(options["host"], options["port"], options["config"], options["lease"])
        except (AlreadyRunning, PortTaken, preparation.NotPrepared) as exc:
            raise CommandError(str(exc), returncode=process.WRONG_CONFIGURATION) from exc

    def _run(self, host: str, port: int, config: Path | None, lease: str | None) -> None:
        check_port(host, port)
        account = preparation.prepare(config)
        connections.close_all()  # the parent only watches
        watch = ConfigWatch(config) if config is not None else None
        greeting = Greeting(self, address_of(host, port), account)

        def each_tick() -> None:
            greeting.say_when_ready()
            if watch is not None:
                watch.poll()

        Supervisor(commands(host, port, lease), each_tick=each_tick).run()


def commands(host: str, port: int, lease: str | None) -> Mapping[str, Sequence[str]]:
    """The command line of each child."""
    start = (sys.executable, str(MANAGE))
    claims = ("--lease", lease) if lease else ()
    return {
        "web": (*start, "web", "--host", host, "--port", str(port)),
        "worker": (*start, "worker", *claims),
        "notifier": (*start, "notifier", *claims),
    }


class Greeting:
    """Says where everything is, once the server answers; the made-up password is said once and kept nowhere."""

    def __init__(self, command: BaseCommand, address: str, account: FirstAccount | None) -> None:
        self._command = command
        self._address = address
        self._account = account
        self._asking: threading.Thread | None = None
        self._ready = threading.Event()
        self._said = False

    def say_when_ready(self) -> None:
        """Ask in the background whether the server answers; the first time that it does, greet."""
        if self._said:
            return
        if self._ready.is_set():
            self._said = True
            self._say()
        elif self._asking is None or not self._asking.is_alive():
            self._asking = threading.Thread(target=self._ask, name="greeting", daemon=True)
            self._asking.start()

    def _ask(self) -> None:
        # Not urllib, which would ask a proxy of the environment for an address on this machine.
        connection = http.client.HTTPConnection(self._address.removeprefix("http://"), timeout=2)
        try:
            connection.request("GET", "/healthz")
            connection.getresponse().read()
        except (OSError, http.client.HTTPException):
            return
        finally:
            connection.close()
        self._ready.set()

    def _say(self) -> None:
        lines = [
            "",
            "Stillup is running.",
            f"  status page  {self._address}/",
            f"  dashboard    {self._address}/dashboard/",
            f"  admin        {self._address}/admin/",
        ]
        if self._account is not None and self._account.password:
            lines.append(f"  sign in as   {self._account.name}, password {self._account.password} (shown once)")
        elif self._account is not None:
            lines.append(f"  sign in as   {self._account.name}, with the password you chose")
        self._command.stdout.write("\n".join([*lines, ""]))
        self._command.stdout.flush()
