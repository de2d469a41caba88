"""`manage.py restore` in the list of commands. It is run by `monitoring.command_line`, before Django is loaded."""

from __future__ import annotations

from argparse import ArgumentParser
from typing import Any

from django.core.management.base import BaseCommand, CommandError

from monitoring.backup import commands


class Command(BaseCommand):
    help = commands.RESTORE

    def add_arguments(self, parser: ArgumentParser) -> None:
        commands.add_restore_arguments(parser)

    def handle(self, *args: Any, **options: Any) -> None:
        del args, options
        raise CommandError(
            "start it as `manage.py restore`: the databases of a process that has loaded Django are open"
        )
