"""`manage.py configuration_reference`: write docs/configuration.md from the code."""

from __future__ import annotations

from argparse import ArgumentParser
from pathlib import Path
from typing import Any

from django.conf import settings
from django.core.management.base import BaseCommand, CommandError

from monitoring.config.reference import reference


class Command(BaseCommand):
    help = "Write docs/configuration.md from the code."
    requires_system_checks = ()

    def add_arguments(self, parser: ArgumentParser) -> None:
        parser.add_argument("--check", action="store_true", help="write nothing; fail where the page is out of date")

    def handle(self, *args: Any, **options: Any) -> None:  # noqa: ARG002 - Django's signature
        path = Path(settings.BASE_DIR) / "docs" / "configuration.md"
        page = reference()
        if not options["check"]:
            path.write_text(page, encoding="utf-8")
            self.stdout.write(f"Wrote {path.name}.")
        elif not path.exists() or path.read_text(encoding="utf-8") != page:
            raise CommandError("docs/configuration.md is out of date; run `manage.py configuration_reference`")
