"""`manage.py create_api_key NAME [--role R]`: a key by which programs speak with the API."""

from __future__ import annotations

from argparse import ArgumentParser
from typing import Any

from django.core.management.base import BaseCommand, CommandError
from django.db import IntegrityError

from checks import clock
from monitoring.models import ApiKey
from monitoring.models.access import digest_of, random_key


class Command(BaseCommand):
    help = "Make a key for the API. It is printed once; only what it hashes to is kept."

    def add_arguments(self, parser: ArgumentParser) -> None:
        parser.add_argument("name", help="what it is called in the admin")
        parser.add_argument("--role", choices=ApiKey.Role.values, default=ApiKey.Role.READ, help="what it allows")

    def handle(self, *args: Any, **options: Any) -> None:  # noqa: ARG002 - Django's signature
        text = random_key()
        try:
            ApiKey.objects.create(
                name=options["name"], digest=digest_of(text), role=options["role"], created_at=clock.utcnow()
            )
        except IntegrityError as exc:
            raise CommandError(f"there is an API key named {options['name']!r} already") from exc
        self.stdout.write(text)
        self.stderr.write("This key is not shown again.")
