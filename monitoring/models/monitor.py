"""What a user configures: a kind, its options, a schedule, a status policy."""

from __future__ import annotations

import secrets
import uuid

from django.db import models


class Owner(models.TextChoices):
    """Where an object is edited. What the file owns is read-only in the admin and the API."""

    FILE = "file", "configuration file"
    UI = "ui", "admin"


def random_code() -> uuid.UUID:
    """128 random bits from the system's generator, written as a UUID: a ping code is a secret, uuid4 keeps 122."""
    return uuid.UUID(bytes=secrets.token_bytes(16))


class Monitor(models.Model):
    """One monitor. Every change goes through `monitoring.publish.change`, which alone writes `revision`.

    `name`, `slug` and `kind` repeat what `spec` says; `spec` is the dump of a `checks.spec.MonitorSpec`, secrets
    sealed. The status lives in the store and nowhere else.
    """

    uuid = models.UUIDField(primary_key=True, default=uuid.uuid4, editable=False)
    slug = models.SlugField(max_length=100, unique=True)
    name = models.CharField(max_length=200)
    kind = models.CharField(max_length=32)
    spec = models.JSONField()
    owner = models.CharField(max_length=8, choices=Owner, default=Owner.UI)
    revision = models.PositiveIntegerField(default=1, editable=False)
    paused = models.BooleanField(default=False)
    ping_code = models.UUIDField(unique=True, default=random_code, editable=False)
    old_ping_code = models.UUIDField(null=True, blank=True, editable=False)  # the one before, heard for a while
    old_ping_code_until = models.DateTimeField(null=True, blank=True, editable=False)
    retired_at = models.DateTimeField(null=True, blank=True, editable=False)
    created_at = models.DateTimeField(editable=False)
    updated_at = models.DateTimeField(editable=False)

    class Meta:
        ordering = ("name", "slug")

    def __str__(self) -> str:
        return self.name
