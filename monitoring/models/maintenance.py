"""What was announced beforehand: a time in which monitors may be down without anybody being woken."""

from __future__ import annotations

import uuid
from datetime import datetime
from typing import Any

from django.core.exceptions import ValidationError
from django.db import models

from checks import clock
from monitoring.models.monitor import Monitor


class MaintenanceWindow(models.Model):
    """Planned work on some monitors, or on all. What was not announced beforehand is none (`announced_at`).

    Once it has begun, only its end, its words and who sees them can change; once it is over, nothing can: figures of the
    past must not become better afterwards.
    """

    uuid = models.UUIDField(primary_key=True, default=uuid.uuid4, editable=False)
    title = models.CharField(max_length=200, help_text="What is done, in a few words.")
    text = models.TextField(max_length=5000, blank=True, help_text="What it means for those who use it.")
    starts_at = models.DateTimeField(help_text="In UTC.")
    ends_at = models.DateTimeField(help_text="In UTC. It can be put off or brought forward while it is on.")
    everything = models.BooleanField("all monitors", default=False)
    monitors = models.ManyToManyField(Monitor, blank=True, related_name="maintenance_windows")
    public = models.BooleanField(
        default=True, help_text="Announced on every status page that has a component of these monitors."
    )
    announced_at = models.DateTimeField(editable=False)

    class Meta:
        ordering = ("-starts_at",)
        constraints = [
            models.CheckConstraint(
                condition=models.Q(ends_at__gte=models.F("starts_at")), name="maintenance_ends_after_it_begins"
            ),
        ]

    def __str__(self) -> str:
        return self.title

    def save(self, **options: Any) -> None:
        """Keep when it was announced."""
        if self._state.adding and self.announced_at is None:
            self.announced_at = clock.utcnow()
        super().save(**options)

    @property
    def counts_from(self) -> datetime:
        """From when on it was announced beforehand."""
        return max(self.starts_at, self.announced_at)

    def has_begun(self, now: datetime) -> bool:
        """Whether its time has come; it may be over."""
        return self.counts_from <= now

    def is_over(self, now: datetime) -> bool:
        """Whether its time has passed."""
        return self.ends_at <= now

    def clean(self) -> None:
        """Refuse times that are none."""
        if self.starts_at is not None and self.ends_at is not None and self.ends_at <= self.starts_at:
            raise ValidationError({"ends_at": "It ends before it begins."})
