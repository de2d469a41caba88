"""When to tell, and whom."""

from __future__ import annotations

import uuid

from django.db import models

from monitoring.models.monitor import Owner


class Channel(models.Model):
    """An Apprise URL with a name. The URL holds credentials, so it is kept sealed (`checks.secretbox`)."""

    uuid = models.UUIDField(primary_key=True, default=uuid.uuid4, editable=False)
    name = models.CharField(max_length=100, unique=True)
    sealed_url = models.TextField(editable=False)
    owner = models.CharField(max_length=8, choices=Owner, default=Owner.UI)
    # Each is told by a message of its own (`monitoring.recipients`); counted when the URL is set.
    recipients = models.PositiveSmallIntegerField(default=1, editable=False)
    fallback = models.BooleanField(default=False, help_text="Told when another channel gave up on a message.")
    broken_since = models.DateTimeField(null=True, blank=True, editable=False)
    last_error = models.CharField(max_length=500, blank=True, editable=False)

    class Meta:
        ordering = ("name",)

    def __str__(self) -> str:
        return self.name


class AlertRule(models.Model):
    """When to tell which channels about which monitors."""

    class When(models.TextChoices):
        """What a rule waits for."""

        DOWN = "down", "a monitor is down"

    uuid = models.UUIDField(primary_key=True, default=uuid.uuid4, editable=False)
    name = models.CharField(max_length=100, unique=True)
    owner = models.CharField(max_length=8, choices=Owner, default=Owner.UI)
    when = models.CharField(max_length=16, choices=When, default=When.DOWN)
    # {"tags": [...], "monitors": [slug, ...], "kinds": [...]}: a monitor matches when every list that is given holds
    # it (tags: any of them). No list at all matches every monitor.
    match = models.JSONField(default=dict, blank=True)
    remind_seconds = models.FloatField(null=True, blank=True)
    channels: models.ManyToManyField[Channel, AlertRuleChannel] = models.ManyToManyField(
        Channel,
        through="AlertRuleChannel",
        related_name="rules",
    )

    class Meta:
        ordering = ("name",)

    def __str__(self) -> str:
        return self.name


class AlertRuleChannel(models.Model):
    """A channel that a rule notifies."""

    rule = models.ForeignKey(AlertRule, on_delete=models.CASCADE)
    channel = models.ForeignKey(Channel, on_delete=models.CASCADE)
    position = models.PositiveSmallIntegerField(default=0)

    class Meta:
        ordering = ("position",)
        constraints = [models.UniqueConstraint(fields=("rule", "channel"), name="one_channel_a_rule")]

    def __str__(self) -> str:
        return f"{self.rule} → {self.channel}"
