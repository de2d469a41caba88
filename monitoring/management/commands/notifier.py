"""`manage.py notifier`: incidents, messages and status pages."""

from __future__ import annotations

from argparse import ArgumentParser, ArgumentTypeError
from datetime import timedelta
from typing import Any

from django.core.management.base import BaseCommand, CommandError
from django.db import connections

from checks import logs, process
from checks.units import parse_duration
from monitoring import preparation
from monitoring.notifier import loop


def _lease(text: str) -> timedelta:
    try:
        seconds = parse_duration(text)
    except ValueError as exc:
        raise ArgumentTypeError(str(exc)) from exc
    if not 1 <= seconds <= 600:
        raise ArgumentTypeError(f"{text} is no lease; allowed: 1s to 10m")
    return timedelta(seconds=seconds)


class Command(BaseCommand):
    help = "Turn changes of status into incidents, deliver messages and render status pages until SIGTERM."

    requires_system_checks = ()  # they load every screen; `up`, `prepare` and web make them

    def add_arguments(self, parser: ArgumentParser) -> None:
        parser.add_argument(
            "--lease",
            type=_lease,
            default=loop.LEASE,
            help="for how long a claim is this process's; after its death another one goes on then (default: 30s)",
        )

    def handle(self, *args: Any, **options: Any) -> None:  # noqa: ARG002 - Django's signature
        logs.configure("notifier")
        process.die_with_parent()
        try:
            preparation.check()
            connections.close_all()  # each thread has its own from here on
            loop.run(lease=options["lease"])
        except preparation.NotPrepared as exc:
            raise CommandError(str(exc), returncode=process.WRONG_CONFIGURATION) from exc
