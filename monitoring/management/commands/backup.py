"""`manage.py backup` in the list of commands. It is run by `monitoring.command_line`, before Django is loaded."""

from __future__ import annotations

from argparse import ArgumentParser
from typing import Any

from django.core.management.base import BaseCommand, CommandError

from monitoring.backup import commands


class Command(BaseCommand):
    help = commands.BACKUP

    def add_arguments(self, parser: ArgumentParser) -> None:
        commands.add_backup_arguments(parser)

    def handle(self, *args: Any, **options: Any) -> None:
        del args
        if status := commands.run_backup([str(options["file"])]):
            raise CommandError("nothing was backed up", returncode=status)
