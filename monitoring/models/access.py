"""Keys by which programs speak with us. Only what a key hashes to is kept: it is shown once, when it is made."""

from __future__ import annotations

import hashlib
import secrets

from django.db import models

KEY_BYTES = 24  # of the system's generator: 32 characters


def random_key() -> str:
    """A new key: 192 random bits as letters, digits, - and _."""
    return secrets.token_urlsafe(KEY_BYTES)


def digest_of(key: str) -> str:
    """What of a key is kept: its SHA-256 in hexadecimal digits. A random key needs no salt."""
    return hashlib.sha256(key.encode()).hexdigest()


class PingKey(models.Model):
    """Lets jobs ping every heartbeat by its slug: /ping/<key>/<slug>."""

    name = models.CharField(max_length=100, unique=True)
    digest = models.CharField(max_length=64, unique=True, editable=False)
    creates = models.BooleanField("may create monitors", default=False, help_text="A ping with ?create=1 makes one.")
    created_at = models.DateTimeField(editable=False)

    class Meta:
        ordering = ("name",)

    def __str__(self) -> str:
        return self.name


class ApiKey(models.Model):
    """Lets a program read, or change, what is configured here."""

    class Role(models.TextChoices):
        """What a program may do."""

        READ = "read", "read only"
        WRITE = "write", "read and write"

    name = models.CharField(max_length=100, unique=True)
    digest = models.CharField(max_length=64, unique=True, editable=False)
    role = models.CharField(max_length=8, choices=Role, default=Role.READ)
    created_at = models.DateTimeField(editable=False)
    last_used_at = models.DateTimeField(null=True, blank=True, editable=False)

    class Meta:
        ordering = ("name",)
        verbose_name = "API key"

    def __str__(self) -> str:
        return self.name
