"""`manage.py web`: the server of pages, admin and pings."""

from __future__ import annotations

from argparse import ArgumentParser
from contextlib import suppress
from typing import Any

from django.core.management.base import BaseCommand, CommandError

from checks import logs, process
from monitoring import preparation
from monitoring.address import add_server_arguments
from monitoring.server import serve
from monitoring.supervisor import PortTaken, check_port


class Command(BaseCommand):
    help = "Serve pages, the admin and pings until SIGTERM."

    def add_arguments(self, parser: ArgumentParser) -> None:
        add_server_arguments(parser)

    def handle(self, *args: Any, **options: Any) -> None:  # noqa: ARG002 - Django's signature
        logs.configure("web")
        process.die_with_parent()
        try:
            with suppress(preparation.Unreachable):  # pages from snapshots, and 503 for pings, until it is back
                preparation.check()
        except preparation.NotPrepared as exc:
            raise CommandError(str(exc), returncode=process.WRONG_CONFIGURATION) from exc
        try:
            address = check_port(options["host"], options["port"])
        except PortTaken as exc:
            raise CommandError(str(exc)) from exc
        from monitoring.asgi import application

        serve(application, address, options["port"])
