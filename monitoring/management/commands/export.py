"""`manage.py export`: the configuration file that the database amounts to."""

from __future__ import annotations

from typing import Any

from django.core.management.base import BaseCommand

from monitoring.config.export import export


class Command(BaseCommand):
    help = "Write the configuration file from the database, with a ${NAME} for each secret."

    def handle(self, *args: Any, **options: Any) -> None:  # noqa: ARG002 - Django's signature
        self.stdout.write(export(), ending="")
