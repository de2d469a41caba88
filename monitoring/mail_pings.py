"""`manage.py mail_pings`: the server that takes mails as pings. Like the worker it needs no Django, and loads none."""

from __future__ import annotations

import logging
import sys
from argparse import ArgumentParser
from collections.abc import Sequence
from contextlib import suppress
from urllib.parse import urlsplit

import sqlalchemy as sa
import uvloop

from checks import logs
from checks.environment import measurements_url, read_env
from checks.heartbeats.mail import MailPings, serve
from checks.process import WRONG_CONFIGURATION, die_with_parent
from checks.store.engine import StoreProblem, open_engine
from checks.store.upgrade import check_schema
from monitoring.address import MAIL_PORT, add_server_arguments
from monitoring.supervisor import PortTaken, check_port

logger = logging.getLogger(__name__)


def add_arguments(parser: ArgumentParser) -> None:
    """What `mail_pings` takes."""
    add_server_arguments(parser, port=MAIL_PORT)
    parser.add_argument("--hostname", help="what it calls itself to clients (default: that of STILLUP_BASE_URL)")


def main(argv: Sequence[str]) -> int:
    """The exit status of `manage.py mail_pings` with these arguments."""
    parser = ArgumentParser(prog="manage.py mail_pings", description="Take mails as pings until SIGTERM.")
    add_arguments(parser)
    options = parser.parse_args(argv)
    logs.configure("mail_pings")
    die_with_parent()
    url = measurements_url()
    try:
        _check(url)
        host = check_port(options.host, options.port)
    except (StoreProblem, PortTaken) as exc:
        print(f"stillup: {exc}", file=sys.stderr)  # noqa: T201 - for the person at the terminal
        return WRONG_CONFIGURATION
    hostname = options.hostname or urlsplit(read_env("STILLUP_BASE_URL")).hostname or "localhost"
    uvloop.run(serve(MailPings(url, hostname), host, options.port))
    return 0


def _check(url: str) -> None:
    """Raises SchemaMismatch. A store that is shut is waited for: mails are answered 451 until it is open."""
    engine = open_engine(url)
    try:
        with suppress(sa.exc.SQLAlchemyError):
            check_schema(engine)
    finally:
        engine.dispose()
