"""What was promised of a monitor (an SLO), and the minutes that were counted for it."""

from __future__ import annotations

import uuid

from django.db import models

from monitoring.models.monitor import Monitor, Owner


class Objective(models.Model):
    """A promise about one monitor: of its availability, or of its minutes."""

    uuid = models.UUIDField(primary_key=True, default=uuid.uuid4, editable=False)
    name = models.CharField(max_length=100, unique=True)
    monitor = models.ForeignKey(Monitor, on_delete=models.CASCADE, related_name="objectives")
    target = models.FloatField()  # in percent
    window_seconds = models.FloatField(null=True, blank=True)  # none: the calendar month of `timezone`
    minutes = models.CharField(max_length=40, blank=True)  # "p95 < 300ms"; empty: its availability
    timezone = models.CharField(max_length=64, default="UTC")
    owner = models.CharField(max_length=8, choices=Owner, default=Owner.UI)

    class Meta:
        ordering = ("name",)

    def __str__(self) -> str:
        return self.name


class PromisedHour(models.Model):
    """One hour of a monitor: how many of its minutes kept what is said of them, and how many did not.

    Counted once from the results and kept, because results are not. Two objectives that say the same share it.
    """

    monitor_uuid = models.UUIDField()
    minutes = models.CharField(max_length=40)
    start = models.DateTimeField()
    kept = models.PositiveSmallIntegerField()
    broken = models.PositiveSmallIntegerField()

    class Meta:
        constraints = [models.UniqueConstraint(fields=("monitor_uuid", "minutes", "start"), name="one_promised_hour")]
        indexes = [models.Index(fields=("start",), name="promised_hours_by_start")]

    def __str__(self) -> str:
        return f"{self.minutes}, {self.start:%Y-%m-%d %H}:00 UTC"
