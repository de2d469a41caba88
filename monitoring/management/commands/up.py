"""`manage.py up` in the list of commands. It is run by `monitoring.command_line`, before Django is loaded."""

from __future__ import annotations

from argparse import ArgumentParser
from typing import Any

from django.core.management.base import BaseCommand, CommandError

from monitoring import up


class Command(BaseCommand):
    help = "Run web, worker and notifier until SIGTERM, restarting what dies."

    def add_arguments(self, parser: ArgumentParser) -> None:
        up.add_arguments(parser)

    def handle(self, *args: Any, **options: Any) -> None:  # noqa: ARG002 - Django's signature
        raise CommandError("start it as `manage.py up`: a process that has loaded Django is no parent for the others")
