"""`manage.py create_ping_key NAME`: a key by which jobs ping monitors by their slugs."""

from __future__ import annotations

from argparse import ArgumentParser
from typing import Any

from django.conf import settings
from django.core.management.base import BaseCommand, CommandError
from django.db import IntegrityError

from monitoring import ping_keys


class Command(BaseCommand):
    help = "Make a key for /ping/<key>/<slug>. It is printed once; only what it hashes to is kept."

    def add_arguments(self, parser: ArgumentParser) -> None:
        parser.add_argument("name", help="what it is called in the admin")
        parser.add_argument("--creates", action="store_true", help="let a ping with ?create=1 make a monitor")

    def handle(self, *args: Any, **options: Any) -> None:  # noqa: ARG002 - Django's signature
        try:
            _, text = ping_keys.create(options["name"], creates=options["creates"])
        except IntegrityError as exc:
            raise CommandError(f"there is a ping key named {options['name']!r} already") from exc
        self.stdout.write(text)
        self.stderr.write(f"Jobs ping {settings.BASE_URL}/ping/{text}/<slug> now. This key is not shown again.")
