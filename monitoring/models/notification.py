"""One message to one channel about one incident: the row is both the queue and the log."""

from __future__ import annotations

import uuid

from django.db import models
from django.db.models import Q

from monitoring.models.alerting import Channel
from monitoring.models.incident import Incident


class Notification(models.Model):
    """One message. `key` is deterministic, so that a repeated step queues nothing twice."""

    class Event(models.TextChoices):
        """What is told."""

        DOWN = "down"
        RESOLVED = "resolved"
        REMINDER = "reminder"
        SYSTEM = "system"  # about us: a channel gave up, a worker is blind
        WAITING = "waiting"  # a heartbeat that was never heard of
        REPORT = "report"  # of a month
        TEST = "test"

    class Status(models.TextChoices):
        """Where a message is on its way."""

        PENDING = "pending"
        SENDING = "sending"
        SENT = "sent"
        HELD = "held"  # withdrawn or folded into another; `note` says why
        DEAD = "dead"  # given up after 24 h, or refused for good

    uuid = models.UUIDField(primary_key=True, default=uuid.uuid4, editable=False)
    key = models.CharField(max_length=200, unique=True)
    incident = models.ForeignKey(Incident, null=True, on_delete=models.CASCADE, related_name="notifications")
    channel = models.ForeignKey(Channel, null=True, on_delete=models.SET_NULL, related_name="notifications")
    channel_name = models.CharField(max_length=100)
    recipient = models.PositiveSmallIntegerField(default=0)  # which of the channel's recipients
    event = models.CharField(max_length=16, choices=Event)
    status = models.CharField(max_length=16, choices=Status, default=Status.PENDING)
    facts = models.JSONField(default=dict)  # what the templates in templates/messages/ say it with
    note = models.CharField(max_length=500, blank=True)  # why it was held or is dead; the last error, without secrets
    attempts = models.PositiveIntegerField(default=0)
    # An attempt began and its end is not known: the next copy says that it may be a repeat.
    in_doubt = models.BooleanField(default=False)
    next_attempt_at = models.DateTimeField()
    leased_until = models.DateTimeField(null=True)
    leased_by = models.CharField(max_length=100, blank=True)
    created_at = models.DateTimeField()
    sent_at = models.DateTimeField(null=True)

    class Meta:
        ordering = ("created_at", "key")
        indexes = [
            models.Index(
                fields=("next_attempt_at",),
                condition=Q(status__in=("pending", "sending")),
                name="waiting_notifications",
            ),
            models.Index(fields=("incident", "channel")),
        ]

    def __str__(self) -> str:
        return self.key


class ConsumedTransition(models.Model):
    """A transition of the store that has had its effect here. Inserted first: a repeat of the step then does nothing."""

    transition = models.UUIDField(primary_key=True)
    store = models.UUIDField()  # its instance UUID: another store numbers its transitions from 1 again
    monitor = models.UUIDField()
    seq = models.PositiveIntegerField()

    class Meta:
        constraints = [models.UniqueConstraint(fields=("store", "monitor", "seq"), name="one_effect_a_seq")]

    def __str__(self) -> str:
        return f"{self.monitor} #{self.seq}"


class KnownStore(models.Model):
    """The store whose transitions were consumed. Another one begins from `pending`, without messages."""

    uuid = models.UUIDField(primary_key=True)
    seen_at = models.DateTimeField()

    def __str__(self) -> str:
        return str(self.uuid)
