"""`manage.py mail_pings` in the list of commands. It is run by `monitoring.command_line`, before Django is loaded."""

from __future__ import annotations

from argparse import ArgumentParser
from typing import Any

from django.core.management.base import BaseCommand

from monitoring import mail_pings


class Command(BaseCommand):
    help = "Take mails to <code>@ and <key>+<slug>@ as pings until SIGTERM."

    def add_arguments(self, parser: ArgumentParser) -> None:
        mail_pings.add_arguments(parser)

    def handle(self, *args: Any, **options: Any) -> None:  # noqa: ARG002 - Django's signature
        names = ("host", "port", "hostname")
        status = mail_pings.main(
            [part for name in names if options[name] for part in (f"--{name}", str(options[name]))]
        )
        if status:
            raise SystemExit(status)
