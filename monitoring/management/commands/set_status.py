"""`manage.py set_status SLUG up`: say what a manual monitor is."""

from __future__ import annotations

import getpass
from argparse import ArgumentParser
from typing import Any

from django.core.management.base import BaseCommand, CommandError

from checks.nearest import did_you_mean
from checks.store.setting import SETTABLE, NotSettable
from monitoring.manual import set_status
from monitoring.models import Monitor


class Command(BaseCommand):
    help = "Say what a monitor of the kind manual is."

    def add_arguments(self, parser: ArgumentParser) -> None:
        parser.add_argument("slug", help="of the monitor")
        parser.add_argument("status", choices=SETTABLE)
        parser.add_argument("--message", default="", help="why: stands in the alert and on the monitor's page")

    def handle(self, *args: Any, **options: Any) -> None:
        del args
        slug = options["slug"]
        monitor = Monitor.objects.filter(slug=slug).first()
        if monitor is None:
            known = Monitor.objects.filter(retired_at=None).values_list("slug", flat=True)
            raise CommandError(f"there is no monitor {slug!r}{did_you_mean(slug, list(known))}")
        try:
            changed = set_status(monitor, options["status"], message=options["message"], by=_user())
        except NotSettable as exc:
            raise CommandError(str(exc)) from exc
        self.stdout.write(
            f"{slug} is {options['status']} now." if changed else f"{slug} was {options['status']} already."
        )


def _user() -> str:
    """Who types this, as this machine knows them."""
    try:
        return getpass.getuser()
    except (KeyError, OSError):
        return ""
