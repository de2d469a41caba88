"""`manage.py rotate_ping_url SLUG`: another ping URL for a heartbeat."""

from __future__ import annotations

from argparse import ArgumentParser
from typing import Any

from django.conf import settings
from django.core.management.base import BaseCommand, CommandError

from monitoring import publish
from monitoring.models import Monitor


class Command(BaseCommand):
    help = "Give a heartbeat another ping URL. The one that it has is heard for another 24 hours."

    def add_arguments(self, parser: ArgumentParser) -> None:
        parser.add_argument("slug")
        parser.add_argument(
            "--force", action="store_true", help="also where an earlier one is still heard, which ends at once"
        )

    def handle(self, *args: Any, **options: Any) -> None:  # noqa: ARG002 - Django's signature
        monitor = Monitor.objects.filter(slug=options["slug"], kind="heartbeat").first()
        if monitor is None:
            raise CommandError(f"there is no heartbeat with the slug {options['slug']!r}")
        try:
            changed = publish.rotate(monitor, force=options["force"])
        except publish.StillHeard as exc:
            raise CommandError(f"{exc}; --force replaces it nevertheless") from exc
        self.stdout.write(f"{settings.BASE_URL}/ping/{changed.ping_code}")
