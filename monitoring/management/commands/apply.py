"""`manage.py apply F`: make the database say what the file says."""

from __future__ import annotations

import logging
from argparse import ArgumentParser
from pathlib import Path
from typing import Any

from django.core.management.base import BaseCommand, CommandError
from django.db import DatabaseError

from checks import logs
from checks.process import WRONG_CONFIGURATION, die_with_parent
from monitoring.config.apply import Refused, apply_file

logger = logging.getLogger(__name__)

TRY_AGAIN = 75  # EX_TEMPFAIL of sysexits.h


class Command(BaseCommand):
    help = "Apply a configuration file, whole or not at all. Exit status 78: the file is wrong, nothing was changed."

    def add_arguments(self, parser: ArgumentParser) -> None:
        parser.add_argument("file", type=Path)
        parser.add_argument(
            "--prune", action="store_true", help="delete monitors that left the file, with their history"
        )
        parser.add_argument(
            "--watched",
            action="store_true",
            help="as `up` does when the file changed: say it in the log, and refuse to retire most of the monitors",
        )
        parser.add_argument("--adopt", action="store_true", help="take over what the admin owns and the file names")

    def handle(self, *args: Any, **options: Any) -> None:  # noqa: ARG002 - Django's signature
        path: Path = options["file"]
        if options["watched"]:
            self._apply_watched(path)
            return
        try:
            plan = apply_file(path, prune=options["prune"], adopt=options["adopt"])
        except Refused as exc:
            message = f"{path} is refused, and nothing was changed:\n{exc}"
            raise CommandError(message, returncode=WRONG_CONFIGURATION) from exc
        if plan.actions or plan.hints:
            self.stdout.write(plan.text())
        self.stdout.write(f"Applied {path}: {plan.summary()}.")

    def _apply_watched(self, path: Path) -> None:
        logs.configure("up")
        die_with_parent()
        try:
            apply_file(path, cautious=True)
        except Refused as exc:
            extra = {"action": "config_refused", "path": str(path)}
            logger.error("The changed configuration is refused, the running one stays:\n%s", exc, extra=extra)  # noqa: TRY400 - a mistake in a file needs no traceback
            raise SystemExit(WRONG_CONFIGURATION) from exc
        except DatabaseError as exc:
            logger.exception("The changed configuration could not be applied yet.", extra={"action": "config_waiting"})
            raise SystemExit(TRY_AGAIN) from exc
