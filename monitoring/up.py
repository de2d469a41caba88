"""`manage.py up`: web, worker and notifier as child processes, once both databases and the configuration are in shape.

The parent only watches, so it loads no Django: what needs it is done by `prepare` and `apply`, which end.
"""

from __future__ import annotations

import http.client
import subprocess
import sys
import threading
from argparse import ArgumentParser
from collections.abc import Mapping, Sequence
from contextlib import closing
from pathlib import Path

from checks import logs
from checks.environment import EnvironmentProblem, data_dir, read_env
from checks.process import WRONG_CONFIGURATION, die_with_parent
from monitoring.address import add_server_arguments, address_of, mail_address
from monitoring.config.watch import ConfigWatch
from monitoring.supervisor import AlreadyRunning, DataDirectoryLock, PortTaken, Supervisor, check_port, environment

START = (sys.executable, str(Path(__file__).resolve().parent.parent / "manage.py"))


def add_arguments(parser: ArgumentParser) -> None:
    """What `up` takes."""
    add_server_arguments(parser)
    parser.add_argument("--config", type=Path, help="YAML file: applied at the start and whenever it changes")
    parser.add_argument("--data-dir", help="databases and keys (default: STILLUP_DATA_DIR, else ./data)")
    parser.add_argument("--lease", help="handed on to worker and notifier: for how long a claim is theirs")


def main(argv: Sequence[str]) -> int:
    """The exit status of `manage.py up` with these arguments."""
    parser = ArgumentParser(prog="manage.py up", description="Run web, worker and notifier until SIGTERM.")
    add_arguments(parser)
    options = parser.parse_args(argv)
    logs.configure("up")
    die_with_parent()
    directory = data_dir()  # --data-dir was put into the environment before
    try:
        with closing(DataDirectoryLock(directory)):
            check_port(options.host, options.port)
            mail = mail_address(read_env("STILLUP_MAIL_PINGS"))
            if mail is not None:
                check_port(*mail, setting="STILLUP_MAIL_PINGS")
            return _run(
                options.host, options.port, options.config, commands(options.host, options.port, options.lease, mail)
            )
    except (AlreadyRunning, PortTaken, EnvironmentProblem) as exc:
        print(f"stillup: {exc}", file=sys.stderr)  # noqa: T201 - for the person at the terminal
        return WRONG_CONFIGURATION


def _run(host: str, port: int, config: Path | None, children: Mapping[str, Sequence[str]]) -> int:
    # Before it is read: a change from here on is noticed.
    watch = ConfigWatch(config, _apply_again) if config is not None else None
    prepare = (*START, "prepare", *(("--config", str(config)) if config else ()))
    prepared = subprocess.run(prepare, env=environment(), stdout=subprocess.PIPE, text=True, check=False)  # noqa: S603 - our own command
    if prepared.returncode != 0:
        sys.stdout.write(prepared.stdout)
        return prepared.returncode
    greeting = Greeting(address_of(host, port), prepared.stdout)

    def each_tick() -> None:
        greeting.say_when_ready()
        if watch is not None:
            watch.poll()

    try:
        Supervisor(children, each_tick=each_tick).run()
    finally:
        greeting.say_account()
        if watch is not None:
            watch.stop()
    return 0


def commands(
    host: str, port: int, lease: str | None, mail: tuple[str, int] | None = None
) -> Mapping[str, Sequence[str]]:
    """The command line of each child; of the one that takes mails where it is to listen somewhere."""
    claims = ("--lease", lease) if lease else ()
    mail_pings = {"mail_pings": (*START, "mail_pings", "--host", mail[0], "--port", str(mail[1]))} if mail else {}
    return {
        "web": (*START, "web", "--host", host, "--port", str(port)),
        "worker": (*START, "worker", *claims),
        "notifier": (*START, "notifier", *claims),
        **mail_pings,
    }


def _apply_again(path: Path) -> subprocess.Popen[bytes]:
    return subprocess.Popen((*START, "apply", "--watched", str(path)), env=environment())  # noqa: S603 - our own command


class Greeting:
    """Says where everything is, once the server answers; and the made-up password, once."""

    def __init__(self, address: str, prepared: str) -> None:
        lines = prepared.splitlines()
        self._account = [line for line in lines if line.startswith("sign in as ")]
        _say([line for line in lines if line not in self._account])
        self._address = address
        self._asking: threading.Thread | None = None
        self._ready = threading.Event()
        self._said = False

    def say_when_ready(self) -> None:
        """Ask in the background whether the server answers; the first time that it does, greet."""
        if self._said:
            return
        if self._ready.is_set():
            self._said = True
            _say(
                [
                    "",
                    "Stillup is running.",
                    f"  status page  {self._address}/",
                    f"  dashboard    {self._address}/dashboard/",
                    f"  admin        {self._address}/admin/",
                ]
            )
            self.say_account()
            _say([""])
        elif self._asking is None or not self._asking.is_alive():
            self._asking = threading.Thread(target=self._ask, name="greeting", daemon=True)
            self._asking.start()

    def say_account(self) -> None:
        """The account that was made, unless it was said before."""
        _say([line.replace("sign in as ", "  sign in as   ", 1) for line in self._account])
        self._account = []

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


def _say(lines: Sequence[str]) -> None:
    """To the person at the terminal, beside the log."""
    for line in lines:
        print(line, flush=True)  # noqa: T201 - see above
