"""`manage.py plan F`: what `apply` would do."""

from __future__ import annotations

import sys
from argparse import ArgumentParser
from pathlib import Path
from typing import Any

from django.core.management.base import BaseCommand, CommandError

from checks.process import WRONG_CONFIGURATION
from monitoring.config.apply import Refused, plan_file

CHANGES = 2  # the exit status with --exit-code where there is something to do


class Command(BaseCommand):
    help = "Show what applying a configuration file would change. Exit status 78: the file is wrong."

    def add_arguments(self, parser: ArgumentParser) -> None:
        parser.add_argument("file", type=Path)
        parser.add_argument("--prune", action="store_true", help="as `apply --prune` would")
        parser.add_argument("--adopt", action="store_true", help="as `apply --adopt` would")
        parser.add_argument(
            "--exit-code", action="store_true", help="exit with status 2 where there is something to do, for scripts"
        )

    def handle(self, *args: Any, **options: Any) -> None:  # noqa: ARG002 - Django's signature
        path: Path = options["file"]
        try:
            plan = plan_file(path, prune=options["prune"], adopt=options["adopt"])
        except Refused as exc:
            raise CommandError(f"{path} is wrong:\n{exc}", returncode=WRONG_CONFIGURATION) from exc
        self.stdout.write(f"To apply {path}:\n{plan.text()}")
        if options["exit_code"] and plan.actions:
            sys.exit(CHANGES)
