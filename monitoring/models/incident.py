"""A period in which a monitor did not serve, or something was wrong with us; what was said about it."""

from __future__ import annotations

import uuid
from typing import Any

from django.db import models
from django.db.models import Q

from checks import clock
from monitoring import markdown
from monitoring.models.monitor import Monitor


class Incident(models.Model):
    """One trouble, from its first failed probe on. The database forbids a second open one of the same cause.

    `cause` is `down`, or `system:<what>` for one about us, which has no monitor.
    """

    uuid = models.UUIDField(primary_key=True, default=uuid.uuid4, editable=False)
    # What is deleted keeps its incidents, under its last name.
    monitor = models.ForeignKey(Monitor, null=True, on_delete=models.SET_NULL, related_name="incidents")
    monitor_uuid = models.UUIDField(null=True, editable=False)
    monitor_name = models.CharField(max_length=200, blank=True)
    cause = models.CharField(max_length=100)
    summary = models.CharField(max_length=500, blank=True)  # what broke, in one sentence; operators only
    opened_at = models.DateTimeField()  # dated back to the first failure
    detected_at = models.DateTimeField()
    resolved_at = models.DateTimeField(null=True, blank=True)
    resolution = models.CharField(max_length=16, blank=True)  # recovered, paused, retired, deleted, system
    evidence = models.JSONField(default=dict)  # of the transition that opened it

    class Meta:
        ordering = ("-opened_at",)
        constraints = [
            models.UniqueConstraint(
                fields=("monitor_uuid", "cause"),
                condition=Q(resolved_at=None, monitor_uuid__isnull=False),
                name="one_open_incident_a_cause",
            ),
            models.UniqueConstraint(
                fields=("cause",),
                condition=Q(resolved_at=None, monitor_uuid=None),
                name="one_open_system_incident_a_cause",
            ),
        ]
        indexes = [
            models.Index(fields=("monitor_uuid", "opened_at")),
            models.Index(fields=("resolved_at",), condition=Q(resolved_at=None), name="open_incidents"),
        ]

    def __str__(self) -> str:
        return f"{self.monitor_name or self.cause} ({self.opened_at:%Y-%m-%d %H:%M} UTC)"

    @property
    def is_system(self) -> bool:
        """Whether it is about us and not about a target."""
        return self.cause.startswith("system:")


class IncidentUpdate(models.Model):
    """One line of an incident's timeline. Only what is public stands on a status page."""

    class Kind(models.TextChoices):
        """What a line of the timeline tells."""

        OPENED = "opened"
        RESOLVED = "resolved"
        NOTE = "note"  # it went unknown, a message was withdrawn
        UPDATE = "update"  # written by a person

    incident = models.ForeignKey(Incident, on_delete=models.CASCADE, related_name="updates")
    at = models.DateTimeField()
    kind = models.CharField(max_length=16, choices=Kind, default=Kind.UPDATE)
    text = models.TextField(max_length=5000)
    public = models.BooleanField(default=False)

    class Meta:
        ordering = ("at", "pk")

    def __str__(self) -> str:
        return self.text[:80]


class PostMortem(models.Model):
    """What happened, why, and what was done: Markdown, rendered once when it is saved (`monitoring.markdown`)."""

    incident = models.OneToOneField(Incident, on_delete=models.CASCADE, related_name="post_mortem")
    markdown = models.TextField(
        max_length=50_000, help_text="Markdown. Shown on the incident's public page once published."
    )
    html = models.TextField(editable=False, default="")
    published_at = models.DateTimeField(null=True, blank=True)
    updated_at = models.DateTimeField(editable=False)

    def __str__(self) -> str:
        return f"Post-mortem of {self.incident}"

    def save(self, **options: Any) -> None:
        """Render the Markdown and keep both: whoever saves it, what stands on the page is safe and up to date."""
        self.html = markdown.render(self.markdown)
        self.updated_at = clock.utcnow()
        if (fields := options.get("update_fields")) is not None:
            options["update_fields"] = {*fields, "html", "updated_at"}
        super().save(**options)
