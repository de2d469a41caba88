"""`manage.py mail_pings`: the server that takes mails as pings."""

from __future__ import annotations

from argparse import ArgumentParser
from contextlib import suppress
from typing import Any
from urllib.parse import urlsplit

import uvloop
from django.conf import settings
from django.core.management.base import BaseCommand, CommandError

from checks import logs, process
from checks.environment import measurements_url
from checks.heartbeats.mail import MailPings, serve
from monitoring import preparation
from monitoring.address import MAIL_PORT, add_server_arguments
from monitoring.supervisor import PortTaken, check_port


class Command(BaseCommand):
    help = "Take mails to <code>@ and <key>+<slug>@ as pings until SIGTERM."

    requires_system_checks = ()  # they load every screen; `up`, `prepare` and web make them

    def add_arguments(self, parser: ArgumentParser) -> None:
        add_server_arguments(parser, port=MAIL_PORT)
        parser.add_argument("--hostname", help="what it calls itself to clients (default: that of the base URL)")

    def handle(self, *args: Any, **options: Any) -> None:  # noqa: ARG002 - Django's signature
        logs.configure("mail_pings")
        process.die_with_parent()
        try:
            with suppress(preparation.Unreachable):  # mails are answered 451 until it is back
                preparation.check()
        except preparation.NotPrepared as exc:
            raise CommandError(str(exc), returncode=process.WRONG_CONFIGURATION) from exc
        try:
            host = check_port(options["host"], options["port"])
        except PortTaken as exc:
            raise CommandError(str(exc)) from exc
        hostname = options["hostname"] or str(urlsplit(settings.BASE_URL).hostname)
        uvloop.run(serve(MailPings(measurements_url(), hostname), host, options["port"]))
