"""`manage.py worker`: probe the targets of one location."""

from __future__ import annotations

from argparse import ArgumentParser
from typing import Any

from django.core.management.base import BaseCommand

from checks import worker_process
from checks.units import format_duration


class Command(BaseCommand):
    help = "Probe the targets of one location until SIGTERM. The same as python -m checks worker."

    def add_arguments(self, parser: ArgumentParser) -> None:
        worker_process.add_arguments(parser)

    def handle(self, *args: Any, **options: Any) -> None:  # noqa: ARG002 - Django's signature
        names = ("store", "location", "slots")
        argv = [part for name in names if options[name] for part in (f"--{name}", str(options[name]))]
        status = worker_process.main([*argv, "--lease", format_duration(options["lease"].total_seconds())])
        if status:
            raise SystemExit(status)
