"""`manage.py apply F`: make the database say what the file says."""

from __future__ import annotations

from argparse import ArgumentParser
from pathlib import Path
from typing import Any

from django.core.management.base import BaseCommand, CommandError

from checks.process import WRONG_CONFIGURATION
from monitoring.config.apply import Refused, apply_file


class Command(BaseCommand):
    help = "Apply a configuration file, whole or not at all. Exit status 78: the file is wrong, nothing was changed."

    def add_arguments(self, parser: ArgumentParser) -> None:
        parser.add_argument("file", type=Path)
        parser.add_argument(
            "--prune", action="store_true", help="delete monitors that left the file, with their history"
        )
        parser.add_argument("--adopt", action="store_true", help="take over what the admin owns and the file names")

    def handle(self, *args: Any, **options: Any) -> None:  # noqa: ARG002 - Django's signature
        path: Path = options["file"]
        try:
            plan = apply_file(path, prune=options["prune"], adopt=options["adopt"])
        except Refused as exc:
            message = f"{path} is refused, and nothing was changed:\n{exc}"
            raise CommandError(message, returncode=WRONG_CONFIGURATION) from exc
        if plan.actions or plan.hints:
            self.stdout.write(plan.text())
        self.stdout.write(f"Applied {path}: {plan.summary()}.")
