"""What is remembered of the configuration file."""

from __future__ import annotations

from django.db import models


class ConfigurationFile(models.Model):
    """The file that was applied last; one row. What differs from its digests since was changed by other hands."""

    path = models.CharField(max_length=1000, blank=True)
    applied_at = models.DateTimeField(null=True)
    digests = models.JSONField(default=dict)  # of each object as applied: {"monitors": {slug: digest}, ...}
    # A newer version of the file that could not be applied, and why.
    refused_at = models.DateTimeField(null=True)
    problems = models.TextField(blank=True)

    def __str__(self) -> str:
        return self.path
