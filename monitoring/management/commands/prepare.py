"""`manage.py prepare`: what `up` does before it starts its children, for installations that start them one by one."""

from __future__ import annotations

from argparse import ArgumentParser
from pathlib import Path
from typing import Any

from django.core.management.base import BaseCommand, CommandError

from checks import logs, process
from monitoring import preparation


class Command(BaseCommand):
    help = "Bring both databases to this version, make the admin, apply a configuration; then end."

    requires_system_checks = ()  # made below: what is wrong ends with another exit status

    def add_arguments(self, parser: ArgumentParser) -> None:
        parser.add_argument("--config", type=Path, help="YAML file to apply")

    def handle(self, *args: Any, **options: Any) -> None:  # noqa: ARG002 - Django's signature
        logs.configure("prepare")
        process.die_with_parent()
        try:
            preparation.check_system(self)
            account = preparation.prepare(options["config"])
        except preparation.NotPrepared as exc:
            raise CommandError(str(exc), returncode=process.WRONG_CONFIGURATION) from exc
        if account is not None and account.password:
            self.stdout.write(f"sign in as {account.name}, password {account.password} (shown once)")
