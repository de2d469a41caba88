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

    def handle(self, *args: Any, **options: Any) -> None:  # noqa: ARG002 - Django's signature
        monitor = Monitor.objects.filter(slug=options["slug"], kind="heartbeat").first()
        if monitor is None:
            raise CommandError(f"there is no heartbeat with the slug {options['slug']!r}")
        changed = publish.rotate(monitor)
        self.stdout.write(f"{settings.BASE_URL}/ping/{changed.ping_code}")
